//! Receives request bodies, and checks their JSON against the API's schema. The errors have the API's messages.
//!
//! The API is a Fastify server, whose errors name the field and the rule: `body/timeout must be <= 21600`. Like the
//! API, the module ignores unknown fields. It never looks at a session.

use std::error::Error as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::fault::ErrorResponse;
use super::sleep_real_time;
use super::state::RequestParts;

/// The largest request body, in bytes: Fastify's default limit.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The API's limit on metadata, in characters of its JSON text.
const MAX_METADATA_CHARS: usize = 512;

/// The reason why a body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The body is larger than [`MAX_BODY_BYTES`].
    TooLarge,
    /// A chunk is broken, or the body ends early.
    Malformed,
    /// The body did not arrive in time.
    TimedOut,
}

impl From<BodyError> for Box<ErrorResponse> {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => coded_error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "FST_ERR_CTP_BODY_TOO_LARGE",
                "Request body is too large".to_owned(),
            ),
            BodyError::Malformed => Box::new(
                ErrorResponse::new(StatusCode::BAD_REQUEST)
                    .with_message("Request body is malformed or incomplete"),
            ),
            BodyError::TimedOut => Box::new(ErrorResponse::new(StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

/// Receives a whole body within `timeout` of real time.
pub(super) async fn read(body: Body, timeout: Duration) -> Result<Bytes, BodyError> {
    let received = tokio::select! {
        received = axum::body::to_bytes(body, MAX_BODY_BYTES) => received,
        () = sleep_real_time(timeout) => return Err(BodyError::TimedOut),
    };
    received.map_err(|error| {
        let is_too_large = error.source().is_some_and(|source| source.is::<LengthLimitError>());
        if is_too_large { BodyError::TooLarge } else { BodyError::Malformed }
    })
}

/// A request to create a session, from the body of `POST /v1/sessions`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CreateRequest {
    pub(super) timeout: Option<Duration>,
    pub(super) keep_alive: bool,
    pub(super) region: Option<String>,
    pub(super) context: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
}

/// The schema of a field's value.
enum FieldSchema {
    Text,
    Boolean,
    Integer { min: i64, max: i64 },
    OneOf(&'static [&'static str]),
    TextList,
    BooleanOrList,
    Object { required: &'static [&'static str], fields: &'static [(&'static str, FieldSchema)] },
}

use FieldSchema::{Boolean, BooleanOrList, Integer, Object, OneOf, Text, TextList};

const ANY_INTEGER: FieldSchema = Integer { min: i64::MIN, max: i64::MAX };

/// The schema of the body of `POST /v1/sessions`.
const CREATE_SCHEMA: FieldSchema = Object {
    required: &[],
    fields: &[
        ("projectId", Text),
        ("extensionId", Text),
        ("browserSettings", BROWSER_SETTINGS_SCHEMA),
        ("timeout", Integer { min: 60, max: 21_600 }),
        ("keepAlive", Boolean),
        ("proxies", BooleanOrList),
        ("proxySettings", Object { required: &[], fields: &[("caCertificates", TextList)] }),
        ("region", OneOf(&["us-west-2", "us-east-1", "eu-central-1", "ap-southeast-1"])),
        ("userMetadata", Object { required: &[], fields: &[] }),
    ],
};

const BROWSER_SETTINGS_SCHEMA: FieldSchema = Object {
    required: &[],
    fields: &[
        ("context", Object { required: &["id"], fields: &[("id", Text), ("persist", Boolean)] }),
        ("extensionId", Text),
        ("viewport", Object { required: &[], fields: &[("width", ANY_INTEGER), ("height", ANY_INTEGER)] }),
        ("blockAds", Boolean),
        ("solveCaptchas", Boolean),
        ("recordSession", Boolean),
        ("logSession", Boolean),
        ("advancedStealth", Boolean),
        ("verified", Boolean),
        ("captchaImageSelector", Text),
        ("captchaInputSelector", Text),
        ("os", OneOf(&["windows", "mac", "linux", "mobile", "tablet"])),
        ("allowedDomains", TextList),
        ("ignoreCertificateErrors", Boolean),
    ],
};

/// The schema of the body of `POST /v1/sessions/{id}`. The only supported update is a release.
const UPDATE_SCHEMA: FieldSchema =
    Object { required: &["status"], fields: &[("status", OneOf(&["REQUEST_RELEASE"])), ("projectId", Text)] };

impl CreateRequest {
    /// Parses a request to create a session.
    ///
    /// # Errors
    /// Returns the API's error for an invalid body.
    pub(super) fn parse(request: &RequestParts) -> Result<Self, Box<ErrorResponse>> {
        let body = parse_body(request)?;
        check_schema(&CREATE_SCHEMA, "body", &body).map_err(validation_error)?;
        let metadata = body.get("userMetadata").and_then(Value::as_object).cloned();
        let metadata_json =
            metadata.as_ref().and_then(|metadata| serde_json::to_string(metadata).ok()).unwrap_or_default();
        if metadata_json.chars().count() > MAX_METADATA_CHARS {
            return Err(validation_error(format!(
                "body/userMetadata must NOT have more than {MAX_METADATA_CHARS} characters"
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

/// Checks that an update requests a release, the only update that the API supports.
///
/// # Errors
/// Returns the API's error for any other body.
pub(super) fn check_release(request: &RequestParts) -> Result<(), Box<ErrorResponse>> {
    check_schema(&UPDATE_SCHEMA, "body", &parse_body(request)?).map_err(validation_error)
}

/// Parses the body according to its content type. The API has been seen to answer 415 to a request without a content
/// type.
fn parse_body(request: &RequestParts) -> Result<Value, Box<ErrorResponse>> {
    let content_type = request.content_type.as_deref().unwrap_or("undefined");
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" if request.body.is_empty() => Err(coded_error(
            StatusCode::BAD_REQUEST,
            "FST_ERR_CTP_EMPTY_JSON_BODY",
            "Body cannot be empty when content-type is set to 'application/json'".to_owned(),
        )),
        "application/json" => serde_json::from_slice(&request.body).map_err(|_| {
            coded_error(
                StatusCode::BAD_REQUEST,
                "FST_ERR_CTP_INVALID_JSON_BODY",
                "Body is not valid JSON but content-type is set to 'application/json'".to_owned(),
            )
        }),
        "text/plain" => Ok(Value::String(String::from_utf8_lossy(&request.body).into_owned())),
        _ => Err(coded_error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "FST_ERR_CTP_INVALID_MEDIA_TYPE",
            format!("Unsupported Media Type: {content_type}"),
        )),
    }
}

/// Returns the API's error for a request that violates its schema.
pub(super) fn validation_error(message: String) -> Box<ErrorResponse> {
    coded_error(StatusCode::BAD_REQUEST, "FST_ERR_VALIDATION", message)
}

/// Returns an error of the API's web server, with its `code`.
pub(super) fn coded_error(status: StatusCode, code: &str, message: String) -> Box<ErrorResponse> {
    Box::new(ErrorResponse { code: Some(code.into()), ..ErrorResponse::new(status).with_message(message) })
}

/// Checks `value`, which is at `path` in the request. Returns the API's message if `value` violates the schema.
fn check_schema(schema: &FieldSchema, path: &str, value: &Value) -> Result<(), String> {
    let must = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(format!("{path} must {rule}")) };
    match schema {
        Text => must(value.is_string(), "be string"),
        Boolean => must(value.is_boolean(), "be boolean"),
        Integer { min, max } => {
            must(value.is_i64() || value.is_u64(), "be integer")?;
            let number = value.as_i64().unwrap_or(i64::MAX); // clamps a larger number
            must(number <= *max, &format!("be <= {max}"))?;
            must(number >= *min, &format!("be >= {min}"))
        }
        OneOf(allowed) => {
            must(value.is_string(), "be string")?;
            must(
                value.as_str().is_some_and(|text| allowed.contains(&text)),
                "be equal to one of the allowed values",
            )
        }
        BooleanOrList if value.is_array() || value.is_boolean() => Ok(()),
        BooleanOrList => {
            Err(format!("{path} must be array, {path} must be boolean, {path} must match a schema in anyOf"))
        }
        TextList => {
            let items = value.as_array().ok_or(format!("{path} must be array"))?;
            items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| check_schema(&Text, &format!("{path}/{index}"), item))
        }
        Object { required, fields } => {
            let object = value.as_object().ok_or(format!("{path} must be object"))?;
            if let Some(missing) = required.iter().find(|name| !object.contains_key(**name)) {
                return Err(format!("{path} must have required property '{missing}'"));
            }
            fields.iter().try_for_each(|(name, schema)| {
                object
                    .get(*name)
                    .map_or(Ok(()), |value| check_schema(schema, &format!("{path}/{name}"), value))
            })
        }
    }
}

#[cfg(test)]
mod tests;
