//! A log file that may be moved away under us, as logrotate does: whoever moves it finds a new one begun.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often it is looked whether the file is still there. 1 s: `delaycompress` and `postrotate` wait longer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Appends to a file, which is opened anew when another stands in its place, or none.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// Device and inode of what is open.
    identity: (u64, u64),
    looked_at: Instant,
}

impl LogFile {
    /// Opens it, and makes it if it is not there; only we and our group may read it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let (file, identity) = open(&path)?;
        Ok(Self { path, file, identity, looked_at: Instant::now() })
    }

    fn look(&mut self) {
        let is_same = std::fs::metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if !is_same && let Ok((file, identity)) = open(&self.path) {
            // If it cannot be opened, lines go on to where they went: better there than nowhere.
            (self.file, self.identity) = (file, identity);
        }
    }
}

fn open(path: &PathBuf) -> io::Result<(File, (u64, u64))> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let metadata = file.metadata()?;
    Ok((file, (metadata.dev(), metadata.ino())))
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.looked_at.elapsed() >= LOOK_EVERY {
            self.looked_at = Instant::now();
            self.look();
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let mut file = LogFile::open(path.clone()).expect("opened");
        file.write_all(b"one\n").expect("written");
        fs::rename(&path, &moved).expect("moved");
        file.write_all(b"two\n").expect("written");
        // As if a second had passed.
        file.look();
        file.write_all(b"three\n").expect("written");
        assert_eq!(fs::read_to_string(&moved).expect("the old file"), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).expect("the new file"), "three\n");
        drop(file);
        let mut file = LogFile::open(path.clone()).expect("opened again");
        file.write_all(b"four\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "three\nfour\n");
    }
}
