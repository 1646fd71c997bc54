//! JSON as the API sends it → the domain. Tolerant: one odd field costs that field, one odd element costs that element.
//!
//! The three connect fields are secrets. [`session`] skips them without ever holding their values; only [`fresh`]
//! takes them out.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::client::Listing;
use crate::clock::Timestamp;
use crate::session::{
    ConnectFields, ConnectUrls, Fault, FaultKind, Metadata, Project, Region, Secret, Session, SessionId,
    Status,
};
use crate::text::Untrusted;

/// How many fields beyond the contract's are kept, and how much of each.
const MOST_OTHERS: usize = 32;
const LONGEST_OTHER: usize = 1024;
/// The longest text of a known field, in bytes. Real ones are under 64.
const LONGEST_TEXT: usize = 4096;

/// The reply to `GET /v1/sessions/{id}`.
pub(super) fn session(body: &[u8], asked: &SessionId) -> Result<Session, Fault> {
    let mut draft: Draft = parse(body)?;
    let connect = draft.connect;
    draft.id.get_or_insert_with(|| asked.clone());
    let mut session = draft.finish().map_err(unexpected)?;
    session.connect = Some(connect);
    Ok(session)
}

/// The same reply, with its secrets.
pub(super) fn fresh(body: &[u8], asked: &SessionId) -> Result<(Session, ConnectUrls), Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Urls<'a> {
        #[serde(borrow)]
        connect_url: Option<&'a RawValue>,
        #[serde(borrow)]
        selenium_remote_url: Option<&'a RawValue>,
        #[serde(borrow)]
        signing_key: Option<&'a RawValue>,
    }
    let secret = |raw: Option<&RawValue>| {
        raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
            .filter(|it| !it.is_empty())
            .map(Secret::new)
    };
    let session = session(body, asked)?;
    let urls: Urls<'_> = parse(body)?;
    let urls = ConnectUrls {
        connect: secret(urls.connect_url),
        selenium: secret(urls.selenium_remote_url),
        signing_key: secret(urls.signing_key),
    };
    Ok((session, urls))
}

/// The reply to `GET /v1/sessions`.
pub(super) fn sessions(body: &[u8]) -> Result<Listing, Fault> {
    let elements: Vec<&RawValue> = parse(body)?;
    let mut listing = Listing { sessions: Vec::with_capacity(elements.len()), malformed: 0 };
    for element in elements {
        match serde_json::from_str::<Draft>(element.get()).ok().and_then(|draft| draft.finish().ok()) {
            Some(session) => listing.sessions.push(session),
            None => listing.malformed = listing.malformed.saturating_add(1),
        }
    }
    Ok(listing)
}

/// The reply to `GET /v1/projects`.
pub(super) fn projects(body: &[u8]) -> Result<Vec<Project>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct WireProject {
        id: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        default_timeout: Option<f64>,
        #[serde(default)]
        concurrency: Option<u64>,
    }
    let elements: Vec<&RawValue> = parse(body)?;
    let read = |raw: &RawValue| serde_json::from_str::<WireProject>(raw.get()).ok();
    Ok(elements
        .into_iter()
        .filter_map(read)
        .map(|wire| Project {
            name: Untrusted::new(wire.name.unwrap_or_else(|| wire.id.clone())),
            id: Untrusted::new(wire.id),
            default_timeout: wire
                .default_timeout
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            concurrency: wire.concurrency,
        })
        .collect())
}

/// The message and code of an error's body, where it has them. `message` need not be a string.
pub(super) fn error_message(body: &[u8]) -> Option<Untrusted> {
    #[derive(Deserialize)]
    struct WireError<'a> {
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let wire: WireError<'_> = serde_json::from_slice(body).ok()?;
    wire.message.or(wire.error).map(|raw| match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Untrusted::new(cut(&text, LONGEST_TEXT)),
        Err(_) => Untrusted::new(cut(raw.get(), LONGEST_TEXT)),
    })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        use serde_json::error::Category;
        match error.classify() {
            Category::Data => unexpected(&error.to_string()),
            Category::Eof if !body.is_empty() => FaultKind::Cut.into(),
            Category::Eof | Category::Syntax | Category::Io => {
                let start = String::from_utf8_lossy(body.get(..200).unwrap_or(body));
                FaultKind::NotJson(Untrusted::new(start.trim())).into()
            }
        }
    })
}

fn unexpected(why: &str) -> Fault {
    FaultKind::Unexpected(Untrusted::new(why)).into()
}

fn cut(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest)).unwrap_or_default()
}

/// A session while its fields come in.
#[derive(Default)]
struct Draft {
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
    others: Vec<(Untrusted, Untrusted)>,
}

impl Draft {
    fn finish(self) -> Result<Session, &'static str> {
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
            others: self.others,
        })
    }

    /// One field that is not a secret. What is not of its type goes to the others, as its text.
    fn take(&mut self, name: &str, raw: &str) {
        if raw == "null" {
            return;
        }
        let taken = match name {
            "id" => fill(&mut self.id, text(raw).map(SessionId::from_api)),
            "projectId" => fill(&mut self.project, text(raw)),
            "status" => fill(&mut self.status, text(raw).map(|word| Status::named(word.raw()))),
            "createdAt" => fill(&mut self.created, time(raw)),
            "updatedAt" => fill(&mut self.updated, time(raw)),
            "startedAt" => fill(&mut self.started, time(raw)),
            "endedAt" => fill(&mut self.ended, time(raw)),
            "expiresAt" => fill(&mut self.expires, time(raw)),
            "proxyBytes" => fill(&mut self.proxy_bytes, integer(raw)),
            "keepAlive" => fill(&mut self.keep_alive, typed(raw)),
            "contextId" => fill(&mut self.context, text(raw).filter(|id| !id.is_empty())),
            "region" => fill(&mut self.region, text(raw).map(|word| Region::named(word.raw()))),
            "userMetadata" => fill(&mut self.metadata, raw.starts_with('{').then(|| Metadata::new(raw))),
            _ => false,
        };
        if !taken && self.others.len() < MOST_OTHERS {
            self.others.push((Untrusted::new(cut(name, 256)), Untrusted::new(cut(raw, LONGEST_OTHER))));
        }
    }
}

fn fill<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    let taken = value.is_some();
    if taken {
        *field = value;
    }
    taken
}

fn typed<T: DeserializeOwned>(raw: &str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

fn text(raw: &str) -> Option<Untrusted> {
    let text: Cow<'_, str> = serde_json::from_str(raw).ok()?;
    Some(Untrusted::new(cut(&text, LONGEST_TEXT)))
}

/// RFC 3339 with any number of fraction digits and any offset, to a nanosecond.
fn time(raw: &str) -> Option<Timestamp> {
    let text: String = typed(raw)?;
    chrono::DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.to_utc())
}

/// An integer; also one that some JSON writers spell with a point or an exponent.
fn integer(raw: &str) -> Option<i64> {
    typed(raw).or_else(|| {
        let number: f64 = typed(raw)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and far inside i64 on the line before"
        )]
        (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
    })
}

impl<'de> Deserialize<'de> for Draft {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Draft;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session, as a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Draft, A::Error> {
                let mut draft = Draft::default();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let connect = &mut draft.connect;
                    let secret = match name.as_ref() {
                        "connectUrl" => Some(&mut connect.connect_url),
                        "seleniumRemoteUrl" => Some(&mut connect.selenium_remote_url),
                        "signingKey" => Some(&mut connect.signing_key),
                        _ => None,
                    };
                    match secret {
                        Some(present) => *present = map.next_value::<Option<IgnoredAny>>()?.is_some(),
                        None => {
                            let raw = map.next_value::<&RawValue>()?;
                            draft.take(&name, raw.get());
                        }
                    }
                }
                Ok(draft)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
