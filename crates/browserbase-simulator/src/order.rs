//! What a client asks for in a body: its JSON, checked as the API checks it, in the API's words.
//!
//! The API is a Fastify server, whose errors name the field and the rule: `body/timeout must be <= 21600`. Fields that it
//! does not know are passed over. Nothing here knows a session.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::fault::Refusal;
use super::state::Asked;

/// The API takes no more metadata than this, in characters of JSON.
const LARGEST_METADATA: usize = 512;

/// The session that `POST /v1/sessions` asks for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Order {
    pub(super) timeout: Option<Duration>,
    pub(super) keep_alive: bool,
    pub(super) region: Option<String>,
    pub(super) context: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
}

/// What a field may hold.
enum Kind {
    Text,
    Flag,
    Whole { least: i64, most: i64 },
    OneOf(&'static [&'static str]),
    Texts,
    FlagOrList,
    Object { required: &'static [&'static str], fields: &'static [(&'static str, Kind)] },
}

use Kind::{Flag, FlagOrList, Object, OneOf, Text, Texts, Whole};

const ANY_NUMBER: Kind = Whole { least: i64::MIN, most: i64::MAX };

/// The body of `POST /v1/sessions`.
const CREATE: Kind = Object {
    required: &[],
    fields: &[
        ("projectId", Text),
        ("extensionId", Text),
        ("browserSettings", SETTINGS),
        ("timeout", Whole { least: 60, most: 21_600 }),
        ("keepAlive", Flag),
        ("proxies", FlagOrList),
        ("proxySettings", Object { required: &[], fields: &[("caCertificates", Texts)] }),
        ("region", OneOf(&["us-west-2", "us-east-1", "eu-central-1", "ap-southeast-1"])),
        ("userMetadata", Object { required: &[], fields: &[] }),
    ],
};

const SETTINGS: Kind = Object {
    required: &[],
    fields: &[
        ("context", Object { required: &["id"], fields: &[("id", Text), ("persist", Flag)] }),
        ("extensionId", Text),
        ("viewport", Object { required: &[], fields: &[("width", ANY_NUMBER), ("height", ANY_NUMBER)] }),
        ("blockAds", Flag),
        ("solveCaptchas", Flag),
        ("recordSession", Flag),
        ("logSession", Flag),
        ("advancedStealth", Flag),
        ("verified", Flag),
        ("captchaImageSelector", Text),
        ("captchaInputSelector", Text),
        ("os", OneOf(&["windows", "mac", "linux", "mobile", "tablet"])),
        ("allowedDomains", Texts),
        ("ignoreCertificateErrors", Flag),
    ],
};

/// The body of `POST /v1/sessions/{id}`: the only thing that can be asked of a session is its release.
const UPDATE: Kind =
    Object { required: &["status"], fields: &[("status", OneOf(&["REQUEST_RELEASE"])), ("projectId", Text)] };

impl Order {
    /// The session that a request for one asks for.
    pub(super) fn read(asked: &Asked) -> Result<Self, Box<Refusal>> {
        let body = json(asked)?;
        check(&CREATE, "body", &body).map_err(invalid)?;
        let metadata = body.get("userMetadata").and_then(Value::as_object).cloned();
        let size = metadata.as_ref().and_then(|it| serde_json::to_string(it).ok()).unwrap_or_default();
        if size.chars().count() > LARGEST_METADATA {
            return Err(invalid(format!(
                "body/userMetadata must NOT have more than {LARGEST_METADATA} characters"
            )));
        }
        let text = |pointer| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            timeout: body.get("timeout").and_then(Value::as_u64).map(Duration::from_secs),
            keep_alive: body.get("keepAlive").and_then(Value::as_bool).unwrap_or_default(),
            region: text("/region"),
            context: text("/browserSettings/context/id"),
            metadata,
        })
    }
}

/// Whether a request to update a session is one for its release; nothing else can be asked of one.
pub(super) fn is_release(asked: &Asked) -> Result<(), Box<Refusal>> {
    check(&UPDATE, "body", &json(asked)?).map_err(invalid)
}

/// The body, read as its type says. The API has been seen to answer 415 where a client names none.
fn json(asked: &Asked) -> Result<Value, Box<Refusal>> {
    let named = asked.content_type.as_deref().unwrap_or("undefined");
    match named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" if asked.body.is_empty() => Err(refused(
            StatusCode::BAD_REQUEST,
            "FST_ERR_CTP_EMPTY_JSON_BODY",
            "Body cannot be empty when content-type is set to 'application/json'".to_owned(),
        )),
        "application/json" => serde_json::from_slice(&asked.body).map_err(|_| {
            refused(
                StatusCode::BAD_REQUEST,
                "FST_ERR_CTP_INVALID_JSON_BODY",
                "Body is not valid JSON but content-type is set to 'application/json'".to_owned(),
            )
        }),
        "text/plain" => Ok(Value::String(String::from_utf8_lossy(&asked.body).into_owned())),
        _ => Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "FST_ERR_CTP_INVALID_MEDIA_TYPE",
            format!("Unsupported Media Type: {named}"),
        )),
    }
}

/// The API's refusal of what breaks its schema.
pub(super) fn invalid(message: String) -> Box<Refusal> {
    refused(StatusCode::BAD_REQUEST, "FST_ERR_VALIDATION", message)
}

/// A refusal of the server's own, with its `code`.
pub(super) fn refused(status: StatusCode, code: &str, message: String) -> Box<Refusal> {
    Box::new(Refusal { code: Some(code.into()), ..Refusal::new(status).saying(message) })
}

/// What is wrong with `value` at `path`, the first thing of it.
fn check(kind: &Kind, path: &str, value: &Value) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{path} must {what}")) };
    match kind {
        Text => must(value.is_string(), "be string"),
        Flag => must(value.is_boolean(), "be boolean"),
        Whole { least, most } => {
            must(value.is_i64() || value.is_u64(), "be integer")?;
            let number = value.as_i64().unwrap_or(i64::MAX);
            must(number <= *most, &format!("be <= {most}"))?;
            must(number >= *least, &format!("be >= {least}"))
        }
        OneOf(words) => {
            must(value.is_string(), "be string")?;
            must(
                value.as_str().is_some_and(|word| words.contains(&word)),
                "be equal to one of the allowed values",
            )
        }
        FlagOrList if value.is_array() || value.is_boolean() => Ok(()),
        FlagOrList => {
            Err(format!("{path} must be array, {path} must be boolean, {path} must match a schema in anyOf"))
        }
        Texts => {
            let items = value.as_array().ok_or(format!("{path} must be array"))?;
            items
                .iter()
                .enumerate()
                .try_for_each(|(place, item)| check(&Text, &format!("{path}/{place}"), item))
        }
        Object { required, fields } => {
            let object = value.as_object().ok_or(format!("{path} must be object"))?;
            if let Some(missing) = required.iter().find(|name| !object.contains_key(**name)) {
                return Err(format!("{path} must have required property '{missing}'"));
            }
            fields.iter().try_for_each(|(name, kind)| {
                object.get(*name).map_or(Ok(()), |value| check(kind, &format!("{path}/{name}"), value))
            })
        }
    }
}

#[cfg(test)]
mod tests;
