mod bytes;
mod made_up;
mod modules;
mod programs;
mod target;
