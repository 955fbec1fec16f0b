//! Which messages of a client's WebSocket are work: what a person or a program asks for, and not what an open page
//! sends by itself.
//!
//! Measured with JupyterLab 4.6 in Chromium, untouched for minutes, hidden, cut off and back (`edge/work.rs` has the
//! whole table): its kernels' sockets carry nothing while it is untouched, and after each reconnect a
//! `kernel_info_request`, with widgets a `comm_info_request`, with a console a `history_request`; its debugger asks
//! `debugInfo` whenever it sees a kernel anew. A terminal's socket tells the size of its window after each reconnect.
//! A shared document's socket greets with a `SyncStep1` and renews its cursor every 15 s (awareness).
//!
//! At most `HEAD_BYTES` of a message are looked at, unmasked in a copy of ours: what passes is not touched and waits for
//! nothing. What cannot be read (compressed, longer before its type is told, no JSON) counts as work: we would rather
//! keep a server that nobody uses than stop one that somebody does.

use super::frames::Listener;
use crate::model::ActivitySource;

/// What of a message is looked at. JupyterLab's longest of those that are no work has 300 bytes.
const HEAD_BYTES: usize = 512;

/// What a WebSocket is for, as its address says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Socket {
    /// A kernel's channels (`api/kernels/…/channels`).
    Kernel,
    /// A terminal (`terminals/websocket/…`).
    Terminal,
    /// A document that several people edit (`api/collaboration/room/…`).
    Document,
    /// Anything else: whatever data a client sends is work.
    #[default]
    Other,
}

impl Socket {
    /// What the server takes for used when this is opened.
    pub(super) fn source(self) -> Option<ActivitySource> {
        match self {
            Self::Kernel => Some(ActivitySource::Kernel),
            Self::Terminal => Some(ActivitySource::Terminal),
            Self::Document | Self::Other => None,
        }
    }
}

/// Kinds of frames (RFC 6455 §5.2): the lowest three carry messages.
const CONTINUATION_CODE: u8 = 0;
const TEXT_CODE: u8 = 1;
const LAST_DATA_CODE: u8 = 2;
/// Bits of a frame's first byte: the last of its message; changed by an extension.
const FINAL: u8 = 0x80;
const EXTENDED: u8 = 0x70;
/// Messages of y-protocols: somebody's cursor, and the question for all of them.
const AWARENESS: u8 = 1;
const QUERY_AWARENESS: u8 = 3;

/// Kernel messages that a page sends by itself. jupyter_server leaves the same ones out of a kernel's last activity.
const KERNEL_CHATTER: [&[u8]; 4] = [b"kernel_info_request", b"comm_info_request", b"history_request", b"debug_request"];

/// Follows the messages of one direction of a WebSocket and says whether one of them was work.
#[derive(Debug, Default)]
pub(super) struct Messages {
    socket: Socket,
    /// Begin of the message under way; without memory between two.
    head: Vec<u8>,
    mask: [u8; 4],
    /// How many bytes of the present frame's payload have passed, of those that were looked at.
    unmasked: usize,
    message: Message,
    /// The present frame is one of the message, and its last.
    is_data: bool,
    is_last: bool,
    is_work: bool,
}

/// What is known of the message under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Message {
    /// It is judged already, or there is none.
    #[default]
    Known,
    /// Compressed, or of a socket of which nothing else is known: it is work if it carries anything.
    Unreadable,
    Text,
    Binary,
}

impl Messages {
    pub(super) fn of(socket: Socket) -> Self {
        Self { socket, ..Self::default() }
    }

    /// True if there was work since this was asked last.
    pub(super) fn take_work(&mut self) -> bool {
        std::mem::take(&mut self.is_work)
    }

    fn judge(&mut self) {
        let head = std::mem::take(&mut self.head);
        self.is_work |= match std::mem::take(&mut self.message) {
            Message::Known | Message::Unreadable => false,
            Message::Text => is_work_in_text(self.socket, &head),
            Message::Binary => is_work_in_binary(self.socket, &head),
        };
    }
}

impl Listener for Messages {
    fn begin(&mut self, first: u8) {
        let code = first & 0x0f;
        self.is_data = code <= LAST_DATA_CODE;
        self.is_last = first & FINAL != 0;
        self.mask = [0; 4];
        self.unmasked = 0;
        if self.is_data && code != CONTINUATION_CODE {
            self.head = Vec::new();
            self.message = match code {
                _ if self.socket == Socket::Other || first & EXTENDED != 0 => Message::Unreadable,
                TEXT_CODE => Message::Text,
                _ => Message::Binary,
            };
        }
    }

    fn mask(&mut self, byte: u8) {
        self.mask.rotate_left(1);
        self.mask[3] = byte;
    }

    fn payload(&mut self, bytes: &[u8]) {
        if !self.is_data || self.message == Message::Known {
            return;
        }
        if self.message == Message::Unreadable {
            self.message = Message::Known;
            self.is_work = true;
            return;
        }
        let taken = bytes.len().min(HEAD_BYTES - self.head.len());
        self.head.reserve_exact(taken);
        let mask = self.mask;
        self.head.extend(bytes[..taken].iter().zip(self.unmasked..).map(|(byte, at)| byte ^ mask[at % 4]));
        self.unmasked += taken;
        if self.head.len() == HEAD_BYTES {
            self.judge();
        }
    }

    fn end(&mut self) {
        if self.is_data && self.is_last {
            self.judge();
        }
    }
}

fn is_work_in_text(socket: Socket, head: &[u8]) -> bool {
    match socket {
        Socket::Kernel => !is_chatter(text_at(head, &[b"header", b"msg_type"])),
        Socket::Terminal => is_typed(head),
        Socket::Document | Socket::Other => !head.is_empty(),
    }
}

fn is_work_in_binary(socket: Socket, head: &[u8]) -> bool {
    match socket {
        Socket::Kernel => !is_chatter(binary_type(head)),
        // y-protocols: 0 is a change of the document or its exchange at the beginning, of which 2 is the change.
        Socket::Document => !matches!(head, [] | [0, 0 | 1, ..] | [AWARENESS | QUERY_AWARENESS, ..]),
        Socket::Terminal | Socket::Other => !head.is_empty(),
    }
}

fn is_chatter(message_type: Option<&[u8]>) -> bool {
    message_type.is_some_and(|message_type| KERNEL_CHATTER.contains(&message_type))
}

/// The type of a kernel message in binary form, of which there are two: `v1.kernel.websocket.jupyter.org` (a count of
/// offsets and the offsets, 8 bytes each, little end first; between the second and the third stands the header) and the
/// older one for messages with buffers (4 bytes each, big end first; behind them the message as text).
fn binary_type(head: &[u8]) -> Option<&[u8]> {
    let at = |index: usize| {
        let bytes = head.get(8 * index..)?.first_chunk::<8>()?;
        usize::try_from(u64::from_le_bytes(*bytes)).ok()
    };
    if head.first() == Some(&0) {
        let begin = u32::from_be_bytes(*head.get(4..)?.first_chunk::<4>()?);
        return text_at(head.get(usize::try_from(begin).ok()?..)?, &[b"header", b"msg_type"]);
    }
    let (begin, end) = (at(2)?, at(3)?);
    text_at(head.get(begin..end.min(head.len()))?, &[b"msg_type"])
}

/// True for a terminal's message that somebody typed (or pasted, or clicked): `["stdin", "…"]`. What the terminal itself
/// answers to a program that asks for its kind, its state or its place is none, and it does so again when it is
/// connected again and shown the program's output once more; and what it says of its size, which it does then too.
fn is_typed(head: &[u8]) -> bool {
    let text = head.trim_ascii();
    let Some(rest) = text.strip_prefix(b"[") else { return !text.is_empty() };
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b"\"") else { return true };
    if rest.starts_with(b"set_size\"") {
        return false;
    }
    let Some(typed) = rest.strip_prefix(b"stdin\"").map(|rest| rest.trim_ascii_start()) else { return true };
    let Some(typed) = typed.strip_prefix(b",").map(|rest| rest.trim_ascii_start()) else { return true };
    let typed = typed.strip_suffix(b"]").unwrap_or(typed).trim_ascii_end();
    typed != b"\"\"" && !is_report(typed)
}

/// True for one answer of a terminal to a program, as JSON: `"\u001b[?1;2c"`, `"\u001b[24;80R"`, `"\u001b[0n"`.
fn is_report(typed: &[u8]) -> bool {
    let Some(report) = typed.strip_prefix(b"\"\\u001b[").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return false;
    };
    let Some((last, parameters)) = report.split_last() else { return false };
    let is_parameter = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b'?' | b'>' | b'$');
    matches!(last, b'c' | b'R' | b'n' | b'y') && !parameters.is_empty() && parameters.iter().all(is_parameter)
}

/// The text that stands in `json` under `path`, a key in each object; None if it is not there, is no plain text, or the
/// piece ends before. One pass, no recursion, no allocation.
fn text_at<'a>(json: &'a [u8], path: &[&[u8]]) -> Option<&'a [u8]> {
    // How many brackets are open, and how many of them are the path's.
    let (mut depth, mut found) = (0_usize, 0_usize);
    let mut rest = json;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                found = found.min(depth.saturating_sub(1));
            }
            b'"' => {
                let (text, behind) = split_text(rest)?;
                rest = behind.trim_ascii_start();
                let Some(value) = rest.strip_prefix(b":") else { continue };
                if depth != found + 1 || text != path[found] {
                    continue;
                }
                let value = value.trim_ascii_start();
                if found + 1 == path.len() {
                    return Some(split_text(value.strip_prefix(b"\"")?)?.0);
                }
                if value.starts_with(b"{") {
                    found += 1;
                }
                rest = value;
            }
            _ => {}
        }
    }
    None
}

/// What stands before the next quotation mark that is one, and what behind it.
fn split_text(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut is_escaped = false;
    let end = rest.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some((&rest[..end], &rest[end + 1..]))
}

#[cfg(test)]
mod tests;
