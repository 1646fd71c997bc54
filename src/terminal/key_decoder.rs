//! Decodes what the terminal sends: keystrokes, pastes, and replies that are neither.
//!
//! crossterm's own parser reads the start of a terminal's reply, such as `ESC ]`, as Alt-], and the rest of the reply
//! as keystrokes. A late answer to a colour query would press `c`. This decoder replaces that parser and follows the
//! grammar of ECMA-48: it discards a whole control string, and a whole control sequence that names no key.
//!
//! ```text
//!            ESC                [                  final byte
//!   Ground ───────► Escape ───────► ControlSequence ─────────► Ground (a key, the start of a paste, or nothing)
//!     ▲                │ O                          ESC [ 200 ~
//!     │                ├──► SingleShift               └──────► Paste ── ESC [ 201 ~ ──► Ground
//!     │                │ ] P X ^ _
//!     └────────────────┴──► ControlString ── ST, BEL, Ctrl-C, 64 KiB ──► Ground
//! ```
//!
//! The drawing leaves out the states `Utf8`, `EscapeReported` and `Skip`. 50 ms without a byte end `Escape`, and a
//! second without a byte ends every other state but `Ground`, so that no sequence that was cut off can lock the
//! keyboard. Ctrl-C is a keystroke in every state but `Paste`. The decoder reads no clock: its caller waits for bytes
//! no longer than [`KeyDecoder::silence_limit`] and then calls [`KeyDecoder::on_silence`].
//!
//! References: ECMA-48 sections 5.4 to 5.6, xterm's "Control Sequences" (`modifyOtherKeys`), and the kitty keyboard
//! protocol.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The wait after a lone ESC, before it counts as the Esc key.
const ESCAPE_TIMEOUT: Duration = Duration::from_millis(50);
/// The maximum silence within a sequence, a control string or a paste.
const SEQUENCE_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum length of a control string or control sequence, in bytes. The bytes after it count as keystrokes. The
/// replies of terminals are shorter than 1 KiB.
const MAX_SEQUENCE_BYTES: usize = 64 * 1024;
/// The maximum number of bytes of a control sequence's parameters that are kept. A longer sequence is discarded: the
/// parameters of a key are shorter than 32 bytes.
const MAX_PARAMETER_BYTES: usize = 64;
/// The maximum length of a paste, in bytes. The rest of a longer paste is discarded.
const MAX_PASTE_BYTES: usize = 1024 * 1024;

const CTRL_C: u8 = 0x03;
const BELL: u8 = 0x07;
/// CAN and SUB abort a sequence.
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESC: u8 = 0x1b;
const PASTE_END: &[u8] = b"\x1b[201~";

/// A keystroke or a paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DecodedInput {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted. Invalid UTF-8 is replaced.
    Paste(String),
}

/// The state between two bytes.
#[derive(Debug)]
enum State {
    /// Between keystrokes, sequences and pastes.
    Ground,
    /// Within a character of several bytes.
    Utf8 {
        /// The bytes so far.
        bytes: Vec<u8>,
        /// The number of bytes of the whole character.
        length: usize,
        /// True if ESC came before the character, which means Alt.
        is_alt: bool,
    },
    /// After ESC.
    Escape,
    /// After an ESC that counted as the Esc key, because nothing followed in time. If that ESC began a sequence, the
    /// rest of the sequence may still follow.
    EscapeReported,
    /// After `ESC [`.
    ControlSequence {
        /// The parameters so far, up to [`MAX_PARAMETER_BYTES`].
        parameters: Vec<u8>,
        /// The number of bytes of all parameters so far.
        length: usize,
    },
    /// After `ESC O`.
    SingleShift,
    /// Within OSC, DCS, APC, PM or SOS.
    ControlString {
        /// The number of bytes so far.
        length: usize,
        /// The last byte, or 0.
        previous: u8,
    },
    /// Before this many bytes that are discarded, because they belong to a sequence.
    Skip(usize),
    /// Within a bracketed paste.
    Paste {
        /// The bytes so far. After the report only the newest bytes, to find the end of the paste.
        bytes: Vec<u8>,
        /// True if the first [`MAX_PASTE_BYTES`] were reported.
        is_reported: bool,
    },
}

/// A decoder of the bytes that one terminal sends.
#[derive(Debug)]
pub(super) struct KeyDecoder {
    state: State,
}

impl KeyDecoder {
    /// Creates a decoder that expects a keystroke.
    pub(super) fn new() -> Self {
        Self { state: State::Ground }
    }

    /// Returns the maximum wait for the next byte. After it, the caller calls [`Self::on_silence`]. `None` means no
    /// limit.
    pub(super) fn silence_limit(&self) -> Option<Duration> {
        match self.state {
            State::Ground => None,
            State::Escape => Some(ESCAPE_TIMEOUT),
            // promise: sequence-timeout, mutant: Some(SEQUENCE_TIMEOUT) -> None
            _ => Some(SEQUENCE_TIMEOUT),
        }
    }

    /// Ends the current state, because no byte came within [`Self::silence_limit`]. Returns the Esc key after a lone
    /// ESC, and the text of a paste without an end. Discards other incomplete input.
    pub(super) fn on_silence(&mut self) -> Option<DecodedInput> {
        match std::mem::replace(&mut self.state, State::Ground) {
            State::Escape => {
                self.state = State::EscapeReported;
                Some(pressed(KeyCode::Esc, KeyModifiers::NONE))
            }
            State::Paste { bytes, is_reported: false } => Some(paste(&bytes)),
            _ => None,
        }
    }

    /// Decodes the `bytes` of one read. The bounds of a read matter after [`State::EscapeReported`].
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Vec<DecodedInput> {
        if matches!(self.state, State::EscapeReported) {
            self.state = if continues_escape(bytes) { State::Escape } else { State::Ground };
        }
        bytes.iter().filter_map(|byte| self.decode_byte(*byte)).collect()
    }

    fn decode_byte(&mut self, byte: u8) -> Option<DecodedInput> {
        match std::mem::replace(&mut self.state, State::Ground) {
            State::Ground | State::EscapeReported => self.decode_ground(byte, false),
            State::Utf8 { bytes, length, is_alt } => self.decode_utf8(bytes, length, is_alt, byte),
            State::Escape => self.decode_escape(byte),
            State::ControlSequence { parameters, length } => {
                self.decode_control_sequence(parameters, length, byte)
            }
            State::SingleShift => self.decode_single_shift(byte),
            State::ControlString { length, previous } => self.decode_control_string(length, previous, byte),
            State::Skip(count) => match byte {
                CTRL_C => Some(control_key(byte)),
                ESC => self.become_state(State::Escape),
                _ if count > 1 => self.become_state(State::Skip(count.saturating_sub(1))),
                _ => None,
            },
            State::Paste { bytes, is_reported } => self.decode_paste(bytes, is_reported, byte),
        }
    }

    /// Changes the state. Returns `None`, because no input is complete.
    fn become_state(&mut self, state: State) -> Option<DecodedInput> {
        self.state = state;
        None
    }

    fn decode_ground(&mut self, byte: u8, is_alt: bool) -> Option<DecodedInput> {
        let modifiers = if is_alt { KeyModifiers::ALT } else { KeyModifiers::NONE };
        match byte {
            ESC => self.become_state(State::Escape),
            0x00..=0x1f | 0x7f => Some(with_modifiers(control_key(byte), modifiers)),
            0x20..=0x7e => Some(character_key(char::from(byte), modifiers)),
            0x80..=0x9f => self.decode_c1_control(byte),
            0xc2..=0xdf => self.become_state(State::Utf8 { bytes: vec![byte], length: 2, is_alt }),
            0xe0..=0xef => self.become_state(State::Utf8 { bytes: vec![byte], length: 3, is_alt }),
            0xf0..=0xf4 => self.become_state(State::Utf8 { bytes: vec![byte], length: 4, is_alt }),
            _ => None, // never the first byte of a character in UTF-8
        }
    }

    fn decode_utf8(
        &mut self,
        mut bytes: Vec<u8>,
        length: usize,
        is_alt: bool,
        byte: u8,
    ) -> Option<DecodedInput> {
        if !(0x80..=0xbf).contains(&byte) {
            return self.decode_ground(byte, false); // the incomplete character is dropped
        }
        bytes.push(byte);
        if bytes.len() < length {
            return self.become_state(State::Utf8 { bytes, length, is_alt });
        }
        let c = std::str::from_utf8(&bytes).ok()?.chars().next()?;
        match u8::try_from(u32::from(c)) {
            Ok(control @ 0x80..=0x9f) => self.decode_c1_control(control),
            _ => {
                let modifiers = if is_alt { KeyModifiers::ALT } else { KeyModifiers::NONE };
                Some(character_key(c, modifiers))
            }
        }
    }

    /// Handles a control character from 0x80 to 0x9f (C1). Each stands for ESC and a second byte: 0x9b stands for
    /// `ESC [`.
    fn decode_c1_control(&mut self, control: u8) -> Option<DecodedInput> {
        match control {
            // ESC O
            0x8f => self.become_state(State::SingleShift),
            // ESC [
            0x9b => self.become_state(State::ControlSequence { parameters: Vec::new(), length: 0 }),
            // ESC P, X, ], ^, _
            0x90 | 0x98 | 0x9d..=0x9f => self.become_state(State::ControlString { length: 0, previous: 0 }),
            _ => None,
        }
    }

    fn decode_escape(&mut self, byte: u8) -> Option<DecodedInput> {
        match byte {
            b'[' => self.become_state(State::ControlSequence { parameters: Vec::new(), length: 0 }),
            b'O' => self.become_state(State::SingleShift),
            // promise: terminal-replies, mutant: State::ControlString { length: 0, previous: 0 } -> State::Ground
            b']' | b'P' | b'X' | b'^' | b'_' => {
                self.become_state(State::ControlString { length: 0, previous: 0 })
            }
            b'\\' => None, // ST, the end of a control string
            // The first ESC was the Esc key. The second may begin a sequence.
            ESC => {
                self.state = State::Escape;
                Some(pressed(KeyCode::Esc, KeyModifiers::NONE))
            }
            CTRL_C => Some(control_key(byte)),
            // Terminals send Alt with a character as ESC and the character.
            _ => self.decode_ground(byte, true),
        }
    }

    fn decode_control_sequence(
        &mut self,
        mut parameters: Vec<u8>,
        length: usize,
        byte: u8,
    ) -> Option<DecodedInput> {
        match byte {
            0x20..=0x3f => {
                if parameters.len() < MAX_PARAMETER_BYTES {
                    parameters.push(byte);
                }
                let length = length.saturating_add(1);
                if length < MAX_SEQUENCE_BYTES {
                    self.state = State::ControlSequence { parameters, length };
                }
                None
            }
            // The Linux console sends `ESC [ [ A` for F1. For a mouse event, terminals without SGR mouse mode send
            // `ESC [ M` and three bytes.
            b'[' if length == 0 => self.become_state(State::Skip(1)),
            b'M' if length == 0 => self.become_state(State::Skip(3)),
            // promise: pastes, mutant: parameters == b"200" -> false
            b'~' if parameters == b"200" => {
                self.become_state(State::Paste { bytes: Vec::new(), is_reported: false })
            }
            0x40..=0x7e if length <= MAX_PARAMETER_BYTES => {
                sequence_key(&parameters, byte).map(DecodedInput::Key)
            }
            0x40..=0x7e | CANCEL | SUBSTITUTE => None, // too long, or aborted
            CTRL_C => Some(control_key(byte)),
            ESC => self.become_state(State::Escape),
            0x80.. => self.decode_ground(byte, false), // the sequence is invalid and dropped
            // Other control characters within a sequence are ignored.
            _ => self.become_state(State::ControlSequence { parameters, length }),
        }
    }

    fn decode_single_shift(&mut self, byte: u8) -> Option<DecodedInput> {
        let code = match byte {
            b'A'..=b'D' | b'F' | b'H' => cursor_key(byte)?,
            b'P'..=b'S' => KeyCode::F(byte.saturating_sub(b'P').saturating_add(1)),
            b'M' => KeyCode::Enter,
            b'j'..=b'y' => KeyCode::Char(char::from(byte.saturating_sub(0x40))), // the keypad in application mode
            CTRL_C => return Some(control_key(byte)),
            ESC => return self.become_state(State::Escape),
            _ => return None,
        };
        Some(pressed(code, KeyModifiers::NONE))
    }

    fn decode_control_string(&mut self, length: usize, previous: u8, byte: u8) -> Option<DecodedInput> {
        match byte {
            BELL | CANCEL | SUBSTITUTE => None,
            CTRL_C => Some(control_key(byte)),
            0x9c if previous == 0xc2 => None, // the string terminator in UTF-8
            ESC => self.become_state(State::Escape),
            _ if length >= MAX_SEQUENCE_BYTES => None,
            _ => self.become_state(State::ControlString { length: length.saturating_add(1), previous: byte }),
        }
    }

    fn decode_paste(&mut self, mut bytes: Vec<u8>, is_reported: bool, byte: u8) -> Option<DecodedInput> {
        bytes.push(byte);
        if bytes.ends_with(PASTE_END) {
            bytes.truncate(bytes.len().saturating_sub(PASTE_END.len()));
            return (!is_reported).then(|| paste(&bytes));
        }
        let mut reported = None;
        if is_reported || bytes.len() >= MAX_PASTE_BYTES {
            let tail = bytes.split_off(bytes.len().saturating_sub(PASTE_END.len()));
            reported = (!is_reported).then(|| paste(&[bytes.as_slice(), &tail].concat()));
            bytes = tail;
        }
        self.state = State::Paste { bytes, is_reported: is_reported || reported.is_some() };
        reported
    }
}

/// True if `bytes`, from one read, look like the rest of a sequence whose ESC counted as the Esc key: the start of an
/// OSC or DCS string, or a whole control sequence. Keystrokes come alone, so they do not look like this.
fn continues_escape(bytes: &[u8]) -> bool {
    match bytes {
        [b']', next, ..] => next.is_ascii_digit(),
        [b'P', next, ..] => next.is_ascii_digit() || b"!$+>=".contains(next),
        [b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte));
            end.and_then(|end| rest.get(end)).is_some_and(|byte| (0x40..=0x7e).contains(byte))
        }
        _ => false,
    }
}

fn pressed(code: KeyCode, modifiers: KeyModifiers) -> DecodedInput {
    DecodedInput::Key(KeyEvent::new(code, modifiers))
}

fn paste(bytes: &[u8]) -> DecodedInput {
    DecodedInput::Paste(String::from_utf8_lossy(bytes).into_owned())
}

fn with_modifiers(input: DecodedInput, modifiers: KeyModifiers) -> DecodedInput {
    match input {
        DecodedInput::Key(key) => pressed(key.code, key.modifiers | modifiers),
        DecodedInput::Paste(_) => input,
    }
}

/// Returns the key of a typed character. As in crossterm, a capital letter has SHIFT.
fn character_key(c: char, modifiers: KeyModifiers) -> DecodedInput {
    let shift = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
    pressed(KeyCode::Char(c), modifiers | shift)
}

/// Returns the key that sends an ASCII control character, named as in crossterm.
fn control_key(byte: u8) -> DecodedInput {
    let letter = |offset: u8| KeyCode::Char(char::from(byte.saturating_add(offset)));
    let (code, modifiers) = match byte {
        b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
        b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
        0x7f => (KeyCode::Backspace, KeyModifiers::NONE),
        0x00 => (KeyCode::Char(' '), KeyModifiers::CONTROL),
        0x01..=0x1a => (letter(0x60), KeyModifiers::CONTROL),
        _ => (letter(0x18), KeyModifiers::CONTROL), // 0x1c to 0x1f: Ctrl-4 to Ctrl-7
    };
    pressed(code, modifiers)
}

fn cursor_key(byte: u8) -> Option<KeyCode> {
    Some(match byte {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        _ => return None,
    })
}

/// Returns the key of the control sequence with these parameters and this final byte. Returns `None` for a reply of the
/// terminal, a mouse event, a released key, or an unknown sequence.
fn sequence_key(parameters: &[u8], last: u8) -> Option<KeyEvent> {
    // A key has the form `CODE : SHIFTED ; MODIFIERS : EVENT ; TEXT`, and modifyOtherKeys `27 ; MODIFIERS ; CODE`. All
    // but CODE are optional.
    let parameters = std::str::from_utf8(parameters).ok()?;
    let mut numbers = Vec::new();
    for parameter in parameters.split(';') {
        let fields = parameter.split(':').map(|field| if field.is_empty() { Ok(0) } else { field.parse() });
        // Bytes other than digits mean a private sequence, such as a reply.
        numbers.push(fields.collect::<Result<Vec<u32>, _>>().ok()?);
    }
    // Returns one number; 0 if it is missing.
    let number = |parameter: usize, field: usize| {
        numbers.get(parameter).and_then(|fields| fields.get(field)).copied().unwrap_or(0)
    };
    let is_modify_other_keys = last == b'~' && number(0, 0) == 27;
    let is_release = number(1, 1) == 3;
    if is_release {
        return None;
    }
    let modifiers = decode_modifiers(number(1, 0));
    let code = match last {
        b'A'..=b'D' | b'F' | b'H' => cursor_key(last)?,
        // F1, F2 and F4 with modifiers. `R` would be F3, but also ends a report of the cursor's position.
        b'P' | b'Q' | b'S' if numbers.len() > 1 => KeyCode::F(last.saturating_sub(b'P').saturating_add(1)),
        b'Z' => return Some(KeyEvent::new(KeyCode::BackTab, modifiers | KeyModifiers::SHIFT)),
        b'~' if is_modify_other_keys => return code_point_key(number(2, 0), 0, 0, modifiers),
        b'u' if !parameters.is_empty() => {
            return code_point_key(number(0, 0), number(0, 1), number(2, 0), modifiers);
        }
        b'~' => tilde_key(number(0, 0))?,
        _ => return None,
    };
    Some(KeyEvent::new(code, modifiers))
}

/// Returns the key that `ESC [ NUMBER ~` names.
fn tilde_key(number: u32) -> Option<KeyCode> {
    // The numbers from `first_number` on are the function keys from `first_key` on.
    let function_key = |first_number: u32, first_key: u32| {
        u8::try_from(number.saturating_sub(first_number).saturating_add(first_key)).ok().map(KeyCode::F)
    };
    match number {
        1 | 7 => Some(KeyCode::Home),
        2 => Some(KeyCode::Insert),
        3 => Some(KeyCode::Delete),
        4 | 8 => Some(KeyCode::End),
        5 => Some(KeyCode::PageUp),
        6 => Some(KeyCode::PageDown),
        11..=15 => function_key(11, 1),
        17..=21 => function_key(17, 6),
        23 | 24 => function_key(23, 11),
        _ => None,
    }
}

/// Returns the modifiers of a control sequence. `parameter` is 1 plus the sum of the bits below.
fn decode_modifiers(parameter: u32) -> KeyModifiers {
    let bits = parameter.saturating_sub(1);
    let all = [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
        (8, KeyModifiers::SUPER),
        (16, KeyModifiers::HYPER),
        (32, KeyModifiers::META),
    ];
    all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, modifier)| modifier).collect()
}

/// Returns the key with this code point in the kitty protocol or `modifyOtherKeys`. `shifted` is the code point that
/// the key types with SHIFT, and `text` the one that it typed now; 0 if the terminal does not say.
fn code_point_key(code: u32, shifted: u32, text: u32, modifiers: KeyModifiers) -> Option<KeyEvent> {
    let code = match code {
        9 if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        9 => KeyCode::Tab,
        13 | 57_414 => KeyCode::Enter,
        27 => KeyCode::Esc,
        8 | 127 => KeyCode::Backspace,
        // The keypad has numbers of its own in the kitty protocol, from 57399 (digit 0) to 57426 (Delete).
        57_399..=57_408 => KeyCode::Char(char::from_digit(code.saturating_sub(57_399), 10)?),
        57_409..=57_413 => {
            let symbols = ['.', '/', '*', '-', '+'];
            KeyCode::Char(*symbols.get(usize::try_from(code.saturating_sub(57_409)).ok()?)?)
        }
        57_415 => KeyCode::Char('='),
        57_417 => KeyCode::Left,
        57_418 => KeyCode::Right,
        57_419 => KeyCode::Up,
        57_420 => KeyCode::Down,
        57_421 => KeyCode::PageUp,
        57_422 => KeyCode::PageDown,
        57_423 => KeyCode::Home,
        57_424 => KeyCode::End,
        57_425 => KeyCode::Insert,
        57_426 => KeyCode::Delete,
        57_344..=63_743 => return None, // the other keys of the kitty protocol: media, locks, modifiers
        _ => {
            let typed = [text, shifted].into_iter().find(|code| *code != 0);
            let plain = typed.or(Some(code)).and_then(char::from_u32).filter(|c| !c.is_control())?;
            // Without the typed character, apply SHIFT here.
            let needs_shift = typed.is_none() && modifiers.contains(KeyModifiers::SHIFT);
            KeyCode::Char(if needs_shift { with_shift(plain) } else { plain })
        }
    };
    Some(KeyEvent::new(code, modifiers))
}

/// Returns the character that a key of an American keyboard types with SHIFT. Some terminals do not report it.
fn with_shift(c: char) -> char {
    const UNSHIFTED: &str = "1234567890-=[]\\;',./`";
    const SHIFTED: &str = "!@#$%^&*()_+{}|:\"<>?~";
    let symbol = UNSHIFTED.chars().zip(SHIFTED.chars()).find(|(unshifted, _)| *unshifted == c);
    match symbol {
        Some((_, shifted)) => shifted,
        None => c.to_uppercase().next().unwrap_or(c),
    }
}

#[cfg(test)]
mod tests;
