//! A notice that an administrator sends to running servers, and what can become of it at each of them.

use serde::{Deserialize, Serialize};

/// Characters (code points) of a message at most, as the platform before us had it.
pub const NOTICE_LIMIT: usize = 140;
/// The longest time after which a notice goes by itself: a day. JupyterLab counts in a browser's timer, which ends at 24
/// days.
const AUTO_CLOSE_LIMIT_MS: u64 = 24 * 3600 * 1000;

/// What is said, trimmed and of a legal length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoticeText(String);

/// Why a text is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeTextError {
    /// Nothing but blanks.
    #[error("the message is empty")]
    Empty,
    /// More than `NOTICE_LIMIT`.
    #[error("the message has {count} characters; {NOTICE_LIMIT} are the most")]
    TooLong {
        /// As many as it has.
        count: usize,
    },
}

impl NoticeText {
    /// Takes the blanks off both ends and counts code points; a line end is one, however it was sent. `notices.js` counts
    /// in the same way: a text that the counter of the page allows is taken (trap 59).
    ///
    /// # Errors
    /// If nothing is left, or more than `NOTICE_LIMIT` code points.
    pub fn parse(text: &str) -> Result<Self, NoticeTextError> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.trim_matches(is_blank);
        match text.chars().count() {
            0 => Err(NoticeTextError::Empty),
            count if count > NOTICE_LIMIT => Err(NoticeTextError::TooLong { count }),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its beginning, for log and audit.
    #[must_use]
    pub fn preview(&self) -> String {
        const PREVIEW: usize = 50;
        let begin: String = self.0.chars().take(PREVIEW).collect();
        if self.0.chars().count() > PREVIEW { begin + "…" } else { begin }
    }
}

/// Unicode's white space and the byte order mark: together what browsers and Rust take for blank.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// How a notice looks in JupyterLab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// Plain.
    Default,
    /// Blue.
    #[default]
    Info,
    /// Green.
    Success,
    /// Orange.
    Warning,
    /// Red.
    Error,
    /// With a wheel that turns.
    InProgress,
}

impl NoticeKind {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 6] = [Self::Default, Self::Info, Self::Success, Self::Warning, Self::Error, Self::InProgress];

    /// Its name in JupyterLab.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::InProgress => "in-progress",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// When a notice goes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutoClose {
    /// Only when somebody dismisses it.
    #[default]
    Never,
    /// After so many milliseconds; 0 is never shown, only listed.
    AfterMs(u64),
}

impl AutoClose {
    /// After `milliseconds`; None if that is longer than a day.
    #[must_use]
    pub fn after_ms(milliseconds: u64) -> Option<Self> {
        (milliseconds <= AUTO_CLOSE_LIMIT_MS).then_some(Self::AfterMs(milliseconds))
    }

    /// `false` or a number: how JupyterLab reads it.
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        match self {
            Self::Never => false.into(),
            Self::AfterMs(milliseconds) => milliseconds.into(),
        }
    }
}

/// What an administrator sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is said.
    pub message: NoticeText,
    /// How it looks.
    pub kind: NoticeKind,
    /// When it goes by itself.
    pub auto_close: AutoClose,
}

impl Notice {
    /// What `jupyterlab-notifications-extension` takes. `immediate` pushes it to open tabs at once; older versions of the
    /// extension ignore that, and show it within half a minute.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "message": self.message.as_str(),
            "type": self.kind.as_str(),
            "autoClose": self.auto_close.to_json(),
            "immediate": true,
            "actions": [{ "label": "Dismiss", "caption": "Close this notification", "displayType": "default" }],
        })
    }
}

/// Why a server has not got a notice: what was seen, not what it may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Undelivered {
    /// It is stopped, or has stopped meanwhile.
    #[error("The server is not running")]
    NotRunning,
    /// It does not answer yet.
    #[error("The server is still starting")]
    Starting,
    /// Nobody can be reached there.
    #[error("The server is not responding: no connection")]
    NotReachable,
    /// It took too long.
    #[error("The server did not answer within {limit_s} s")]
    TimedOut {
        /// The limit.
        limit_s: u64,
    },
    /// 404.
    #[error("The notifications extension is not installed on this server (HTTP 404)")]
    ExtensionMissing,
    /// 401 or 403.
    #[error("Authentication failed: the server refused our token (HTTP {status})")]
    Refused {
        /// Which of the two.
        status: u16,
    },
    /// 5xx.
    #[error("The server failed (HTTP {status})")]
    ServerError {
        /// Which.
        status: u16,
    },
    /// Anything but success, also a redirect: none is followed.
    #[error("The server did not take it (HTTP {status})")]
    OtherStatus {
        /// Which.
        status: u16,
    },
    /// No HTTP, or no word of success in it.
    #[error("The server's answer makes no sense")]
    Nonsense,
    /// Slipway ended before this server's turn.
    #[error("Slipway was stopped before this server's turn")]
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same table stands in `tests/browser`, where the page's counter is held against it.
    #[test]
    fn a_message_is_counted_in_code_points_after_trimming() {
        let count = |text: &str| match NoticeText::parse(text) {
            Ok(text) => text.as_str().chars().count(),
            Err(NoticeTextError::TooLong { count }) => count,
            Err(NoticeTextError::Empty) => 0,
        };
        assert_eq!(count("hello"), 5);
        assert_eq!(count(" \u{85}\u{feff}\r\n hello \u{a0}\u{2028}"), 5);
        assert_eq!(count("a\r\nb\rc\nd"), 7);
        assert_eq!(count("👩‍🚀"), 3);
        assert_eq!(count("e\u{301}"), 2);
        assert_eq!(count(" \u{feff}\u{3000}\n"), 0);
        assert_eq!(count(&"🚢".repeat(140)), 140);
        assert!(NoticeText::parse(&"🚢".repeat(140)).is_ok());
        assert_eq!(NoticeText::parse(&"🚢".repeat(141)), Err(NoticeTextError::TooLong { count: 141 }));
    }

    #[test]
    fn the_extension_reads_what_we_write() {
        let notice = Notice {
            message: NoticeText::parse("  Back at <5> ").expect("short"),
            kind: NoticeKind::InProgress,
            auto_close: AutoClose::Never,
        };
        let expected = serde_json::json!({
            "message": "Back at <5>", "type": "in-progress", "autoClose": false, "immediate": true,
            "actions": [{ "label": "Dismiss", "caption": "Close this notification", "displayType": "default" }],
        });
        assert_eq!(notice.to_json(), expected);
        assert_eq!(AutoClose::AfterMs(30_000).to_json(), 30_000);
        assert_eq!(AutoClose::after_ms(AUTO_CLOSE_LIMIT_MS + 1), None);
    }

    #[test]
    fn kinds_have_the_names_of_jupyterlab() {
        for kind in NoticeKind::ALL {
            assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.as_str());
        }
        assert_eq!(NoticeKind::parse("Info"), None);
    }

    #[test]
    fn a_preview_is_short() {
        let text = |length: usize| NoticeText::parse(&"ß".repeat(length)).expect("short").preview().chars().count();
        assert_eq!((text(50), text(51)), (50, 51));
    }
}
