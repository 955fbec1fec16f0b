//! What each person uses, gathered from what was looked at in the background: nobody is asked here.

use std::collections::HashMap;

use super::Config;
use crate::hub::HubState;
use crate::model::{ActivityScore, Timestamp, UserName};
use crate::spawner::{LayerSize, UsageSample};

/// What one person uses. What is not known is None, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::hub) struct Using {
    /// Cores in use by all their servers: 1.0 is one, all the time.
    pub(in crate::hub) cpu_cores: Option<f64>,
    /// What these may use at most, if there is a limit on each.
    pub(in crate::hub) cpu_limit: Option<f64>,
    /// Memory of all their servers, in bytes.
    pub(in crate::hub) memory_bytes: Option<u64>,
    /// What these may use at most, if there is a limit on each.
    pub(in crate::hub) memory_limit: Option<u64>,
    /// What their servers have written beside their volumes, in bytes.
    pub(in crate::hub) layer_bytes: Option<u64>,
    /// That and the images of these servers, in bytes.
    pub(in crate::hub) whole_bytes: Option<u64>,
    /// Their volumes, in bytes.
    pub(in crate::hub) volume_bytes: Option<u64>,
    /// How much they work here.
    pub(in crate::hub) activity: Option<ActivityScore>,
}

/// Above which of the installation's thresholds somebody is. Nothing is enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::hub) struct Above {
    pub(in crate::hub) memory: bool,
    pub(in crate::hub) volumes: bool,
    pub(in crate::hub) layer: bool,
}

impl Using {
    /// What is too much, where the host has so much memory.
    pub(in crate::hub) fn above(&self, config: &Config, host_memory: Option<u64>) -> Above {
        let is_above = |value: Option<u64>, limit: u64| limit > 0 && value.is_some_and(|value| value > limit);
        let memory = host_memory.map_or(0, |bytes| bytes / 100 * config.warn_memory_percent);
        Above {
            memory: is_above(self.memory_bytes, memory),
            volumes: is_above(self.volume_bytes, config.warn_volumes_bytes),
            layer: is_above(self.layer_bytes, config.warn_layer_bytes),
        }
    }

    fn add_sample(&mut self, sample: &UsageSample, is_first: bool) {
        let UsageSample { cpu_cores, memory_bytes, limits, .. } = *sample;
        self.cpu_cores = self.cpu_cores.map_or(cpu_cores, |sum| Some(sum + cpu_cores.unwrap_or(0.0)));
        self.memory_bytes = self.memory_bytes.map_or(memory_bytes, |sum| Some(sum + memory_bytes.unwrap_or(0)));
        // Two servers may use what both may; without a limit on one there is none.
        if is_first {
            (self.cpu_limit, self.memory_limit) = (limits.cpu_cores, limits.memory_bytes);
        } else {
            self.cpu_limit = self.cpu_limit.zip(limits.cpu_cores).map(|(sum, more)| sum + more);
            self.memory_limit = self.memory_limit.zip(limits.memory_bytes).map(|(sum, more)| sum + more);
        }
    }

    fn add_layer(&mut self, layer: LayerSize) {
        self.layer_bytes = Some(self.layer_bytes.unwrap_or(0) + layer.written_bytes);
        self.whole_bytes = self.whole_bytes.map_or(layer.whole_bytes, |sum| Some(sum + layer.whole_bytes.unwrap_or(0)));
    }
}

impl HubState {
    /// What everybody uses, of whom anything is known. Ten thousand take some milliseconds.
    pub(in crate::hub) fn using_of_everybody(&self) -> HashMap<UserName, Using> {
        let mut all: HashMap<UserName, Using> = HashMap::new();
        let mut counted: HashMap<UserName, usize> = HashMap::new();
        for (server, sample) in self.spawner.usage() {
            let count = counted.entry(server.user.clone()).or_default();
            all.entry(server.user).or_default().add_sample(&sample, *count == 0);
            *count += 1;
        }
        for (server, layer) in self.spawner.layers() {
            all.entry(server.user).or_default().add_layer(layer);
        }
        for (user, bytes) in self.spawner.volume_totals() {
            all.entry(user).or_default().volume_bytes = Some(bytes);
        }
        all
    }

    /// What one person uses, whose account was made then.
    pub(in crate::hub) fn using_of(&self, name: &UserName, created: Timestamp) -> Using {
        let mut using = Using::default();
        let servers = self.spawner.servers_of(name);
        let samples = servers.iter().filter_map(|(server, _)| self.spawner.usage_of(server));
        samples.enumerate().for_each(|(number, sample)| using.add_sample(&sample, number == 0));
        servers.iter().filter_map(|(server, _)| self.spawner.layer_of(server)).for_each(|layer| using.add_layer(layer));
        using.volume_bytes = self.spawner.volume_sizes_of(name).map(|sizes| sizes.bytes);
        using.activity = self.activity.score_of(name, created);
        using
    }

    /// The host's memory, in bytes; None before the first look at it.
    pub(in crate::hub) fn host_memory(&self) -> Option<u64> {
        (self.host_facts)().and_then(|facts| facts.memory).map(|memory| memory.total_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawner::ResourceLimits;

    fn sample(cpu_cores: Option<f64>, memory_bytes: u64, limit: Option<u64>) -> UsageSample {
        let limits = ResourceLimits { memory_bytes: limit, cpu_cores: Some(2.0) };
        UsageSample { cpu_cores, memory_bytes: Some(memory_bytes), limits, at: Timestamp(0) }
    }

    #[test]
    fn servers_of_one_person_are_added_and_what_is_unknown_stays_so() {
        let mut using = Using::default();
        assert_eq!((using.cpu_cores, using.memory_bytes), (None, None));
        using.add_sample(&sample(None, 10, Some(100)), true);
        assert_eq!((using.cpu_cores, using.memory_bytes, using.memory_limit), (None, Some(10), Some(100)));
        using.add_sample(&sample(Some(1.5), 20, Some(50)), false);
        assert_eq!((using.cpu_cores, using.memory_bytes, using.memory_limit), (Some(1.5), Some(30), Some(150)));
        assert_eq!(using.cpu_limit, Some(4.0));
        using.add_sample(&sample(Some(0.5), 1, None), false);
        assert_eq!((using.cpu_cores, using.memory_limit), (Some(2.0), None), "one without a limit: no limit");
    }

    #[test]
    fn warnings_begin_above_the_threshold_and_0_is_never() {
        let config = Config::default();
        let using = Using {
            memory_bytes: Some(26 << 30),
            volume_bytes: Some(50 << 30),
            layer_bytes: Some((10 << 30) + 1),
            ..Using::default()
        };
        let above = using.above(&config, Some(100 << 30));
        assert_eq!(above, Above { memory: true, volumes: false, layer: true });
        assert!(!using.above(&config, None).memory, "of a host whose memory is unknown");
        let never = Config { warn_layer_bytes: 0, warn_volumes_bytes: 0, warn_memory_percent: 0, ..config };
        assert_eq!(using.above(&never, Some(100 << 30)), Above::default());
        assert_eq!(Using::default().above(&config, Some(1 << 30)), Above::default());
    }
}
