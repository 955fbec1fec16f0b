//! Small plots of the last week, drawn by the server: an SVG path, and the same in words for whoever does not see it.

use minijinja::context;
use minijinja::value::Value;

use crate::model::{Slot, SlotSeries, Timestamp};

/// Points of a plot: the hours of a week.
const HOURS: usize = 168;
/// Slots of an hour.
const PER_HOUR: usize = 6;
/// The height of a plot in its own units; its width is one a point.
const HEIGHT: f64 = 40.0;

/// The hours of the week up to `now`: the mean of what was measured in each.
pub(in crate::hub) fn hours_of(series: &SlotSeries, now: Timestamp) -> Vec<Option<f64>> {
    let slots: Vec<_> = Slot::of(now).week().collect();
    let mean = |slots: &[Slot]| {
        let known: Vec<_> = slots.iter().filter_map(|slot| series.get(*slot)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    slots.chunks(PER_HOUR).map(mean).collect()
}

/// A line, filled below, of values between 0 and 1; where nothing is known there is a gap. None if nothing is known.
pub(in crate::hub) fn line(hours: &[Option<f64>]) -> Option<Value> {
    let mut line = String::new();
    let mut area = String::new();
    let mut at = 0;
    while at < hours.len() {
        let run: Vec<f64> = hours[at..].iter().map_while(|hour| *hour).collect();
        if run.is_empty() {
            at += 1;
            continue;
        }
        let points: Vec<_> =
            run.iter().enumerate().map(|(step, share)| format!("{} {}", at + step, y_of(*share))).collect();
        // One lone hour is a dash, not nothing.
        let end = if run.len() == 1 { format!("L{} {}", at + 1, y_of(run[0])) } else { String::new() };
        let points = points.join("L");
        let last = if run.len() == 1 { at + 1 } else { at + run.len() - 1 };
        line += &format!("M{points}{end}");
        area += &format!("M{at} {HEIGHT}L{points}{end}L{last} {HEIGHT}Z");
        at += run.len();
    }
    let words = words_of(hours)?;
    Some(context! { line, area, width => HOURS, ..words })
}

/// Bars, one an hour; hours of which nothing is known are marked. None if nothing is known.
pub(in crate::hub) fn bars(hours: &[Option<f64>]) -> Option<Value> {
    let (mut area, mut unknown) = (String::new(), String::new());
    for (at, hour) in hours.iter().enumerate() {
        match hour {
            Some(share) if *share > 0.0 => area += &format!("M{at} {HEIGHT}V{}h.8V{HEIGHT}Z", y_of(*share)),
            Some(_) => {}
            None => unknown += &format!("M{at} {HEIGHT}h1"),
        }
    }
    let known: Vec<_> = hours.iter().flatten().collect();
    let active_hours = known.iter().copied().sum::<f64>();
    let words = words_of(hours)?;
    Some(context! { area, unknown, width => HOURS, active_hours => format!("{active_hours:.0}"), ..words })
}

fn y_of(share: f64) -> f64 {
    // A tenth of a unit is less than a pixel.
    ((1.0 - share.clamp(0.0, 1.0)) * HEIGHT * 10.0).round() / 10.0
}

fn words_of(hours: &[Option<f64>]) -> Option<Value> {
    let mut known: Vec<f64> = hours.iter().flatten().copied().collect();
    known.sort_by(f64::total_cmp);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let (lowest, highest) = (known.first()?, known.last()?);
    let median = known.get(known.len() / 2)?;
    Some(context! {
        lowest => percent(*lowest), median => percent(*median), highest => percent(*highest), hours => known.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value, name: &str) -> String {
        value.get_attr(name).expect("there").to_string()
    }

    #[test]
    fn a_gap_is_a_gap_and_one_hour_is_a_dash() {
        let plot = line(&[Some(0.0), Some(1.0), None, Some(0.5), None]).expect("something is known");
        assert_eq!(text(&plot, "line"), "M0 40L1 0M3 20L4 20");
        assert_eq!(text(&plot, "area"), "M0 40L0 40L1 0L1 40ZM3 40L3 20L4 20L4 40Z");
        assert_eq!(
            (text(&plot, "lowest"), text(&plot, "median"), text(&plot, "highest")),
            ("0 %".into(), "50 %".into(), "100 %".into())
        );
        assert!(line(&[None, None]).is_none() && line(&[]).is_none());
    }

    #[test]
    fn bars_tell_idle_from_unknown() {
        let plot = bars(&[Some(0.5), Some(0.0), None]).expect("something is known");
        assert_eq!((text(&plot, "area"), text(&plot, "unknown")), ("M0 40V20h.8V40Z".into(), "M2 40h1".into()));
        assert!(bars(&[None]).is_none());
    }

    #[test]
    fn a_week_of_slots_is_168_hours_with_the_mean_of_each() {
        let now = Slot(10_000).begins();
        let mut series = SlotSeries::default();
        (9_995..=10_000).for_each(|slot| series.set(Slot(slot), Some(if slot % 2 == 0 { 0.2 } else { 0.4 })));
        let hours = hours_of(&series, now);
        assert_eq!((hours.len(), hours.iter().flatten().count()), (168, 1));
        assert!(hours[167].is_some_and(|mean| (mean - 0.3).abs() < 1e-9));
        let full: Vec<_> = (0..168).map(|hour| Some(f64::from(hour) / 167.0)).collect();
        let plot = line(&full).expect("known");
        assert!(text(&plot, "line").len() + text(&plot, "area").len() < 4_000);
    }
}
