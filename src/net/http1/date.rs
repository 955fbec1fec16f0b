//! The `Date` of responses, written once a second.

use std::cell::RefCell;

use crate::model::{Clock as _, SystemClock};

/// Length of `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

thread_local! {
    static WRITTEN: RefCell<(i64, [u8; LENGTH])> = const { RefCell::new((i64::MIN, [0; LENGTH])) };
}

/// Appends the present date in the form of HTTP.
pub(super) fn push_date(out: &mut Vec<u8>) {
    // The codec has no clock of its own to be told: a date is for people and caches, no decision hangs on it.
    let second = SystemClock.now().0.div_euclid(1000);
    WRITTEN.with_borrow_mut(|(written_at, text)| {
        if *written_at != second {
            *written_at = second;
            *text = format_date(second);
        }
        out.extend_from_slice(text);
    });
}

fn format_date(second: i64) -> [u8; LENGTH] {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let moment = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let civil = jiff::tz::Offset::UTC.to_datetime(moment);
    // The epoch was a Thursday.
    let weekday = usize::try_from(second.div_euclid(86_400).rem_euclid(7)).unwrap_or(0);
    let month = usize::try_from(civil.month() - 1).unwrap_or(0);
    let mut text = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    text[0..3].copy_from_slice(DAYS[weekday]);
    text[8..11].copy_from_slice(MONTHS[month]);
    put_two(&mut text[5..7], i16::from(civil.day()));
    put_two(&mut text[12..14], civil.year() / 100);
    put_two(&mut text[14..16], civil.year() % 100);
    put_two(&mut text[17..19], i16::from(civil.hour()));
    put_two(&mut text[20..22], i16::from(civil.minute()));
    put_two(&mut text[23..25], i16::from(civil.second()));
    text
}

fn put_two(target: &mut [u8], number: i16) {
    let digit = |number: i16| b'0' + u8::try_from(number % 10).unwrap_or(0);
    target.copy_from_slice(&[digit(number / 10), digit(number)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        let check = |second, expected: &str| assert_eq!(format_date(second), expected.as_bytes());
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(1_795_313_227, "Sun, 22 Nov 2026 02:07:07 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
    }
}
