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
mod class;
mod format;
mod layout;
mod mask;
mod search;
#[cfg(test)]
mod tests;
mod untrusted;

pub use ascii::to_ascii;
pub use format::{age, bytes, countdown, latency, length, span, tenths};
pub use layout::{fit, shortest_unique, unique_columns, width, wrap};
pub use mask::{is_secret_name, mask_values, masked};
pub use search::Needle;
pub use untrusted::{LINE_COLUMNS, Untrusted, is_plain, json_for_terminal, shown};
