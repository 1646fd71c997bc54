//! What is kept of what is seen: the recording and the journals, at their end of the loop. Whatever they write to has a
//! thread of its own; nothing here waits for a disk.

use std::fs::File;
use std::io;
use std::time::Duration;

use super::fleets::Origin;
use crate::config::JournalConfig;
use crate::store::journal::{Entry, Fate, Journal, Options, RunId, Segment, Summary, Trouble};
use crate::store::recorder::Recorder;
use crate::store::{Header, Line};
use crate::terminal::{self, Events, TermEvent};
use keepwatch_core::clock::Clock;

/// So long a suspension waits for the disk.
const PATIENCE: Duration = Duration::from_millis(200);
/// About how many bytes a header takes.
const HEADER: usize = 500;

/// What is to be kept, and where.
#[derive(Debug)]
pub struct Keep {
    /// What it is kept with.
    pub header: Header,
    /// The file of a recording.
    pub recording: Option<File>,
    /// The journal.
    pub journal: Option<JournalConfig>,
}

/// Whose entries are in a journal: it is written into each summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The run.
    pub run: RunId,
    /// The profile, where there are several.
    pub profile: Option<String>,
    /// The host that is asked.
    pub host: String,
}

/// What writes it all down.
#[derive(Debug)]
pub(super) struct Keeper {
    header: Header,
    recorder: Option<Recorder>,
    /// By the source.
    journals: Vec<Kept>,
    clock: Clock,
}

#[derive(Debug)]
struct Kept {
    journal: Journal<Line, Header>,
    who: Who,
    /// Whether the segment has a hole, or is over.
    is_over: bool,
}

impl Keeper {
    pub(super) fn start(keep: Keep, origins: &[Origin], clock: &Clock, events: &Events) -> io::Result<Self> {
        let Keep { header, recording, journal } = keep;
        let told = events.clone();
        let trouble = move |why| {
            tracing::warn!("{why}");
            terminal::tell(&told, TermEvent::Unwritten(Some("not recording"), why));
        };
        let recorder = recording.map(|file| Recorder::start(file, header.clone(), trouble)).transpose()?;
        let run = RunId::new(header.started, fastrand::u64(..));
        let journals = origins.iter().filter_map(|origin| {
            let JournalConfig { path, keep } = journal.clone()?;
            let mut options = Options::new(clock.clone());
            options.keep = keep;
            let told = events.clone();
            let journal = Journal::spawn(path, options, move |trouble| {
                let brief =
                    if matches!(trouble, Trouble::Slow { .. }) { "journal slow" } else { "journal off" };
                tracing::warn!("{}", trouble.to_string());
                let lasts = trouble.lasts().then_some(brief);
                terminal::tell(&told, TermEvent::Unwritten(lasts, trouble.to_string()));
            });
            let profile = Some(origin.name.clone()).filter(|name| !name.is_empty());
            let host = origin.host.clone().unwrap_or_else(|| "api.browserbase.com".into());
            let who = Who { run: run.clone(), profile, host };
            Some(Kept { journal, who, is_over: true })
        });
        let journals = journals.collect();
        Ok(Self { header, recorder, journals, clock: clock.clone() })
    }

    /// Whose summaries go to the journal of a source; none where there is none.
    pub(super) fn who(&self, source: usize) -> Option<&Who> {
        self.journals.get(source).map(|kept| &kept.who)
    }

    /// The sources whose journal needs a new segment, and would take it.
    pub(super) fn over(&self) -> Vec<usize> {
        let is_over =
            |(source, kept): (usize, &Kept)| (kept.is_over && kept.journal.has_room()).then_some(source);
        self.journals.iter().enumerate().filter_map(is_over).collect()
    }

    /// Begins a segment: what follows can be read without what came before.
    pub(super) fn begin(&mut self, source: usize) {
        let started = self.clock.now().wall;
        let Some(kept) = self.journals.get_mut(source) else { return };
        let Who { run, profile, host } = kept.who.clone();
        let header = Header { started, ..self.header.clone() };
        let segment = Segment { run, started, profile, host, header, weight: HEADER };
        kept.is_over = kept.journal.begin(segment) == Fate::Dropped;
    }

    /// Writes down what there is of a source. Returns why nothing more is recorded, if that ends by it.
    pub(super) fn write(&mut self, source: usize, lines: Vec<Line>) -> Option<String> {
        if let Some(kept) = self.journals.get_mut(source).filter(|kept| !kept.is_over) {
            for line in &lines {
                let entry = Entry {
                    seq: line.n,
                    at: line.at,
                    weight: line.weight(),
                    mentions: line.mentions().cloned().collect(),
                    projects: line.projects().cloned().collect(),
                    body: line.clone(),
                };
                if kept.journal.entry(entry) == Fate::Dropped {
                    kept.is_over = true;
                    break;
                }
            }
        }
        let recorder = self.recorder.as_mut()?;
        if recorder.write(lines) {
            return None;
        }
        self.recorder = None;
        Some("nothing more is recorded: the disk is too slow, or full".into())
    }

    /// Waits until what was sent to the journals is written, but not for long: the program is about to be suspended.
    pub(super) fn flush(&mut self) {
        for kept in &mut self.journals {
            let _ = kept.journal.flush(PATIENCE); // what is not written by then is later
        }
    }

    /// Ends it all, and waits for that, but not for long. Returns a sentence if the journals lack something by that.
    pub(super) fn close(self) -> Option<String> {
        let Self { recorder, journals, .. } = self;
        drop(recorder);
        let unwritten: usize = journals.into_iter().map(|kept| kept.journal.close()).sum();
        (unwritten > 0).then(|| {
            format!(
                "the journal lacks the last {unwritten} of its entries: its file was busy, or the disk too slow, when keepwatch ended"
            )
        })
    }

    /// Keeps what is known of sessions.
    pub(super) fn summarise(&mut self, source: usize, summaries: Vec<Summary>) {
        let Some(kept) = self.journals.get_mut(source) else { return };
        // promise: summaries, mutant: in summaries -> in summaries.into_iter().skip(1)
        for summary in summaries {
            // One that is dropped comes again with the next minute.
            let _ = kept.journal.summary(summary);
        }
    }
}
