//! Draws the reason why the table has no rows. Each reason has its own title, and sentences that explain the reason and
//! say what happens next.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::drawing::{self, OwnedLine};
use super::header;
use crate::tui::{Model, ProfileId};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{ApiErrorKind, List};
use keepwatch_core::text;

/// The host of the public API.
const PUBLIC_HOST: &str = "api.browserbase.com";
/// The minimum height of an area with blank lines between sentences.
const SPACIOUS_HEIGHT: u16 = 14;
/// The maximum width of a line, in columns. Longer lines are hard to read.
const MAX_TEXT_WIDTH: u16 = 72;

/// Draws the reason: centred horizontally, with a third of the free rows above and two thirds below.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let (title, style, sentences) = reason(model, now);
    let dim = model.settings.theme.dim();
    // At least two columns stay free at each side.
    let room = usize::from(area.width.saturating_sub(4).min(MAX_TEXT_WIDTH));
    let wrap = |sentence: &str, style: Style| -> Vec<OwnedLine> {
        text::wrap(sentence, room).into_iter().map(|line| Line::styled(line, style)).collect()
    };
    let mut lines = wrap(&title, style);
    if usize::from(area.height) > lines.len().saturating_add(2) {
        lines.push(Line::default());
    }
    let is_spacious = area.height >= SPACIOUS_HEIGHT;
    for sentence in sentences.iter().filter(|sentence| !sentence.is_empty()) {
        lines.extend(wrap(sentence, dim));
        lines.extend(is_spacious.then(Line::default));
    }
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let area = drawing::below(area, area.height.saturating_sub(height) / 3);
    for (offset, line) in lines.iter().enumerate().take(usize::from(area.height)) {
        drawing::write_centred(buffer, drawing::row(area, offset), line);
    }
}

/// Returns the title, its style, and the sentences below it.
fn reason(model: &Model, now: Moment) -> (String, Style, Vec<String>) {
    let settings = &model.settings;
    let theme = settings.theme;
    let count = model.profiles.session_count();
    if count > 0 && model.table.rows().counts().muted == count {
        let title = if count == 1 { "the only session is muted" } else { "all sessions are muted" };
        return (title.into(), theme.bold(), vec!["M shows them again".into()]);
    }
    if model.table.shows_alerts_only() && count > 0 {
        let hidden = match count {
            1 => "one session is hidden".into(),
            count => format!("{count} sessions are hidden"),
        };
        return ("no session has a new flag".into(), theme.bold(), vec![format!("{hidden}; f shows all")]);
    }
    if !model.table.filter().is_empty() && count > 0 {
        let hidden = if count == 1 {
            "one session is hidden by it".into()
        } else {
            format!("{count} sessions are hidden by it")
        };
        let title = format!("no session matches “{}”", text::sanitise(model.table.filter().text(), 40));
        return (title, theme.bold(), vec![format!("{hidden}; Esc clears the filter")]);
    }
    if let Some(replay) = model.replay
        && !header::has_any_response(model)
    {
        let advice = if replay.total_events == 0 {
            "nothing had come when it ended".into()
        } else {
            "Space plays it, ] goes to the next event".into()
        };
        return ("the recording has no answer yet".into(), theme.bold(), vec![advice]);
    }
    let failing = header::failing_profiles(model);
    if failing.len() == model.profiles.ids().len() {
        return if let [only] = failing.as_slice() {
            reason_of_only_profile(model, *only, now)
        } else {
            reason_of_all_profiles(model, now)
        };
    }
    let healthy: Vec<ProfileId> = model.profiles.ids().filter(|profile| !failing.contains(profile)).collect();
    if !header::has_any_response(model) {
        if model.paused {
            let sentence = "paused before the first answer; p goes on".into();
            return ("PAUSED".into(), theme.paused(), vec![sentence]);
        }
        let title = format!(
            "asking {} for {} sessions…",
            host_or_profile_names(model, &healthy),
            polled_statuses(model, "and")
        );
        return (title, theme.info(), Vec::new());
    }
    // The empty slice names no profile to ignore, so that profiles with stale data count, too.
    let last_time = header::oldest_last_response(model, &[])
        .map(|(profile, timing)| settings.zone.time(model.profiles.profile_time(profile, timing.received)));
    let last = last_time.map(|time| format!(", last at {time}")).unwrap_or_default();
    let interval_sentence =
        format!("asked every {}{last}", text::format_duration(settings.poll_limits.interval));
    let outlook = if model.paused {
        "paused: p goes on, and new ones appear".into()
    } else {
        "new ones appear here by themselves".into()
    };
    let mut sentences = vec![outlook, interval_sentence];
    if let Some(query) = &settings.query {
        sentences.insert(0, format!("of those with {}", text::sanitise(query.raw(), 200)));
    }
    let profiles_text = if failing.is_empty() {
        String::new()
    } else {
        format!(" of {}", host_or_profile_names(model, &healthy))
    };
    (format!("no session{profiles_text} is {}", polled_statuses(model, "or")), theme.bold(), sentences)
}

/// Returns the title, its style and the sentences for a run with a single profile whose polls fail.
fn reason_of_only_profile(model: &Model, id: ProfileId, now: Moment) -> (String, Style, Vec<String>) {
    let (profile, theme) = (model.profiles.get(id), model.settings.theme);
    let host = host_or_profile_names(model, &[id]);
    // The caller has checked that polls fail, so there is always a streak of failures.
    let Some(streak) = &profile.tracker.health().failure_streak else { return Default::default() };
    let (sentence, next) =
        (streak.error.description(), header::next_retry_text(model, id, now).unwrap_or_default());
    match streak.error.kind {
        ApiErrorKind::ApiKeyRejected | ApiErrorKind::Forbidden => {
            let tail = text::sanitise(&profile.info.key_tail, 8);
            let title = format!("the key …{tail} is refused by {host}");
            let advice =
                "keys are shown in Browserbase's dashboard, under Settings; keepwatch demo needs none";
            (title, theme.error(), vec![sentence, next, advice.into()])
        }
        ApiErrorKind::RateLimited => {
            (format!("rate limited by {host}"), theme.warning(), vec![sentence, next])
        }
        _ if streak.error.is_network_error() => {
            (format!("{host} is out of reach"), theme.error(), vec![sentence, next])
        }
        _ => (format!("no useful answer from {host}"), theme.error(), vec![sentence, next]),
    }
}

/// Returns the title, its style and the sentences for a run with several profiles if the polls of all of them fail.
fn reason_of_all_profiles(model: &Model, now: Moment) -> (String, Style, Vec<String>) {
    let describe = |profile: ProfileId| {
        let next =
            header::next_retry_text(model, profile, now).map(|next| format!("; {next}")).unwrap_or_default();
        format!("{}{next}", header::error_message(model, profile))
    };
    let title = "no profile gives an answer".into();
    (title, model.settings.theme.error(), model.profiles.ids().map(describe).collect())
}

/// Returns the host of the only profile. If there are several profiles, returns the names of those in `profiles`.
fn host_or_profile_names(model: &Model, profiles: &[ProfileId]) -> String {
    let Some(labels) = model.profiles.labels() else {
        return match &model.profiles.first().info.host {
            _ if model.settings.demo => "the simulated API".into(),
            Some(host) => text::sanitise(host, 60),
            None => PUBLIC_HOST.into(),
        };
    };
    let names: Vec<&str> = profiles.iter().map(|profile| labels.get(*profile)).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// Returns the statuses of the sessions that keepwatch polls, joined with `conjunction`.
fn polled_statuses(model: &Model, conjunction: &str) -> String {
    match model.settings.targets {
        Targets::OneList(List::Running) => "running".into(),
        Targets::OneList(List::Pending) => "pending".into(),
        Targets::All | Targets::Ids(_) => format!("running {conjunction} pending"),
    }
}
