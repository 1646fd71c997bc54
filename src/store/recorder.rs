//! Writes a recording on a separate thread, so that a slow or full disk never blocks the program. The entries come from
//! the encoder.
//!
//! After each batch the thread checks that the path still leads to its file. If the file was deleted, moved or
//! replaced, the thread reports this once and continues to write: a file that was only moved stays complete. The thread
//! never writes to another file.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::private_file::{self, FileId};
use crate::store::writer_thread::WriterThread;
use crate::store::{RecordingWriter, StreamEntry, StreamHeader};
use keepwatch_core::text;

/// Capacity of the queue to the thread, in batches. A batch holds the entries that the encoder returned for one input.
const QUEUE_CAPACITY: usize = 1024;
/// Maximum time to write the rest of the queue at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum width of a path in a message, in columns.
const MAX_PATH_COLUMNS: usize = 200;

/// A problem of a recording. The text is safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingProblem {
    /// The path leads to no file, or to another one.
    #[error("the recording {} was deleted, moved or replaced while it was written", display_path(path))]
    Lost {
        /// The path at which the recording was created.
        path: PathBuf,
    },
    /// The queue is full.
    #[error("nothing more is recorded: the disk is too slow, or full")]
    TooSlow,
    /// The end of the recording was not written in time.
    #[error("the end of the recording is missing: the disk was too slow when keepwatch ended")]
    Incomplete,
    /// The file cannot be written. Holds the message of the system.
    #[error("nothing more is recorded: {0}")]
    Unwritable(String),
}

impl RecordingProblem {
    /// Returns true if `other` is a problem of the same kind. The problems that end the recording are one kind, because
    /// the queue can become full while the thread reports that the file cannot be written.
    fn is_same_kind(&self, other: &Self) -> bool {
        let ends_recording = |problem: &Self| matches!(problem, Self::TooSlow | Self::Unwritable(_));
        (ends_recording(self) && ends_recording(other))
            || std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

fn display_path(path: &Path) -> String {
    text::sanitise(&path.to_string_lossy(), MAX_PATH_COLUMNS)
}

/// A new file for a recording, and its path.
#[derive(Debug)]
pub struct RecordingFile {
    file: File,
    path: PathBuf,
    id: FileId,
}

impl RecordingFile {
    /// Creates a file that only this user can read.
    ///
    /// # Errors
    /// Something is at `path`, or the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?; // so that later changes of the current folder do not matter
        Self::new(private_file::create_new(&path)?, path)
    }

    fn new(file: File, path: PathBuf) -> io::Result<Self> {
        let id = FileId::from_metadata(&file.metadata()?);
        Ok(Self { file, path, id })
    }
}

/// Reports problems to the user, each kind once, and keeps the first one for the end of the program.
struct ProblemReporter {
    on_problem: Box<dyn Fn(&RecordingProblem) + Send + Sync>,
    reported: Mutex<Vec<RecordingProblem>>,
}

impl ProblemReporter {
    fn report(&self, problem: RecordingProblem) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if !reported.iter().any(|other| other.is_same_kind(&problem)) {
            (self.on_problem)(&problem);
            reported.push(problem);
        }
    }

    fn first_problem(&self) -> Option<RecordingProblem> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }
}

/// The sender to the thread that writes a recording. Dropping it completes the file, or gives up after a timeout.
pub struct Recorder {
    /// `None` once the recording has ended.
    queue: Option<SyncSender<Vec<StreamEntry>>>,
    thread: WriterThread,
    reporter: Arc<ProblemReporter>,
    /// True once [`Self::close`] was called. It waits for the thread only once.
    is_closed: bool,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("first_problem", &self.reporter.first_problem())
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// Starts a thread that writes `header`, and then the queued entries, to `file`. Either the thread or the sender
    /// calls `on_problem`, once for each kind of problem. If writing fails, the thread ends.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(
        file: RecordingFile,
        header: StreamHeader,
        on_problem: impl Fn(&RecordingProblem) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (queue, inbox) = sync_channel::<Vec<StreamEntry>>(QUEUE_CAPACITY);
        let reporter = ProblemReporter { on_problem: Box::new(on_problem), reported: Mutex::default() };
        let reporter = Arc::new(reporter);
        let thread_reporter = Arc::clone(&reporter);
        let thread = WriterThread::spawn("recorder", move || {
            if let Err(error) = write_queued(file, &header, &inbox, &thread_reporter) {
                thread_reporter.report(RecordingProblem::Unwritable(error.to_string()));
            }
        })?;
        Ok(Self { queue: Some(queue), thread, reporter, is_closed: false })
    }

    /// Queues `entries` without blocking. Returns false if the recording has ended, because the queue was full or
    /// writing failed.
    pub fn write(&mut self, entries: Vec<StreamEntry>) -> bool {
        match self.queue.as_ref().map(|queue| queue.try_send(entries)) {
            Some(Ok(())) => return true,
            // A recording with a gap would replay wrongly, so it ends here.
            Some(Err(TrySendError::Full(_))) => self.reporter.report(RecordingProblem::TooSlow),
            Some(Err(TrySendError::Disconnected(_))) | None => {} // the reason is reported already
        }
        self.queue = None;
        false
    }

    /// Closes the queue, without waiting. The thread writes the rest and ends.
    #[must_use]
    pub fn start_close(mut self) -> Self {
        self.queue = None;
        self
    }

    /// Completes the recording, as dropping it does. Returns the first problem since the start, if there was any.
    pub fn finish(mut self) -> Option<RecordingProblem> {
        self.close(CLOSE_TIMEOUT);
        self.reporter.first_problem()
    }

    /// Closes the queue and waits for the thread, but no longer than `timeout`.
    fn close(&mut self, timeout: Duration) {
        self.queue = None;
        if !std::mem::replace(&mut self.is_closed, true) && !self.thread.wait(timeout) {
            self.reporter.report(RecordingProblem::Incomplete);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close(CLOSE_TIMEOUT); // a stuck disk delays the exit only this long
    }
}

/// Writes the header and the queued entries to the file, until the queue is closed. Reports if the path leads to no
/// file, or to another one.
fn write_queued(
    file: RecordingFile,
    header: &StreamHeader,
    inbox: &Receiver<Vec<StreamEntry>>,
    reporter: &ProblemReporter,
) -> io::Result<()> {
    let RecordingFile { file, path, id } = file;
    let check_path = || {
        // promise: lost-recording, mutant: != Some(id) -> == None
        if FileId::at(&path) != Some(id) {
            reporter.report(RecordingProblem::Lost { path: path.clone() });
        }
    };
    let mut writer = RecordingWriter::new(BufWriter::new(file), header)?;
    while let Ok(entries) = inbox.recv() {
        writer.write(&entries)?;
        check_path();
    }
    check_path();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::BufReader;

    use super::*;
    use crate::store::tests::header;
    use crate::store::{EntryContent, Recording};
    use keepwatch_core::clock::{Moment, Timestamp};
    use keepwatch_core::tracker::Input;

    /// Longer than any step takes on a busy machine. Only a failing test waits this long.
    const TEST_TIMEOUT: Duration = Duration::from_secs(30);

    fn entry(seq: u64) -> StreamEntry {
        let now =
            Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::from_secs(seq) };
        StreamEntry {
            seq,
            at: now.wall,
            profile: None,
            is_open: false,
            content: EntryContent::Input(Input::TimePassed { now }),
        }
    }

    #[test]
    fn closed_recording_is_complete_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let file = RecordingFile::create(&path).unwrap();
        let mut recorder = Recorder::start(file, header(), |problem| panic!("{problem}")).unwrap();
        assert!((0..100).all(|seq| recorder.write(vec![entry(seq)])));
        recorder.close(TEST_TIMEOUT);
        assert_eq!(recorder.finish(), None);
        let recording = Recording::read(&mut BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!((recording.input_log.len(), recording.damage), (100, None));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn full_disk_is_reported_once() {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let Ok(full) = full else { return }; // only Linux has this device, which refuses all writes
        let full = RecordingFile::new(full, "/dev/full".into()).unwrap();
        let (sender, problems) = sync_channel(2);
        let on_problem = move |problem: &RecordingProblem| sender.send(problem.to_string()).unwrap();
        let mut recorder = Recorder::start(full, header(), on_problem).unwrap();
        let message = problems.recv_timeout(TEST_TIMEOUT).unwrap();
        assert!(message.contains("nothing more is recorded"), "{message}");
        while recorder.write(vec![entry(1)]) {} // until the thread has ended
        recorder.close(TEST_TIMEOUT);
        assert!(recorder.finish().is_some_and(|problem| problem.to_string() == message));
        assert!(problems.try_recv().is_err(), "the problem is reported once");
    }

    /// On a busy machine the queue may become full while the thread reports that the disk is full.
    #[test]
    fn end_of_recording_is_reported_once() {
        let (sender, problems) = std::sync::mpsc::channel();
        let on_problem = move |problem: &RecordingProblem| sender.send(problem.clone()).unwrap();
        let reporter = ProblemReporter { on_problem: Box::new(on_problem), reported: Mutex::default() };
        let full_disk = RecordingProblem::Unwritable("no space left on device".into());
        reporter.report(full_disk.clone());
        reporter.report(RecordingProblem::TooSlow);
        reporter.report(RecordingProblem::Incomplete);
        assert_eq!(
            problems.try_iter().collect::<Vec<_>>(),
            [full_disk.clone(), RecordingProblem::Incomplete]
        );
        assert_eq!(reporter.first_problem(), Some(full_disk));
    }

    #[test]
    fn lost_file_is_reported_once() {
        /// A change in the folder. The first path is that of the recording, the second that of another file.
        type Change = fn(&Path, &Path);
        let changes: [Change; 3] = [
            |recording, _| std::fs::remove_file(recording).unwrap(),
            |recording, other| std::fs::rename(recording, other).unwrap(),
            |recording, other| {
                std::fs::write(other, "other").unwrap();
                std::fs::rename(other, recording).unwrap();
            },
        ];
        for change in changes {
            let folder = tempfile::tempdir().unwrap();
            let (path, other) = (folder.path().join("a.ndjson"), folder.path().join("other"));
            let (sender, problems) = sync_channel(9);
            let on_problem = move |problem: &RecordingProblem| sender.send(problem.clone()).unwrap();
            let file = RecordingFile::create(&path).unwrap();
            let mut recorder = Recorder::start(file, header(), on_problem).unwrap();
            assert!(recorder.write(vec![entry(0)]));
            change(&path, &other);
            assert!((1..9).all(|seq| recorder.write(vec![entry(seq)])));
            let lost = RecordingProblem::Lost { path: path.clone() };
            assert_eq!(problems.recv_timeout(TEST_TIMEOUT), Ok(lost.clone()));
            recorder.close(TEST_TIMEOUT);
            assert_eq!((recorder.finish(), problems.try_recv().is_err()), (Some(lost), true));
            for file in [&path, &other] {
                let Ok(text) = std::fs::read_to_string(file) else { continue };
                // A recording that was only moved is complete: a header and 9 entries. The other file is unchanged.
                assert!(text == "other" || text.lines().count() == 10, "{text}");
            }
        }
    }

    #[test]
    fn file_lost_after_last_entry_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let mut recorder = Recorder::start(RecordingFile::create(&path).unwrap(), header(), |_| {}).unwrap();
        assert!(recorder.write(vec![entry(0)]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(recorder.finish(), Some(RecordingProblem::Lost { path }));
    }
}
