use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

fn key(code: KeyCode) -> DecodedInput {
    pressed(code, KeyModifiers::NONE)
}

fn letter(c: char) -> DecodedInput {
    character_key(c, KeyModifiers::NONE)
}

fn ctrl(c: char) -> DecodedInput {
    pressed(KeyCode::Char(c), KeyModifiers::CONTROL)
}

fn decode(bytes: &[u8]) -> Vec<DecodedInput> {
    TimedDecoder::new().decode(bytes)
}

/// A decoder with a clock that only the test moves.
struct TimedDecoder {
    decoder: KeyDecoder,
    now: Duration,
}

impl TimedDecoder {
    fn new() -> Self {
        Self { decoder: KeyDecoder::new(), now: Duration::ZERO }
    }

    fn decode(&mut self, bytes: &[u8]) -> Vec<DecodedInput> {
        self.decoder.decode(bytes, self.now)
    }

    /// Lets the terminal be silent. Returns the inputs that the silence causes.
    fn be_silent(&mut self, mut silence: Duration) -> Vec<DecodedInput> {
        self.now += silence;
        let mut inputs = Vec::new();
        while let Some(limit) = self.decoder.silence_limit().filter(|limit| *limit <= silence) {
            silence -= limit;
            inputs.extend(self.decoder.on_silence());
        }
        inputs
    }
}

#[test]
fn keystrokes_decode_to_their_keys() {
    for (bytes, expected) in [
        ("q", letter('q')),
        ("é", letter('é')),
        ("с", letter('с')), // Cyrillic
        ("🦀", letter('🦀')),
        ("G", pressed(KeyCode::Char('G'), KeyModifiers::SHIFT)),
        ("\r", key(KeyCode::Enter)),
        ("\t", key(KeyCode::Tab)),
        ("\x7f", key(KeyCode::Backspace)),
        ("\x03", ctrl('c')),
        ("\x1a", ctrl('z')),
        ("\x0c", ctrl('l')),
        ("\x1bb", pressed(KeyCode::Char('b'), KeyModifiers::ALT)),
        ("\x1b[A", key(KeyCode::Up)),
        ("\x1bOB", key(KeyCode::Down)),
        ("\x1b[H", key(KeyCode::Home)),
        ("\x1b[4~", key(KeyCode::End)),
        ("\x1b[5~", key(KeyCode::PageUp)),
        ("\x1b[3~", key(KeyCode::Delete)),
        ("\x1b[Z", pressed(KeyCode::BackTab, KeyModifiers::SHIFT)),
        ("\x1bOP", key(KeyCode::F(1))),
        ("\x1b[24~", key(KeyCode::F(12))),
        ("\x1b[1;5C", pressed(KeyCode::Right, KeyModifiers::CONTROL)),
    ] {
        assert_eq!(decode(bytes.as_bytes()), [expected], "{bytes:?}");
    }
}

#[test]
fn kitty_and_modify_other_keys_decode() {
    // `u` ends a sequence of the kitty protocol. `~` ends one of modifyOtherKeys, which starts with 27. `sequence_key`
    // explains the parameters.
    for (bytes, code, modifiers) in [
        ("\x1b[27u", KeyCode::Esc, KeyModifiers::NONE),
        ("\x1b[13u", KeyCode::Enter, KeyModifiers::NONE),
        ("\x1b[9;2u", KeyCode::BackTab, KeyModifiers::SHIFT),
        ("\x1b[99;5u", KeyCode::Char('c'), KeyModifiers::CONTROL),
        ("\x1b[99;5:1u", KeyCode::Char('c'), KeyModifiers::CONTROL),
        ("\x1b[103;2u", KeyCode::Char('G'), KeyModifiers::SHIFT),
        ("\x1b[103:71;2u", KeyCode::Char('G'), KeyModifiers::SHIFT),
        ("\x1b[47;2u", KeyCode::Char('?'), KeyModifiers::SHIFT),
        // A keyboard on which SHIFT and 7 type `/`.
        ("\x1b[55;2;47u", KeyCode::Char('/'), KeyModifiers::SHIFT),
        ("\x1b[57419u", KeyCode::Up, KeyModifiers::NONE),
        ("\x1b[57404u", KeyCode::Char('5'), KeyModifiers::NONE),
        ("\x1b[27;5;122~", KeyCode::Char('z'), KeyModifiers::CONTROL),
        ("\x1b[27;2;63~", KeyCode::Char('?'), KeyModifiers::SHIFT),
        ("\x1b[1;1:2B", KeyCode::Down, KeyModifiers::NONE),
    ] {
        assert_eq!(decode(bytes.as_bytes()), [pressed(code, modifiers)], "{bytes:?}");
    }
}

#[test]
fn replies_are_discarded_whole() {
    // Replies, mouse and focus events, released keys, and keys that type nothing.
    for reply in [
        "\x1b]11;rgb:1c1c/1c1c/1c1c\x1b\\",
        "\x1b]10;rgb:cccc/cccc/cccc\x07",
        "\x1b]11;rgb:1c1c/1c1c/1c1c\u{9c}",
        "\u{9d}11;rgb:cc\u{9c}",
        "\x1bP1+r436f=32\x1b\\",
        "\x1bP>|XTerm(392)\x1b\\",
        "\x1b_Gi=1;OK\x1b\\",
        "\x1b^qqq\x1b\\",
        "\x1bXqqq\x1b\\",
        "\x1b[12;40R",
        "\x1b[?64;1;2c",
        "\x1b[>41;392;0c",
        "\x1b[?2026;2$y",
        "\x1b[?1u",
        "\x1b[I",
        "\x1b[O",
        "\x1b[<0;10;10M",
        "\x1b[M q!",
        "\x1b[99;5:3u", // Ctrl-C is released
        "\x1b[8;24;80t",
        "\x1b[201~",
        "\x1b[57358u", // Caps Lock
    ] {
        assert_eq!(decode(reply.as_bytes()), [], "{reply:?}");
        let with_keystroke = decode(format!("{reply}j").as_bytes());
        assert_eq!(with_keystroke, [letter('j')], "{reply:?} and a keystroke");
        let mut decoder = TimedDecoder::new();
        let byte_by_byte: Vec<_> = reply.bytes().flat_map(|byte| decoder.decode(&[byte])).collect();
        assert_eq!(byte_by_byte, [], "{reply:?} byte by byte");
    }
}

#[test]
fn reply_split_after_its_escape_is_no_keystroke() {
    for pieces in [
        &["\x1b", "]11;rgb:cccc/cccc/cccc\x07"] as &[&str],
        &["\x1b", "[12;40R"],
        &["\x1b", "P1$r0m\x1b\\"],
        &["\x1b", "]", "11;rgb:cccc/cccc/cccc\x1b\\"],
        &["\x1b", "[?64;1;", "2;22c"],
        &["\x1b", "_Gi=1;OKqc\x1b\\"],
        &["\x1b", "^", "qqq\x1b", "\\"],
        &["\x1b", "[", "A"],
        &["\x1b", "O", "j"],
    ] {
        for gap in [60, 300, 900].map(Duration::from_millis) {
            let mut decoder = TimedDecoder::new();
            let mut inputs = Vec::new();
            for piece in pieces {
                inputs.extend(decoder.decode(piece.as_bytes()));
                inputs.extend(decoder.be_silent(gap));
            }
            // The lone ESC counts as the Esc key. `ESC [ A` is the Up key, and `ESC O j` is `*` on the keypad.
            let allowed = [key(KeyCode::Esc), key(KeyCode::Up), letter('*')];
            inputs.retain(|input| !allowed.contains(input));
            assert_eq!(inputs, [], "{pieces:?} with gaps of {gap:?}");
        }
    }
}

#[test]
fn trickled_sequences_are_no_keystrokes() {
    for bytes in [
        "\x1b]11;rgb:1c1c/1c1c/1c1c\x1b\\",
        "\x1b]10;rgb:cccc/cccc/cccc\x07",
        "\x1bP1+r436f=32;q=x\x1b\\",
        "\x1b_Gi=1;OKqc\x1b\\",
        "\x1b[?64;1;2;22c",
        "\x1b[12;40R",
        "\x1b[200~xa7ff\rxb3de\rq\x1b[201~",
    ] {
        let mut decoder = TimedDecoder::new();
        let mut inputs = Vec::new();
        for byte in bytes.bytes() {
            inputs.extend(decoder.decode(&[byte]));
            // Long enough to make a lone ESC the Esc key, but faster than a person types.
            inputs.extend(decoder.be_silent(Duration::from_millis(70)));
        }
        inputs.retain(|input| *input != key(KeyCode::Esc) && !matches!(input, DecodedInput::Paste(_)));
        assert_eq!(inputs, [], "{bytes:?}");
    }
}

#[test]
fn paste_split_after_its_escape_is_one_text() {
    for pieces in [
        ["\x1b", "[2", "00~xa7ff\r\x1b[201~"],
        ["\x1b[200~xa7", "ff\r\x1b", "[201~"],
        ["\x1b[200~xa7ff", "\r\x1b[20", "1~"],
    ] {
        let mut decoder = TimedDecoder::new();
        let mut inputs = Vec::new();
        for piece in pieces {
            inputs.extend(decoder.decode(piece.as_bytes()));
            inputs.extend(decoder.be_silent(Duration::from_millis(900)));
        }
        inputs.retain(|input| *input != key(KeyCode::Esc));
        assert_eq!(inputs, [DecodedInput::Paste("xa7ff\r".into())], "{pieces:?}");
    }
}

#[test]
fn bracket_after_esc_is_a_keystroke_if_typed() {
    for introducer in ['[', ']'] {
        let introducer_read = [introducer as u8];
        let decoder_after_both = || {
            let mut decoder = TimedDecoder::new();
            decoder.decode(b"\x1b");
            decoder.be_silent(Duration::from_millis(200));
            assert_eq!(decoder.decode(&introducer_read), []);
            decoder
        };
        assert_eq!(decoder_after_both().be_silent(SEQUENCE_TIMEOUT), [letter(introducer)]);
        for next in ['[', ']', 'j', 'q'] {
            let inputs = decoder_after_both().decode(&[next as u8]);
            assert_eq!(inputs, [letter(introducer), letter(next)]);
        }
        assert_eq!(decoder_after_both().decode(b"\x03"), [letter(introducer), ctrl('c')]);
        let mut decoder = TimedDecoder::new();
        decoder.decode(b"\x1b");
        decoder.be_silent(Duration::from_secs(2));
        assert_eq!(decoder.decode(&introducer_read), [letter(introducer)], "long after Esc");
    }
}

/// The network stalls for five seconds: long enough to end the sequence, but its rest may still follow.
#[test]
fn rest_of_ended_sequence_is_discarded() {
    for (start, rest) in [
        ("\x1b[200~log line\r", "xa7ff\r\x1b[201~"),
        ("\x1b[200~log line\r", "xa7ff\rqc"),
        ("\x1b]11;rgb:", "cccc/cccc/cccc\x1b\\"),
        ("\x1b]11;rgb:", "cccc"),
        ("\x1bP1+r", "636f=32;q=x\x07"),
        ("\x1b[?64;1;", "2;22c"),
    ] {
        let mut decoder = TimedDecoder::new();
        decoder.decode(start.as_bytes());
        decoder.be_silent(Duration::from_secs(5));
        assert_eq!(decoder.decode(rest.as_bytes()), [], "{start:?} {rest:?}");
        assert_eq!(decoder.decode(b"j"), [letter('j')], "{start:?} {rest:?}");
    }
}

#[test]
fn keystrokes_after_ended_sequence_count() {
    for start in ["\x1b[200~abc", "\x1b]11;rgb:", "\x1b[?6"] {
        let mut decoder = TimedDecoder::new();
        decoder.decode(start.as_bytes());
        decoder.be_silent(Duration::from_secs(2));
        for (bytes, expected) in
            [("q", letter('q')), ("é", letter('é')), ("\x03", ctrl('c')), ("\x1b[A", key(KeyCode::Up))]
        {
            assert_eq!(decoder.decode(bytes.as_bytes()), [expected], "{start:?}");
        }
        let pasted = decoder.decode(b"\x1b[200~new\x1b[201~");
        assert_eq!(pasted, [DecodedInput::Paste("new".into())], "{start:?}");
        decoder.be_silent(Duration::from_secs(11));
        assert_eq!(decoder.decode(b"jj"), [letter('j'), letter('j')], "{start:?}: much later");
    }
}

#[test]
fn typing_ends_every_sequence() {
    for start in ["\x1b]11;rgb", "\x1bPq", "\x1b_G", "\x1b[200~abc"] {
        let mut decoder = TimedDecoder::new();
        decoder.decode(start.as_bytes());
        // Nine keystrokes in 4.5 seconds: those of the first three seconds belong to the sequence.
        let counted: Vec<_> = (0..9)
            .flat_map(|_| {
                decoder.be_silent(Duration::from_millis(500));
                decoder.decode(b"?")
            })
            .filter(|input| *input == letter('?'))
            .collect();
        assert!(counted.len() >= 3, "{start:?}: keystrokes count after three seconds: {counted:?}");
        // The bytes of a program come faster. They never end a sequence in this way.
        let mut decoder = TimedDecoder::new();
        decoder.decode(start.as_bytes());
        for _ in 0..200 {
            decoder.be_silent(Duration::from_millis(70));
            assert_eq!(decoder.decode(b"x"), [], "{start:?}");
        }
    }
}

#[test]
fn ctrl_c_ends_every_sequence_but_a_paste() {
    for start in ["\x1b", "\x1b[", "\x1b[<", "\x1bO", "\x1b]11;", "\x1bP", "\x1b[M", "\x1b[[", "\x1b[1;"] {
        let bytes = [start.as_bytes(), b"\x03j"].concat();
        assert_eq!(decode(&bytes), [ctrl('c'), letter('j')], "{start:?}");
    }
    assert_eq!(decode(b"\x1b[200~a\x03b\x1b[201~"), [DecodedInput::Paste("a\x03b".into())]);
}

#[test]
fn silence_ends_every_state() {
    for start in ["\x1b[", "\x1bO", "\x1b]11;rgb:", "\x1bPq", "\x1b[M", "\x1b[200~", "\u{9d}q", "\x1b[1;5"] {
        let mut decoder = TimedDecoder::new();
        assert_eq!(decoder.decode(start.as_bytes()), [], "{start:?}");
        assert_eq!(decoder.decoder.silence_limit(), Some(SEQUENCE_TIMEOUT), "{start:?}");
        decoder.decoder.on_silence();
        assert_eq!(decoder.decoder.silence_limit(), Some(LATE_REST_TIMEOUT), "{start:?}");
        assert_eq!(decoder.decode(b"q"), [letter('q')], "{start:?}");
    }
}

#[test]
fn lone_escape_is_the_esc_key() {
    let mut decoder = TimedDecoder::new();
    assert_eq!(decoder.decode(b"\x1b"), []);
    assert_eq!(decoder.decoder.silence_limit(), Some(ESCAPE_TIMEOUT));
    assert_eq!(decoder.decoder.on_silence(), Some(key(KeyCode::Esc)));
    assert_eq!(decoder.be_silent(Duration::from_secs(60)), []);
    // The second ESC is no keystroke yet, because it may begin a sequence.
    assert_eq!(decode(b"\x1b\x1b"), [key(KeyCode::Esc)]);
}

#[test]
fn paste_is_one_text() {
    let pasted = decode(b"\x1b[200~checkout-qa\x1b[31m\r\n\x1b[201~q");
    assert_eq!(pasted, [DecodedInput::Paste("checkout-qa\x1b[31m\r\n".into()), letter('q')]);
}

#[test]
fn unfinished_paste_ends_by_silence_with_its_text() {
    let mut decoder = TimedDecoder::new();
    decoder.decode(b"\x1b[200~abc");
    assert_eq!(decoder.decoder.on_silence(), Some(DecodedInput::Paste("abc".into())));
    assert_eq!(decoder.decode(b"q"), [letter('q')]);
}

#[test]
fn paste_beyond_its_limit_is_truncated() {
    let mut decoder = TimedDecoder::new();
    decoder.decode(b"\x1b[200~");
    let inputs = decoder.decode(&vec![b'q'; MAX_PASTE_BYTES + 5000]);
    assert_eq!(inputs, [DecodedInput::Paste("q".repeat(MAX_PASTE_BYTES))]);
    assert_eq!(decoder.decode(b"qqq\x1b[201~j"), [letter('j')]);
    decoder.decode(b"\x1b[200~");
    decoder.decode(&vec![b'q'; MAX_PASTE_BYTES + 5000]);
    assert_eq!(decoder.decoder.on_silence(), None, "a paste is reported once");
    assert_eq!(decoder.decode(b"j"), [letter('j')]);
}

#[test]
fn endless_sequence_ends_by_its_size() {
    for (start, byte) in [(b"\x1b]", b'c'), (b"\x1b[", b'1')] {
        let mut decoder = TimedDecoder::new();
        decoder.decode(start);
        // Together more than `MAX_SEQUENCE_BYTES`.
        for _ in 0..20 {
            assert_eq!(decoder.decode(&[byte; 4096]), []);
        }
        assert_eq!(decoder.decode(b"j"), [letter('j')]);
    }
}

/// A second, simpler decoder. It sees all bytes at once and splits them into units: keystrokes, pastes, and sequences
/// that are discarded. Each function but `inputs` returns the number of bytes of a unit, and the unit's input, if any.
/// `bytes` begins with the unit, and `start` is the position after its introducer. To name the keys, this decoder uses
/// functions of the decoder under test.
mod reference {
    use super::*;

    pub(super) fn inputs(mut bytes: &[u8]) -> Vec<DecodedInput> {
        let mut inputs = Vec::new();
        while !bytes.is_empty() {
            let (length, input) = first_unit(bytes);
            inputs.extend(input);
            bytes = &bytes[length..];
        }
        inputs
    }

    fn first_unit(bytes: &[u8]) -> (usize, Option<DecodedInput>) {
        match bytes {
            [0x1b, b'[', ..] => control_sequence(bytes, 2),
            [0xc2, 0x9b, ..] => control_sequence(bytes, 2),
            [0x9b, ..] => control_sequence(bytes, 1),
            [0x1b, b'O', ..] => single_shift(bytes, 2),
            [0xc2, 0x8f, ..] => single_shift(bytes, 2),
            [0x8f, ..] => single_shift(bytes, 1),
            [0x1b, b']' | b'P' | b'X' | b'^' | b'_', ..] => control_string(bytes, 2),
            [0xc2, 0x90 | 0x98 | 0x9d | 0x9e | 0x9f, ..] => control_string(bytes, 2),
            [0x90 | 0x98 | 0x9d | 0x9e | 0x9f, ..] => control_string(bytes, 1),
            [0x1b, b'\\', ..] => (2, None),
            [0x1b, 0x1b, ..] => (1, Some(key(KeyCode::Esc))),
            [0x1b, 0x03, ..] => (2, Some(ctrl('c'))),
            [0x1b] => (1, None),
            // ESC before a C1 control character is dropped. The control character is the next unit.
            [0x1b, 0x80..=0x9f, ..] | [0x1b, 0xc2, 0x80..=0x9f, ..] => (1, None),
            // A character with Alt.
            [0x1b, rest @ ..] => {
                let (length, input) = first_unit(rest);
                (length + 1, input.map(|input| with_modifiers(input, KeyModifiers::ALT)))
            }
            [byte @ (0..=0x1f | 0x7f), ..] => (1, Some(control_key(*byte))),
            _ => character(bytes),
        }
    }

    fn character(bytes: &[u8]) -> (usize, Option<DecodedInput>) {
        let expected = match bytes[0] {
            0..=0x7f => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return (1, None),
        };
        let continued = bytes[1..].iter().take(expected - 1).take_while(|byte| (0x80..=0xbf).contains(*byte));
        let length = 1 + continued.count();
        let text = std::str::from_utf8(&bytes[..length]).ok().filter(|_| length == expected);
        let c = text.and_then(|text| text.chars().next()).filter(|c| !c.is_control());
        (length, c.map(letter))
    }

    fn single_shift(bytes: &[u8], start: usize) -> (usize, Option<DecodedInput>) {
        let Some(&byte) = bytes.get(start) else { return (start, None) };
        match byte {
            ESC => (start, None),
            CTRL_C => (start + 1, Some(ctrl('c'))),
            _ => (start + 1, KeyDecoder { state: State::SingleShift, ..KeyDecoder::new() }.decode_byte(byte)),
        }
    }

    fn control_string(bytes: &[u8], start: usize) -> (usize, Option<DecodedInput>) {
        for (at, byte) in bytes.iter().enumerate().skip(start) {
            match *byte {
                BELL | CANCEL | SUBSTITUTE => return (at + 1, None),
                CTRL_C => return (at + 1, Some(ctrl('c'))),
                ESC => return (at, None),
                0x9c if at > start && bytes[at - 1] == 0xc2 => return (at + 1, None),
                _ => {}
            }
        }
        (bytes.len(), None)
    }

    fn control_sequence(bytes: &[u8], start: usize) -> (usize, Option<DecodedInput>) {
        let mut parameters = Vec::new();
        for (at, byte) in bytes.iter().enumerate().skip(start) {
            // The number of bytes after this one that belong to the sequence.
            let skipped = match *byte {
                b'[' if parameters.is_empty() => 1,
                b'M' if parameters.is_empty() => 3,
                b'~' if parameters == b"200" => return bracketed_paste(bytes, at + 1),
                0x40..=0x7e if parameters.len() <= MAX_PARAMETER_BYTES => {
                    return (at + 1, sequence_key(&parameters, *byte).map(DecodedInput::Key));
                }
                0x40..=0x7e | CANCEL | SUBSTITUTE => return (at + 1, None),
                CTRL_C => return (at + 1, Some(ctrl('c'))),
                ESC | 0x80.. => return (at, None),
                0x20..=0x3f => {
                    parameters.push(*byte);
                    continue;
                }
                _ => continue,
            };
            for (place, byte) in bytes.iter().enumerate().skip(at + 1).take(skipped) {
                match *byte {
                    CTRL_C => return (place + 1, Some(ctrl('c'))),
                    ESC => return (place, None),
                    _ => {}
                }
            }
            return ((at + 1 + skipped).min(bytes.len()), None);
        }
        (bytes.len(), None)
    }

    fn bracketed_paste(bytes: &[u8], start: usize) -> (usize, Option<DecodedInput>) {
        let end = bytes[start..].windows(PASTE_END.len()).position(|window| window == PASTE_END);
        match end {
            Some(end) => (start + end + PASTE_END.len(), Some(paste(&bytes[start..start + end]))),
            None => (bytes.len(), None),
        }
    }
}

/// Generates known sequences and random bytes. Some of the sequences are cut, or have one changed byte.
fn terminal_bytes() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static str> = vec![
        "\x1b]11;rgb:1c1c/1c1c/1c1c\x1b\\",
        "\x1b]10;rgb:cccc/cccc/cccc\x07",
        "\x1bP1+r436f=32\x1b\\",
        "\x1b_Gi=1;OK\x1b\\",
        "\x1b[12;40R",
        "\x1b[?64;1;2c",
        "\x1b[<0;10;10M",
        "\x1b[M q!",
        "\x1b[99;5u",
        "\x1b[27;5;122~",
        "\x1b[200~cxyq\r\x1b[201~",
        "\x1b[200~",
        "\x1b[201~",
        "\x1bOA",
        "\x1b[1;5A",
        "\x1b",
        "\x03",
        "q",
        "c",
        "x",
        "с",
        "é",
        "\u{9d}",
        "\u{9c}",
        "\u{9b}",
    ];
    let mutated = (proptest::sample::select(known.clone()), any::<prop::sample::Index>(), any::<u8>())
        .prop_map(|(sequence, place, byte)| {
            let mut bytes = sequence.as_bytes().to_vec();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes
        });
    let cut = (proptest::sample::select(known.clone()), any::<prop::sample::Index>())
        .prop_map(|(sequence, end)| sequence.as_bytes()[..end.index(sequence.len())].to_vec());
    let piece = prop_oneof![
        4 => proptest::sample::select(known).prop_map(|sequence| sequence.as_bytes().to_vec()),
        2 => mutated,
        1 => cut,
        2 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Decodes random bytes in reads of random sizes, and expects what the reference decodes.
fn compare_with_reference(cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let strategy = (terminal_bytes(), proptest::collection::vec(1_usize..12, 1..8));
    let outcome = TestRunner::new(config).run(&strategy, |(bytes, sizes)| {
        let mut decoder = TimedDecoder::new();
        let (mut decoded, mut rest, mut sizes) = (Vec::new(), bytes.as_slice(), sizes.iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().copied().unwrap_or(1).min(rest.len());
            decoded.extend(decoder.decode(&rest[..size]));
            rest = &rest[size..];
        }
        prop_assert_eq!(decoded, reference::inputs(&bytes));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn decoder_agrees_with_reference() {
    compare_with_reference(10_000);
}

#[test]
#[ignore = "takes a minute"]
fn decoder_agrees_with_reference_a_million_times() {
    compare_with_reference(1_000_000);
}
