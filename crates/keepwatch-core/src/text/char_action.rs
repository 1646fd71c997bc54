//! The action for each character of a hostile text, by Unicode category.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_width::UnicodeWidthChar;

/// The replacement for control characters, which a terminal obeys and does not show.
const CONTROL_REPLACEMENT: char = '·';
/// The replacement for characters that are invisible or unassigned, or that look different on each machine.
const REPLACEMENT: char = '\u{FFFD}';

/// An action that sanitises one character.
pub(super) enum CharAction {
    /// Show the character unchanged.
    Keep,
    /// Attach this mark to the base before it. The mark takes no column of its own.
    Combine(char),
    /// Show this character instead.
    Replace(char),
    /// Drop the character, which would only change how its neighbours look.
    Remove,
}

/// Returns the action for `c`.
pub(super) fn classify(c: char) -> CharAction {
    use GeneralCategory as Category;
    match c {
        ' '..='~' => CharAction::Keep,
        // Zero-width joiners and non-joiners. Without them, some Persian letters join, and family emoji split.
        '\u{200C}' | '\u{200D}'
        // Skin tones. Terminals that do not support them use two more columns.
        | '\u{1F3FB}'..='\u{1F3FF}'
        // Invisible marks, including variation selectors.
        | '\u{034F}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180D}' | '\u{180F}' | '\u{FE00}'..='\u{FE0F}' => {
            CharAction::Remove
        }
        // Invisible characters that count as letters, and the plane of tags and further variation selectors.
        '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}' => CharAction::Replace(REPLACEMENT),
        '\u{2800}' => CharAction::Replace(' '), // a Braille pattern without dots
        // Halfwidth sound marks. Libraries disagree on their width, so the combining marks replace them.
        '\u{FF9E}' => CharAction::Combine('\u{3099}'),
        '\u{FF9F}' => CharAction::Combine('\u{309A}'),
        _ => match c.general_category() {
            // promise: control-characters, mutant: CharAction::Replace(CONTROL_REPLACEMENT) -> CharAction::Keep
            Category::Control => CharAction::Replace(CONTROL_REPLACEMENT),
            Category::SpaceSeparator => CharAction::Replace(' '),
            // promise: format-characters, mutant: Category::Format -> Category::Format => CharAction::Keep, Category::Surrogate
            Category::Format
            | Category::LineSeparator
            | Category::ParagraphSeparator
            | Category::Surrogate
            | Category::PrivateUse
            | Category::Unassigned => CharAction::Replace(REPLACEMENT),
            // promise: script-marks, mutant: CharAction::Combine(c) -> CharAction::Remove
            Category::NonspacingMark | Category::SpacingMark | Category::EnclosingMark => CharAction::Combine(c),
            _ if c.width() == Some(0) => CharAction::Combine(c), // vowels and finals of decomposed Hangul
            _ => CharAction::Keep,
        },
    }
}
