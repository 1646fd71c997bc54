//! Why there is no row: each reason looks different, and says what it means and what comes next.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::header;
use super::ink::{self, Text};
use crate::app::Model;
use crate::clock::Moment;
use crate::config::Targets;
use crate::session::{FaultKind, List};
use crate::text;

/// The public endpoint.
const PUBLIC: &str = "api.browserbase.com";
/// From this height on there are blank lines between sentences.
const AIRY: u16 = 14;
/// Lines are no longer than reads well.
const LONGEST: u16 = 72;

/// Draws the reason into the middle of `area`.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let (title, style, sentences) = reason(model, now);
    let faint = model.settings.theme.faint();
    let room = usize::from(area.width.saturating_sub(4).min(LONGEST));
    let wrap = |sentence: &str, style: Style| -> Vec<Text> {
        text::wrap(sentence, room).into_iter().map(|line| Line::styled(line, style)).collect()
    };
    let mut lines = wrap(&title, style);
    if usize::from(area.height) > lines.len().saturating_add(2) {
        lines.push(Line::default());
    }
    let airy = area.height >= AIRY;
    for sentence in sentences.iter().filter(|sentence| !sentence.is_empty()) {
        lines.extend(wrap(sentence, faint));
        lines.extend(airy.then(Line::default));
    }
    let high = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let area = ink::below(area, area.height.saturating_sub(high) / 3);
    for (down, line) in lines.iter().enumerate().take(usize::from(area.height)) {
        ink::write_middle(buffer, ink::row(area, down), line);
    }
}

/// A title, its look, and sentences.
fn reason(model: &Model, now: Moment) -> (String, Style, Vec<String>) {
    let (settings, health) = (&model.settings, model.fleet.health());
    let theme = settings.theme;
    let host = match &settings.host {
        _ if settings.demo => "the simulated API".into(),
        Some(host) => text::shown(host, 60),
        None => PUBLIC.into(),
    };
    if !model.fleet.is_empty() && model.rows.counts().muted == model.fleet.len() {
        let title =
            if model.fleet.len() == 1 { "the only session is muted" } else { "all sessions are muted" };
        return (title.into(), theme.strong(), vec!["M shows them again".into()]);
    }
    if model.flagged_only && !model.fleet.is_empty() {
        let hidden = match model.fleet.len() {
            1 => "one session is hidden".into(),
            count => format!("{count} sessions are hidden"),
        };
        return ("no session has a new flag".into(), theme.strong(), vec![format!("{hidden}; f shows all")]);
    }
    if !model.filter.is_empty() && !model.fleet.is_empty() {
        let count = model.fleet.len();
        let hidden = if count == 1 {
            "one session is hidden by it".into()
        } else {
            format!("{count} sessions are hidden by it")
        };
        let title = format!("no session matches “{}”", text::shown(model.filter.text(), 40));
        return (title, theme.strong(), vec![format!("{hidden}; Esc clears the filter")]);
    }
    let next = header::next_try(model, now).unwrap_or_default();
    if let Some(failing) = &health.failing {
        let sentence = failing.fault.sentence();
        return match failing.fault.kind {
            FaultKind::KeyRefused | FaultKind::Forbidden => {
                let title = format!("the key …{} is refused by {host}", text::shown(&settings.key_tail, 8));
                let advice =
                    "keys are shown in Browserbase's dashboard, under Settings; keepwatch demo needs none";
                (title, theme.bad(), vec![sentence, next, advice.into()])
            }
            FaultKind::RateLimited => {
                let title = format!("rate limited by {host}");
                (title, theme.warn(), vec![sentence, next])
            }
            _ if failing.fault.is_unreached() => {
                let title = format!("{host} is out of reach");
                (title, theme.bad(), vec![sentence, next])
            }
            _ => (format!("no useful answer from {host}"), theme.bad(), vec![sentence, next]),
        };
    }
    let Some(good) = health.last_good else {
        if model.paused {
            let sentence = "paused before the first answer; p goes on".into();
            return ("PAUSED".into(), theme.resting(), vec![sentence]);
        }
        let title = format!("asking {host} for {} sessions…", which(model, "and"));
        return (title, theme.coming(), Vec::new());
    };
    let at = settings.zone.time(model.server_time(good.received));
    let every = format!("asked every {}, last at {at}", text::length(settings.pace.interval));
    let rest = if model.paused {
        "paused: p goes on, and new ones appear".into()
    } else {
        "new ones appear here by themselves".into()
    };
    let mut sentences = vec![rest, every];
    if let Some(query) = &settings.query {
        sentences.insert(0, format!("of those with {}", text::shown(query.raw(), 200)));
    }
    (format!("no session is {}", which(model, "or")), theme.strong(), sentences)
}

/// Of which status sessions are asked for.
fn which(model: &Model, and: &str) -> String {
    match model.settings.targets {
        Targets::Only(List::Running) => "running".into(),
        Targets::Only(List::Pending) => "pending".into(),
        Targets::All | Targets::Ids(_) => format!("running {and} pending"),
    }
}
