//! What one user uses, for their page and for the list: figures, warnings, and the last week.

use minijinja::context;
use minijinja::value::Value;

use super::wish::Entry;
use crate::hub::ActivityConfig;
use crate::hub::HubState;
use crate::hub::activity::Using;
use crate::hub::pages::host::size;
use crate::hub::pages::plot;
use crate::hub::templates::moment;

/// Cores for people: two digits of what is less than ten.
pub(super) fn cores(cores: f64) -> String {
    if cores < 9.95 { format!("{cores:.2}") } else { format!("{cores:.0}") }
}

/// From what on there are warnings, for people; none where there never are.
pub(super) fn thresholds(config: &ActivityConfig) -> Value {
    let bytes = |bytes: u64| (bytes > 0).then(|| size(bytes));
    context! {
        layer => bytes(config.warn_layer_bytes),
        volumes => bytes(config.warn_volumes_bytes),
        memory => (config.warn_memory_percent > 0).then_some(config.warn_memory_percent),
    }
}

/// All of it, for the user's own page among the administrators'.
pub(super) fn view(state: &HubState, entry: &Entry) -> Value {
    let using = &entry.using;
    let host_memory = state.host_memory();
    let hours = state.activity.hours_of(&entry.name, entry.created, state.clock.now());
    let above = using.above(&state.config.activity, host_memory);
    let parts = state.spawner.volume_sizes_of(&entry.name).unwrap_or_default().parts;
    let parts = parts.into_iter().map(|(suffix, bytes)| context! { suffix, size => size(bytes) });
    context! {
        plot => plot::bars(&hours),
        sampled => state.activity.last_look().map(moment),
        is_up => entry.server.is_up(),
        volume_parts => parts.collect::<Vec<_>>(),
        above_memory => above.memory,
        above_volumes => above.volumes,
        above_layer => above.layer,
        warns => thresholds(&state.config.activity),
        ..figures(using, host_memory)
    }
}

fn figures(using: &Using, host_memory: Option<u64>) -> Value {
    let Using { cpu_cores, cpu_limit, memory_bytes, memory_limit, layer_bytes, volume_bytes, activity, .. } = *using;
    context! {
        cpu => cpu_cores.map(cores),
        cpu_limit => cpu_limit.map(|limit| format!("{limit}")),
        memory => memory_bytes.map(size),
        memory_limit => memory_limit.map(size),
        host_memory => host_memory.map(size),
        layer => layer_bytes.map(size),
        volumes => volume_bytes.map(size),
        activity => activity.map(|activity| context! {
            score => activity.score,
            bars => activity.bars(),
            level => activity.level().word(),
            hours => format!("{:.1}", activity.hours_per_day),
            samples => activity.samples,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_said_with_two_digits_where_it_matters() {
        assert_eq!([0.0, 0.004, 0.5, 1.0, 9.94, 12.3].map(cores), ["0.00", "0.00", "0.50", "1.00", "9.94", "12"]);
    }

    #[test]
    fn a_threshold_of_0_is_none() {
        let config = ActivityConfig { warn_layer_bytes: 0, warn_memory_percent: 0, ..ActivityConfig::default() };
        let shown = thresholds(&config);
        assert!(
            shown.get_attr("layer").expect("there").is_none() && shown.get_attr("memory").expect("there").is_none()
        );
        assert_eq!(shown.get_attr("volumes").expect("there").as_str(), Some("50 GiB"));
    }
}
