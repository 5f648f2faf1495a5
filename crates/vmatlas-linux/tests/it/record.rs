//! Compares recordings with the kernel's maps and with the programs' own output.

mod end;
mod recorded;

mod ends;
mod makers;
mod programs;
mod signals;
