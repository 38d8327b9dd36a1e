//! The sink for the events of a reconcile.

use std::sync::Arc;

use crate::api::Event;

/// Receives each event with the name of its object, in order. An event of the trail has been written before. It is called
/// during a reconcile, so it must not block.
pub type EventSink = Arc<dyn Fn(&str, Event) + Send + Sync>;
