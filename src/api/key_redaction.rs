//! Redacts the API key in responses that quote it: in bodies, decoded text and headers.

use reqwest::header::{HeaderMap, HeaderValue};

use keepwatch_core::session::Secret;
use keepwatch_core::text::Untrusted;

/// The minimum length of an API key that is redacted, in bytes. A shorter API key may be an ordinary word of a message.
pub(super) const MIN_REDACTED_KEY_BYTES: usize = 8;

/// Redacts the API key in decoded text, as [`redact_key`] does in bytes.
pub(super) fn redact_key_in_text(text: Untrusted, key: &Secret) -> Untrusted {
    let safe = redact_key(text.raw().as_bytes().to_vec(), key);
    if safe == text.raw().as_bytes() {
        text
    } else {
        Untrusted::new(String::from_utf8_lossy(&safe).into_owned())
    }
}

/// Redacts the API key in a response that quotes it. `text::redact`, which searches for patterns, may miss the API key,
/// because an API key can have any form. This function finds only the exact bytes of the API key. So it misses an API
/// key with JSON escapes.
pub(super) fn redact_key(bytes: Vec<u8>, key: &Secret) -> Vec<u8> {
    let key = key.expose().as_bytes();
    // promise: quoted-key, mutant: < MIN_REDACTED_KEY_BYTES -> < usize::MAX
    if key.len() < MIN_REDACTED_KEY_BYTES {
        return bytes;
    }
    let mut remaining = bytes.as_slice();
    let mut safe = Vec::new();
    while let Some(key_start) = memchr::memmem::find(remaining, key) {
        safe.extend_from_slice(remaining.get(..key_start).unwrap_or_default());
        safe.extend_from_slice("••••".as_bytes());
        remaining = remaining.get(key_start.saturating_add(key.len())..).unwrap_or_default();
    }
    if remaining.len() == bytes.len() {
        return bytes;
    }
    safe.extend_from_slice(remaining);
    safe
}

/// Masks each header value that contains the API key.
pub(super) fn redact_key_in_headers(headers: &mut HeaderMap, key: &Secret) {
    let key = key.expose().as_bytes();
    let contains_key = |value: &HeaderValue| {
        key.len() >= MIN_REDACTED_KEY_BYTES && memchr::memmem::find(value.as_bytes(), key).is_some()
    };
    for value in headers.values_mut().filter(|value| contains_key(value)) {
        *value = HeaderValue::from_static("masked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_api_key_is_redacted() {
        let redacted = |key: &str, text: &str| {
            String::from_utf8(redact_key(text.into(), &Secret::new(key.into()))).unwrap()
        };
        assert_eq!(redacted("sk-oPaQue77", "no sk-oPaQue77, nor sk-oPaQue77!"), "no ••••, nor ••••!");
        assert_eq!(redacted("sk-oPaQue77", "sk-oPaQue77"), "••••");
        assert_eq!(redacted("sk-oPaQue77", "sk-oPaQue7"), "sk-oPaQue7", "a part of the API key is kept");
        assert_eq!(
            redacted("such", "no such key"),
            "no such key",
            "an API key under 8 bytes is not redacted"
        );
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("r-sk-oPaQue77"));
        headers.insert("server", HeaderValue::from_static("s"));
        redact_key_in_headers(&mut headers, &Secret::new("sk-oPaQue77".into()));
        assert_eq!(
            (headers["x-request-id"].as_bytes(), headers["server"].as_bytes()),
            (&b"masked"[..], &b"s"[..])
        );
    }
}
