//! Valid and invalid request bodies.

use serde_json::json;

use super::*;

fn request(content_type: Option<&str>, body: &str) -> RequestParts {
    RequestParts {
        method: "POST".to_owned(),
        path: "/v1/sessions".to_owned(),
        query: String::new(),
        content_type: content_type.map(str::to_owned),
        body: body.as_bytes().to_vec(),
    }
}

fn parse(body: &Value) -> Result<CreateRequest, String> {
    CreateRequest::parse(&request(Some("application/json; charset=utf-8"), &body.to_string())).map_err(
        |error| {
            assert_eq!(error.status, StatusCode::BAD_REQUEST);
            error.message.unwrap().as_str().unwrap().to_owned()
        },
    )
}

#[test]
fn create_request_is_parsed_and_extra_fields_ignored() {
    assert_eq!(parse(&json!({})), Ok(CreateRequest::default()));
    let all = json!({
        "projectId": "any", "timeout": 900, "keepAlive": true, "region": "eu-central-1", "proxies": true,
        "browserSettings": { "context": { "id": "c-1", "persist": true }, "viewport": { "width": 800 }, "new": 1 },
        "userMetadata": { "owner": "growth" }, "notKnownYet": [1],
    });
    let Value::Object(metadata) = json!({ "owner": "growth" }) else { panic!() };
    let expected = CreateRequest {
        timeout: Some(Duration::from_secs(900)),
        keep_alive: true,
        region: Some("eu-central-1".to_owned()),
        context: Some("c-1".to_owned()),
        metadata: Some(metadata),
    };
    assert_eq!(parse(&all), Ok(expected));
}

#[test]
fn schema_violation_has_api_message() {
    for (body, message) in [
        // A likely mistake: milliseconds.
        (json!({ "timeout": 1_800_000 }), "body/timeout must be <= 21600"),
        (json!({ "timeout": 21_601 }), "body/timeout must be <= 21600"),
        (json!({ "timeout": u64::MAX }), "body/timeout must be <= 21600"),
        (json!({ "timeout": 59 }), "body/timeout must be >= 60"),
        (json!({ "timeout": -1 }), "body/timeout must be >= 60"),
        (json!({ "timeout": "900" }), "body/timeout must be integer"),
        (json!({ "timeout": 90.5 }), "body/timeout must be integer"),
        (json!({ "keepAlive": "yes" }), "body/keepAlive must be boolean"),
        (json!({ "projectId": 7 }), "body/projectId must be string"),
        (json!({ "region": "mars" }), "body/region must be equal to one of the allowed values"),
        (json!({ "userMetadata": [] }), "body/userMetadata must be object"),
        (
            json!({ "userMetadata": { "long": "x".repeat(512) } }),
            "body/userMetadata must NOT have more than 512 characters",
        ),
        (json!({ "browserSettings": { "viewport": 1 } }), "body/browserSettings/viewport must be object"),
        (
            json!({ "browserSettings": { "context": {} } }),
            "body/browserSettings/context must have required property 'id'",
        ),
        (
            json!({ "browserSettings": { "allowedDomains": ["a.example", 1] } }),
            "body/browserSettings/allowedDomains/1 must be string",
        ),
        (
            json!({ "proxies": 1 }),
            "body/proxies must be array, body/proxies must be boolean, body/proxies must match a schema in anyOf",
        ),
        (json!([]), "body must be object"),
    ] {
        assert_eq!(parse(&body), Err(message.to_owned()), "{body}");
    }
    assert!(parse(&json!({ "timeout": 60 })).is_ok() && parse(&json!({ "timeout": 21_600 })).is_ok());
}

#[test]
fn release_is_the_only_update() {
    let update = |body: Value| {
        check_release(&request(Some("application/json"), &body.to_string()))
            .map_err(|error| error.message.unwrap().as_str().unwrap().to_owned())
    };
    for body in [
        json!({ "status": "REQUEST_RELEASE" }),
        json!({ "status": "REQUEST_RELEASE", "projectId": "p", "x": 1 }),
    ] {
        assert_eq!(update(body), Ok(()));
    }
    for (body, message) in [
        (json!({}), "body must have required property 'status'"),
        (json!({ "status": "COMPLETED" }), "body/status must be equal to one of the allowed values"),
        (json!({ "status": null }), "body/status must be string"),
        (json!("REQUEST_RELEASE"), "body must be object"),
    ] {
        assert_eq!(update(body), Err(message.to_owned()));
    }
}

#[test]
fn body_must_fit_its_content_type() {
    for (content_type, body, status, code) in [
        (None, "{}", 415, "FST_ERR_CTP_INVALID_MEDIA_TYPE"),
        (Some("application/x-www-form-urlencoded"), "{}", 415, "FST_ERR_CTP_INVALID_MEDIA_TYPE"),
        (Some("application/json"), "", 400, "FST_ERR_CTP_EMPTY_JSON_BODY"),
        (Some("application/json"), "{", 400, "FST_ERR_CTP_INVALID_JSON_BODY"),
        (Some("text/plain"), "{}", 400, "FST_ERR_VALIDATION"),
    ] {
        let error = CreateRequest::parse(&request(content_type, body)).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (status, Some(code.into())), "{content_type:?}");
    }
    let untyped = CreateRequest::parse(&request(None, "{}")).unwrap_err();
    assert_eq!(untyped.message, Some("Unsupported Media Type: undefined".into()));
}
