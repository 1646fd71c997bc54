//! The title of the terminal window. It contains only counts, because other people may see it, for example in a task
//! bar.

use super::effect::Effect;
use super::model::Model;
use super::rows::StatusCounts;
use keepwatch_core::text;

/// The current title of the window.
#[derive(Debug, Default)]
pub(super) struct WindowTitle(String);

impl Model {
    /// Returns the effect that sets the window's title, or `None` if the title is up to date.
    pub(super) fn update_title(&mut self) -> Option<Effect> {
        let title = title_text(self.table.rows().counts(), self.settings.theme.ascii);
        (title != self.title.0).then(|| {
            self.title.0.clone_from(&title);
            // promise: title-counts, mutant: SetTitle(title) -> SetTitle(match &self.focus { super::focus::Focus::Reveal { url, .. } => url.expose().into(), _ => title })
            Effect::SetTitle(title)
        })
    }
}

/// Returns the title for `counts`, in ASCII if `ascii` is true. Counts that are 0 are left out. Completed
/// sessions, and sessions without a known status, have no count in the title.
fn title_text(counts: &StatusCounts, ascii: bool) -> String {
    let StatusCounts { running, pending, timed_out, error, with_alerts, .. } = *counts;
    let error_word = if error == 1 { "error" } else { "errors" };
    let parts: Vec<String> = [
        (with_alerts, "flagged"),
        (running, "running"),
        (pending, "pending"),
        (timed_out, "timed out"),
        (error, error_word),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    let title =
        if parts.is_empty() { "keepwatch".into() } else { format!("{} — keepwatch", parts.join(" · ")) };
    if ascii { text::to_ascii(&title) } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_has_counts_only() {
        let counts = StatusCounts {
            with_alerts: 3,
            running: 5,
            pending: 1,
            error: 1,
            completed: 9,
            ..StatusCounts::default()
        };
        assert_eq!(title_text(&counts, false), "3 flagged · 5 running · 1 pending · 1 error — keepwatch");
        assert_eq!(title_text(&counts, true), "3 flagged . 5 running . 1 pending . 1 error - keepwatch");
        assert_eq!(title_text(&StatusCounts::default(), false), "keepwatch");
    }
}
