//! What each message does to the state, and what it asks the loop to do. Pure. Keys are `press`'s.

use std::time::Duration;

use super::fleets::Source;
use super::keys::Copyable;
use super::model::{Effect, Focus, Message, Model, Notice, Pane, Tone, Want};
use super::persistence;
use super::rows::{Choice, Rows};
use crate::poll::{Ask, Observed, Report, Request};
use crate::tui::view;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{ConnectUrls, Fault, FaultKind, List, Phase, Secret, SessionId};
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::{Event, EventKind, Exchange, Input, Left, Scope};

/// How long a notice stays.
const NOTICE: Duration = Duration::from_secs(5);
/// How long one that says what went wrong stays.
const BAD_NOTICE: Duration = Duration::from_secs(10);
/// How long a URL is shown.
const REVEAL: Duration = Duration::from_secs(30);
/// Clocks that differ by more than this are worth a word, in seconds.
const SKEW: i64 = 30;

impl Model {
    /// What is asked for at the start, before anything is seen.
    pub fn start(&mut self, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (source, input) in self.first_inputs(now) {
            effects.extend(self.observe(source, input));
        }
        self.arrange();
        if let Some((tone, greeting)) = self.settings.greeting.take() {
            self.say(now, tone, greeting);
        }
        effects.extend(self.retitle());
        effects
    }

    /// Of each source, what is known before anything is asked: which sessions will be, or why nothing will.
    fn first_inputs(&self, now: Moment) -> Vec<(usize, Input)> {
        let of = |source: &Source| match (&source.origin.without_key, &self.settings.targets) {
            (Some(why), _) => {
                let at = Exchange { sent: now, received: now, date: None };
                let fault = FaultKind::NoKey(Untrusted::new(why.as_str())).into();
                Some(Input::Failed { at, scope: Scope::List(List::Running), fault, next: None })
            }
            (None, Targets::Ids(ids)) => Some(Input::Asked { at: now, ids: ids.clone() }),
            (None, Targets::All | Targets::Only(_)) => None,
        };
        self.fleets.sources().enumerate().filter_map(|(nth, source)| Some((nth, of(source)?))).collect()
    }

    /// Takes one message.
    pub fn update(&mut self, message: Message, now: Moment) -> Vec<Effect> {
        match message {
            Message::Report(source, report) => self.reported(source, *report, now),
            Message::Key(key) => self.pressed(key, now),
            Message::Paste(text) => {
                self.pasted(&text);
                Vec::new()
            }
            Message::Resize(columns, rows) => {
                self.size = (columns, rows);
                self.show_selected();
                // Even if the size is the same again: nobody knows what the terminal did to its cells in between.
                // promise: repaint-on-resize, mutant: vec![Effect::Repaint] -> Vec::new()
                vec![Effect::Repaint]
            }
            Message::Copied(what, Ok(route)) => {
                self.say(now, Tone::Good, format!("{what} {route}"));
                Vec::new()
            }
            Message::Copied(what, Err(why)) => {
                self.say(now, Tone::Bad, format!("{what} {why}"));
                Vec::new()
            }
            Message::NotOpened(why) => {
                self.say(now, Tone::Bad, format!("no browser could be opened: {why}"));
                Vec::new()
            }
            Message::Persistence(event) => self.on_persistence_event(event, now),
            Message::Slept(from, to) => {
                let mut effects = Vec::new();
                for source in self.fleets.numbers() {
                    effects.extend(self.observe(source, Input::Slept { from, to }));
                }
                let then = if self.paused { "polling is still paused" } else { "asking again" };
                self.say(now, Tone::Plain, format!("this machine slept; {then}"));
                // promise: poll-after-sleep
                effects.push(Effect::Ask(Ask::Afresh));
                effects
            }
            Message::Resumed => {
                vec![Effect::Repaint, Effect::Ask(if self.paused { Ask::Pause } else { Ask::Now })]
            }
        }
    }

    /// Time went by: what was shown for a while goes, and what depends on time alone may now be true.
    pub fn expire(&mut self, now: Moment) -> Vec<Effect> {
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now.boot) {
            self.notice = None;
        }
        if let Focus::Reveal { until, back, .. } = &self.focus
            && *until <= now.boot
        {
            self.focus = Focus::Pane(*back);
        }
        let mut effects = Vec::new();
        for source in self.fleets.numbers() {
            if self.fleets.source(source).fleet.next_deadline(now).is_some_and(|wait| wait.is_zero()) {
                effects.extend(self.observe(source, Input::TimePassed { now }));
            }
        }
        effects
    }

    /// When the screen will next differ by itself, on the monotonic clock; `None` if it never will.
    ///
    /// Only what is in view counts. Texts that tick do so on one common second, the server's.
    #[must_use]
    pub fn next_change(&self, now: Moment) -> Option<Duration> {
        let in_boot = |until: Duration| until.saturating_sub(now.boot);
        let mut wait: Option<Duration> = self.notice.as_ref().map(|notice| in_boot(notice.until));
        let mut sooner =
            |candidate: Duration| wait = Some(wait.map_or(candidate, |wait| wait.min(candidate)));
        if let Some(wait) = self.fleets.next_deadline(now) {
            sooner(wait.max(Duration::from_millis(1)));
        }
        let server = self.server_time(now);
        let second = Duration::from_nanos(
            1_000_000_000_u64.saturating_sub(u64::from(server.timestamp_subsec_nanos())),
        );
        let whole = |seconds: u64| second.saturating_add(Duration::from_secs(seconds.saturating_sub(1)));
        if let Focus::Reveal { until, .. } = self.focus {
            sooner(in_boot(until).min(whole(1)));
        }
        for source in self.fleets.numbers() {
            if self.late(source, now).is_some() || self.is_waiting(source, now) {
                sooner(whole(1));
            } else if let Some(good) = self.fleets.source(source).fleet.health().last_good
                && !self.paused
                && self.expects_replies(source)
            {
                let due = good.received.boot.saturating_add(self.late_after());
                sooner(in_boot(due).max(Duration::from_millis(1)));
            }
        }
        let shown = self.rows.window(self.top, view::table_height(self)).chain(&self.selected);
        for (source, record) in shown.filter_map(|id| self.fleets.find(id)) {
            let server = self.fleets.time(source, now);
            match record.left(self.fleets.source(source).fleet.clock(), server) {
                Left::For(left) if left >= view::MINUTES_FROM => {
                    sooner(whole(left.as_secs().checked_rem(60).unwrap_or_default().saturating_add(1)));
                }
                Left::For(_) => sooner(whole(1)),
                // What is overdue is so by the newest reply, whatever time it is.
                Left::Unknown | Left::Starting | Left::Expiring | Left::Overdue(_) | Left::Over => {}
            }
            if let Some(age) = record.age(server).filter(|_| record.phase() != Phase::Ended) {
                sooner(whole(60_u64.saturating_sub(age.as_secs().checked_rem(60).unwrap_or_default())));
            }
        }
        wait.map(|wait| now.mono.saturating_add(wait))
    }

    /// Whether a countdown to the next try is on the screen.
    fn is_waiting(&self, source: usize, now: Moment) -> bool {
        let next =
            self.fleets.source(source).fleet.health().failing.as_ref().and_then(|failing| failing.next);
        !self.paused && next.is_some_and(|next| next.boot > now.boot)
    }

    pub(super) fn say(&mut self, now: Moment, tone: Tone, text: String) {
        let stay = if tone == Tone::Bad { BAD_NOTICE } else { NOTICE };
        let stay = stay.saturating_mul(self.settings.speed);
        self.notice = Some(Notice { text, tone, until: now.boot.saturating_add(stay) });
    }

    /// The rows anew, the selection kept on its session.
    pub(super) fn arrange(&mut self) {
        let before = self.selected.as_ref().and_then(|id| self.rows.place(id)).unwrap_or(0);
        self.rows = Rows::of(&self.fleets, self.sort, &self.choice());
        if !self.touched {
            // What nobody has chosen is what stands first: what a key would act on is in view.
            self.select(0);
        } else if self.selected.as_ref().and_then(|id| self.rows.place(id)).is_none() {
            let nearest = before.min(self.rows.len().saturating_sub(1));
            self.select(nearest);
        }
        self.show_selected();
    }

    /// Which sessions are to be shown.
    pub(crate) fn choice(&self) -> Choice<'_> {
        let reads = matches!(self.focus.pane(), Pane::Lower(_) | Pane::Full(_));
        let read = self.selected.as_ref().filter(|_| reads);
        Choice {
            filter: &self.filter,
            flagged_only: self.flagged_only,
            muted: &self.muted,
            known: &self.known,
            read,
        }
    }

    pub(super) fn select(&mut self, place: usize) {
        let selected = self.rows.get(place).cloned();
        if selected != self.selected {
            (self.scroll, self.anchor) = (0, None);
        }
        self.selected = selected;
        self.show_selected();
    }

    /// Scrolls the table so that the selection is in view, and no further.
    pub(super) fn show_selected(&mut self) {
        if !self.touched {
            self.top = 0;
            return;
        }
        let height = view::table_height(self).max(1);
        let place = self.selected.as_ref().and_then(|id| self.rows.place(id)).unwrap_or(0);
        let lowest = place.saturating_add(1).saturating_sub(height);
        self.top = self.top.clamp(lowest, place).min(self.rows.len().saturating_sub(height).max(lowest));
    }

    pub(super) fn retitle(&mut self) -> Option<Effect> {
        let title = view::title(self);
        (title != self.title).then(|| {
            self.title.clone_from(&title);
            Effect::Title(title)
        })
    }

    fn reported(&mut self, source: usize, report: Report, now: Moment) -> Vec<Effect> {
        if report.request == Request::Recent {
            self.recent_came(source, report);
            return Vec::new();
        }
        self.fleets.source_mut(source).effort.note(&report);
        let Observed { input, fresh, is_live_view } = Observed::from(report);
        let mut effects = Vec::new();
        if let Some(input) = input {
            effects.extend(self.observe(source, input));
        }
        if let Some((id, outcome)) = fresh {
            for want in self.take_wants(&id, is_live_view) {
                effects.extend(self.arrived(&want, &outcome, now));
            }
        }
        self.tell_of_skew(source, now);
        effects
    }

    /// Tells a source's fleet, and the reader of what it is flagged for by that. All that is ever told comes by here.
    pub(super) fn observe(&mut self, source: usize, input: Input) -> Vec<Effect> {
        let missing = match &input {
            Input::Missing { id, .. } if self.fleets.are_several() => Some(id.clone()),
            _ => None,
        };
        let (events, commands) = self.fleets.apply(source, input);
        if !self.rows.are_of(&self.fleets, self.sort) {
            self.arrange();
        }
        let heard = |event: &Event| {
            let shown = event.id.as_ref().is_none_or(|id| self.fleets.is_of(id, source));
            shown && !self.muted.silences(event) && matches!(event.kind, EventKind::Flagged(_))
        };
        let rings = self.settings.bell && events.iter().any(heard);
        // What another has, this one need not be asked for.
        let elsewhere = missing.filter(|id| {
            self.fleets.find(id).is_some_and(|(of, record)| of != source && record.session.is_some())
        });
        let leave = elsewhere.map(|id| Effect::AskOf(source, Ask::Leave(id)));
        let effects = rings.then_some(Effect::Ring).into_iter().chain(leave);
        effects.chain(persistence::effects(source, commands)).chain(self.retitle()).collect()
    }

    /// What a fresh ask brought for one of the reader's wants.
    fn arrived(&mut self, want: &Want, outcome: &Result<ConnectUrls, Fault>, now: Moment) -> Option<Effect> {
        match outcome {
            Ok(urls) => {
                let url = match want.what {
                    Copyable::Selenium => urls.selenium.clone(),
                    Copyable::LiveView => urls.live_view.clone(),
                    Copyable::Id | Copyable::Connect | Copyable::Dashboard | Copyable::Evidence => {
                        urls.connect.clone()
                    }
                };
                self.fetched(want, url, now)
            }
            Err(fault) => {
                let text = format!("the {} could not be fetched: {}", want.what.name(), fault.sentence());
                self.say(now, Tone::Bad, text);
                None
            }
        }
    }

    /// Clocks that differ are said once.
    fn tell_of_skew(&mut self, source: usize, now: Moment) {
        let skew = self.fleets.source(source).fleet.clock().skew();
        if self.told_of_skew || skew.num_seconds().abs() <= SKEW {
            return;
        }
        self.told_of_skew = true;
        let by = text::length(Duration::from_secs(skew.num_seconds().unsigned_abs()));
        let way = if skew.num_seconds() > 0 { "behind" } else { "ahead of" };
        let text = format!("this machine's clock is {by} {way} the API's; times are shown by the API's");
        self.say(now, Tone::Bad, text);
    }

    fn take_wants(&mut self, id: &SessionId, live_view: bool) -> Vec<Want> {
        let answered = |want: &Want| want.id == *id && (want.what == Copyable::LiveView) == live_view;
        let (taken, left) = std::mem::take(&mut self.wants).into_iter().partition(answered);
        self.wants = left;
        taken
    }

    /// A fresh reply came for what the reader wants: copy it, show it, or say why not.
    fn fetched(&mut self, want: &Want, url: Option<Secret>, now: Moment) -> Option<Effect> {
        let status = self.fleets.get(&want.id).and_then(|record| record.status().cloned());
        let Some(url) = url else {
            let why = match status.filter(|status| status.phase() == Phase::Ended) {
                Some(status) => {
                    format!("ended ({}): no {}", status.shown(24), want.what.name())
                }
                None => format!("the API's answer has no {}", want.what.name()),
            };
            self.say(now, Tone::Bad, why);
            return None;
        };
        if !text::is_plain(url.expose()) || url.expose().contains(char::is_whitespace) {
            self.say(
                now,
                Tone::Bad,
                format!("the {} has characters that no URL has; it is not passed on", want.what.name()),
            );
            return None;
        }
        if want.show && matches!(self.focus, Focus::Filter { .. } | Focus::Add { .. }) {
            // The next letters that are typed must not become commands.
            self.say(now, Tone::Plain, format!("the {} came while you typed; Y shows it", want.what.name()));
            return None;
        }
        if want.show {
            let until = now.boot.saturating_add(REVEAL.saturating_mul(self.settings.speed));
            self.notice = None;
            self.focus = Focus::Reveal { id: want.id.clone(), url, until, back: self.focus.pane() };
            return None;
        }
        Some(Effect::Copy(want.what, url))
    }
}

#[cfg(test)]
mod tests;
