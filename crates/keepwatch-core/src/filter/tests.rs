use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::session::{Metadata, Region, Session, Status};
use crate::testing::{id, noon, running_session};
use crate::text::Untrusted;

/// Returns the record that a session tracker would hold for this session.
fn record_of_session(session: Session) -> Record {
    let owner = session.metadata.as_ref().and_then(|metadata| metadata.owner(None));
    let mut record = Record::new(session.id.clone(), false);
    (record.owner, record.session) = (owner, Some(session));
    record
}

fn nightly_session() -> Session {
    let started = noon();
    Session {
        region: Some(Region::EuCentral1),
        keep_alive: Some(true),
        context: Some(Untrusted::new("ctx-7")),
        metadata: Some(Metadata::new(
            r#"{"owner":"Nightly-42","mcp":"true","run":{"id":"C-881","try":2},"город":"Київ","odd":"a\u0062c"}"#,
        )),
        ..running_session("8f14e45f-ceea", started, Duration::from_secs(900))
    }
}

#[test]
fn each_term_and_its_negation_select_rows() {
    let record = record_of_session(nightly_session());
    for (filter, found) in [
        ("", true),
        ("   ", true),
        ("8F14", true),
        ("running eu-central", true),
        ("running us-", false),
        ("ctx-7", true),
        ("київ", true),
        ("status:run", true),
        ("STATUS:Running", true),
        ("status:error", false),
        ("region:eu", true),
        ("region:us", false),
        ("keep:yes", true),
        ("keep:no", false),
        ("owner:night", true),
        ("owner:mcp", false),
        ("id:8f14", true),
        ("id:ceea", true),
        ("id:881", false),
        ("meta.run.id:c-88", true),
        ("meta.run.id:c-99", false),
        ("meta.run.try:2", true),
        ("meta.run:881", true),
        ("meta:nightly", true),
        ("meta.owner:881", false),
        ("meta.город:київ", true),
        ("meta.odd:abc", true),
        ("abc", true),
        // Quotes are removed, so the search is for `owner:`, which the JSON does not contain.
        ("\"owner\":\"", false),
        ("\"eu-central-1\"", true),
        ("owner:\"nightly-42\"", true),
        ("\"owner:mcp\"", false),
        ("12:30", false),
        ("status:run owner:night !region:us", true),
        ("status:run owner:night !region:eu", false),
    ] {
        assert_eq!(
            Filter::parse(filter).map(|filter| filter.matches(&FilterRow(&record, ""))),
            Ok(found),
            "{filter}"
        );
        // A `!` negates one term, not the whole filter.
        if !filter.trim().is_empty() && !filter.contains(' ') {
            let negated = format!("!{filter}");
            assert_eq!(
                Filter::parse(&negated).map(|filter| filter.matches(&FilterRow(&record, ""))),
                Ok(!found),
                "{negated}"
            );
        }
    }
}

#[test]
fn number_matches_as_shown() {
    let json = r#"{"n":1e2,"huge":1e40,"long":123456789012345678901234567890,"zero":-0,"text":"2e3"}"#;
    let session = Session { metadata: Some(Metadata::new(json)), ..nightly_session() };
    let record = record_of_session(session);
    for (filter, found) in [
        ("meta.n:100", true),
        ("meta.n:100.0", true),
        ("meta.n:1000", false),
        ("meta.huge:1e+40", true),
        ("meta.huge:10000000000000000000000000000000000000000", true),
        ("meta.long:1.2345678901234568e+29", true),
        ("meta.zero:-0.0", true),
        ("meta.text:2e3", true),
        ("meta.text:2000", false),
        ("meta:100.0", true),
        ("100.0", true),
        // A word without a field also matches the JSON text itself.
        ("1e2", true),
        ("10000000000000000000000000000000000000000", true),
        ("2000", false),
    ] {
        let filter = Filter::parse(filter).unwrap();
        assert_eq!(filter.matches(&FilterRow(&record, "")), found, "{}", filter.text());
    }
}

#[test]
fn session_without_response_matches_by_id_only() {
    let record = Record::new(id("awaited"), true);
    // An unknown field does not match, so its negation does.
    for (filter, found) in
        [("await", true), ("keep:no", false), ("status:run", false), ("!status:error", true)]
    {
        assert_eq!(Filter::parse(filter).unwrap().matches(&FilterRow(&record, "")), found, "{filter}");
    }
}

#[test]
fn mistake_has_range_and_message() {
    for (filter, mistake, message) in [
        ("run foo:bar", "foo", "no field “foo”"),
        ("run !foo:bar", "foo", "no field “foo”"),
        ("status:", "status:", "after status:"),
        ("a !owner: b", "owner:", "after owner:"),
        ("owner:\"\"", "owner:\"\"", "after owner:"),
        ("é keep:maybe", "maybe", "yes or no"),
        ("a !", "!", "nothing does"),
        ("meta.:x", "meta.", "path is missing"),
        ("meta.run..id:x", "meta.run..id", "path is missing"),
        ("metadata:x", "metadata", "no field"),
        ("\"\"", "\"\"", "between the quotes"),
    ] {
        let error = Filter::parse(filter).unwrap_err();
        assert_eq!(filter.get(error.range.clone()), Some(mistake), "{filter}");
        assert!(error.message.contains(message), "{filter}: {}", error.message);
        assert!(
            text::width(&error.message) <= 76,
            "a message fits into two lines of the narrowest footer: {}",
            error.message
        );
    }
}

#[test]
fn open_quote_extends_to_the_end() {
    let record = record_of_session(Session { status: Status::from_api("TWO WORDS"), ..nightly_session() });
    assert!(Filter::parse("\"two wor").unwrap().matches(&FilterRow(&record, "")));
    assert!(Filter::parse("status:\"two w").unwrap().matches(&FilterRow(&record, "")));
}

/// Generates filters: mostly pieces of the language, sometimes any text.
fn filter_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => proptest::sample::select(vec![
            "!", "\"", ":", " ", ".", "status:", "region:", "keep:", "keep:yes", "owner:", "id:", "meta:", "meta.run.id:",
            "meta.", "profile:", "run", "881", "київ", "8f14", "error", "İ", "\u{1b}", "\u{202e}", "日本",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_mistake_can_be_underlined(text in filter_text(), is_multi_profile: bool) {
        match Filter::parse_for_profiles(&text, is_multi_profile) {
            Ok(filter) => prop_assert_eq!(filter.text(), &text),
            Err(error) => {
                prop_assert!(text.get(error.range.clone()).is_some(), "{:?} in {:?}", error, text);
                let underlined = error.underline(&text);
                prop_assert_eq!(underlined.lines().count(), 2);
                prop_assert!(!underlined.contains(|c: char| c.is_control() && c != '\n'));
            }
        }
    }

    #[test]
    fn all_terms_must_match_and_negation_inverts(one in filter_text(), other in filter_text()) {
        let record = record_of_session(nightly_session());
        let matches = |text: &str| Filter::parse(text).ok().map(|filter| filter.matches(&FilterRow(&record, "")));
        // An open quote would include the text after it.
        let is_closed = |text: &str| text.matches('"').count().is_multiple_of(2);
        if let (Some(first), Some(second), true) = (matches(&one), matches(&other), is_closed(&one)) {
            prop_assert_eq!(matches(&format!("{one} {other}")), Some(first && second));
        }
        // The `!` must directly precede the term.
        let is_one_term = split_terms(&one).count() == 1 && one.trim_start() == one;
        if let (Some(found), true) = (matches(&one), is_one_term) {
            prop_assert_eq!(matches(&format!("!{one}")), Some(!found));
        }
    }

    #[test]
    fn any_part_of_id_matches(from in 0_usize..13, length in 1_usize..13, capitals: bool) {
        let record = record_of_session(nightly_session());
        let id = record.id.raw(); // 13 characters
        let part: String = id.chars().skip(from).take(length).collect();
        let part = if capitals { part.to_uppercase() } else { part };
        prop_assume!(!part.is_empty());
        for text in [format!("\"{part}\""), format!("id:{part}"), format!("id:{part} running")] {
            prop_assert!(Filter::parse(&text).unwrap().matches(&FilterRow(&record, "")), "{}", text);
        }
    }
}
