//! Routes, as the manifest declares them: a request, and what it must be answered with.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Duration, ModuleType};

/// An HTTP request to a service, and the status that it must answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSpec {
    /// A folder and a pattern: one route for each entry that is there now. None where it has been expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// With `each`: names that are no entries of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// With `each`: the kind of its entries. `directory` if left out.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ModuleType>,
    /// What the route is called in reports; unique in the service. The path or the URL if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The path to ask for at each container of the service. Needs `port`; not together with `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The port that the server listens on in the container. Needs `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A whole URL to ask, in place of `path` and `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `https` with `path` and `port`; a `url` says it itself. `http` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The version of HTTP: 1, or 2 without asking first (with https it is agreed on in the handshake). 1 if left out.
    /// gRPC is not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u8>,
    /// Which certificate is accepted, with https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The HTTP method. `GET` if left out.
    #[serde(default = "default_method")]
    pub method: String,
    /// Request headers. Secrets have no place here: see `auth`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The statuses that are as declared, without credentials; in the manifest one number or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub expect: Vec<u16>,
    /// The statuses that say that the route is not there. `[404]` if left out.
    #[serde(default = "default_absent", deserialize_with = "one_or_many")]
    pub absent: Vec<u16>,
    /// Requests to paths that must not exist: where they answer as the route does, the answer shows nothing.
    /// `auto` if left out.
    #[serde(default)]
    pub control: Control,
    /// Credentials, and what the route must answer with them: the last layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// How long one request may take. `5s` if left out.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Which certificate of a server is accepted. Without any of it, one that this host trusts, for the name in the URL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// `false`: any certificate. `true` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    /// A PEM file with the only certificates that are trusted: an own CA, or the server's own certificate. Relative to
    /// the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The name that the certificate must be for, and that the server is asked for; the URL's host if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Where a route is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteTarget<'a> {
    /// At each replica.
    Replica {
        /// The request's path, with its query.
        path: &'a str,
        /// The container's port.
        port: u16,
    },
    /// At one fixed URL.
    Url(&'a str),
}

impl RouteSpec {
    /// The declared name, or the path, or the URL.
    #[must_use]
    pub fn written_name(&self) -> &str {
        self.name.as_deref().or(self.path.as_deref()).or(self.url.as_deref()).unwrap_or_default()
    }

    /// The same as it is shown and recorded: [`without_query_values`], where it is no name that a person gave.
    #[must_use]
    pub fn display_name(&self) -> Cow<'_, str> {
        let name = self.written_name();
        if self.name.is_some() { Cow::Borrowed(name) } else { without_query_values(name) }
    }

    /// The route as it is shown and recorded: [`without_query_values`].
    #[must_use]
    pub fn without_query_values(self) -> Self {
        let shown = |text: String| without_query_values(&text).into_owned();
        let control = match self.control {
            Control::Path(path) => Control::Path(shown(path)),
            control => control,
        };
        Self { path: self.path.map(shown), url: self.url.map(shown), control, ..self }
    }

    /// The statuses that say with credentials that the route is not there: those of `auth.absent`; without it 404 and
    /// what `absent` names, none of which the credentials are to earn.
    #[must_use]
    pub fn absent_with_credentials(&self) -> Vec<u16> {
        let Some(auth) = &self.auth else { return Vec::new() };
        auth.absent.clone().unwrap_or_else(|| {
            let also = self.absent.iter().copied().filter(|status| *status != 404);
            std::iter::once(404).chain(also).filter(|status| !auth.expect.contains(status)).collect()
        })
    }

    /// Whether its credentials are sent over plain HTTP to another host, though nobody has declared that they may be.
    #[must_use]
    pub fn exposes_credentials(&self) -> bool {
        let is_declared = self.auth.as_ref().is_some_and(|auth| auth.allow_plain_http.is_none());
        is_declared && self.url.as_deref().is_some_and(is_plain_and_elsewhere)
    }

    /// The route as it is asked without credentials.
    #[must_use]
    pub fn without_auth(&self) -> Self {
        Self { auth: None, ..self.clone() }
    }

    /// Where to ask. `None` only for a spec that was never validated.
    #[must_use]
    pub fn target(&self) -> Option<RouteTarget<'_>> {
        match (&self.url, &self.path, self.port) {
            (Some(url), None, None) => Some(RouteTarget::Url(url)),
            (None, Some(path), Some(port)) => Some(RouteTarget::Replica { path, port }),
            _ => None,
        }
    }
}

/// Whether a URL is asked in plain HTTP, and not on this host.
fn is_plain_and_elsewhere(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(address),
        None => authority.split(':').next().unwrap_or(authority),
    };
    scheme.eq_ignore_ascii_case("http") && !is_this_host(host)
}

/// Whether a host, by name or address, is the one that undrift runs on.
#[must_use]
pub fn is_this_host(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// A path or a URL of whose query only the keys are left: a value may be a token, and what is shown is also kept.
#[must_use]
pub fn without_query_values(text: &str) -> Cow<'_, str> {
    let Some((before, query)) = text.split_once('?') else { return Cow::Borrowed(text) };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((key, _)) => format!("{key}=…"),
        None => "…".to_owned(),
    });
    Cow::Owned(format!("{before}?{}", pairs.collect::<Vec<_>>().join("&")))
}

/// The control requests: to paths that cannot exist, next to the route.
///
/// `auto` asks for two random paths next to the route, the second one of the same form as the route's last part; `off` for
/// none, and an absolute path for that one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Control {
    /// Random sibling paths, others at each look.
    #[default]
    Auto,
    /// None: the answer of the route is taken at its word.
    Off,
    /// A path that must not exist.
    Path(String),
}

impl From<String> for Control {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "off" => Self::Off,
            _ => Self::Path(text),
        }
    }
}

impl From<Control> for String {
    fn from(control: Control) -> Self {
        match control {
            Control::Auto => "auto".into(),
            Control::Off => "off".into(),
            Control::Path(path) => path,
        }
    }
}

/// Credentials for the auth layer and the status that they must earn. Exactly one of `basic` and `bearerFrom`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// HTTP Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// Where the token for `Authorization: Bearer …` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_from: Option<SecretSource>,
    /// The statuses that are as declared, with credentials.
    #[serde(deserialize_with = "one_or_many")]
    pub expect: Vec<u16>,
    /// The statuses that say with credentials that the route is not there. If left out, 404 and those of the route's own
    /// `absent`, without those of `expect`.
    #[serde(default, deserialize_with = "some_or_many", skip_serializing_if = "Option::is_none")]
    pub absent: Option<Vec<u16>>,
    /// `false`: the credentials are not sent over plain HTTP to another host; `true`: they are, and nothing is said of it.
    /// If left out they are sent, and that is remarked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_plain_http: Option<bool>,
}

/// A user name, and where its password is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user name.
    pub username: String,
    /// Where the password is; never the password itself.
    pub password_from: SecretSource,
}

/// Where a secret is read from, at each use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SecretSource {
    /// An environment variable of undrift.
    Env(String),
    /// A file, relative to the manifest; one trailing newline is not part of the secret.
    File(String),
}

fn default_method() -> String {
    "GET".into()
}

fn default_absent() -> Vec<u16> {
    vec![404]
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

fn some_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u16>>, D::Error> {
    one_or_many(deserializer).map(Some)
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    struct OneOrMany;
    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<u16>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an HTTP status such as 401, or a list of them such as [401, 403]")
        }

        fn visit_u64<E: serde::de::Error>(self, status: u64) -> Result<Self::Value, E> {
            u16::try_from(status)
                .map(|status| vec![status])
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(status), &self))
        }

        fn visit_i64<E: serde::de::Error>(self, status: i64) -> Result<Self::Value, E> {
            u16::try_from(status)
                .map(|status| vec![status])
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(status), &self))
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut statuses = Vec::new();
            while let Some(status) = list.next_element()? {
                statuses.push(status);
            }
            Ok(statuses)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_query_only_its_keys_are_shown() {
        for (written, shown) in [
            ("/api/workflow", "/api/workflow"),
            ("http://h:1/x?token=hunter2&page=2", "http://h:1/x?token=…&page=…"),
            ("/x?hunter2", "/x?…"),
            ("/x?a=b=hunter2#hunter2", "/x?a=…"),
            ("/x?token=%68?unter2", "/x?token=…"),
        ] {
            assert_eq!(without_query_values(written), shown);
        }
    }

    #[test]
    fn credentials_are_exposed_in_plain_http_to_another_host_where_nobody_has_declared_it() {
        let exposes = |url: &str, more: &str| {
            let auth = format!(r#"{{"bearerFrom": {{"env": "T"}}, "expect": 200{more}}}"#);
            let route = format!(r#"{{"url": "{url}", "expect": 401, "auth": {auth}}}"#);
            serde_json::from_str::<RouteSpec>(&route).unwrap().exposes_credentials()
        };
        for url in [
            "http://shop.example/x",
            "HTTP://10.0.0.7:8080/x",
            "http://[2001:db8::1]:80/x",
            "http://127.0.0.1.example/x",
            "http://localhost.example",
            "http://shop.example?x=localhost",
        ] {
            assert!(exposes(url, ""), "{url}");
            for declared in [r#", "allowPlainHttp": true"#, r#", "allowPlainHttp": false"#] {
                assert!(!exposes(url, declared), "{url} {declared}");
            }
        }
        for url in [
            "https://shop.example/x",
            "http://localhost:8080/x",
            "http://LOCALHOST",
            "http://127.0.0.1:1/x",
            "http://127.8.9.1/x",
            "http://[::1]:80/x",
        ] {
            assert!(!exposes(url, ""), "{url}");
        }
        let at_each_replica =
            r#"{"path": "/", "port": 1, "expect": 401, "auth": {"bearerFrom": {"env": "T"}, "expect": 200}}"#;
        assert!(!serde_json::from_str::<RouteSpec>(at_each_replica).unwrap().exposes_credentials());
        let without = r#"{"url": "http://shop.example/x", "expect": 401}"#;
        assert!(!serde_json::from_str::<RouteSpec>(without).unwrap().exposes_credentials());
    }

    #[test]
    fn a_route_is_shown_without_what_may_be_a_secret_and_keeps_the_name_that_it_was_given() {
        let route = |json: &str| serde_json::from_str::<RouteSpec>(json).unwrap();
        let unnamed =
            route(r#"{"path": "/x?t=hunter2", "port": 1, "expect": 200, "control": "/no?t=hunter2"}"#);
        assert_eq!((&*unnamed.display_name(), unnamed.written_name()), ("/x?t=…", "/x?t=hunter2"));
        let shown = serde_json::to_string(&unnamed.without_query_values()).unwrap();
        assert!(shown.contains("/no?t=…") && !shown.contains("hunter2"), "{shown}");
        let named = route(r#"{"name": "is it there?", "url": "http://h/x?t=hunter2", "expect": 200}"#);
        assert_eq!(named.display_name(), "is it there?");
        assert!(!format!("{:?}", named.without_query_values()).contains("hunter2"));
    }
}
