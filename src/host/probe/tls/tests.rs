use std::{convert::Infallible, path::PathBuf};

use http_body_util::Empty;
use hyper::{Request, body::Bytes, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    api::{Answer, Fact, RouteSpec},
    host::probe::{ProbeTarget, Prober},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/routes/tls")
}

/// A server with the certificate of that name, that supports either version of HTTP, and answers `/api/workflow` with 401 and
/// the requested host, and 404 for the rest.
async fn serve(name: &str, alpn: &[&str]) -> u16 {
    let certificate = CertificateDer::from_pem_file(folder().join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder().join(format!("{name}.key"))).unwrap();
    let config =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                answer(TokioIo::new(stream), is_http2).await;
            });
        }
    });
    port
}

async fn answer<I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static>(io: I, is_http2: bool) {
    let service = service_fn(|request: Request<_>| async move {
        let _: &hyper::body::Incoming = request.body();
        let code = if request.uri().path() == "/api/workflow" { 401 } else { 404 };
        Ok::<_, Infallible>(hyper::Response::builder().status(code).body(Empty::<Bytes>::new()).unwrap())
    });
    // The end of the connection is up to the client: it sends one request and closes.
    let _ = if is_http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

/// The answer to a route at this URL, with these additional fields.
async fn asked(url: &str, more: &str) -> Fact<Answer> {
    let route: RouteSpec =
        serde_json::from_str(&format!(r#"{{"url": "x", "expect": 401, "timeout": "5s"{more}}}"#)).unwrap();
    let place = ProbeTarget::fixed(url.to_owned());
    let seen = Prober::new().unwrap().route(&route, &[place], &folder()).await;
    let answer = &seen.answers[0];
    assert!(answer.plain.known().and_then(Answer::status).is_none() || answer.control == Some(status(404)));
    answer.plain.clone()
}

fn status(code: u16) -> Fact<Answer> {
    Fact::Known(Answer::of(code))
}

fn untrusted(answer: &Fact<Answer>) -> &str {
    match answer {
        Fact::Known(Answer::Untrusted(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_named_so_and_can_be_declared() {
    let url = format!("https://127.0.0.1:{}/api/workflow", serve("self", &[]).await);
    let why = asked(&url, "").await;
    assert!(untrusted(&why).contains("`tls.caFile`"), "{why:?}");
    assert_eq!(asked(&url, r#", "tls": {"verify": false}"#).await, status(401));
    assert_eq!(
        asked(&url, r#", "tls": {"caFile": "self.pem"}"#).await,
        status(401),
        "a CA's, and for no name"
    );
    let other = asked(&url, r#", "tls": {"caFile": "shop.pem"}"#).await;
    untrusted(&other);
}

#[tokio::test]
async fn what_an_own_ca_has_issued_is_trusted_for_its_name() {
    let port = serve("shop", &[]).await;
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{port}/api/workflow");
        let named = asked(&url, r#", "tls": {"caFile": "ca.pem", "serverName": "shop.example"}"#).await;
        assert_eq!(named, status(401), "{host}");
    }
    let url = format!("https://127.0.0.1:{port}/api/workflow");
    let unnamed = asked(&url, r#", "tls": {"caFile": "ca.pem"}"#).await;
    let why = untrusted(&unnamed);
    assert!(
        why.contains("shop.example") && why.contains("127.0.0.1") && why.contains("`tls.serverName`"),
        "{why}"
    );
    untrusted(&asked(&url, r#", "tls": {"serverName": "shop.example"}"#).await);
    untrusted(&asked(&url, r#", "tls": {"caFile": "ca.pem", "serverName": "other.example"}"#).await);
}

#[tokio::test]
async fn http_2_is_negotiated_with_tls_and_used_at_once_without() {
    let more = r#", "http": 2, "tls": {"verify": false}"#;
    let url = |port| format!("https://127.0.0.1:{port}/api/workflow");
    assert_eq!(asked(&url(serve("shop", &["h2"]).await), more).await, status(401));
    let only_1 = asked(&url(serve("shop", &["http/1.1"]).await), more).await;
    assert_eq!(only_1, Fact::Known(Answer::None("the server does not speak HTTP/2".into())));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("http://{}/api/workflow", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(TokioIo::new(stream), true));
        }
    });
    assert_eq!(asked(&plain, r#", "http": 2"#).await, status(401));
    let as_1 = asked(&plain, "").await;
    assert!(matches!(as_1, Fact::Known(Answer::None(_))), "{as_1:?}");
}

#[tokio::test]
async fn an_answer_without_tls_is_not_reported_as_untrusted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(TokioIo::new(stream), false));
        }
    });
    let plain = asked(&format!("https://127.0.0.1:{port}/api/workflow"), "").await;
    assert_eq!(plain, Fact::Known(Answer::None("what answers does not speak TLS".into())));
}

#[tokio::test]
async fn a_file_of_certificates_is_a_regular_one_of_certain_length_with_certificates_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    std::fs::write(path("long"), vec![b'a'; 1024 * 1024 + 1]).unwrap();
    std::fs::write(path("none"), "no certificate\n").unwrap();
    for (name, words) in [
        ("pipe", "pipe is a named pipe and not a regular file"),
        ("/dev/zero", "/dev/zero is a device and not a regular file"),
        ("long", "and 1 MiB at most are read"),
        ("gone", "cannot read the certificates in gone"),
        ("none", "`tls.caFile` holds no PEM certificate"),
    ] {
        let tls = Tls { ca_file: Some(name.into()), ..Tls::default() };
        let error = match Trust::read(false, Some(&tls), folder.path()).await {
            Ok(trust) => TlsClients::default().of(&trust, &Url::parse("https://h/").unwrap()).err(),
            Err(error) => Some(error),
        };
        assert!(error.as_deref().is_some_and(|error| error.contains(words)), "{name}: {error:?}");
    }
}
