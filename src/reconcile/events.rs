//! Where the events of a reconcile go, and what time it is.

use std::sync::Arc;

use crate::api::{Event, Time};

/// Receives each event with the name of its object, in the order in which it happens. What is in the trail has been written
/// before. It is called in the middle of a reconcile, so it must not block.
pub type EventSink = Arc<dyn Fn(&str, Event) + Send + Sync>;

/// What time it is.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;
