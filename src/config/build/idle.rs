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
