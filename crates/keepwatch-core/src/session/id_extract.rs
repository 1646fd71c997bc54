//! Extraction of a session id from pasted text, such as the id alone, a URL of the dashboard, or a log line.

use super::{SessionId, SessionIdError};

/// The lengths of the groups of a UUID.
const UUID_GROUP_LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
/// The length of a UUID: its groups and four hyphens.
const UUID_LENGTH: usize = 36;
/// The text before an id in the URLs of the dashboard and of the API.
const URL_ID_PREFIX: &str = "sessions/";

impl SessionId {
    /// Returns the id that `text` contains. A single UUID after `sessions/` takes precedence over other UUIDs. A text
    /// without any UUID is itself the id if it has no whitespace and no character of a URL (`/`, `:`, `?`, `=`, `&`).
    ///
    /// # Errors
    /// Returns an error if the text contains no id or several.
    pub fn find_in(text: &str) -> Result<Self, SessionIdError> {
        let text = text.trim();
        let after_prefix = text
            .match_indices(URL_ID_PREFIX)
            .filter_map(|(at, _)| text.get(at.saturating_add(URL_ID_PREFIX.len())..));
        let url_ids: Vec<&str> = unique_ignoring_case(after_prefix.filter_map(uuid_at));
        if let [only] = url_ids.as_slice() {
            return Self::parse(only);
        }
        let ids = unique_ignoring_case((0..text.len()).filter_map(|at| {
            let preceding = text.get(..at)?;
            if preceding.ends_with(is_word_char) { None } else { uuid_at(text.get(at..)?) }
        }));
        match ids.as_slice() {
            [only] => Self::parse(only),
            [] if !text.contains(|letter: char| letter.is_whitespace() || "/:?=&".contains(letter)) => {
                Self::parse(text)
            }
            [] => Err(SessionIdError::NotFound),
            many => Err(SessionIdError::Ambiguous(many.len())),
        }
    }

    /// Returns true if the id is a UUID, as Browserbase's ids are.
    #[must_use]
    pub fn is_uuid(&self) -> bool {
        uuid_at(self.raw()).is_some_and(|uuid| uuid.len() == self.raw().len())
    }
}

fn unique_ignoring_case<'t>(ids: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut unique: Vec<&str> = Vec::new();
    for id in ids {
        if !unique.iter().any(|other| other.eq_ignore_ascii_case(id)) {
            unique.push(id);
        }
    }
    unique
}

/// Returns the UUID at the start of `text`, if it is a whole word.
fn uuid_at(text: &str) -> Option<&str> {
    let id = text.get(..UUID_LENGTH)?;
    let groups = id.split('-').map(|group| (group.len(), group.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let is_uuid = groups.eq(UUID_GROUP_LENGTHS.map(|length| (length, true)));
    (is_uuid && !text.get(UUID_LENGTH..)?.starts_with(is_word_char)).then_some(id)
}

fn is_word_char(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";
    const OTHER: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";

    #[test]
    fn id_is_found_in_pasted_text() {
        for text in [
            ID.to_owned(),
            format!("  {ID}\n"),
            format!("https://www.browserbase.com/sessions/{ID}"),
            format!("https://api.browserbase.com/v1/sessions/{ID}/debug?x=1"),
            format!("21:04:02 INFO session={ID} project: started"),
            format!("{{\"id\":\"{ID}\"}}"),
            format!("{ID} and {ID} again"),
            format!("project {OTHER}: GET /v1/sessions/{ID}"),
            format!("Größe „{ID}“"),
        ] {
            assert_eq!(SessionId::find_in(&text).map(|id| id.raw().to_owned()), Ok(ID.into()), "{text}");
        }
        assert_eq!(SessionId::find_in("s-0001").unwrap().raw(), "s-0001");
    }

    #[test]
    fn text_without_one_usable_id_is_refused() {
        for (text, expected) in [
            (String::new(), "empty"),
            ("session not found".into(), "no session id in"),
            ("https://www.browserbase.com/sessions".into(), "no session id in"),
            (format!("{ID} {OTHER}"), "2 ids"),
            // The UUID is only a part of a word.
            (format!("id={ID}0 x"), "no session id in"),
            ("..".into(), "can not be"),
        ] {
            let sentence = SessionId::find_in(&text).unwrap_err().to_string();
            assert!(sentence.contains(expected), "{text}: {sentence}");
        }
    }
}
