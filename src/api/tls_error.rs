//! Messages for TLS errors. rustls decides whether to trust a connection; this module only describes its errors.

use rustls::{CertificateError, Error, InvalidMessage};

/// Returns a message for a TLS error. An error that has no clearer message here keeps rustls' own text.
pub(super) fn message(error: &Error) -> String {
    use CertificateError as Cert;
    let message = match error {
        Error::InvalidCertificate(cause) => match cause {
            Cert::UnknownIssuer => "nobody whom this machine trusts has signed the server's certificate",
            Cert::Expired | Cert::ExpiredContext { .. } => {
                "the server's certificate has expired, or this machine's clock is wrong"
            }
            Cert::NotValidYet | Cert::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet, or this machine's clock is wrong"
            }
            Cert::NotValidForName | Cert::NotValidForNameContext { .. } => {
                "the server's certificate is another host's"
            }
            Cert::Revoked => "the server's certificate was revoked",
            _ => return error.to_string(),
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "what answers there speaks no TLS",
        _ => return error.to_string(),
    };
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_errors_have_plain_messages() {
        for (cause, expected) in [
            (CertificateError::UnknownIssuer, "signed"),
            (CertificateError::Expired, "expired"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::NotValidForName, "another host's"),
            (CertificateError::Revoked, "revoked"),
        ] {
            let text = message(&Error::InvalidCertificate(cause));
            assert!(text.starts_with(char::is_lowercase) && text.contains(expected), "{text}");
            assert!(!text.contains("invalid peer certificate"), "{text}");
        }
    }

    #[test]
    fn other_errors_keep_rustls_text() {
        let certificate = Error::InvalidCertificate(CertificateError::BadSignature);
        assert_eq!(message(&certificate), certificate.to_string());
        let alert = Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(message(&alert), alert.to_string());
    }
}
