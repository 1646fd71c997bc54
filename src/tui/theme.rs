//! Colours and glyphs. Colour only where it says something, and never alone: a glyph or a word says it too.
//!
//! Of the sixteen colours only those are used that are legible on light and dark: red, green, yellow, cyan and magenta.
//! White, black, grey, plain blue and the bright ones each vanish on somebody's background; what is to stand back is
//! faint instead, which every terminal mixes from its own two colours.

use ratatui::style::{Color, Modifier, Style};

use keepwatch_core::session::Status;

/// Colours and glyphs. The default is neither colour nor anything beyond what a `NO_COLOR` terminal must show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Nothing but ASCII reaches the terminal.
    pub ascii: bool,
    /// The sixteen colours may be used.
    pub color: bool,
}

impl Theme {
    /// With colours.
    #[must_use]
    pub const fn colored() -> Self {
        Self { ascii: false, color: true }
    }

    /// With bold, faint and reversed text only.
    #[must_use]
    pub const fn mono() -> Self {
        Self { ascii: false, color: false }
    }

    /// The same with ASCII glyphs.
    #[must_use]
    pub const fn with_ascii(self) -> Self {
        Self { ascii: true, ..self }
    }

    fn foreground(self, colour: Color) -> Style {
        if self.color { Style::new().fg(colour) } else { Style::new() }
    }

    /// Labels, and what says nothing now.
    pub(crate) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Titles and keys.
    pub(crate) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// It runs, it went well.
    pub(crate) fn success(self) -> Style {
        self.foreground(Color::Green)
    }

    /// It is on its way; also what marks a place.
    pub(crate) fn info(self) -> Style {
        self.foreground(Color::Cyan)
    }

    /// It wants attention soon.
    pub(crate) fn warning(self) -> Style {
        self.foreground(Color::Yellow)
    }

    /// It is flagged, and the reader has not seen it yet.
    pub(crate) fn alert(self) -> Style {
        self.warning().add_modifier(Modifier::BOLD)
    }

    /// It failed, or is about to.
    pub(crate) fn error(self) -> Style {
        self.foreground(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// It is not known to this version.
    pub(crate) fn unknown(self) -> Style {
        self.foreground(Color::Magenta)
    }

    /// What concerns everything on the screen: to be seen from across the room.
    pub(crate) fn critical(self) -> Style {
        if self.color { self.error() } else { self.bold().add_modifier(Modifier::REVERSED) }
    }

    /// As [`Theme::critical`], for what the reader did and may have forgotten.
    pub(crate) fn paused(self) -> Style {
        if self.color {
            self.warning().add_modifier(Modifier::BOLD)
        } else {
            self.bold().add_modifier(Modifier::REVERSED)
        }
    }

    /// The glyph of a status, and its look.
    pub(crate) fn status(self, status: &Status) -> (&'static str, Style) {
        match status {
            Status::Running => (self.pick("●", "*"), self.success()),
            Status::Pending => (self.pick("◌", "o"), self.info()),
            Status::Completed => (self.pick("✓", "+"), self.dim()),
            Status::TimedOut => (self.pick("◔", "~"), self.warning()),
            Status::Error => (self.pick("✗", "X"), self.error()),
            Status::Other(_) => ("?", self.unknown()),
        }
    }

    /// A line of `columns`, of which `share` (from 0 to 1, in halves of a column) is left: the part that is left,
    /// and the part that is gone.
    pub(crate) fn progress_bar(self, share: f64, columns: u16) -> (String, String) {
        let inner = if self.ascii { columns.saturating_sub(2) } else { columns };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to twice the columns"
        )]
        let halves = (share.clamp(0.0, 1.0) * f64::from(inner) * 2.0).ceil() as u16;
        let (whole, half) = (usize::from(halves / 2), usize::from(halves % 2));
        let empty = usize::from(inner).saturating_sub(whole).saturating_sub(half);
        if self.ascii {
            let left = whole.saturating_add(half);
            return (format!("[{}", "=".repeat(left)), format!("{}]", "-".repeat(empty)));
        }
        (format!("{}{}", "━".repeat(whole), "╾".repeat(half)), "─".repeat(empty))
    }

    fn pick(self, glyph: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { glyph }
    }

    /// Beside what is flagged.
    pub(crate) fn alert_glyph(self) -> &'static str {
        self.pick("⚑", "!")
    }

    /// Before what went well.
    pub(crate) fn success_glyph(self) -> &'static str {
        self.pick("✓", "+")
    }

    /// Before what did not.
    pub(crate) fn error_glyph(self) -> &'static str {
        self.pick("✗", "X")
    }

    /// At the left of the selected row.
    pub(crate) fn selection_glyph(self) -> &'static str {
        self.pick("▌", ">")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_column_whatever_is_left() {
        for theme in [Theme::colored(), Theme::colored().with_ascii()] {
            for share in [-1.0, 0.0, 0.01, 0.5, 0.79, 1.0, 7.0, f64::NAN] {
                let (left, gone) = theme.progress_bar(share, 10);
                assert_eq!(left.chars().count() + gone.chars().count(), 10, "{share} of {theme:?}");
            }
        }
        assert_eq!(Theme::mono().progress_bar(0.8, 10), ("━━━━━━━━".into(), "──".into()));
        assert_eq!(Theme::mono().progress_bar(0.01, 10), ("╾".into(), "─────────".into()));
        assert_eq!(Theme::mono().with_ascii().progress_bar(0.5, 10), ("[====".into(), "----]".into()));
    }

    #[test]
    fn no_look_is_without_its_glyph_in_ascii() {
        for status in Status::KNOWN {
            assert!(Theme::mono().with_ascii().status(&status).0.is_ascii());
        }
    }

    #[test]
    fn without_colours_there_is_none() {
        let theme = Theme::mono();
        for style in [
            theme.success(),
            theme.warning(),
            theme.error(),
            theme.unknown(),
            theme.critical(),
            theme.paused(),
        ] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }
}
