//! The certificates of the fault server. `tests/fixtures/tls/make.sh` makes them.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A host name that no resolver knows. The program can reach it only through the proxy, which connects to the server
/// whatever the host name is.
pub(crate) const PROXIED_HOST: &str = "api.keepwatch.test";

/// Certificate of the authority that signed the server's certificates.
pub(crate) const AUTHORITY: &str = include_str!("../../fixtures/tls/authority.pem");
/// Certificate of an authority that signed none of the server's certificates.
pub(crate) const OTHER_AUTHORITY: &str = include_str!("../../fixtures/tls/other-authority.pem");
/// Private key of all the server's certificates.
const PRIVATE_KEY: &str = include_str!("../../fixtures/tls/server.key");

/// Certificate of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    Valid,
    SelfSigned,
    Expired,
    NotYetValid,
    ForAnotherHost,
}

impl Certificate {
    const fn pem(self) -> &'static str {
        match self {
            Self::Valid => include_str!("../../fixtures/tls/good.pem"),
            Self::SelfSigned => include_str!("../../fixtures/tls/self-signed.pem"),
            Self::Expired => include_str!("../../fixtures/tls/expired.pem"),
            Self::NotYetValid => include_str!("../../fixtures/tls/not-yet-valid.pem"),
            Self::ForAnotherHost => include_str!("../../fixtures/tls/other-host.pem"),
        }
    }
}

/// Returns a TLS acceptor with this certificate that offers `protocol` by ALPN.
pub(crate) fn acceptor(certificate: Certificate, protocol: &str) -> TlsAcceptor {
    let der = CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(PRIVATE_KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.unwrap().with_no_client_auth().with_single_cert(vec![der], key).unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
