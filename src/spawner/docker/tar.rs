//! Just enough of the tar format: one header for a folder with an owner, and reading the first header of an archive.

/// Headers and contents come in blocks of this size.
pub(super) const BLOCK_BYTES: usize = 512;
/// The end of an archive: two empty blocks.
pub(super) const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// What the first header of an archive says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) size_bytes: u64,
}

/// A ustar header that makes `path` (relative, at most 99 bytes; longer ones are left out) a folder of this owner.
pub(super) fn folder(path: &str, mode: u64, uid: u64, gid: u64) -> Vec<u8> {
    let name = format!("{}/", path.trim_matches('/'));
    if name.len() > 99 {
        return Vec::new();
    }
    let mut block = vec![0_u8; BLOCK_BYTES];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &name);
    put(100, &format!("{:07o}\0", mode & 0o7777));
    put(108, &format!("{uid:07o}\0"));
    put(116, &format!("{gid:07o}\0"));
    put(124, "00000000000\0");
    put(136, "00000000000\0");
    // The checksum is counted with blanks in its own place.
    put(148, "        ");
    put(156, "5");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Reads the first header; none if the archive is shorter or a number is none.
pub(super) fn read_entry(archive: &[u8]) -> Option<Entry> {
    let header = archive.get(..BLOCK_BYTES)?;
    Some(Entry {
        mode: octal(&header[100..108])?,
        uid: octal(&header[108..116])?,
        size_bytes: octal(&header[124..136])?,
    })
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == '\0' || c == ' ');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let block = folder("/home/jovyan/work", 0o2775, 1000, 100);
        assert_eq!(block.len(), BLOCK_BYTES);
        assert!(block.starts_with(b"home/jovyan/work/\0"));
        assert_eq!(read_entry(&block), Some(Entry { mode: 0o2775, uid: 1000, size_bytes: 0 }));
        assert_eq!(read_entry(&block[..100]), None);
    }

    #[test]
    fn a_header_is_what_gnu_tar_understands() {
        let folder_of_alice = folder("home/alice", 0o755, 1000, 1000);
        let stored = octal(&folder_of_alice[148..156]).expect("a checksum");
        let mut blank = folder_of_alice;
        blank[148..156].fill(b' ');
        assert_eq!(stored, blank.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    }
}
