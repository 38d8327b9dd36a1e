//! undrift's binary against a real engine.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod after_repair;
mod attachments;
mod base_images;
mod bind_mount;
mod build_check;
mod builds;
mod cache;
mod churn;
mod compose_binaries;
mod compose_files;
mod configuration;
mod content;
mod contract;
mod daemon;
mod dead_mount;
mod each;
mod faults;
#[path = "../support/faulty_wire.rs"]
#[expect(dead_code, reason = "each of the crates that share it uses another part of it")]
mod faulty_wire;
mod gate;
mod hanging;
mod host_network;
mod incident;
mod kept_images;
mod language_models;
mod last_words;
mod layers;
mod manual_changes;
mod mounts;
mod namespaces;
mod obstacles;
mod order;
mod other_engine;
mod ownership;
mod partial_answers;
mod ports;
mod processes;
mod providers;
mod pulls;
mod rate;
mod recreate;
mod replicas;
mod restraint;
mod revision;
mod route_verdicts;
mod routes;
mod secrets;
mod slow_engine;
mod source_drift;
#[path = "../support/stranger.rs"]
#[expect(dead_code, reason = "each of the crates that share it reads another part of it")]
mod stranger;
mod support;
mod tampered_state;
mod tmpfs;
mod trail;
mod undone;
mod unreadable;
mod upgrade;
mod versions;
mod volumes;
mod waiting;
