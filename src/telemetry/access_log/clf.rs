//! The Common Log Format, and Apache's Combined, which adds referer and user agent.

use std::fmt::Write as _;

use super::agent_of;
use super::scrub::{address_without_secrets, escape, without_secrets};
use crate::model::{Exchange, UserName};

pub(super) fn common(exchange: &Exchange<'_>) -> Vec<u8> {
    let mut line = fields(exchange);
    line.push('\n');
    line.into_bytes()
}

pub(super) fn combined(exchange: &Exchange<'_>) -> Vec<u8> {
    let mut line = fields(exchange);
    let referer = exchange.referer.map(address_without_secrets);
    // Writing to a string cannot fail.
    let _ = writeln!(line, " \"{}\" \"{}\"", quoted(referer), quoted(agent_of(exchange)));
    line.into_bytes()
}

fn fields(exchange: &Exchange<'_>) -> String {
    let Exchange { address, method, version, status, bytes, .. } = exchange;
    let moment = jiff::Timestamp::from_millisecond(exchange.at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let time = moment.strftime("%d/%b/%Y:%H:%M:%S +0000");
    let user = escape(exchange.trail.user.as_ref().map_or("-", UserName::as_str));
    let target = escape(&without_secrets(exchange.target));
    format!("{address} - {user} [{time}] \"{method} {target} {version}\" {status} {bytes}")
}

/// Blanks may stand between quotes.
fn quoted(text: Option<String>) -> String {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return "-".to_owned() };
    text.split(' ').map(escape).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::told::{exchange, trail};
    use super::*;

    fn text(line: Vec<u8>) -> String {
        String::from_utf8(line).expect("text")
    }

    #[test]
    fn a_common_line_is_one_line() {
        let trail = trail(Some("a\"b"));
        let line = text(common(&exchange(&trail, "/x?token=abc&\u{1b}[31m")));
        assert_eq!(
            line,
            "192.0.2.7 - a\\u{22}b [22/Nov/2026:02:07:07 +0000] \"GET /x?token=***&\\u{1b}[31m HTTP/2.0\" 200 1234\n"
        );
    }

    #[test]
    fn a_combined_line_has_referer_and_agent_without_secrets() {
        let trail = trail(None);
        let told = Exchange {
            referer: Some(b"https://a.example/?token=abc"),
            user_agent: Some(b"test agent \"1\"\n"),
            ..exchange(&trail, "/x")
        };
        let line = text(combined(&told));
        let expected = " 200 1234 \"https://a.example/?token=***\" \"test agent \\u{22}1\\u{22}\\u{a}\"\n";
        assert!(line.ends_with(expected), "{line}");
        assert!(text(combined(&exchange(&trail, "/x"))).ends_with(" 1234 \"-\" \"-\"\n"));
    }
}
