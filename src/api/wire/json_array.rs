//! Splits a JSON array into its elements while the text arrives in pieces. Each element is passed on as soon as it is complete,
//! and its bytes are dropped. This module looks only at quotes, brackets and commas: serde_json decodes each element, so a
//! mistake here cannot make valid JSON of what is none.
//!
//! Why this is not left to serde_json: it needs the whole text in memory, or a `Read` that blocks. A list of ten thousand
//! sessions is several megabytes, and the program has one thread for the screen and the network. Three ways were compared at
//! 10,000 sessions (`docs/performance.md`):
//!
//! - The whole body in memory, decoded at its end: 51 MB resident, and no keystroke is answered while it is decoded.
//! - The same on a second thread: keystrokes are answered, but the heap of that thread alone took 10 MB.
//! - In pieces, together with the sharing of texts in [`list`](super::list): 30 MB resident, no second thread, and the event
//!   loop is held up for one piece of the network's buffer at a time.
//!
//! The tests compare it with serde_json on arbitrary texts, cut at arbitrary places.
//!
//! ```text
//!            '['              a value         ','
//!   Start ───────► Opened ──────────────► After ───► Next ──a value──► After
//!     │ else          └──────── ']' ────► End ◄─']'────┘
//!     └────► Other: all of it is kept, for whoever says what it is instead
//! ```

use memchr::{memchr_iter, memchr2, memrchr};

/// The byte order mark that some writers put first.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What is left of the text, and where it stands.
#[derive(Debug, Default)]
pub(super) struct JsonArraySplitter {
    state: SplitterState,
    /// What came and is not handed over yet.
    text: Vec<u8>,
    /// How much of the element at the start of `text` was looked at.
    scanned: usize,
    /// How many brackets are open there.
    depth: usize,
    in_string: bool,
    /// Where `text` begins.
    text_start: TextPosition,
}

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

/// A place in the whole text, as JSON's readers count: lines from 1, and the bytes of the line before it.
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
    /// The place behind `text`, which begins here.
    fn after(self, text: &[u8]) -> Self {
        match memrchr(b'\n', text) {
            None => Self { column: self.column.saturating_add(text.len()), ..self },
            Some(last) => Self {
                line: self.line.saturating_add(memchr_iter(b'\n', text).count()),
                column: text.len().saturating_sub(last).saturating_sub(1),
            },
        }
    }

    /// The place that a reader of the text that begins here calls `line` and `column`.
    fn offset_by(self, line: usize, column: usize) -> Self {
        match line {
            0 | 1 => Self { column: self.column.saturating_add(column), ..self },
            _ => Self { line: self.line.saturating_add(line).saturating_sub(1), column },
        }
    }
}

/// How the text ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ArrayEnd {
    /// It was an array.
    Complete,
    /// It was one until it broke off.
    Truncated,
    /// It is something else: this.
    NotAnArray(Vec<u8>),
}

impl JsonArraySplitter {
    /// Takes the next piece. `each` gets the text of every element that is whole by now, and says where in it what is no
    /// JSON stands: line and column.
    ///
    /// # Errors
    /// Where the text is no JSON, from which on nothing is to be taken.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        mut on_element: impl FnMut(&[u8]) -> Result<(), (usize, usize)>,
    ) -> Result<(), TextPosition> {
        self.text.extend_from_slice(piece);
        let mut text = std::mem::take(&mut self.text);
        let mut consumed = 0;
        let outcome = loop {
            let rest = text.get(consumed..).unwrap_or_default();
            let blank = if self.scanned > 0 { 0 } else { self.blank(rest) };
            let Some(first) = rest.get(blank) else {
                consumed = text.len(); // what is blank is not looked at again, however much comes of it
                break Ok(());
            };
            let begun = rest.get(blank..).unwrap_or_default();
            let syntax_error = || {
                Err(self
                    .text_start
                    .after(text.get(..consumed.saturating_add(blank)).unwrap_or_default())
                    .offset_by(1, 1))
            };
            let transition = match (self.state, first) {
                (SplitterState::NotAnArray, _) => break Ok(()),
                (SplitterState::Start, b'[') => Some((SplitterState::AfterOpeningBracket, 1)),
                (SplitterState::Start, _) if begun.starts_with(BYTE_ORDER_MARK) => {
                    Some((SplitterState::Start, BYTE_ORDER_MARK.len()))
                }
                (SplitterState::Start, _) if BYTE_ORDER_MARK.starts_with(begun) => None,
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
                    match self.find_element_end(begun) {
                        None => None,
                        Some(end) => {
                            if let Err((line, column)) = on_element(begun.get(..end).unwrap_or_default()) {
                                let before = text.get(..consumed.saturating_add(blank)).unwrap_or_default();
                                break Err(self.text_start.after(before).offset_by(line, column));
                            }
                            Some((SplitterState::AfterElement, end))
                        }
                    }
                }
            };
            consumed = consumed.saturating_add(blank);
            let Some((state, length)) = transition else { break Ok(()) };
            self.state = state;
            consumed = consumed.saturating_add(length);
        };
        self.text_start = self.text_start.after(text.get(..consumed).unwrap_or_default());
        text.drain(..consumed);
        self.text = text;
        outcome
    }

    /// How many bytes of nothing `rest` begins with.
    fn blank(&self, rest: &[u8]) -> usize {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.state {
            SplitterState::NotAnArray => 0, // it may be quoted
            _ => rest.iter().position(|byte| !is_blank(byte)).unwrap_or(rest.len()),
        }
    }

    /// Where the element ends with which `text` begins, once it is whole.
    fn find_element_end(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = self.scanned;
        let end = loop {
            let Some(byte) = text.get(at) else { break None };
            if self.in_string {
                let rest = text.get(at..).unwrap_or_default();
                let Some(found) = memchr2(b'"', b'\\', rest) else {
                    at = text.len();
                    break None;
                };
                at = at.saturating_add(found);
                if text.get(at) == Some(&b'\\') {
                    if text.len() <= at.saturating_add(1) {
                        break None; // what it escapes is yet to come
                    }
                    at = at.saturating_add(2);
                    continue;
                }
                self.in_string = false;
                at = at.saturating_add(1);
                if self.depth == 0 {
                    break Some(at);
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if self.depth > 0 => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        break Some(at.saturating_add(1));
                    }
                }
                b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => break Some(at),
                _ => {}
            }
            at = at.saturating_add(1);
        };
        self.scanned = if end.is_some() { 0 } else { at };
        end
    }

    /// Nothing more will come.
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
