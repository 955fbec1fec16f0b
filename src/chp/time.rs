//! Times as JavaScript's `Date.parse` reads them, as far as anybody writes them in `inactive_since`.

use jiff::civil;
use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// A time with a zone; one without, which is this machine's; a date, which is midnight UTC; or a mail's date.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let with_zone = || text.parse::<jiff::Timestamp>().ok();
    let date = || {
        let full = match text.len() {
            4 => format!("{text}-01-01"),
            7 => format!("{text}-01"),
            _ => text.to_owned(),
        };
        let is_date = full.len() == 10;
        full.parse::<civil::Date>()
            .ok()
            .filter(|_| is_date)?
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    };
    let local = || {
        let time = text.parse::<civil::DateTime>().ok().filter(|_| text.len() > 10)?;
        time.to_zoned(TimeZone::system()).ok().map(|zoned| zoned.timestamp())
    };
    let mail = || jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    let time = with_zone().or_else(date).or_else(local).or_else(mail)?;
    Some(Timestamp(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings_of_a_time_are_read() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(parse(text).map(|time| time.0), expected, "{text}");
        check("2026-11-22T02:45:59.109Z", Some(1_795_315_559_109));
        check("2026-11-22T03:45:59.109+01:00", Some(1_795_315_559_109));
        check("2026-11-22", Some(1_795_305_600_000));
        check("2026-11", Some(1_793_491_200_000));
        check("2026", Some(1_767_225_600_000));
        check("Sun, 22 Nov 2026 02:45:59 GMT", Some(1_795_315_559_000));
        check("endoftheuniverse", None);
        check("", None);
    }
}
