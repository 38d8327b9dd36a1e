//! Routes: what each replica answers, with and without credentials, and what it answers for a path that cannot exist.
//!
//! No redirect is followed, no proxy is used, no body is read, no connection is used twice: the status of exactly
//! that replica is what is wanted.

mod client;
mod secret;
mod target;

use std::path::Path;

use client::Ask;
pub(super) use client::without_tls;
pub use client::{BuildError, Prober};
use secret::Credentials;
pub use target::{Place, replica_url};

use crate::{
    api::{
        Answer, Control, Fact, RouteAnswer, RouteObservation, RouteSpec, speaks_of_its_path,
        without_query_values,
    },
    host::probe::target::{control_url, without_user},
};

impl Prober {
    /// One route at each of these places, all at once.
    ///
    /// Relative paths of secrets start at `secrets_from`.
    pub async fn route(&self, route: &RouteSpec, places: &[Place], secrets_from: &Path) -> RouteObservation {
        if places.is_empty() {
            return RouteObservation { answers: Vec::new() };
        }
        let credentials = match &route.auth {
            None => None,
            Some(auth) => Some(secret::read(auth, secrets_from, self.env()).await),
        };
        let answers = places.iter().map(|place| self.answer(route, place, credentials.as_ref()));
        RouteObservation { answers: futures_util::future::join_all(answers).await }
    }

    async fn answer(
        &self,
        route: &RouteSpec,
        place: &Place,
        credentials: Option<&Result<Credentials, String>>,
    ) -> RouteAnswer {
        let url = match place.url.as_deref().map(without_user) {
            Ok(Ok(url)) => url,
            Ok(Err(reason)) => return unknown(route, place, &reason),
            Err(reason) => return unknown(route, place, reason),
        };
        let control_url = control_url(&url, &route.control);
        let ask = |url, credentials| self.ask(Ask { route, url, credentials });
        let ask_control = async |credentials| match &control_url {
            None => None,
            Some(url) => Some(ask(url, credentials).await),
        };
        let with_credentials = async {
            match credentials {
                None => None,
                Some(Err(reason)) => Some(Fact::unknown(reason)),
                Some(Ok(credentials)) => Some(ask(&url, Some(credentials)).await),
            }
        };
        let (plain, control, auth) = tokio::join!(ask(&url, None), ask_control(None), with_credentials);
        let auth_control = match credentials {
            Some(Ok(credentials)) if needs_auth_control(route, &plain, control.as_ref()) => {
                ask_control(Some(credentials)).await
            }
            _ => None,
        };
        RouteAnswer {
            container: place.container.clone(),
            url: without_query_values(url.as_str()).into_owned(),
            plain,
            control,
            auth,
            auth_control,
        }
    }
}

/// Whether only a control request with credentials can settle it: the plain control cannot be told from the
/// route, or the route is not as declared. Without any answer there is nothing to settle.
fn needs_auth_control(route: &RouteSpec, plain: &Fact<Answer>, control: Option<&Fact<Answer>>) -> bool {
    let status = |fact: &Fact<Answer>| fact.known().and_then(Answer::status);
    let Some(plain) = status(plain) else { return false };
    let as_declared = route.expect.contains(&plain);
    let told_apart = control.and_then(status).is_none_or(|control| {
        control != plain && !route.expect.contains(&control) && speaks_of_its_path(control)
    });
    !as_declared || !told_apart
}

/// Nothing was asked; the URL is blank.
fn unknown(route: &RouteSpec, place: &Place, reason: &str) -> RouteAnswer {
    RouteAnswer {
        container: place.container.clone(),
        url: String::new(),
        plain: Fact::unknown(reason),
        control: (route.control != Control::Off).then(|| Fact::unknown(reason)),
        auth: route.auth.is_some().then(|| Fact::unknown(reason)),
        auth_control: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Fact<Answer> {
        Fact::Known(Answer::Status { code, challenge: false })
    }

    fn route() -> RouteSpec {
        serde_json::from_str(r#"{"path": "/api/workflow", "port": 3000, "expect": 401}"#).unwrap()
    }

    #[test]
    fn credentials_settle_what_the_plain_control_cannot() {
        for (plain, control, needed, why) in [
            (status(401), Some(status(404)), false, "told apart, as declared"),
            (status(401), Some(status(401)), true, "the same answer"),
            (status(404), Some(status(401)), true, "the control answers what the route should"),
            (status(404), Some(status(404)), true, "absent, perhaps only without credentials"),
            (status(200), Some(status(404)), true, "not as declared"),
            (status(401), Some(status(503)), true, "the control says nothing of its path"),
            (status(401), None, false, "the control is off"),
            (Fact::Known(Answer::None("refused".into())), Some(status(401)), false, "no answer"),
            (Fact::unknown("no address"), None, false, "not asked"),
        ] {
            assert_eq!(needs_auth_control(&route(), &plain, control.as_ref()), needed, "{why}");
        }
    }
}
