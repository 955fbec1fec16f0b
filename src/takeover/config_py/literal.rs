//! Numbers and texts as Python writes them.

use super::evaluate::unknown;
use super::value::Value;

/// A number as it is written, if it is one of ours: whole and not too large, or with a point.
pub(super) fn number_of(text: &str) -> Value {
    let digits = text.replace('_', "").to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| digits.starts_with(prefix));
    let whole = radix.map_or_else(|| digits.parse().ok(), |(_, radix)| i64::from_str_radix(&digits[2..], radix).ok());
    let number = || digits.parse::<f64>().ok().filter(|number| number.is_finite());
    whole
        .map(Value::Whole)
        .or_else(|| number().map(Value::Number))
        .unwrap_or_else(|| unknown("a number that is none of ours"))
}

/// A text without its escapes. None: Python would refuse it, or only its tables of names know.
pub(super) fn unescaped(body: &str) -> Option<String> {
    if !body.contains(['\\', '\r']) {
        return Some(body.to_owned());
    }
    let mut text = String::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c == '\r' {
            // Python reads every end of a line as a line feed.
            text.push('\n');
            if rest.as_str().starts_with('\n') {
                rest.next();
            }
            continue;
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        let escaped = rest.next()?;
        match escaped {
            '\n' => {}
            '\r' => {
                if rest.as_str().starts_with('\n') {
                    rest.next();
                }
            }
            '\\' | '\'' | '"' => text.push(escaped),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'a' => text.push('\x07'),
            'b' => text.push('\x08'),
            'f' => text.push('\x0c'),
            'v' => text.push('\x0b'),
            'x' => text.push(by_number(&mut rest, 2)?),
            'u' => text.push(by_number(&mut rest, 4)?),
            'U' => text.push(by_number(&mut rest, 8)?),
            'N' => return None,
            '0'..='7' => {
                let more = rest.as_str().bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let digits: String = std::iter::once(escaped).chain(rest.by_ref().take(more)).collect();
                text.push(char::from_u32(u32::from_str_radix(&digits, 8).ok()?)?);
            }
            other => text.extend(['\\', other]),
        }
    }
    Some(text)
}

fn by_number(rest: &mut std::str::Chars<'_>, length: usize) -> Option<char> {
    let digits = rest.as_str().get(..length)?;
    rest.nth(length - 1)?;
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}
