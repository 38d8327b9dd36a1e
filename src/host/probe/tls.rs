//! Which certificate of a server is accepted, and the clients that accept it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use reqwest::{Client, Url};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::client::{BuildError, builder};
use crate::{api::Tls, files};

/// The longest file of certificates: those of all public CAs together have 250 KiB.
const LONGEST: u64 = 1024 * 1024;

/// The folder of this host's root certificates, for reports of a hang there.
const ROOTS: &str = "/etc/ssl/certs";

/// How many clients are kept, one per trust setting; others are built anew.
const KEPT_CLIENTS: usize = 64;

/// The trusted certificates, and the protocol. Two routes with equal settings share a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Trust {
    pub(super) http2: bool,
    /// Any certificate will do.
    any: bool,
    /// The only trusted certificates, as the file has them; without it, the host's own roots.
    own: Option<Vec<u8>>,
    pub(super) server_name: Option<String>,
}

impl Trust {
    /// The settings of a route; its files are read anew at each observation, relative to `from`.
    pub(super) async fn read(http2: bool, tls: Option<&Tls>, from: &Path) -> Result<Self, String> {
        let Some(tls) = tls else { return Ok(Self { http2, ..Self::default() }) };
        let own = match &tls.ca_file {
            None => None,
            Some(name) => Some(certificates(name, from).await?),
        };
        Ok(Self { http2, any: tls.verify == Some(false), own, server_name: tls.server_name.clone() })
    }

    /// Why its own certificates are invalid.
    pub(super) fn flaw(&self) -> Option<String> {
        DeclaredCertificates::new(self.own.as_deref()?).err()
    }
}

async fn certificates(name: &str, from: &Path) -> Result<Vec<u8>, String> {
    let path = from.join(name);
    let read = files::looked(move || files::read(&path, LONGEST)).await;
    let read = read.unwrap_or_else(|hangs| Err(hangs.into()));
    read.map_err(|error| format!("cannot read the certificates in {name}: {error}"))
}

/// The clients for https, built on first use.
#[derive(Debug, Default)]
pub(super) struct TlsClients {
    /// Loading the host's root certificates takes 20 ms.
    roots: OnceLock<Option<Arc<dyn ServerCertVerifier>>>,
    kept: Mutex<HashMap<(Trust, Option<String>), Client>>,
}

impl TlsClients {
    /// The client for these trust settings. One that asks for another name is for the host of `url` alone.
    pub(super) fn of(&self, trust: &Trust, url: &Url) -> Result<Client, String> {
        let host = trust.server_name.as_ref().and_then(|_| url.host_str()).map(str::to_owned);
        let key = (trust.clone(), host);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = kept.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(trust, key.1.as_deref())?;
        if kept.len() >= KEPT_CLIENTS {
            kept.clear();
        }
        kept.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, trust: &Trust, host: Option<&str>) -> Result<Client, String> {
        let mut config = config(self.verifier(trust)?).map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![if trust.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let mut client = builder(trust.http2).tls_backend_preconfigured(config);
        if let Some(host) = host {
            client = client.dns_resolver(Elsewhere(host.trim_matches(['[', ']']).to_owned()));
        }
        client.build().map_err(|_| "the HTTP client cannot be built".to_owned())
    }

    fn verifier(&self, trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, String> {
        if trust.any {
            return Ok(Arc::new(Any(provider())));
        }
        if let Some(pem) = &trust.own {
            return DeclaredCertificates::new(pem).map(|own| Arc::new(own) as Arc<dyn ServerCertVerifier>);
        }
        let host = self.roots.get_or_init(|| {
            // The environment may name other files than the system's (SSL_CERT_FILE, SSL_CERT_DIR).
            let load = |_: &Path| Ok(rustls_platform_verifier::Verifier::new(provider()));
            let verifier = files::within_limit(Path::new(ROOTS), load).ok()?.ok()?;
            Some(Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
        });
        host.clone().ok_or_else(|| "this host's root certificates cannot be loaded".to_owned())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// A client that trusts no certificate, for addresses that need none: it does not load the host's roots.
pub(in crate::host) fn without_tls() -> Result<reqwest::ClientBuilder, BuildError> {
    plain(false)
}

/// The same for either version of HTTP.
pub(super) fn plain(http2: bool) -> Result<reqwest::ClientBuilder, BuildError> {
    let no_roots = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError(error.to_string()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder(http2).tls_backend_preconfigured(no_roots))
}

/// Resolves every name to one host: undrift asks the server there for a name that is not its address.
struct Elsewhere(String);

impl reqwest::dns::Resolve for Elsewhere {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Accepts any certificate whose key the server holds.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

/// Accepts the declared certificates, and those that they have issued.
#[derive(Debug)]
struct DeclaredCertificates {
    issuers: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl DeclaredCertificates {
    fn new(pem: &[u8]) -> Result<Self, String> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let certificates =
            certificates.map_err(|_| "`tls.caFile` holds what is no PEM certificate".to_owned())?;
        if certificates.is_empty() {
            return Err("`tls.caFile` holds no PEM certificate".into());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let issuers = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let issuers =
            issuers.map_err(|_| "`tls.caFile` holds no certificate that can issue others".to_owned())?;
        Ok(Self { issuers, certificates, provider: provider() })
    }
}

impl ServerCertVerifier for DeclaredCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.issuers.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // A self-signed server certificate is often marked as a CA's, or for no name. It is the very one that was declared.
            Err(error) if self.certificates.contains(end_entity) && !is_about_time(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_about_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
    )
}

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
