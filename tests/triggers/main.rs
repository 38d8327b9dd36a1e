//! What wakes undrift: the real engine's events and images, and servers that break the rules.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod events;
mod faults;
mod images;
mod proxy;
#[path = "../support/mod.rs"]
mod support;

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _};
use support::{BASE, docker, unique};
use undrift::host::{
    endpoint::Endpoint,
    engine::{Change, Engine},
};

/// How long anything may take that must come. Other builds may share the machine.
const LIMIT: Duration = Duration::from_secs(60);

fn engine() -> Engine {
    support::engine();
    Engine::new(Endpoint::Unix(support::socket()))
}

/// A stream of changes that a test reads.
struct Changes(Pin<Box<dyn Stream<Item = Change> + Send>>);

impl Changes {
    fn new(changes: impl Stream<Item = Change> + Send + 'static) -> Self {
        Self(Box::pin(changes))
    }

    /// The next change, whatever it is.
    async fn next(&mut self) -> Change {
        let next = tokio::time::timeout(LIMIT, self.0.next()).await;
        next.expect("a change comes").expect("the stream never ends")
    }

    /// Reads up to this change, and returns what came before it. Other tests change other things meanwhile.
    async fn until(&mut self, marker: &Change) -> Vec<Change> {
        let mut before = Vec::new();
        loop {
            let next = tokio::time::timeout(LIMIT, self.0.next()).await;
            let next = next.unwrap_or_else(|_| panic!("{marker:?} does not come, but {before:?}"));
            match next.expect("the stream never ends") {
                next if next == *marker => return before,
                next => before.push(next),
            }
        }
    }
}

/// A project of one container without a Compose file; removed when it is dropped.
struct Labelled {
    project: String,
    id: String,
}

impl Labelled {
    /// A container that sleeps, made with these options besides.
    fn run(prefix: &str, options: &[&str]) -> Self {
        let project = unique(prefix);
        let label = format!("com.docker.compose.project={project}");
        let run = ["run", "--detach", "--network", "none", "--name", &project, "--label", &label];
        let id = docker(&[&run, options, &[BASE, "sleep", "1000"]].concat());
        Self { project, id }
    }

    fn change(&self) -> Change {
        Change::Project(self.project.clone())
    }
}

impl Drop for Labelled {
    fn drop(&mut self) {
        quietly(&["rm", "--force", "--volumes", &self.project]);
    }
}

/// A reference, removed when it is dropped.
struct Tag(String);

impl Tag {
    fn new(image: &str, reference: String) -> Self {
        docker(&["tag", image, &reference]);
        Self(reference)
    }

    fn change(&self) -> Change {
        Change::Image(self.0.clone())
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        quietly(&["rmi", &self.0]);
    }
}

/// Waits for a condition while the runtime goes on.
async fn reaches(what: &'static str, condition: impl FnMut() -> bool + Send + 'static) {
    tokio::task::spawn_blocking(move || support::eventually(what, condition)).await.unwrap();
}

fn quietly(args: &[&str]) {
    let _ = std::process::Command::new("docker").args(args).output();
}
