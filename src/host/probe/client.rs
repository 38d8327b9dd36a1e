//! One HTTP request, and its answer.

use std::{sync::OnceLock, time::Instant};

use reqwest::{
    Client, Method, RequestBuilder, Response, Url,
    header::{ALLOW, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
    redirect,
};

use super::{
    pace::{Paces, retry_after},
    secret::{Credentials, Env},
    tls::{TlsClients, Trust, plain},
    words,
};
use crate::{
    api::{Answer, Fact, RouteSpec, TOO_MANY_REQUESTS, without_query_values},
    host::ms_since,
};

/// undrift's name in requests.
const USER_AGENT: &str = concat!("undrift/", env!("CARGO_PKG_VERSION"));

/// The most headers of an answer: the same limit as curl's, and more than any server sends.
const MOST_HEADERS: usize = 5000;

/// The most attempts of a request in one observation, if a server refuses it for a while.
const MOST_TRIES: usize = 3;

/// The longest header that is kept: it is evidence for a person.
const LONGEST_HEADER: usize = 300;

/// Probes routes.
#[derive(Debug)]
pub struct Prober {
    http: Client,
    http2: OnceLock<Option<Client>>,
    tls: TlsClients,
    paces: Paces,
    env: Env,
}

/// The HTTP client cannot be built on this host.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the HTTP client: {0}")]
pub struct BuildError(pub(super) String);

/// One request.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) route: &'a RouteSpec,
    pub(super) trust: &'a Trust,
    pub(super) method: &'a str,
    pub(super) url: &'a Url,
    pub(super) credentials: Option<&'a Credentials>,
}

impl Prober {
    /// A prober that reads secrets from undrift's own environment.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new() -> Result<Self, BuildError> {
        let http = plain(false)?.build();
        Ok(Self {
            http: http.map_err(|error| BuildError(error.to_string()))?,
            http2: OnceLock::new(),
            tls: TlsClients::default(),
            paces: Paces::default(),
            env: |name| std::env::var_os(name),
        })
    }

    pub(super) const fn env(&self) -> Env {
        self.env
    }

    /// One request, at the pace that its server allows. The body of the answer is not read.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Fact<Answer> {
        self.ask_for_response(ask).await.0
    }

    /// The same with the response, if there is one that the server does not refuse for a while: its body may still be read.
    pub(super) async fn ask_for_response(&self, ask: Ask<'_>) -> (Fact<Answer>, Option<Response>) {
        if expects_429(ask.route) {
            return self.send(ask).await;
        }
        let pace = self.paces.of(ask.url);
        for _ in 0..MOST_TRIES {
            let began = match pace.slot().await {
                Ok(began) => began,
                Err(again_at) => return (Fact::Known(Answer::Limited { again_at }), None),
            };
            let (answer, response) = self.send(ask).await;
            if answer.known().and_then(Answer::status) != Some(TOO_MANY_REQUESTS) {
                pace.accepted();
                return (answer, response);
            }
            pace.refused(began, response.as_ref().and_then(pause));
        }
        (Fact::Known(Answer::Limited { again_at: pace.opens_at() }), None)
    }

    /// One request at once. Returns its answer, and the response that it is of.
    async fn send(&self, ask: Ask<'_>) -> (Fact<Answer>, Option<Response>) {
        let request = match self.request(ask) {
            Ok(request) => request,
            Err(reason) => return (Fact::unknown(reason), None),
        };
        let began = Instant::now();
        let (answer, response) = match request.send().await {
            Ok(response) => (Fact::Known(status(&response, ask.url)), Some(response)),
            // The message of reqwest's builder may contain what was to be sent.
            Err(error) if error.is_builder() => (Fact::unknown("the request cannot be put into HTTP"), None),
            Err(error) => {
                let failed = words::failed(&error.without_url(), ask.route.timeout, ask.trust.http2);
                (Fact::Known(failed), None)
            }
        };
        tracing::debug!(
            method = ask.method,
            url = %without_secrets(ask.url),
            credentials = ask.credentials.is_some(),
            status = answer.known().and_then(Answer::status),
            ms = ms_since(began),
            "route asked"
        );
        (answer, response)
    }

    fn request(&self, ask: Ask<'_>) -> Result<RequestBuilder, String> {
        let method = Method::from_bytes(ask.method.as_bytes())
            .map_err(|_| format!("{:?} is not an HTTP method", ask.method))?;
        let mut headers = headers(ask.route)?;
        let url = by_name(ask, &mut headers)?;
        let client = self.client(ask.trust, ask.url)?;
        let request = client.request(method, url).headers(headers).timeout(ask.route.timeout.get());
        Ok(match ask.credentials {
            None => request,
            // Both mark the header as sensitive: it is never printed.
            Some(Credentials::Basic { username, password }) => {
                request.basic_auth(username, Some(password.expose()))
            }
            Some(Credentials::Bearer(token)) => request.bearer_auth(token.expose()),
        })
    }

    fn client(&self, trust: &Trust, url: &Url) -> Result<Client, String> {
        match (url.scheme(), trust.http2) {
            ("https", _) => self.tls.of(trust, url),
            (_, false) => Ok(self.http.clone()),
            (_, true) => {
                let client = self.http2.get_or_init(|| plain(true).ok()?.build().ok());
                client.clone().ok_or_else(|| "the HTTP client cannot be built".to_owned())
            }
        }
    }

    /// A prober with another environment.
    #[cfg(test)]
    pub(super) fn with_env(env: Env) -> Self {
        Self { env, ..Self::new().unwrap() }
    }
}

/// Whether the route declares 429 as its answer: then it is an answer like any other.
fn expects_429(route: &RouteSpec) -> bool {
    let with_credentials = route.auth.iter().flat_map(|auth| &auth.expect);
    route
        .expect
        .iter()
        .chain(&route.absent)
        .chain(with_credentials)
        .any(|status| *status == TOO_MANY_REQUESTS)
}

/// The URL with the name that the server's certificate must be for. The `Host` header stays that of the declared URL.
fn by_name(ask: Ask<'_>, headers: &mut HeaderMap) -> Result<Url, String> {
    let mut url = ask.url.clone();
    let Some(name) = ask.trust.server_name.as_deref().filter(|_| url.scheme() == "https") else {
        return Ok(url);
    };
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    if let (false, Ok(host)) = (headers.contains_key(HOST), HeaderValue::from_str(&host)) {
        headers.insert(HOST, host);
    }
    url.set_host(Some(name)).map_err(|_| format!("{name:?} is not the name of a server"))?;
    Ok(url)
}

/// The common settings of all clients. They parse heads as leniently as curl: only the status counts.
pub(super) fn builder(http2: bool) -> reqwest::ClientBuilder {
    let builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(USER_AGENT)
        .http1_max_headers(MOST_HEADERS)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true);
    if http2 { builder.http2_prior_knowledge() } else { builder.http1_only() }
}

fn status(response: &Response, asked: &Url) -> Answer {
    let headers = response.headers();
    Answer::Status {
        code: response.status().as_u16(),
        challenge: headers.contains_key(WWW_AUTHENTICATE),
        allow: all_of(headers, &ALLOW),
        location: headers.get(LOCATION).and_then(|location| on_the_same_server(location, asked)),
    }
}

/// The pause that a 429 requests.
fn pause(response: &Response) -> Option<std::time::Duration> {
    retry_after(response.headers().get(RETRY_AFTER)?.to_str().ok()?, chrono::Utc::now())
}

/// A list that may span several headers.
fn all_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let list: String = values.join(", ").chars().take(LONGEST_HEADER).collect();
    (!values.is_empty()).then_some(list)
}

/// The path of a location, if it is on the server that named it. A query may hold a secret, and another server is irrelevant.
fn on_the_same_server(location: &HeaderValue, asked: &Url) -> Option<String> {
    let location = asked.join(location.to_str().ok()?).ok()?;
    let is_same = location.host_str() == asked.host_str();
    (is_same && location.path().len() <= LONGEST_HEADER)
        .then(|| without_query_values(location.path()).into_owned())
}

/// The URL for the log. A query may hold a token, and the part before the `@` a password.
fn without_secrets(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{}{query}", url.scheme(), url.path())
}

fn headers(route: &RouteSpec) -> Result<HeaderMap, String> {
    let header = |(name, value): (&String, &String)| {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        parsed.ok_or_else(|| format!("the header {name:?} cannot be sent"))
    };
    route.headers.iter().map(header).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        collections::BTreeSet,
        path::Path,
        sync::{Arc, Mutex, PoisonError},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        api::{Fact, RouteAnswer},
        host::probe::ProbeTarget,
    };

    /// A server that answers each request with the result of `answer` for its head, and keeps the heads.
    pub(in crate::host::probe) async fn serve(
        answer: fn(&str) -> Option<&'static str>,
    ) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let reply = answer(&head);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(head);
                match reply {
                    Some(reply) => drop(stream.write_all(reply.as_bytes()).await),
                    None => std::mem::forget(stream),
                }
            }
        });
        (base, heads)
    }

    async fn probe(route: &str, url: String) -> RouteAnswer {
        let route: RouteSpec = serde_json::from_str(route).unwrap();
        let prober = Prober::with_env(|name| (name == "PASSWORD").then(|| "hunter2".into()));
        let place = ProbeTarget::fixed(url);
        prober.route(&route, &[place], Path::new("/")).await.answers.remove(0)
    }

    const WITH_PASSWORD: &str = r#"{"url": "x", "expect": 401, "timeout": "300ms",
        "auth": {"basic": {"username": "ops", "passwordFrom": {"env": "PASSWORD"}}, "expect": 200}}"#;

    fn code(fact: &Fact<Answer>) -> Option<u16> {
        fact.known().and_then(Answer::status)
    }

    #[tokio::test]
    async fn a_blanket_401_is_settled_with_credentials() {
        let (base, heads) = serve(|head| {
            let known = head.starts_with("GET /api/workflow ");
            Some(match (head.contains("authorization: Basic b3BzOmh1bnRlcjI="), known) {
                (false, _) => "HTTP/1.1 401 No\r\nwww-authenticate: Basic\r\ncontent-length: 9999\r\n\r\n",
                (true, true) => "HTTP/1.1 200 Yes\r\n\r\n",
                (true, false) => "HTTP/1.1 404 No\r\n\r\n",
            })
        })
        .await;
        let answer = probe(WITH_PASSWORD, format!("{base}/api/workflow")).await;
        let challenged = Answer::Status { code: 401, challenge: true, allow: None, location: None };
        assert_eq!(answer.plain, Fact::Known(challenged));
        let codes = [&answer.control, &answer.auth, &answer.auth_control].map(|f| f.as_ref().and_then(code));
        assert_eq!(codes, [Some(401), Some(200), Some(404)]);
        assert!(!format!("{answer:?}").contains("hunter2"));
        let heads = heads.lock().unwrap();
        let with_password = heads.iter().filter(|head| head.contains("authorization: ")).count();
        assert_eq!(
            (heads.len(), with_password),
            (5, 2),
            "of the controls only the first, and only where it is needed"
        );
        assert!(
            heads.iter().all(|head| head.contains(&format!("user-agent: {USER_AGENT}\r\n"))),
            "{heads:?}"
        );
    }

    #[tokio::test]
    async fn the_method_and_the_headers_of_the_route_are_those_of_each_request() {
        let (base, heads) = serve(|head| {
            let known = head.starts_with("PATCH /x ");
            Some(if known { "HTTP/1.1 204 Yes\r\n\r\n" } else { "HTTP/1.1 404 No\r\n\r\n" })
        })
        .await;
        let route = r#"{"url": "x", "method": "PATCH", "expect": 204,
            "headers": {"Accept": "application/vnd.shop+json", "X-Tenant": "7"}}"#;
        let answer = probe(route, format!("{base}/x")).await;
        assert_eq!((code(&answer.plain), answer.control.as_ref().and_then(code)), (Some(204), Some(404)));
        let heads = heads.lock().unwrap();
        assert_eq!(heads.len(), 2);
        for head in heads.iter() {
            assert!(head.starts_with("PATCH /"), "{head}");
            assert!(head.contains("\r\naccept: application/vnd.shop+json\r\n"), "{head}");
            assert!(head.contains("\r\nx-tenant: 7\r\n"), "{head}");
        }
    }

    #[tokio::test]
    async fn a_bearer_token_is_sent_with_those_requests_that_are_to_have_it() {
        let (base, heads) = serve(|head| {
            let known = head.starts_with("GET /x ");
            Some(match (head.contains("\r\nauthorization: Bearer hunter2\r\n"), known) {
                (false, _) => "HTTP/1.1 401 No\r\n\r\n",
                (true, true) => "HTTP/1.1 200 Yes\r\n\r\n",
                (true, false) => "HTTP/1.1 404 No\r\n\r\n",
            })
        })
        .await;
        let route =
            r#"{"url": "x", "expect": 401, "auth": {"bearerFrom": {"env": "PASSWORD"}, "expect": 200}}"#;
        let answer = probe(route, format!("{base}/x")).await;
        let codes = [&answer.control, &answer.auth, &answer.auth_control].map(|f| f.as_ref().and_then(code));
        assert_eq!((code(&answer.plain), codes), (Some(401), [Some(401), Some(200), Some(404)]));
        let heads = heads.lock().unwrap();
        let with_token = heads.iter().filter(|head| head.contains("authorization: ")).count();
        assert_eq!((heads.len(), with_token), (4, 2), "{heads:?}");
        assert!(!format!("{answer:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn heads_that_curl_reads_are_read() {
        static MANY: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            let many: Vec<String> = (0..300).map(|number| format!("x-{number}: y\r\n")).collect();
            let many = many.concat();
            format!(
                "HTTP/1.1 401 No\r\nServer : old\r\nX-Folded: a\r\n b\r\n{many}WWW-Authenticate: Basic\r\n\r\n"
            )
        });
        let (base, _) = serve(|_| Some(&MANY)).await;
        let answer = probe(r#"{"url": "x", "expect": 401, "control": "off"}"#, format!("{base}/x")).await;
        let challenged = Answer::Status { code: 401, challenge: true, allow: None, location: None };
        assert_eq!(answer.plain, Fact::Known(challenged));
    }

    #[tokio::test]
    async fn a_rate_limited_server_is_probed_again_after_its_retry_after() {
        static ASKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let (base, heads) = serve(|head| {
            // Each path for the first time, however long the machine takes to request the others.
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let is_early = ASKED.lock().unwrap().insert(path);
            Some(match (is_early, head.contains("/api/workflow ")) {
                (true, _) => "HTTP/1.1 429 Later\r\nretry-after: 1\r\n\r\n",
                (_, true) => "HTTP/1.1 401 No\r\n\r\n",
                (_, false) => "HTTP/1.1 404 No\r\n\r\n",
            })
        })
        .await;
        let began = Instant::now();
        let answer = probe(r#"{"url": "x", "expect": 401}"#, format!("{base}/api/workflow")).await;
        let codes = [&answer.control, &answer.shape].map(|fact| fact.as_ref().and_then(code));
        assert_eq!((code(&answer.plain), codes), (Some(401), [Some(404); 2]));
        assert_eq!(heads.lock().unwrap().len(), 6, "each of the three was refused once");
        // A second, and two gaps of a quarter between three requests.
        assert!(began.elapsed() >= std::time::Duration::from_millis(1500), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_server_with_a_long_retry_after_is_not_probed_until_then() {
        let (base, heads) = serve(|_| Some("HTTP/1.1 429 Later\r\nretry-after: 600\r\n\r\n")).await;
        let route: RouteSpec = serde_json::from_str(r#"{"url": "x", "expect": 401}"#).unwrap();
        let (prober, place) = (Prober::new().unwrap(), ProbeTarget::fixed(format!("{base}/x")));
        for _ in 0..5 {
            let answer =
                prober.route(&route, std::slice::from_ref(&place), Path::new("/")).await.answers.remove(0);
            let until = answer.limited_until().unwrap() - chrono::Utc::now();
            assert!((500..=600).contains(&until.num_seconds()), "{answer:?}");
        }
        // The control is sent along with the route, unless the refusal of one is known before the other has begun.
        let asked = heads.lock().unwrap().len();
        assert!((1..=2).contains(&asked), "the first look asked, and nothing after it: {asked}");
    }

    #[tokio::test]
    async fn head_is_asked_again_by_get_where_it_is_not_for_this_path() {
        let (base, heads) = serve(|head| {
            let known = head.contains(" /api/workflow ");
            Some(match (head.starts_with("GET "), known) {
                (true, true) => "HTTP/1.1 401 No\r\n\r\n",
                (false, true) => "HTTP/1.1 405 No\r\nallow: GET\r\n\r\n",
                _ => "HTTP/1.1 404 No\r\n\r\n",
            })
        })
        .await;
        let head = r#"{"url": "x", "expect": 401, "method": "HEAD"}"#;
        let answer = probe(head, format!("{base}/api/workflow")).await;
        assert_eq!((code(&answer.plain), answer.head), (Some(401), Some(405)));
        assert_eq!(heads.lock().unwrap().len(), 6, "three by HEAD and three by GET");
        let gone = probe(head, format!("{base}/api/nothing")).await;
        assert_eq!((code(&gone.plain), gone.head), (Some(404), None), "both say the same");
    }

    #[tokio::test]
    async fn what_nothing_else_settles_is_asked_by_another_method_without_credentials() {
        let (base, heads) = serve(|head| {
            Some(match (head.starts_with("OPTIONS "), head.contains(" /api/workflow ")) {
                (true, true) => "HTTP/1.1 401 No\r\nallow: GET,HEAD\r\n\r\n",
                _ => "HTTP/1.1 401 No\r\n\r\n",
            })
        })
        .await;
        let answer = probe(r#"{"url": "x", "expect": 401}"#, format!("{base}/api/workflow")).await;
        let other = answer.other_method.as_ref().expect("nothing else settles it");
        assert_eq!((other.method.as_str(), other.controls.len()), ("OPTIONS", 2));
        let allow =
            Answer::Status { code: 401, challenge: false, allow: Some("GET,HEAD".into()), location: None };
        assert_eq!(other.route, Fact::Known(allow));
        assert_eq!(heads.lock().unwrap().len(), 6);
        let answer =
            probe(r#"{"url": "x", "expect": 401, "method": "OPTIONS"}"#, format!("{base}/api/workflow"))
                .await;
        assert_eq!(answer.other_method.unwrap().method, "UNDRIFT-NO-METHOD");
    }

    #[tokio::test]
    async fn credentials_are_kept_from_plain_http_to_another_host_where_that_is_declared() {
        let route = |allow: &str| {
            let auth = format!(r#""auth": {{"bearerFrom": {{"env": "PASSWORD"}}, "expect": 200{allow}}}"#);
            format!(r#"{{"url": "x", "expect": 401, "timeout": "300ms", "control": "off", {auth}}}"#)
        };
        // No server answers at an address that is reserved for documentation (RFC 5737).
        let elsewhere = || "http://192.0.2.1:9/x".to_owned();
        let kept = probe(&route(r#", "allowPlainHttp": false"#), elsewhere()).await;
        let why = kept.auth.as_ref().and_then(Fact::why_unknown).unwrap_or_default();
        assert!(why.contains("`auth.allowPlainHttp: false`") && !kept.in_the_clear, "{kept:?}");
        assert!(probe(&route(""), elsewhere()).await.in_the_clear, "as before, and remarked on");
        let (base, _) = serve(|_| Some("HTTP/1.1 401 No\r\n\r\n")).await;
        let here = probe(&route(r#", "allowPlainHttp": false"#), base).await;
        assert_eq!((here.auth.as_ref().and_then(code), here.in_the_clear), (Some(401), false));
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let (base, heads) =
            serve(|_| Some("HTTP/1.1 302 There\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n")).await;
        let answer = probe(r#"{"url": "x", "expect": 302, "control": "off"}"#, format!("{base}/x")).await;
        assert_eq!((code(&answer.plain), answer.control), (Some(302), None));
        assert_eq!(heads.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_missing_answer_has_a_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = format!("http://{}/x", listener.local_addr().unwrap());
        drop(listener);
        let refused = probe(WITH_PASSWORD, closed).await;
        assert_eq!(refused.plain, Fact::Known(Answer::None("connection refused".into())));
        assert_eq!(refused.auth_control, None);

        let (silent, _) = serve(|_| None).await;
        let silent = probe(WITH_PASSWORD, silent).await;
        assert_eq!(silent.plain, Fact::Known(Answer::None("no answer within 300ms".into())));

        let (hasty, _) = serve(|_| Some("")).await;
        let hasty = probe(WITH_PASSWORD, hasty).await;
        assert!(matches!(&hasty.plain, Fact::Known(Answer::None(words)) if !words.is_empty()), "{hasty:?}");
    }

    #[tokio::test]
    async fn a_missing_secret_leaves_the_rest_known() {
        let (base, _) = serve(|_| Some("HTTP/1.1 401 No\r\n\r\n")).await;
        let answer = probe(&WITH_PASSWORD.replace("PASSWORD", "UNSET"), base).await;
        assert_eq!(code(&answer.plain), Some(401));
        assert_eq!(answer.auth, Some(Fact::unknown("the environment variable UNSET is not set")));
        assert_eq!(answer.auth_control, None);
    }

    #[tokio::test]
    async fn a_secret_that_no_header_may_carry_is_not_shown() {
        let (base, _) = serve(|_| Some("HTTP/1.1 401 No\r\n\r\n")).await;
        let route: RouteSpec = serde_json::from_str(
            r#"{"url": "x", "expect": 401, "auth": {"bearerFrom": {"env": "T"}, "expect": 200}}"#,
        )
        .unwrap();
        let place = ProbeTarget::fixed(base);
        let prober = Prober::with_env(|_| Some("hunter2\n".into()));
        let answer = prober.route(&route, &[place], Path::new("/")).await.answers.remove(0);
        let reason = answer.auth.as_ref().and_then(|auth| auth.why_unknown().map(str::to_owned));
        assert_eq!(reason.as_deref(), Some("the request cannot be put into HTTP"), "{answer:?}");
    }

    #[test]
    fn a_url_is_logged_without_its_secrets() {
        let url = |text| without_secrets(&Url::parse(text).unwrap());
        assert_eq!(url("http://ops:hunter2@[::1]:3000/a?token=hunter2#hunter2"), "http://[::1]:3000/a?…");
        assert_eq!(url("https://example.com/"), "https://example.com/");
    }

    #[test]
    fn the_client_for_https_can_be_built() {
        let prober = Prober::new().unwrap();
        assert!(prober.client(&Trust::default(), &Url::parse("https://localhost/").unwrap()).is_ok());
    }
}
