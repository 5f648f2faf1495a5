//! Tests of the address-space model and of scenarios.
mod doubts;
mod limits;
mod model;
mod scenario;
mod space;
