//! The connections of a gate: it reads, judges and rebuilds each request.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode, Version,
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixListener, UnixStream},
};
use tokio_util::sync::CancellationToken;

use super::{Endpoint, KEPT, Refused, Tally, lock, path};

/// The headers that concern one connection and not the request (RFC 9110, section 7.6.1), and those that hyper writes itself. A
/// read request needs no credentials for registries.
const OF_A_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("x-registry-auth"),
];

type Body = BoxBody<Bytes, hyper::Error>;

/// The shared state of connections.
#[derive(Clone)]
pub(super) struct Relay {
    pub(super) engine: Endpoint,
    pub(super) tally: Arc<Mutex<Tally>>,
    /// Cancelled when the gate closes: ends the connections on both sides.
    pub(super) open: CancellationToken,
}

impl Relay {
    /// Accepts connections for as long as it is polled.
    pub(super) async fn serve(self, listener: UnixListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let relay = self.clone();
            let service = service_fn(move |request| {
                let relay = relay.clone();
                async move { Ok::<_, Infallible>(relay.answer(request).await) }
            });
            let connection = server::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(self.open.clone().run_until_cancelled_owned(connection));
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if !path::may_pass(&request) {
            return self.refuse(&request);
        }
        lock(&self.tally).passed += 1;
        match self.ask(&request).await {
            Ok(response) => response,
            Err(error) => {
                text_response(StatusCode::BAD_GATEWAY, &format!("undrift cannot reach the engine: {error}"))
            }
        }
    }

    /// In the format of the engine's errors, so that the client shows it to the user.
    fn refuse(&self, request: &Request<Incoming>) -> Response<Body> {
        let refused =
            Refused { method: request.method().to_string(), path: path::shown(request.uri().path()) };
        tracing::debug!(method = %refused.method, path = %refused.path, "the gate refuses a request");
        let message = format!("undrift lets a look change nothing and ask no registry: {refused} is refused");
        let mut tally = lock(&self.tally);
        tally.refused += 1;
        if tally.first.len() < KEPT {
            tally.first.push(refused);
        }
        text_response(StatusCode::FORBIDDEN, &message)
    }

    /// A connection of its own for each request: none is open for longer than its answer takes.
    async fn ask(
        &self,
        request: &Request<Incoming>,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let rebuilt = rebuilt(request)?;
        let response = match &self.engine {
            Endpoint::Unix(path) => self.send(UnixStream::connect(path).await?, rebuilt).await?,
            Endpoint::Tcp(address) => self.send(TcpStream::connect(address).await?, rebuilt).await?,
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err("it switches protocols".into());
        }
        let (mut head, body) = response.into_parts();
        head.headers = of_the_question(&head.headers);
        head.version = Version::HTTP_11;
        Ok(Response::from_parts(head, body.boxed()))
    }

    async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(self.open.clone().run_until_cancelled_owned(connection));
        sender.send_request(request).await
    }
}

/// The same request, rebuilt by undrift: method, path and query, and the headers that concern the request.
fn rebuilt(request: &Request<Incoming>) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut rebuilt = Request::builder().method(request.method()).uri(target).body(Empty::new())?;
    *rebuilt.headers_mut() = of_the_question(request.headers());
    // The engine ignores it, and HTTP/1.1 requires one.
    rebuilt.headers_mut().insert(header::HOST, HeaderValue::from_static("docker"));
    Ok(rebuilt)
}

fn of_the_question(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays =
        |name: &HeaderName| !OF_A_CONNECTION.contains(name) && !named.iter().any(|n| n == name.as_str());
    headers
        .iter()
        .filter(|(name, _)| stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// An answer in the form of the engine's errors.
fn text_response(status: StatusCode, message: &str) -> Response<Body> {
    let text = serde_json::json!({ "message": message }).to_string();
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
