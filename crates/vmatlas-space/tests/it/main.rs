//! The model of the address space, and scenarios.
mod limits;
mod model;
mod scenario;
mod space;
