//! Lines on their way out: a bounded queue, a thread that writes, and a count of what did not fit.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Bounds of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterLimits {
    /// Lines that wait for a slow reader. 4096: a burst of a second at full load, 8 MiB at the very most.
    pub queue_lines: usize,
    /// Bytes of one line; a longer one is cut. 8 KiB: room for a request target at its limit.
    pub line_bytes: usize,
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self { queue_lines: 4096, line_bytes: 8 * 1024 }
    }
}

/// Takes lines without ever waiting. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LineWriter {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    line_bytes: usize,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl LineWriter {
    /// A writer to `output` with a thread of its own, which ends with the last clone.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn new(output: impl Write + Send + 'static, limits: &WriterLimits) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(limits.queue_lines.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = dropped.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(output, &lines, &counter))?;
        Ok(Self { queue, dropped, line_bytes: limits.line_bytes })
    }

    /// Queues one line, with its line feed; drops and counts it if the queue is full. Never waits.
    pub fn write_line(&self, mut line: Vec<u8>) {
        if line.len() > self.line_bytes {
            line.truncate(floor_of_char(&line, self.line_bytes));
            line.push(b'\n');
        }
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(Message::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What `dropped` reads.
    pub(super) fn dropped_counter(&self) -> Arc<AtomicU64> {
        self.dropped.clone()
    }

    /// Bytes after which a line is cut.
    pub(super) fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Waits until all lines queued so far are out, up to `limit`. For the end of the program. Blocks.
    pub fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let (done, is_done) = sync_channel(1);
        let mut message = Message::Flush(done);
        // A full queue empties as fast as its reader reads; there is no wait with a limit for a place in it.
        while let Err(refused) = self.queue.try_send(message) {
            let TrySendError::Full(back) = refused else { return };
            if Instant::now() >= deadline {
                return;
            }
            message = back;
            std::thread::sleep(FLUSH_PAUSE);
        }
        let _ = is_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Between two tries to ask a full queue for a flush.
const FLUSH_PAUSE: Duration = Duration::from_millis(1);
/// How long the thread collects lines before it hands them to the system in one call.
const COLLECT_FOR: Duration = Duration::from_millis(5);
/// What it collects at most.
const COLLECT_BYTES: usize = 64 * 1024;

fn write_all(mut output: impl Write, lines: &Receiver<Message>, dropped: &AtomicU64) {
    let mut told = 0;
    let mut batch = Vec::new();
    while let Ok(first) = lines.recv() {
        // Nobody waits for it: a line that comes meanwhile wakes no thread, which would cost whoever writes it more than
        // the line itself.
        std::thread::sleep(COLLECT_FOR);
        let mut flushes = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Line(line) => batch.extend_from_slice(&line),
                Message::Flush(done) => flushes.push(done),
            }
            if batch.len() < COLLECT_BYTES {
                next = lines.try_recv().ok();
            }
        }
        // A reader that is gone, or a full disk: the program goes on, the lines are counted.
        if output.write_all(&batch).and_then(|()| output.flush()).is_err() {
            dropped.fetch_add(batch.iter().filter(|byte| **byte == b'\n').count() as u64, Ordering::Relaxed);
        }
        batch.clear();
        batch.shrink_to(COLLECT_BYTES);
        for done in flushes {
            let _ = done.try_send(());
        }
        let total = dropped.load(Ordering::Relaxed);
        if total > told {
            let _ = output.write_all(format!("{{\"level\":\"warn\",\"message\":\"{} log lines were dropped because their reader was too slow\"}}\n", total - told).as_bytes());
            told = total;
        }
    }
}

/// The last start of a UTF-8 character at or before `limit`.
fn floor_of_char(bytes: &[u8], limit: usize) -> usize {
    (0..=limit).rev().find(|at| bytes.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Writes into memory; while it is locked, its reader stalls.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_no_time() {
        let output = Shared::default();
        let writer = LineWriter::new(output.clone(), &WriterLimits { queue_lines: 10, line_bytes: 100 });
        let writer = writer.expect("a thread");
        let stall = output.0.lock();
        for _ in 0..10_000 {
            writer.write_line(b"line\n".to_vec());
        }
        assert!(writer.dropped() > 0);
        drop(stall);
        writer.flush(Duration::from_secs(10));
        writer.write_line(b"last\n".to_vec());
        writer.flush(Duration::from_secs(10));
        let written = String::from_utf8(output.0.lock().clone()).expect("text");
        assert!(written.contains("lines were dropped") && written.ends_with("last\n"), "{written}");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let output = Shared::default();
        let writer = LineWriter::new(output.clone(), &WriterLimits { queue_lines: 10, line_bytes: 4 });
        let writer = writer.expect("a thread");
        writer.write_line("aüüü\n".into());
        writer.flush(Duration::from_secs(10));
        assert_eq!(String::from_utf8(output.0.lock().clone()), Ok("aü\n".to_owned()));
    }
}
