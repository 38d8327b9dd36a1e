//! Which requests may pass.

use hyper::{Method, Request, header};

/// The paths that a dry run of `up` requests, of Compose 2.26.1, 2.40.3 and 5.6.1 (measured): reads that the engine answers
/// from its own data. `{}` is a name of one segment, `{+}` one that may have more of them, as image references do.
///
/// Excluded, though they are GETs: `/distribution/…/json` and `/images/search`, for which the engine asks a registry,
/// `/containers/…/attach/ws`, which writes to a container, `/session` and `/grpc`, which are upgraded, and all paths that
/// return content (archives, logs, secrets): no dry run needs it to find out what would be recreated.
const QUESTIONS: [&str; 12] = [
    "_ping",
    "version",
    "info",
    "containers/json",
    "containers/{}/json",
    // For a hook that 2.40.3 only simulates.
    "exec/{}/json",
    "images/json",
    "images/{+}/json",
    "networks",
    "networks/{}",
    "volumes",
    "volumes/{}",
];

/// The longest path of a refused request that is kept.
const LONGEST_SHOWN: usize = 160;

/// Whether a request may pass: by its method, its path, and anything that would make it more than a read.
pub(super) fn may_pass<B: hyper::body::Body>(request: &Request<B>) -> bool {
    let headers = request.headers();
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.body().is_end_stream()
        && !headers.contains_key(header::UPGRADE)
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && is_question(request.uri().path())
}

fn is_question(path: &str) -> bool {
    QUESTIONS.iter().any(|question| fits(question, without_version(path)))
}

/// A refused request's path for the records: without the API's version, which is irrelevant, and of bounded length. The query
/// is left out: it may hold more than names.
pub(super) fn shown(path: &str) -> String {
    let mut shown: String = without_version(path).chars().filter(|c| !c.is_control()).collect();
    if let Some((end, _)) = shown.char_indices().nth(LONGEST_SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    format!("/{shown}")
}

/// A path without the leading slash and without `/v1.41`.
fn without_version(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.split_once('/') {
        Some((version, rest)) if is_version(version) => rest,
        _ => path,
    }
}

fn is_version(segment: &str) -> bool {
    let Some((major, minor)) = segment.strip_prefix('v').and_then(|numbers| numbers.split_once('.')) else {
        return false;
    };
    [major, minor].iter().all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a path fits a pattern, segment by segment.
fn fits(pattern: &str, path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    let patterns: Vec<&str> = pattern.split('/').collect();
    let many = patterns.contains(&"{+}");
    if segments.len() < patterns.len() || (!many && segments.len() != patterns.len()) {
        return false;
    }
    // The name of many segments takes the segments that the others leave.
    let spare = segments.len() - patterns.len();
    let widths = patterns.iter().map(|pattern| if *pattern == "{+}" { spare + 1 } else { 1 });
    let mut rest = segments.into_iter();
    patterns.iter().zip(widths).all(|(pattern, width)| {
        let mut own = rest.by_ref().take(width);
        if pattern.starts_with('{') { own.all(is_name) } else { own.next() == Some(*pattern) }
    })
}

/// Whether a segment is a name, whoever decodes it and however often: engines and proxies clean paths, and a cleaned path may
/// be another one.
fn is_name(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@+~ ".contains(&byte);
    !segment.is_empty() && segment != "." && segment != ".." && segment.replace("%20", " ").bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};
    use hyper::body::Bytes;

    use super::*;

    #[test]
    fn what_a_dry_run_asks_passes_with_and_without_a_version() {
        for path in [
            "_ping",
            "info",
            "version",
            "containers/json",
            "containers/921207cc3c82_shop-api-1/json",
            "exec/76fda0c0e901/json",
            "images/json",
            "images/undrift-example-base:latest/json",
            "images/127.0.0.1:5000/team/shop:1@sha256:00/json",
            "networks",
            "networks/shop_default",
            "networks/my%20net",
            "volumes/shop_data",
            "volumes",
        ] {
            assert!(is_question(&format!("/{path}")), "{path}");
            assert!(is_question(&format!("/v1.41/{path}")), "{path}");
        }
    }

    #[test]
    fn whatever_else_does_not() {
        for path in [
            "",
            "/",
            "/v1.41",
            "/v1.41/",
            "//_ping",
            "/v1.41/v1.41/_ping",
            "/vx.41/_ping",
            "/_ping/",
            "/events",
            "/session",
            "/grpc",
            "/build",
            "/distribution/shop/json",
            "/distribution/a/b/json",
            "/images/search",
            "/images/get",
            "/images/shop/get",
            "/images/shop/history",
            "/containers/a/attach/ws",
            "/containers/a/b/json",
            "/containers/a/archive",
            "/containers/../json",
            "/containers/a%2f..%2fb/json",
            "/containers/a%252fb/json",
            "/images/a/../../containers/b/json",
            "/images/a//json",
            "/images/a/./json",
            "/images//json",
            "/networks/a/b",
            "/networks/a%00",
            "/networks/",
            "/secrets",
            "/v1.41/swarm/unlockkey",
            "/v5.0.0/libpod/containers/json",
            "/libpod/info",
        ] {
            assert!(!is_question(path), "{path}");
        }
    }

    #[test]
    fn a_question_has_no_body_no_upgrade_and_no_other_method() {
        let plain = || Request::get("/v1.41/info");
        assert!(may_pass(&plain().body(Empty::<Bytes>::new()).unwrap()));
        assert!(may_pass(&Request::head("/_ping").body(Empty::<Bytes>::new()).unwrap()));
        assert!(!may_pass(&plain().body(Full::new(Bytes::from_static(b"x"))).unwrap()));
        assert!(!may_pass(&plain().header("upgrade", "h2c").body(Empty::<Bytes>::new()).unwrap()));
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "get", "FOO"] {
            let request = Request::builder().method(method).uri("/v1.41/containers/json");
            assert!(!may_pass(&request.body(Empty::<Bytes>::new()).unwrap()), "{method}");
        }
    }

    #[test]
    fn what_is_kept_of_a_refused_one_is_short_and_plain() {
        assert_eq!(shown("/v1.41/containers/create"), "/containers/create");
        assert_eq!(shown("/grpc"), "/grpc");
        let long = shown(&format!("/images/{}/tag", "ä".repeat(1000)));
        assert_eq!(long.chars().count(), LONGEST_SHOWN + 2);
        assert!(long.ends_with('…'));
    }
}
