//! Draws the first lines of the screen. The header shows counts, and warns if responses are late or polling is paused.
//! While polls fail, a banner below the header names the errors.
//!
//! The header shows the *time* of the last response, which changes only with a response. It shows an *age*, which
//! changes every second, only while data is stale: older than three poll intervals.
//!
//! With several profiles, the header shows only the time of the oldest of their last responses. Profiles with stale
//! data do not count. Failing profiles do not count either, unless no other profile remains. So the data of every
//! profile that counts is at least as new as this time.

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

/// Items that the header drops on a narrow screen, in this order.
const DROP_ORDER: [HeaderItem; 10] = [
    HeaderItem::Latency,
    HeaderItem::KeyTail,
    HeaderItem::Project,
    HeaderItem::ProgramName,
    HeaderItem::Slots,
    HeaderItem::StaleData,
    HeaderItem::CountWords,
    HeaderItem::FullSlots,
    HeaderItem::StaleCause,
    HeaderItem::ResponseTime,
];

/// A blank at which `text::wrap` does not break a line.
const NBSP: &str = "\u{a0}";

/// The minimum number of columns between the left and the right part of the header.
const MIN_GAP: u16 = 3;

/// An item of the header that can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderItem {
    /// The latency of the last response.
    Latency,
    /// The last characters of the API key.
    KeyTail,
    /// The project, the host, or "demo".
    Project,
    /// The program's name.
    ProgramName,
    /// The slots of projects that are not known to be full.
    Slots,
    /// The warning about stale data, with the age of the data. It stays unless the banner names every profile with
    /// stale data.
    StaleData,
    /// The words beside the counts, and the state of a replay. The glyphs and the numbers stay.
    CountWords,
    /// The slots of full projects, if there are several profiles. The note below the table also names these projects.
    FullSlots,
    /// The cause of stale data, and the time of the next try.
    StaleCause,
    /// The time of the last response.
    ResponseTime,
}

/// Draws the header. If there is a banner, it names the cause of stale data, and the header does not.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment, has_banner: bool) {
    let inner = Rect { width: area.width.saturating_sub(2), ..drawing::indent(area, 1) };
    let is_shown = |item: HeaderItem, dropped_count: usize| {
        let stays = DROP_ORDER.iter().skip(dropped_count).any(|kept| *kept == item);
        match item {
            HeaderItem::StaleData => stays || !has_banner,
            HeaderItem::StaleCause => stays && !has_banner,
            _ => stays,
        }
    };
    for dropped_count in 0..=DROP_ORDER.len() {
        let (left, right) = (
            left_line(model, |item| is_shown(item, dropped_count)),
            right_line(model, now, |item| is_shown(item, dropped_count)),
        );
        let used_width =
            drawing::line_width(&left).saturating_add(drawing::line_width(&right)).saturating_add(MIN_GAP);
        if used_width <= inner.width || dropped_count == DROP_ORDER.len() {
            // The right part has the warnings, so only the left part is truncated.
            let room = inner.width.saturating_sub(drawing::line_width(&right)).saturating_sub(1);
            drawing::write_line(buffer, Rect { width: room, ..inner }, &left);
            drawing::write_right_aligned(buffer, inner, &right);
            return;
        }
    }
}

/// Draws a very small screen: a row of counts, and a warning on the row above. If there is only one row, the warning
/// precedes the counts. Returns the number of rows used.
pub(super) fn draw_counts(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) -> u16 {
    let theme = model.settings.theme;
    // The profile's name comes last, so that it is truncated first.
    let profile_suffix = |profile: ProfileId| {
        model.profiles.label(profile).map(|label| format!(": {label}")).unwrap_or_default()
    };
    let first_stale =
        model.profiles.ids().find_map(|profile| Some((profile, stale_response_age(model, profile, now)?)));
    let first_failing =
        failing_profiles(model).first().and_then(|profile| Some((*profile, polling_error(model, *profile)?)));
    let warning = match (first_stale, first_failing) {
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
    if warning.is_empty() || counts.is_empty() || area.height < 2 {
        drawing::write_line(buffer, area, &drawing::join_spaced(std::iter::once(warning).chain(counts)));
        return 1;
    }
    drawing::write_line(buffer, area, &warning.into());
    drawing::write_line(buffer, drawing::row(area, 1), &drawing::join_spaced(counts));
    2
}

/// Returns true if any profile has received a response.
pub(super) fn has_any_response(model: &Model) -> bool {
    model.profiles.iter().any(|(_, profile)| profile.tracker.health().last_success.is_some())
}

/// Returns the profiles whose polls currently fail: all of their polls, or the polls of a list. A profile does not count
/// if only the polls of single sessions fail.
pub(super) fn failing_profiles(model: &Model) -> Vec<ProfileId> {
    let is_failing = |profile: &ProfileId| polling_error(model, *profile).is_some();
    model.profiles.ids().filter(is_failing).collect()
}

/// Returns the error of a profile's failing polls, or `None` if its polls do not fail.
fn polling_error(model: &Model, profile: ProfileId) -> Option<&ApiError> {
    model.profiles.get(profile).tracker.health().failure_streak.as_ref().map(|streak| &streak.error)
}

/// Returns the prefix of a sentence about one of several profiles, such as "acme: ".
pub(super) fn profile_prefix(model: &Model, profile: ProfileId) -> String {
    model.profiles.label(profile).map(|label| format!("{label}: ")).unwrap_or_default()
}

/// Returns the error message for the failing polls of a profile. After a 429, adds the limit that it is about.
pub(super) fn error_message(model: &Model, profile: ProfileId) -> String {
    let streak = model.profiles.get(profile).tracker.health().failure_streak.as_ref();
    let note = streak.and_then(|streak| model.limit_note(profile, &streak.error));
    let note = note.map(|note| format!("; {note}")).unwrap_or_default();
    format!("{}{note}", plain_error_message(model, profile))
}

/// Returns the error message for the failing polls of a profile, without the limit that a 429 is about.
fn plain_error_message(model: &Model, profile: ProfileId) -> String {
    let streak = model.profiles.get(profile).tracker.health().failure_streak.as_ref();
    let message = streak.map(|streak| streak.sentence()).unwrap_or_default();
    format!("{}{message}", profile_prefix(model, profile))
}

/// Draws the error of failing polls and the time of the next try. Several failing profiles have one line each. If there
/// are too few lines, the last line has the short errors of all remaining profiles.
pub(super) fn draw_banner(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let inner = Rect { width: area.width.saturating_sub(2), ..drawing::indent(area, 1) };
    let lines = usize::from(area.height);
    let failing = failing_profiles(model);
    if let [only] = failing.as_slice() {
        return draw_failing_profile(buffer, inner, model, *only, now);
    }
    let profiles_with_line = if failing.len() > lines { lines.saturating_sub(1) } else { lines };
    for (offset, profile) in failing.iter().take(profiles_with_line).enumerate() {
        draw_failing_profile(buffer, drawing::row(inner, offset), model, *profile, now);
    }
    let remaining_errors = failing.iter().skip(profiles_with_line).filter_map(|profile| {
        Some(format!("{}{}", profile_prefix(model, *profile), polling_error(model, *profile)?.short_label()))
    });
    let remaining_errors: Vec<String> = remaining_errors.collect();
    if !remaining_errors.is_empty() && lines > 0 {
        let text = OwnedLine::styled(remaining_errors.join(" · "), model.settings.theme.critical());
        drawing::write_line(buffer, drawing::row(inner, profiles_with_line), &text);
    }
}

fn draw_failing_profile(buffer: &mut Buffer, inner: Rect, model: &Model, profile: ProfileId, now: Moment) {
    let Some(error) = polling_error(model, profile) else { return };
    let next_retry =
        next_retry_text(model, profile, now).map(|next| format!(" · {next}")).unwrap_or_default();
    let theme = model.settings.theme;
    let is_rate_limited = matches!(error.kind, ApiErrorKind::RateLimited);
    let style = if is_rate_limited { theme.paused() } else { theme.critical() };
    let (room, lines) = (usize::from(inner.width), usize::from(inner.height));
    let mut message = error_message(model, profile);
    if text::wrap(&format!("{message}{next_retry}"), room).len() > lines {
        message = plain_error_message(model, profile);
    }
    if lines < 2 {
        // On a single line, truncate the error so that the time of the next try stays visible.
        message = text::truncate(&message, room.saturating_sub(text::width(&next_retry)));
    }
    // The time of the next try stays on one line: it can be wrapped only at its first blank, before the "·".
    let message = format!("{message}{}", next_retry.replace(' ', NBSP).replacen(NBSP, " ", 1));
    for (offset, part) in text::wrap(&message, room).into_iter().take(lines).enumerate() {
        drawing::write_line(
            buffer,
            drawing::row(inner, offset),
            &OwnedLine::styled(part.replace(NBSP, " "), style),
        );
    }
}

/// Returns a text about the next try of failing polls, such as "next try in 8 s". Returns `None` if no polls fail, or
/// if no next try is planned. While polling is paused, returns a text even if no polls fail.
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

/// Returns the time from `from` to `to`, or zero if `to` is earlier. Counts whole seconds of the server's clock, so
/// that all texts change at the same time.
pub(super) fn whole_seconds_between(model: &Model, from: Moment, to: Moment) -> Duration {
    let whole_seconds = |moment| model.server_time(moment).timestamp();
    Duration::from_secs(u64::try_from(whole_seconds(to).saturating_sub(whole_seconds(from))).unwrap_or(0))
}

/// Returns the age of a profile's last response in whole seconds, if the profile's data is stale.
fn stale_response_age(model: &Model, profile: ProfileId, now: Moment) -> Option<Duration> {
    let last_success = model.profiles.get(profile).tracker.health().last_success?;
    model.stale_data_age(profile, now).map(|_| whole_seconds_between(model, last_success.received, now))
}

fn left_line(model: &Model, is_shown: impl Fn(HeaderItem) -> bool) -> OwnedLine {
    let name = if is_shown(HeaderItem::ProgramName) {
        vec![span("keepwatch", model.settings.theme.bold())]
    } else {
        Vec::new()
    };
    drawing::join_spaced(std::iter::once(name).chain(count_items(model, is_shown(HeaderItem::CountWords))))
}

/// Returns the counts that are not zero. If all are zero, returns `0 running`, or nothing before the first response.
fn count_items(model: &Model, with_words: bool) -> Vec<Vec<Span<'static>>> {
    let theme = model.settings.theme;
    let StatusCounts {
        running,
        pending,
        completed,
        timed_out,
        error,
        other,
        not_found,
        no_response,
        with_alerts,
        ..
    } = *model.table.rows().counts();
    // Each item: the status, its count, its word. The next step replaces the status with its glyph and style.
    let known = [
        (Status::Running, running, "running"),
        (Status::Pending, pending, "pending"),
        (Status::Completed, completed, "ended"),
        (Status::TimedOut, timed_out, "timed out"),
        (Status::Error, error, if error == 1 { "error" } else { "errors" }),
    ];
    let mut items: Vec<_> = known
        .into_iter()
        .map(|(status, count, word)| (theme.status(&status), count, word))
        .chain([
            (("?", theme.unknown()), other, "other"),
            (("?", theme.warning()), not_found, "not found"),
            (("…", theme.dim()), no_response, "awaited"),
        ])
        .filter(|(_, count, _)| *count > 0)
        .collect();
    if items.is_empty() && has_any_response(model) {
        items.push(((theme.status(&Status::Running).0, theme.dim()), 0, "running"));
    }
    let counts = items.into_iter().map(|((glyph, style), count, word)| {
        let word = if with_words { format!(" {word}") } else { String::new() };
        vec![span(format!("{glyph} {count}{word}"), style)]
    });
    // A session with an alert is also counted by its status.
    let alerts = (with_alerts > 0)
        .then(|| vec![span(format!("{} {with_alerts}", theme.alert_glyph()), theme.alert())]);
    counts.chain(alerts).collect()
}

fn right_line(model: &Model, now: Moment, is_shown: impl Fn(HeaderItem) -> bool) -> OwnedLine {
    let settings = &model.settings;
    let theme = settings.theme;
    let mut parts = vec![profile_spans(model, &is_shown), slot_spans(model, &is_shown)];
    if let Some(ReplayProgress { is_playing, current_event, total_events }) = model.replay {
        let state = match (is_shown(HeaderItem::CountWords), is_playing) {
            (false, _) => "",
            (true, true) => "playing ",
            (true, false) => "at rest ",
        };
        parts.push(vec![span(format!("REPLAY {state}{current_event}/{total_events}"), theme.paused())]);
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
    let stale: Vec<(ProfileId, Duration)> = model
        .profiles
        .ids()
        .filter_map(|profile| Some((profile, stale_response_age(model, profile, now)?)))
        .collect();
    let is_in_banner =
        |profile| model.profiles.label(profile).is_some() && polling_error(model, profile).is_some();
    let are_all_in_banner = stale.iter().all(|(profile, _)| is_in_banner(*profile));
    if is_shown(HeaderItem::StaleData) || !are_all_in_banner {
        parts.push(no_data_spans(model, &stale, is_shown(HeaderItem::StaleCause), now));
    }
    if let Some((profile, timing)) = oldest_last_response(model, &stale) {
        if is_shown(HeaderItem::ResponseTime) {
            let at = settings.zone.time(model.profiles.profile_time(profile, timing.received));
            parts.push(vec![span(at, theme.dim())]);
        }
        if is_shown(HeaderItem::Latency) {
            let latency = timing.received.mono.saturating_sub(timing.sent.mono);
            parts.push(vec![span(format!("{:>6}", text::format_latency(latency)), theme.dim())]);
        }
    }
    drawing::join_spaced(parts)
}

/// Looks at the last response of each profile. Returns the timing of the oldest of these responses, and its profile.
/// Ignores the profiles in `stale`, because the header shows the age of their data instead. Also ignores failing
/// profiles, unless no other profile remains.
///
/// `stale` has each profile with stale data, and the age of its last response.
pub(super) fn oldest_last_response(
    model: &Model,
    stale: &[(ProfileId, Duration)],
) -> Option<(ProfileId, RequestTiming)> {
    let is_fresh = |profile: &ProfileId| stale.iter().all(|(stale_profile, _)| stale_profile != profile);
    let profiles: Vec<ProfileId> = model.profiles.ids().filter(is_fresh).collect();
    let oldest = |is_failing: bool| {
        let profiles =
            profiles.iter().filter(|profile| polling_error(model, **profile).is_some() == is_failing);
        let responses = profiles.filter_map(|profile| {
            Some((*profile, model.profiles.get(*profile).tracker.health().last_success?))
        });
        responses.min_by_key(|(_, timing)| timing.received.mono)
    };
    oldest(false).or_else(|| oldest(true))
}

/// Returns the project, the host or "demo", and the last characters of the API key. With several profiles, returns the
/// name of each profile and the last characters of its API key.
fn profile_spans(model: &Model, is_shown: &impl Fn(HeaderItem) -> bool) -> Vec<Span<'static>> {
    let theme = model.settings.theme;
    let key_tail = |profile: &ProfileState| text::sanitise(&profile.info.key_tail, 8);
    if let Some(labels) = model.profiles.labels() {
        let names = model.profiles.iter().map(|(id, profile)| match &profile.info.missing_key_reason {
            Some(_) => format!("{} no key", labels.get(id)),
            None => format!("{} …{}", labels.get(id), key_tail(profile)),
        });
        let text = match (is_shown(HeaderItem::KeyTail), is_shown(HeaderItem::Project)) {
            (true, _) => names.collect::<Vec<_>>().join(" · "),
            (false, true) => format!("{} profiles", labels.iter().len()),
            (false, false) => return Vec::new(),
        };
        return vec![span(text, theme.dim())];
    }
    let mut spans = Vec::new();
    if is_shown(HeaderItem::Project) {
        spans.extend(project_or_host(model).map(|text| span(text, theme.dim())));
    }
    let tail = key_tail(model.profiles.first());
    if is_shown(HeaderItem::KeyTail) && !tail.is_empty() && !model.settings.demo {
        let space = if spans.is_empty() { "" } else { " " };
        spans.push(span(format!("{space}key …{tail}"), theme.dim()));
    }
    spans
}

/// Returns the slots of each project. On a narrow screen, projects that are not known to be full are left out first.
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

/// Returns a warning about the profiles in `stale`: their name or number, and the greatest age of their data. If only
/// one profile is stale and `with_cause` is true, adds its error and the time of the next try.
fn no_data_spans(
    model: &Model,
    stale: &[(ProfileId, Duration)],
    with_cause: bool,
    now: Moment,
) -> Vec<Span<'static>> {
    let theme = model.settings.theme;
    let Some((profile, age)) = stale.iter().copied().max_by_key(|(_, age)| *age) else { return Vec::new() };
    let source = match (model.profiles.labels(), stale.len()) {
        (None, _) => String::new(),
        (Some(labels), 1) => format!(" from {}", labels.get(profile)),
        (Some(labels), many) if many == labels.iter().len() => " from any profile".into(),
        (Some(_), many) => format!(" from {many} profiles"),
    };
    let mut spans =
        vec![span(format!("no data{source} for {}", text::format_elapsed(age)), theme.critical())];
    if with_cause && stale.len() == 1 {
        let health = model.profiles.get(profile).tracker.health();
        let error_label = health.current_error().map(|error| error.short_label().to_owned());
        let next = next_retry_text(model, profile, now).filter(|_| health.failure_streak.is_some());
        let cause = error_label.into_iter().chain(next).collect::<Vec<_>>().join(", ");
        if !cause.is_empty() {
            spans.push(span(format!(": {cause}"), theme.critical()));
        }
    }
    spans
}

/// Returns the used slots and the limit. If the last 429 response gave other numbers, adds these.
fn slots_text(slots: ProjectSlots) -> String {
    let used = slots.used.map_or_else(|| "?".into(), |used| used.to_string());
    let full = if slots.is_full() { " FULL" } else { "" };
    let shown = (slots.used.and_then(|used| u64::try_from(used).ok()), u64::try_from(slots.limit).ok());
    let limit_error = slots.last_limit_error.filter(|(used, limit)| shown != (Some(*used), Some(*limit)));
    let limit_error =
        limit_error.map(|(used, limit)| format!(" (429 said {used}/{limit})")).unwrap_or_default();
    format!("{used}/{}{full}{limit_error}", slots.limit)
}

/// Returns "demo" in demo mode, or the project's name if the API key has only one project. Otherwise returns the host,
/// or `None` for the public API.
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
