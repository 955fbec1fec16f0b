//! The rate limit of the stack before us (`JUPYTERHUB_RATELIMIT_…`): so many requests a period from one address, with
//! bursts. It stood in Traefik's labels; with us it is `limits`.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Value;

use super::aliases::Used;
use super::{KEYS, Mistake, Origin, Setting, accept};
use crate::routers::read_duration;

const AVERAGE: &str = "JUPYTERHUB_RATELIMIT_AVERAGE";
const BURST: &str = "JUPYTERHUB_RATELIMIT_BURST";
const PERIOD: &str = "JUPYTERHUB_RATELIMIT_PERIOD";
const RATE_KEY: &str = "limits.requests_per_address_per_s";
const WINDOW_KEY: &str = "limits.window_s";
/// What each was where nobody said.
const DEFAULT_AVERAGE: u32 = 100;
const DEFAULT_BURST: u32 = 200;
const DEFAULT_PERIOD: Duration = Duration::from_secs(1);

/// Only where a rate or a burst is said. Gives what was set.
pub(super) fn read(
    environment: &[(String, String)],
    settings: &mut BTreeMap<&'static str, Setting>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Used> {
    let said = |name: &str| {
        let text = environment.iter().find(|(said, _)| said == name).map(|(_, text)| text.trim());
        text.filter(|text| !text.is_empty())
    };
    if said(AVERAGE).is_none() && said(BURST).is_none() {
        return Vec::new();
    }
    let mut refuse = |name: &str, problem: String| {
        let value = said(name).unwrap_or_default().to_owned();
        let origin = Origin::Environment(name.to_owned());
        mistakes.push(Mistake { key: name.to_owned(), origin, value, problem });
    };
    let mut number = |name: &str, default: u32, key: &str| match said(name).map(str::parse::<u32>) {
        None => Some(default),
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => {
            refuse(name, format!("must be a whole number; or set {key} instead"));
            None
        }
    };
    let average = number(AVERAGE, DEFAULT_AVERAGE, RATE_KEY);
    let burst = number(BURST, DEFAULT_BURST, WINDOW_KEY);
    let period = said(PERIOD).map_or(Some(DEFAULT_PERIOD), |text| read_duration(text).filter(|it| !it.is_zero()));
    if period.is_none() {
        refuse(PERIOD, format!("must be a time, as in 1s or 1m; or set {RATE_KEY} instead"));
    }
    let (Some(average), Some(burst), Some(period)) = (average, burst, period) else { return Vec::new() };
    // Rounded up it would be another limit, and nobody would know.
    if average > 0 && u128::from(average) * 1000 < period.as_millis() {
        let problem =
            format!("less than one request a second cannot be said here; set {RATE_KEY} to 1 or more instead");
        refuse(if said(AVERAGE).is_some() { AVERAGE } else { PERIOD }, problem);
        return Vec::new();
    }

    let mut used = Vec::new();
    let mut set = |name: &str, key: &str, value: i64| {
        let Some(key) = KEYS.iter().find(|known| known.name == key) else { return };
        accept(key, Value::Integer(value), Origin::Environment(name.to_owned()), settings, mistakes);
        used.push(Used { alias: name.to_owned(), key: key.name });
    };
    let Rates { per_s, window_s } = rates_of(average, burst, period);
    set(if said(AVERAGE).is_some() { AVERAGE } else { BURST }, RATE_KEY, per_s);
    if let Some(window_s) = window_s {
        set(if said(BURST).is_some() { BURST } else { AVERAGE }, WINDOW_KEY, window_s);
    }
    used
}

#[derive(Debug, PartialEq, Eq)]
struct Rates {
    /// 0: no limit.
    per_s: i64,
    window_s: Option<i64>,
}

/// Whoever has been quiet could ask `burst` at once, and then go on with the average: that many are let through within
/// the window in which the average makes up a burst. Ours are whole numbers, so either is rounded up.
fn rates_of(average: u32, burst: u32, period: Duration) -> Rates {
    if average == 0 {
        return Rates { per_s: 0, window_s: None };
    }
    let (average, burst, period_ms) = (u128::from(average), u128::from(burst), period.as_millis().max(1));
    let per_s = (average * 1000).div_ceil(period_ms).clamp(1, 1_000_000);
    let window_s = burst.div_ceil(per_s).clamp(1, 3600);
    let whole = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
    Rates { per_s: whole(per_s), window_s: Some(whole(window_s)) }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn read(environment: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let (settings, mistakes) = Settings::read(None, environment);
        (settings, mistakes.iter().map(ToString::to_string).collect())
    }

    fn rate_and_window(settings: &Settings) -> [Option<i64>; 2] {
        [RATE_KEY, WINDOW_KEY].map(|key| settings.get(key).value.as_integer())
    }

    #[test]
    fn the_old_limit_is_the_new_one() {
        for (environment, expected) in [
            (&[(AVERAGE, "100"), (BURST, "200"), (PERIOD, "1s")][..], [100, 2]),
            (&[(AVERAGE, "100")], [100, 2]),
            (&[(BURST, "1000")], [100, 10]),
            (&[(AVERAGE, "600"), (BURST, "50"), (PERIOD, "1m")], [10, 5]),
            (&[(AVERAGE, "5"), (BURST, "5"), (PERIOD, "500ms")], [10, 1]),
            (&[(AVERAGE, "90"), (BURST, "10"), (PERIOD, "1m")], [2, 5]),
            // Off, as it is by itself.
            (&[(AVERAGE, "0"), (BURST, "200"), (PERIOD, "1s")], [0, 10]),
            (&[(AVERAGE, ""), (BURST, ""), (PERIOD, "")], [0, 10]),
            (&[(PERIOD, "1m")], [0, 10]),
        ] {
            let (settings, mistakes) = read(environment);
            assert!(mistakes.is_empty(), "{mistakes:?}");
            assert_eq!(rate_and_window(&settings), expected.map(Some), "{environment:?}");
        }
    }

    #[test]
    fn each_variable_gets_its_line_and_a_new_name_wins() {
        let old = [(AVERAGE, "50"), (BURST, "100"), (PERIOD, "1s"), ("JUPYTERHUB_RATELIMIT_XFF_DEPTH", "1")];
        let (settings, _) = read(&old);
        let lines: Vec<_> = settings.notes().iter().map(|note| note.text.as_str()).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        for part in
            ["is read as limits.requests_per_address_per_s", "is read as limits.window_s", "PERIOD is not needed"]
        {
            assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
        }
        assert!(settings.notes().iter().any(|note| note.is_warning && note.text.contains("listener.trusted_proxies")));
        let (settings, _) = read(&[&old[..], &[("SLIPWAY_LIMITS_REQUESTS_PER_ADDRESS_PER_S", "7")]].concat());
        assert_eq!(rate_and_window(&settings), [Some(7), Some(2)]);
    }

    #[test]
    fn what_is_no_number_or_no_time_is_told_with_its_cure() {
        for (environment, part) in [
            ([(AVERAGE, "many"), (PERIOD, "1s")], "RATELIMIT_AVERAGE = many: must be a whole number"),
            ([(BURST, "-1"), (PERIOD, "1s")], "RATELIMIT_BURST = -1: must be a whole number"),
            ([(AVERAGE, "1"), (PERIOD, "soon")], "RATELIMIT_PERIOD = soon: must be a time, as in 1s"),
            ([(AVERAGE, "1"), (PERIOD, "0s")], "must be a time"),
            ([(AVERAGE, "30"), (PERIOD, "1m")], "RATELIMIT_AVERAGE = 30: less than one request a second"),
        ] {
            let (settings, mistakes) = read(&environment);
            assert!(matches!(mistakes.as_slice(), [one] if one.contains(part)), "{mistakes:?}");
            assert_eq!(rate_and_window(&settings), [Some(0), Some(10)]);
        }
    }
}
