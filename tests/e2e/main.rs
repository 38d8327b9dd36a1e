//! undrift's binary against a real engine.
#![expect(missing_docs, reason = "tests are named by what they prove")]

mod contract;
mod faults;
mod incident;
mod layers;
mod restraint;
mod support;
