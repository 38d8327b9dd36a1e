//! Descriptions of requests that got no answer.

use std::{error::Error as _, io};

use rustls::CertificateError;

use crate::api::{Answer, Duration};

/// The outcome of a request without an answer.
pub(super) fn failed(error: &reqwest::Error, timeout: Duration, http2: bool) -> Answer {
    if error.is_timeout() {
        return Answer::None(format!("no answer within {timeout}"));
    }
    let causes = || {
        std::iter::successors(error.source(), |cause| {
            let cause: &dyn std::error::Error = *cause;
            cause.source()
        })
    };
    if let Some(tls) = causes().find_map(of_tls) {
        return match tls {
            rustls::Error::InvalidCertificate(why) => Answer::Untrusted(certificate(why)),
            rustls::Error::NoCertificatesPresented => Answer::Untrusted("it presents no certificate".into()),
            tls => Answer::None(handshake(tls, http2)),
        };
    }
    let http = causes().find_map(|cause| cause.downcast_ref::<hyper::Error>());
    let io = causes().filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    Answer::None(match (io.map(io::Error::kind), http) {
        (Some(io::ErrorKind::ConnectionRefused), _) => "connection refused".into(),
        (Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), _) => "connection reset".into(),
        (Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable), _) => {
            "no route to the host".into()
        }
        (_, Some(http)) if http.is_incomplete_message() => "the connection ended before an answer".into(),
        (_, Some(_)) if http2 => "what answers does not speak HTTP/2".into(),
        (_, Some(http)) if http.is_parse() => "what answers does not speak HTTP/1.1".into(),
        _ => causes().last().map_or_else(|| "no answer".into(), ToString::to_string),
    })
}

/// The TLS error in a cause. I/O errors wrap it, and do not name it as their source.
fn of_tls<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let wrapped = || of_tls(cause.downcast_ref::<io::Error>()?.get_ref()?);
    cause.downcast_ref::<rustls::Error>().or_else(wrapped)
}

fn handshake(error: &rustls::Error, http2: bool) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => "what answers does not speak TLS".into(),
        rustls::Error::NoApplicationProtocol if http2 => "the server does not speak HTTP/2".into(),
        rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol) if http2 => {
            "the server does not speak HTTP/2".into()
        }
        rustls::Error::AlertReceived(rustls::AlertDescription::UnrecognisedName) => {
            "the server has no certificate for the name that it was asked for; declare `tls.serverName`"
                .into()
        }
        rustls::Error::AlertReceived(_) => "the server ended the TLS handshake".into(),
        rustls::Error::PeerIncompatible(_) => {
            "the server speaks TLS of another version, or with other ciphers".into()
        }
        _ => "the TLS handshake failed".into(),
    }
}

/// The problem with a certificate, and the setting to declare.
fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "nobody who is trusted has issued its certificate; declare `tls.caFile` with the issuer's, or with the server's own \
             where that has signed itself"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let of = if presented.is_empty() { "no name".to_owned() } else { names(presented) };
            format!(
                "its certificate is for {of}, not for {}; declare `tls.serverName`",
                expected.to_str()
            )
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name; declare `tls.serverName`".into()
        }
        CertificateError::Revoked => "its certificate was revoked".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one for servers".into()
        }
        CertificateError::Other(_) => {
            "its certificate cannot be one of a server; where it has signed itself declare it in `tls.caFile`".into()
        }
        _ => "its certificate is not valid".into(),
    }
}

/// Some of the names, as written in a certificate.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| -> String {
        // `DnsName("shop.example")`, as the library prints it.
        let inner = name.split('"').nth(1).unwrap_or(name);
        inner.chars().filter(|c| !c.is_control()).take(100).collect()
    };
    let shown: Vec<String> = presented.iter().take(3).map(plain).collect();
    let more = if presented.len() > 3 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
