//! Describes one session as labels and values: its status, its verdict, its cost, every documented field of the API,
//! the undocumented fields, and the number of responses about the session. Never shows the value of a connect URL or of
//! a signing key.

use std::time::Duration;

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::cells;
use super::drawing::{OwnedLine, span};
use super::field_list::{FieldList, pad_right};
use crate::tui::{Model, ProfileId};
use keepwatch_core::clients::{CALLS, CallEffect};
use keepwatch_core::clock::Zone;
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{Metadata, Phase, Region, Session, Status, is_default_timeout};
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::verdict::{Cause, VerdictText};
use keepwatch_core::tracker::{Presence, Record, SessionTracker, TimeLeft, cost};

/// The maximum number of metadata entries shown.
const MAX_METADATA_ENTRIES: usize = 400;
/// The maximum number of lines of metadata among other fields.
const INLINE_METADATA_LINES: usize = 2;
/// The maximum width of a value of metadata or of an undocumented field, in columns.
const MAX_VALUE_WIDTH: usize = 4000;
/// The maximum width of a value that should be one of a few known words, such as a region, in columns.
const MAX_WORD_WIDTH: usize = 24;
/// The maximum width of a metadata key, with its indent, that widens the column of keys. The value after a wider key is
/// not aligned with the others.
const MAX_ALIGNED_KEY_WIDTH: usize = 22;
/// The depth of the metadata entries with the largest indent. Deeper entries have the same indent.
const MAX_INDENTED_DEPTH: usize = 12;
/// The minimum time without proxy traffic that is shown, in seconds.
const MIN_IDLE_SECONDS: u64 = 60;
/// The maximum width of the filter of an alert rule, in columns.
const MAX_RULE_COLUMNS: usize = 60;

/// Adds the status and the verdict. In the full pane, also adds the causes that the verdict rules out, its confidence
/// and its advice.
pub(super) fn add_status_and_verdict(
    list: &mut FieldList,
    model: &Model,
    profile: ProfileId,
    record: &Record,
    now: Moment,
    is_full_pane: bool,
) {
    let mut fields = SessionFieldsBuilder::new(list, model, profile, record, now);
    fields.add_status_fields();
    fields.add_verdict_fields(is_full_pane);
    fields.add_alert_rule();
    fields.add_shared_context();
}

/// Adds the cost, the fields of the API, and the number of responses. In the lower pane, also adds up to
/// [`INLINE_METADATA_LINES`] lines of metadata.
pub(super) fn add_api_and_poll_fields(
    list: &mut FieldList,
    model: &Model,
    profile: ProfileId,
    record: &Record,
    now: Moment,
    is_full_pane: bool,
) {
    let mut fields = SessionFieldsBuilder::new(list, model, profile, record, now);
    fields.add_cost_fields();
    if !is_full_pane {
        add_metadata(fields.list, model, record, is_full_pane);
    }
    fields.add_session_fields();
    fields.list.add_blank_line();
    fields.add_poll_fields();
}

/// Adds the fields of one session to a list.
struct SessionFieldsBuilder<'a> {
    model: &'a Model,
    record: &'a Record,
    /// The profile that the record belongs to.
    profile: ProfileId,
    /// The current time on the server's clock.
    server_now: Timestamp,
    list: &'a mut FieldList,
}

impl<'a> SessionFieldsBuilder<'a> {
    fn new(
        list: &'a mut FieldList,
        model: &'a Model,
        profile: ProfileId,
        record: &'a Record,
        now: Moment,
    ) -> Self {
        Self { model, record, profile, server_now: model.profiles.profile_time(profile, now), list }
    }

    fn tracker(&self) -> &'a SessionTracker {
        &self.model.profiles.get(self.profile).tracker
    }

    fn server_time(&self, moment: Moment) -> Timestamp {
        self.model.profiles.profile_time(self.profile, moment)
    }

    fn zone(&self) -> Zone {
        self.model.settings.zone
    }

    fn format_moment(&self, moment: Moment) -> String {
        self.zone().short_date_time(self.server_time(moment), self.server_now)
    }

    fn time_or_dash(&self, at: Option<Timestamp>) -> OwnedLine {
        match at {
            Some(at) => self.zone().short_date_time(at, self.server_now).into(),
            None => self.dash(),
        }
    }

    fn dash(&self) -> OwnedLine {
        Line::styled("–", self.list.theme.dim())
    }

    /// Adds the status, a pending release, and all problems: not found, unlisted, release failed, polls failing, id
    /// mismatch.
    fn add_status_fields(&mut self) {
        let theme = self.list.theme;
        let record = self.record;
        match (&record.session, &record.presence) {
            (Some(session), _) => {
                let (_, style) = theme.status(&session.status);
                let word = span(
                    session.status.sanitise(MAX_WORD_WIDTH),
                    style.remove_modifier(Modifier::DIM).add_modifier(Modifier::BOLD),
                );
                let suffix = span(self.status_suffix(session), Style::new());
                let width = text::width(&word.content).saturating_add(text::width(&suffix.content));
                if width <= self.list.value_width() {
                    self.list.add_field("status", vec![word, suffix]);
                } else {
                    self.list.add_field("status", word);
                    let suffix = suffix.content.trim_start_matches([',', ' ']).to_owned();
                    self.list.add_wrapped("", &suffix, Style::new());
                }
            }
            (None, Presence::NotFound(_)) => {
                self.list.add_field("status", Line::styled("not found", theme.warning()))
            }
            (None, _) => self.list.add_field("status", Line::styled("no reply yet", theme.dim())),
        }
        match &record.presence {
            Presence::NotFound(absence) => {
                // If the API knew the id before, the user did not truncate it.
                let truncation_hint = if record.session.is_none() { record.id.truncation_hint() } else { "" };
                let message = format!("{}{truncation_hint}", absence.error.description());
                self.list.add_wrapped("trouble", &message, theme.warning());
                let next = absence.next.map(|next| format!(", asked again at {}", self.format_moment(next)));
                let since = format!(
                    "since {}{}",
                    self.format_moment(absence.since.received),
                    next.unwrap_or_default()
                );
                self.list.add_field("", Line::styled(since, theme.dim()));
            }
            Presence::Unlisted { since, confirmed } => {
                let check_state =
                    if *confirmed { "asked for by its id, it lives" } else { "asking for it by its id" };
                let since = self.zone().time(self.server_time(*since));
                let text = format!("missing from the list since {since}; {check_state}");
                self.list.add_wrapped("trouble", &text, theme.warning());
            }
            Presence::NoResponseYet | Presence::Present => {}
        }
        if let Some(release) = record.release.as_ref().filter(|_| record.phase() != Phase::Ended) {
            let requested_at = self.zone().time(self.server_time(release.requested_at));
            if record.is_releasing() {
                let text = format!("RELEASING (asked {requested_at})");
                self.list.add_field("release", Line::styled(text, theme.info()));
            }
            if let Some((error, next)) = &release.failure {
                let next = next
                    .map(|next| format!("; asked again at {}", self.format_moment(next)))
                    .unwrap_or_default();
                let text = format!("asked {requested_at}, failed: {}{next}", error.description());
                self.list.add_wrapped("release", &text, theme.error());
            }
        }
        if let Some(streak) = &record.failure_streak {
            self.list.add_wrapped("trouble", &streak.error.description(), theme.error());
            let next = streak
                .next
                .map(|next| format!(", next try at {}", self.format_moment(next)))
                .unwrap_or_default();
            let count =
                if streak.count == 1 { String::new() } else { format!(" ({} in a row)", streak.count) };
            let text = format!("at {}{count}{next}", self.format_moment(streak.newest_failure.received));
            self.list.add_field("", Line::styled(text, theme.dim()));
        }
        if let Some(session) = record.session.as_ref().filter(|session| session.id != record.id) {
            let text = format!("the reply calls it {}", session.id.sanitise_line());
            self.list.add_wrapped("other id", &text, theme.warning());
        }
        if record.is_alive() && record.session.as_ref().is_some_and(|session| session.ended.is_some()) {
            self.list.add_wrapped("endedAt", "is set, which contradicts the status", theme.warning());
        }
    }

    /// Adds the verdict, which says why the session ended, or that the session is overdue. Also adds the session's
    /// successor.
    fn add_verdict_fields(&mut self, is_full_pane: bool) {
        let Some(verdict) = self.tracker().verdict(&self.record.id) else { return };
        let theme = self.list.theme;
        let words = verdict.text(self.zone(), self.server_now);
        let style = match verdict.cause {
            Cause::Failed | Cause::Overdue { .. } => theme.error(),
            Cause::KeepAliveEnded { is_early: true, .. }
            | Cause::EndedPastExpiry { .. }
            | Cause::Gone { .. } => theme.warning(),
            // All other ends are normal, or not known to be a problem.
            _ => Style::new(),
        };
        let label = match verdict.cause {
            Cause::Overdue { .. } => "overdue",
            _ => verdict.confidence.word(),
        };
        self.list.add_wrapped(label, &words.headline, style);
        if is_full_pane {
            self.list.add_wrapped("why", &words.why, Style::new());
        }
        if let Some(ruled_out) = &words.ruled_out {
            self.list.add_wrapped("ruled out", ruled_out, Style::new());
        }
        if is_full_pane {
            self.list.add_wrapped("how sure", words.how_sure, Style::new());
        }
        if let Some(hint) = words.hint {
            self.list.add_wrapped("hint", hint, Style::new());
        }
        if let Some(end_cluster) = &words.end_cluster {
            self.list.add_wrapped("related", end_cluster, theme.warning());
        }
        self.add_what_to_do(&words);
        if (is_full_pane || self.list.is_spacious) && verdict.has_dashboard_reason() {
            self.list.add_wrapped("dashboard", "shows a termination reason: o", Style::new());
        }
        if let Some(successor) = &self.record.successor {
            let text = format!("{}, with the same metadata", successor.prefix(8));
            self.list.add_wrapped("successor", &text, theme.info());
        }
    }

    /// Adds the advice, one line for each step.
    fn add_what_to_do(&mut self, words: &VerdictText) {
        let is_numbered = words.what_to_do.len() > 1;
        for (number, step) in (1..).zip(&words.what_to_do) {
            let label = if number == 1 { "what to do" } else { "" };
            let start = if is_numbered { format!("{number} ") } else { String::new() };
            let keystrokes = if step.needs_evidence { ": y e" } else { "" };
            self.list.add_wrapped(label, &format!("{start}{}{keystrokes}", step.text), Style::new());
        }
    }

    /// Adds the alerts that a rule of the config file raised, with the rule.
    fn add_alert_rule(&mut self) {
        let Some(rule) = self.tracker().alert_rule(&self.record.id) else { return };
        let alerts = self.record.alerts.iter().filter(|raised| raised.alert.depends_on_thresholds());
        for raised in alerts {
            let rule = text::sanitise(rule, MAX_RULE_COLUMNS);
            let text = format!("{}; by the alert rule for {rule}", raised.alert.sentence());
            self.list.add_wrapped("alert", &text, self.list.theme.alert());
        }
    }

    /// Adds the other running sessions that use the session's context.
    fn add_shared_context(&mut self) {
        if let Some(shared) = self.tracker().shared_context(&self.record.id) {
            self.list.add_wrapped("context", &shared.sentence(), self.list.theme.warning());
        }
    }

    /// Adds the timeout and the cost.
    fn add_cost_fields(&mut self) {
        let Some(session) = &self.record.session else { return };
        let theme = self.list.theme;
        let default = self.tracker().project_of(session).and_then(|project| project.default_timeout);
        let timeout = session.timeout();
        let suffix = match (timeout, default) {
            (Some(own), Some(default)) if is_default_timeout(own, default) => {
                " (the project's default)".into()
            }
            (_, Some(default)) => format!(" (the project's default is {})", text::format_duration(default)),
            (_, None) => String::new(),
        };
        let timeout = timeout.map_or_else(|| "–".into(), text::format_duration);
        self.list.add_field("timeout", vec![span(timeout, Style::new()), span(suffix, theme.dim())]);
        if let Some((cost, note)) = self.cost_texts(session) {
            let fits = text::width(&cost).saturating_add(text::width(&note)) < self.list.value_width();
            let (note_beside, note_below) = if fits { (note, None) } else { (String::new(), Some(note)) };
            self.list.add_field("cost", vec![span(cost, Style::new()), span(note_beside, theme.dim())]);
            if let Some(note) = note_below {
                self.list.add_field("", Line::styled(note.trim_start().to_owned(), theme.dim()));
            }
        }
    }

    /// Returns two texts: the billed minutes with their cost, which includes proxy traffic; and a note with the time
    /// that an ended session used, or with the cost of a live session at its expiry.
    fn cost_texts(&self, session: &Session) -> Option<(String, String)> {
        let rates = self.model.settings.rates;
        let proxy = rates.cost_of_bytes(session.proxy_bytes.unwrap_or(0));
        let with_proxy = if proxy > 0.0 { " with proxy" } else { "" };
        let cost_of_minutes = |minutes: u64| cost::format_estimate(rates.cost_of_minutes(minutes) + proxy);
        if session.status.phase() == Phase::Ended {
            let duration = self.record.duration()?;
            let minutes = cost::billed_minutes(duration);
            return Some((
                format!(
                    "{}{minutes} min billed, {}{with_proxy}",
                    self.at_most_prefix(),
                    cost_of_minutes(minutes)
                ),
                format!(" ({} used)", text::format_elapsed(duration)),
            ));
        }
        // A minute is billed as soon as it begins. The minutes are computed from the age that the table shows, so that
        // the cost and the age change in the same frame.
        let minutes = self.record.age(self.server_now)?.as_secs() / 60;
        let minutes = minutes.saturating_add(1);
        let is_expiry_ahead = session.expires.is_some_and(|expires| expires > self.server_now);
        let timeout = session.timeout().filter(|_| is_expiry_ahead);
        let cost_at_expiry =
            timeout.map(|timeout| format!(" ({} at expiry)", cost_of_minutes(cost::billed_minutes(timeout))));
        Some((
            format!("{minutes} min billed, {}{with_proxy}", cost_of_minutes(minutes)),
            cost_at_expiry.unwrap_or_default(),
        ))
    }

    /// Returns "at most " if the API gives no plausible end: the session's duration is an upper bound in this case.
    /// Otherwise returns an empty text.
    fn at_most_prefix(&self) -> &'static str {
        if self.record.is_end_exact() { "" } else { "at most " }
    }

    /// Returns the text after the status: the time left, or how long the session ran.
    fn status_suffix(&self, session: &Session) -> String {
        let timeout_text = |timeout: Option<Duration>, word: &str| {
            timeout.map(|timeout| format!(" {word} {}", text::format_duration(timeout))).unwrap_or_default()
        };
        let timeout = session.timeout();
        if self.record.is_not_found() && session.status.phase() != Phase::Ended {
            return ", when it was last seen".into();
        }
        match self.record.time_left(self.tracker().clock(), self.server_now) {
            TimeLeft::Remaining(left) => {
                format!(", {} left{}", text::format_countdown(left), timeout_text(timeout, "of"))
            }
            TimeLeft::Starting => ", starting".into(),
            TimeLeft::Expiring => ", its time is over: expiring…".into(),
            TimeLeft::Overdue(overdue) => {
                format!(" in a reply {} after its expiry", text::format_countdown(overdue))
            }
            TimeLeft::Ended => match self.record.duration() {
                Some(duration) => {
                    format!(
                        " after {}{}{}",
                        self.at_most_prefix(),
                        text::format_elapsed(duration),
                        timeout_text(timeout, "of its")
                    )
                }
                None => String::new(),
            },
            TimeLeft::Unknown if matches!(session.status, Status::Other(_)) => {
                ", which this version does not know".into()
            }
            TimeLeft::Unknown => ", without an expiry".into(),
        }
    }

    /// Adds the documented fields, then the undocumented fields.
    fn add_session_fields(&mut self) {
        let Some(session) = &self.record.session else { return };
        let theme = self.list.theme;
        let project = self.tracker().project_of(session);
        self.list.add_blank_line();
        let expires = ("expires", self.time_or_dash(session.expires));
        self.list.add_pair(("started", self.time_or_dash(session.started)), expires);
        let updated = ("updated", self.time_or_dash(session.updated));
        self.list.add_pair(("created", self.time_or_dash(session.created)), updated);
        if session.status.phase() == Phase::Ended || session.ended.is_some() {
            let unused = cells::unused_time(self.record);
            let at_least = if self.record.is_end_exact() { "" } else { "at least " };
            let unused = unused.map_or_else(
                || self.dash(),
                |unused| format!("{at_least}{}", text::format_countdown(unused)).into(),
            );
            self.list.add_pair(("ended", self.end_time(session)), ("unused", unused));
        }
        self.list.add_blank_line();
        let keep_alive = match session.keep_alive {
            Some(true) => Line::styled("yes", theme.info()),
            Some(false) => "no".into(),
            None => self.dash(),
        };
        let region = session.region.as_ref().map_or_else(
            || self.dash(),
            |region| {
                let style = if matches!(region, Region::Other(_)) { theme.unknown() } else { Style::new() };
                Line::styled(region.sanitise(MAX_WORD_WIDTH), style)
            },
        );
        self.list.add_pair(("keep-alive", keep_alive), ("region", region));
        let owner = match &self.record.owner {
            _ if self.model.hides_metadata => Line::styled("hidden; H shows it", theme.dim()),
            Some(owner) => owner.sanitise(self.list.value_width()).into(),
            None if session.metadata.as_ref().is_some_and(|metadata| !metadata.is_empty()) => {
                Line::styled("– · --owner-key PATH names it in the metadata", theme.dim())
            }
            None => self.dash(),
        };
        self.list.add_field("owner", owner);
        match session.proxy_bytes {
            Some(bytes) => {
                let cost = cost::format_estimate(self.model.settings.rates.cost_of_bytes(bytes));
                let cost = if bytes > 0 { format!(" ({cost})") } else { String::new() };
                let bytes = format!("{}{}", text::format_bytes(bytes), self.rate_suffix());
                self.list.add_field("proxy", vec![span(bytes, Style::new()), span(cost, theme.dim())]);
            }
            None => self.list.add_field("proxy", self.dash()),
        }
        self.add_connect_fields(session);
        self.list.add_blank_line();
        self.add_profile_field();
        let project_id = session.project.as_ref().filter(|id| !id.is_empty()).map(Untrusted::sanitise_line);
        match (project.map(|project| project.name.sanitise(40)), project_id) {
            (Some(name), Some(id)) if text::width(&name) + text::width(&id) < self.list.value_width() => {
                let id = span(format!(" {id}"), theme.dim());
                self.list.add_field("project", vec![span(name, Style::new()), id]);
            }
            (Some(name), Some(id)) => {
                self.list.add_field("project", name);
                self.list.add_wrapped("", &id, theme.dim());
            }
            (_, id) => self.list.add_wrapped("project", &id.unwrap_or_else(|| "–".into()), Style::new()),
        }
        let context = session.context.as_ref().filter(|context| !context.is_empty());
        match context {
            Some(context) => self.list.add_wrapped("context", &context.sanitise_line(), Style::new()),
            None => self.list.add_field("context", self.dash()),
        }
        self.add_undocumented_fields(session);
    }

    /// Returns the current rate of proxy traffic, or the time since the traffic stopped. Returns an empty text if there
    /// is nothing to say.
    fn rate_suffix(&self) -> String {
        let idle = self.record.idle_for().filter(|idle| idle.as_secs() >= MIN_IDLE_SECONDS);
        if let Some(idle) = idle {
            return format!(", none for {}", text::format_age(idle));
        }
        let rate = self.record.traffic.rate().filter(|rate| *rate >= 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "the cast stays within the limits of i64")]
        let rate = rate.map(|rate| format!(", {}/s", text::format_bytes(rate as i64)));
        rate.unwrap_or_default()
    }

    fn end_time(&self, session: &Session) -> OwnedLine {
        match (session.ended, &self.record.ended) {
            (Some(at), Some(ended)) if !ended.ended_at_fits => {
                let mut line = self.time_or_dash(Some(at));
                line.spans.push(span(", which can not be", self.list.theme.warning()));
                line
            }
            (Some(at), _) => self.time_or_dash(Some(at)),
            // Without an `endedAt`, the end is only known to lie between two polls.
            (None, Some(ended)) => {
                format!("by {}", self.zone().short_date_time(ended.when.latest, self.server_now)).into()
            }
            (None, None) => self.dash(),
        }
    }

    /// Adds the name of each connect field, with "present" or "absent". Never adds the value of a field, because a
    /// connect URL contains a signing key.
    fn add_connect_fields(&mut self, session: &Session) {
        let theme = self.list.theme;
        let has_ended = session.status.phase() == Phase::Ended;
        let can_copy = !has_ended && self.model.replay.is_none();
        let copy_hint = |separator: &str| {
            if can_copy { format!("{separator}c fetches and copies one") } else { String::new() }
        };
        let Some(fields) = session.connect else {
            return self.list.add_field(
                "connect",
                Line::styled(format!("lists leave it out{}", copy_hint("; ")), theme.dim()),
            );
        };
        let fields = [
            ("connectUrl", fields.connect_url),
            ("seleniumRemoteUrl", fields.selenium_remote_url),
            ("signingKey", fields.signing_key),
        ];
        if fields.iter().all(|(_, is_present)| !is_present) {
            let reason = if has_ended {
                "none: the session has ended"
            } else {
                "absent: connectUrl, seleniumRemoteUrl, signingKey"
            };
            return self.list.add_wrapped("connect", reason, theme.dim());
        }
        for (index, (name, is_present)) in fields.into_iter().enumerate() {
            let (label, hint) = if index == 0 { ("connect", copy_hint(" · ")) } else { ("", String::new()) };
            let (presence, style) =
                if is_present { ("present", Style::new()) } else { ("absent", theme.dim()) };
            let value = vec![span(format!("{name} {presence}"), style), span(hint, theme.dim())];
            self.list.add_field(label, value);
        }
    }

    /// Adds the session's profile, if there are several profiles.
    fn add_profile_field(&mut self) {
        let Some(label) = self.model.profiles.label(self.profile) else { return };
        let info = &self.model.profiles.get(self.profile).info;
        let host =
            info.host.as_ref().map(|host| format!(" at {}", text::sanitise(host, 60))).unwrap_or_default();
        let key_and_host = format!(" key …{}{host}", text::sanitise(&info.key_tail, 8));
        let value = vec![span(label.to_owned(), Style::new()), span(key_and_host, self.list.theme.dim())];
        self.list.add_field("profile", value);
    }

    fn add_undocumented_fields(&mut self, session: &Session) {
        if session.extra_fields.is_empty() {
            return;
        }
        let theme = self.list.theme;
        self.list.add_blank_line();
        self.list.lines.push(Line::styled(" also in the reply, not documented:", theme.dim()));
        let fields = session.extra_fields.iter();
        let name_width =
            fields.clone().map(|(name, _)| text::width(&name.sanitise(MAX_WORD_WIDTH))).max().unwrap_or(0);
        for (name, value) in fields {
            self.list.add_named(
                1,
                &pad_right(&name.sanitise(MAX_WORD_WIDTH), name_width),
                &value.sanitise(MAX_VALUE_WIDTH),
                theme.unknown(),
            );
        }
        if session.extra_fields_dropped > 0 {
            let more = format!("  and {} more, which are not kept", session.extra_fields_dropped);
            self.list.lines.push(Line::styled(more, theme.dim()));
        }
    }

    /// Adds the number of responses about the session, with the time and the latency of the last one.
    fn add_poll_fields(&mut self) {
        let count = match self.record.responses {
            0 => "no reply".into(),
            1 => "1 reply".into(),
            many => format!("{many} replies"),
        };
        let last = self.record.last_response().map(|last| {
            let latency = last.received.mono.saturating_sub(last.sent.mono);
            format!(
                ", the last at {} after {}",
                self.format_moment(last.received),
                text::format_latency(latency)
            )
        });
        self.list.add_field("polled", format!("{count}{}", last.unwrap_or_default()));
    }
}

/// Adds metadata in at most [`INLINE_METADATA_LINES`] lines: keys and values one after the other, with nested keys as
/// dotted paths.
fn add_inline_metadata(list: &mut FieldList, metadata: &Metadata) {
    let (theme, room) = (list.theme, list.value_width().saturating_sub(1));
    let (mut path, mut line): (Vec<String>, Vec<Span<'static>>) = (Vec::new(), Vec::new());
    let mut line_count = 0;
    for entry in metadata.entries(MAX_METADATA_ENTRIES) {
        path.truncate(entry.depth);
        path.push(entry.key.sanitise(room));
        // An entry without a value is the heading of the entries below it.
        let Some(value) = entry.value else { continue };
        let key = text::truncate(&path.join("."), room / 2);
        let value =
            text::truncate(&value.sanitise(room), room.saturating_sub(text::width(&key)).saturating_sub(1));
        let used: usize = line.iter().map(|span| text::width(&span.content)).sum();
        // 4: the blank between key and value, and the gap of three blanks before the entry.
        let entry_width = text::width(&key).saturating_add(text::width(&value)).saturating_add(4);
        if used > 0 && used.saturating_add(entry_width) > room {
            list.add_field(if line_count == 0 { "metadata" } else { "" }, std::mem::take(&mut line));
            line_count += 1;
            if line_count == INLINE_METADATA_LINES {
                return;
            }
        }
        let gap = if line.is_empty() { "" } else { "   " };
        line.extend([span(format!("{gap}{key} "), theme.dim()), span(value, Style::new())]);
    }
    if !line.is_empty() {
        list.add_field(if line_count == 0 { "metadata" } else { "" }, line);
    }
}

/// Adds the table of the calls of clients, one paragraph for each effect, if such a call may have ended the session and
/// its metadata does not tell the client.
pub(super) fn add_client_calls(list: &mut FieldList, model: &Model, profile: ProfileId, record: &Record) {
    let verdict = model.profiles.get(profile).tracker.verdict(&record.id);
    if !verdict.is_some_and(|verdict| verdict.may_be_a_call_of_unknown_client()) {
        return;
    }
    list.add_blank_line();
    list.lines.push(Line::styled(" what the calls of clients do:", list.theme.dim()));
    for effect in CallEffect::ALL {
        let calls = CALLS.iter().filter(|row| row.effect == effect);
        let calls: Vec<String> = calls.map(|row| format!("{} {}", row.client, row.call)).collect();
        list.add_wrapped(effect.label(), &calls.join("; "), Style::new());
    }
    list.add_wrapped("", "A disconnect ends only a session without keep-alive.", list.theme.dim());
}

/// Adds the metadata that the session's creator attached: as a tree in the full pane, otherwise in at most
/// [`INLINE_METADATA_LINES`] lines.
pub(super) fn add_metadata(list: &mut FieldList, model: &Model, record: &Record, is_full_pane: bool) {
    let theme = list.theme;
    let add_message = |list: &mut FieldList, text: &str| {
        list.add_field("metadata", Line::styled(text.to_owned(), theme.dim()))
    };
    let metadata = record.session.as_ref().and_then(|session| session.metadata.as_ref());
    let Some(metadata) = metadata.filter(|metadata| !Metadata::is_empty(metadata)) else {
        return add_message(list, "none");
    };
    if model.hides_metadata {
        return add_message(list, "hidden; H shows it");
    }
    if !is_full_pane {
        return add_inline_metadata(list, metadata);
    }
    list.lines.push(Line::styled(" metadata", theme.dim()));
    let entries = metadata.entries(MAX_METADATA_ENTRIES);
    let leaves = entries.iter().filter(|entry| entry.value.is_some());
    // Only the first 20 columns of a key count for the width of the column of keys.
    let key_widths = leaves
        .map(|entry| entry.depth.saturating_mul(2).saturating_add(text::width(&entry.key.sanitise(20))));
    let key_width = key_widths.filter(|width| *width <= MAX_ALIGNED_KEY_WIDTH).max().unwrap_or(0);
    for entry in &entries {
        let indent = entry.depth.min(MAX_INDENTED_DEPTH).saturating_mul(2);
        let key = entry.key.sanitise(40);
        match &entry.value {
            None => list.lines.push(Line::styled(format!("   {}{key}", " ".repeat(indent)), theme.dim())),
            Some(value) => {
                let key = pad_right(&key, key_width.saturating_sub(indent));
                let value = if value.is_empty() { "\"\"".into() } else { value.sanitise(MAX_VALUE_WIDTH) };
                list.add_named(indent.saturating_add(2), &key, &value, Style::new());
            }
        }
    }
}
