use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::SessionList;
use keepwatch_core::session::Phase;

/// A part of most secrets in these tests. No output may contain it.
const CANARY: &str = "cAnArY";

/// Decodes a list that arrives in one chunk.
fn decode_list(body: &[u8]) -> Result<SessionList, ApiError> {
    crate::api::read_list([body])
}

fn requested_id() -> SessionId {
    SessionId::parse("6512bd43").unwrap()
}

fn full_session_json() -> Value {
    json!({
        "id": "6512bd43", "projectId": "p-1", "status": "RUNNING", "region": "us-west-2",
        "createdAt": "2026-10-03T16:05:34.513867+00:00", "updatedAt": "2026-10-03T16:05:34.6Z",
        "startedAt": "2026-10-03T16:05:34.513867+00:00", "expiresAt": "2026-10-03T16:20:34.513867+00:00",
        "endedAt": "2026-10-03T16:10:00Z", "proxyBytes": 12, "keepAlive": true, "contextId": "c-1",
        "userMetadata": {"name": "checkout"},
        "connectUrl": format!("wss://connect.example/?signingKey={CANARY}1"),
        "seleniumRemoteUrl": format!("http://connect.example/{CANARY}2"), "signingKey": format!("{CANARY}3"),
    })
}

/// Decodes the full session, but with the JSON text `raw` as the value of the field `name`. Leaves the field out if
/// `raw` is `None`.
fn session_with_field(name: &str, raw: Option<&str>) -> Session {
    let mut fields = full_session_json();
    fields.as_object_mut().unwrap().remove(name);
    let body = match raw {
        Some(raw) => format!("{{{}:{raw},{}", json!(name), &fields.to_string()[1..]),
        None => fields.to_string(),
    };
    session(body.as_bytes(), &requested_id()).unwrap_or_else(|error| panic!("{body}: {error:?}"))
}

fn extra_fields(session: &Session) -> Vec<(&str, &str)> {
    session.extra_fields.iter().map(|(name, value)| (name.raw(), value.raw())).collect()
}

/// Parses a time. Returns an `Option`, because the times of a session are optional.
fn timestamp(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

#[test]
fn every_documented_field_is_decoded() {
    let session = session(full_session_json().to_string().as_bytes(), &requested_id()).unwrap();
    assert_eq!(session.id.raw(), "6512bd43");
    assert_eq!(session.project.unwrap().raw(), "p-1");
    assert_eq!(session.status, Status::Running);
    assert_eq!(session.region, Some(Region::UsWest2));
    assert_eq!(session.created, timestamp("2026-10-03T16:05:34.513867Z"));
    assert_eq!(session.updated, timestamp("2026-10-03T16:05:34.600Z"));
    assert_eq!(session.started, timestamp("2026-10-03T16:05:34.513867Z"));
    assert_eq!(session.expires, timestamp("2026-10-03T16:20:34.513867Z"));
    assert_eq!(session.ended, timestamp("2026-10-03T16:10:00Z"));
    assert_eq!(session.proxy_bytes, Some(12));
    assert_eq!(session.keep_alive, Some(true));
    assert_eq!(session.context.unwrap().raw(), "c-1");
    assert_eq!(session.metadata.unwrap().json(), r#"{"name":"checkout"}"#);
    let all_present = ConnectFields { connect_url: true, selenium_remote_url: true, signing_key: true };
    assert_eq!(session.connect, Some(all_present));
    assert!(session.extra_fields.is_empty());
}

#[test]
fn any_rfc3339_time_is_decoded() {
    for (text, expected) in [
        ("2026-10-03T16:05:34Z", "2026-10-03T16:05:34Z"),
        ("2026-10-03T16:05:34.5Z", "2026-10-03T16:05:34.5Z"),
        ("2026-10-03T16:05:34.513867+00:00", "2026-10-03T16:05:34.513867Z"),
        ("2026-10-03T16:05:34.123456789-07:30", "2026-10-03T23:35:34.123456789Z"),
        ("2026-10-03T16:05:34.1234567891234+14:00", "2026-10-03T02:05:34.123456789Z"),
        ("2026-10-03t16:05:34.25z", "2026-10-03T16:05:34.25Z"),
        (" 2026-10-03T16:05:34-00:00 ", "2026-10-03T16:05:34Z"),
        ("1926-10-03T16:05:34Z", "1926-10-03T16:05:34Z"),
        ("0000-01-01T00:00:00+23:59", "-0001-12-31T00:01:00Z"),
        ("9999-12-31T23:59:59.999999999-23:59", "+10000-01-01T23:58:59.999999999Z"),
    ] {
        for name in ["createdAt", "updatedAt", "startedAt", "endedAt", "expiresAt"] {
            let session = session_with_field(name, Some(&json!(text).to_string()));
            let decoded = match name {
                "createdAt" => session.created,
                "updatedAt" => session.updated,
                "startedAt" => session.started,
                "endedAt" => session.ended,
                _ => session.expires,
            };
            assert_eq!(decoded, timestamp(expected), "{name} {text}");
            assert!(session.extra_fields.is_empty());
        }
    }
    // In a fraction of fewer than nine digits, the missing digits count as zeros.
    for digits in 0..=9 {
        let text = format!("\"2026-10-03T16:05:34.{}Z\"", "1".repeat(digits));
        // Without digits, the text has no decimal point.
        let session = session_with_field("endedAt", Some(&text.replace(".Z", "Z")));
        let last_digit_nanos = 10_u32.pow(9 - digits as u32);
        assert_eq!(
            session.ended.unwrap().timestamp_subsec_nanos(),
            111_111_111 / last_digit_nanos * last_digit_nanos
        );
    }
}

#[test]
fn response_about_another_session_is_an_error() {
    let mut json = full_session_json();
    json["id"] = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff".into();
    let body = json.to_string();
    let error = session(body.as_bytes(), &requested_id()).unwrap_err();
    assert!(error.description().contains("the reply is about another session"), "{}", error.description());
    assert!(
        session_with_urls(body.as_bytes(), &requested_id()).is_err(),
        "the connect URL of another session is not returned"
    );
    json["id"] = requested_id().raw().to_ascii_uppercase().into();
    assert!(
        session(json.to_string().as_bytes(), &requested_id()).is_ok(),
        "the case of an id does not matter"
    );
}

#[test]
fn missing_or_null_field_is_none() {
    for name in [
        "projectId",
        "createdAt",
        "updatedAt",
        "startedAt",
        "endedAt",
        "expiresAt",
        "proxyBytes",
        "keepAlive",
        "contextId",
        "region",
        "userMetadata",
        "somethingNew",
    ] {
        for raw in [None, Some("null"), Some(" null ")] {
            let session = session_with_field(name, raw);
            assert_eq!(session.status, Status::Running, "{name}");
            assert!(session.extra_fields.is_empty(), "{name}: {:?}", session.extra_fields);
            let are_none = [
                session.project.is_none(),
                session.created.is_none(),
                session.updated.is_none(),
                session.started.is_none(),
                session.ended.is_none(),
                session.expires.is_none(),
                session.proxy_bytes.is_none(),
                session.keep_alive.is_none(),
                session.context.is_none(),
                session.region.is_none(),
                session.metadata.is_none(),
            ];
            // Only the field `name` is `None`. `somethingNew` is not in the array.
            let expected = usize::from(name != "somethingNew");
            assert_eq!(are_none.iter().filter(|is_none| **is_none).count(), expected, "{name}");
        }
    }
}

#[test]
fn response_without_valid_id_is_an_error() {
    for id_field in ["", r#""id":null,"#, r#""id":"","#, r#""id":"..","#, r#""id":"a\tb","#, r#""id":7,"#] {
        let body = format!("{{{id_field}\"status\":\"COMPLETED\"}}");
        let error = session(body.as_bytes(), &requested_id()).unwrap_err();
        assert!(error.description().ends_with("`id` is missing"), "{body}: {}", error.description());
    }
}

#[test]
fn mistyped_or_undocumented_field_becomes_extra_field() {
    for (name, raw) in [
        ("projectId", "7"),
        ("createdAt", "1759507534"),
        ("updatedAt", "\"yesterday\""),
        ("startedAt", "\"\""),
        ("endedAt", "false"),
        ("expiresAt", "\"2026-10-03\""),
        ("proxyBytes", "\"12\""),
        ("proxyBytes", "1.5"),
        ("proxyBytes", "9223372036854775808"),
        ("proxyBytes", "1e400"),
        ("keepAlive", "\"true\""),
        ("keepAlive", "1"),
        ("contextId", "[]"),
        ("contextId", "\"\""),
        ("region", "{}"),
        ("userMetadata", "\"text\""),
        ("userMetadata", "[1]"),
        ("somethingNew", "{\"a\":[1, 2]}"),
    ] {
        let session = session_with_field(name, Some(raw));
        assert_eq!(extra_fields(&session), [(name, raw)]);
    }
}

#[test]
fn odd_values_are_kept() {
    assert_eq!(session_with_field("proxyBytes", Some("-5")).proxy_bytes, Some(-5));
    assert_eq!(session_with_field("proxyBytes", Some("-0")).proxy_bytes, Some(0));
    assert_eq!(session_with_field("proxyBytes", Some("2.0e3")).proxy_bytes, Some(2000));
    assert_eq!(session_with_field("proxyBytes", Some("8.9e15")).proxy_bytes, Some(8_900_000_000_000_000));
    assert_eq!(session_with_field("proxyBytes", Some("9223372036854775807")).proxy_bytes, Some(i64::MAX));
    assert_eq!(session_with_field("status", Some("\"HIBERNATING\"")).status.phase(), Phase::Unknown);
    assert_eq!(session_with_field("status", Some("\"\"")).status.raw(), "");
    assert_eq!(session_with_field("region", Some("\"mars-north-1\"")).region.unwrap().raw(), "mars-north-1");
    let spaced = SessionId::from_api(Untrusted::new(" two words "));
    let body = br#"{"id":" two words ","status":"RUNNING"}"#;
    assert_eq!(session(body, &spaced).unwrap().id.raw(), " two words ");
    assert_eq!(session_with_field("projectId", Some("\"\"")).project.unwrap().raw(), "");
    assert_eq!(session_with_field("userMetadata", Some("{ }")).metadata.unwrap().json(), "{ }");
    let reversed = session_with_field("expiresAt", Some("\"1926-01-01T00:00:00Z\""));
    assert_eq!(reversed.expires, timestamp("1926-01-01T00:00:00Z"));
    assert_eq!((reversed.timeout(), reversed.unused_time()), (None, None), "no duration is negative");
}

/// A number with an exponent is decoded as a float, which is exact only up to about 9·10¹⁵.
#[test]
fn inexact_number_becomes_extra_field() {
    let session = session_with_field("proxyBytes", Some("9.0e15"));
    assert_eq!(session.proxy_bytes, None);
    assert_eq!(extra_fields(&session), [("proxyBytes", "9.0e15")]);
}

#[test]
fn escaped_names_and_values_are_decoded() {
    let body = r#"{"\u0069d":"\u0036512bd43","st\u0061tus":"RUNN\u0049NG","connect\u0055rl":"cAnArY"}"#;
    let session = session(body.as_bytes(), &requested_id()).unwrap();
    assert_eq!((session.id.raw(), &session.status), ("6512bd43", &Status::Running));
    assert!(session.connect.unwrap().connect_url);
    assert!(!format!("{session:?}").contains(CANARY));
    let (_, urls) = session_with_urls(body.as_bytes(), &requested_id()).unwrap();
    assert_eq!(urls.connect.unwrap().expose(), CANARY);
}

#[test]
fn last_of_duplicate_fields_counts() {
    let body = r#"{"id":"6512bd43","status":"PENDING","status":"RUNNING","connectUrl":"x","connectUrl":"y","proxyBytes":1,"proxyBytes":"?"}"#;
    let (session, urls) = session_with_urls(body.as_bytes(), &requested_id()).unwrap();
    assert_eq!(session.status, Status::Running);
    assert_eq!(urls.connect.unwrap().expose(), "y");
    assert_eq!((session.proxy_bytes, extra_fields(&session)), (None, vec![("proxyBytes", "\"?\"")]));
}

#[test]
fn last_duplicate_counts_for_every_field() {
    let mut fields = full_session_json();
    fields["somethingNew"] = json!(1);
    for (name, valid) in fields.as_object().unwrap() {
        if name == "id" || name == "status" {
            continue; // without a valid value for these, the response is an error
        }
        let values = [valid.to_string(), "[7]".into(), "null".into()];
        for (first, last) in values.iter().flat_map(|first| values.iter().map(move |last| (first, last))) {
            let duplicate = format!("{first},{}:{last}", json!(name));
            assert_eq!(
                session_with_field(name, Some(&duplicate)),
                session_with_field(name, Some(last)),
                "{name}: {first}, then {last}"
            );
        }
    }
}

#[test]
fn invalid_list_elements_are_skipped() {
    let body = br#"[{"id":"a","status":"RUNNING"}, 7, null, "x", [], {}, {"id":"","status":"RUNNING"},
        {"id":".","status":"RUNNING"}, {"id":"b"}, {"id":"c","status":7}, {"id":"d e","status":"NEW"}]"#;
    let listing = decode_list(body).unwrap();
    assert_eq!(listing.sessions.iter().map(|session| session.id.raw()).collect::<Vec<_>>(), ["a", "d e"]);
    assert_eq!(listing.malformed, 9, "each of the other elements counts");
    assert_eq!(listing.sessions[0].connect, None, "lists have no connect fields");
    assert_eq!(decode_list(b" [ ] ").unwrap(), SessionList::default());
}

#[test]
fn deep_or_long_values_are_harmless() {
    let deep = format!("{}1{}", r#"{"a":["#.repeat(1000), "]}".repeat(1000));
    let session = session_with_field("userMetadata", Some(&deep));
    assert_eq!(session.metadata.unwrap().json(), deep);
    assert_eq!(extra_fields(&session_with_field("new", Some(&deep)))[0].1, &deep[..MAX_EXTRA_VALUE_BYTES]);
    let hidden = deep.replacen("\"a\"", r#""signing\u004bey":"cAnArY","a""#, 1);
    assert_eq!(
        extra_fields(&session_with_field("new", Some(&hidden)))[0].1,
        "\"••••\"",
        "a value that is too deep to search is redacted if it has escapes"
    );
    for name in ["connectUrl", "createdAt", "proxyBytes", "keepAlive"] {
        session_with_field(name, Some(&deep)); // panics if the session is not decoded
    }
    let long = format!(r#"{{"a":"{}"}}"#, "é".repeat(500_000));
    assert!(session_with_field("userMetadata", Some(&long)).metadata.unwrap().json().len() <= 16 * 1024);
    assert!(
        session_with_field("projectId", Some(&json!("é".repeat(500_000)).to_string()))
            .project
            .unwrap()
            .raw()
            .len()
            <= MAX_TEXT_BYTES
    );
    let many: String = (0..10_000).map(|number| format!("\"f{number}\":{number},")).collect();
    let body = format!("{{{many}\"id\":\"6512bd43\",\"status\":\"RUNNING\"}}");
    assert_eq!(
        super::session(body.as_bytes(), &requested_id()).unwrap().extra_fields.len(),
        MAX_EXTRA_FIELDS
    );
    let list = format!("[{}1]", format!("{deep},").repeat(100));
    assert_eq!(decode_list(list.as_bytes()).unwrap().malformed, 101, "100 deep elements and the 1");
}

#[test]
fn invalid_utf8_loses_only_invalid_bytes() {
    let body =
        b"\xEF\xBB\xBF[{\"id\":\"a\xFF\",\"status\":\"RUNNING\"},{\"id\":\"b\",\"status\":\"RUNNING\"}]";
    let listing = decode_list(body).unwrap();
    assert_eq!(
        listing.sessions.iter().map(|session| session.id.raw()).collect::<Vec<_>>(),
        ["a\u{fffd}", "b"]
    );
}

#[test]
fn invalid_body_errors_never_quote_json() {
    let message = |body: &str| session(body.as_bytes(), &requested_id()).unwrap_err().description();
    let prefix = "the answer is not what the API documents: ";
    for (body, expected) in [
        ("", "the answer is empty".to_owned()),
        (" \n", "the answer is empty".to_owned()),
        ("upstream error", "the answer is not JSON; it begins “upstream error”".to_owned()),
        ("[]", format!("{prefix}it is a list")),
        ("\"cAnArY\"", format!("{prefix}it is a text")),
        ("null", format!("{prefix}it is a plain value")),
        ("{\"status\":\"RUNNING\"", "the JSON of the response is incomplete".to_owned()),
        ("{\"connectUrl\":\"cAnArY\"} garbage", format!("{prefix}broken JSON at line 1 column 25")),
        ("{\"signingKey\":\"cAnArY\",}", format!("{prefix}broken JSON at line 1 column 24")),
        ("\"cAnArY\" \"", format!("{prefix}it is a text")),
        ("\"cAnArY\\q\"", format!("{prefix}broken JSON at line 1 column 9")),
        ("{}", format!("{prefix}`id` is missing")),
        ("{\"id\":\"a\",\"status\":null}", format!("{prefix}`status` is missing")),
    ] {
        assert_eq!(message(body), expected, "{body}");
        assert!(
            !format!("{:?}", session_with_urls(body.as_bytes(), &requested_id())).contains(CANARY),
            "{body}"
        );
    }
    assert!(decode_list(b"{}").unwrap_err().description().ends_with("it is an object"));
    assert!(projects(b"{}").unwrap_err().description().ends_with("it is an object"));
    assert!(projects(b"[{},}").unwrap_err().description().ends_with("broken JSON at line 1 column 5"));
}

#[test]
fn debug_and_json_contain_no_secret() {
    let body = full_session_json().to_string();
    let list = format!("[{body}]");
    let (decoded, urls) = session_with_urls(body.as_bytes(), &requested_id()).unwrap();
    assert!(urls.connect.as_ref().unwrap().expose().ends_with(&format!("{CANARY}1")));
    assert!(urls.selenium.as_ref().unwrap().expose().ends_with(&format!("{CANARY}2")));
    assert_eq!(urls.signing_key.as_ref().unwrap().expose(), format!("{CANARY}3"));
    let output = format!(
        "{decoded:?} {urls:?} {:?} {:?}",
        session(body.as_bytes(), &requested_id()),
        decode_list(list.as_bytes())
    );
    assert!(!output.contains(CANARY), "{output}");
    assert!(!serde_json::to_string(&decoded).unwrap().contains(CANARY));
}

#[test]
fn empty_or_mistyped_connect_field_is_absent() {
    for raw in ["\"\"", "null", "7", "{}"] {
        let body = format!(r#"{{"id":"6512bd43","status":"RUNNING","connectUrl":{raw}}}"#);
        let (session, urls) = session_with_urls(body.as_bytes(), &requested_id()).unwrap();
        assert!(!session.connect.unwrap().connect_url && urls.connect.is_none(), "{raw}");
        assert!(session.extra_fields.is_empty(), "a mistyped connect field is not an extra field");
    }
}

#[test]
fn error_message_may_have_any_shape() {
    let message = |body: &str| error_message(body.as_bytes()).map(|message| message.raw().to_owned());
    for (body, expected) in [
        (r#"{"statusCode":429,"error":"Too Many Requests","message":"slow"}"#, Some("slow")),
        (r#"{"error":"Not Found"}"#, Some("Not Found")),
        (r#"{"message":null,"error":"E"}"#, Some("E")),
        (r#"{"message":{"a":1}}"#, Some(r#"{"a":1}"#)),
        (r#"{"message":"a","message":"b"}"#, Some("b")),
        (r#"{"code":7}"#, None),
        ("[]", None),
        ("<html>", None),
        ("", None),
    ] {
        assert_eq!(message(body).as_deref(), expected, "{body}");
    }
    assert!(message(&json!({"message": "x".repeat(100_000)}).to_string()).unwrap().len() <= MAX_TEXT_BYTES);
}

#[test]
fn invalid_project_field_is_dropped() {
    let body = br#"[{"id":"p","name":"acme","defaultTimeout":900,"concurrency":25,"x":1},
        {"id":"q","name":null,"defaultTimeout":-1,"concurrency":"many"}, {"name":"none"}, 7]"#;
    let projects = projects(body).unwrap();
    assert_eq!(projects.len(), 2, "an element without an id is skipped");
    assert_eq!(projects[0].default_timeout, Some(Duration::from_secs(900)));
    assert_eq!(projects[0].concurrency, Some(25));
    assert_eq!(
        (projects[1].name.raw(), projects[1].default_timeout, projects[1].concurrency),
        ("q", None, None),
        "the id replaces a missing name"
    );
}

/// Generates valid RFC 3339 times.
fn time_text() -> impl Strategy<Value = String> {
    let date = (1..=9998_i32, 1..=12_u32, 1..=28_u32, 0..24_u32, 0..60_u32, 0..60_u32);
    let offset = prop_oneof![
        Just("Z".to_owned()),
        (any::<bool>(), 0..24_u32, 0..60_u32).prop_map(|(is_west, hours, minutes)| {
            format!("{}{hours:02}:{minutes:02}", if is_west { '-' } else { '+' })
        })
    ];
    (date, "[0-9]{0,9}", offset).prop_map(|((year, month, day, hour, minute, second), digits, offset)| {
        let fraction = if digits.is_empty() { digits } else { format!(".{digits}") };
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}")
    })
}

proptest! {
    #[test]
    fn any_documented_session_is_decoded_completely(
        id in "\\PC{0,20}", project in any::<String>(), context in proptest::option::of("\\PC{1,20}"),
        status in prop_oneof!["PENDING|RUNNING|ERROR|TIMED_OUT|COMPLETED", "[A-Z_]{1,12}"],
        region in prop_oneof!["us-west-2|us-east-1|eu-central-1|ap-southeast-1", "[a-z0-9-]{1,14}"],
        times in proptest::collection::vec(time_text(), 4), ended in proptest::option::of(time_text()),
        bytes in any::<i64>(), keep_alive in any::<bool>(),
        metadata in proptest::option::of(proptest::collection::hash_map(any::<String>(), any::<String>(), 0..4)),
        extra in any::<u32>(),
    ) {
        let mut fields = json!({
            "id": id, "projectId": project, "status": status, "region": region, "proxyBytes": bytes,
            "keepAlive": keep_alive, "createdAt": times[0], "updatedAt": times[1], "startedAt": times[2],
            "expiresAt": times[3], "addedLater": extra,
        });
        let map = fields.as_object_mut().unwrap();
        context.iter().for_each(|value| { map.insert("contextId".into(), json!(value)); });
        ended.iter().for_each(|value| { map.insert("endedAt".into(), json!(value)); });
        metadata.iter().for_each(|value| { map.insert("userMetadata".into(), json!(value)); });
        let is_valid_id = !matches!(id.as_str(), "" | "." | "..");
        let requested = if is_valid_id { SessionId::from_api(Untrusted::new(id.as_str())) } else { requested_id() };
        let decoded = session(fields.to_string().as_bytes(), &requested);
        if !is_valid_id {
            prop_assert!(decoded.is_err());
            return Ok(());
        }
        let session = decoded.unwrap();
        let time = |text: &String| Some(chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc());
        prop_assert_eq!(session.id.raw(), &id);
        let extra = extra.to_string();
        prop_assert_eq!(extra_fields(&session), [("addedLater", extra.as_str())]);
        prop_assert_eq!(session.project.as_ref().unwrap().raw(), &project);
        prop_assert_eq!(session.status.raw(), &status);
        prop_assert_eq!(session.region.as_ref().unwrap().raw(), &region);
        prop_assert_eq!(session.proxy_bytes, Some(bytes));
        prop_assert_eq!(session.keep_alive, Some(keep_alive));
        prop_assert_eq!(session.created, time(&times[0]));
        prop_assert_eq!(session.updated, time(&times[1]));
        prop_assert_eq!(session.started, time(&times[2]));
        prop_assert_eq!(session.expires, time(&times[3]));
        prop_assert_eq!(session.ended, ended.as_ref().and_then(time));
        prop_assert_eq!(session.context.as_ref().map(Untrusted::raw), context.as_deref());
        let decoded_metadata: Option<Value> =
            session.metadata.as_ref().map(|value| serde_json::from_str(value.json()).unwrap());
        prop_assert_eq!(decoded_metadata, metadata.map(|value| json!(value)));
        // Recordings store sessions as JSON.
        let restored: Session = serde_json::from_str(&serde_json::to_string(&session).unwrap()).unwrap();
        prop_assert_eq!(restored, session);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..200), offset in 0..600_usize, splice in any::<bool>(),
    ) {
        // The body is only noise, or it is a session in which noise replaces up to 3 bytes.
        let mut body = if splice { full_session_json().to_string().into_bytes() } else { noise.clone() };
        if splice {
            let start = offset.min(body.len());
            body.splice(start..(start + 3).min(body.len()), noise);
        }
        let list = [b"[", body.as_slice(), b"]"].concat();
        let _ = (session_with_urls(&body, &requested_id()), decode_list(&list), projects(&list), error_message(&body));
    }
}

#[test]
fn only_live_view_url_is_extracted() {
    let body = br#"{"debuggerFullscreenUrl":"https://live/full?token=t","debuggerUrl":"https://live/","wsUrl":"wss://x","pages":[]}"#;
    let urls = live_view(body).unwrap();
    assert_eq!(urls.live_view.as_ref().map(Secret::expose), Some("https://live/full?token=t"));
    assert!(urls.connect.is_none() && !format!("{urls:?}").contains("token=t"));
    for body in [&b"{}"[..], br#"{"debuggerFullscreenUrl":""}"#, br#"{"debuggerFullscreenUrl":7}"#] {
        assert!(live_view(body).unwrap().live_view.is_none());
    }
}

#[test]
fn secrets_in_project_fields_are_redacted() {
    let body = br#"[{"id":"p-bb_live_canary0123456789","name":"of wss://c/?signingKey=SIGCANARY"}]"#;
    let projects = projects(body).unwrap();
    let text = format!("{} {}", projects[0].id.raw(), projects[0].name.raw());
    assert!(!text.contains("canary") && !text.contains("CANARY"), "{text}");
}
