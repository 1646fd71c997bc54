//! The screen: draws frames, and owns the terminal's modes until the screen is dropped.
//!
//! [`Screen::draw`] draws a [`Frame`] into memory and sends the changed cells, if any, to the writer. While the writer
//! still has bytes of the last frame, [`Screen::draw`] draws nothing. So ratatui always compares a frame with the frame
//! that the terminal received last.

use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

use super::env::Env;
use super::subprocess;
use super::tty_writer::{self, Tty};
use super::{TermEventSender, input, signals};

/// The terminal in screen mode. Dropping it restores the terminal.
pub struct Screen {
    terminal: Terminal<FrameBuffer>,
    tty: Arc<Tty>,
}

/// A handle that sends bytes to the terminal between frames, from any thread.
#[derive(Clone)]
pub struct ScreenSender(Arc<Tty>);

/// Returns the reason why this terminal cannot show a screen, or `None` if it can.
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
    /// Enters raw mode and the alternate screen, hides the cursor, and sets the window's title. From now on, signals,
    /// panics and a hangup of the terminal end the process as described in `signals.rs`.
    ///
    /// # Errors
    ///
    /// There is no terminal, it rejects a mode, or a thread cannot start. After an error the terminal is as before.
    pub fn enter(title: &str, events: &TermEventSender) -> io::Result<Self> {
        // The theme implements NO_COLOR. Without this call, crossterm 0.29 would implement it, too: for each colour it
        // would write `ESC [ m`, which also ends bold and reverse.
        crossterm::style::force_color_output(true);
        let tty = Tty::start(tty_writer::open_tty()?, title, events.clone())?;
        signals::install_handlers(&tty)?;
        tty.open()?;
        let Ok(terminal) = Terminal::new(FrameBuffer::new(tty.size()));
        // If the input thread cannot start, dropping `screen` restores the terminal.
        let screen = Self { terminal, tty };
        input::start(events.clone())?;
        Ok(screen)
    }

    /// Returns the terminal's size, in columns and rows, limited by `tty_writer::drawable_size`.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        let size = self.tty.size();
        (size.width, size.height)
    }

    /// True if a frame can be drawn. If false, [`TermEvent::WriterReady`](super::TermEvent::WriterReady) follows, or
    /// [`TermEvent::Continued`](super::TermEvent::Continued) after a stop.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.tty.is_ready()
    }

    /// If [`Screen::is_ready`], draws a frame with `render` and returns true. Otherwise returns false, and one of the
    /// events that [`Screen::is_ready`] describes follows.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> bool {
        // promise: wait-for-writer
        if !self.is_ready() {
            return false;
        }
        if self.tty.take_full_redraw_request() {
            // `Terminal::resize` clears the screen. `Terminal::clear` would also show the cursor, at the first cell.
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

    /// Requests a full redraw: the next frame clears the screen and uses the terminal's size at that time.
    pub fn repaint(&mut self) {
        self.tty.request_full_redraw();
    }

    /// Sends `bytes` between frames. Returns false if the writer is closed or its queue is full.
    #[must_use]
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.tty.send(bytes)
    }

    /// Returns a handle that sends bytes from other threads.
    #[must_use]
    pub fn sender(&self) -> ScreenSender {
        ScreenSender(Arc::clone(&self.tty))
    }

    /// Rings the terminal's bell.
    pub fn ring(&self) {
        self.tty.send(b"\x07");
    }

    /// Sets the title of the terminal's window, without control characters.
    pub fn set_title(&self, title: &str) {
        self.tty.set_title(title);
    }

    /// Restores the terminal and stops the program, as Ctrl-Z does. After `fg`,
    /// [`TermEvent::Continued`](super::TermEvent::Continued) follows. Returns false and does nothing if there is no
    /// shell that could continue the program.
    #[must_use]
    pub fn suspend(&self) -> bool {
        signals::suspend()
    }

    /// Restores the terminal. Takes at most half a second, even if the terminal is blocked.
    pub fn leave(self) {
        drop(self);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // promise: close-on-drop
        self.tty.close();
        subprocess::kill_children();
    }
}

impl ScreenSender {
    /// Sends `bytes` between frames, as [`Screen::send`] does.
    #[must_use]
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.0.send(bytes)
    }
}

/// A ratatui backend that collects the bytes of one frame. [`Screen::draw`] sets the backend's size. So ratatui never
/// asks the terminal for its size, and many resizes between two frames clear the screen only once.
struct FrameBuffer {
    bytes: Vec<u8>,
    size: Size,
    /// The position of the cursor, or `None` if it is hidden.
    cursor: Option<Position>,
}

impl FrameBuffer {
    fn new(size: Size) -> Self {
        Self { bytes: Vec::new(), size, cursor: None }
    }

    /// Returns the bytes of the frame, or `None` if the frame changes nothing. Terminals with mode 2026 (synchronized
    /// output) show all changes at the same time.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let bytes = std::mem::take(&mut self.bytes);
        (!bytes.is_empty()).then(|| [b"\x1b[?2026h", bytes.as_slice(), b"\x1b[?2026l"].concat())
    }

    /// Adds the bytes that `write` writes to ratatui's backend for crossterm. Ignores errors: writing to memory cannot
    /// fail.
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
        // CrosstermBackend writes 25 bytes even if there are no cells.
        let mut cells = content.peekable();
        if cells.peek().is_some() {
            self.hide_cursor()?;
            self.write(|backend| backend.draw(cells));
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        if self.cursor.take().is_some() {
            self.write(|backend| backend.hide_cursor());
        }
        Ok(())
    }

    /// Does nothing: ratatui always calls [`Backend::set_cursor_position`] next, which shows the cursor.
    fn show_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        let position = position.into();
        if self.cursor != Some(position) {
            let was_hidden = self.cursor.replace(position).is_none();
            self.write(|backend| backend.set_cursor_position(position));
            if was_hidden {
                self.write(|backend| backend.show_cursor());
            }
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> Result<(), Infallible> {
        self.write(|backend| backend.clear_region(region));
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

/// A terminal that counts the bytes of each frame.
#[cfg(test)]
pub(crate) struct ByteCountingTerminal(Terminal<FrameBuffer>);

#[cfg(test)]
impl ByteCountingTerminal {
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        let Ok(terminal) = Terminal::new(FrameBuffer::new(Size::new(columns, rows)));
        Self(terminal)
    }

    /// Draws a frame and returns its number of bytes.
    pub(crate) fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> usize {
        let Ok(_) = self.0.draw(render);
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

    /// Draws `text`. `cursor` is the column and row of the cursor, or `None` if it is hidden. Returns the bytes of the
    /// frame, if any.
    fn draw_frame(
        terminal: &mut Terminal<FrameBuffer>,
        text: &str,
        cursor: Option<(u16, u16)>,
    ) -> Option<String> {
        let Ok(_) = terminal.draw(|frame| {
            frame.render_widget(text, frame.area());
            if let Some(at) = cursor {
                frame.set_cursor_position(at);
            }
        });
        terminal.backend_mut().take_frame().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn unchanged_frame_writes_nothing() {
        let mut terminal = terminal();
        let first = draw_frame(&mut terminal, "a", None).unwrap();
        // `?2026h` starts synchronized output and `?2026l` ends it. Each frame has both, once.
        assert!(first.starts_with("\x1b[?2026h") && first.ends_with("\x1b[?2026l"), "{first:?}");
        assert_eq!(first.matches("2026").count(), 2);
        assert_eq!(draw_frame(&mut terminal, "a", None), None);
        assert!(draw_frame(&mut terminal, "b", None).is_some());
    }

    #[test]
    fn cursor_is_hidden_while_cells_are_drawn() {
        // `ESC [ ROW ; COLUMN H` moves the cursor, counted from 1. `?25h` shows the cursor and `?25l` hides it.
        // `?2026h` and `?2026l` enclose each frame.
        let mut terminal = terminal();
        draw_frame(&mut terminal, "a", None);
        assert_eq!(
            draw_frame(&mut terminal, "a", Some((2, 1))).unwrap(),
            "\x1b[?2026h\x1b[2;3H\x1b[?25h\x1b[?2026l"
        );
        assert_eq!(draw_frame(&mut terminal, "a", Some((2, 1))), None);
        assert_eq!(draw_frame(&mut terminal, "a", Some((3, 1))).unwrap(), "\x1b[?2026h\x1b[2;4H\x1b[?2026l");
        let changed = draw_frame(&mut terminal, "b", Some((3, 1))).unwrap();
        assert!(
            changed.starts_with("\x1b[?2026h\x1b[?25l") && changed.ends_with("\x1b[2;4H\x1b[?25h\x1b[?2026l")
        );
        assert_eq!(draw_frame(&mut terminal, "b", None).unwrap(), "\x1b[?2026h\x1b[?25l\x1b[?2026l");
        assert_eq!(draw_frame(&mut terminal, "b", None), None);
    }

    #[test]
    fn many_resizes_clear_the_screen_once() {
        let mut terminal = terminal();
        draw_frame(&mut terminal, "a", None);
        for columns in 21..80 {
            terminal.backend_mut().size = Size::new(columns, 1);
        }
        let resized = draw_frame(&mut terminal, "a", None).unwrap();
        // `ESC [ 2 J` clears the screen.
        assert!(resized.starts_with("\x1b[?2026h\x1b[2J"), "{resized:?}");
        assert_eq!(resized.matches("\x1b[2J").count(), 1);
        assert_eq!(terminal.get_frame().area().width, 79, "the last size counts");
    }
}
