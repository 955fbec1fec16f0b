//! What a program writes, as one line fit for a page or a log.

/// One line that we keep, in characters. More is a program's mistake and nobody's help.
pub const LINE_LIMIT: usize = 1_000;

/// Without colours (`ESC [ … letter`) and other control characters; of a progress bar (`\r`) its last state.
#[must_use]
pub fn clean(line: &str) -> String {
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

    #[test]
    fn what_nobody_can_show_is_left_out() {
        assert_eq!(clean("\u{1b}[31;1mred\u{1b}[0m\u{7}"), "red");
        assert_eq!(clean("10 %\r20 %\r30 %"), "30 %");
        assert_eq!(clean(&"x".repeat(5_000)).chars().count(), LINE_LIMIT + 1);
    }
}
