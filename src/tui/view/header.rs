//! The first lines: is it alive? Calm while it is; loud when answers are late or polling rests.
//!
//! It shows the *time* of the newest answer, which changes only when one comes; an age, which ticks, only when late.
//!
//! Each of several profiles is judged by itself. The time is that of the profile whose newest reply is the oldest, among those
//! that do not fail: nothing on the screen is older, except what is marked as late.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::drawing::{self, OwnedLine, span};
use crate::tui::{Model, ProfileId, ProfileState, ProjectSlots, ReplayProgress, StatusCounts};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{ApiError, ApiErrorKind, Status};
use keepwatch_core::text;
use keepwatch_core::tracker::RequestTiming;

/// What the header can do without, the first one first.
const DROP_ORDER: [HeaderItem; 10] = [
    HeaderItem::Latency,
    HeaderItem::KeyTail,
    HeaderItem::Project,
    HeaderItem::ProgramName,
    HeaderItem::Slots,
    HeaderItem::LateProfiles,
    HeaderItem::CountWords,
    HeaderItem::FullSlots,
    HeaderItem::LateCause,
    HeaderItem::ResponseTime,
];

/// A blank at which no line is broken.
const NBSP: &str = "\u{a0}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderItem {
    /// How long the newest answer took.
    Latency,
    /// The last characters of the key.
    KeyTail,
    /// The project, the host, or that it is the demo.
    Project,
    /// The program's name.
    ProgramName,
    /// How many of the project's slots are taken. That none is free stays.
    Slots,
    /// That answers are late of one of several that the banner names.
    LateProfiles,
    /// The words of the counts; the glyphs stay.
    CountWords,
    /// That no slot is free in the project of one of several, which a line under the table says, too.
    FullSlots,
    /// Why answers are late, and when the next try is.
    LateCause,
    /// The time of the newest answer.
    ResponseTime,
}

/// Draws the header. A banner tells the cause of what is late, so that the header need not.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment, has_banner: bool) {
    let inner = Rect { width: area.width.saturating_sub(2), ..drawing::indent(area, 1) };
    let is_shown = |part: HeaderItem, drops: usize| {
        let stays = DROP_ORDER.iter().skip(drops).any(|stays| *stays == part);
        match part {
            HeaderItem::LateProfiles => stays || !has_banner,
            HeaderItem::LateCause => stays && !has_banner,
            _ => stays,
        }
    };
    for drops in 0..=DROP_ORDER.len() {
        let (left, right) = (
            left_line(model, |part| is_shown(part, drops)),
            right_line(model, now, |part| is_shown(part, drops)),
        );
        let used_width =
            drawing::line_width(&left).saturating_add(drawing::line_width(&right)).saturating_add(3);
        if used_width <= inner.width || drops == DROP_ORDER.len() {
            // An alarm is the last to go.
            let room = inner.width.saturating_sub(drawing::line_width(&right)).saturating_sub(1);
            drawing::write_line(buffer, Rect { width: room, ..inner }, &left);
            drawing::write_right_aligned(buffer, inner, &right);
            return;
        }
    }
}

/// All that a very small screen shows: one line of counts, and what is loud above it or, in one row, before it.
/// Returns how many rows that took.
pub(super) fn draw_counts(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) -> u16 {
    let theme = model.settings.theme;
    // The profile's name comes last: it is what there may be no room for.
    let profile_suffix = |profile: ProfileId| {
        model.profiles.label(profile).map(|label| format!(": {label}")).unwrap_or_default()
    };
    let late = model.profiles.ids().find_map(|profile| Some((profile, late(model, profile, now)?)));
    let failing =
        failing_profiles(model).first().and_then(|profile| Some((*profile, polling_error(model, *profile)?)));
    let alarm = match (late, failing) {
        _ if model.paused => vec![span("PAUSED", theme.paused())],
        (Some((profile, age)), _) => {
            vec![span(
                format!("late {}{}", text::format_elapsed(age), profile_suffix(profile)),
                theme.critical(),
            )]
        }
        (None, Some((profile, error))) => {
            vec![span(format!("{}{}", error.short_label(), profile_suffix(profile)), theme.critical())]
        }
        (None, None) if !has_any_response(model) => vec![span("asking…", theme.info())],
        (None, None) => Vec::new(),
    };
    let counts = count_items(model, false);
    if alarm.is_empty() || counts.is_empty() || area.height < 2 {
        drawing::write_line(buffer, area, &drawing::join_spaced(std::iter::once(alarm).chain(counts)));
        return 1;
    }
    drawing::write_line(buffer, area, &alarm.into());
    drawing::write_line(buffer, drawing::row(area, 1), &drawing::join_spaced(counts));
    2
}

/// True if a profile has replied.
pub(super) fn has_any_response(model: &Model) -> bool {
    model.profiles.iter().any(|(_, profile)| profile.tracker.health().last_success.is_some())
}

/// Returns the profiles whose polls all fail, or whose polls of a list do.
pub(super) fn failing_profiles(model: &Model) -> Vec<ProfileId> {
    let is_failing = |profile: &ProfileId| polling_error(model, *profile).is_some();
    model.profiles.ids().filter(is_failing).collect()
}

fn polling_error(model: &Model, profile: ProfileId) -> Option<&ApiError> {
    model.profiles.get(profile).tracker.health().failure_streak.as_ref().map(|failing| &failing.error)
}

/// Returns the prefix of a sentence about one of several profiles, such as "acme: ".
pub(super) fn profile_prefix(model: &Model, profile: ProfileId) -> String {
    model.profiles.label(profile).map(|label| format!("{label}: ")).unwrap_or_default()
}

/// Returns the sentence about the failing polls of a profile.
pub(super) fn error_message(model: &Model, profile: ProfileId) -> String {
    let failing = model.profiles.get(profile).tracker.health().failure_streak.as_ref();
    let sentence = failing.map(|failing| failing.sentence()).unwrap_or_default();
    format!("{}{sentence}", profile_prefix(model, profile))
}

/// Draws why polls fail, and when the next try is. Each of several failing profiles has a line; if there are too few lines, the
/// last one names the remaining profiles.
pub(super) fn draw_banner(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let inner = Rect { width: area.width.saturating_sub(2), ..drawing::indent(area, 1) };
    let lines = usize::from(area.height);
    let failing = failing_profiles(model);
    if let [only] = failing.as_slice() {
        return draw_failing_profile(buffer, inner, model, *only, now);
    }
    let full_lines = if failing.len() > lines { lines.saturating_sub(1) } else { lines };
    for (down, profile) in failing.iter().take(full_lines).enumerate() {
        draw_failing_profile(buffer, drawing::row(inner, down), model, *profile, now);
    }
    let remaining = failing.iter().skip(full_lines).filter_map(|profile| {
        Some(format!("{}{}", profile_prefix(model, *profile), polling_error(model, *profile)?.short_label()))
    });
    let rest: Vec<String> = remaining.collect();
    if !rest.is_empty() && lines > 0 {
        let text = OwnedLine::styled(rest.join(" · "), model.settings.theme.critical());
        drawing::write_line(buffer, drawing::row(inner, full_lines), &text);
    }
}

fn draw_failing_profile(buffer: &mut Buffer, inner: Rect, model: &Model, profile: ProfileId, now: Moment) {
    let Some(error) = polling_error(model, profile) else { return };
    let next_retry =
        next_retry_text(model, profile, now).map(|next| format!(" · {next}")).unwrap_or_default();
    let theme = model.settings.theme;
    let is_mild = matches!(error.kind, ApiErrorKind::RateLimited);
    let style = if is_mild { theme.paused() } else { theme.critical() };
    let (room, lines) = (usize::from(inner.width), usize::from(inner.height));
    let mut sentence = error_message(model, profile);
    if lines < 2 {
        // Of a sentence that is too long for one line the end of the line stays: when it goes on.
        sentence = text::truncate(&sentence, room.saturating_sub(text::width(&next_retry)));
    }
    let message = format!("{sentence}{}", next_retry.replace(' ', NBSP).replacen(NBSP, " ", 1));
    for (down, part) in text::wrap(&message, room).into_iter().take(lines).enumerate() {
        drawing::write_line(
            buffer,
            drawing::row(inner, down),
            &OwnedLine::styled(part.replace(NBSP, " "), style),
        );
    }
}

/// "next try in 8 s"; `None` where nothing failed, or nothing will be tried.
pub(super) fn next_retry_text(model: &Model, profile: ProfileId, now: Moment) -> Option<String> {
    let profile = model.profiles.get(profile);
    if profile.info.missing_key_reason.is_some() {
        return None;
    }
    if model.paused {
        return Some("no try while paused".into());
    }
    let next = profile.tracker.health().failure_streak.as_ref()?.next?;
    let wait = whole_seconds_between(model, now, next);
    Some(if wait.is_zero() {
        "trying now".into()
    } else {
        format!("next try in {}", text::format_elapsed(wait))
    })
}

/// From one moment to another in whole seconds of the server's clock, on which all texts tick together.
pub(super) fn whole_seconds_between(model: &Model, from: Moment, to: Moment) -> Duration {
    let whole_seconds = |moment| model.server_time(moment).timestamp();
    Duration::from_secs(u64::try_from(whole_seconds(to).saturating_sub(whole_seconds(from))).unwrap_or(0))
}

/// Returns how old the newest reply of a profile is, if that is too old.
fn late(model: &Model, profile: ProfileId, now: Moment) -> Option<Duration> {
    let exchange = model.profiles.get(profile).tracker.health().last_success?;
    model.stale_data_age(profile, now).map(|_| whole_seconds_between(model, exchange.received, now))
}

fn left_line(model: &Model, is_shown: impl Fn(HeaderItem) -> bool) -> OwnedLine {
    let name = if is_shown(HeaderItem::ProgramName) {
        vec![span("keepwatch", model.settings.theme.bold())]
    } else {
        Vec::new()
    };
    drawing::join_spaced(std::iter::once(name).chain(count_items(model, is_shown(HeaderItem::CountWords))))
}

/// The counts that are not zero. Of nothing there is said nothing, but that nothing runs.
fn count_items(model: &Model, with_words: bool) -> Vec<Vec<Span<'static>>> {
    let theme = model.settings.theme;
    let StatusCounts {
        running,
        pending,
        completed,
        timed_out,
        error,
        other,
        not_found: absent,
        no_response: waiting,
        with_alerts: flagged,
        ..
    } = *model.table.rows().counts();
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
            (("?", theme.unknown()), other, "other"),
            (("?", theme.warning()), absent, "not found"),
            (("…", theme.dim()), waiting, "awaited"),
        ])
        .filter(|(_, count, _)| *count > 0)
        .collect();
    if shown.is_empty() && has_any_response(model) {
        shown.push(((theme.status(&Status::Running).0, theme.dim()), 0, "running"));
    }
    let counts = shown.into_iter().map(|((glyph, style), count, word)| {
        let word = if with_words { format!(" {word}") } else { String::new() };
        vec![span(format!("{glyph} {count}{word}"), style)]
    });
    // Flags are counted beside the statuses: a session has both.
    let flags =
        (flagged > 0).then(|| vec![span(format!("{} {flagged}", theme.alert_glyph()), theme.alert())]);
    counts.chain(flags).collect()
}

fn right_line(model: &Model, now: Moment, is_shown: impl Fn(HeaderItem) -> bool) -> OwnedLine {
    let settings = &model.settings;
    let theme = settings.theme;
    let mut parts = vec![profile_spans(model, &is_shown), slot_spans(model, &is_shown)];
    if let Some(ReplayProgress { is_playing: playing, current_event: event, total_events: events }) =
        model.replay
    {
        let state = match (is_shown(HeaderItem::CountWords), playing) {
            (false, _) => "",
            (true, true) => "playing ",
            (true, false) => "at rest ",
        };
        parts.push(vec![span(format!("REPLAY {state}{event}/{events}"), theme.paused())]);
        let at = settings.zone.time(model.server_time(now));
        parts.push(vec![span(at, theme.bold())]);
        return drawing::join_spaced(parts);
    }
    if model.paused {
        parts.push(vec![span("PAUSED", theme.paused())]);
    }
    if let Some(label) = model.persistence_warning {
        parts.push(vec![span(label, theme.critical())]);
    }
    let late: Vec<(ProfileId, Duration)> =
        model.profiles.ids().filter_map(|profile| Some((profile, late(model, profile, now)?))).collect();
    let is_in_banner =
        |profile| model.profiles.label(profile).is_some() && polling_error(model, profile).is_some();
    let is_told = late.iter().all(|(profile, _)| is_in_banner(*profile));
    if is_shown(HeaderItem::LateProfiles) || !is_told {
        parts.push(no_data_spans(model, &late, is_shown(HeaderItem::LateCause), now));
    }
    if let Some((profile, good)) = oldest_last_response(model, &late) {
        if is_shown(HeaderItem::ResponseTime) {
            let at = settings.zone.time(model.profiles.profile_time(profile, good.received));
            parts.push(vec![span(at, theme.dim())]);
        }
        if is_shown(HeaderItem::Latency) {
            let took = good.received.mono.saturating_sub(good.sent.mono);
            parts.push(vec![span(format!("{:>6}", text::format_latency(took)), theme.dim())]);
        }
    }
    drawing::join_spaced(parts)
}

/// Returns the oldest of the profiles' newest replies, among the profiles that do not fail, or among all if all fail. Late
/// profiles do not count: their age is shown elsewhere.
pub(super) fn oldest_last_response(
    model: &Model,
    late: &[(ProfileId, Duration)],
) -> Option<(ProfileId, RequestTiming)> {
    let is_fresh = |profile: &ProfileId| late.iter().all(|(late, _)| late != profile);
    let profiles: Vec<ProfileId> = model.profiles.ids().filter(is_fresh).collect();
    let oldest = |is_failing: bool| {
        let profiles =
            profiles.iter().filter(|profile| polling_error(model, **profile).is_some() == is_failing);
        let exchanges = profiles.filter_map(|profile| {
            Some((*profile, model.profiles.get(*profile).tracker.health().last_success?))
        });
        exchanges.min_by_key(|(_, good)| good.received.mono)
    };
    oldest(false).or_else(|| oldest(true))
}

/// Whose sessions these are, and the ends of the keys.
fn profile_spans(model: &Model, is_shown: &impl Fn(HeaderItem) -> bool) -> Vec<Span<'static>> {
    let theme = model.settings.theme;
    let tail = |profile: &ProfileState| text::sanitise(&profile.info.key_tail, 8);
    if let Some(labels) = model.profiles.labels() {
        let each = model.profiles.iter().map(|(id, profile)| match &profile.info.missing_key_reason {
            Some(_) => format!("{} no key", labels.get(id)),
            None => format!("{} …{}", labels.get(id), tail(profile)),
        });
        let text = match (is_shown(HeaderItem::KeyTail), is_shown(HeaderItem::Project)) {
            (true, _) => each.collect::<Vec<_>>().join(" · "),
            (false, true) => format!("{} profiles", labels.iter().len()),
            (false, false) => return Vec::new(),
        };
        return vec![span(text, theme.dim())];
    }
    let mut whose = Vec::new();
    if is_shown(HeaderItem::Project) {
        whose.extend(project_or_host(model).map(|text| span(text, theme.dim())));
    }
    let tail = tail(model.profiles.first());
    if is_shown(HeaderItem::KeyTail) && !tail.is_empty() && !model.settings.demo {
        let space = if whose.is_empty() { "" } else { " " };
        whose.push(span(format!("{space}key …{tail}"), theme.dim()));
    }
    whose
}

/// The slots of each project; those of which none is free even where there is no room for the others.
fn slot_spans(model: &Model, is_shown: &impl Fn(HeaderItem) -> bool) -> Vec<Span<'static>> {
    let theme = model.settings.theme;
    let mut parts: Vec<Span<'static>> = Vec::new();
    for profile in model.profiles.ids() {
        let label = model.profiles.label(profile);
        let is_included = |slots: &ProjectSlots| match slots.is_full() {
            true => label.is_none() || is_shown(HeaderItem::FullSlots),
            false => is_shown(HeaderItem::Slots),
        };
        let Some(slots) = model.slots(profile).filter(is_included) else { continue };
        let name = label.map(|label| format!("{label} ")).unwrap_or_default();
        let style = if slots.is_full() { theme.critical() } else { theme.dim() };
        let word = if parts.is_empty() { "slots " } else { "" };
        if !parts.is_empty() {
            parts.push(span(" · ", theme.dim()));
        }
        parts.push(span(format!("{word}{name}{}", slots_text(slots)), style));
    }
    parts
}

/// For how long which answers have been missing; why, and when the next try is.
fn no_data_spans(
    model: &Model,
    late: &[(ProfileId, Duration)],
    with_cause: bool,
    now: Moment,
) -> Vec<Span<'static>> {
    let theme = model.settings.theme;
    let Some((profile, age)) = late.iter().copied().max_by_key(|(_, age)| *age) else { return Vec::new() };
    let from = match (model.profiles.labels(), late.len()) {
        (None, _) => String::new(),
        (Some(labels), 1) => format!(" from {}", labels.get(profile)),
        (Some(labels), many) if many == labels.iter().len() => " from any profile".into(),
        (Some(_), many) => format!(" from {many} profiles"),
    };
    let mut spans = vec![span(format!("no data{from} for {}", text::format_elapsed(age)), theme.critical())];
    if with_cause && late.len() == 1 {
        let health = model.profiles.get(profile).tracker.health();
        let reason = health.current_error().map(|error| error.short_label().to_owned());
        let next = next_retry_text(model, profile, now).filter(|_| health.failure_streak.is_some());
        let why = reason.into_iter().chain(next).collect::<Vec<_>>().join(", ");
        if !why.is_empty() {
            spans.push(span(format!(": {why}"), theme.critical()));
        }
    }
    spans
}

fn slots_text(slots: ProjectSlots) -> String {
    let taken = slots.used.map_or_else(|| "?".into(), |taken| taken.to_string());
    let full = if slots.is_full() { " FULL" } else { "" };
    let ours = (slots.used.and_then(|taken| u64::try_from(taken).ok()), u64::try_from(slots.limit).ok());
    let refused = slots.last_limit_error.filter(|(taken, all)| ours != (Some(*taken), Some(*all)));
    let refused = refused.map(|(taken, all)| format!(" (429 said {taken}/{all})")).unwrap_or_default();
    format!("{taken}/{}{full}{refused}", slots.limit)
}

/// The project's name, where the key has but one; else the host, where it is not the public one.
fn project_or_host(model: &Model) -> Option<String> {
    let settings = &model.settings;
    if settings.demo {
        return Some("demo".into());
    }
    let profile = model.profiles.first();
    match profile.tracker.projects() {
        [only] if !only.name.is_empty() => Some(only.name.sanitise(24)),
        _ => profile.info.host.as_ref().map(|host| text::sanitise(host, 32)),
    }
}
