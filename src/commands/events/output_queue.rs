//! The queue between the stream of events and standard output.
//!
//! ```text
//!   stream ──push──► queue, at most 10,000 events ──► writer thread ──► standard output
//!                       │ full                             │ writes again
//!                       └─ drops one event, counts it ─────┴──► one line on standard error
//! ```
//!
//! A reader that stalls stops the writer thread only. The stream goes on, so that polls stay on time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::super::CliError;
use super::super::output::print_unless_closed;
use super::super::print_error;

/// The maximum number of events that wait for the reader.
const MAX_QUEUED_EVENTS: usize = 10_000;

/// A handle to the queue and its writer thread.
#[derive(Debug)]
pub(super) struct OutputQueue {
    shared: Arc<SharedQueue>,
    finished: oneshot::Receiver<Result<(), CliError>>,
}

#[derive(Debug, Default)]
struct SharedQueue {
    state: Mutex<QueueState>,
    /// Notified when the queue gets an event and when it is closed.
    changed: Condvar,
}

/// The events that wait, and the state of the writer thread.
#[derive(Debug, Default)]
struct QueueState {
    events: VecDeque<QueuedEvent>,
    /// True while the writer thread writes an event, which is not in `events` any more.
    is_writing: bool,
    /// The number of dropped events that are not reported yet.
    dropped: usize,
    /// True if no more events follow.
    is_closed: bool,
}

/// The lines of an event.
#[derive(Debug)]
struct QueuedEvent {
    lines: String,
    /// True if the event reports the end of a session. All other events are lesser events.
    is_end: bool,
}

impl QueueState {
    /// Adds an event. If the queue is full, drops the oldest lesser event. If the queue has only ends, drops the oldest
    /// end for a new end, and drops a new lesser event.
    fn push(&mut self, event: QueuedEvent) {
        // promise: event-queue
        if self.events.len() >= MAX_QUEUED_EVENTS {
            self.dropped = self.dropped.saturating_add(1);
            match self.events.iter().position(|queued| !queued.is_end) {
                Some(index) => drop(self.events.remove(index)),
                None if event.is_end => drop(self.events.pop_front()),
                None => return, // an end is not dropped for a lesser event
            }
        }
        self.events.push_back(event);
    }
}

impl SharedQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes events until the queue is closed and empty, or the reader has closed the pipe.
    fn write_loop(
        &self,
        write: impl Fn(&str) -> Result<bool, CliError>,
        report: impl Fn(usize),
    ) -> Result<(), CliError> {
        loop {
            let mut state = self
                .changed
                .wait_while(self.lock(), |state| state.events.is_empty() && !state.is_closed)
                .unwrap_or_else(PoisonError::into_inner);
            let Some(event) = state.events.pop_front() else { return Ok(()) };
            state.is_writing = true;
            drop(state);
            if !write(&event.lines)? {
                return Ok(());
            }
            // The reader has read this event, perhaps after a stall, so the drops during the stall are reported now.
            let mut state = self.lock();
            state.is_writing = false;
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            if dropped > 0 {
                report(dropped);
            }
        }
    }
}

impl OutputQueue {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// Returns an error if the thread cannot start.
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::new(SharedQueue::default());
        let (sender, finished) = oneshot::channel();
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("output".into()).spawn(move || {
            let result = writer.write_loop(print_unless_closed, |dropped| {
                print_error(&format!(
                    "{} dropped: the reader of standard output had stopped reading",
                    events_were(dropped)
                ));
            });
            let _ = sender.send(result);
        })?;
        Ok(Self { shared, finished })
    }

    /// Queues the lines of an event. `is_end` is true if the event reports the end of a session.
    pub(super) fn push(&self, lines: String, is_end: bool) {
        self.shared.lock().push(QueuedEvent { lines, is_end });
        self.shared.changed.notify_all();
    }

    /// Lets the writer thread end when it has written all events.
    pub(super) fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }

    /// Waits until the writer thread ends: all events are written after [`OutputQueue::close`], the reader has closed
    /// the pipe, or standard output cannot be written. Must not be called again after it has returned.
    pub(super) async fn finished(&mut self) -> Result<(), CliError> {
        // An error means that the thread has panicked, which the panic hook has reported.
        (&mut self.finished).await.unwrap_or(Ok(()))
    }

    /// Reports the events that the reader has not read, if there are any. The program is about to end.
    pub(super) fn report_unread(&self) {
        let state = self.shared.lock();
        let queued = state.events.len().saturating_add(usize::from(state.is_writing));
        let unread = state.dropped.saturating_add(queued);
        drop(state);
        if unread > 0 {
            print_error(&format!(
                "{} not printed: the reader of standard output does not read",
                events_were(unread)
            ));
        }
    }
}

/// Returns the start of a sentence about `count` events.
fn events_were(count: usize) -> String {
    if count == 1 { "1 event was".to_owned() } else { format!("{count} events were") }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn queued(text: &str, is_end: bool) -> QueuedEvent {
        QueuedEvent { lines: text.to_owned(), is_end }
    }

    #[test]
    fn full_queue_drops_oldest_lesser_event() {
        let mut state = QueueState::default();
        state.push(queued("end", true));
        for number in 0..MAX_QUEUED_EVENTS {
            state.push(queued(&number.to_string(), false));
        }
        assert_eq!((state.events.len(), state.dropped), (MAX_QUEUED_EVENTS, 1));
        let two_oldest: Vec<&str> = state.events.iter().take(2).map(|event| event.lines.as_str()).collect();
        assert_eq!(two_oldest, ["end", "1"]);
        // New ends replace all lesser events, and then the oldest end.
        for number in 0..MAX_QUEUED_EVENTS {
            state.push(queued(&format!("end {number}"), true));
        }
        state.push(queued("lesser", false));
        // Dropped: the event 0, one event for each new end, and the event `lesser`.
        assert_eq!((state.events.len(), state.dropped), (MAX_QUEUED_EVENTS, MAX_QUEUED_EVENTS + 2));
        assert!(state.events.iter().all(|event| event.is_end));
        assert_eq!(state.events.front().unwrap().lines, "end 0");
    }

    #[test]
    fn drops_are_reported_when_reading_resumes() {
        let shared = SharedQueue::default();
        let (reader, reads) = mpsc::channel::<()>();
        let (writer, started_writes) = mpsc::channel();
        let (report_sender, reports) = mpsc::channel();
        std::thread::scope(|scope| {
            let shared = &shared;
            scope.spawn(move || {
                let write = |_: &str| {
                    writer.send(()).unwrap();
                    Ok(reads.recv().is_ok()) // waits until the reader reads, or closes the pipe
                };
                shared.write_loop(write, |dropped| report_sender.send(dropped).unwrap()).unwrap();
            });
            let push = |count: usize| {
                for _ in 0..count {
                    shared.lock().push(queued("", false));
                    shared.changed.notify_all();
                }
            };
            push(1);
            started_writes.recv().unwrap(); // the writer thread waits for the reader
            push(MAX_QUEUED_EVENTS + 3);
            assert!(reports.try_recv().is_err(), "no drop is reported before the reader reads");
            reader.send(()).unwrap();
            assert_eq!(reports.recv().unwrap(), 3);
            started_writes.recv().unwrap();
            drop(reader); // the reader closes the pipe
        });
        assert!(reports.try_recv().is_err(), "the drops are reported once");
    }
}
