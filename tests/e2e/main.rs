//! undrift's binary against a real engine.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod daemon;
mod faults;
mod host_cases;
mod incident;
mod layers;
mod more;
mod restraint;
mod support;
