//! The loop. It knows keys and times, no Docker and no manifest, so that a test drives it in paused time.
//!
//! ```text
//! triggers → debounce → ┐
//!                       key → scheduler: when → runner: how many, never one twice → Reconcile::reconcile
//!                       └───────────────── Requeue ──────────────────────────────────────────┘
//! ```
//!
//! A trigger only names a key. A run observes the world as it is then and never learns why it runs, so a lost trigger costs
//! time, until the next resync, and never correctness.
//!
//! # Guarantees
//! - A triggered key runs at or after its last trigger, even if it was running then.
//! - A key never runs twice at once, and no more keys than the bound run at once.
//! - The key that has been due for longest starts first. A key that fails, hangs or asks to run again at once costs the
//!   others no more than one of the slots.
//! - The loop never cuts off a run that has begun: not when it stops, and not when its future is dropped.
//!
//! # Caveats
//! Runs that hang keep their slots: a reconciler must put a timeout on everything that it waits for. The loop stays alive
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
