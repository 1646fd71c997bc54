//! The names of keys: which key a control sequence or a code point stands for. Keeps no state.
//!
//! References: xterm's "Control Sequences" (`modifyOtherKeys`), and the kitty keyboard protocol.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Returns the key that a sequence with this final byte names, after `ESC O` or `ESC [`.
pub(super) fn cursor_key(final_byte: u8) -> Option<KeyCode> {
    Some(match final_byte {
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
pub(super) fn sequence_key(parameters: &[u8], final_byte: u8) -> Option<KeyEvent> {
    // The parameters of a key have the form `CODE : SHIFTED ; MODIFIERS : EVENT ; TEXT`, and those of modifyOtherKeys
    // `27 ; MODIFIERS ; CODE`. All but CODE are optional.
    let parameters = std::str::from_utf8(parameters).ok()?;
    let mut numbers = Vec::new();
    for parameter in parameters.split(';') {
        let fields = parameter.split(':').map(|field| if field.is_empty() { Ok(0) } else { field.parse() });
        // Bytes other than digits mean a private sequence, such as a reply.
        numbers.push(fields.collect::<Result<Vec<u32>, _>>().ok()?);
    }
    // Returns the number at this place, such as (1, 0) for MODIFIERS, or 0 if there is none.
    let number = |parameter: usize, field: usize| {
        numbers.get(parameter).and_then(|fields| fields.get(field)).copied().unwrap_or(0)
    };
    let is_modify_other_keys = final_byte == b'~' && number(0, 0) == 27;
    let is_release = number(1, 1) == 3; // EVENT
    if is_release {
        return None;
    }
    let modifiers = decode_modifiers(number(1, 0));
    let code = match final_byte {
        b'A'..=b'D' | b'F' | b'H' => cursor_key(final_byte)?,
        // F1, F2 and F4 with modifiers. `R` would be F3, but also ends a report of the cursor's position.
        b'P' | b'Q' | b'S' if numbers.len() > 1 => {
            KeyCode::F(final_byte.saturating_sub(b'P').saturating_add(1))
        }
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

/// Returns the modifiers of a control sequence. `parameter` is 1 plus the sum of the modifiers' bits.
fn decode_modifiers(parameter: u32) -> KeyModifiers {
    let bits = parameter.saturating_sub(1);
    let modifier_bits = [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
        (8, KeyModifiers::SUPER),
        (16, KeyModifiers::HYPER),
        (32, KeyModifiers::META),
    ];
    modifier_bits.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, modifier)| modifier).collect()
}

/// Returns the key with this code point in the kitty protocol or `modifyOtherKeys`. `shifted` is the code point that
/// the key types with SHIFT, and `text` is the one that it typed now. Both are 0 if the terminal does not say.
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
