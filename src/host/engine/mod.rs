//! The Docker engine: what is asked of it, and the few things that are changed through it.
//!
//! Everything that changes containers in earnest goes through `docker compose`; here are only the questions, the
//! tags of undrift's own, the removal of what a killed recreate or two `up` at once left behind, and the short-lived
//! containers in which an image is looked into. What the engine says of itself, without being asked, comes as a
//! stream of [`Change`]s, which decide nothing.

mod about;
mod attachments;
mod availability;
mod client;
mod containers;
mod contents;
mod cover;
mod definitions;
mod ended;
mod events;
mod exposed;
mod images;
mod interference;
pub(super) mod joined;
mod last_words;
mod lookup;
mod mailbox;
mod networks;
mod own_container;
mod owner;
mod path;
mod podman;
mod publishers;
mod request;
mod roll_out;
mod stop;
mod tags;
mod variables;

pub use about::Versions;
pub use client::{API_OLDEST, CALL_LIMIT, Engine, EngineError};
pub use containers::{Container, Network, ProjectContainers};
pub use events::{Change, HEARTBEAT};
pub(super) use exposed::tcp_ports;
pub use images::IMAGE_PERIOD;
pub use lookup::LOOKUP_LABEL;
pub use own_container::OwnContainer;
pub(super) use publishers::{PublishedPort, Publisher};
pub use tags::{TaggedImage, keep_reference, verified_reference};
