//! What one answer of the engine's statistics says of a container.
//!
//! Which words stand where depends on the kernel's control groups: the older ones say `total_inactive_file`, the newer
//! ones `inactive_file`.

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};

use crate::spawner::backend::{ProcessorReading, UsageReading};

/// None: the container does not run, of which the engine says that it uses nothing at all.
pub(super) fn read(stats: &ContainerStatsResponse) -> Option<UsageReading> {
    let processor = stats.cpu_stats.as_ref().and_then(processor);
    let memory_bytes = stats.memory_stats.as_ref().and_then(memory);
    (processor.is_some() || memory_bytes.is_some()).then_some(UsageReading { processor, memory_bytes })
}

/// The engine's own formula for people is used / system x cores, over two answers: so one core's clock is system / cores.
fn processor(stats: &ContainerCpuStats) -> Option<ProcessorReading> {
    let usage = stats.cpu_usage.as_ref()?;
    let used_ns = usage.total_usage?;
    let listed = || usage.percpu_usage.as_ref().and_then(|cores| u32::try_from(cores.len()).ok());
    let cores = stats.online_cpus.filter(|cores| *cores > 0).or_else(listed).filter(|cores| *cores > 0)?;
    let core_ns = stats.system_cpu_usage? / u64::from(cores);
    Some(ProcessorReading { used_ns, core_ns, cores })
}

fn memory(stats: &ContainerMemoryStats) -> Option<u64> {
    let usage = stats.usage?;
    let caches = stats.stats.as_ref();
    let inactive = caches.and_then(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")));
    // More cache than memory is a mistake of the kernel's count, which happens for a moment.
    Some(inactive.and_then(|inactive| usage.checked_sub(*inactive)).unwrap_or(usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(text: &str) -> Option<UsageReading> {
        read(&serde_json::from_str(text).expect("the engine's answer"))
    }

    /// Two answers of engine 20.10 on control groups 1, five seconds apart, of a container that held 100 MB and burnt what
    /// it got of two cores: half of one.
    #[test]
    fn answers_of_an_engine_are_read() {
        let first = recorded(include_str!("stats/busy_1.json")).expect("it runs");
        let second = recorded(include_str!("stats/busy_2.json")).expect("it runs");
        let (before, after) = (first.processor.expect("counted"), second.processor.expect("counted"));
        let cores = (after.used_ns - before.used_ns) as f64 / (after.core_ns - before.core_ns) as f64;
        assert!((0.45..0.55).contains(&cores), "{cores}");
        assert_eq!((first.memory_bytes, after.cores), (Some(110_813_184 - 1_662_976), 2));
        let idle = [include_str!("stats/idle_1.json"), include_str!("stats/idle_2.json")];
        let idle = idle.map(|text| recorded(text).expect("it runs"));
        let used = idle.map(|reading| reading.processor.expect("counted").used_ns);
        assert_eq!((used[0], idle[0].memory_bytes), (used[1], Some(901_120)));
    }

    #[test]
    fn newer_control_groups_and_newer_engines_have_other_words() {
        let text = r#"{"cpu_stats":{"cpu_usage":{"total_usage":5000},"system_cpu_usage":80000,"online_cpus":4},
            "memory_stats":{"usage":1000,"stats":{"inactive_file":300,"anon":600},"limit":9000}}"#;
        let expected = ProcessorReading { used_ns: 5_000, core_ns: 20_000, cores: 4 };
        assert_eq!(recorded(text), Some(UsageReading { processor: Some(expected), memory_bytes: Some(700) }));
    }

    #[test]
    fn what_is_not_said_is_unknown_and_never_0() {
        // A container that does not run any more.
        let ended = r#"{"cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#;
        assert_eq!(recorded(ended), None);
        let no_cores = r#"{"cpu_stats":{"cpu_usage":{"total_usage":1},"system_cpu_usage":2,"online_cpus":0},
            "memory_stats":{"usage":10,"stats":{"inactive_file":11}}}"#;
        assert_eq!(recorded(no_cores), Some(UsageReading { processor: None, memory_bytes: Some(10) }));
        assert_eq!(recorded("{}"), None);
    }
}
