//! What a terminal may be shown: text from the network made safe, secrets masked, lengths, ages and bytes in words.
//!
//! Everything that came over the network, URLs and headers too, is [`Untrusted`] from decoding on, and becomes a
//! `String` for an output only here:
//!
//! ```text
//!   network ──► Untrusted ──shown(columns), line()──► String ──► screen, plain output, errors
//!                   └──────raw()──► JSON ──json_for_terminal()──► a terminal
//! ```
//!
//! Pure: no IO, no clock, and nothing of the screen's library. Widths are those of terminals without special care
//! for ligatures: the sum over grapheme clusters, which is also how the screen's library places them.

mod ascii;
mod char_class;
mod format;
mod redact;
mod substring;
#[cfg(test)]
mod tests;
mod untrusted;
mod width;

pub use ascii::to_ascii;
pub use format::{
    format_age, format_bytes, format_countdown, format_duration, format_elapsed, format_latency,
    format_tenths,
};
pub use redact::{is_secret_name, redact, redact_values};
pub use substring::SubstringFinder;
pub use untrusted::{MAX_LINE_COLUMNS, Untrusted, escape_json_for_terminal, is_printable, sanitise};
pub use width::{truncate, unique_prefix_length, unique_prefix_lengths, width, wrap};
