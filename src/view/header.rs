//! The first lines: is it alive? Calm while it is; loud when answers are late or polling rests.
//!
//! It shows the *time* of the newest answer, which changes only when one comes; an age, which ticks, only when late.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::ink::{self, Text, span};
use crate::app::{Counts, Model, Replay, Slots};
use crate::clock::Moment;
use crate::session::{FaultKind, Status};
use crate::text;

/// What the header can do without, the first one first.
const DROPS: [Part; 8] =
    [Part::Latency, Part::Key, Part::Project, Part::Name, Part::Slots, Part::Words, Part::Cause, Part::Time];

/// A blank at which no line is broken.
const KEPT: &str = "\u{a0}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// How long the newest answer took.
    Latency,
    /// The last characters of the key.
    Key,
    /// The project, the host, or that it is the demo.
    Project,
    /// The program's name.
    Name,
    /// How many of the project's slots are taken. That none is free stays.
    Slots,
    /// The words of the counts; the glyphs stay.
    Words,
    /// Why answers are late, and when the next try is.
    Cause,
    /// The time of the newest answer.
    Time,
}

/// Draws the header. A banner tells the cause of what is late, so that the header need not.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment, banner: bool) {
    let inner = Rect { width: area.width.saturating_sub(2), ..ink::indent(area, 1) };
    let kept = |part: Part, drops: usize| {
        !(banner && part == Part::Cause) && DROPS.iter().skip(drops).any(|stays| *stays == part)
    };
    for drops in 0..=DROPS.len() {
        let (left, right) =
            (left(model, |part| kept(part, drops)), right(model, now, |part| kept(part, drops)));
        let wide = ink::columns(&left).saturating_add(ink::columns(&right)).saturating_add(3);
        if wide <= inner.width || drops == DROPS.len() {
            // An alarm is the last to go.
            let room = inner.width.saturating_sub(ink::columns(&right)).saturating_sub(1);
            ink::write(buffer, Rect { width: room, ..inner }, &left);
            ink::write_right(buffer, inner, &right);
            return;
        }
    }
}

/// All that a very small screen shows: one line of counts, and what is loud above it or, in one row, before it.
/// Returns how many rows that took.
pub(super) fn draw_counts(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) -> u16 {
    let theme = model.settings.theme;
    let health = model.fleet.health();
    let loud = match (late(model, now), health.failing.as_ref()) {
        _ if model.paused => vec![span("PAUSED", theme.resting())],
        (Some(age), _) => vec![span(format!("late {}", text::span(age)), theme.alarm())],
        (None, Some(failing)) => vec![span(failing.fault.brief(), theme.alarm())],
        (None, None) if health.last_good.is_none() => vec![span("asking…", theme.coming())],
        (None, None) => Vec::new(),
    };
    let counts = counts(model, false);
    if loud.is_empty() || counts.is_empty() || area.height < 2 {
        ink::write(buffer, area, &ink::spaced(std::iter::once(loud).chain(counts)));
        return 1;
    }
    ink::write(buffer, area, &loud.into());
    ink::write(buffer, ink::row(area, 1), &ink::spaced(counts));
    2
}

/// What keeps all polls from succeeding: the fault's sentence, and when the next try is.
pub(super) fn draw_banner(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some(failing) = &model.fleet.health().failing else { return };
    let next = next_try(model, now).map(|next| format!(" · {next}")).unwrap_or_default();
    let inner = Rect { width: area.width.saturating_sub(2), ..ink::indent(area, 1) };
    let theme = model.settings.theme;
    let mild = matches!(failing.fault.kind, FaultKind::RateLimited);
    let style = if mild { theme.resting() } else { theme.alarm() };
    let (room, lines) = (usize::from(inner.width), usize::from(area.height));
    let mut sentence = failing.sentence();
    if lines < 2 {
        // Of a sentence that is too long for one line the end of the line stays: when it goes on.
        sentence = text::fit(&sentence, room.saturating_sub(text::width(&next)));
    }
    let whole = format!("{sentence}{}", next.replace(' ', KEPT).replacen(KEPT, " ", 1));
    for (down, part) in text::wrap(&whole, room).into_iter().take(lines).enumerate() {
        ink::write(buffer, ink::row(inner, down), &Text::styled(part.replace(KEPT, " "), style));
    }
}

/// "next try in 8 s"; `None` where nothing failed, or nothing will be tried.
pub(super) fn next_try(model: &Model, now: Moment) -> Option<String> {
    if model.paused {
        return Some("no try while paused".into());
    }
    let next = model.fleet.health().failing.as_ref()?.next?;
    let wait = seconds(model, now, next);
    Some(if wait.is_zero() { "trying now".into() } else { format!("next try in {}", text::span(wait)) })
}

/// From one moment to another in whole seconds of the server's clock, on which all texts tick together.
pub(super) fn seconds(model: &Model, from: Moment, to: Moment) -> Duration {
    let whole = |moment| model.server_time(moment).timestamp();
    Duration::from_secs(u64::try_from(whole(to).saturating_sub(whole(from))).unwrap_or(0))
}

/// For how long answers have been missing, if that is too long.
fn late(model: &Model, now: Moment) -> Option<Duration> {
    let good = model.fleet.health().last_good?;
    model.late(now).map(|_| seconds(model, good.received, now))
}

fn left(model: &Model, kept: impl Fn(Part) -> bool) -> Text {
    let name =
        if kept(Part::Name) { vec![span("keepwatch", model.settings.theme.strong())] } else { Vec::new() };
    ink::spaced(std::iter::once(name).chain(counts(model, kept(Part::Words))))
}

/// The counts that are not zero. Of nothing there is said nothing, but that nothing runs.
fn counts(model: &Model, words: bool) -> Vec<Vec<Span<'static>>> {
    let theme = model.settings.theme;
    let Counts { running, pending, completed, timed_out, error, other, absent, waiting, flagged, .. } =
        *model.rows.counts();
    let known = [
        (Status::Running, running, "running"),
        (Status::Pending, pending, "pending"),
        (Status::Completed, completed, "ended"),
        (Status::TimedOut, timed_out, "timed out"),
        (Status::Error, error, if error == 1 { "error" } else { "errors" }),
    ];
    let mut shown: Vec<_> = known
        .into_iter()
        .map(|(status, count, word)| (theme.status(&status), count, word))
        .chain([
            (("?", theme.odd()), other, "other"),
            (("?", theme.warn()), absent, "not found"),
            (("…", theme.faint()), waiting, "awaited"),
        ])
        .filter(|(_, count, _)| *count > 0)
        .collect();
    if shown.is_empty() && model.fleet.health().last_good.is_some() {
        shown.push(((theme.status(&Status::Running).0, theme.faint()), 0, "running"));
    }
    let counts = shown.into_iter().map(|((glyph, style), count, word)| {
        let word = if words { format!(" {word}") } else { String::new() };
        vec![span(format!("{glyph} {count}{word}"), style)]
    });
    // Flags are counted beside the statuses: a session has both.
    let flags = (flagged > 0).then(|| vec![span(format!("{} {flagged}", theme.flag()), theme.alert())]);
    counts.chain(flags).collect()
}

fn right(model: &Model, now: Moment, kept: impl Fn(Part) -> bool) -> Text {
    let settings = &model.settings;
    let (theme, health) = (settings.theme, model.fleet.health());
    let mut parts = Vec::new();
    let mut whose = Vec::new();
    if kept(Part::Project) {
        whose.extend(whose_sessions(model).map(|text| span(text, theme.faint())));
    }
    if kept(Part::Key) && !settings.key_tail.is_empty() && !settings.demo {
        let space = if whose.is_empty() { "" } else { " " };
        whose.push(span(format!("{space}key …{}", text::shown(&settings.key_tail, 8)), theme.faint()));
    }
    parts.push(whose);
    if let Some(slots) = model.slots() {
        let (text, full) = (slots_text(slots), slots.is_full());
        if full || kept(Part::Slots) {
            parts.push(vec![span(text, if full { theme.alarm() } else { theme.faint() })]);
        }
    }
    if let Some(Replay { playing, event, events }) = model.replay {
        let state = if playing { "playing" } else { "at rest" };
        parts.push(vec![span(format!("REPLAY {state} {event}/{events}"), theme.resting())]);
        let at = settings.zone.time(model.server_time(now));
        parts.push(vec![span(at, theme.strong())]);
        return ink::spaced(parts);
    }
    if model.paused {
        parts.push(vec![span("PAUSED", theme.resting())]);
    }
    if model.unwritten.is_some() {
        parts.push(vec![span("not recording", theme.alarm())]);
    }
    if let Some(age) = late(model, now) {
        let mut loud = vec![span(format!("no data for {}", text::span(age)), theme.alarm())];
        if kept(Part::Cause) {
            let cause = health.cause().map(|fault| fault.brief().to_owned());
            let parts = cause.into_iter().chain(next_try(model, now).filter(|_| health.failing.is_some()));
            let why = parts.collect::<Vec<_>>().join(", ");
            if !why.is_empty() {
                loud.push(span(format!(": {why}"), theme.alarm()));
            }
        }
        parts.push(loud);
    } else if let Some(good) = health.last_good {
        if kept(Part::Time) {
            let at = settings.zone.time(model.server_time(good.received));
            parts.push(vec![span(at, theme.faint())]);
        }
        if kept(Part::Latency) {
            let took = good.received.mono.saturating_sub(good.sent.mono);
            parts.push(vec![span(format!("{:>6}", text::latency(took)), theme.faint())]);
        }
    }
    ink::spaced(parts)
}

fn slots_text(slots: Slots) -> String {
    let taken = slots.taken.map_or_else(|| "?".into(), |taken| taken.to_string());
    let full = if slots.is_full() { " FULL" } else { "" };
    let ours = (slots.taken.and_then(|taken| u64::try_from(taken).ok()), u64::try_from(slots.all).ok());
    let refused = slots.refused.filter(|(taken, all)| ours != (Some(*taken), Some(*all)));
    let refused = refused.map(|(taken, all)| format!(" (429 said {taken}/{all})")).unwrap_or_default();
    format!("slots {taken}/{}{full}{refused}", slots.all)
}

/// The project's name, where the key has but one; else the host, where it is not the public one.
fn whose_sessions(model: &Model) -> Option<String> {
    let settings = &model.settings;
    if settings.demo {
        return Some("demo".into());
    }
    match model.fleet.projects() {
        [only] if !only.name.is_empty() => Some(only.name.shown(24)),
        _ => settings.host.as_ref().map(|host| text::shown(host, 32)),
    }
}
