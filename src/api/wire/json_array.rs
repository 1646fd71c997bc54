//! Splits a JSON array into its elements while the text arrives in chunks. Each element is passed on as soon as it is
//! complete, and its bytes are dropped. This module looks only at quotes, brackets and commas. serde_json decodes each
//! element, so a mistake here cannot make invalid JSON valid.
//!
//! serde_json cannot do this alone: it needs the whole text in memory, or a `Read` that blocks. A list of ten thousand
//! sessions is several megabytes, and the program has one thread for the screen and the network. Three ways were
//! compared at 10,000 sessions (`docs/performance.md`):
//!
//! - Buffering the whole body and decoding it at its end: 51 MB resident, and keystrokes wait during the decoding.
//! - The same on a second thread: keystrokes do not wait, but the heap of that thread alone takes 10 MB.
//! - Decoding in chunks, and sharing texts in [`list`](super::list): 30 MB resident, no second thread, and the event
//!   loop is blocked for one network chunk at a time.
//!
//! The tests compare this module with serde_json on arbitrary texts, split at arbitrary points.
//!
//! ```text
//!         '['                       element                ','
//!   Start ───► AfterOpeningBracket ─────────► AfterElement ───► AfterComma
//!     │                 │                       │      ▲            │
//!     │                 └── ']' ──► Closed ◄─']'┘      └── element ─┘
//!     │ anything else
//!     └───────────────► NotAnArray: keeps the whole text for the error message
//! ```

use memchr::{memchr_iter, memchr2, memrchr};

/// The byte order mark, with which some servers begin a body.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A splitter for one JSON array.
#[derive(Debug, Default)]
pub(super) struct JsonArraySplitter {
    state: SplitterState,
    /// Text that has arrived and is not passed on yet.
    text: Vec<u8>,
    /// The number of bytes at the start of `text` that [`scan_element`](Self::scan_element) has scanned. They
    /// are the start of an element whose end has not arrived. Zero between elements.
    scanned: usize,
    /// The number of brackets that are still open after the scanned bytes.
    depth: usize,
    /// True if the scanned bytes end inside a string.
    is_in_string: bool,
    /// The position of the start of `text` in the whole text.
    text_start: TextPosition,
}

/// The state of a splitter. The documentation of the module draws the transitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SplitterState {
    #[default]
    Start,
    AfterOpeningBracket,
    AfterComma,
    AfterElement,
    Closed,
    NotAnArray,
}

/// A position in the whole text, counted as serde_json does: lines from 1, and bytes within the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextPosition {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Default for TextPosition {
    fn default() -> Self {
        Self { line: 1, column: 0 }
    }
}

impl TextPosition {
    /// Returns the position after `text`, which begins here.
    fn after(self, text: &[u8]) -> Self {
        match memrchr(b'\n', text) {
            None => Self { column: self.column.saturating_add(text.len()), ..self },
            Some(last_break) => Self {
                line: self.line.saturating_add(memchr_iter(b'\n', text).count()),
                column: text.len().saturating_sub(last_break).saturating_sub(1),
            },
        }
    }

    /// Returns the position of `line` and `column` in a text that begins here.
    fn offset_by(self, line: usize, column: usize) -> Self {
        match line {
            0 | 1 => Self { column: self.column.saturating_add(column), ..self },
            _ => Self { line: self.line.saturating_add(line).saturating_sub(1), column },
        }
    }
}

/// The result at the end of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ArrayEnd {
    /// A complete array.
    Complete,
    /// An array that was cut off.
    Truncated,
    /// Something else, with its text.
    NotAnArray(Vec<u8>),
}

impl JsonArraySplitter {
    /// Adds the next chunk. Calls `on_element` with the text of every element that is complete now. `on_element`
    /// may return an error: its line and column, counted from the start of the element.
    ///
    /// # Errors
    /// The position at which the text is not JSON. The splitter must not be used after an error.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        mut on_element: impl FnMut(&[u8]) -> Result<(), (usize, usize)>,
    ) -> Result<(), TextPosition> {
        self.text.extend_from_slice(chunk);
        let mut text = std::mem::take(&mut self.text);
        let mut consumed = 0;
        let outcome = loop {
            let unread = text.get(consumed..).unwrap_or_default();
            let blank_count = if self.scanned > 0 { 0 } else { self.count_leading_whitespace(unread) };
            let Some(first_byte) = unread.get(blank_count) else {
                consumed = text.len(); // drops whitespace, so that endless whitespace takes no memory
                break Ok(());
            };
            let trimmed = unread.get(blank_count..).unwrap_or_default();
            // The unexpected byte counts as column 1 of the text that begins with it.
            let syntax_error = || {
                Err(self
                    .text_start
                    .after(text.get(..consumed.saturating_add(blank_count)).unwrap_or_default())
                    .offset_by(1, 1))
            };
            // The next state and the number of bytes to consume. `None` if more text must arrive first.
            let transition = match (self.state, first_byte) {
                (SplitterState::NotAnArray, _) => break Ok(()),
                (SplitterState::Start, b'[') => Some((SplitterState::AfterOpeningBracket, 1)),
                (SplitterState::Start, _) if trimmed.starts_with(BYTE_ORDER_MARK) => {
                    Some((SplitterState::Start, BYTE_ORDER_MARK.len()))
                }
                // The byte order mark may be incomplete.
                (SplitterState::Start, _) if BYTE_ORDER_MARK.starts_with(trimmed) => None,
                (SplitterState::Start, _) => {
                    self.state = SplitterState::NotAnArray;
                    break Ok(());
                }
                (SplitterState::AfterOpeningBracket | SplitterState::AfterElement, b']') => {
                    Some((SplitterState::Closed, 1))
                }
                (SplitterState::AfterElement, b',') => Some((SplitterState::AfterComma, 1)),
                (SplitterState::Closed | SplitterState::AfterElement, _)
                | (SplitterState::AfterOpeningBracket | SplitterState::AfterComma, b',' | b']' | b'}') => {
                    break syntax_error();
                }
                (SplitterState::AfterOpeningBracket | SplitterState::AfterComma, _) => {
                    match self.scan_element(trimmed) {
                        None => None,
                        Some(length) => {
                            let element = trimmed.get(..length).unwrap_or_default();
                            if let Err((line, column)) = on_element(element) {
                                let before_element =
                                    text.get(..consumed.saturating_add(blank_count)).unwrap_or_default();
                                break Err(self.text_start.after(before_element).offset_by(line, column));
                            }
                            Some((SplitterState::AfterElement, length))
                        }
                    }
                }
            };
            consumed = consumed.saturating_add(blank_count);
            let Some((state, length)) = transition else { break Ok(()) };
            self.state = state;
            consumed = consumed.saturating_add(length);
        };
        self.text_start = self.text_start.after(text.get(..consumed).unwrap_or_default());
        text.drain(..consumed);
        self.text = text;
        outcome
    }

    /// Returns the number of whitespace bytes at the start of `unread`.
    fn count_leading_whitespace(&self, unread: &[u8]) -> usize {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.state {
            SplitterState::NotAnArray => 0, // the error message may quote the text with its whitespace
            _ => unread.iter().position(|byte| !is_blank(byte)).unwrap_or(unread.len()),
        }
    }

    /// Scans the element at the start of `text`, from where the previous call for this element stopped. Returns the
    /// length of the element, or `None` if the element is not complete yet.
    fn scan_element(&mut self, text: &[u8]) -> Option<usize> {
        let mut index = self.scanned;
        let length = loop {
            let Some(byte) = text.get(index) else { break None };
            if self.is_in_string {
                let unread = text.get(index..).unwrap_or_default();
                let Some(distance) = memchr2(b'"', b'\\', unread) else {
                    index = text.len();
                    break None;
                };
                index = index.saturating_add(distance);
                if text.get(index) == Some(&b'\\') {
                    if text.len() <= index.saturating_add(1) {
                        break None; // the escaped byte has not arrived yet
                    }
                    index = index.saturating_add(2);
                    continue;
                }
                self.is_in_string = false;
                index = index.saturating_add(1);
                if self.depth == 0 {
                    break Some(index);
                }
                continue;
            }
            match byte {
                b'"' => self.is_in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if self.depth > 0 => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        break Some(index.saturating_add(1));
                    }
                }
                // The end of a number, `true`, `false` or `null`.
                b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => break Some(index),
                _ => {}
            }
            index = index.saturating_add(1);
        };
        self.scanned = if length.is_some() { 0 } else { index };
        length
    }

    /// Returns the result at the end of the text.
    pub(super) fn finish(self) -> ArrayEnd {
        match self.state {
            SplitterState::Closed => ArrayEnd::Complete,
            SplitterState::Start | SplitterState::NotAnArray => ArrayEnd::NotAnArray(self.text),
            SplitterState::AfterOpeningBracket | SplitterState::AfterComma | SplitterState::AfterElement => {
                ArrayEnd::Truncated
            }
        }
    }
}

#[cfg(test)]
mod tests;
