//! The screen: frames, and the life of the terminal's modes.
//!
//! A [`Frame`] is drawn into memory and handed to the writer as a whole, if it changes a cell at all; while the writer still
//! has the last one nothing is drawn, so that what ratatui compares with is always what the terminal was given.

use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

use super::subprocess::Env;
use super::tty_writer::{self, Tty};
use super::{TermEventSender, input, shutdown};

/// The terminal in screen mode. Dropping it gives the terminal back.
pub struct Screen {
    terminal: Terminal<FrameBuffer>,
    tty: Arc<Tty>,
}

/// Sends bytes to the terminal between frames, from any thread.
#[derive(Clone)]
pub struct ScreenSender(Arc<Tty>);

/// Why there can be no screen here, as a sentence; `None` if there can.
#[must_use]
pub fn unsupported_reason(env: &Env) -> Option<&'static str> {
    if !io::stdout().is_terminal() {
        Some("standard output is not a terminal")
    } else if env.get("TERM").is_none_or(|term| term == "dumb") {
        Some("this terminal cannot place text (TERM is \"dumb\" or not set)")
    } else if !io::stdin().is_terminal() && std::fs::File::open("/dev/tty").is_err() {
        Some("standard input is not a terminal, and there is no other to read keys from")
    } else {
        None
    }
}

impl Screen {
    /// Takes the terminal: raw mode, the alternate screen, no cursor, `title` on its window. From here on signals,
    /// panics and a terminal that goes away end the process as `exits.rs` says.
    ///
    /// # Errors
    ///
    /// There is no terminal, or it refuses. It is as it was, then.
    pub fn enter(title: &str, events: &TermEventSender) -> io::Result<Self> {
        // Without this, crossterm 0.29 answers NO_COLOR with a bare `ESC [ m` for each colour, which also ends
        // bold and reverse. The theme implements NO_COLOR.
        crossterm::style::force_color_output(true);
        let tty = Tty::start(tty_writer::open_tty()?, title, events.clone())?;
        shutdown::install_handlers(&tty)?;
        tty.open()?;
        let Ok(terminal) = Terminal::new(FrameBuffer::new(tty.size()));
        let screen = Self { terminal, tty };
        input::start(events.clone())?;
        Ok(screen)
    }

    /// The terminal's size, in columns and rows.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        let size = self.tty.size();
        (size.width, size.height)
    }

    /// Whether a frame can be drawn. If not, [`TermEvent::WriterReady`](super::TermEvent::WriterReady) says when.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.tty.is_ready()
    }

    /// Draws a frame with `render` if the terminal has taken the last one. `false` says that it has not, and that
    /// [`TermEvent::WriterReady`](super::TermEvent::WriterReady) will follow.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> bool {
        // promise: wait-for-writer
        if !self.is_ready() {
            return false;
        }
        if self.tty.take_needs_full_redraw() {
            // Not Terminal::clear: it would ask the terminal where its cursor is.
            let size = self.tty.size();
            self.terminal.backend_mut().size = size;
            let Ok(()) = self.terminal.resize(size.into());
        }
        let Ok(_) = self.terminal.draw(render);
        if let Some(frame) = self.terminal.backend_mut().take_frame() {
            self.tty.send(&frame);
        }
        true
    }

    /// The next frame is drawn anew, on a cleared screen and with the size that the terminal has then.
    pub fn repaint(&mut self) {
        self.tty.request_full_redraw();
    }

    /// Sends `bytes` between frames; `false` if too much waits for the terminal already.
    #[must_use]
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.tty.send(bytes)
    }

    /// [`Screen::send`] for other threads.
    #[must_use]
    pub fn sender(&self) -> ScreenSender {
        ScreenSender(Arc::clone(&self.tty))
    }

    /// Rings the terminal's bell.
    pub fn ring(&self) {
        self.tty.send(b"\x07");
    }

    /// Names the terminal's window. Control characters are left out.
    pub fn set_title(&self, title: &str) {
        self.tty.set_title(title);
    }

    /// Whether pasted text arrives as [`TermEvent::Paste`](super::TermEvent::Paste) or as keys.
    pub fn set_bracketed_paste(&self, on: bool) {
        self.tty.set_bracketed_paste(on);
    }

    /// Ctrl-Z: gives the terminal back and stops. [`TermEvent::Resumed`](super::TermEvent::Resumed) follows when the
    /// program is continued. `false`, and nothing happens, if there is no shell that could continue it.
    #[must_use]
    pub fn suspend(&self) -> bool {
        shutdown::suspend()
    }

    /// Gives the terminal back as it was. Takes half a second at most, whatever the terminal does.
    pub fn leave(self) {
        drop(self);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // promise: close-on-drop
        self.tty.close();
    }
}

impl ScreenSender {
    /// As [`Screen::send`].
    #[must_use]
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.0.send(bytes)
    }
}

/// A ratatui backend that collects one frame. Its size is what it was told, so that drawing asks the terminal
/// nothing, and a hundred resizes between two frames clear the screen once.
struct FrameBuffer {
    bytes: Vec<u8>,
    size: Size,
    /// Where the cursor is, if it shows.
    cursor: Option<Position>,
}

impl FrameBuffer {
    fn new(size: Size) -> Self {
        Self { bytes: Vec::new(), size, cursor: None }
    }

    /// The frame, to be shown at once by terminals that know how (mode 2026); `None` if it changes nothing.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let bytes = std::mem::take(&mut self.bytes);
        (!bytes.is_empty()).then(|| [b"\x1b[?2026h", bytes.as_slice(), b"\x1b[?2026l"].concat())
    }

    /// Writes with ratatui's own backend for crossterm. Memory takes all that is written to it.
    fn write(&mut self, write: impl FnOnce(&mut CrosstermBackend<&mut Vec<u8>>) -> io::Result<()>) {
        let _ = write(&mut CrosstermBackend::new(&mut self.bytes));
    }
}

impl Backend for FrameBuffer {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // For no cells CrosstermBackend would write 25 bytes.
        let mut cells = content.peekable();
        if cells.peek().is_some() {
            self.hide_cursor()?;
            self.write(|to| to.draw(cells));
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        if self.cursor.take().is_some() {
            self.write(|to| to.hide_cursor());
        }
        Ok(())
    }

    /// Waits for [`Backend::set_cursor_position`], which ratatui always calls next.
    fn show_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        let position = position.into();
        if self.cursor != Some(position) {
            let hidden = self.cursor.replace(position).is_none();
            self.write(|to| to.set_cursor_position(position));
            if hidden {
                self.write(|to| to.show_cursor());
            }
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> Result<(), Infallible> {
        self.write(|to| to.clear_region(region));
        Ok(())
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A terminal that counts what it is sent.
#[cfg(test)]
pub(crate) struct ByteCountingTerminal(Terminal<FrameBuffer>);

#[cfg(test)]
impl ByteCountingTerminal {
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        let Ok(terminal) = Terminal::new(FrameBuffer::new(Size::new(columns, rows)));
        Self(terminal)
    }

    /// Draws a frame, and says how many bytes it has.
    pub(crate) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> usize {
        let Ok(_) = self.0.draw(picture);
        self.0.backend_mut().take_frame().map_or(0, |bytes| bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Terminal<FrameBuffer> {
        let Ok(terminal) = Terminal::new(FrameBuffer::new(Size::new(20, 3)));
        terminal
    }

    fn frame(terminal: &mut Terminal<FrameBuffer>, text: &str, cursor: Option<(u16, u16)>) -> Option<String> {
        let Ok(_) = terminal.draw(|frame| {
            frame.render_widget(text, frame.area());
            if let Some(at) = cursor {
                frame.set_cursor_position(at);
            }
        });
        terminal.backend_mut().take_frame().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_frame_without_a_change_has_not_one_byte() {
        let mut terminal = terminal();
        let first = frame(&mut terminal, "a", None).unwrap();
        assert!(first.starts_with("\x1b[?2026h") && first.ends_with("\x1b[?2026l"), "{first:?}");
        assert_eq!(first.matches("2026").count(), 2);
        assert_eq!(frame(&mut terminal, "a", None), None);
        assert!(frame(&mut terminal, "b", None).is_some());
    }

    #[test]
    fn a_cursor_that_stays_costs_nothing_and_one_that_shows_is_hidden_while_cells_are_drawn() {
        let mut terminal = terminal();
        frame(&mut terminal, "a", None);
        assert_eq!(
            frame(&mut terminal, "a", Some((2, 1))).unwrap(),
            "\x1b[?2026h\x1b[2;3H\x1b[?25h\x1b[?2026l"
        );
        assert_eq!(frame(&mut terminal, "a", Some((2, 1))), None);
        assert_eq!(frame(&mut terminal, "a", Some((3, 1))).unwrap(), "\x1b[?2026h\x1b[2;4H\x1b[?2026l");
        let changed = frame(&mut terminal, "b", Some((3, 1))).unwrap();
        assert!(
            changed.starts_with("\x1b[?2026h\x1b[?25l") && changed.ends_with("\x1b[2;4H\x1b[?25h\x1b[?2026l")
        );
        assert_eq!(frame(&mut terminal, "b", None).unwrap(), "\x1b[?2026h\x1b[?25l\x1b[?2026l");
        assert_eq!(frame(&mut terminal, "b", None), None);
    }

    #[test]
    fn many_sizes_between_two_frames_clear_once_and_within_the_frame() {
        let mut terminal = terminal();
        frame(&mut terminal, "a", None);
        for columns in 21..80 {
            terminal.backend_mut().size = Size::new(columns, 1);
        }
        let resized = frame(&mut terminal, "a", None).unwrap();
        assert!(resized.starts_with("\x1b[?2026h\x1b[2J"), "{resized:?}");
        assert_eq!(resized.matches("\x1b[2J").count(), 1);
        assert_eq!(terminal.get_frame().area().width, 79);
    }
}
