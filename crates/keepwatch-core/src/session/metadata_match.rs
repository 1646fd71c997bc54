//! Search in the values of metadata while its text is parsed. The search builds no tree, because a filter can search
//! ten thousand sessions at a time.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Implements [`Metadata::any_value_at`](super::Metadata::any_value_at) for the JSON text `json`.
pub(super) fn any_value_at(json: &str, path: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut found = false;
    // Truncated or invalid text is searched up to the error.
    let _ = MetadataVisitor { path, test, found: &mut found }
        .deserialize(&mut serde_json::Deserializer::from_str(json));
    found
}

/// Visits one value and all values below it.
struct MetadataVisitor<'a> {
    path: &'a str,
    test: &'a mut dyn FnMut(&str) -> bool,
    found: &'a mut bool,
}

impl MetadataVisitor<'_> {
    fn test_text(&mut self, text: &str) {
        if self.path.is_empty() && !*self.found {
            *self.found = (self.test)(text);
        }
    }

    fn test_number(&mut self, number: impl fmt::Display) {
        let mut buffer = NumberText::new();
        if write!(buffer, "{number}").is_ok() {
            self.test_text(buffer.as_str());
        }
    }
}

impl<'de> DeserializeSeed<'de> for MetadataVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MetadataVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.test_text(text);
        Ok(())
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        self.test_text(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(mut self, number: i64) -> Result<(), E> {
        self.test_number(number);
        Ok(())
    }

    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        self.test_number(number);
        Ok(())
    }

    /// Tests the number as it is shown (`100.0`, `1e+300`), and without an exponent.
    fn visit_f64<E>(mut self, number: f64) -> Result<(), E> {
        if let Some(shown) = Number::from_f64(number) {
            self.test_number(shown);
        }
        self.test_number(number);
        Ok(())
    }

    // `null` has no text to search, so it never passes the test.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(rest_of_path) = map.next_key_seed(KeyVisitor { path: self.path })? {
            match rest_of_path {
                Some(path) if !*self.found => {
                    map.next_value_seed(MetadataVisitor {
                        path,
                        test: &mut *self.test,
                        found: &mut *self.found,
                    })?;
                }
                // The key is not on the path, or an earlier value passed the test.
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        // Unlike a `MetadataPath`, the path of a filter has no array indices, because users rarely know the index.
        let Self { path, test, found } = self;
        while items
            .next_element_seed(MetadataVisitor { path, test: &mut *test, found: &mut *found })?
            .is_some()
        {}
        Ok(())
    }
}

/// Visits one key. Returns the part of the path that follows the key, or `None` if the key is not on the path.
struct KeyVisitor<'a> {
    path: &'a str,
}

impl<'de, 'a> DeserializeSeed<'de> for KeyVisitor<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for KeyVisitor<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        if self.path.is_empty() {
            return Ok(Some(""));
        }
        let split = self.path.split_at_checked(key.len());
        Ok(split
            .filter(|(start, _)| start.eq_ignore_ascii_case(key))
            .and_then(|(_, rest)| if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }))
    }
}

/// The maximum length of a number without an exponent, in bytes. The numbers nearest to zero are the longest: a sign,
/// `0.`, 307 zeros and 17 digits, or up to 323 zeros and fewer digits.
const MAX_NUMBER_BYTES: usize = 352;

/// The text of a number, on the stack.
struct NumberText {
    bytes: [u8; MAX_NUMBER_BYTES],
    length: usize,
}

impl NumberText {
    fn new() -> Self {
        Self { bytes: [0; MAX_NUMBER_BYTES], length: 0 }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Write for NumberText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.saturating_add(text.len());
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_selects_values_below_it() {
        let json = r#"{"run":{"id":"c-881","try":2,"tags":["prices","eu"],"deep":{"n":-1.5}},"a.b":{"c":true},"x":null}"#;
        for (path, value, found) in [
            ("run.id", "c-881", true),
            ("RUN.Id", "c-881", true),
            ("run.id", "c-88", false),
            ("run", "c-881", true),
            ("", "eu", true),
            ("run.tags", "eu", true),
            ("run.try", "2", true),
            ("run.deep.n", "-1.5", true),
            ("a.b.c", "true", true),
            ("ru", "c-881", false),
            ("run.i", "c-881", false),
            ("x", "null", false),
            ("try", "2", false),
        ] {
            assert_eq!(any_value_at(json, path, &mut |text| text == value), found, "{path} {value}");
        }
    }

    #[test]
    fn truncated_text_is_searched_up_to_error() {
        assert!(any_value_at(r#"{"a":"b","c":"cut of"#, "a", &mut |text| text == "b"));
    }

    #[test]
    fn extreme_numbers_are_found_in_both_forms() {
        for number in
            [f64::MAX, f64::MIN, f64::MIN_POSITIVE, -2.225_073_858_507_202e-308, -5e-324, -1.5, 1e22]
        {
            let json = format!(r#"{{"n":{number:e}}}"#);
            let shown = serde_json::from_str::<serde_json::Value>(&json).unwrap()["n"].to_string();
            let without_exponent = number.to_string();
            for text in [shown, without_exponent] {
                assert!(any_value_at(&json, "n", &mut |value| value == text), "{text}");
            }
        }
    }
}
