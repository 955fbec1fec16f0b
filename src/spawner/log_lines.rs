//! The end of a log as lines fit for a page: no control characters, no endless line.

use crate::host::log_line::clean;

/// The last `count` lines of `text` that are not empty, oldest first.
pub(super) fn last(text: &str, count: usize) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().rev().map(clean).filter(|line| !line.trim().is_empty()).take(count).collect();
    lines.reverse();
    lines
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
}
