//! The revision that a replica answers with: one request, of which a header or the beginning of the body is read.

use std::{collections::BTreeMap, path::Path};

use reqwest::{Response, Url};
use serde_json::Value;

use super::{
    client::{Ask, Prober},
    listener,
    target::{ProbeTarget, without_user},
    tls::Trust,
};
use crate::{
    api::{Answer, Control, Duration, Fact, RevisionRoute, RouteSpec, Time, Tls},
    host::revision::MOST_READ,
};

/// How long the request may take: as that of a route which declares nothing else.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a replica answered. No body is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnsweredRevision {
    /// This text, not yet checked, at the place of this name.
    Text {
        /// The header, or the last name of the JSON pointer.
        name: String,
        /// What is there.
        text: String,
    },
    /// An answer without it; what is missing.
    Missing(String),
    /// An answer that holds no revision; why.
    NotARevision(String),
    /// No answer; why.
    Unknown(String),
    /// The server limits requests until then.
    Limited(Time),
}

impl Prober {
    /// Asks one replica for its revision. Relative paths of certificates start at `files_from`.
    pub async fn revision(
        &self,
        route: &RevisionRoute,
        tls: Option<&Tls>,
        place: &ProbeTarget,
        files_from: &Path,
    ) -> AnsweredRevision {
        let url = match place.url.as_deref().map(without_user) {
            Ok(Ok(url)) => url,
            Ok(Err(why)) => return AnsweredRevision::Unknown(why),
            Err(why) => return AnsweredRevision::Unknown(why.to_owned()),
        };
        let trust = match Trust::read(false, tls, files_from).await {
            Ok(trust) => trust,
            Err(why) => return AnsweredRevision::Unknown(why),
        };
        let ask = self.ask_for_revision(route, &trust, &url);
        let container = place.container.as_deref().filter(|_| place.is_on_host_network);
        match container {
            None => ask.await,
            Some(container) => match listener::answered_by(&url, container, ask).await {
                Ok(answered) => answered,
                Err(Fact::Known(Answer::None(why)) | Fact::Unknown(why)) => AnsweredRevision::Unknown(why),
                Err(Fact::Known(_)) => AnsweredRevision::Unknown("it was not asked".into()),
            },
        }
    }

    async fn ask_for_revision(&self, route: &RevisionRoute, trust: &Trust, url: &Url) -> AnsweredRevision {
        let plain = plain(route);
        let ask = Ask { route: &plain, trust, method: "GET", url, credentials: None };
        match self.ask_for_response(ask).await {
            (_, Some(response)) => read(route, response).await,
            (Fact::Known(Answer::Limited { again_at }), _) => AnsweredRevision::Limited(again_at),
            (Fact::Known(Answer::None(why) | Answer::Untrusted(why)) | Fact::Unknown(why), None) => {
                AnsweredRevision::Unknown(why)
            }
            (Fact::Known(Answer::Status { code, .. }), None) => {
                AnsweredRevision::Unknown(format!("it answers {code}"))
            }
        }
    }
}

/// What the request needs of a route.
fn plain(route: &RevisionRoute) -> RouteSpec {
    RouteSpec {
        each: None,
        except: Vec::new(),
        kind: None,
        name: None,
        path: Some(route.path.clone()),
        port: Some(route.port),
        url: None,
        scheme: route.scheme,
        http: None,
        tls: None,
        method: "GET".into(),
        headers: BTreeMap::new(),
        expect: Vec::new(),
        absent: Vec::new(),
        control: Control::Off,
        auth: None,
        timeout: TIMEOUT,
    }
}

async fn read(route: &RevisionRoute, response: Response) -> AnsweredRevision {
    let status = response.status();
    if status.is_server_error() {
        return AnsweredRevision::Unknown(format!("it answers {status}"));
    }
    if let Some(header) = &route.header {
        let Some(value) = response.headers().get(header) else {
            return AnsweredRevision::Missing(format!(
                "the answer ({}) has no header {header}",
                status.as_u16()
            ));
        };
        return match value.to_str() {
            Ok(text) => AnsweredRevision::Text { name: header.clone(), text: text.to_owned() },
            Err(_) => AnsweredRevision::NotARevision(format!("the header {header} is no text")),
        };
    }
    if !status.is_success() {
        return AnsweredRevision::NotARevision(format!("it answers {}", status.as_u16()));
    }
    match beginning(response).await {
        Ok(Some(body)) => in_json(route.json.as_deref().unwrap_or_default(), &body),
        Ok(None) => AnsweredRevision::NotARevision("the answer is longer than 64 KiB".into()),
        Err(why) => AnsweredRevision::Unknown(why),
    }
}

/// The body; `None` if it is longer than what is read of it.
async fn beginning(mut response: Response) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_READ => return Ok(None),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Some(body)),
            Err(error) if error.is_timeout() => return Err("the answer did not end in time".into()),
            Err(_) => return Err("the answer broke off".into()),
        }
    }
}

/// The text at a JSON pointer. No message quotes the body.
fn in_json(pointer: &str, body: &[u8]) -> AnsweredRevision {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return AnsweredRevision::NotARevision("the answer is no JSON".into());
    };
    let name = pointer.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("the answer").to_owned();
    match json.pointer(pointer) {
        Some(Value::String(text)) => AnsweredRevision::Text { name, text: text.clone() },
        Some(Value::Number(number)) => AnsweredRevision::Text { name, text: number.to_string() },
        Some(Value::Null) | None => {
            AnsweredRevision::Missing(format!("the answer has nothing at {pointer:?}"))
        }
        Some(_) => AnsweredRevision::NotARevision(format!("the answer has no text at {pointer:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::{super::client::tests::serve, *};

    async fn answered(route: &str, answer: fn(&str) -> Option<&'static str>) -> AnsweredRevision {
        let (base, _) = serve(answer).await;
        let route: RevisionRoute = serde_json::from_str(route).unwrap();
        let place = ProbeTarget::fixed(format!("{base}{}", route.path));
        Prober::new().unwrap().revision(&route, None, &place, Path::new("/")).await
    }

    const JSON: &str = r#"{"path": "/version", "port": 1, "json": "/commit"}"#;
    const HEADER: &str = r#"{"path": "/version", "port": 1, "header": "X-Revision"}"#;

    #[tokio::test]
    async fn a_header_or_a_part_of_the_body_is_read() {
        let text = |name: &str| AnsweredRevision::Text { name: name.into(), text: "4f6d1c0".into() };
        let in_body = |_: &str| Some("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"commit\":\"4f6d1c0\"}");
        assert_eq!(answered(JSON, in_body).await, text("commit"));
        let in_header = |_: &str| Some("HTTP/1.1 401 No\r\nx-revision: 4f6d1c0\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(answered(HEADER, in_header).await, text("X-Revision"));
    }

    #[tokio::test]
    async fn every_other_answer_is_no_revision_or_unknown_and_never_quoted() {
        let of = async |answer: fn(&str) -> Option<&'static str>| answered(JSON, answer).await;
        let not_found = of(|_| Some("HTTP/1.1 404 No\r\nContent-Length: 6\r\n\r\ns3cr3t")).await;
        assert_eq!(not_found, AnsweredRevision::NotARevision("it answers 404".into()));
        assert!(matches!(of(|_| Some("HTTP/1.1 503 No\r\n\r\n")).await, AnsweredRevision::Unknown(_)));
        let limited = of(|_| Some("HTTP/1.1 429 Slow\r\nRetry-After: 60\r\n\r\n")).await;
        assert!(matches!(limited, AnsweredRevision::Limited(_)), "{limited:?}");
        let cut = of(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"s3cr3t")).await;
        assert!(matches!(&cut, AnsweredRevision::Unknown(why) if !why.contains("s3cr3t")), "{cut:?}");
        let elsewhere =
            of(|_| Some("HTTP/1.1 302 Go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(elsewhere.await, AnsweredRevision::NotARevision("it answers 302".into()));
        let without = answered(HEADER, |_| Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
        assert!(
            matches!(&without, AnsweredRevision::Missing(what) if what.contains("X-Revision")),
            "{without:?}"
        );
    }

    #[tokio::test]
    async fn of_an_endless_answer_only_the_beginning_is_read() {
        let endless = |_: &str| {
            static ANSWER: LazyLock<String> =
                LazyLock::new(|| format!("HTTP/1.1 200 OK\r\n\r\n\"{}", "a".repeat(2 * MOST_READ)));
            Some(ANSWER.as_str())
        };
        let answer = answered(JSON, endless).await;
        assert_eq!(answer, AnsweredRevision::NotARevision("the answer is longer than 64 KiB".into()));
    }

    #[test]
    fn a_pointer_names_a_text_or_a_number_and_no_answer_is_quoted() {
        let body = br#"{"build": {"commit": "4f6d1c0", "number": 42, "token": "s3cr3t", "none": null}, "list": ["s3cr3t"]}"#;
        let text = |name: &str, text: &str| AnsweredRevision::Text { name: name.into(), text: text.into() };
        assert_eq!(in_json("/build/commit", body), text("commit", "4f6d1c0"));
        assert_eq!(in_json("/build/number", body), text("number", "42"));
        assert_eq!(in_json("/list/0", body), text("0", "s3cr3t"));
        for (pointer, body) in [
            ("/build", &body[..]),
            ("/build/none", body),
            ("/other", body),
            ("", b"s3cr3t"),
            ("", b"[s3cr3t"),
        ] {
            let answered = format!("{:?}", in_json(pointer, body));
            assert!(!answered.contains("s3cr3t") && !answered.starts_with("Text"), "{answered}");
        }
        assert_eq!(in_json("", b"\"4f6d1c0\""), text("the answer", "4f6d1c0"));
        let deep = [b"[".repeat(20_000), b"]".repeat(20_000)].concat();
        assert!(matches!(in_json("/0", &deep), AnsweredRevision::NotARevision(_)), "nested too deep");
    }
}
