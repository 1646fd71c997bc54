//! What becomes of each character of a hostile text, by its category in Unicode.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_width::UnicodeWidthChar;

/// For control characters, which have a meaning but no look.
const CONTROL_REPLACEMENT: char = '·';
/// For characters that are invisible, unknown, or look different on every machine.
const REPLACEMENT: char = '\u{FFFD}';

/// What becomes of a character.
pub(super) enum CharAction {
    /// Shown as it is.
    Keep,
    /// Takes no column of its own, or belongs to what stands before it.
    Combine(char),
    /// Another is shown in its place.
    Replace(char),
    /// Changes only the look of its neighbours.
    Remove,
}

/// Says what becomes of `c`.
pub(super) fn classify(c: char) -> CharAction {
    use GeneralCategory as Is;
    match c {
        ' '..='~' => CharAction::Keep,
        // Zero width (non-)joiners: without them Persian is a little less beautiful, and a family stands side by side.
        '\u{200C}' | '\u{200D}'
        // Skin tones: two columns more where a terminal does not know them.
        | '\u{1F3FB}'..='\u{1F3FF}'
        // Invisible marks, variation selectors among them.
        | '\u{034F}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180D}' | '\u{180F}' | '\u{FE00}'..='\u{FE0F}' => {
            CharAction::Remove
        }
        // Letters by category that show nothing, and the plane of tags and further variation selectors.
        '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}' => CharAction::Replace(REPLACEMENT),
        '\u{2800}' => CharAction::Replace(' '), // a Braille pattern without dots
        // Halfwidth sound marks: libraries differ on whether they take a column; these combine.
        '\u{FF9E}' => CharAction::Combine('\u{3099}'),
        '\u{FF9F}' => CharAction::Combine('\u{309A}'),
        _ => match c.general_category() {
            // promise: control-characters, mutant: CharAction::Replace(CONTROL_REPLACEMENT) -> CharAction::Keep
            Is::Control => CharAction::Replace(CONTROL_REPLACEMENT),
            Is::SpaceSeparator => CharAction::Replace(' '),
            // promise: format-characters, mutant: Is::Format -> Is::Format => CharAction::Keep, Is::Surrogate
            Is::Format
            | Is::LineSeparator
            | Is::ParagraphSeparator
            | Is::Surrogate
            | Is::PrivateUse
            | Is::Unassigned => CharAction::Replace(REPLACEMENT),
            // promise: script-marks, mutant: CharAction::Combine(c) -> CharAction::Remove
            Is::NonspacingMark | Is::SpacingMark | Is::EnclosingMark => CharAction::Combine(c),
            _ if c.width() == Some(0) => CharAction::Combine(c), // vowels and finals of Hangul that is written in parts
            _ => CharAction::Keep,
        },
    }
}
