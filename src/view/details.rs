//! Everything about one session: every field of the contract, those beyond it, and how it is being watched.
//!
//! How many lines there are does not depend on the time of day: what ticks stays on its line. So the keys can scroll
//! without knowing the time.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Theme;
use super::ink::{self, Text, span};
use super::layout;
use crate::app::{Model, Pane};
use crate::config::Zone;
use crate::clock::{Moment, Timestamp};
use crate::session::{Metadata, Phase, Region, Session, Status};
use crate::text::{self, Untrusted};
use crate::watch::{Left, Presence, Record};

/// Columns of the labels, and the blank after them.
const LABEL: usize = 12;
/// From this width on, two short fields share a line.
const PAIRS: usize = 54;
/// How many lines of metadata, and of fields beyond the contract, are shown.
const MOST_LINES: usize = 400;
/// The longest value, in columns.
const LONGEST: usize = 4000;

/// Draws the rule with the id, and what is in view of the lines.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some(record) = model.record() else { return };
    let theme = model.settings.theme;
    let keyboard = model.focus.pane() != Pane::Table;
    let style = if keyboard { theme.strong() } else { theme.faint() };
    let title = |text: String| span(text, if keyboard { theme.strong() } else { Style::new() });
    let (left, right) = layout::halves(area);
    let (about, attached) = lines(model, record, area.width, now);
    let (count, height) = (about.len().max(attached.len()), usize::from(area.height.saturating_sub(1)));
    let top = model.scroll.min(count.saturating_sub(height));
    let more = count.saturating_sub(top).saturating_sub(height);
    let note = match (top, more) {
        (0, 0) => String::new(),
        (0, more) => format!("↓ {more} more"),
        (top, 0) => format!("↑ {top} more"),
        (top, more) => format!("↑ {top}  ↓ {more} more"),
    };
    let (left_note, right_note) = if right.is_some() { (String::new(), note) } else { (note, String::new()) };
    ink::rule(buffer, ink::row(left, 0), style, &title(record.id.line()), &left_note);
    for (down, line) in about.iter().skip(top).take(height).enumerate() {
        ink::write(buffer, ink::row(ink::below(left, 1), down), line);
    }
    let Some(right) = right else { return };
    ink::rule(buffer, ink::row(right, 0), style, &title("Metadata".into()), &right_note);
    for (down, line) in attached.iter().skip(top).take(height).enumerate() {
        ink::write(buffer, ink::row(ink::below(right, 1), down), line);
    }
}

/// How many lines there are for a pane of that size, and how many of them are in view.
pub(super) fn extent(model: &Model, pane: Rect) -> (usize, usize) {
    let Some(record) = model.record() else { return (0, 0) };
    let any = Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::ZERO };
    let (about, attached) = lines(model, record, pane.width, any);
    (about.len().max(attached.len()), usize::from(pane.height.saturating_sub(1)))
}

/// What the API says, and what the session's creator attached: side by side where there is room, else one below the
/// other.
fn lines(model: &Model, record: &Record, width: u16, now: Moment) -> (Vec<Text>, Vec<Text>) {
    let (left, right) = layout::halves(Rect { width, height: 1, ..Rect::ZERO });
    let theme = model.settings.theme;
    let mut about = Page { lines: Vec::new(), width: usize::from(left.width), theme };
    let mut view = View { model, record, server: model.server_time(now), page: &mut about };
    view.standing();
    view.session();
    view.watching();
    match right {
        Some(right) => {
            let mut attached = Page { lines: Vec::new(), width: usize::from(right.width), theme };
            metadata(&mut attached, model, record);
            (about.lines, attached.lines)
        }
        None => {
            about.lines.push(Line::styled(" metadata", theme.faint()));
            metadata(&mut about, model, record);
            (about.lines, Vec::new())
        }
    }
}

/// Lines being written, of one width.
struct Page {
    lines: Vec<Text>,
    width: usize,
    theme: Theme,
}

impl Page {
    /// A label and a value of one line; what does not fit is cut.
    fn field(&mut self, label: &str, value: impl Into<Text>) {
        let mut spans = vec![self.label(label)];
        spans.extend(value.into().spans);
        self.lines.push(spans.into());
    }

    /// Two fields, on one line where there is room.
    fn pair(&mut self, one: (&str, Text), other: (&str, Text)) {
        if self.width < PAIRS {
            self.field(one.0, one.1);
            self.field(other.0, other.1);
            return;
        }
        let half = (self.width / 2).max(LABEL.saturating_add(20)).min(40);
        let room = half.saturating_sub(LABEL);
        let taken = usize::from(ink::columns(&one.1));
        let mut spans = vec![self.label(one.0)];
        spans.extend(one.1.spans);
        spans.push(Span::raw(" ".repeat(room.saturating_sub(taken))));
        spans.push(span(format!("{:<1$}", other.0, LABEL.saturating_sub(1)), self.theme.faint()));
        spans.extend(other.1.spans);
        self.lines.push(spans.into());
    }

    /// A label and a text that takes as many lines as it needs.
    fn wrapped(&mut self, label: &str, value: &str, style: Style) {
        let room = self.width.saturating_sub(LABEL).max(1);
        for (at, line) in text::wrap(value, room).into_iter().enumerate() {
            self.field(if at == 0 { label } else { "" }, Line::styled(line, style));
        }
    }

    /// A name that may be long, and a text under or beside it.
    fn named(&mut self, indent: usize, name: &str, value: &str, style: Style) {
        let name = format!(" {}{name}  ", " ".repeat(indent));
        let used = text::width(&name).min(self.width.saturating_sub(1));
        for (at, line) in text::wrap(value, self.width.saturating_sub(used).max(1)).into_iter().enumerate() {
            let name = if at == 0 { name.clone() } else { " ".repeat(used) };
            self.lines.push(vec![span(name, self.theme.faint()), span(line, style)].into());
        }
    }

    fn label(&self, label: &str) -> Span<'static> {
        span(format!(" {label:<0$}", LABEL.saturating_sub(1)), self.theme.faint())
    }
}

/// One session, being described.
struct View<'a> {
    model: &'a Model,
    record: &'a Record,
    server: Timestamp,
    page: &'a mut Page,
}

impl View<'_> {
    fn zone(&self) -> Zone {
        self.model.settings.zone
    }

    fn at(&self, moment: Moment) -> String {
        self.zone().short(self.model.server_time(moment), self.server)
    }

    fn time(&self, at: Option<Timestamp>) -> Text {
        match at {
            Some(at) => self.zone().short(at, self.server).into(),
            None => self.dash(),
        }
    }

    fn dash(&self) -> Text {
        Line::styled("–", self.page.theme.faint())
    }

    /// Where it stands: its status in words, and what is not as it should be.
    fn standing(&mut self) {
        let theme = self.page.theme;
        let record = self.record;
        match (&record.session, &record.presence) {
            (Some(session), _) => {
                let (_, style) = theme.status(&session.status);
                let word = span(session.status.shown(24), style.add_modifier(ratatui::style::Modifier::BOLD));
                let rest = span(self.rest_of_status(session), Style::new());
                self.page.field("status", vec![word, rest]);
            }
            (None, Presence::NotFound { .. }) => {
                self.page.field("status", Line::styled("not found", theme.warn()))
            }
            (None, _) => self.page.field("status", Line::styled("no reply yet", theme.faint())),
        }
        match &record.presence {
            Presence::NotFound { since, fault, next } => {
                self.page.wrapped("trouble", &fault.sentence(), theme.warn());
                let next = next.map(|next| format!(", asked again at {}", self.at(next))).unwrap_or_default();
                let since = format!("so since {}{next}", self.at(since.received));
                self.page.field("", Line::styled(since, theme.faint()));
            }
            Presence::Unlisted { since, confirmed } => {
                let answer =
                    if *confirmed { "asked for by its id, it lives" } else { "asking for it by its id" };
                let since = self.zone().time(self.model.server_time(*since));
                let text = format!("missing from the list since {since}; {answer}");
                self.page.wrapped("trouble", &text, theme.warn());
            }
            Presence::Awaited | Presence::Here => {}
        }
        if let Some(failing) = &record.failing {
            self.page.wrapped("trouble", &failing.fault.sentence(), theme.bad());
            let next =
                failing.next.map(|next| format!(", next try at {}", self.at(next))).unwrap_or_default();
            let times =
                if failing.count == 1 { String::new() } else { format!(" ({} in a row)", failing.count) };
            let text = format!("at {}{times}{next}", self.at(failing.at.received));
            self.page.field("", Line::styled(text, theme.faint()));
        }
        if let Some(session) = record.session.as_ref().filter(|session| session.id != record.id) {
            let text = format!("the reply calls it {}", session.id.line());
            self.page.wrapped("other id", &text, theme.warn());
        }
    }

    /// What follows the status on its line.
    fn rest_of_status(&self, session: &Session) -> String {
        let of = |timeout: Option<Duration>, word: &str| {
            timeout.map(|timeout| format!(" {word} {}", text::length(timeout))).unwrap_or_default()
        };
        let timeout = session.timeout();
        match self.record.left(self.model.fleet.clock(), self.server) {
            Left::For(left) => format!(", {} left{}", text::countdown(left), of(timeout, "of")),
            Left::Starting => ", starting".into(),
            Left::Expiring => format!(", its time{} is over: expiring…", of(timeout, "of")),
            Left::Overdue(by) => format!(" still, {} after its expiry", text::countdown(by)),
            Left::Over => match self.record.ran() {
                Some(ran) => format!(" after {}{}", text::span(ran), of(timeout, "of its")),
                None => String::new(),
            },
            Left::Unknown if matches!(session.status, Status::Other(_)) => {
                ", which this version does not know".into()
            }
            Left::Unknown => ", without an expiry".into(),
        }
    }

    /// The fields of the contract, and those beyond it.
    fn session(&mut self) {
        let Some(session) = &self.record.session else { return };
        let theme = self.page.theme;
        let project = self.model.fleet.project_of(session);
        let timeout = match session.timeout() {
            Some(timeout) => span(text::length(timeout), Style::new()),
            None => span("–", theme.faint()),
        };
        let default = project.and_then(|project| project.default_timeout);
        let default = default.map(|d| format!(" (the project's default is {})", text::length(d)));
        self.page.field("timeout", vec![timeout, span(default.unwrap_or_default(), theme.faint())]);
        let one = ("started", self.time(session.started));
        let other = ("expires", self.time(session.expires));
        self.page.pair(one, other);
        let one = ("created", self.time(session.created));
        let other = ("updated", self.time(session.updated));
        self.page.pair(one, other);
        let unused = self.record.unused().filter(|_| session.status.phase() == Phase::Ended);
        let unused = unused.map_or_else(|| self.dash(), |unused| text::countdown(unused).into());
        let one = ("ended", self.ended(session));
        self.page.pair(one, ("unused", unused));
        let keep = match session.keep_alive {
            Some(true) => Line::styled("yes", theme.coming()),
            Some(false) => "no".into(),
            None => self.dash(),
        };
        let region = session.region.as_ref().map_or_else(
            || self.dash(),
            |region| {
                let style = if matches!(region, Region::Other(_)) { theme.odd() } else { Style::new() };
                Line::styled(region.shown(24), style)
            },
        );
        self.page.pair(("keep-alive", keep), ("region", region));
        let rate = self.record.traffic.rate().filter(|rate| *rate >= 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "a cast to an integer stays within it")]
        let rate = rate.map(|rate| format!(", {}/s now", text::bytes(rate as i64))).unwrap_or_default();
        let bytes = session.proxy_bytes.map(|bytes| format!("{}{rate}", text::bytes(bytes)));
        let bytes = bytes.map_or_else(|| self.dash(), Line::from);
        self.page.field("proxy", bytes);
        let id = session.project.as_ref().map(Untrusted::line).filter(|id| !id.is_empty());
        let project = match (project, id) {
            (Some(project), Some(id)) => Line::from(vec![
                span(project.name.shown(40), Style::new()),
                span(format!(" {id}"), theme.faint()),
            ]),
            (None, Some(id)) => id.into(),
            (_, None) => self.dash(),
        };
        self.page.field("project", project);
        let context = session.context.as_ref().filter(|context| !context.is_empty());
        let context = context.map_or_else(|| self.dash(), |context| context.line().into());
        self.page.field("context", context);
        self.connect(session);
        self.others(session);
    }

    fn ended(&self, session: &Session) -> Text {
        match (session.ended, &self.record.ended) {
            (Some(at), _) => self.time(Some(at)),
            // No endedAt: what was seen is all there is.
            (None, Some(ended)) => format!("by {}", self.zone().short(ended.when.latest, self.server)).into(),
            (None, None) => self.dash(),
        }
    }

    /// Connect URLs carry a signing key: only whether there were any is ever shown here.
    fn connect(&mut self, session: &Session) {
        let theme = self.page.theme;
        let Some(fields) = session.connect else {
            self.page
                .field("connect", Line::styled("a list does not say; c copies a fresh URL", theme.faint()));
            return;
        };
        let said =
            |name: &str, there: bool| format!("{name}\u{a0}{}", if there { "present" } else { "absent" });
        let text = [
            said("connectUrl", fields.connect_url),
            said("seleniumRemoteUrl", fields.selenium_remote_url),
            said("signingKey", fields.signing_key),
        ]
        .join(" · ");
        self.page.wrapped("connect", &text, Style::new());
        if session.status.phase() != Phase::Ended {
            self.page.field("", Line::styled("c copies a fresh URL", theme.faint()));
        }
    }

    fn others(&mut self, session: &Session) {
        if session.others.is_empty() {
            return;
        }
        let theme = self.page.theme;
        self.page.lines.push(Line::styled(" also in the reply, not documented:", theme.faint()));
        let names = session.others.iter().take(MOST_LINES);
        let wide = names.clone().map(|(name, _)| text::width(&name.shown(24))).max().unwrap_or(0);
        for (name, value) in names {
            self.page.named(1, &pad(&name.shown(24), wide), &value.shown(LONGEST), theme.odd());
        }
        let more = session.others.len().saturating_sub(MOST_LINES);
        if more > 0 {
            self.page.lines.push(Line::styled(format!("  and {more} more"), theme.faint()));
        }
    }

    /// How it is being watched.
    fn watching(&mut self) {
        let theme = self.page.theme;
        let replies = match self.record.replies {
            0 => "no reply".into(),
            1 => "1 reply".into(),
            many => format!("{many} replies"),
        };
        let last = self.record.last.map(|last| {
            let took = last.received.mono.saturating_sub(last.sent.mono);
            format!(", the last at {} after {}", self.at(last.received), text::latency(took))
        });
        let first = self.record.first.map(|first| format!(" (the first at {})", self.at(first.received)));
        let value = vec![
            span(format!("{replies}{}", last.unwrap_or_default()), Style::new()),
            span(first.filter(|_| self.record.replies > 1).unwrap_or_default(), theme.faint()),
        ];
        self.page.field("polled", value);
    }
}

/// What the session's creator attached, as a tree.
fn metadata(page: &mut Page, model: &Model, record: &Record) {
    let theme = page.theme;
    let say = |page: &mut Page, text: &str| page.lines.push(Line::styled(format!(" {text}"), theme.faint()));
    let metadata = record.session.as_ref().and_then(|session| session.metadata.as_ref());
    let Some(metadata) = metadata.filter(|metadata| !Metadata::is_empty(metadata)) else {
        return say(page, "none");
    };
    if model.hide_metadata {
        return say(page, "hidden; H shows it");
    }
    let entries = metadata.entries(MOST_LINES);
    let leaves = entries.iter().filter(|entry| entry.value.is_some());
    let wide =
        leaves.map(|entry| entry.depth.saturating_mul(2).saturating_add(text::width(&entry.key.shown(20))));
    let wide = wide.filter(|wide| *wide <= 22).max().unwrap_or(0);
    for entry in &entries {
        let indent = entry.depth.min(12).saturating_mul(2);
        let key = entry.key.shown(40);
        match &entry.value {
            None => page.lines.push(Line::styled(format!(" {}{key}", " ".repeat(indent)), theme.faint())),
            Some(value) => {
                let key = pad(&key, wide.saturating_sub(indent));
                let value = if value.is_empty() { "\"\"".into() } else { value.shown(LONGEST) };
                page.named(indent, &key, &value, Style::new());
            }
        }
    }
}

/// `text` with blanks up to `columns`.
fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text::width(text))))
}
