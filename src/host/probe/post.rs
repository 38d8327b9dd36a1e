//! The HTTP client for servers that are no route of a service: those that undrift reports to.

use std::{sync::LazyLock, time::Duration};

use reqwest::{Client, Url};

use super::{
    tls::{TlsClients, Trust, plain},
    words,
};
use crate::api::Answer;

/// The client for a server: it trusts the certificates that this host trusts, follows no redirect and uses no proxy. The first
/// one for https reads the host's root certificates, and blocks for that.
///
/// # Errors
/// In words, if it cannot be built.
pub(crate) fn client_for(url: &Url) -> Result<Client, String> {
    static OVER_TLS: LazyLock<TlsClients> = LazyLock::new(TlsClients::default);
    if url.scheme() == "https" {
        return OVER_TLS.of(&Trust::default(), url);
    }
    let client = plain(false).ok().and_then(|client| client.build().ok());
    client.ok_or_else(|| "the HTTP client cannot be built".to_owned())
}

/// Why a request got no answer, in words that have nothing of its URL.
pub(crate) fn without_answer(error: &reqwest::Error, limit: Duration) -> String {
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    match words::failed(error, crate::api::Duration::from_millis(millis), false) {
        Answer::None(why) => why,
        // What a manifest could declare for a route does not apply.
        _ => "this host does not trust its certificate".to_owned(),
    }
}
