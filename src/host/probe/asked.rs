//! One route at one target: its requests, in sequence and in parallel.

use reqwest::{Method, Url};

use super::{
    client::{Ask, Prober},
    listener,
    secret::Credentials,
    target::{Controls, ProbeTarget},
    tls::Trust,
};
use crate::{
    api::{Answer, Fact, OtherMethod, RouteAnswer, RouteSpec, is_this_host, without_query_values},
    oracle::{self, FollowUp},
};

/// The statuses with which a server answers HEAD if it knows the path, but not for this method.
const NOT_FOR_HEAD: [u16; 2] = [404, 405];

/// A method that changes nothing (RFC 9110), and one that does not exist, for a route that is declared with the first.
const OTHER_METHODS: [&str; 2] = ["OPTIONS", "UNDRIFT-NO-METHOD"];

/// A route, and everything needed to probe it at one target.
pub(super) struct AskedPlace<'a> {
    pub(super) prober: &'a Prober,
    pub(super) route: &'a RouteSpec,
    pub(super) place: &'a ProbeTarget,
    pub(super) url: &'a Url,
    pub(super) trust: &'a Trust,
    /// The declared ones, or why they are not available.
    pub(super) credentials: Option<&'a Result<Credentials, String>>,
    pub(super) controls: Controls,
}

impl AskedPlace<'_> {
    /// All useful requests, if the container answers.
    pub(super) async fn answer_of_the_container(&self) -> RouteAnswer {
        let Some(container) = self.place.container.as_deref().filter(|_| self.place.is_on_host_network)
        else {
            return self.answer().await;
        };
        let answer = listener::answered_by(self.url, container, self.answer()).await;
        answer.unwrap_or_else(|instead| self.unasked(&instead))
    }

    fn unasked(&self, answer: &Fact<Answer>) -> RouteAnswer {
        let url = without_query_values(self.url.as_str()).into_owned();
        RouteAnswer { url, ..super::unasked(self.route, self.place, answer) }
    }

    /// All useful requests.
    pub(super) async fn answer(&self) -> RouteAnswer {
        let mut answer = self.ask(&self.route.method).await;
        if let Some(head) = self.fell_short(&answer) {
            let by_get = self.ask(Method::GET.as_str()).await;
            let differs =
                [Some(&by_get.plain), by_get.auth.as_ref()] != [Some(&answer.plain), answer.auth.as_ref()];
            answer = RouteAnswer { head: differs.then_some(head), ..by_get };
        }
        while let Some(missing) = oracle::missing(self.route, &answer) {
            self.ask_also(missing, &mut answer).await;
        }
        answer
    }

    /// The first requests, in parallel.
    async fn ask(&self, method: &str) -> RouteAnswer {
        let kept_back = self.credentials_kept_back();
        let with_credentials = async {
            match (self.credentials, kept_back) {
                (None, _) => None,
                (Some(Err(reason)), _) => Some(Fact::unknown(reason)),
                (_, Some(reason)) => Some(Fact::unknown(reason)),
                (Some(Ok(credentials)), None) => Some(self.send(method, self.url, Some(credentials)).await),
            }
        };
        let Controls { control, shape } = &self.controls;
        let (plain, control, shape, auth) = tokio::join!(
            self.send(method, self.url, None),
            self.send_to(method, control.as_ref()),
            self.send_to(method, shape.as_ref()),
            with_credentials
        );
        let was_sent = matches!(self.credentials, Some(Ok(_))) && kept_back.is_none();
        RouteAnswer {
            container: self.place.container.clone(),
            url: without_query_values(self.url.as_str()).into_owned(),
            plain,
            control,
            shape,
            auth,
            auth_control: None,
            other_method: None,
            in_the_clear: was_sent && self.is_in_the_clear(),
            head: None,
        }
    }

    /// The requests that are only sent if the first answers are inconclusive.
    async fn ask_also(&self, missing: FollowUp, answer: &mut RouteAnswer) {
        let method = if answer.head.is_some() { Method::GET.as_str() } else { &self.route.method };
        let Controls { control, shape } = &self.controls;
        match (missing, self.credentials, control) {
            (FollowUp::ControlWithCredentials, Some(Ok(credentials)), Some(control)) => {
                answer.auth_control = Some(self.send(method, control, Some(credentials)).await);
            }
            (FollowUp::ControlWithCredentials, ..) => {
                answer.auth_control = Some(Fact::unknown("it was not asked"));
            }
            (FollowUp::OtherMethod, ..) => {
                let [first, second] = OTHER_METHODS;
                let other = if method == first { second } else { first };
                let controls = control.iter().chain(shape).map(|url| self.send(other, url, None));
                let controls = futures_util::future::join_all(controls);
                let (route, controls) = tokio::join!(self.send(other, self.url, None), controls);
                answer.other_method = Some(OtherMethod { method: other.to_owned(), route, controls });
            }
        }
    }

    async fn send_to(&self, method: &str, url: Option<&Url>) -> Option<Fact<Answer>> {
        match url {
            None => None,
            Some(url) => Some(self.send(method, url, None).await),
        }
    }

    async fn send(&self, method: &str, url: &Url, credentials: Option<&Credentials>) -> Fact<Answer> {
        self.prober.ask(Ask { route: self.route, trust: self.trust, method, url, credentials }).await
    }

    /// The status of the answer to HEAD, if it may concern the method only and not the path.
    fn fell_short(&self, answer: &RouteAnswer) -> Option<u16> {
        if self.route.method != Method::HEAD.as_str() {
            return None;
        }
        let short = |fact: Option<&Fact<Answer>>, expected: &[u16]| {
            let status = fact?.known()?.status()?;
            (NOT_FOR_HEAD.contains(&status) && !expected.contains(&status)).then_some(status)
        };
        let with_credentials = self.route.auth.as_ref();
        let with_credentials = with_credentials.and_then(|auth| short(answer.auth.as_ref(), &auth.expect));
        short(Some(&answer.plain), &self.route.expect).or(with_credentials)
    }

    /// Why the credentials are not sent, if they are not.
    fn credentials_kept_back(&self) -> Option<&'static str> {
        let is_forbidden = self.route.auth.as_ref().is_some_and(|auth| auth.allow_plain_http == Some(false));
        (is_forbidden && self.is_in_the_clear()).then_some(
            "they are not sent over plain HTTP to another host (`auth.allowPlainHttp: false`); use https",
        )
    }

    /// Whether the request crosses a network that others may listen on: it uses plain HTTP, and the server is neither a
    /// container of this engine nor on this host.
    fn is_in_the_clear(&self) -> bool {
        let is_here = is_this_host(self.url.host_str().unwrap_or_default());
        self.url.scheme() == "http" && self.place.container.is_none() && !is_here
    }
}
