//! The computer itself, as the kernel shows it: processors, memory, disks, and what of them we may use ourselves.
//!
//! `/proc` tells of the whole host, also from within a container. What our own container or unit may use is told by its
//! control group, of either version, and told apart. What cannot be read is None, never 0.

use std::path::{Path, PathBuf};

/// Something that fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// What is taken, in bytes.
    pub used_bytes: u64,
    /// What there is, in bytes.
    pub total_bytes: u64,
}

/// Processor time of all cores since the host began, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorTimes {
    /// What was used.
    pub busy: u64,
    /// That and what was not.
    pub all: u64,
}

impl ProcessorTimes {
    /// How busy the host was between two looks: 0 to 1.
    #[must_use]
    pub fn busy_since(self, before: Self) -> Option<f64> {
        let (busy, all) = (self.busy.checked_sub(before.busy)?, self.all.checked_sub(before.all)?);
        (all > 0).then(|| (busy as f64 / all as f64).min(1.0))
    }
}

/// The host as it is now. Blocks on files of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Its processors.
    pub cores: Option<usize>,
    /// How many of them were wanted on average in the last minute.
    pub load: Option<f64>,
    /// What they have done so far.
    pub times: Option<ProcessorTimes>,
    /// Its memory.
    pub memory: Option<Filled>,
    /// What we may use ourselves, where that is less.
    pub own: OwnLimits,
}

/// What a container or a unit that we run in leaves us; None: no less than the host has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnLimits {
    /// Processors.
    pub cores: Option<f64>,
    /// Memory, with all that runs in the same container or unit.
    pub memory: Option<Filled>,
}

impl Machine {
    /// What the kernel says now.
    #[must_use]
    pub fn look() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).ok();
        let stat = text("/proc/stat");
        let cores = stat.as_deref().and_then(cores_of);
        let memory = text("/proc/meminfo").and_then(|text| memory_of(&text));
        let groups = text("/proc/self/cgroup").unwrap_or_default();
        let own = own_limits(Path::new("/sys/fs/cgroup"), &groups);
        Self {
            cores,
            load: text("/proc/loadavg").and_then(|text| load_of(&text)),
            times: stat.as_deref().and_then(times_of),
            memory,
            own: OwnLimits {
                cores: own.cores.filter(|limit| cores.is_none_or(|cores| *limit < cores as f64)),
                memory: own.memory.filter(|limit| memory.is_none_or(|memory| limit.total_bytes < memory.total_bytes)),
            },
        }
    }
}

/// The file system in which `folder` lies.
#[must_use]
pub fn disk_of(folder: &Path) -> Option<Filled> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.checked_mul(disk.f_frsize);
    // What is kept for root is not free for us: used and free are the whole, as `df` counts.
    let used = disk.f_blocks.checked_sub(disk.f_bfree)?;
    Some(Filled { used_bytes: bytes(used)?, total_bytes: bytes(used.checked_add(disk.f_bavail)?)? })
}

/// Whether two folders lie in the same file system; None if one of them cannot be looked at.
#[must_use]
pub fn is_same_disk(one: &Path, other: &Path) -> Option<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata(one).ok()?.dev() == std::fs::metadata(other).ok()?.dev())
}

fn cores_of(stat: &str) -> Option<usize> {
    let is_core =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    Some(stat.lines().filter(is_core).count()).filter(|count| *count > 0)
}

fn times_of(stat: &str) -> Option<ProcessorTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal: what guests had is in user already.
    let [_, _, _, idle, waiting, ..] = *fields.as_slice() else { return None };
    let all = fields.iter().take(8).try_fold(0_u64, |sum, field| sum.checked_add(*field))?;
    Some(ProcessorTimes { busy: all.checked_sub(idle.checked_add(waiting)?)?, all })
}

fn load_of(loadavg: &str) -> Option<f64> {
    loadavg.split_ascii_whitespace().next()?.parse().ok()
}

fn memory_of(meminfo: &str) -> Option<Filled> {
    let bytes_of = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let total_bytes = bytes_of("MemTotal")?;
    // What programs can still have: caches are no use of memory.
    let used_bytes = total_bytes.checked_sub(bytes_of("MemAvailable")?)?;
    Some(Filled { used_bytes, total_bytes })
}

/// The tightest limits on the way from our control group to the root. In a container of the older version the path is
/// the host's and the files are at the mount's root, which is on the way, too.
fn own_limits(mount: &Path, groups: &str) -> OwnLimits {
    let path_of = |controller: &str| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let unified = path_of("").unwrap_or_default();
    let newer = || folders(mount, &unified);
    let older = |controller: &str| folders(&mount.join(controller), &path_of(controller).unwrap_or_default());
    let cores = newer().into_iter().filter_map(|folder| quota_of(&read(&folder, "cpu.max")?));
    let older_cores = older("cpu").into_iter().filter_map(|folder| {
        let quota: i64 = read(&folder, "cpu.cfs_quota_us")?.parse().ok()?;
        quota_of(&format!("{quota} {}", read(&folder, "cpu.cfs_period_us")?))
    });
    let memory = newer()
        .into_iter()
        .filter_map(|folder| memory_limit(&folder, ["memory.max", "memory.current", "inactive_file"]));
    let words = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
    let older_memory = older("memory").into_iter().filter_map(|folder| memory_limit(&folder, words));
    OwnLimits {
        cores: cores.chain(older_cores).min_by(f64::total_cmp),
        memory: memory.chain(older_memory).min_by_key(|memory| memory.total_bytes),
    }
}

/// From the group's folder up to the mount.
fn folders(mount: &Path, group: &str) -> Vec<PathBuf> {
    let deepest = mount.join(group);
    deepest.ancestors().take_while(|folder| folder.starts_with(mount)).map(Path::to_path_buf).collect()
}

fn read(folder: &Path, file: &str) -> Option<String> {
    Some(std::fs::read_to_string(folder.join(file)).ok()?.trim().to_owned())
}

/// `150000 100000` is one and a half cores; `max 100000` and `-1 100000` are no limit.
fn quota_of(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn memory_limit(folder: &Path, [limit, usage, cache]: [&str; 3]) -> Option<Filled> {
    let total_bytes: u64 = read(folder, limit)?.parse().ok()?;
    let usage: u64 = read(folder, usage)?.parse().ok()?;
    let stat = read(folder, "memory.stat").unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok());
    Some(Filled { used_bytes: usage.saturating_sub(cache.unwrap_or(0)), total_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_does_not_say_is_unknown() {
        let meminfo = "MemTotal:       2000 kB\nMemFree:         100 kB\nMemAvailable:    500 kB\n";
        assert_eq!(memory_of(meminfo), Some(Filled { used_bytes: 1500 << 10, total_bytes: 2000 << 10 }));
        assert_eq!(memory_of("MemTotal: 2000 kB\n"), None);
        assert_eq!(memory_of("MemTotal: 5 kB\nMemAvailable: 6 kB\n"), None);
        assert_eq!((load_of("0.52 0.58 0.59 1/2 3\n"), load_of("")), (Some(0.52), None));
        assert_eq!(disk_of(Path::new("/no/such/folder")), None);
        assert!(disk_of(Path::new("/")).is_some_and(|disk| disk.used_bytes <= disk.total_bytes));
        assert_eq!((cores_of("cpu  1 2\n"), times_of("cpu  1 2\n"), times_of("")), (None, None, None));
    }

    #[test]
    fn processors_are_counted_and_so_is_what_they_do() {
        let stat = "cpu  100 0 50 800 50 0 0 0 70 0\ncpu0 50 0 25 400 25 0 0 0\ncpu1 50 0 25 400 25 0 0 0\nintr 5\n";
        let before = times_of(stat).expect("read");
        assert_eq!((cores_of(stat), before), (Some(2), ProcessorTimes { busy: 150, all: 1000 }));
        let after = ProcessorTimes { busy: 200, all: 1100 };
        assert_eq!(after.busy_since(before), Some(0.5));
        assert_eq!((before.busy_since(after), before.busy_since(before)), (None, None), "the host began anew");
        let here = Machine::look();
        assert!(here.cores.is_some() && here.times.is_some() && here.memory.is_some());
    }

    fn put(folder: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(folder).expect("made");
        files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).expect("written"));
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().expect("a folder");
        put(
            &root.path().join("a.slice"),
            &[("cpu.max", "150000 100000\n"), ("memory.max", "max\n"), ("memory.current", "9")],
        );
        let stat = "anon 5\ninactive_file 100\n";
        let unit =
            [("cpu.max", "max 100000"), ("memory.max", "4000"), ("memory.current", "1000"), ("memory.stat", stat)];
        put(&root.path().join("a.slice/slipway.service"), &unit);
        let own = own_limits(root.path(), "0::/a.slice/slipway.service\n");
        assert_eq!((own.cores, own.memory), (Some(1.5), Some(Filled { used_bytes: 900, total_bytes: 4000 })));
        assert_eq!(own_limits(root.path(), "0::/../../elsewhere\n"), OwnLimits::default());
        assert_eq!(own_limits(&root.path().join("none"), ""), OwnLimits::default());
    }

    #[test]
    fn older_control_groups_are_read_at_the_mounts_root_in_a_container() {
        let root = tempfile::tempdir().expect("a folder");
        put(&root.path().join("cpu"), &[("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "100000")]);
        let memory = [
            ("memory.limit_in_bytes", "5000"),
            ("memory.usage_in_bytes", "700"),
            ("memory.stat", "total_inactive_file 200"),
        ];
        put(&root.path().join("memory"), &memory);
        let own = own_limits(root.path(), "4:memory:/docker/0123\n1:cpu,cpuacct:/docker/0123\n0::/\n");
        assert_eq!((own.cores, own.memory), (None, Some(Filled { used_bytes: 500, total_bytes: 5000 })));
    }
}
