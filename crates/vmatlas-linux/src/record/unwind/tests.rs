mod bytes;
mod modules;
mod programs;
mod speed;
mod target;
