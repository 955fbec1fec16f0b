//! Processes of this host, as `/proc` shows them. A pid alone names nobody: it is used again. With the time of its
//! start it names one process for as long as the host runs.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// One process, by pid and time of start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number, which is used again.
    pub pid: i32,
    /// Ticks from the host's boot to its start: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

/// The process that has `pid` now.
#[must_use]
pub fn of_pid(pid: i32) -> Option<ProcessId> {
    Some(ProcessId { pid, start_ticks: read(pid)?.start_ticks })
}

/// True if that very process runs; one that has ended and only waits for its parent does not.
#[must_use]
pub fn is_alive(process: ProcessId) -> bool {
    read(process.pid).is_some_and(|stat| stat.start_ticks == process.start_ticks && !matches!(stat.state, 'Z' | 'X'))
}

/// The process that leads a group of its own and works in `folder`: the oldest, if there are several.
#[must_use]
pub fn leader_in(folder: &Path) -> Option<ProcessId> {
    let folder = std::fs::canonicalize(folder).ok()?;
    oldest_leader(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|there| there == folder))
}

/// The process that leads a group of its own and was started with variables (each `NAME=value`) that `is_wanted` knows:
/// the oldest, if there are several. Only those of our own account can be asked, for root all.
#[must_use]
pub fn leader_started_with(is_wanted: impl Fn(&[&[u8]]) -> bool) -> Option<ProcessId> {
    oldest_leader(|pid| {
        let Ok(variables) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
        is_wanted(&variables.split(|byte| *byte == 0).collect::<Vec<_>>())
    })
}

/// The variables that a running process was started with, as it shows them now: it can change them. A value that is
/// no UTF-8 is left out. Only processes of our own account can be asked, for root all.
///
/// # Errors
/// If it does not run any more or is somebody else's.
pub fn environment_of(process: ProcessId) -> std::io::Result<Vec<(String, String)>> {
    let variables = std::fs::read(format!("/proc/{}/environ", process.pid))?;
    if !is_alive(process) {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    let texts = variables.split(|byte| *byte == 0).filter_map(|variable| std::str::from_utf8(variable).ok());
    Ok(texts.filter_map(|text| text.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect())
}

fn oldest_leader(is_wanted: impl Fn(i32) -> bool) -> Option<ProcessId> {
    let pids = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let leads = |pid: &i32| read(*pid).is_some_and(|stat| stat.group == *pid);
    pids.filter(leads).filter(|pid| is_wanted(*pid)).filter_map(of_pid).min_by_key(|process| process.start_ticks)
}

/// Which boot of the host this is: a `ProcessId` means nothing in another.
#[must_use]
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Signals the whole group that `leader` leads; a pid used again is left alone.
pub fn signal_group(leader: ProcessId, signal: Signal) {
    // The group may outlive its leader; its number is not given to another while it has members. Only if the leader's
    // number is somebody else's now is the group not ours.
    let is_somebody_else = of_pid(leader.pid).is_some_and(|now| now != leader);
    if let (false, Some(pid)) = (is_somebody_else, Pid::from_raw(leader.pid)) {
        // Nobody left in it is a success.
        let _ = kill_process_group(pid, signal);
    }
}

/// What a program and all that it has started have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Processor time, also of those of them that have ended, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory that is theirs alone: what the kernel would not get back from a file.
    pub memory_bytes: u64,
}

/// What the group that `leader` leads uses, with all that any of it has started: a notebook's kernels have groups of their
/// own. None: it does not run.
#[must_use]
pub fn usage_of_tree(leader: ProcessId) -> Option<TreeUsage> {
    if !is_alive(leader) {
        return None;
    }
    let pids = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: Vec<(i32, Stat)> = pids.filter_map(|pid| Some((pid, read(pid)?))).collect();
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let page = rustix::param::page_size() as u64;
    let mut usage = TreeUsage::default();
    for (pid, stat) in tree(&all, leader.pid) {
        usage.cpu_ns = usage.cpu_ns.saturating_add(stat.ticks.saturating_mul(tick_ns));
        usage.memory_bytes = usage.memory_bytes.saturating_add(own_pages(pid).unwrap_or(0).saturating_mul(page));
    }
    Some(usage)
}

/// Those of the group and those whom any of them has started, at whatever remove.
fn tree(all: &[(i32, Stat)], leader: i32) -> Vec<(i32, &Stat)> {
    let mut members: Vec<_> = all
        .iter()
        .filter(|(pid, stat)| stat.group == leader || *pid == leader)
        .map(|(pid, stat)| (*pid, stat))
        .collect();
    let mut known: std::collections::HashSet<i32> = members.iter().map(|(pid, _)| *pid).collect();
    let mut next = 0;
    while let Some((parent, _)) = members.get(next).copied() {
        next += 1;
        members.extend(
            all.iter()
                .filter(|(pid, stat)| stat.parent == parent && known.insert(*pid))
                .map(|(pid, stat)| (*pid, stat)),
        );
    }
    members
}

/// Resident pages without those that files back or that are shared.
fn own_pages(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut fields = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

/// What a `stat` line says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    /// Processor time, with that of children that have ended.
    ticks: u64,
    start_ticks: u64,
}

fn read(pid: i32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a `stat` line. The second field is the program's name in brackets, which may hold anything, brackets and
/// blanks too: count from the last bracket.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // The state is field 3, the parent 4, the group 5, processor time 14 to 17, the start 22.
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let mut ticks = 0_u64;
    for field in [fields.nth(8)?, fields.next()?, fields.next()?, fields.next()?] {
        // That of ended children may be negative by a mistake of old kernels.
        ticks = ticks.saturating_add(u64::try_from(field.parse::<i64>().ok()?).unwrap_or(0));
    }
    let start_ticks = fields.nth(4)?.parse().ok()?;
    Some(Stat { state, parent, group, ticks, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_full_of_brackets_misleads_nobody() {
        let stat = "42 (a) b (c) S 1 43 42 0 -1 4194560 0 0 0 0 5 6 70 80 20 0 1 0 98765 0 0";
        let expected = Stat { state: 'S', parent: 1, group: 43, ticks: 161, start_ticks: 98_765 };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("42 (x"), None);
    }

    #[test]
    fn a_tree_holds_the_group_and_what_it_has_started_under_other_groups() {
        let stat = |parent, group| Stat { state: 'S', parent, group, ticks: 1, start_ticks: 0 };
        let all = [
            (10, stat(1, 10)),
            (11, stat(10, 10)),
            // A kernel with a group of its own, and what it has started.
            (12, stat(11, 12)),
            (13, stat(12, 13)),
            // One whose parent has ended: its group tells.
            (14, stat(1, 10)),
            (20, stat(1, 20)),
            // Nobody is their own parent, but `/proc` is read while it changes.
            (21, stat(21, 21)),
        ];
        let mut pids: Vec<_> = tree(&all, 10).into_iter().map(|(pid, _)| pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [10, 11, 12, 13, 14]);
    }

    #[test]
    fn what_we_use_ourselves_is_counted() {
        let own = of_pid(i32::try_from(std::process::id()).expect("a pid")).expect("we run");
        let before = usage_of_tree(own).expect("we run");
        let block = vec![1_u8; 64 << 20];
        let begun = std::time::Instant::now();
        while begun.elapsed().as_millis() < 150 {
            std::hint::black_box(&block);
        }
        let after = usage_of_tree(own).expect("we run");
        assert!(after.cpu_ns > before.cpu_ns, "{before:?} {after:?}");
        assert!(after.memory_bytes >= 64 << 20, "{after:?}");
        assert_eq!(usage_of_tree(ProcessId { start_ticks: own.start_ticks + 1, ..own }), None);
    }

    #[test]
    fn we_are_alive_and_a_process_of_another_time_is_not() {
        let own = of_pid(i32::try_from(std::process::id()).expect("a pid")).expect("we run");
        assert!(is_alive(own));
        assert!(!is_alive(ProcessId { start_ticks: own.start_ticks + 1, ..own }));
    }
}
