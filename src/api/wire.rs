//! JSON as the API sends it → the domain. Tolerant: one odd field costs that field, one odd element costs that element.
//!
//! The three connect fields are secrets. [`session`] looks whether they are there and steps over them; only [`fresh`]
//! takes them out.

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

/// How many fields beyond the contract's are kept, and how much of each.
const MAX_EXTRA_FIELDS: usize = 32;
const MAX_EXTRA_FIELD_BYTES: usize = 1024;
/// The longest text of a known field, in bytes. Real ones are under 64.
const MAX_TEXT_BYTES: usize = 4096;

/// The reply to `GET /v1/sessions/{id}`.
pub(super) fn session(body: &[u8], requested_id: &SessionId) -> Result<Session, ApiError> {
    let mut builder: SessionBuilder = parse_json(&utf8_lossy(body))?;
    let connect = builder.connect;
    builder.id.get_or_insert_with(|| requested_id.clone());
    let mut session = builder.build().map_err(unexpected_response)?;
    session.connect = Some(connect);
    Ok(session)
}

/// The same reply, with its secrets.
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

/// The reply to `GET /v1/sessions/{id}/debug`: of its URLs, each of which controls the browser, the one of the live view.
pub(super) fn live_view(body: &[u8]) -> Result<ConnectUrls, ApiError> {
    let text = utf8_lossy(body);
    let fields: RawFields<'_> = parse_json(&text)?;
    let url: Option<String> = fields.get("debuggerFullscreenUrl").and_then(|raw| decode(raw.get()));
    let live_view = url.filter(|url| !url.is_empty()).map(Secret::new);
    Ok(ConnectUrls { live_view, ..ConnectUrls::default() })
}

/// The reply to `GET /v1/projects`.
pub(super) fn projects(body: &[u8]) -> Result<Vec<Project>, ApiError> {
    let body = utf8_lossy(body);
    let elements: Vec<&RawValue> = parse_json(&body)?;
    Ok(elements.into_iter().filter_map(|element| project(element.get())).collect())
}

fn project(element: &str) -> Option<Project> {
    let fields: RawFields<'_> = serde_json::from_str(element).ok()?;
    let field = |name| fields.get(name).map(|raw| raw.get());
    let named = |name| field(name).and_then(redacted_text).filter(|text| !text.is_empty());
    let id = named("id")?;
    let seconds = field("defaultTimeout").and_then(decode::<f64>);
    Some(Project {
        name: named("name").unwrap_or_else(|| id.clone()),
        id,
        default_timeout: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        concurrency: field("concurrency").and_then(integer).and_then(|places| places.try_into().ok()),
    })
}

/// The message of an error's body, where it has one. It need not be a string.
pub(super) fn error_message(body: &[u8]) -> Option<Untrusted> {
    let body = utf8_lossy(body);
    let fields: RawFields<'_> = serde_json::from_str(&body).ok()?;
    let said = |name| fields.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
    let raw = said("message").or_else(|| said("error"))?;
    let message: String = decode(raw).unwrap_or_else(|| redact_json(raw));
    // promise: masked-message, mutant: &redact(&message) -> &message
    Some(Untrusted::new(truncate(&redact(&message), MAX_TEXT_BYTES)))
}

/// A value that is no text, with what is secret by its name masked, however its JSON is written.
fn redact_json(raw: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(raw).map(|mut value| {
        redact_values(&mut value);
        value.to_string()
    });
    value.unwrap_or_else(|_| "it can not be read".into())
}

/// Fields of which the last of a name counts, as in JavaScript.
type RawFields<'a> = HashMap<String, &'a RawValue>;

/// What came, as text: bytes that are no letter cost that letter and not the whole answer.
fn utf8_lossy(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => text.into(), // quicker than looking for what is lossy
        Err(_) => String::from_utf8_lossy(body),
    }
}

/// What is JSON, or begins like it, is not quoted in the fault: connect fields may stand in it.
fn parse_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        let text = text.trim();
        let kind = match text.chars().next() {
            Some(_) if error.is_eof() => return ApiErrorKind::ConnectionClosed.into(),
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
                return ApiErrorKind::NotJson(Untrusted::new(redact(truncate(text, 200)))).into();
            }
        };
        unexpected_response(&format!("it is {kind}"))
    })
}

fn unexpected_response(why: &str) -> ApiError {
    ApiErrorKind::Unexpected(Untrusted::new(why)).into()
}

fn truncate(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest)).unwrap_or_default()
}

/// A session while its fields come in.
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
    connect: ConnectFields,
    extra_fields: Vec<(Untrusted, Untrusted)>,
    extra_fields_dropped: u32,
}

impl SessionBuilder {
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
            connect: None,
            extra_fields: self.extra_fields,
            extra_fields_dropped: self.extra_fields_dropped,
        })
    }

    /// One field that is not a secret. What is not of its type goes to the others, as its text.
    fn set_field(&mut self, name: &str, raw: &str) {
        if raw == "null" {
            return;
        }
        let taken = match name {
            "id" => set_if_some(&mut self.id, id(raw)),
            "projectId" => set_if_some(&mut self.project, redacted_text(raw)),
            "status" => set_if_some(&mut self.status, redacted_str(raw).map(|word| Status::from_api(&word))),
            "createdAt" => set_if_some(&mut self.created, time(raw)),
            "updatedAt" => set_if_some(&mut self.updated, time(raw)),
            "startedAt" => set_if_some(&mut self.started, time(raw)),
            "endedAt" => set_if_some(&mut self.ended, time(raw)),
            "expiresAt" => set_if_some(&mut self.expires, time(raw)),
            "proxyBytes" => set_if_some(&mut self.proxy_bytes, integer(raw)),
            "keepAlive" => set_if_some(&mut self.keep_alive, decode(raw)),
            "contextId" => set_if_some(&mut self.context, redacted_text(raw).filter(|id| !id.is_empty())),
            // promise: masked-region, mutant: redacted_str(raw) -> string(raw)
            "region" => set_if_some(&mut self.region, redacted_str(raw).map(|word| Region::from_api(&word))),
            "userMetadata" => {
                set_if_some(&mut self.metadata, raw.starts_with('{').then(|| Metadata::new(raw)))
            }
            _ => false,
        };
        if !taken && self.extra_fields.len() >= MAX_EXTRA_FIELDS {
            self.extra_fields_dropped = self.extra_fields_dropped.saturating_add(1);
        } else if !taken {
            let value = extra_field_text(name, raw);
            self.extra_fields.push((Untrusted::new(truncate(name, 256)), Untrusted::new(value)));
        }
    }
}

/// The JSON text of a field that is kept as it came, but for its secrets: these are looked for in the decoded texts, for
/// an escape may hide one.
fn extra_field_text(name: &str, raw: &str) -> String {
    if is_secret_name(name) {
        return "\"••••\"".to_owned();
    }
    match decode::<Value>(raw) {
        Some(value) => {
            let mut safe = value.clone();
            redact_values(&mut safe);
            if safe == value {
                truncate(raw, MAX_EXTRA_FIELD_BYTES).to_owned()
            } else {
                truncate(&safe.to_string(), MAX_EXTRA_FIELD_BYTES).to_owned()
            }
        }
        None if raw.contains("\\u") => "\"••••\"".to_owned(), // too deep to be decoded, and so to be searched
        None => redact(truncate(raw, MAX_EXTRA_FIELD_BYTES)).into_owned(),
    }
}

fn set_if_some<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    let taken = value.is_some();
    if taken {
        *field = value;
    }
    taken
}

fn decode<T: DeserializeOwned>(raw: &str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

/// An id that a request can carry: URLs drop segments that are empty or dots, and breaks and tabs inside of one. What
/// looks like a secret is none: ids are written down and handed to browsers.
fn id(raw: &str) -> Option<SessionId> {
    let id = text(raw).filter(|id| !matches!(id.raw(), "" | "." | ".."))?;
    let is_safe = match redact(id.raw()) {
        Cow::Borrowed(_) => true, // as it was
        Cow::Owned(safe) => safe == id.raw(),
    };
    // promise: secret-id, mutant: is_safe -> true
    let is_fit = is_safe && !id.raw().contains(['\t', '\n', '\r']);
    is_fit.then(|| SessionId::from_api(id))
}

/// A text that is kept and written down as it is, but for what looks like a secret.
fn redacted_text(raw: &str) -> Option<Untrusted> {
    redacted_str(raw).map(Untrusted::new)
}

fn redacted_str(raw: &str) -> Option<Cow<'_, str>> {
    Some(match string(raw)? {
        Cow::Borrowed(text) => redact(truncate(text, MAX_TEXT_BYTES)),
        Cow::Owned(text) => redact(truncate(&text, MAX_TEXT_BYTES)).into_owned().into(),
    })
}

fn text(raw: &str) -> Option<Untrusted> {
    string(raw).map(|text| Untrusted::new(truncate(&text, MAX_TEXT_BYTES)))
}

/// The text that a JSON string stands for; most are what is written.
fn string(raw: &str) -> Option<Cow<'_, str>> {
    let written = raw.strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', written.as_bytes()) {
        None => Some(written.into()),
        Some(_) => decode(raw).map(String::into),
    }
}

/// RFC 3339 with any number of fraction digits and any offset, to a nanosecond.
fn time(raw: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(string(raw)?.trim()).ok().map(|time| time.to_utc())
}

/// An integer; also one that some JSON writers spell with a point or an exponent.
fn integer(raw: &str) -> Option<i64> {
    decode(raw).or_else(|| {
        let number: f64 = decode(raw)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and far inside i64 on the line before"
        )]
        (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
    })
}

/// The name of a field; most are what is written.
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
