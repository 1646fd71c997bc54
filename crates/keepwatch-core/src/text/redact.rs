//! Redaction of secrets inside text: URL parameters, labelled values, bearer tokens, passwords and API keys.
//!
//! This is the last line of defence, for text that may contain a secret. Known secrets are
//! [`Secret`](crate::session::Secret)s instead. In doubt, this module redacts too much.

use std::borrow::Cow;

use serde_json::Value;

const REDACTED: &str = "••••";

/// The ends of parameter names before a secret, each with the separator after the name. They match `signingKey=`,
/// `apiKey=`, `api_key=`, `token=`, `key=` and others. `%3d` is the '=' of a URL inside another URL's parameter, and
/// `":` ends the name of a JSON member.
const PARAMETER_ENDINGS: [&str; 6] = ["key=", "token=", "key%3d", "token%3d", "key\":", "token\":"];
const API_KEY_PREFIXES: [&str; 2] = ["bb_live_", "bb_test_"];
/// Names of secrets. A colon or an equals sign, with optional quotes and spaces, separates the name from the secret.
const SECRET_LABELS: [&str; 5] = ["signingkey", "signing_key", "apikey", "api_key", "token"];
/// The prefix of a bearer token. The next word is a token only if it is long enough and has a digit. So the phrase "the
/// bearer token" stays visible.
const BEARER_PREFIX: &str = "bearer ";
const MIN_TOKEN_LENGTH: usize = 8;
const SCHEME_END: &str = "://";

/// Returns true if `byte` is a marker. Every pattern of a secret contains a marker, so text without markers needs no
/// search. A list of sessions has thousands of such texts: most ids and names.
fn is_secret_marker(byte: u8) -> bool {
    matches!(byte, b'=' | b'%' | b'"' | b':' | b' ' | b'_')
}

/// Replaces each secret in `text` with '••••': the value of a parameter whose name ends in `key` or `token`, such as
/// `signingKey=`, up to `&`, `#`, a space or a quote; values after labels such as `signingKey:`; bearer tokens;
/// passwords in URLs; and whole API keys. Ignores case.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    redact_start(text, false)
}

/// Redacts `text`, as [`redact`] does. If `is_cut`, `text` is only the start of a longer text. Then a secret that only
/// the missing part could confirm, such as a password whose `@` follows the cut, is also redacted.
pub(super) fn redact_start(text: &str, is_cut: bool) -> Cow<'_, str> {
    if !text.bytes().any(is_secret_marker) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    let mut remaining = text;
    loop {
        let (visible_bytes, secret_bytes) = match_secret(remaining, is_cut);
        let (Some(shown), Some(after)) =
            (remaining.get(..visible_bytes), remaining.get(visible_bytes + secret_bytes..))
        else {
            return safe.into(); // unreachable: both lengths end at a character boundary
        };
        safe.push_str(shown);
        if secret_bytes > 0 {
            safe.push_str(REDACTED);
        }
        if after.is_empty() {
            return safe.into();
        }
        remaining = after;
    }
}

/// Returns the number of visible bytes at the start of `remaining` and the number of secret bytes after them. Finds
/// only a secret whose pattern is at the start of `remaining`. Without such a secret, the second number is 0, and the
/// first is the length of the text that needs no further search, such as the first character. `is_cut` is true if the
/// text continues after `remaining`.
fn match_secret(remaining: &str, is_cut: bool) -> (usize, usize) {
    if let Some(name) = PARAMETER_ENDINGS.iter().find(|ending| has_prefix(remaining, ending)) {
        let value = remaining.get(name.len()..).unwrap_or_default();
        let is_json_member = name.ends_with(':');
        let unquoted = value.trim_start_matches(|c| matches!(c, '"' | '\'') || is_json_member && c == ' ');
        return (name.len() + value.len() - unquoted.len(), secret_length(unquoted));
    }
    if let Some(lengths) = match_labelled_secret(remaining) {
        return lengths;
    }
    if has_prefix(remaining, BEARER_PREFIX) {
        let after = remaining.get(BEARER_PREFIX.len()..).unwrap_or_default();
        let length = secret_length(after);
        let word = after.get(..length).unwrap_or_default();
        let is_cut_word = is_cut && word.len() == after.len();
        let has_digit = word.contains(|c: char| c.is_ascii_digit());
        let is_token = word.len() >= MIN_TOKEN_LENGTH && (has_digit || is_cut_word);
        return (BEARER_PREFIX.len(), if is_token { length } else { 0 });
    }
    if let Some((visible, secret)) =
        remaining.strip_prefix(SCHEME_END).and_then(|rest| match_url_password(rest, is_cut))
    {
        return (SCHEME_END.len().saturating_add(visible), secret);
    }
    match API_KEY_PREFIXES.iter().find(|prefix| has_prefix(remaining, prefix)) {
        Some(prefix) if secret_length(remaining) > prefix.len() => (0, secret_length(remaining)),
        _ => (remaining.chars().next().map_or(0, char::len_utf8), 0),
    }
}

/// Returns true if `text` starts with `prefix`, ignoring the case of ASCII letters.
fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Matches the name and value of a secret in a program's output: `signingKey: x`, `'apiKey': 'x'`, also with escaped
/// quotes. Returns the numbers of visible and of secret bytes, as [`match_secret`] does.
fn match_labelled_secret(remaining: &str) -> Option<(usize, usize)> {
    let name = SECRET_LABELS.iter().find(|label| has_prefix(remaining, label))?;
    let is_quote = |c: char| matches!(c, '"' | '\'' | '\\');
    let after = remaining.get(name.len()..)?.trim_start_matches(is_quote).trim_start_matches(' ');
    let value = after.strip_prefix([':', '='])?.trim_start_matches(' ').trim_start_matches(is_quote);
    Some((remaining.len().saturating_sub(value.len()), secret_length(value)))
}

/// Matches text of the form `user:password@host`. Returns the number of bytes before the password, and the length of
/// the password. If `is_cut`, the `@` may be missing, because it can follow the cut.
fn match_url_password(remaining: &str, is_cut: bool) -> Option<(usize, usize)> {
    let ends_authority = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '\\') || c.is_whitespace();
    let end = remaining.find(ends_authority);
    let authority = remaining.get(..end.unwrap_or(remaining.len()))?;
    let is_cut_authority = is_cut && end.is_none();
    let user_info = if is_cut_authority { authority } else { authority.rsplit_once('@')?.0 };
    let (user, password) = user_info.split_once(':')?;
    Some((user.len().saturating_add(1), password.len()))
}

/// Returns the length of the secret at the start of `text`, in bytes.
fn secret_length(text: &str) -> usize {
    let ends_secret = |c: char| matches!(c, '&' | '#' | '"' | '\'' | '”') || c.is_whitespace();
    text.find(ends_secret).unwrap_or(text.len())
}

/// Replaces each API key in `text` with '••••', and nothing else.
#[must_use]
pub fn redact_api_keys(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase(); // as long as `text`
    let find = |from: usize| {
        let rest = lower.get(from..)?;
        let at = API_KEY_PREFIXES.iter().filter_map(|prefix| rest.find(prefix)).min()?;
        Some(from.saturating_add(at))
    };
    let (mut safe, mut last_key_end) = (String::new(), 0);
    while let Some(key_start) = find(last_key_end) {
        safe.push_str(text.get(last_key_end..key_start).unwrap_or_default());
        safe.push_str(REDACTED);
        last_key_end = key_start.saturating_add(secret_length(text.get(key_start..).unwrap_or_default()));
    }
    if last_key_end == 0 {
        return text.into();
    }
    safe.push_str(text.get(last_key_end..).unwrap_or_default());
    safe.into()
}

/// Returns true if a field with this name holds a secret, whatever its value: `signing_key`, `apiKey`, `token`.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let bare: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    ["signingkey", "apikey", "token", "secret", "password"].iter().any(|end| bare.ends_with(end))
}

/// Redacts every text in `value`, including member names. The value of a member with a [secret name](is_secret_name) is
/// replaced as a whole, unless it is null.
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
                    name.push_str(REDACTED); // redacted names can be equal; both members are kept
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
    fn every_pattern_contains_a_marker() {
        // `SECRET_LABELS` are missing here, because the ':' or '=' that follows a label is a marker.
        for pattern in
            PARAMETER_ENDINGS.into_iter().chain(API_KEY_PREFIXES).chain([BEARER_PREFIX, SCHEME_END])
        {
            assert!(pattern.bytes().any(is_secret_marker), "{pattern}");
        }
    }

    #[test]
    fn only_api_keys_are_redacted() {
        for (text, safe) in [
            ("no profile “bb_live_abc”, which", "no profile “••••”, which"),
            // An API key ends only at a space, a quote, '&' or '#', so the colon is redacted with it.
            ("/x/BB_TEST_abc: no such file; bb_live_d", "/x/•••• no such file; ••••"),
            ("BROWSERBASE_API_KEY: not set, token=1", "BROWSERBASE_API_KEY: not set, token=1"),
        ] {
            assert_eq!(redact_api_keys(text), safe);
        }
    }

    #[test]
    fn secrets_in_json_text_are_redacted() {
        assert_eq!(redact(r#"{"signingKey": "abc","b":1}"#), r#"{"signingKey": "••••","b":1}"#);
    }

    #[test]
    fn labelled_secrets_are_redacted() {
        for (text, safe) in [
            ("{'signingKey': 'abc', 'a': 1}", "{'signingKey': '••••', 'a': 1}"),
            ("signingKey: abc then", "signingKey: •••• then"),
            ("signing_key = abc then", "signing_key = •••• then"),
            // A secret can contain a backslash, so the one before the closing quote is redacted with it.
            (r#"{\"signingKey\" : \"abc\"}"#, r#"{\"signingKey\" : \"••••"}"#),
            ("a token of it, and tokens", "a token of it, and tokens"),
        ] {
            assert_eq!(redact(text), safe);
        }
    }

    #[test]
    fn secrets_in_parsed_json_are_redacted() {
        let json = r#"{"url":"wss://c/?signing\u004bey=abc","signing_key":"abc","run":{"apiKey":{"a":"abc"}},"env":"prod"}"#;
        let mut value: Value = serde_json::from_str(json).unwrap();
        redact_values(&mut value);
        let redacted = value.to_string();
        assert!(!redacted.contains("abc") && redacted.contains("prod"), "{redacted}");
    }

    #[test]
    fn only_secret_parameters_are_redacted() {
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
    fn members_with_redacted_names_are_kept() {
        let json = r#"{"bb_live_abc":1,"bb_live_def":{"wss://c/?signingKey=abc":2},"plain":3}"#;
        let mut value: Value = serde_json::from_str(json).unwrap();
        redact_values(&mut value);
        let redacted = value.to_string();
        assert!(!redacted.contains("abc") && !redacted.contains("def"), "{redacted}");
        assert!(["1", "2", "3"].iter().all(|number| redacted.contains(number)), "{redacted}");
    }

    #[test]
    fn bearer_tokens_and_passwords_are_redacted() {
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
    fn api_keys_are_redacted_anywhere() {
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
