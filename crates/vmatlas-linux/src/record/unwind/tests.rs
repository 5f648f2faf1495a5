mod programs;
mod target;
