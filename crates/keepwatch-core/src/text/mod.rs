//! Text for a terminal: sanitising text from the network, redacting secrets, formatting durations and bytes, and
//! measuring widths.
//!
//! Decoding turns all text from the network, including URLs and headers, into [`Untrusted`]. Only this module turns it
//! into a `String` for output:
//!
//! ```text
//!   network ──► Untrusted ──sanitise(columns), sanitise_line()──► String ──► screen, plain output, errors
//!                   └──────raw()──► JSON ──escape_json_for_terminal()──► a terminal
//! ```
//!
//! Pure: no I/O, no clock, no ratatui. The width of a text is the sum of its grapheme clusters' widths, without
//! ligatures. ratatui places clusters the same way.

mod ascii;
mod char_action;
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
pub use redact::{is_secret_name, redact, redact_api_keys, redact_values};
pub use substring::SubstringFinder;
pub use untrusted::{MAX_LINE_COLUMNS, Untrusted, escape_json_for_terminal, is_printable, sanitise};
pub use width::{truncate, unique_prefix_length, unique_prefix_lengths, width, wrap};
