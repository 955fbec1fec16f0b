//! The log of one process: a file that it writes itself, so that it can outlive us, cut by us now and then.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// How much of the end is read for the last lines.
const TAIL_BYTES: u64 = 64 * 1024;

/// Opens the log anew for a new process. Each write goes to the end, wherever a cut has moved it.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    // Removed first: a link that a server has put in its place is not followed.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().create_new(true).append(true).open(path)
}

/// Keeps the last half of a log that has grown beyond `limit_bytes`. A line written in the same moment may be lost.
pub(super) fn cut(path: &Path, limit_bytes: u64) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.len() <= limit_bytes {
        return Ok(());
    }
    let end = tail_of(&mut file, limit_bytes / 2)?;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&end)
}

/// The end of the log, as text.
pub(super) fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    Ok(String::from_utf8_lossy(&tail_of(&mut file, TAIL_BYTES)?).into_owned())
}

fn tail_of(file: &mut File, bytes: u64) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_grown_keeps_its_end_and_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = create(&path).expect("made");
        log.write_all(&[b'a'; 100]).expect("written");
        log.write_all(&[b'b'; 60]).expect("written");
        cut(&path, 100).expect("cut");
        log.write_all(b"c").expect("written");
        assert_eq!(tail(&path).expect("read"), format!("{}c", "b".repeat(50)));
        drop(create(&path).expect("made anew"));
        assert_eq!(tail(&path).expect("read"), "");
    }
}
