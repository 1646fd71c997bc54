//! A recording as it is written: a thread of its own, so that a disk that is slow or full never holds up anything else.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::store::writer_thread::WriterThread;
use crate::store::{RecordingWriter, StreamEntry, StreamHeader};

/// So many inputs' lines may wait for the disk.
const QUEUE_CAPACITY: usize = 1024;
/// The disk has so long to take what is left at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A recording that is being written. It is whole once this is dropped.
#[derive(Debug)]
pub struct Recorder {
    queue: Option<SyncSender<Vec<StreamEntry>>>,
    thread: WriterThread,
}

impl Recorder {
    /// Writes `header` to `file`, and then what comes. `trouble` is told, once, why nothing more is written.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        file: File,
        header: StreamHeader,
        on_error: impl Fn(String) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, inbox) = sync_channel::<Vec<StreamEntry>>(QUEUE_CAPACITY);
        let thread = WriterThread::spawn("recorder", move || {
            if let Err(error) = write_queued(file, &header, &inbox) {
                on_error(format!("nothing more is recorded: {error}"));
            }
        })?;
        Ok(Self { queue: Some(queue), thread })
    }

    /// Writes `lines`. Returns whether they will be; once not, a recording is at its end.
    pub fn write(&mut self, entries: Vec<StreamEntry>) -> bool {
        match self.queue.as_ref().map(|to| to.try_send(entries)) {
            Some(Ok(())) => true,
            // A recording with a hole would tell what was not so.
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                self.queue = None;
                false
            }
        }
    }
}

impl Recorder {
    /// Lets the writer end, and waits for that. Returns true if it ended within `timeout`.
    fn close(&mut self, timeout: Duration) -> bool {
        self.queue = None;
        self.thread.wait(timeout)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close(CLOSE_TIMEOUT); // a disk that is stuck does not hold up the end
    }
}

fn write_queued(file: File, header: &StreamHeader, inbox: &Receiver<Vec<StreamEntry>>) -> io::Result<()> {
    let mut writer = RecordingWriter::new(BufWriter::new(file), header)?;
    while let Ok(entries) = inbox.recv() {
        writer.write(&entries)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::BufReader;

    use super::*;
    use crate::private_file::create_new;
    use crate::store::tests::header;
    use crate::store::{EntryContent, Recording};
    use keepwatch_core::clock::{Moment, Timestamp};
    use keepwatch_core::tracker::Input;

    /// Longer than anything takes on a busy machine; only a failure waits for so long.
    const TEST_TIMEOUT: Duration = Duration::from_secs(30);

    fn entry(n: u64) -> StreamEntry {
        let now = Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::from_secs(n) };
        StreamEntry {
            seq: n,
            at: now.wall,
            profile: None,
            is_open: false,
            content: EntryContent::Input(Input::TimePassed { now }),
        }
    }

    #[test]
    fn what_was_passed_on_is_in_the_file_once_it_is_closed_and_nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let mut recorder =
            Recorder::start(create_new(&path).unwrap(), header(), |why| panic!("{why}")).unwrap();
        assert!((0..100).all(|n| recorder.write(vec![entry(n)])));
        assert!(recorder.close(TEST_TIMEOUT));
        let recording = Recording::read(&mut BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!((recording.input_log.len(), recording.damage), (100, None));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_disk_is_told_once_and_holds_up_nothing() {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let Ok(full) = full else { return }; // of Linux alone
        let (told, heard) = sync_channel(9);
        let mut recorder = Recorder::start(full, header(), move |why| told.send(why).unwrap()).unwrap();
        let why = heard.recv().unwrap();
        assert!(why.contains("nothing more is recorded"), "{why}");
        while recorder.write(vec![entry(1)]) {}
        assert!(recorder.close(TEST_TIMEOUT));
        assert!(heard.try_recv().is_err());
    }
}
