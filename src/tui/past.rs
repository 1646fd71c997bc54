//! What lasts beyond the run: what is written down of it, and what earlier runs saw. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fleets::{Past, Source};
use super::keeper::Who;
use super::model::{Effect, Model};
use super::summary::summary;
use crate::poll::Ask;
use crate::store::history::Wanted;
use crate::store::{Encoder, Line};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{List, Phase, SessionId};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{Event, Fleet, Input, Record, Scope};

/// What is known of sessions by which nothing happened is kept so often.
const SUMMARIES: Duration = Duration::from_secs(60);
/// So many inputs may come before what earlier runs saw is here; then it is done without.
const MOST_MEANWHILE: usize = 256;

impl Model {
    /// Writes down from now on what the fleets are told; for each source that has a `who`, its sessions' summaries, too,
    /// and what earlier runs saw is wanted.
    pub(super) fn write_down<'w>(
        &mut self,
        no_metadata: bool,
        who: impl Fn(usize) -> Option<&'w Who>,
        now: Moment,
    ) {
        for number in self.fleets.numbers() {
            let source = self.fleets.source_mut(number);
            let profile = Some(source.origin.name.clone()).filter(|name| !name.is_empty());
            source.encoder = Some(Encoder::new(profile, no_metadata));
            source.kept = who(number).map(|who| (who.clone(), now));
            if source.kept.is_some() {
                source.past = Past::Wanted(Vec::new(), false);
            }
        }
        self.no_metadata = no_metadata;
    }

    /// A source's stream begins anew. Returns the ends of what was open.
    pub(super) fn begin_anew(&mut self, source: usize) -> Vec<Line> {
        self.fleets.source_mut(source).encoder.as_mut().map(Encoder::restart).unwrap_or_default()
    }

    /// What there is to be kept of an input of `now` that brought this.
    pub(super) fn keep(
        &mut self,
        source: usize,
        lines: Vec<Line>,
        events: &[Event],
        now: Moment,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !lines.is_empty() {
            effects.push(Effect::Write(source, lines));
        }
        let no_metadata = self.no_metadata;
        let Source { fleet, kept, .. } = self.fleets.source_mut(source);
        let Some((who, until)) = kept else { return effects };
        let mut ids: BTreeSet<&SessionId> = events.iter().filter_map(|event| event.id.as_ref()).collect();
        if now.since(*until) >= SUMMARIES {
            ids.extend(since(fleet, *until));
            *until = now;
        }
        let summaries: Vec<_> =
            ids.into_iter().filter_map(|id| summary(fleet, id, who, no_metadata)).collect();
        if !summaries.is_empty() {
            effects.push(Effect::Summarise(source, summaries));
        }
        effects
    }

    /// What is left to be kept at the end.
    pub(super) fn finish(&mut self) -> Vec<Effect> {
        let (mut effects, no_metadata) = (Vec::new(), self.no_metadata);
        for number in self.fleets.numbers() {
            let Source { fleet, encoder, kept, .. } = self.fleets.source_mut(number);
            let lines = encoder.as_mut().map(|encoder| encoder.finish(fleet)).unwrap_or_default();
            if !lines.is_empty() {
                effects.push(Effect::Write(number, lines));
            }
            if let Some((who, until)) = kept {
                let ids = since(fleet, *until);
                let summaries = ids.filter_map(|id| summary(fleet, id, who, no_metadata)).collect();
                effects.push(Effect::Summarise(number, summaries));
            }
        }
        effects
    }

    /// While what earlier runs saw is not here, what comes meanwhile is remembered.
    pub(super) fn remember(&mut self, source: usize, input: &Input) {
        let past = &mut self.fleets.source_mut(source).past;
        if let Past::Wanted(meanwhile, _) = past {
            if meanwhile.len() < MOST_MEANWHILE {
                meanwhile.push(input.clone());
            } else {
                *past = Past::Settled;
            }
        }
    }

    /// Looks up what earlier runs saw, once it is known of what: of a project's sessions, or, where its lists are narrowed,
    /// of those that they name, for only the API knows what else would have been in them.
    pub(super) fn restore(&mut self, number: usize) -> Option<Effect> {
        let (targets, is_narrowed) = (self.settings.targets.clone(), self.settings.query.is_some());
        let Source { fleet, past, .. } = self.fleets.source_mut(number);
        let Past::Wanted(meanwhile, looked_up @ false) = past else { return None };
        let wanted = match targets {
            Targets::Ids(ids) => Wanted::Sessions(ids),
            Targets::Only(list) => Wanted::Sessions(listed(meanwhile, &[list])?),
            Targets::All if is_narrowed => Wanted::Sessions(listed(meanwhile, &List::ALL)?),
            Targets::All => {
                let projects = fleet.projects().iter().map(|project| project.id.clone());
                let of_sessions = fleet.records().filter_map(|it| it.session.as_ref()?.project.clone());
                let projects: BTreeSet<Untrusted> = projects.chain(of_sessions).collect();
                Wanted::Projects((!projects.is_empty()).then(|| projects.into_iter().collect())?)
            }
        };
        *looked_up = true;
        Some(Effect::Restore(number, wanted))
    }

    /// What earlier runs saw is here: this run goes on from there. What is flagged of it, the reader knows of.
    pub(super) fn restored(&mut self, number: usize, found: Option<Box<Fleet>>) -> Vec<Effect> {
        let Past::Wanted(meanwhile, _) = std::mem::take(&mut self.fleets.source_mut(number).past) else {
            return Vec::new();
        };
        let Some(mut fleet) = found.map(|fleet| *fleet) else { return Vec::new() };
        let old = fleet.timeline().end();
        let living: Vec<SessionId> =
            fleet.records().filter(|record| may_live(record)).map(|it| it.id.clone()).collect();
        for input in meanwhile {
            fleet.apply(input);
        }
        let source = self.fleets.source_mut(number);
        let unseen = |id: &SessionId| source.fleet.get(id).is_none();
        let living: Vec<SessionId> = living.into_iter().filter(|id| unseen(id)).collect();
        source.fleet = fleet;
        self.known.read_until(number, old);
        self.read_until = self.fleets.end();
        self.anchor = None;
        self.arrange();
        let ask = (!living.is_empty()).then_some(Effect::AskOf(number, Ask::Known(living)));
        ask.into_iter().chain(self.retitle()).collect()
    }
}

/// The sessions of `lists`, once each came.
fn listed(inputs: &[Input], lists: &[List]) -> Option<Vec<SessionId>> {
    let of = |list: &List| {
        inputs.iter().rev().find_map(|input| match input {
            Input::Seen { scope: Scope::List(of), sessions, .. } if of == list => Some(sessions),
            _ => None,
        })
    };
    let lists: Vec<_> = lists.iter().map(of).collect::<Option<_>>()?;
    Some(lists.into_iter().flatten().map(|session| session.id.clone()).collect())
}

fn may_live(record: &Record) -> bool {
    record.phase() != Phase::Ended && !record.is_absent()
}

/// The sessions that a reply told of after `until`.
fn since(fleet: &Fleet, until: Moment) -> impl Iterator<Item = &SessionId> {
    fleet
        .records()
        .filter(move |it| it.last().is_some_and(|last| last.received.boot > until.boot))
        .map(|it| &it.id)
}
