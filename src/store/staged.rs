//! The database file as redb sees it: until `release`, what redb writes stays in memory.
//!
//! Opening a redb file writes to it: recovery picks one of two commits and overwrites the other. Whether the outcome
//! can be trusted is known only after our own checks, and a file that we refuse must stay as it was found, for a
//! backup tool or an expert. So recovery happens in memory first. It also lets reads go on while the disk is full.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use redb::StorageBackend;

const PAGE_BYTES: u64 = 4096;

/// One thing that was asked of the file.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write { offset: u64, bytes: Vec<u8> },
    SetLength(u64),
    Sync,
}

impl Step {
    pub(super) fn take(&self, file: &File) -> io::Result<()> {
        match self {
            Self::Write { offset, bytes } => file.write_all_at(bytes, *offset),
            Self::SetLength(length) => file.set_len(*length),
            Self::Sync => file.sync_data(),
        }
    }
}

/// Cheap to clone: redb has one, and we keep one to release it.
#[derive(Clone, Debug)]
pub(super) struct StagedFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: File,
    is_released: AtomicBool,
    staged: Mutex<Staged>,
}

#[derive(Debug)]
struct Staged {
    length: u64,
    /// So much of the file itself is still to be seen: what was never cut off.
    valid: u64,
    /// Pages that differ from the file's.
    pages: HashMap<u64, Vec<u8>>,
    /// What was asked so far, in order: the order is what makes redb's writes safe against a crash.
    steps: Vec<Step>,
}

impl StagedFile {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let staged = Mutex::new(Staged { length, valid: length, pages: HashMap::new(), steps: Vec::new() });
        Ok(Self(Arc::new(Shared { file, is_released: AtomicBool::new(false), staged })))
    }

    /// Does to the file what was staged, and from then on everything at once. May be tried again if it fails.
    pub(super) fn release(&self) -> io::Result<()> {
        if self.is_released() {
            return Ok(());
        }
        let mut staged = self.0.staged.lock();
        staged.steps.iter().try_for_each(|step| step.take(&self.0.file))?;
        staged.pages = HashMap::new();
        staged.steps = Vec::new();
        self.0.is_released.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes durable what is in the file itself. What opening it wrote may still be in memory alone: whoever opens the file
    /// comes to the same.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.file.sync_data()
    }

    fn is_released(&self) -> bool {
        self.0.is_released.load(Ordering::Acquire)
    }

    fn take(&self, step: Step) -> io::Result<()> {
        let mut staged = self.0.staged.lock();
        if self.is_released() {
            return step.take(&self.0.file);
        }
        match &step {
            Step::Write { offset, bytes } => staged.write(&self.0.file, *offset, bytes)?,
            Step::SetLength(length) => staged.set_length(*length),
            Step::Sync => {}
        }
        staged.steps.push(step);
        Ok(())
    }

    /// What has been staged so far: what a power cut may cut.
    #[cfg(test)]
    pub(super) fn steps(&self) -> Vec<Step> {
        self.0.staged.lock().steps.clone()
    }
}

impl Staged {
    fn write(&mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.length = self.length.max(offset + bytes.len() as u64);
        for (page, start, part) in parts(offset, bytes.len()) {
            if !self.pages.contains_key(&page) {
                let content = read_page(file, page, self.valid)?;
                self.pages.insert(page, content);
            }
            if let Some(content) = self.pages.get_mut(&page) {
                content[start..start + part.len()].copy_from_slice(&bytes[part]);
            }
        }
        Ok(())
    }

    fn set_length(&mut self, length: u64) {
        // What is cut off reads as zeros if the file grows again.
        self.valid = self.valid.min(length);
        for (page, content) in &mut self.pages {
            let keep = length.saturating_sub(page * PAGE_BYTES).min(PAGE_BYTES);
            content[keep as usize..].fill(0);
        }
        self.length = length;
    }

    fn read(&self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (page, start, part) in parts(offset, out.len()) {
            let length = part.len();
            match self.pages.get(&page) {
                Some(content) => out[part].copy_from_slice(&content[start..start + length]),
                None => out[part].copy_from_slice(&read_page(file, page, self.valid)?[start..start + length]),
            }
        }
        Ok(())
    }
}

/// A page of the file; what lies beyond `valid` is zeros.
fn read_page(file: &File, page: u64, valid: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; PAGE_BYTES as usize];
    let there = valid.saturating_sub(page * PAGE_BYTES).min(PAGE_BYTES);
    file.read_exact_at(&mut content[..there as usize], page * PAGE_BYTES)?;
    Ok(content)
}

/// The pages that a range touches: page number, start within the page, and the part of the range.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let at = offset + done as u64;
        // Below 4096 by the remainder, so it fits.
        let start = (at % PAGE_BYTES) as usize;
        let part = done..length.min(done + PAGE_BYTES as usize - start);
        done = part.end;
        Some((at / PAGE_BYTES, start, part))
    })
}

impl StorageBackend for StagedFile {
    fn len(&self) -> io::Result<u64> {
        if self.is_released() {
            return Ok(self.0.file.metadata()?.len());
        }
        Ok(self.0.staged.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.is_released() {
            return self.0.file.read_exact_at(out, offset);
        }
        self.0.staged.lock().read(&self.0.file, offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.take(Step::SetLength(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.take(Step::Sync)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.is_released() {
            return self.0.file.write_all_at(bytes, offset);
        }
        self.take(Step::Write { offset, bytes: bytes.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20_000_u64, proptest::collection::vec(any::<u8>(), 0..6_000))
                .prop_map(|(offset, bytes)| Step::Write { offset, bytes }),
            1 => (0..24_000_u64).prop_map(Step::SetLength),
            1 => Just(Step::Sync),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_staged_file_reads_as_the_file_will_and_leaves_it_alone_until_then(
            before in proptest::collection::vec(any::<u8>(), 0..10_000),
            steps in proptest::collection::vec(step(), 0..12),
        ) {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let (path, model_path) = (dir.path().join("staged"), dir.path().join("model"));
            fs::write(&path, &before).expect("it can be written");
            fs::write(&model_path, &before).expect("it can be written");
            let open = |path| fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there");
            let (staged, model) = (StagedFile::new(open(&path)).expect("a file"), open(&model_path));
            for step in steps {
                step.take(&model).expect("it can be written");
                staged.take(step).expect("memory");
            }
            let expected = fs::read(&model_path).expect("it is there");
            let length = usize::try_from(staged.len().expect("memory")).expect("short");
            let mut seen = vec![0; length];
            staged.read(0, &mut seen).expect("memory");
            prop_assert!(seen == expected, "staged content differs");
            prop_assert!(fs::read(&path).expect("it is there") == before, "the file was touched");
            staged.release().expect("it can be written");
            prop_assert!(fs::read(&path).expect("it is there") == expected, "released content differs");
        }
    }
}
