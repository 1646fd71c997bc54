//! Draws the popup that is open: help, the copy menu, the release dialog, polling (statistics and failed polls), or a
//! connect URL that the user selects with the mouse. A popup covers the panes until the user closes it.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Widget};

use super::drawing::{self, OwnedLine, span};
use super::header;
use crate::tui::keymap::{COPY_MENU, bindings};
use crate::tui::{Focus, Model, ProfileId, ProfileState, ScrollExtent};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::Targets;
use keepwatch_core::session::{ApiErrorKind, SessionId};
use keepwatch_core::text;
use keepwatch_core::tracker::{PollFailure, Scope};

/// The maximum width of a popup, in columns.
const MAX_WIDTH: u16 = 76;
/// The minimum number of visible columns beside a popup, counted at both sides. With fewer, the popup covers the whole
/// width.
const MIN_UNCOVERED_WIDTH: u16 = 12;
/// The width of the copy menu, in columns.
const COPY_MENU_WIDTH: u16 = 38;
/// The minimum number of columns for the help text beside the keystrokes.
const MIN_HELP_WIDTH: usize = 24;
/// The memory of a session on record, with its texts, in bytes, as measured with 10,000 sessions.
const BYTES_PER_SESSION: usize = 1_700;
/// The memory of an event, with its places in the indices, in bytes, as measured with 20,000 events.
const BYTES_PER_EVENT: usize = 300;
/// The minimum width to which text is wrapped, in columns. A narrower popup truncates the wrapped lines.
const MIN_WRAP_WIDTH: usize = 8;
/// The maximum width of a connect URL, in columns. Browserbase's URLs have about 600.
const MAX_URL_WIDTH: usize = 8000;

/// Draws the popup, if one is open.
pub(super) fn draw(buffer: &mut Buffer, screen: Rect, model: &Model, now: Moment) {
    match &model.focus {
        Focus::Pane(_) | Focus::Filter { .. } | Focus::AddSession { .. } => {}
        Focus::CopyMenu { id, selected, .. } => draw_copy_menu(buffer, screen, model, id, *selected),
        Focus::ConfirmRelease { id, typed, .. } => draw_release_dialog(buffer, screen, model, id, typed, now),
        Focus::Help { top, .. } => {
            draw_scrolled_lines(buffer, screen, model, "Keys", help_lines(model, inner_width(screen)), *top)
        }
        Focus::Failures { top, .. } => {
            let lines = polling_lines(model, inner_width(screen), model.server_time(now));
            draw_scrolled_lines(buffer, screen, model, "Polling", lines, *top);
        }
        Focus::Reveal { id, url, expires_at, .. } => {
            // `expires_at` is a time since boot.
            let closes_at = now.plus(expires_at.saturating_sub(now.boot));
            let closes_in = header::whole_seconds_between(model, now, closes_at).max(Duration::from_secs(1));
            draw_url(buffer, screen, model, id, url.expose(), closes_in);
        }
    }
}

/// Returns the number of lines of the open popup, and the number of lines that are visible at once. Returns `None` if
/// there is no open popup, or if it does not scroll.
pub(super) fn extent(model: &Model, screen: Rect) -> Option<ScrollExtent> {
    let lines = match &model.focus {
        Focus::Help { .. } => help_lines(model, inner_width(screen)).len(),
        // The number of lines does not depend on the time.
        Focus::Failures { .. } => polling_lines(model, inner_width(screen), Timestamp::UNIX_EPOCH).len(),
        Focus::Pane(_)
        | Focus::Filter { .. }
        | Focus::AddSession { .. }
        | Focus::CopyMenu { .. }
        | Focus::ConfirmRelease { .. }
        | Focus::Reveal { .. } => return None,
    };
    Some(ScrollExtent { lines, height: usize::from(popup_area(screen, lines).height.saturating_sub(2)) })
}

/// Returns the width of a popup: [`MAX_WIDTH`], or the width of a narrow screen.
fn popup_width(screen: Rect) -> u16 {
    if screen.width < MAX_WIDTH.saturating_add(MIN_UNCOVERED_WIDTH) { screen.width } else { MAX_WIDTH }
}

/// Returns the number of columns for text in a popup: the popup's width without the border and a blank at each side.
fn inner_width(screen: Rect) -> usize {
    usize::from(popup_width(screen).saturating_sub(4))
}

/// Returns the area of a centred popup with this number of lines.
fn popup_area(screen: Rect, lines: usize) -> Rect {
    let height = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2).min(screen.height);
    centred(screen, popup_width(screen), height)
}

fn centred(screen: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(screen.width), height.min(screen.height));
    Rect {
        x: screen.x.saturating_add(screen.width.saturating_sub(width) / 2),
        y: screen.y.saturating_add(screen.height.saturating_sub(height) / 2),
        width,
        height,
    }
}

/// Clears `area` and one column at each side of it. Also clears the left half of a wide character whose right half is
/// in the cleared columns.
fn clear(buffer: &mut Buffer, area: Rect) {
    let left = area.x.saturating_sub(1);
    let widened = Rect { x: left, width: area.right().saturating_add(1).saturating_sub(left), ..area };
    if let Some(outer_column) = left.checked_sub(1) {
        for y in area.top()..area.bottom() {
            if let Some(cell) =
                buffer.cell_mut((outer_column, y)).filter(|cell| text::width(cell.symbol()) > 1)
            {
                cell.set_char(' ');
            }
        }
    }
    Clear.render(widened.intersection(buffer.area), buffer);
}

/// Draws a border with a title and keystroke hints. Returns the area inside.
fn draw_frame(buffer: &mut Buffer, area: Rect, model: &Model, title: &str, hints: &str) -> Rect {
    let theme = model.settings.theme;
    clear(buffer, area);
    let title = Line::styled(format!(" {title} "), theme.bold());
    let block = Block::bordered().border_style(theme.dim()).title(title);
    let block = block.title_bottom(Line::styled(format!(" {hints} "), theme.dim()).right_aligned());
    let inner = block.inner(area);
    block.render(area, buffer);
    Rect { width: inner.width.saturating_sub(2), ..drawing::indent(inner, 1) }
}

/// Draws a popup with the lines in view, starting with the line at the index `top`.
fn draw_scrolled_lines(
    buffer: &mut Buffer,
    screen: Rect,
    model: &Model,
    title: &str,
    lines: Vec<OwnedLine>,
    top: usize,
) {
    let area = popup_area(screen, lines.len());
    let height = usize::from(area.height.saturating_sub(2));
    let top = top.min(lines.len().saturating_sub(height));
    let lines_below = lines.len().saturating_sub(top).saturating_sub(height);
    let hints = match (top, lines_below) {
        (0, 0) => "Esc closes".to_owned(),
        (_, 0) => format!("↑ {top} more · Esc closes"),
        _ => format!("↓ {lines_below} more · Esc closes"),
    };
    let inner = draw_frame(buffer, area, model, title, &hints);
    for (offset, line) in lines.iter().skip(top).take(height).enumerate() {
        drawing::write_line(buffer, drawing::row(inner, offset), line);
    }
}

/// Returns the lines of the help: all keystrokes, and what keepwatch polls.
fn help_lines(model: &Model, room: usize) -> Vec<OwnedLine> {
    let theme = model.settings.theme;
    let key_label =
        |keys: &str| if theme.ascii { keys.replace("↓ ↑", "Down Up") } else { keys.to_owned() };
    let can_release = model.settings.release_permission.is_some();
    let shown_bindings = || bindings(can_release);
    let key_width = shown_bindings().map(|binding| text::width(&key_label(binding.keys))).max().unwrap_or(0);
    // In a narrow popup the help text goes below the keystrokes.
    let is_help_beside = room >= key_width.saturating_add(MIN_HELP_WIDTH);
    let indent = if is_help_beside { key_width.saturating_add(2) } else { 2 };
    let mut lines = Vec::new();
    for binding in shown_bindings() {
        let mut keys = key_label(binding.keys); // empty after the first line of the binding
        if !is_help_beside {
            lines.push(Line::styled(std::mem::take(&mut keys), theme.bold()));
        }
        for part in text::wrap(binding.help, room.saturating_sub(indent).max(MIN_WRAP_WIDTH)) {
            let label = format!("{keys}{}", " ".repeat(indent.saturating_sub(text::width(&keys))));
            lines.push(vec![span(label, theme.bold()), span(part, Style::new())].into());
            keys.clear();
        }
    }
    lines.push(Line::default());
    lines.extend(
        text::wrap(&watch_summary(model), room.max(MIN_WRAP_WIDTH))
            .into_iter()
            .map(|part| Line::styled(part, theme.dim())),
    );
    lines
}

/// Returns a sentence that says which sessions keepwatch polls, and how often.
fn watch_summary(model: &Model) -> String {
    let settings = &model.settings;
    let targets = match &settings.targets {
        Targets::All => "every running and pending session".into(),
        Targets::OneList(list) => format!("every {} session", list.status().raw()),
        Targets::Ids(ids) if ids.len() == 1 => "one session".into(),
        Targets::Ids(ids) => format!("{} sessions", ids.len()),
    };
    let source = if let Some(labels) = model.profiles.labels() {
        format!(" of {}", labels.iter().collect::<Vec<_>>().join(", "))
    } else {
        let host = model.profiles.first().info.host.as_ref();
        host.map(|host| format!(" of {}", text::sanitise(host, 60))).unwrap_or_default()
    };
    let interval = text::format_duration(settings.poll_limits.interval);
    let query = settings.query.as_ref().map(|query| format!(" with {}", text::sanitise(query.raw(), 200)));
    let query = query.unwrap_or_default();
    format!("watching {targets}{query}{source}, asked every {interval}")
}

/// Returns the lines about polling: statistics for each profile, and the recent failures.
fn polling_lines(model: &Model, room: usize, now: Timestamp) -> Vec<OwnedLine> {
    let mut lines: Vec<OwnedLine> = Vec::new();
    for (id, profile) in model.profiles.iter() {
        let sentences = poll_stats_sentences(model, profile);
        if let Some(label) = model.profiles.label(id).filter(|_| !sentences.is_empty()) {
            lines.push(Line::styled(label.to_owned(), model.settings.theme.bold()));
        }
        for sentence in sentences {
            lines.extend(text::wrap(&sentence, room.max(MIN_WRAP_WIDTH)).into_iter().map(Line::raw));
        }
    }
    if !lines.is_empty() {
        lines.push(Line::default());
    }
    lines.extend(failure_lines(model, room, now));
    lines
}

/// Returns sentences about the requests of the last minute, the latency of the newest responses, the requests that the
/// API's rate limit still allows, problems with the `Date` of responses, and the memory of the profile's data.
fn poll_stats_sentences(model: &Model, profile: &ProfileState) -> Vec<String> {
    let stats = &profile.poll_stats;
    let totals = stats.minute_totals().map(|totals| {
        let requests = if totals.requests == 1 { "request" } else { "requests" };
        let bytes = text::format_bytes(i64::try_from(totals.bytes).unwrap_or(i64::MAX));
        let max_rps = model.settings.poll_limits.max_rps;
        let polls = if max_rps == 1 { "poll" } else { "polls" };
        format!(
            "{} {requests} and {bytes} in the last minute; at most {max_rps} {polls} a second",
            totals.requests
        )
    });
    let latency = stats.latency().map(|latency| {
        format!(
            "answered in {} (the median), the last in {}",
            text::format_latency(latency.median),
            text::format_latency(latency.last)
        )
    });
    let rate_limit = stats.rate_limit_left().map(|(remaining, resets_in)| {
        format!(
            "the API allows {remaining} more within {}; polls keep to that",
            text::format_elapsed(resets_in)
        )
    });
    let clock = profile.tracker.clock();
    let date = match (clock.has_jumping_dates(), clock.has_ignored_dates()) {
        (true, _) => Some(
            "the dates of the API's responses contradict each other; times follow only one of the clocks",
        ),
        (false, true) if clock.is_known() => {
            Some("a date of the API's responses was wrong, and is ignored; times follow the other dates")
        }
        (false, true) => Some(
            "the dates of the API's responses are wrong, and are ignored; times follow this machine's clock",
        ),
        (false, false) => None,
    };
    let memory = totals.is_some().then(|| memory_sentence(profile));
    [totals, latency, rate_limit, date.map(str::to_owned), memory].into_iter().flatten().collect()
}

/// Returns the numbers of sessions and of events of a profile, and an estimate of the memory that they take.
fn memory_sentence(profile: &ProfileState) -> String {
    let (sessions, events) = (profile.tracker.len(), profile.tracker.timeline().len());
    let bytes =
        sessions.saturating_mul(BYTES_PER_SESSION).saturating_add(events.saturating_mul(BYTES_PER_EVENT));
    let (session_noun, event_noun) =
        (if sessions == 1 { "session" } else { "sessions" }, if events == 1 { "event" } else { "events" });
    format!(
        "kept: {sessions} {session_noun} and {events} {event_noun}, about {}",
        text::format_bytes(i64::try_from(bytes).unwrap_or(i64::MAX))
    )
}

/// Returns the lines for the failed polls, starting with the newest poll. Each poll has a line with its time and
/// target, and below it the error.
fn failure_lines<'a>(model: &'a Model, room: usize, now: Timestamp) -> Vec<OwnedLine> {
    let theme = model.settings.theme;
    let failures_of_profile = |(id, profile): (ProfileId, &'a ProfileState)| {
        profile.tracker.health().failures.iter().map(move |failure| (id, failure))
    };
    let mut failures: Vec<(ProfileId, &PollFailure)> =
        model.profiles.iter().flat_map(failures_of_profile).collect();
    if failures.is_empty() {
        return vec![Line::styled("no poll has failed so far", theme.dim())];
    }
    // The sort is stable: failures of one profile that have the same time stay in order.
    failures.sort_by_key(|(_, failure)| failure.at.received.mono);
    let mut lines = Vec::new();
    for (profile, PollFailure { at, scope, error }) in failures.into_iter().rev() {
        let time =
            model.settings.zone.short_date_time(model.profiles.profile_time(profile, at.received), now);
        let target = match scope {
            // Without an API key no request was sent, so the failure is about the API key and not about a scope.
            _ if matches!(error.kind, ApiErrorKind::ApiKeyUnavailable(_)) => "the key".into(),
            Scope::Session(id) => format!("session {}", id.sanitise(40)),
            Scope::List(list) => list.to_string(),
            Scope::Projects => "the projects".into(),
        };
        let prefix = span(header::profile_prefix(model, profile), theme.bold());
        lines.push(vec![span(format!("{time}  "), theme.dim()), prefix, span(target, Style::new())].into());
        let parts = text::wrap(&error.description(), room.saturating_sub(2).max(MIN_WRAP_WIDTH));
        lines.extend(parts.into_iter().map(|part| Line::styled(format!("  {part}"), theme.warning())));
    }
    lines
}

fn draw_copy_menu(buffer: &mut Buffer, screen: Rect, model: &Model, id: &SessionId, selected: usize) {
    let theme = model.settings.theme;
    let lines = u16::try_from(COPY_MENU.len()).unwrap_or(u16::MAX);
    let area = centred(screen, COPY_MENU_WIDTH, lines.saturating_add(2));
    let prefix_length = model.profiles.id_prefix_length(id);
    let title = format!("Copy of {}", text::truncate(&id.prefix(prefix_length), 20));
    let inner = draw_frame(buffer, area, model, &title, "Enter copies · Esc");
    for (index, (key, _, name)) in COPY_MENU.iter().enumerate() {
        let (mark, style) =
            if index == selected { (theme.selection_glyph(), theme.bold()) } else { (" ", Style::new()) };
        let spans = vec![
            span(format!("{mark} "), theme.info()),
            span(format!("{key}  "), theme.bold()),
            span(*name, style),
        ];
        drawing::write_line(buffer, drawing::row(inner, index), &spans.into());
    }
}

/// Draws the release dialog: the session's id, owner and age, and a field for the confirmation. To confirm, the user
/// types the last characters of the id.
fn draw_release_dialog(
    buffer: &mut Buffer,
    screen: Rect,
    model: &Model,
    id: &SessionId,
    typed: &str,
    now: Moment,
) {
    let theme = model.settings.theme;
    let room = inner_width(screen).max(MIN_WRAP_WIDTH);
    let found = model.profiles.find(id);
    let owner = found.and_then(|(_, record)| record.owner.as_ref()).filter(|_| !model.hides_metadata);
    let owner = owner.map_or_else(
        || "of nobody that its metadata names".into(),
        |label| format!("of {}", label.sanitise(40)),
    );
    let age = found.and_then(|(profile, record)| record.age(model.profiles.profile_time(profile, now)));
    let age = age.map(|age| format!(", running for {}", text::format_age(age))).unwrap_or_default();
    let mut lines: Vec<OwnedLine> = text::wrap(&id.sanitise_line(), room)
        .into_iter()
        .map(|line| Line::styled(line, theme.bold()))
        .collect();
    let profile = found.and_then(|(profile, _)| model.profiles.label(profile));
    let profile = profile.map(|label| format!(" in the profile {label}")).unwrap_or_default();
    let description = format!("{owner}{profile}{age}. Its browser ends with it, whoever uses it.");
    lines.extend(text::wrap(&description, room).into_iter().map(Line::raw));
    lines.push(Line::default());
    let confirmation = id.confirmation();
    let untyped_width = text::width(&confirmation).saturating_sub(text::width(typed));
    lines.push(
        vec![
            span("its id's last 4 characters: ", theme.dim()),
            span(text::sanitise(typed, 8), theme.bold()),
            span("_".repeat(untyped_width), theme.dim()),
        ]
        .into(),
    );
    let area = popup_area(screen, lines.len());
    let inner = draw_frame(buffer, area, model, "Release this session?", "Enter releases · Esc");
    for (offset, line) in lines.iter().enumerate().take(usize::from(inner.height)) {
        drawing::write_line(buffer, drawing::row(inner, offset), line);
    }
}

/// Draws a connect URL over the whole width of the screen. There is no border at the sides, so that lines selected with
/// the mouse contain only the URL.
fn draw_url(
    buffer: &mut Buffer,
    screen: Rect,
    model: &Model,
    id: &SessionId,
    url: &str,
    closes_in: Duration,
) {
    let theme = model.settings.theme;
    let lines = text::wrap(&text::sanitise(url, MAX_URL_WIDTH), usize::from(screen.width));
    // A low screen has no rules above and below, to leave all lines to the URL.
    let rule_lines = if screen.height > 4 { 2 } else { 0 };
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(rule_lines);
    let area = centred(screen, screen.width, height);
    clear(buffer, area);
    let dim = theme.dim();
    let mut inner = area;
    if rule_lines > 0 {
        let suffix = if screen.width < 60 { String::new() } else { format!(" of {}", id.sanitise_line()) };
        let hidden_lines = lines.len().saturating_sub(usize::from(area.height.saturating_sub(rule_lines)));
        let note = match hidden_lines {
            0 => format!("gone in {}, any key closes", text::format_elapsed(closes_in)),
            _ => format!("{hidden_lines} lines more: the screen is too small"),
        };
        drawing::draw_rule(
            buffer,
            drawing::row(area, 0),
            dim,
            &span(format!("connect URL{suffix}"), theme.bold()),
            "",
        );
        let bottom = drawing::row(area, usize::from(area.height.saturating_sub(1)));
        drawing::draw_rule(buffer, bottom, dim, &span("", dim), &note);
        inner = Rect { height: area.height.saturating_sub(2), ..drawing::below(area, 1) };
    }
    for (offset, line) in lines.into_iter().enumerate().take(usize::from(inner.height)) {
        drawing::write_line(buffer, drawing::row(inner, offset), &Line::raw(line));
    }
}
