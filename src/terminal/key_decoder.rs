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
//! The drawing leaves out the states `Utf8`, `EscapeReported`, `Held` and `Skip`. 50 ms without a byte end `Escape`, and a
//! second without a byte ends every other state, so that no sequence that was cut off can lock the keyboard. A sequence
//! also ends if its bytes come as a person types, one by one and far apart, for three seconds. Ctrl-C is a keystroke in
//! every state but `Paste`.
//!
//! A sequence that ends early, by silence, typing or its size, may still have a rest that follows, because a network
//! can stall for any time. So until ten seconds pass without a byte, only a read of a single keystroke counts. A read
//! of several characters counts as the rest, and is discarded.
//!
//! The decoder reads no clock. Its caller passes the time of each read, and calls [`KeyDecoder::on_silence`] if no byte
//! comes within [`KeyDecoder::silence_limit`]. [`key_names`] names the keys.
//!
//! References: ECMA-48 sections 5.4 to 5.6.

mod key_names;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use self::key_names::{cursor_key, sequence_key};

/// The wait after a lone ESC, before it counts as the Esc key.
const ESCAPE_TIMEOUT: Duration = Duration::from_millis(50);
/// The maximum silence within a sequence, a control string or a paste.
const SEQUENCE_TIMEOUT: Duration = Duration::from_secs(1);
/// The silence after which the rest of a sequence that ended early no longer follows.
const LATE_REST_TIMEOUT: Duration = Duration::from_secs(10);
/// The minimum time between two keystrokes of a person within a sequence. Bytes that come faster count as a program's.
const MIN_TYPING_GAP: Duration = Duration::from_millis(250);
/// The time after which a sequence ends if its bytes come as a person types.
const MAX_TYPED_TIME: Duration = Duration::from_secs(3);
/// The maximum length of a control string or control sequence, in bytes. The replies of terminals are shorter than 1 KiB.
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
const PASTE_START: &[u8] = b"\x1b[200~";
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
    EscapeReported {
        /// True for a second. In this time the rest may begin with a single byte.
        is_recent: bool,
    },
    /// After an ESC that counted as the Esc key, and then this byte: `[` or `]`. The byte is a keystroke, or continues
    /// the sequence that the ESC began.
    Held(u8),
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
        /// The bytes so far. Once they were reported, only the newest bytes, to find the end of the paste.
        bytes: Vec<u8>,
        /// True if the first [`MAX_PASTE_BYTES`] were reported.
        is_reported: bool,
    },
}

/// The kind of a sequence that ended early: before its last byte came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedEarly {
    ControlSequence,
    ControlString,
    Paste,
}

/// A decoder of the bytes that one terminal sends. Times are those of a monotonic clock.
#[derive(Debug)]
pub(super) struct KeyDecoder {
    state: State,
    /// The kind of the sequence whose rest may still follow.
    ended_early: Option<EndedEarly>,
    /// The time of the newest read.
    last_read: Duration,
    /// The time of the newest read that was outside a sequence or does not look like a person's typing.
    last_untyped: Duration,
}

impl KeyDecoder {
    /// Creates a decoder that expects a keystroke.
    pub(super) fn new() -> Self {
        Self {
            state: State::Ground,
            ended_early: None,
            last_read: Duration::ZERO,
            last_untyped: Duration::ZERO,
        }
    }

    /// Returns the maximum wait for the next byte. After it, the caller calls [`Self::on_silence`]. `None` means no
    /// limit.
    pub(super) fn silence_limit(&self) -> Option<Duration> {
        match self.state {
            State::Ground => self.ended_early.map(|_| LATE_REST_TIMEOUT),
            State::EscapeReported { is_recent: false } => None,
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
                self.state = State::EscapeReported { is_recent: true };
                Some(pressed(KeyCode::Esc, KeyModifiers::NONE))
            }
            State::EscapeReported { .. } => self.become_state(State::EscapeReported { is_recent: false }),
            State::Held(introducer) => Some(character_key(char::from(introducer), KeyModifiers::NONE)),
            State::Paste { bytes, is_reported } => {
                self.end_early(EndedEarly::Paste);
                (!is_reported).then(|| paste(&bytes))
            }
            State::ControlString { .. } => self.end_early(EndedEarly::ControlString),
            State::ControlSequence { .. } | State::SingleShift | State::Skip(_) => {
                self.end_early(EndedEarly::ControlSequence)
            }
            State::Utf8 { .. } => None,
            State::Ground => {
                self.ended_early = None;
                None
            }
        }
    }

    /// Decodes the `bytes` of one read at the time `now`.
    pub(super) fn decode(&mut self, bytes: &[u8], now: Duration) -> Vec<DecodedInput> {
        let mut inputs = Vec::new();
        // promise: typed-sequence, mutant: self.is_typed(bytes, now) -> false
        if self.is_typed(bytes, now) {
            // Ends the sequence, as silence would.
            inputs.extend(self.on_silence());
        }
        match self.state {
            State::EscapeReported { is_recent } => self.decode_after_escape(is_recent, bytes, &mut inputs),
            State::Held(introducer) => self.decode_after_held(introducer, bytes, &mut inputs),
            _ => self.decode_bytes(bytes, &mut inputs),
        }
        inputs
    }

    /// Notes the read of `bytes` at `now`. Returns true if a sequence is incomplete, and for [`MAX_TYPED_TIME`] its
    /// bytes have come as a person types.
    fn is_typed(&mut self, bytes: &[u8], now: Duration) -> bool {
        let is_fast = now.saturating_sub(self.last_read) < MIN_TYPING_GAP;
        self.last_read = now;
        if is_fast || !is_one_character(bytes) || matches!(self.state, State::Ground) {
            self.last_untyped = now;
        }
        now.saturating_sub(self.last_untyped) >= MAX_TYPED_TIME
    }

    /// Decodes a read after an ESC that counted as the Esc key: keystrokes, or the rest of the sequence that the ESC began.
    fn decode_after_escape(&mut self, is_recent: bool, bytes: &[u8], inputs: &mut Vec<DecodedInput>) {
        self.state = match bytes {
            [introducer, next, ..] if may_continue_escape(*introducer, *next) => State::Escape,
            [introducer @ (b'[' | b']')] if is_recent => State::Held(*introducer),
            // The screen binds none of these keys, so each counts as the rest of the sequence, even alone.
            [b'O' | b'P' | b'X' | b'^' | b'_'] | [b'\\', ..] if is_recent => State::Escape,
            _ => State::Ground,
        };
        if !matches!(self.state, State::Held(_)) {
            self.decode_bytes(bytes, inputs);
        }
    }

    /// Decodes a held `introducer` and the read after it: keystrokes, or the rest of the sequence that an ESC began.
    fn decode_after_held(&mut self, introducer: u8, bytes: &[u8], inputs: &mut Vec<DecodedInput>) {
        let is_sequence = bytes.first().is_some_and(|next| may_continue_escape(introducer, *next));
        self.state = if is_sequence { State::Escape } else { State::Ground };
        inputs.extend(self.decode_byte(introducer));
        self.decode_bytes(bytes, inputs);
    }

    /// Decodes the bytes of a read, and discards those that are the rest of a sequence that ended early.
    fn decode_bytes(&mut self, bytes: &[u8], inputs: &mut Vec<DecodedInput>) {
        let mut undecoded = self.skip_late_rest(bytes, true);
        while let Some((byte, tail)) = undecoded.split_first() {
            let ended_before = self.ended_early.take();
            inputs.extend(self.decode_byte(*byte));
            undecoded = if self.ended_early.is_some() {
                self.skip_late_rest(tail, false) // with this byte a sequence became too long
            } else {
                self.ended_early = ended_before;
                tail
            };
        }
    }

    /// Returns `bytes` without the rest of a sequence that ended early. `is_whole_read` is true if `bytes` are a whole
    /// read, which may be a single keystroke.
    fn skip_late_rest<'b>(&mut self, bytes: &'b [u8], is_whole_read: bool) -> &'b [u8] {
        let (State::Ground, Some(sequence)) = (&self.state, self.ended_early) else { return bytes };
        // promise: late-rest, mutant: is_one_character(bytes) || is_one_sequence(bytes) -> true
        let is_keystroke = is_whole_read && (is_one_character(bytes) || is_one_sequence(bytes));
        // BEL is no keystroke here: it may end a control string.
        if is_keystroke && bytes != [BELL] {
            return bytes;
        }
        let Some(rest_end) = end_of_rest(sequence, bytes) else { return &[] };
        self.ended_early = None;
        bytes.get(rest_end..).unwrap_or_default()
    }

    /// Ends a sequence before its last byte came, so that its rest will be discarded. Returns `None`, because no input
    /// is complete.
    fn end_early(&mut self, sequence: EndedEarly) -> Option<DecodedInput> {
        (self.state, self.ended_early) = (State::Ground, Some(sequence));
        None
    }

    fn decode_byte(&mut self, byte: u8) -> Option<DecodedInput> {
        match std::mem::replace(&mut self.state, State::Ground) {
            State::Ground | State::EscapeReported { .. } | State::Held(_) => self.decode_ground(byte, false),
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
                if length >= MAX_SEQUENCE_BYTES {
                    return self.end_early(EndedEarly::ControlSequence);
                }
                self.become_state(State::ControlSequence { parameters, length })
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
            0x80.. => self.decode_ground(byte, false), // drops the sequence, which is invalid
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
            _ if length >= MAX_SEQUENCE_BYTES => self.end_early(EndedEarly::ControlString),
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

/// Returns true if `introducer` and `next` may continue a sequence whose ESC counted as the Esc key. `[` and `]` are
/// keystrokes, too, so after them only those bytes continue a sequence that terminals send there.
fn may_continue_escape(introducer: u8, next: u8) -> bool {
    match introducer {
        b'[' => matches!(next, 0x30..=0x3f | b'A'..=b'D' | b'F' | b'H' | b'I' | b'M' | b'O'..=b'S' | b'Z'),
        b']' => next.is_ascii_digit() || matches!(next, b'l' | b'L' | b'I'),
        b'O' | b'P' | b'X' | b'^' | b'_' => (0x20..=0x7e).contains(&next),
        _ => false,
    }
}

/// Returns the position in `bytes` after the rest of `sequence`: after its last byte, or where another sequence begins.
/// Returns `None` if the rest may go on in the next read.
fn end_of_rest(sequence: EndedEarly, bytes: &[u8]) -> Option<usize> {
    let find = |pattern: &[u8]| bytes.windows(pattern.len()).position(|window| window == pattern);
    match sequence {
        EndedEarly::Paste => {
            let after_end = find(PASTE_END).map(|end| end.saturating_add(PASTE_END.len()));
            find(PASTE_START).into_iter().chain(after_end).min()
        }
        EndedEarly::ControlString => {
            let terminators: [&[u8]; 3] = [b"\x07", b"\x1b\\", b"\xc2\x9c"];
            terminators.iter().filter_map(|end| Some(find(end)?.saturating_add(end.len()))).min()
        }
        EndedEarly::ControlSequence => {
            let parameters_end = bytes.iter().position(|byte| !(0x20..=0x3f).contains(byte))?;
            let is_escape = bytes.get(parameters_end) == Some(&ESC);
            Some(if is_escape { parameters_end } else { parameters_end.saturating_add(1) })
        }
    }
}

/// Returns true if a read has just one character.
fn is_one_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().count() == 1)
}

/// Returns true if a read has just one escape sequence, such as that of an arrow key.
fn is_one_sequence(bytes: &[u8]) -> bool {
    let [start @ .., last] = bytes else { return false };
    let mut decoder = KeyDecoder::new();
    let is_incomplete = start.iter().all(|byte| decoder.decode_byte(*byte).is_none())
        && !matches!(decoder.state, State::Ground);
    is_incomplete && bytes.first() == Some(&ESC) && decoder.decode_byte(*last).is_some()
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
    let character = |offset: u8| KeyCode::Char(char::from(byte.saturating_add(offset)));
    let (code, modifiers) = match byte {
        b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
        b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
        0x7f => (KeyCode::Backspace, KeyModifiers::NONE),
        0x00 => (KeyCode::Char(' '), KeyModifiers::CONTROL),
        0x01..=0x1a => (character(0x60), KeyModifiers::CONTROL),
        _ => (character(0x18), KeyModifiers::CONTROL), // 0x1c to 0x1f: Ctrl-4 to Ctrl-7
    };
    pressed(code, modifiers)
}

#[cfg(test)]
mod tests;
