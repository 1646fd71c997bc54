//! Decoders for the API's JSON. They are tolerant: they keep a session if one of its optional fields is invalid, and a
//! list if one of its elements is invalid. Errors about invalid JSON never quote it, because it may hold connect
//! fields.
//!
//! The three connect fields are secrets. [`session`] only notes which connect fields are present; [`session_with_urls`]
//! extracts them. [`live_view`] extracts the URL of the live view, which is a secret, too.

mod json_array;
mod list;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{
    ApiError, ApiErrorKind, ConnectFields, ConnectUrls, Metadata, Project, Region, Secret, Session,
    SessionId, Status,
};
use keepwatch_core::text::{Untrusted, is_secret_name, redact, redact_values};

pub(super) use list::{InternCache, ListReader};

/// The maximum number of extra fields to keep of a session. An extra field is undocumented, or its value has the wrong
/// type.
const MAX_EXTRA_FIELDS: usize = 32;
/// The maximum number of bytes to keep of the name of an extra field.
const MAX_EXTRA_NAME_BYTES: usize = 256;
/// The maximum number of bytes to keep of the value of an extra field.
const MAX_EXTRA_VALUE_BYTES: usize = 1024;
/// The maximum number of bytes to keep of a text in a documented field, or of the API's error message. Real texts of
/// fields are shorter than 64 bytes.
const MAX_TEXT_BYTES: usize = 4096;
/// The maximum number of bytes that an error quotes from a body that is not JSON.
const MAX_QUOTED_BYTES: usize = 200;

/// Decodes the response to `GET /v1/sessions/{id}`. A response about another session, for example from a misconfigured
/// cache, is an error. So is a response without an `id`: it may be about any session.
pub(super) fn session(body: &[u8], requested_id: &SessionId) -> Result<Session, ApiError> {
    let builder: SessionBuilder = parse_json(&utf8_lossy(body))?;
    let connect_fields = builder.connect;
    let mut session = builder.build().map_err(unexpected_response)?;
    // promise: matching-id, mutant: !session.id.raw().eq_ignore_ascii_case(requested_id.raw()) -> false
    if !session.id.raw().eq_ignore_ascii_case(requested_id.raw()) {
        return Err(unexpected_response("the reply is about another session"));
    }
    session.connect = Some(connect_fields);
    Ok(session)
}

/// Decodes the response to `GET /v1/sessions/{id}` as [`session`] does, and extracts its connect fields.
pub(super) fn session_with_urls(
    body: &[u8],
    requested_id: &SessionId,
) -> Result<(Session, ConnectUrls), ApiError> {
    let session = session(body, requested_id)?;
    let text = utf8_lossy(body);
    let fields: RawFields<'_> = parse_json(&text)?;
    let secret = |name| {
        let value: String = decode(fields.get(name)?.get())?;
        (!value.is_empty()).then(|| Secret::new(value))
    };
    let urls = ConnectUrls {
        connect: secret("connectUrl"),
        selenium: secret("seleniumRemoteUrl"),
        signing_key: secret("signingKey"),
        live_view: None,
    };
    Ok((session, urls))
}

/// Decodes the response to `GET /v1/sessions/{id}/debug`. Keeps only the URL of the live view, because every URL in the
/// response gives control of the browser.
pub(super) fn live_view(body: &[u8]) -> Result<ConnectUrls, ApiError> {
    let text = utf8_lossy(body);
    let fields: RawFields<'_> = parse_json(&text)?;
    let url: Option<String> = fields.get("debuggerFullscreenUrl").and_then(|raw| decode(raw.get()));
    let live_view = url.filter(|url| !url.is_empty()).map(Secret::new);
    Ok(ConnectUrls { live_view, ..ConnectUrls::default() })
}

/// Decodes the response to `GET /v1/projects`. Skips elements that are not projects.
pub(super) fn projects(body: &[u8]) -> Result<Vec<Project>, ApiError> {
    let body = utf8_lossy(body);
    let elements: Vec<&RawValue> = parse_json(&body)?;
    Ok(elements.into_iter().filter_map(|element| project(element.get())).collect())
}

/// Decodes one project. Returns `None` if the element has no `id`.
fn project(element: &str) -> Option<Project> {
    let fields: RawFields<'_> = serde_json::from_str(element).ok()?;
    let field = |name| fields.get(name).map(|raw| raw.get());
    let text_field = |name| field(name).and_then(redacted_text).filter(|text| !text.is_empty());
    let id = text_field("id")?;
    let seconds = field("defaultTimeout").and_then(decode::<f64>);
    Some(Project {
        name: text_field("name").unwrap_or_else(|| id.clone()),
        id,
        default_timeout: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        concurrency: field("concurrency").and_then(integer).and_then(|limit| limit.try_into().ok()),
    })
}

/// Returns the message in the body of an error response, from the field `message` or else `error`. Returns a message
/// that is not a string as JSON. Returns `None` if the body has neither field.
pub(super) fn error_message(body: &[u8]) -> Option<Untrusted> {
    let body = utf8_lossy(body);
    let fields: RawFields<'_> = serde_json::from_str(&body).ok()?;
    let field = |name| fields.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
    let raw = field("message").or_else(|| field("error"))?;
    let message: String = decode(raw).unwrap_or_else(|| redact_json(raw));
    // promise: masked-message, mutant: &redact(&message) -> &message
    Some(Untrusted::new(truncate(&redact(&message), MAX_TEXT_BYTES)))
}

/// Returns the JSON of a value with its secrets redacted. Decodes the value first, because escapes may hide a secret.
fn redact_json(raw: &str) -> String {
    let redacted = serde_json::from_str::<Value>(raw).map(|mut value| {
        redact_values(&mut value);
        value.to_string()
    });
    redacted.unwrap_or_else(|_| "it can not be read".into())
}

/// The fields of a JSON object. If a name occurs twice, the last field counts, as in JavaScript.
type RawFields<'a> = HashMap<String, &'a RawValue>;

/// Returns the body as text, without a byte order mark. Replaces only the invalid bytes of invalid UTF-8.
fn utf8_lossy(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => text.into(), // faster than a lossy conversion
        Err(_) => String::from_utf8_lossy(body),
    }
}

/// Parses JSON. The error quotes the text only if the text does not look like JSON, because JSON may hold connect
/// fields.
fn parse_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        let text = text.trim();
        let json_type = match text.chars().next() {
            Some(_) if error.is_eof() => return ApiErrorKind::IncompleteJson.into(),
            Some('{') if error.is_data() => "an object",
            Some('[') if error.is_data() => "a list",
            Some('"') if error.is_data() => "a text",
            Some(_) if error.is_data() => "a plain value",
            Some('{' | '[' | '"') => {
                return unexpected_response(&format!(
                    "broken JSON at line {} column {}",
                    error.line(),
                    error.column()
                ));
            }
            Some(_) | None => {
                return ApiErrorKind::NotJson(Untrusted::new(redact(truncate(text, MAX_QUOTED_BYTES))))
                    .into();
            }
        };
        unexpected_response(&format!("it is {json_type}"))
    })
}

fn unexpected_response(problem: &str) -> ApiError {
    ApiErrorKind::Unexpected(Untrusted::new(problem)).into()
}

fn truncate(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or_default()
}

/// A session under construction, field by field.
#[derive(Default)]
struct SessionBuilder {
    id: Option<SessionId>,
    project: Option<Untrusted>,
    status: Option<Status>,
    created: Option<Timestamp>,
    updated: Option<Timestamp>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    expires: Option<Timestamp>,
    proxy_bytes: Option<i64>,
    keep_alive: Option<bool>,
    context: Option<Untrusted>,
    region: Option<Region>,
    metadata: Option<Metadata>,
    /// The connect fields that are present.
    connect: ConnectFields,
    /// The names and JSON values of the extra fields.
    extra_fields: Vec<(Untrusted, Untrusted)>,
    /// The number of extra fields beyond [`MAX_EXTRA_FIELDS`].
    extra_fields_dropped: u32,
}

impl SessionBuilder {
    /// Returns the session, or an error message if a required field is missing.
    fn build(self) -> Result<Session, &'static str> {
        Ok(Session {
            id: self.id.ok_or("`id` is missing")?,
            project: self.project,
            status: self.status.ok_or("`status` is missing")?,
            created: self.created,
            updated: self.updated,
            started: self.started,
            ended: self.ended,
            expires: self.expires,
            proxy_bytes: self.proxy_bytes,
            keep_alive: self.keep_alive,
            context: self.context,
            region: self.region,
            metadata: self.metadata,
            connect: None, // lists have no connect fields; `session` sets this
            extra_fields: self.extra_fields,
            extra_fields_dropped: self.extra_fields_dropped,
        })
    }

    /// Sets one field that is not a secret. An undocumented field becomes an extra field, as JSON text. So does a field
    /// whose value has the wrong type. `null` counts as a missing field. If a name occurs twice, the last field counts.
    fn set_field(&mut self, name: &str, raw: &str) {
        let short_name = truncate(name, MAX_EXTRA_NAME_BYTES);
        self.extra_fields.retain(|(other, _)| other.raw() != short_name);
        let is_set = match name {
            "id" => set(&mut self.id, id(raw)),
            "projectId" => set(&mut self.project, redacted_text(raw)),
            "status" => set(&mut self.status, redacted_str(raw).map(|word| Status::from_api(&word))),
            "createdAt" => set(&mut self.created, time(raw)),
            "updatedAt" => set(&mut self.updated, time(raw)),
            "startedAt" => set(&mut self.started, time(raw)),
            "endedAt" => set(&mut self.ended, time(raw)),
            "expiresAt" => set(&mut self.expires, time(raw)),
            "proxyBytes" => set(&mut self.proxy_bytes, integer(raw)),
            "keepAlive" => set(&mut self.keep_alive, decode(raw)),
            "contextId" => set(&mut self.context, redacted_text(raw).filter(|id| !id.is_empty())),
            // promise: masked-region, mutant: redacted_str(raw) -> string(raw)
            "region" => set(&mut self.region, redacted_str(raw).map(|word| Region::from_api(&word))),
            "userMetadata" => set(&mut self.metadata, raw.starts_with('{').then(|| Metadata::new(raw))),
            _ => false, // an undocumented field
        };
        if is_set || raw == "null" {
            return;
        }
        if self.extra_fields.len() >= MAX_EXTRA_FIELDS {
            self.extra_fields_dropped = self.extra_fields_dropped.saturating_add(1);
        } else {
            let value = extra_field_text(name, raw);
            self.extra_fields.push((Untrusted::new(short_name), Untrusted::new(value)));
        }
    }
}

/// Returns the value of an extra field as JSON text, with its secrets redacted. Searches the decoded value for secrets,
/// because escapes may hide a secret.
fn extra_field_text(name: &str, raw: &str) -> String {
    if is_secret_name(name) {
        return "\"••••\"".to_owned();
    }
    match decode::<Value>(raw) {
        Some(value) => {
            let mut safe = value.clone();
            redact_values(&mut safe);
            if safe == value {
                truncate(raw, MAX_EXTRA_VALUE_BYTES).to_owned()
            } else {
                truncate(&safe.to_string(), MAX_EXTRA_VALUE_BYTES).to_owned()
            }
        }
        None if raw.contains("\\u") => "\"••••\"".to_owned(), // nested too deeply to be decoded and searched
        None => redact(truncate(raw, MAX_EXTRA_VALUE_BYTES)).into_owned(),
    }
}

/// Sets `field` to `value`. Returns true if `value` is not `None`.
fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

fn decode<T: DeserializeOwned>(raw: &str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

/// Decodes a session id that is safe in a URL. Rejects an id that a URL would lose or change: an empty one, `.`, `..`,
/// and one with a line break or a tab. Also rejects text that looks like a secret, because ids are stored and passed to
/// browsers.
fn id(raw: &str) -> Option<SessionId> {
    let id = text(raw).filter(|id| !matches!(id.raw(), "" | "." | ".."))?;
    let is_safe = match redact(id.raw()) {
        Cow::Borrowed(_) => true, // nothing was redacted
        Cow::Owned(safe) => safe == id.raw(),
    };
    // promise: secret-id, mutant: is_safe -> true
    let is_valid = is_safe && !id.raw().contains(['\t', '\n', '\r']);
    is_valid.then(|| SessionId::from_api(id))
}

/// Decodes and truncates a text. Redacts secrets in it, because the text is stored.
fn redacted_text(raw: &str) -> Option<Untrusted> {
    redacted_str(raw).map(Untrusted::new)
}

/// Decodes a text as [`redacted_text`] does, but borrows it if it has no escapes and no secrets.
fn redacted_str(raw: &str) -> Option<Cow<'_, str>> {
    Some(match string(raw)? {
        Cow::Borrowed(text) => redact(truncate(text, MAX_TEXT_BYTES)),
        Cow::Owned(text) => redact(truncate(&text, MAX_TEXT_BYTES)).into_owned().into(),
    })
}

/// Decodes and truncates a text, and redacts nothing: only for [`id`], which rejects secrets.
fn text(raw: &str) -> Option<Untrusted> {
    string(raw).map(|text| Untrusted::new(truncate(&text, MAX_TEXT_BYTES)))
}

/// Decodes a JSON string. Borrows the text, except if it has escapes, which are rare.
fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inside_quotes = raw.strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inside_quotes.as_bytes()) {
        None => Some(inside_quotes.into()),
        Some(_) => decode(raw).map(String::into),
    }
}

/// Decodes an RFC 3339 time to the nanosecond. It may have any offset, and any number of fraction digits.
fn time(raw: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(string(raw)?.trim()).ok().map(|time| time.to_utc())
}

/// Decodes an integer. Some JSON writers spell integers with a point or an exponent, such as `2.0e3`.
fn integer(raw: &str) -> Option<i64> {
    decode(raw).or_else(|| {
        let number: f64 = decode(raw)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the condition checks that the number is whole and far inside i64"
        )]
        (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
    })
}

/// The name of a JSON field. Borrows the text, except if it has escapes, which are rare.
struct FieldName<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for FieldName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldNameVisitor;
        impl<'de> Visitor<'de> for FieldNameVisitor {
            type Value = FieldName<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<FieldName<'de>, E> {
                Ok(FieldName(name.into()))
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldName<'de>, E> {
                Ok(FieldName(name.to_owned().into()))
            }
        }
        deserializer.deserialize_str(FieldNameVisitor)
    }
}

impl<'de> Deserialize<'de> for SessionBuilder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SessionVisitor;
        impl<'de> Visitor<'de> for SessionVisitor {
            type Value = SessionBuilder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session, as a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SessionBuilder, A::Error> {
                let mut builder = SessionBuilder::default();
                while let Some(FieldName(name)) = map.next_key()? {
                    let raw = map.next_value::<&RawValue>()?.get();
                    // A connect field is present if its value is a string that is not empty.
                    let is_present = raw.starts_with('"') && raw != "\"\"";
                    match name.as_ref() {
                        // promise: connect-fields, mutant: builder.connect.connect_url = is_present -> { builder.connect.connect_url = is_present; builder.set_field(&name, raw); }
                        "connectUrl" => builder.connect.connect_url = is_present,
                        "seleniumRemoteUrl" => builder.connect.selenium_remote_url = is_present,
                        "signingKey" => builder.connect.signing_key = is_present,
                        _ => builder.set_field(&name, raw),
                    }
                }
                Ok(builder)
            }
        }
        deserializer.deserialize_map(SessionVisitor)
    }
}

#[cfg(test)]
mod tests;
