//! undrift's binary against a real engine.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod aftermath;
mod contract;
mod daemon;
mod faults;
mod host_cases;
mod incident;
mod layers;
mod more;
mod processes;
mod restraint;
mod routes;
mod support;
mod trail;
