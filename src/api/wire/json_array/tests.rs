use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// What an array that comes in these pieces has for elements, and how it ends; or where it is no JSON.
fn split_chunks<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<(Vec<String>, ArrayEnd), TextPosition> {
    let (mut elements, mut found) = (JsonArraySplitter::default(), Vec::new());
    for piece in pieces {
        elements.push(piece, |element| {
            let text = String::from_utf8_lossy(element);
            serde_json::from_str::<&RawValue>(&text).map_err(|error| (error.line(), error.column()))?;
            found.push(text.into_owned());
            Ok(())
        })?;
    }
    Ok((found, elements.finish()))
}

fn split_at_once(text: &str) -> Result<(Vec<String>, ArrayEnd), TextPosition> {
    split_chunks([text.as_bytes()])
}

fn split_bytewise(text: &str) -> Result<(Vec<String>, ArrayEnd), TextPosition> {
    split_chunks(text.as_bytes().chunks(1))
}

#[test]
fn each_kind_of_element_is_found_whole_and_as_it_was_written() {
    let text = " \n[ {\"a\":[1,{\"b\":\"]}\\\"{\"}]} ,[[]],\"x\\\\\",7 ,-1.5e3,true,null,\"\"\n]\t";
    let elements =
        ["{\"a\":[1,{\"b\":\"]}\\\"{\"}]}", "[[]]", "\"x\\\\\"", "7", "-1.5e3", "true", "null", "\"\""];
    for read in [split_at_once(text), split_bytewise(text)] {
        assert_eq!(read, Ok((elements.map(str::to_owned).to_vec(), ArrayEnd::Complete)));
    }
    for empty in ["[]", " [ ] ", "\u{feff}[]"] {
        assert_eq!(
            (split_at_once(empty), split_bytewise(empty)),
            (Ok((vec![], ArrayEnd::Complete)), Ok((vec![], ArrayEnd::Complete)))
        );
    }
}

#[test]
fn what_is_no_array_is_kept_as_it_came() {
    for text in ["", "  ", "{\"a\":1}", "<html>", "upstream error", "7", "\u{feff}", "\"[\""] {
        let kept = || ArrayEnd::NotAnArray(text.trim_start_matches(['\u{feff}', ' ']).into());
        assert_eq!(
            (split_at_once(text).unwrap().1, split_bytewise(text).unwrap().1),
            (kept(), kept()),
            "{text}"
        );
    }
}

#[test]
fn however_much_comes_that_is_no_element_it_is_not_kept() {
    let mut elements = JsonArraySplitter::default();
    for piece in [" ", "[", "\n ", "1", " ", ",", "  "] {
        for _ in 0..if piece.trim().is_empty() { 1000 } else { 1 } {
            elements.push(piece.as_bytes(), |_| Ok(())).unwrap();
            assert!(elements.text.len() <= 1, "{:?}", elements.text);
        }
    }
}

#[test]
fn an_array_that_breaks_off_is_cut_wherever_it_does() {
    let text = "[{\"a\":\"\\u0041\"},[1,2],\"x\",7]";
    for end in 1..text.len() {
        assert_eq!(split_at_once(&text[..end]).unwrap().1, ArrayEnd::Truncated, "{end}");
        assert_eq!(split_bytewise(&text[..end]).unwrap().1, ArrayEnd::Truncated, "{end}");
    }
}

#[test]
fn what_is_no_json_is_told_with_the_place_at_which_others_tell_it() {
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
        let place = TextPosition { line: error.line(), column: error.column() };
        assert_eq!((split_at_once(text), split_bytewise(text)), (Err(place), Err(place)), "{text} {error}");
    }
}

fn noise() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
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
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| format!("[{}", pieces.concat()))
}

proptest! {
    #[test]
    fn wherever_it_is_cut_into_pieces_the_same_is_found(text in noise(), cuts in proptest::collection::vec(1..9_usize, 1..60)) {
        let (mut rest, mut pieces) = (text.as_bytes(), Vec::new());
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        prop_assert_eq!(split_chunks(pieces), split_at_once(&text));
    }

    #[test]
    fn what_it_finds_is_what_a_reader_of_the_whole_finds(text in noise()) {
        match (serde_json::from_str::<Vec<&RawValue>>(&text), split_at_once(&text)) {
            (Ok(all), found) => {
                let all: Vec<String> = all.into_iter().map(|raw| raw.get().to_owned()).collect();
                prop_assert_eq!(found, Ok((all, ArrayEnd::Complete)));
            }
            // One that is cut may be wrong before the cut, inside of its last element.
            (Err(error), Ok((_, ended))) => prop_assert!(ended == ArrayEnd::Truncated, "{} {:?}", error, ended),
            (Err(_), Err(_)) => {}
        }
    }
}
