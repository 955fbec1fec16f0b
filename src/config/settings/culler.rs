//! The idle culler's variables of the stack before us (`JUPYTERHUB_IDLE_CULLER_…`): they still mean what they meant.

use std::collections::BTreeMap;

use toml::Value;

use super::aliases::Used;
use super::{KEYS, Mistake, Origin, Setting, accept};

const ENABLED: &str = "JUPYTERHUB_IDLE_CULLER_ENABLED";
const TIMEOUT: &str = "JUPYTERHUB_IDLE_CULLER_TIMEOUT_MINUTES";
const AFTER: &str = "spawner.idle.after_minutes";
/// What it was when it was on and nobody said: a day.
const DEFAULT_MINUTES: i64 = 1_440;

/// A variable, the key that it sets, and what its number is there.
type Alias = (&'static str, &'static str, fn(i64) -> i64);

const ALIASES: [Alias; 4] = [
    (TIMEOUT, AFTER, |minutes| minutes),
    ("JUPYTERHUB_IDLE_CULLER_INTERVAL", "spawner.idle.check_interval_s", |seconds| seconds),
    // In seconds there; a part of an hour is an hour.
    ("JUPYTERHUB_IDLE_CULLER_MAX_AGE", "spawner.idle.max_age_hours", |seconds| {
        seconds / 3_600 + i64::from(seconds % 3_600 > 0)
    }),
    ("JUPYTERHUB_IDLE_CULLER_MAX_EXTENSION_MINUTES", "spawner.idle.extension_hours", |minutes| minutes / 60),
];

/// Only where the culler was switched on. Gives what was set.
pub(super) fn read(
    environment: &[(String, String)],
    settings: &mut BTreeMap<&'static str, Setting>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Used> {
    let mut used = Vec::new();
    let said = |name: &str| {
        let text = environment.iter().find(|(said, _)| said == name).map(|(_, text)| text.trim());
        text.filter(|text| !text.is_empty())
    };
    let refuse = |name: &str, text: &str, problem: &str| Mistake {
        key: name.to_owned(),
        origin: Origin::Environment(name.to_owned()),
        value: text.to_owned(),
        problem: problem.to_owned(),
    };
    match said(ENABLED) {
        Some("1") => {}
        None | Some("0") => return used,
        Some(other) => {
            mistakes.push(refuse(ENABLED, other, "must be 0 or 1; or set spawner.idle.after_minutes instead"));
            return used;
        }
    }
    let mut set = |name: &str, key: &str, number: i64, mistakes: &mut Vec<Mistake>| {
        let Some(key) = KEYS.iter().find(|known| known.name == key) else { return };
        accept(key, Value::Integer(number), Origin::Environment(name.to_owned()), settings, mistakes);
        used.push(Used { alias: name.to_owned(), key: key.name });
    };
    if said(TIMEOUT).is_none() {
        set(ENABLED, AFTER, DEFAULT_MINUTES, mistakes);
    }
    for (name, key, converted) in ALIASES {
        let Some(text) = said(name) else { continue };
        match text.parse::<i64>() {
            Ok(number) => set(name, key, converted(number), mistakes),
            Err(_) => mistakes.push(refuse(name, text, &format!("must be a whole number; or set {key} instead"))),
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn read(environment: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let (settings, mistakes) = Settings::read(None, environment);
        (settings, mistakes.iter().map(ToString::to_string).collect())
    }

    fn numbers(settings: &Settings) -> Vec<i64> {
        let keys = ["after_minutes", "check_interval_s", "max_age_hours", "extension_hours"];
        keys.iter().filter_map(|key| settings.get(&format!("spawner.idle.{key}")).value.as_integer()).collect()
    }

    const ALL: [(&str, &str); 4] = [
        ("JUPYTERHUB_IDLE_CULLER_TIMEOUT_MINUTES", "90"),
        ("JUPYTERHUB_IDLE_CULLER_INTERVAL", "600"),
        ("JUPYTERHUB_IDLE_CULLER_MAX_AGE", "86401"),
        ("JUPYTERHUB_IDLE_CULLER_MAX_EXTENSION_MINUTES", "150"),
    ];

    #[test]
    fn the_old_culler_is_the_new_one_where_it_was_on() {
        let (settings, mistakes) = read(&[&[("JUPYTERHUB_IDLE_CULLER_ENABLED", "1")], &ALL[..]].concat());
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!(numbers(&settings), [90, 600, 25, 2]);
        let (settings, _) = read(&[("JUPYTERHUB_IDLE_CULLER_ENABLED", "1")]);
        assert_eq!(numbers(&settings), [1_440, 60, 0, 24]);
        for off in [&ALL[..], &[&[("JUPYTERHUB_IDLE_CULLER_ENABLED", "0")], &ALL[..]].concat()] {
            assert_eq!(numbers(&read(off).0), [0, 60, 0, 24]);
        }
    }

    #[test]
    fn what_is_no_number_is_told() {
        let (_, mistakes) =
            read(&[("JUPYTERHUB_IDLE_CULLER_ENABLED", "1"), ("JUPYTERHUB_IDLE_CULLER_TIMEOUT_MINUTES", "a day")]);
        assert!(matches!(mistakes.as_slice(), [one] if one.contains("must be a whole number")), "{mistakes:?}");
        let (_, mistakes) = read(&[("JUPYTERHUB_IDLE_CULLER_ENABLED", "maybe")]);
        assert!(matches!(mistakes.as_slice(), [one] if one.contains("must be 0 or 1")), "{mistakes:?}");
    }
}
