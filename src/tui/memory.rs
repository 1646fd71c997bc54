//! What earlier runs saw, looked up on a thread: the journal may be large, and the disk slow.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::mpsc;

use super::keeper::Who;
use super::model::Model;
use crate::store::history::{self, Sought, Wanted};
use crate::store::journal::Reader;
use keepwatch_core::clock::Clock;
use keepwatch_core::session::MetadataPath;
use keepwatch_core::session::Targets;
use keepwatch_core::tracker::{Fleet, Input, Thresholds};

/// So much of the past is looked up.
const DAY: TimeDelta = TimeDelta::days(1);

/// So many bytes of it: a busy day of a thousand sessions.
const MOST: usize = 24 * 1024 * 1024;

/// A source, and what was found of its sessions; `None` if nothing was.
pub(super) type Found = (usize, Option<Box<Fleet>>);

/// The way to it.
#[derive(Debug)]
pub(super) struct Memory {
    journal: Option<PathBuf>,
    thresholds: Thresholds,
    owner_key: Option<MetadataPath>,
    /// Whether the reader named sessions.
    are_named: bool,
    clock: Clock,
    found: mpsc::Sender<Found>,
}

impl Memory {
    /// With where what is found comes out.
    pub(super) fn new(
        journal: Option<PathBuf>,
        model: &Model,
        clock: &Clock,
    ) -> (Self, mpsc::Receiver<Found>) {
        let (found, inbox) = mpsc::channel(1);
        let thresholds = model.settings.thresholds.clone();
        let owner_key = model.settings.owner_key.clone();
        let are_named = matches!(model.settings.targets, Targets::Ids(_));
        (Self { journal, thresholds, owner_key, are_named, clock: clock.clone(), found }, inbox)
    }

    /// Looks up what runs other than `who`'s saw lately of a source's sessions. What can not be read is not there: the
    /// journal's writer says what is wrong with it.
    pub(super) fn look_up(&self, source: usize, wanted: Wanted, who: Who) {
        let Some(journal) = self.journal.clone() else { return };
        let (thresholds, owner_key) = (self.thresholds.clone(), self.owner_key.clone());
        let (are_named, found, now) = (self.are_named, self.found.clone(), self.clock.now());
        // Without a thread there is no past; the screen goes on.
        let _ = std::thread::Builder::new().name("memory".into()).spawn(move || {
            let since = now.wall.checked_sub_signed(DAY).unwrap_or(now.wall);
            let mut fleet = Fleet::new(thresholds).with_owner_key(owner_key);
            if let (Wanted::Sessions(ids), true) = (&wanted, are_named) {
                let at = now.before(Duration::from_secs(DAY.num_seconds().unsigned_abs()));
                fleet.apply(Input::Asked { at, ids: ids.clone() });
            }
            let sought =
                Sought { wanted: &wanted, since, host: Some(&who.host), except: Some(&who.run), most: MOST };
            let read = Reader::open(&journal).and_then(|reader| {
                let Some(reader) = reader else { return Ok(false) };
                history::read(&reader, &sought, now, |input| drop(fleet.apply(input)))?;
                Ok(history::newest(&reader, &sought)?.is_some())
            });
            let fleet = read.is_ok_and(|any| any).then(|| Box::new(fleet));
            let _ = found.blocking_send((source, fleet));
        });
    }
}
