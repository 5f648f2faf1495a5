//! Tests of the address-space model and of scenarios.
mod limits;
mod model;
mod scenario;
mod space;
