use super::*;
use keepwatch_core::text::redact;

/// An API key that does not look like one, so the pattern-based redaction misses it.
const API_KEY: &str = "quite-another-key-0123456789";

fn api_key() -> Secret {
    Secret::new(API_KEY.to_owned())
}

fn read_list_with(cache: InternCache, body: &str) -> (SessionList, InternCache) {
    let mut reader = ListReader::new(cache, api_key());
    for chunk in body.as_bytes().chunks(7) {
        reader.push(chunk).unwrap();
    }
    reader.finish().unwrap()
}

/// Returns a session as JSON. Its context and metadata contain its id.
fn element(id: &str, proxy_bytes: u32) -> String {
    format!(
        r#"{{"id":"{id}","status":"RUNNING","projectId":"p-1","contextId":"c-{id}","userMetadata":{{"of":"{id}"}},"proxyBytes":{proxy_bytes}}}"#
    )
}

fn list_of(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

/// Returns four flags, for id, project, context and metadata. A flag is true if both sessions share the memory of that
/// text.
fn shared_texts(one: &Session, other: &Session) -> [bool; 4] {
    let is_shared = |one: Option<&str>, other: Option<&str>| {
        one.zip(other).is_some_and(|(one, other)| std::ptr::eq(one, other))
    };
    let metadata_address = |session: &Session| session.metadata.as_ref().map(Metadata::json).map(str::as_ptr);
    [
        std::ptr::eq(one.id.raw(), other.id.raw()),
        is_shared(one.project.as_ref().map(Untrusted::raw), other.project.as_ref().map(Untrusted::raw)),
        is_shared(one.context.as_ref().map(Untrusted::raw), other.context.as_ref().map(Untrusted::raw)),
        metadata_address(one) == metadata_address(other),
    ]
}

#[test]
fn lists_share_unchanged_texts() {
    let elements =
        |ids: &[&str], proxy_bytes| ids.iter().map(|id| element(id, proxy_bytes)).collect::<Vec<_>>();
    let (list_1, cache) =
        read_list_with(InternCache::default(), &list_of(&elements(&["a", "b", "c", "d"], 1)));
    assert!(
        shared_texts(&list_1.sessions[0], &list_1.sessions[1])[1],
        "sessions of one list share their project"
    );
    let (list_2, cache) = read_list_with(cache, &list_of(&elements(&["new", "a", "d"], 2)));
    let proxy_bytes: Vec<_> = list_2.sessions.iter().map(|session| session.proxy_bytes).collect();
    assert_eq!(proxy_bytes, [Some(2); 3], "numbers come from the new list");
    assert_eq!(shared_texts(&list_1.sessions[0], &list_2.sessions[1]), [true; 4], "session `a`");
    assert_eq!(shared_texts(&list_1.sessions[3], &list_2.sessions[2]), [true; 4], "session `d`");
    // The context and the metadata change, but not the id and the project.
    let changed = element("d", 3).replace("\"of\":\"d\"", "\"of\":\"e\"").replace("c-d", "c-e");
    let (list_3, _) = read_list_with(cache, &list_of(&[changed]));
    assert_eq!(shared_texts(&list_2.sessions[2], &list_3.sessions[0]), [true, true, false, false]);
    assert_eq!(list_3.sessions[0].metadata.as_ref().unwrap().json(), "{\"of\":\"e\"}");
}

#[test]
fn remembered_projects_are_bounded() {
    let many: Vec<String> =
        (0..100).map(|number| element("a", 1).replace("p-1", &format!("p-{number}"))).collect();
    let (_, cache) = read_list_with(InternCache::default(), &list_of(&many));
    assert_eq!(cache.project_ids.len(), MAX_PROJECT_IDS);
}

#[test]
fn list_quoting_api_key_is_redacted() {
    let quoting = element("a", 1).replace("p-1", &format!("of {API_KEY}"));
    let (listing, _) = read_list_with(InternCache::default(), &list_of(&[quoting, element("b", 2)]));
    // The pattern-based redaction of `redact` runs after the redaction of the API key.
    assert_eq!(listing.sessions[0].project.as_ref().unwrap().raw(), redact("of ••••"));
    assert_eq!(listing.sessions[1].id.raw(), "b");
    let mut reader = ListReader::new(InternCache::default(), api_key());
    reader.push(format!("no list but {API_KEY}").as_bytes()).unwrap();
    let message = reader.finish().unwrap_err().description();
    assert!(message.contains("no list but ••••"), "{message}");
}

#[test]
fn truncated_list_differs_from_broken_list() {
    let mut reader = ListReader::new(InternCache::default(), api_key());
    reader.push(b"[7,\n {\"id\":\"a\",").unwrap();
    let message = reader.push(b"\"status\":RUNNING}]").unwrap_err().description();
    // Column 21 is the `R`.
    assert!(message.ends_with("broken JSON at line 2 column 21"), "{message}");
    let mut reader = ListReader::new(InternCache::default(), api_key());
    reader.push(b"[7,{\"id\"").unwrap();
    assert_eq!(reader.finish().unwrap_err(), ApiErrorKind::IncompleteJson.into());
}
