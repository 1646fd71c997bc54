//! Secrets inside a text: in the parameters of a URL, and as keys wherever they stand.
//!
//! The last line of defence, for text whose origin is not known to be clean; a secret that is known to be one is a
//! [`Secret`](crate::session::Secret) instead. It rather masks too much.

use std::borrow::Cow;

use serde_json::Value;

const REDACTED: &str = "••••";

/// `signingKey`, `apiKey`, `api_key`, `token` and `key`, and whatever else ends so; also inside another URL's parameter.
const PARAMETER_ENDINGS: [&str; 6] = ["key=", "token=", "key%3d", "token%3d", "key\":", "token\":"];
const API_KEY_PREFIXES: [&str; 2] = ["bb_live_", "bb_test_"];
/// Names of secrets that stand before a colon, too.
const SECRET_LABELS: [&str; 5] = ["signingkey", "signing_key", "apikey", "api_key", "token"];
/// What follows is a token, if it is as long as one and has a digit: “the bearer token” is none.
const BEARER_PREFIX: &str = "bearer ";
const MIN_TOKEN_LENGTH: usize = 8;
const SCHEME_END: &str = "://";

/// Whatever is masked has one of these before it or in it: ids and names, of which a list has thousands, have none.
fn is_secret_marker(byte: u8) -> bool {
    matches!(byte, b'=' | b'%' | b'"' | b':' | b' ' | b'_')
}

/// `text` with '••••' in the place of each secret: the values of `signingKey=`, `apiKey=`, `api_key=`, `token=` and
/// `key=`, up to `&`, `#`, a space or a quote, bearer tokens, the passwords of URLs, and whole API keys. Capital letters or small ones are the same.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(is_secret_marker) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (visible_bytes, secret_bytes) = match_secret(rest);
        let (Some(shown), Some(after)) =
            (rest.get(..visible_bytes), rest.get(visible_bytes + secret_bytes..))
        else {
            return safe.into(); // unreachable: both ends are those of characters
        };
        safe.push_str(shown);
        if secret_bytes > 0 {
            safe.push_str(REDACTED);
        }
        if after.is_empty() {
            return safe.into();
        }
        rest = after;
    }
}

/// How many bytes of `rest` may be shown, and how many after them are a secret: of a secret if it begins with
/// one, and else of one character.
fn match_secret(rest: &str) -> (usize, usize) {
    let starts = |with: &&&str| rest.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if let Some(name) = PARAMETER_ENDINGS.iter().find(starts) {
        let value = rest.get(name.len()..).unwrap_or_default();
        let is_json_member = name.ends_with(':');
        let unquoted = value.trim_start_matches(|c| matches!(c, '"' | '\'') || is_json_member && c == ' ');
        return (name.len() + value.len() - unquoted.len(), secret_length(unquoted));
    }
    if let Some(found) = match_labelled_secret(rest) {
        return found;
    }
    if starts(&&BEARER_PREFIX) {
        let token = secret_length(rest.get(BEARER_PREFIX.len()..).unwrap_or_default());
        let word =
            rest.get(BEARER_PREFIX.len()..BEARER_PREFIX.len().saturating_add(token)).unwrap_or_default();
        let is_token = word.len() >= MIN_TOKEN_LENGTH && word.contains(|c: char| c.is_ascii_digit());
        return (BEARER_PREFIX.len(), if is_token { token } else { 0 });
    }
    if let Some((before, password)) = rest.strip_prefix(SCHEME_END).and_then(match_url_password) {
        return (SCHEME_END.len().saturating_add(before), password);
    }
    match API_KEY_PREFIXES.iter().find(starts) {
        Some(prefix) if secret_length(rest) > prefix.len() => (0, secret_length(rest)),
        _ => (rest.chars().next().map_or(0, char::len_utf8), 0),
    }
}

/// A secret's name and its value as programs write them down: `signingKey: x`, `'apiKey': 'x'`, also with escaped quotes.
fn match_labelled_secret(rest: &str) -> Option<(usize, usize)> {
    let is_prefix = |name: &&&str| rest.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
    let name = SECRET_LABELS.iter().find(is_prefix)?;
    let quote = |c: char| matches!(c, '"' | '\'' | '\\');
    let after = rest.get(name.len()..)?.trim_start_matches(quote).trim_start_matches(' ');
    let value = after.strip_prefix([':', '='])?.trim_start_matches(' ').trim_start_matches(quote);
    Some((rest.len().saturating_sub(value.len()), secret_length(value)))
}

/// In what follows a URL's scheme: how much stands before the password of `user:password@host`, and how long that is.
fn match_url_password(rest: &str) -> Option<(usize, usize)> {
    let ends_authority = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '\\') || c.is_whitespace();
    let authority = rest.get(..rest.find(ends_authority).unwrap_or(rest.len()))?;
    let (user, _) = authority.rsplit_once('@')?;
    let (name, password) = user.split_once(':')?;
    Some((name.len().saturating_add(1), password.len()))
}

/// Where a secret that `text` begins with ends.
fn secret_length(text: &str) -> usize {
    text.find(|c: char| matches!(c, '&' | '#' | '"' | '\'') || c.is_whitespace()).unwrap_or(text.len())
}

/// Whether a field of this name holds a secret, whatever its value looks like: `signing_key`, `apiKey`, `token`.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    ["signingkey", "apikey", "token", "secret", "password"].iter().any(|end| bare.ends_with(end))
}

/// Masks every text in `value`, names of members too, and all that stands below a [secret name](is_secret_name).
pub fn redact_values(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(redact_values),
        Value::Object(map) => {
            for (name, mut value) in std::mem::take(map) {
                if is_secret_name(&name) && !value.is_null() {
                    value = Value::from(REDACTED);
                } else {
                    redact_values(&mut value);
                }
                let mut name = redact(&name).into_owned();
                while map.contains_key(&name) {
                    name.push_str(REDACTED); // two secrets as names are two members still
                }
                map.insert(name, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_looked_for_has_a_sign_without_which_nothing_is() {
        for pattern in
            PARAMETER_ENDINGS.into_iter().chain(API_KEY_PREFIXES).chain([BEARER_PREFIX, SCHEME_END])
        {
            assert!(pattern.bytes().any(is_secret_marker), "{pattern}");
        }
    }

    #[test]
    fn a_member_of_a_json_text_is_masked_as_a_parameter_is() {
        assert_eq!(redact(r#"{"signingKey": "abc","b":1}"#), r#"{"signingKey": "••••","b":1}"#);
    }

    #[test]
    fn a_secret_is_masked_in_whatever_way_a_program_writes_it_down() {
        for (text, safe) in [
            ("{'signingKey': 'abc', 'a': 1}", "{'signingKey': '••••', 'a': 1}"),
            ("signingKey: abc then", "signingKey: •••• then"),
            ("signing_key = abc then", "signing_key = •••• then"),
            (r#"{\"signingKey\" : \"abc\"}"#, r#"{\"signingKey\" : \"••••"}"#),
            ("a token of it, and tokens", "a token of it, and tokens"),
        ] {
            assert_eq!(redact(text), safe);
        }
    }

    #[test]
    fn values_are_masked_by_their_names_and_by_their_looks() {
        let json = r#"{"url":"wss://c/?signing\u004bey=abc","signing_key":"abc","run":{"apiKey":{"a":"abc"}},"env":"prod"}"#;
        let mut value: Value = serde_json::from_str(json).unwrap();
        redact_values(&mut value);
        let masked = value.to_string();
        assert!(!masked.contains("abc") && masked.contains("prod"), "{masked}");
    }

    #[test]
    fn the_values_of_secret_parameters_are_masked_and_the_rest_is_kept() {
        for (text, safe) in [
            ("", ""),
            ("nothing of the kind, über alles", "nothing of the kind, über alles"),
            (
                "wss://connect.usw2.browserbase.com/?signingKey=eyJ.a-b_c",
                "wss://connect.usw2.browserbase.com/?signingKey=••••",
            ),
            ("wss://c/?apiKey=abc&sessionId=1#x", "wss://c/?apiKey=••••&sessionId=1#x"),
            ("?API_KEY=abc#top", "?API_KEY=••••#top"),
            ("?a=1&Token=abc&key=def", "?a=1&Token=••••&key=••••"),
            ("?access_token=abc", "?access_token=••••"),
            ("?key=&token=", "?key=&token="),
            ("said key=\"abc\", and token='def' then", "said key=\"••••\", and token='••••' then"),
            ("?wss=c%2F%3FsigningKey%3Dabc%26x&debug=1", "?wss=c%2F%3FsigningKey%3D••••&debug=1"),
            ("?key=…ü✓", "?key=••••"),
        ] {
            assert_eq!(redact(text), safe);
        }
    }

    #[test]
    fn a_name_can_be_the_secret_and_no_member_is_lost_by_that() {
        let json = r#"{"bb_live_abc":1,"bb_live_def":{"wss://c/?signingKey=abc":2},"plain":3}"#;
        let mut value: Value = serde_json::from_str(json).unwrap();
        redact_values(&mut value);
        let masked = value.to_string();
        assert!(!masked.contains("abc") && !masked.contains("def"), "{masked}");
        assert!(["1", "2", "3"].iter().all(|number| masked.contains(number)), "{masked}");
    }

    #[test]
    fn bearer_tokens_and_the_passwords_of_urls_are_masked_and_words_are_not() {
        for (text, safe) in [
            ("Authorization: Bearer abcdef12 then", "Authorization: Bearer •••• then"),
            ("{\"auth\":\"bearer eyJhbGciOi.J9\"}", "{\"auth\":\"bearer ••••\"}"),
            ("a bearer of good news, the bearer token", "a bearer of good news, the bearer token"),
            ("https://user:pa55@host/x?a=1", "https://user:••••@host/x?a=1"),
            ("https://user@host:8080/a:b@c", "https://user@host:8080/a:b@c"),
            ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ] {
            assert_eq!(redact(text), safe);
        }
    }

    #[test]
    fn whole_api_keys_are_masked_wherever_they_stand() {
        for (text, safe) in [
            ("X-BB-API-Key: bb_live_Ab-9_z and on", "X-BB-API-Key: •••• and on"),
            ("\"BB_TEST_xyz\"", "\"••••\""),
            ("?key=bb_live_abc&x", "?key=••••&x"),
            ("bb_live_abckey=def", "••••"),
            ("keys begin with bb_live_ or bb_test_", "keys begin with bb_live_ or bb_test_"),
        ] {
            assert_eq!(redact(text), safe);
        }
    }
}
