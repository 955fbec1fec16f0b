//! Processes of this host, as `/proc` shows them. A pid alone names nobody: it is used again. With the time of its
//! start it names one process for as long as the host runs.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct ProcessId {
    pub(super) pid: i32,
    /// Ticks from the host's boot to its start: field 22 of `/proc/PID/stat`.
    pub(super) start_ticks: u64,
}

/// The process that has `pid` now.
pub(super) fn of_pid(pid: i32) -> Option<ProcessId> {
    let (start_ticks, _) = read(pid)?;
    Some(ProcessId { pid, start_ticks })
}

/// True if that very process runs; one that has ended and only waits for its parent does not.
pub(super) fn is_alive(process: ProcessId) -> bool {
    read(process.pid)
        .is_some_and(|(start_ticks, state)| start_ticks == process.start_ticks && !matches!(state, 'Z' | 'X'))
}

/// The process that leads a group of its own and works in `folder`: the oldest, if there are several.
pub(super) fn leader_in(folder: &Path) -> Option<ProcessId> {
    let folder = std::fs::canonicalize(folder).ok()?;
    let pids = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let works_there = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|there| there == folder);
    let leads = |pid: &i32| {
        let leader = rustix::process::Pid::from_raw(*pid).and_then(|pid| rustix::process::getpgid(Some(pid)).ok());
        leader.is_some_and(|leader| leader.as_raw_nonzero().get() == *pid)
    };
    pids.filter(works_there).filter(leads).filter_map(of_pid).min_by_key(|process| process.start_ticks)
}

fn read(pid: i32) -> Option<(u64, char)> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Start and state from a `stat` line. The second field is the program's name in brackets, which may hold anything,
/// brackets and blanks too: count from the last bracket.
fn parse(stat: &str) -> Option<(u64, char)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is field 3, the start is field 22.
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some((start_ticks, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_brackets_misleads_nobody() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        assert_eq!(parse(stat), Some((98_765, 'S')));
        assert_eq!(parse("42 (x"), None);
    }

    #[test]
    fn we_are_alive_and_a_process_of_another_time_is_not() {
        let own = of_pid(i32::try_from(std::process::id()).expect("a pid")).expect("we run");
        assert!(is_alive(own));
        assert!(!is_alive(ProcessId { start_ticks: own.start_ticks + 1, ..own }));
    }
}
