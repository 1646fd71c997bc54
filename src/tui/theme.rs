//! Colours and glyphs. Each colour has a meaning, and a glyph or a word beside it has the same meaning, so a screen
//! without colours loses no information.
//!
//! The theme uses only the colours that are legible on light and dark backgrounds: red, green, yellow, cyan and
//! magenta. White, black, grey, plain blue and the bright colours are each illegible on some background. Less important
//! text is dim instead: each terminal mixes that shade from its own foreground and background.

use ratatui::style::{Color, Modifier, Style};

use keepwatch_core::session::Status;

/// Colours and glyphs. The default has no colours, as `NO_COLOR` requires, and Unicode glyphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// True if all glyphs are ASCII.
    pub ascii: bool,
    /// True if colours are used.
    pub color: bool,
}

impl Theme {
    /// Returns a theme with colours.
    #[must_use]
    pub const fn colored() -> Self {
        Self { ascii: false, color: true }
    }

    /// Returns a theme without colours: only bold, dim and reversed text.
    #[must_use]
    pub const fn mono() -> Self {
        Self { ascii: false, color: false }
    }

    /// Returns this theme with ASCII glyphs.
    #[must_use]
    pub const fn with_ascii(self) -> Self {
        Self { ascii: true, ..self }
    }

    fn foreground(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    /// Returns the style of labels and of less important text.
    pub(crate) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Returns the style of titles and keystrokes.
    pub(crate) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Returns the style of running sessions and of success.
    pub(crate) fn success(self) -> Style {
        self.foreground(Color::Green)
    }

    /// Returns the style of pending sessions, and of states that need no attention, such as a requested release.
    pub(crate) fn info(self) -> Style {
        self.foreground(Color::Cyan)
    }

    /// Returns the style of states that need attention soon.
    pub(crate) fn warning(self) -> Style {
        self.foreground(Color::Yellow)
    }

    /// Returns the style of unacknowledged alerts.
    pub(crate) fn alert(self) -> Style {
        self.warning().add_modifier(Modifier::BOLD)
    }

    /// Returns the style of errors, and of time limits that are exceeded or almost reached.
    pub(crate) fn error(self) -> Style {
        self.foreground(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Returns the style of values that this version does not know.
    pub(crate) fn unknown(self) -> Style {
        self.foreground(Color::Magenta)
    }

    /// Returns the style of errors that concern the whole screen. It must stand out from a distance.
    pub(crate) fn critical(self) -> Style {
        if self.color { self.error() } else { self.bold().add_modifier(Modifier::REVERSED) }
    }

    /// Returns the style of a pause. It is as visible as [`Theme::critical`], because the user may forget the pause.
    pub(crate) fn paused(self) -> Style {
        if self.color {
            self.warning().add_modifier(Modifier::BOLD)
        } else {
            self.bold().add_modifier(Modifier::REVERSED)
        }
    }

    /// Returns the glyph of a status, and its style.
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

    /// Returns the filled and the empty part of a bar of `columns` columns. `fraction` is the size of the filled part,
    /// from 0 to 1. The filled part is rounded up to half columns, or to whole columns with ASCII glyphs.
    pub(crate) fn progress_bar(self, fraction: f64, columns: u16) -> (String, String) {
        // Two columns are for the brackets of an ASCII bar.
        let inner = if self.ascii { columns.saturating_sub(2) } else { columns };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the value is from 0 to twice the columns"
        )]
        let halves = (fraction.clamp(0.0, 1.0) * f64::from(inner) * 2.0).ceil() as u16;
        let (full, half) = (usize::from(halves / 2), usize::from(halves % 2));
        let empty = usize::from(inner).saturating_sub(full).saturating_sub(half);
        if self.ascii {
            let filled = full.saturating_add(half);
            return (format!("[{}", "=".repeat(filled)), format!("{}]", "-".repeat(empty)));
        }
        (format!("{}{}", "━".repeat(full), "╾".repeat(half)), "─".repeat(empty))
    }

    fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { unicode }
    }

    /// Returns the glyph of an alert.
    pub(crate) fn alert_glyph(self) -> &'static str {
        self.pick("⚑", "!")
    }

    /// Returns the glyph of a success.
    pub(crate) fn success_glyph(self) -> &'static str {
        self.pick("✓", "+")
    }

    /// Returns the glyph of an error.
    pub(crate) fn error_glyph(self) -> &'static str {
        self.pick("✗", "X")
    }

    /// Returns the glyph at the left of the selected row.
    pub(crate) fn selection_glyph(self) -> &'static str {
        self.pick("▌", ">")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_bar_fills_its_columns() {
        for theme in [Theme::colored(), Theme::colored().with_ascii()] {
            for fraction in [-1.0, 0.0, 0.01, 0.5, 0.79, 1.0, 7.0, f64::NAN] {
                let (filled, empty) = theme.progress_bar(fraction, 10);
                assert_eq!(
                    filled.chars().count() + empty.chars().count(),
                    10,
                    "always 10 columns: {fraction}, {theme:?}"
                );
            }
        }
        assert_eq!(Theme::mono().progress_bar(0.8, 10), ("━━━━━━━━".into(), "──".into()));
        assert_eq!(Theme::mono().progress_bar(0.01, 10), ("╾".into(), "─────────".into()));
        assert_eq!(Theme::mono().with_ascii().progress_bar(0.5, 10), ("[====".into(), "----]".into()));
    }

    #[test]
    fn ascii_theme_has_ascii_status_glyphs() {
        for status in Status::KNOWN {
            assert!(Theme::mono().with_ascii().status(&status).0.is_ascii());
        }
    }

    #[test]
    fn mono_theme_has_no_colours() {
        let theme = Theme::mono();
        for style in [
            theme.success(),
            theme.info(),
            theme.warning(),
            theme.alert(),
            theme.error(),
            theme.unknown(),
            theme.critical(),
            theme.paused(),
        ] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }
}
