//! What a program writes, as one line fit for a page or a log.

/// One line that we keep, in characters. More is a program's mistake and nobody's help.
pub const LINE_LIMIT: usize = 1_000;

/// Characters that make what follows read from the other side: a line that shows something else than it says.
const TURNS: [char; 12] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}',
    '\u{2067}', '\u{2068}', '\u{2069}',
];

/// Without colours (`ESC [ … letter`), window titles (`ESC ] … BEL`), other control characters and those that turn the
/// direction of writing; of a progress bar (`\r`) its last state.
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
                while characters.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
            } else if characters.next_if_eq(&']').is_some() {
                // Until BEL or `ESC \`.
                while characters.next_if(|c| *c != '\u{1b}' && *c != '\u{7}').is_some() {}
                if characters.next() == Some('\u{1b}') {
                    characters.next_if_eq(&'\\');
                }
            }
            continue;
        }
        if (c.is_control() && c != '\t') || TURNS.contains(&c) {
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
        assert_eq!(clean("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\"), "ablink");
        assert_eq!(clean("\u{1b}]never closed"), "");
        assert_eq!(clean("\u{1b}[2~x\u{202e}txt.exe\0"), "xtxt.exe");
        assert_eq!(clean("10 %\r20 %\r30 %"), "30 %");
        assert_eq!(clean(&"x".repeat(5_000)).chars().count(), LINE_LIMIT + 1);
    }
}
