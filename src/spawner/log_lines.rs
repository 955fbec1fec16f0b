//! The end of a log as lines fit for a page: no control characters, no endless line.

/// One line that we keep, in characters. More is a program's mistake and nobody's help.
const LINE_LIMIT: usize = 1_000;

/// The last `count` lines of `text` that are not empty, oldest first.
pub(super) fn last(text: &str, count: usize) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().rev().map(clean).filter(|line| !line.trim().is_empty()).take(count).collect();
    lines.reverse();
    lines
}

/// Without colours (`ESC [ … letter`) and other control characters; of a progress bar (`\r`) its last state.
fn clean(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(line.len().min(LINE_LIMIT));
    let mut characters = line.chars().peekable();
    let mut length = 0;
    while let Some(c) = characters.next() {
        if c == '\u{1b}' {
            if characters.next_if_eq(&'[').is_some() {
                while characters.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
            continue;
        }
        if c.is_control() && c != '\t' {
            continue;
        }
        if length == LINE_LIMIT {
            out.push('…');
            break;
        }
        out.push(c);
        length += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(last(text, 3), expected, "{text:?}");
    }

    #[test]
    fn the_last_lines_are_kept_in_order() {
        check("a\nb\nc\nd\n", &["b", "c", "d"]);
        check("a\n\n  \nb\r\n", &["a", "b"]);
        check("", &[]);
    }

    #[test]
    fn what_a_page_cannot_show_is_left_out() {
        check("\u{1b}[31;1mred\u{1b}[0m\u{7}", &["red"]);
        check("10 %\r20 %\r30 %", &["30 %"]);
        let long = "x".repeat(5_000);
        assert_eq!(last(&long, 1)[0].chars().count(), LINE_LIMIT + 1);
    }
}
