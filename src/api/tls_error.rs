//! In words, why a TLS connection is not to be trusted or did not come about. It decides nothing: rustls has.

use rustls::{CertificateError, Error, InvalidMessage};

/// What rustls says; its own words where there are none better.
pub(super) fn message(error: &Error) -> String {
    use CertificateError as Bad;
    let words = match error {
        Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer => "nobody whom this machine trusts has signed the server's certificate",
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "the server's certificate has expired, or this machine's clock is wrong"
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet, or this machine's clock is wrong"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "the server's certificate is another host's"
            }
            Bad::Revoked => "the server's certificate was revoked",
            _ => return error.to_string(),
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "what answers there speaks no TLS",
        _ => return error.to_string(),
    };
    words.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        for (bad, said) in [
            (CertificateError::UnknownIssuer, "signed"),
            (CertificateError::Expired, "expired"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::NotValidForName, "another host's"),
            (CertificateError::Revoked, "revoked"),
        ] {
            let words = message(&Error::InvalidCertificate(bad));
            assert!(words.starts_with(|first: char| first.is_lowercase()) && words.contains(said), "{words}");
            assert!(!words.contains("invalid peer certificate"), "{words}");
        }
    }

    #[test]
    fn what_has_no_words_of_its_own_keeps_those_of_rustls() {
        let odd = Error::InvalidCertificate(CertificateError::BadSignature);
        assert_eq!(message(&odd), odd.to_string());
        let late = Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(message(&late), late.to_string());
    }
}
