//! The Docker engine: requests to it, and the few changes that undrift makes through it.
//!
//! Everything that really changes containers goes through `docker compose`. Here are only the requests, undrift's own tags, the
//! removal of leftovers from a killed recreate or two `up` at once, and the short-lived containers for looking into an image.
//! The engine's own events come as a stream of [`Change`]s, which decide nothing.

mod about;
mod archive;
mod attachments;
mod availability;
mod check_images;
mod client;
mod containers;
mod content_watch;
mod contents;
mod cover;
mod definitions;
mod ended;
mod events;
mod exposed;
mod image_question;
mod images;
mod interference;
pub(super) mod joined;
mod last_words;
mod lookup;
mod mailbox;
mod networks;
mod own_container;
pub(super) mod owner;
mod path;
mod podman;
mod publishers;
mod request;
mod roll_out;
mod settings;
mod stop;
mod tags;
mod text;
mod variables;

pub use about::Versions;
pub(super) use check_images::{CheckName, ImageDetails};
pub use client::{API_OLDEST, CALL_LIMIT, Engine, EngineError};
pub use containers::{Bind, Container, Network, ProjectContainers};
pub use events::{Change, HEARTBEAT};
pub(super) use exposed::tcp_ports;
pub(super) use image_question::{ContentQuestion, ImageModule, ImageQuestion};
pub use images::IMAGE_PERIOD;
pub use lookup::LOOKUP_LABEL;
pub use own_container::OwnContainer;
pub(super) use publishers::{PublishedPort, Publisher};
pub use settings::Setting;
pub use tags::{TaggedImage, keep_reference, verified_reference};
pub use text::{FileText, FoundFile};
