mod bytes;
mod made_up;
mod modules;
