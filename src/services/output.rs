//! What a service's program writes, line by line into our log: bounded in length and number, without its token.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::host::log_line::clean;
use crate::model::{Secret, ServiceName};

/// What is kept of one line while it is read; the rest of a longer one is dropped.
const LINE_LIMIT_BYTES: usize = 4 * 1024;
const SECOND: Duration = Duration::from_secs(1);

/// Reads `stream` to its end and logs its lines, at most `lines_per_second` of them.
pub(super) async fn follow(
    service: ServiceName,
    token: Arc<Secret>,
    stream: impl AsyncRead + Unpin,
    lines_per_second: u32,
) {
    let mut allowance = Allowance::new(lines_per_second);
    let log = |line: &str| info!(service = %service, "{line}");
    read_lines(stream, |line| {
        let line = clean(&String::from_utf8_lossy(line)).replace(token.expose(), "***");
        if line.trim().is_empty() {
            return;
        }
        if let Some(missed @ 1..) = allowance.begin_second() {
            warn!(service = %service, lines = missed, "a service wrote more lines than are logged");
        }
        if allowance.take() {
            log(&line);
        }
    })
    .await;
}

/// Calls `each` for every line; one without an end counts when the stream ends.
async fn read_lines(mut stream: impl AsyncRead + Unpin, mut each: impl FnMut(&[u8])) {
    let mut line = Vec::new();
    let mut buffer = vec![0; LINE_LIMIT_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        for part in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_LIMIT_BYTES.saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                each(line.trim_ascii_end());
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        each(&line);
    }
}

/// So many lines a second.
struct Allowance {
    limit: u32,
    left: u32,
    missed: u32,
    since: Instant,
}

impl Allowance {
    fn new(limit: u32) -> Self {
        Self { limit, left: limit, missed: 0, since: Instant::now() }
    }

    /// How many lines the last second has missed, once a new one has begun.
    fn begin_second(&mut self) -> Option<u32> {
        if self.since.elapsed() < SECOND {
            return None;
        }
        self.since = Instant::now();
        self.left = self.limit;
        Some(std::mem::take(&mut self.missed))
    }

    fn take(&mut self) -> bool {
        if self.left == 0 {
            self.missed += 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_whole_however_they_arrive_and_none_is_endless() {
        let long = "x".repeat(3 * LINE_LIMIT_BYTES);
        let text = format!("one\r\ntwo\n\n{long}\nlast");
        let mut lines = Vec::new();
        read_lines(text.as_bytes(), |line| lines.push(String::from_utf8_lossy(line).into_owned())).await;
        assert_eq!(lines, ["one", "two", "", &long[..LINE_LIMIT_BYTES], "last"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_the_next_second_is_free() {
        let mut allowance = Allowance::new(2);
        assert!(allowance.begin_second().is_none() && allowance.take() && allowance.take() && !allowance.take());
        tokio::time::advance(SECOND).await;
        assert_eq!(allowance.begin_second(), Some(1));
        assert!(allowance.take());
    }
}
