//! Settings of idle servers, and which of them cannot be together.

use std::time::Duration;

use super::Reader;
use crate::edge::IgnoredPaths;
use crate::model::{ActivitySource, IdleRules, Switches};
use crate::spawner::IdleConfig;

const AFTER: &str = "spawner.idle.after_minutes";
const MAX_AGE: &str = "spawner.idle.max_age_hours";
const WARN: &str = "spawner.idle.warn_before_minutes";
const CORES: &str = "spawner.idle.activity.processor_cores";
const IGNORED: &str = "spawner.idle.activity.ignored_paths";
const CHECK: &str = "spawner.idle.check_interval_s";

/// The switch of each source that has one.
const SWITCHES: [(&str, ActivitySource); 7] = [
    ("spawner.idle.activity.requests", ActivitySource::Request),
    ("spawner.idle.activity.websockets", ActivitySource::WebSocket),
    ("spawner.idle.activity.kernels", ActivitySource::Kernel),
    ("spawner.idle.activity.terminals", ActivitySource::Terminal),
    ("spawner.idle.activity.processor", ActivitySource::Processor),
    ("spawner.idle.activity.gpu", ActivitySource::Gpu),
    ("spawner.idle.activity.reported", ActivitySource::Reported),
];

pub(super) fn config(read: &mut Reader<'_>) -> IdleConfig {
    let minutes = |count: i64| Duration::from_secs(count.unsigned_abs() * 60);
    let hours = |count: i64| minutes(count.saturating_mul(60));
    let some = |time: Duration| Some(time).filter(|time| !time.is_zero());
    let rules = IdleRules {
        idle_after: some(minutes(read.integer(AFTER))),
        max_age: some(hours(read.integer(MAX_AGE))),
        extension_at_most: hours(read.integer("spawner.idle.extension_hours")),
        stops_busy_kernels: read.flag("spawner.idle.stop_busy_kernels"),
    };
    let on = SWITCHES.into_iter().filter(|(key, _)| read.flag(key)).map(|(_, source)| source);
    let config = IdleConfig {
        rules,
        check_interval: Duration::from_secs(read.seconds(CHECK)),
        warn_before: minutes(read.integer(WARN)),
        switches: Switches::of(on),
        processor_cores: read.float(CORES),
        questions_at_once: read.count("spawner.idle.questions_at_once"),
        gpu_percent: read.number("spawner.idle.activity.gpu_percent"),
    };
    check(read, &config);
    config
}

/// What the edge never takes for use.
pub(super) fn ignored_paths(read: &mut Reader<'_>) -> IgnoredPaths {
    let paths = read.parsed_all(IGNORED, IgnoredPaths::check);
    IgnoredPaths::of(paths).unwrap_or_else(|error| {
        read.refuse(IGNORED, error);
        IgnoredPaths::default()
    })
}

fn check(read: &mut Reader<'_>, config: &IdleConfig) {
    let IdleConfig { rules, warn_before, switches, processor_cores, check_interval, .. } = config;
    if switches.counts(ActivitySource::Processor) && *processor_cores <= 0.0 {
        let cure = "set spawner.idle.activity.processor = false if computing shall not count";
        read.refuse(CORES, format!("must be more than 0, else every server would always be in use; {cure}"));
    }
    let Some(idle_after) = rules.idle_after else { return };
    if rules.max_age.is_some_and(|age| age < idle_after) {
        let cure = "make it longer, or set spawner.idle.after_minutes = 0";
        read.refuse(MAX_AGE, format!("is less than {AFTER}, which would never come into effect; {cure}"));
    }
    if *warn_before >= idle_after {
        read.refuse(WARN, format!("must be less than {AFTER}, or 0 for no notice"));
    }
    if *check_interval > idle_after {
        read.refuse(CHECK, format!("is longer than {AFTER}; leave the line out for 60"));
    }
    if *switches == Switches::of([]) && !rules.stops_busy_kernels {
        let cure = "switch one of spawner.idle.activity on, or set spawner.idle.max_age_hours instead";
        read.refuse(AFTER, format!("would count from the start of a server, since no use of it counts; {cure}"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn load(lines: &str) -> Result<IdleConfig, Vec<String>> {
        let file = format!("[spawner.idle]\n{lines}");
        crate::config::load(Some((Path::new("s.toml"), &file)), [])
            .map(|(_, config)| config.spawner.idle)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nobody_is_stopped_unless_somebody_says_so() {
        assert_eq!(load(""), Ok(IdleConfig::default()));
        assert!(IdleConfig::default().rules.are_off());
    }

    #[test]
    fn what_is_said_is_what_is_meant() {
        let config = load("after_minutes = 90\nmax_age_hours = 48\nactivity.kernels = false").expect("sound");
        assert_eq!(config.rules.idle_after, Some(Duration::from_secs(5_400)));
        assert_eq!(config.rules.max_age, Some(Duration::from_secs(172_800)));
        assert_eq!(config.switches, Switches::default().without(ActivitySource::Kernel));
    }

    #[test]
    fn settings_that_undo_each_other_are_mistakes_with_a_cure() {
        for (lines, key, cure) in [
            ("after_minutes = 90\nmax_age_hours = 1", MAX_AGE, "make it longer"),
            ("after_minutes = 10", WARN, "or 0 for no notice"),
            ("after_minutes = 1\nwarn_before_minutes = 0\ncheck_interval_s = 61", CHECK, "leave the line out"),
            ("activity.processor_cores = 0", CORES, "spawner.idle.activity.processor = false"),
            (
                "after_minutes = 60\nactivity = { requests = false, websockets = false, kernels = false, \
                 terminals = false, processor = false, gpu = false }",
                AFTER,
                "switch one of spawner.idle.activity on",
            ),
        ] {
            let mistakes = load(lines).expect_err(lines);
            assert!(mistakes.iter().any(|text| text.contains(key) && text.contains(cure)), "{lines}: {mistakes:?}");
        }
    }
}
