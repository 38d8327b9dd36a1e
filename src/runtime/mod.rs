//! The loop. It knows keys and times, no Docker and no manifest, so that a test drives it in paused time.
//!
//! ```text
//! triggers → debounce → ┐
//!                       key → scheduler: when → runner: how many, never one twice → Reconcile::reconcile
//!                       └───────────────── Requeue ──────────────────────────────────────────┘
//! ```
//!
//! A trigger only names a key. What runs looks at the world as it is then and never learns why it runs, so a
//! trigger that is lost costs time, until the next resync, and never correctness.
//!
//! # Guarantees
//! - A key that is triggered runs at or after its last trigger; also if it was at work then.
//! - A key never runs twice at once, and no more keys than the bound run at once.
//! - Who has been due for longest starts first. A key that fails, hangs or asks to run again at once costs the
//!   others no more than one of the slots.
//! - A run that has begun is never cut off by the loop: not when it stops, and not when its future is dropped.
//!
//! # Caveats
//! Runs that hang keep their slots: a reconciler owes a timeout on everything that it waits for. The loop lives
//! and pulses meanwhile.

mod controller;
mod debounce;
mod jitter;
mod runner;
mod scheduler;
#[cfg(test)]
mod testing;
mod timers;

pub use controller::Controller;
pub use debounce::debounce;
pub use jitter::jittered;
pub use runner::{Reconcile, Requeue};
