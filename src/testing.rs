//! What the tests of several rooms share.
//!
//! | file | holds |
//! | --- | --- |
//! | [`fixtures`] | declarations and observations to begin with |
//! | [`fake`] | a host in memory: images, containers and routes that behave as Compose's do, and faults to order |
//! | `conformance` | the same operations on the fake host and on a real engine, compared |
//! | [`kernel`] | a kernel that has no watch left, and what is logged about that |
//! | `model` | a model checker on the real decisions, in every order of steps, kills and people's actions |

mod conformance;
pub(crate) mod fake;
pub(crate) mod fixtures;
pub(crate) mod kernel;
mod model;
