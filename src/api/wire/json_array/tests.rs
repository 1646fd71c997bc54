use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// Splits an array that arrives in these chunks. Returns its elements and its end, or the position of an error.
fn split_chunks<'c>(
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<(Vec<String>, ArrayEnd), TextPosition> {
    let (mut splitter, mut elements) = (JsonArraySplitter::default(), Vec::new());
    for chunk in chunks {
        splitter.push(chunk, |element| {
            let text = String::from_utf8_lossy(element);
            serde_json::from_str::<&RawValue>(&text).map_err(|error| (error.line(), error.column()))?;
            elements.push(text.into_owned());
            Ok(())
        })?;
    }
    Ok((elements, splitter.finish()))
}

fn split_at_once(text: &str) -> Result<(Vec<String>, ArrayEnd), TextPosition> {
    split_chunks([text.as_bytes()])
}

fn split_bytewise(text: &str) -> Result<(Vec<String>, ArrayEnd), TextPosition> {
    split_chunks(text.as_bytes().chunks(1))
}

#[test]
fn elements_are_found_unchanged() {
    let text = " \n[ {\"a\":[1,{\"b\":\"]}\\\"{\"}]} ,[[]],\"x\\\\\",7 ,-1.5e3,true,null,\"\"\n]\t";
    let elements =
        ["{\"a\":[1,{\"b\":\"]}\\\"{\"}]}", "[[]]", "\"x\\\\\"", "7", "-1.5e3", "true", "null", "\"\""];
    for result in [split_at_once(text), split_bytewise(text)] {
        assert_eq!(result, Ok((elements.map(str::to_owned).to_vec(), ArrayEnd::Complete)));
    }
    for empty in ["[]", " [ ] ", "\u{feff}[]"] {
        assert_eq!(
            (split_at_once(empty), split_bytewise(empty)),
            (Ok((vec![], ArrayEnd::Complete)), Ok((vec![], ArrayEnd::Complete)))
        );
    }
}

#[test]
fn non_array_text_is_kept() {
    for text in ["", "  ", "{\"a\":1}", "<html>", "upstream error", "7", "\u{feff}", "\"[\""] {
        let expected = || ArrayEnd::NotAnArray(text.trim_start_matches(['\u{feff}', ' ']).into());
        assert_eq!(
            (split_at_once(text).unwrap().1, split_bytewise(text).unwrap().1),
            (expected(), expected()),
            "{text}"
        );
    }
}

#[test]
fn endless_whitespace_takes_no_memory() {
    let mut splitter = JsonArraySplitter::default();
    for chunk in [" ", "[", "\n ", "1", " ", ",", "  "] {
        let repetitions = if chunk.trim().is_empty() { 1000 } else { 1 };
        for _ in 0..repetitions {
            splitter.push(chunk.as_bytes(), |_| Ok(())).unwrap();
            // At most the byte of the unfinished element `1` is kept.
            assert!(splitter.text.len() <= 1, "{:?}", splitter.text);
        }
    }
}

#[test]
fn array_cut_anywhere_is_truncated() {
    let text = "[{\"a\":\"\\u0041\"},[1,2],\"x\",7]";
    for cut in 1..text.len() {
        assert_eq!(split_at_once(&text[..cut]).unwrap().1, ArrayEnd::Truncated, "{cut}");
        assert_eq!(split_bytewise(&text[..cut]).unwrap().1, ArrayEnd::Truncated, "{cut}");
    }
}

#[test]
fn error_position_matches_serde_json() {
    for text in [
        "[1 2]",
        "[,1]",
        "[1,,2]",
        "[1,]",
        "[1]]",
        "[1] x",
        "[}",
        "[{]}",
        "[1,\n  {\"a\":tru}]",
        "[{\"a\":1,}]",
        "[\n\n  1,\n 2 x]",
        "[{}{}]",
        "[\"a\"\"b\"]",
        "[1\"\"]",
    ] {
        let error = serde_json::from_str::<Vec<&RawValue>>(text).unwrap_err();
        let position = TextPosition { line: error.line(), column: error.column() };
        assert_eq!(
            (split_at_once(text), split_bytewise(text)),
            (Err(position), Err(position)),
            "{text} {error}"
        );
    }
}

/// Random JSON tokens after an opening bracket. Most of these texts are not valid arrays.
fn random_tokens() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\"),
        Just("\\\""),
        Just("\"a\""),
        Just("\"a\":1"),
        Just("1"),
        Just("null"),
        Just(" "),
        Just("\n"),
        Just("é"),
    ];
    proptest::collection::vec(token, 0..24).prop_map(|tokens| format!("[{}", tokens.concat()))
}

proptest! {
    #[test]
    fn chunk_boundaries_do_not_matter(text in random_tokens(), lengths in proptest::collection::vec(1..9_usize, 1..60)) {
        let (mut remaining, mut chunks) = (text.as_bytes(), Vec::new());
        for length in lengths {
            let (chunk, tail) = remaining.split_at(length.min(remaining.len()));
            chunks.push(chunk);
            remaining = tail;
        }
        chunks.push(remaining);
        prop_assert_eq!(split_chunks(chunks), split_at_once(&text));
    }

    #[test]
    fn elements_match_serde_json(text in random_tokens()) {
        match (serde_json::from_str::<Vec<&RawValue>>(&text), split_at_once(&text)) {
            (Ok(expected), result) => {
                let expected: Vec<String> = expected.into_iter().map(|raw| raw.get().to_owned()).collect();
                prop_assert_eq!(result, Ok((expected, ArrayEnd::Complete)));
            }
            // The last element of a truncated array is never decoded, so an error in it goes unnoticed.
            (Err(error), Ok((_, end))) => prop_assert!(end == ArrayEnd::Truncated, "{} {:?}", error, end),
            (Err(_), Err(_)) => {}
        }
    }
}
