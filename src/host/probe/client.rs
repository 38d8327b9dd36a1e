//! One HTTP request, and the words for how it ended.

use std::{error::Error as _, io, sync::Arc, sync::OnceLock, time::Instant};

use reqwest::{
    Client, Method, RequestBuilder, Url,
    header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE},
    redirect,
};

use super::secret::{Credentials, Env};
use crate::{
    api::{Answer, Duration, Fact, RouteSpec},
    host::ms_since,
};

/// How undrift calls itself.
const USER_AGENT: &str = concat!("undrift/", env!("CARGO_PKG_VERSION"));

/// Asks routes.
#[derive(Debug)]
pub struct Prober {
    http: Client,
    /// Built at the first https URL: loading the host's root certificates takes 20 ms.
    https: OnceLock<Option<Client>>,
    env: Env,
}

/// The HTTP client cannot be built on this host.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the HTTP client: {0}")]
pub struct BuildError(String);

/// One request.
pub(super) struct Ask<'a> {
    pub(super) route: &'a RouteSpec,
    pub(super) url: &'a Url,
    pub(super) credentials: Option<&'a Credentials>,
}

impl Prober {
    /// A prober that reads secrets from undrift's own environment.
    ///
    /// # Errors
    /// Where the HTTP client cannot be built.
    pub fn new() -> Result<Self, BuildError> {
        let http = without_tls()?.build();
        Ok(Self {
            http: http.map_err(|error| BuildError(error.to_string()))?,
            https: OnceLock::new(),
            env: |name| std::env::var_os(name),
        })
    }

    pub(super) const fn env(&self) -> Env {
        self.env
    }

    /// One request. Its answer's body is not read.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Fact<Answer> {
        let request = match self.request(&ask) {
            Ok(request) => request,
            Err(reason) => return Fact::unknown(reason),
        };
        let began = Instant::now();
        let answer = match request.send().await {
            Ok(response) => Fact::Known(Answer::Status {
                code: response.status().as_u16(),
                challenge: response.headers().contains_key(WWW_AUTHENTICATE),
            }),
            // The words of reqwest's builder may hold what was to be sent.
            Err(error) if error.is_builder() => Fact::unknown("the request cannot be put into HTTP"),
            Err(error) => Fact::Known(Answer::None(words(&error.without_url(), ask.route.timeout))),
        };
        tracing::debug!(
            method = ask.route.method,
            url = %without_secrets(ask.url),
            credentials = ask.credentials.is_some(),
            status = answer.known().and_then(Answer::status),
            ms = ms_since(began),
            "route asked"
        );
        answer
    }

    fn request(&self, ask: &Ask<'_>) -> Result<RequestBuilder, String> {
        let method = Method::from_bytes(ask.route.method.as_bytes())
            .map_err(|_| format!("{:?} is not an HTTP method", ask.route.method))?;
        let request = self
            .client(ask.url)?
            .request(method, ask.url.clone())
            .headers(headers(ask.route)?)
            .timeout(ask.route.timeout.get());
        Ok(match ask.credentials {
            None => request,
            // Both mark the header as sensitive: it is not printed.
            Some(Credentials::Basic { username, password }) => {
                request.basic_auth(username, Some(password.expose()))
            }
            Some(Credentials::Bearer(token)) => request.bearer_auth(token.expose()),
        })
    }

    fn client(&self, url: &Url) -> Result<&Client, String> {
        if url.scheme() != "https" {
            return Ok(&self.http);
        }
        let https = self.https.get_or_init(|| {
            // Fails only where a provider is installed already, which then serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            builder().build().ok()
        });
        https.as_ref().ok_or_else(|| "this host's root certificates cannot be loaded".to_owned())
    }

    /// A prober with another environment.
    #[cfg(test)]
    pub(super) fn with_env(env: Env) -> Self {
        Self { env, ..Self::new().unwrap() }
    }
}

/// A client that trusts no certificate, for addresses that need none: it costs no look at the host's roots.
pub(in crate::host) fn without_tls() -> Result<reqwest::ClientBuilder, BuildError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let no_roots = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError(error.to_string()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder().tls_backend_preconfigured(no_roots))
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(USER_AGENT)
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

/// How a request ended that got no answer.
fn words(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {timeout}");
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".into(),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "connection reset".into(),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            "no route to the host".into()
        }
        _ if error.source().is_none() => "no answer".into(),
        _ => deepest.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{Mutex, PoisonError},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        api::{Fact, RouteAnswer},
        host::probe::Place,
    };

    /// A server that answers each request with what `answer` makes of its head, and keeps the heads.
    async fn serve(answer: fn(&str) -> Option<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
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
        let place = Place { container: None, url: Ok(url) };
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
        assert_eq!(answer.plain, Fact::Known(Answer::Status { code: 401, challenge: true }));
        let codes = [&answer.control, &answer.auth, &answer.auth_control].map(|f| f.as_ref().and_then(code));
        assert_eq!(codes, [Some(401), Some(200), Some(404)]);
        assert!(!format!("{answer:?}").contains("hunter2"));
        let heads = heads.lock().unwrap();
        assert_eq!(heads.len(), 4);
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
    async fn redirects_are_answers() {
        let (base, heads) =
            serve(|_| Some("HTTP/1.1 302 There\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n")).await;
        let answer = probe(r#"{"url": "x", "expect": 302, "control": "off"}"#, format!("{base}/x")).await;
        assert_eq!((code(&answer.plain), answer.control), (Some(302), None));
        assert_eq!(heads.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn no_answer_has_words() {
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
    async fn secrets_that_no_header_may_carry_are_not_told() {
        let (base, _) = serve(|_| Some("HTTP/1.1 401 No\r\n\r\n")).await;
        let route: RouteSpec = serde_json::from_str(
            r#"{"url": "x", "expect": 401, "auth": {"bearerFrom": {"env": "T"}, "expect": 200}}"#,
        )
        .unwrap();
        let place = Place { container: None, url: Ok(base) };
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
        assert!(prober.client(&Url::parse("https://localhost/").unwrap()).is_ok());
    }
}
