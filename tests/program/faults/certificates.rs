//! The certificates that the fault server shows, made anew in each run: one authority, and what it has signed or has not.

use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The name that is reached through a proxy alone: nobody looks for its address.
pub(crate) const PROXIED: &str = "api.keepwatch.test";

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Good,
    SelfSigned,
    Expired,
    NotYetValid,
    ForAnotherHost,
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "keepwatch's tests");
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
});

/// The authority's own certificate, for a program that is to trust it.
pub(crate) fn authority() -> &'static str {
    &AUTHORITY.pem
}

/// The certificate of an authority that has signed nothing.
pub(crate) fn another_authority() -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&key).unwrap().pem()
}

/// Speaks TLS with this certificate, and what `protocol` names over it.
pub(crate) fn acceptor(shown: Shown, protocol: &str) -> TlsAcceptor {
    let (certificate, key) = make(shown);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        versions.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn make(shown: Shown) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let names = match shown {
        Shown::ForAnotherHost => vec!["proxy.keepwatch.test".to_owned()],
        _ => ["127.0.0.1", "::1", PROXIED].map(str::to_owned).into(),
    };
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names).unwrap();
    match shown {
        Shown::Expired => {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        Shown::NotYetValid => {
            (params.not_before, params.not_after) = (date_time_ymd(2980, 1, 1), date_time_ymd(2981, 1, 1));
        }
        Shown::Good | Shown::SelfSigned | Shown::ForAnotherHost => {}
    }
    let certificate = match shown {
        Shown::SelfSigned => params.self_signed(&key),
        _ => params.signed_by(&key, &AUTHORITY.issuer),
    };
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    (certificate.unwrap().der().clone(), private)
}
