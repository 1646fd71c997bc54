use super::*;
use keepwatch_core::text::redact;

/// It does not look like one: of it nothing else takes care.
const KEY: &str = "quite-another-key-0123456789";

fn key() -> Secret {
    Secret::new(KEY.to_owned())
}

fn list_after(known: InternCache, body: &str) -> (SessionList, InternCache) {
    let mut reader = ListReader::new(known, key());
    for piece in body.as_bytes().chunks(7) {
        reader.push(piece).unwrap();
    }
    reader.finish().unwrap()
}

fn element(id: &str, bytes: u32) -> String {
    format!(
        r#"{{"id":"{id}","status":"RUNNING","projectId":"p-1","contextId":"c-{id}","userMetadata":{{"of":"{id}"}},"proxyBytes":{bytes}}}"#
    )
}

fn list_of(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

/// Whether two sessions have the same texts in the same memory.
fn share(one: &Session, other: &Session) -> [bool; 4] {
    let same = |one: Option<&str>, other: Option<&str>| {
        one.zip(other).is_some_and(|(one, other)| std::ptr::eq(one, other))
    };
    let metadata = |it: &Session| it.metadata.as_ref().map(Metadata::json).map(str::as_ptr);
    [
        std::ptr::eq(one.id.raw(), other.id.raw()),
        same(one.project.as_ref().map(Untrusted::raw), other.project.as_ref().map(Untrusted::raw)),
        same(one.context.as_ref().map(Untrusted::raw), other.context.as_ref().map(Untrusted::raw)),
        metadata(one) == metadata(other),
    ]
}

#[test]
fn texts_that_the_last_list_had_are_kept_once_whoever_came_and_went_in_between() {
    let elements = |ids: &[&str], bytes| ids.iter().map(|id| element(id, bytes)).collect::<Vec<_>>();
    let (first, known) = list_after(InternCache::default(), &list_of(&elements(&["a", "b", "c", "d"], 1)));
    assert!(share(&first.sessions[0], &first.sessions[1])[1], "their project is the same");
    let (second, known) = list_after(known, &list_of(&elements(&["new", "a", "d"], 2)));
    assert_eq!(second.sessions.iter().map(|it| it.proxy_bytes).collect::<Vec<_>>(), [Some(2); 3]);
    assert_eq!(share(&first.sessions[0], &second.sessions[1]), [true; 4]);
    assert_eq!(share(&first.sessions[3], &second.sessions[2]), [true; 4]);
    let changed = element("d", 3).replace("\"of\":\"d\"", "\"of\":\"e\"").replace("c-d", "c-e");
    let (third, _) = list_after(known, &list_of(&[changed]));
    assert_eq!(share(&second.sessions[2], &third.sessions[0]), [true, true, false, false]);
    assert_eq!(third.sessions[0].metadata.as_ref().unwrap().json(), "{\"of\":\"e\"}");
}

#[test]
fn many_projects_do_not_pile_up() {
    let many: Vec<String> = (0..100).map(|at| element("a", 1).replace("p-1", &format!("p-{at}"))).collect();
    let (_, known) = list_after(InternCache::default(), &list_of(&many));
    assert_eq!(known.common.len(), MAX_COMMON_TEXTS);
}

#[test]
fn the_key_is_in_nothing_that_is_kept_where_a_list_quotes_it() {
    let quoting = element("a", 1).replace("p-1", &format!("of {KEY}"));
    let (listing, _) = list_after(InternCache::default(), &list_of(&[quoting, element("b", 2)]));
    assert_eq!(listing.sessions[0].project.as_ref().unwrap().raw(), redact("of ••••"));
    assert_eq!(listing.sessions[1].id.raw(), "b");
    let mut reader = ListReader::new(InternCache::default(), key());
    reader.push(format!("no list but {KEY}").as_bytes()).unwrap();
    let sentence = reader.finish().unwrap_err().description();
    assert!(sentence.contains("no list but ••••"), "{sentence}");
}

#[test]
fn a_broken_list_says_where_and_one_that_is_cut_that_it_is() {
    let mut reader = ListReader::new(InternCache::default(), key());
    reader.push(b"[7,\n {\"id\":\"a\",").unwrap();
    let sentence = reader.push(b"\"status\":RUNNING}]").unwrap_err().description();
    assert!(sentence.ends_with("broken JSON at line 2 column 21"), "{sentence}");
    let mut reader = ListReader::new(InternCache::default(), key());
    reader.push(b"[7,{\"id\"").unwrap();
    assert_eq!(reader.finish().unwrap_err(), ApiErrorKind::ConnectionClosed.into());
}
