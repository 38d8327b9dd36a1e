//! Routes: each replica's answers, with and without credentials, and its answers for paths that cannot exist.
//!
//! The prober follows no redirect, uses no proxy, reads no body (but that of a route that names a revision) and uses no connection twice: it
//! needs the status of exactly that replica. [`oracle`](crate::oracle) interprets the answers, and decides on further requests if they are inconclusive.

mod asked;
mod client;
mod known;
mod listener;
mod pace;
mod post;
mod revision;
mod secret;
mod sockets;
mod target;
mod tls;
mod words;

use std::path::Path;

use asked::AskedPlace;
pub use client::{BuildError, Prober};
pub use known::are_short_credentials;
pub(super) use listener::{holder, is_of, may_see, sockets_of};
pub(crate) use post::{client_for, without_answer};
pub use revision::AnsweredRevision;
pub(super) use sockets::{BoundSocket, Transport, are_in_each_others_way, bound};
pub use target::{ProbeTarget, ReplicaEndpoint, replica_url};
use target::{controls, without_user};
use tls::Trust;
pub(super) use tls::without_tls;

use crate::api::{Answer, Auth, Control, Fact, RouteAnswer, RouteObservation, RouteSpec};

impl Prober {
    /// One route at each of these targets, all at once.
    ///
    /// Relative paths of secrets and certificates start at `files_from`.
    pub async fn route(
        &self,
        route: &RouteSpec,
        places: &[ProbeTarget],
        files_from: &Path,
    ) -> RouteObservation {
        if places.is_empty() {
            return RouteObservation { answers: Vec::new() };
        }
        let credentials = match &route.auth {
            None => None,
            Some(auth) => Some(secret::read(auth, files_from, self.env()).await),
        };
        let trust = Trust::read(route.http == Some(2), route.tls.as_ref(), files_from).await;
        let answers = places.iter().map(async |place| {
            let (url, trust) = match (place.url.as_deref().map(without_user), trust.as_ref()) {
                (Ok(Ok(url)), Ok(trust)) => (url, trust),
                (Ok(Err(reason)), _) => return unknown(route, place, &reason),
                (Err(reason), _) | (_, Err(reason)) => return unknown(route, place, reason),
            };
            let (controls, credentials) = (controls(&url, &route.control), credentials.as_ref());
            let asked = AskedPlace { prober: self, route, place, url: &url, trust, credentials, controls };
            // A future of many requests, one for each target.
            Box::pin(asked.answer_of_the_container()).await
        });
        RouteObservation { answers: futures_util::future::join_all(answers).await }
    }

    /// Why these credentials cannot be read, or sent in any request; `None` if they can.
    pub async fn unusable(&self, auth: &Auth, files_from: &Path) -> Option<String> {
        let read = secret::read(auth, files_from, self.env()).await;
        read.map_or_else(Some, |credentials| credentials.unsendable())
    }

    /// Why the certificates that a route is to trust cannot be used; `None` if they can, or none are declared.
    pub async fn untrustable(&self, route: &RouteSpec, files_from: &Path) -> Option<String> {
        let trust = Trust::read(false, route.tls.as_ref(), files_from).await;
        trust.map_or_else(Some, |trust| trust.flaw())
    }
}

/// No request was sent; the URL is blank.
fn unknown(route: &RouteSpec, place: &ProbeTarget, reason: &str) -> RouteAnswer {
    unasked(route, place, &Fact::unknown(reason))
}

/// The same if something is known without a request.
fn unasked(route: &RouteSpec, place: &ProbeTarget, answer: &Fact<Answer>) -> RouteAnswer {
    RouteAnswer {
        container: place.container.clone(),
        url: String::new(),
        plain: answer.clone(),
        control: (route.control != Control::Off).then(|| answer.clone()),
        shape: None,
        auth: route.auth.is_some().then(|| answer.clone()),
        auth_control: None,
        other_method: None,
        in_the_clear: false,
        head: None,
    }
}
