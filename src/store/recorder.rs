//! Writes a recording on a separate thread, so that a slow or full disk never blocks the program. The entries come from
//! the encoder.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::store::writer_thread::WriterThread;
use crate::store::{RecordingWriter, StreamEntry, StreamHeader};

/// Capacity of the queue to the thread, in messages. A message has the entries of one input.
const QUEUE_CAPACITY: usize = 1024;
/// Maximum time to write the rest of the queue at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The sender to the thread that writes a recording. Dropping it completes the file, or gives up after a timeout.
#[derive(Debug)]
pub struct Recorder {
    queue: Option<SyncSender<Vec<StreamEntry>>>,
    thread: WriterThread,
}

impl Recorder {
    /// Starts a thread that writes `header`, and then the queued entries, to `file`. If writing fails, the thread calls
    /// `on_error` once and ends.
    ///
    /// # Errors
    /// The system cannot start a thread.
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

    /// Queues `entries` without blocking. Returns false if the recording has ended, because the queue was full or
    /// writing failed.
    pub fn write(&mut self, entries: Vec<StreamEntry>) -> bool {
        match self.queue.as_ref().map(|queue| queue.try_send(entries)) {
            Some(Ok(())) => true,
            // A recording with a gap would replay wrongly, so it ends here.
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                self.queue = None;
                false
            }
        }
    }
}

impl Recorder {
    /// Closes the queue and waits for the thread. Returns true if it ended within `timeout`.
    fn close(&mut self, timeout: Duration) -> bool {
        self.queue = None;
        self.thread.wait(timeout)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close(CLOSE_TIMEOUT); // a stuck disk delays the exit only this long
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
        let mut recorder =
            Recorder::start(create_new(&path).unwrap(), header(), |message| panic!("{message}")).unwrap();
        assert!((0..100).all(|seq| recorder.write(vec![entry(seq)])));
        assert!(recorder.close(TEST_TIMEOUT));
        let recording = Recording::read(&mut BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!((recording.input_log.len(), recording.damage), (100, None));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn full_disk_is_reported_once() {
        let full = OpenOptions::new().write(true).open("/dev/full");
        let Ok(full) = full else { return }; // only Linux has this device, which refuses all writes
        let (sender, errors) = sync_channel(2);
        let on_error = move |message| sender.send(message).unwrap();
        let mut recorder = Recorder::start(full, header(), on_error).unwrap();
        let message = errors.recv().unwrap();
        assert!(message.contains("nothing more is recorded"), "{message}");
        while recorder.write(vec![entry(1)]) {} // until the thread has ended
        assert!(recorder.close(TEST_TIMEOUT));
        assert!(errors.try_recv().is_err(), "no second report");
    }
}
