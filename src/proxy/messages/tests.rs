//! Which messages of a WebSocket carry work, in every form and cut that there is.

use proptest::prelude::*;

use super::super::frames::Frames;
use super::*;

const MASK: [u8; 4] = [0x9a, 0x00, 0xff, 0x31];

/// A masked frame: its first byte, its payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("short")),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).expect("two bytes").to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Whether what passes is work, in pieces of `cut` bytes.
fn is_work(socket: Socket, bytes: &[u8], cut: usize) -> bool {
    let (mut frames, mut messages) = (Frames::default(), Messages::of(socket));
    for piece in bytes.chunks(cut) {
        frames.follow(piece, &mut messages);
    }
    messages.take_work()
}

/// A kernel message as JupyterLab writes it without the newer subprotocol: its content stands before its header.
fn as_text(kind: &str, content: &str) -> String {
    format!(
        r#"{{"buffers":[],"channel":"shell","content":{content},"header":{{"date":"2026-11-22T14:35:33.016Z","msg_id":"f0bf0294-4","msg_type":"{kind}","session":"958ef5b5","username":"","version":"5.2"}},"metadata":{{}},"parent_header":{{}}}}"#
    )
}

/// The same in `v1.kernel.websocket.jupyter.org`.
fn as_binary(channel: &str, kind: &str, content: &str) -> Vec<u8> {
    let header = format!(
        r#"{{"date":"2026-11-22T14:35:33.016Z","msg_id":"f0bf0294","msg_type":"{kind}","session":"9","username":"","version":"5.2"}}"#
    );
    let parts = [channel, header.as_str(), "{}", "{}", content];
    let mut message = 6_u64.to_le_bytes().to_vec();
    let mut offset = 56_u64;
    message.extend_from_slice(&offset.to_le_bytes());
    for part in parts {
        offset += part.len() as u64;
        message.extend_from_slice(&offset.to_le_bytes());
    }
    message.extend_from_slice(parts.concat().as_bytes());
    message
}

/// The same with buffers, without the newer subprotocol.
fn with_buffers(text: &str) -> Vec<u8> {
    let end = 12 + text.len();
    let numbers = [2, 12, end].map(|number| u32::try_from(number).expect("short").to_be_bytes());
    [numbers.concat().as_slice(), text.as_bytes(), b"buffer"].concat()
}

#[test]
fn a_kernels_socket_carries_work_where_somebody_asks_for_it() {
    for (kind, expected) in [
        ("execute_request", true),
        ("input_reply", true),
        ("comm_msg", true),
        ("comm_open", true),
        ("complete_request", true),
        ("inspect_request", true),
        ("interrupt_request", true),
        ("something_new", true),
        ("kernel_info_request", false),
        ("comm_info_request", false),
        ("history_request", false),
        ("debug_request", false),
    ] {
        let text =
            as_text(kind, r#"{"code":"\"header\": {\"msg_type\":\"kernel_info_request\"}","header":{"msg_type":"x"}}"#);
        let long = as_text(kind, &format!(r#"{{"code":"{}"}}"#, "x".repeat(600)));
        for cut in [1, 7, 4096] {
            let text_frame = frame(0x81, text.as_bytes());
            assert_eq!(is_work(Socket::Kernel, &text_frame, cut), expected, "{kind} as text, {cut}");
            let binary_frame = frame(0x82, &as_binary("shell", kind, r#"{"msg_type":"execute_request"}"#));
            assert_eq!(is_work(Socket::Kernel, &binary_frame, cut), expected, "{kind} as binary, {cut}");
            let old_frame = frame(0x82, &with_buffers(&text));
            assert_eq!(is_work(Socket::Kernel, &old_frame, cut), expected, "{kind} with buffers, {cut}");
            assert!(is_work(Socket::Kernel, &frame(0x81, long.as_bytes()), cut), "{kind}: its type comes too late");
        }
    }
}

#[test]
fn a_message_in_fragments_is_judged_as_a_whole_with_pings_between() {
    for (kind, expected) in [("kernel_info_request", false), ("execute_request", true)] {
        let message = as_binary("control", kind, "{}");
        let (begin, rest) = message.split_at(100);
        let (middle, end) = rest.split_at(60);
        let ping = frame(0x89, b"execute_request");
        let all = [frame(0x02, begin), ping.clone(), frame(0x00, middle), ping, frame(0x80, end)].concat();
        let with_empty_end = [frame(0x02, begin), frame(0x00, middle), frame(0x00, end), frame(0x80, b"")].concat();
        for bytes in [all, with_empty_end] {
            assert_eq!(is_work(Socket::Kernel, &bytes, 3), expected, "{kind}");
        }
        assert!(!is_work(Socket::Kernel, &frame(0x02, begin), 9), "nobody knows yet what it is");
    }
}

#[test]
fn a_terminals_socket_carries_work_where_somebody_types() {
    for (message, expected) in [
        (r#"["stdin","l"]"#, true),
        (r#"["stdin", "\r"]"#, true),
        (r#" [ "stdin" , "\u001b[A" ] "#, true),
        (r#"["stdin","\u001b[<0;12;7M"]"#, true),
        (r#"["stdin",""]"#, false),
        (r#"["set_size",24,80,703,950]"#, false),
        (r#"["stdin","\u001b[?1;2c"]"#, false),
        (r#"["stdin","\u001b[24;80R"]"#, false),
        (r#"["stdin","\u001b[0n"]"#, false),
        (r#"["stdin","\u001b[0nls\r"]"#, true),
        (r#"["something",1]"#, true),
        ("nonsense", true),
        ("[", true),
        ("", false),
    ] {
        assert_eq!(is_work(Socket::Terminal, &frame(0x81, message.as_bytes()), 5), expected, "{message}");
    }
    let pasted = format!(r#"["stdin","{}"]"#, "x".repeat(5000));
    assert!(is_work(Socket::Terminal, &frame(0x81, pasted.as_bytes()), 1000));
}

#[test]
fn a_shared_documents_socket_carries_work_where_the_document_changes() {
    for (message, expected) in [
        (&[0, 0, 1, 0][..], false),
        (&[0, 1, 2, 0, 0], false),
        (&[0, 2, 9, 1, 1], true),
        (&[1, 40, 1, 0xf2], false),
        (&[3], false),
        (&[2, 1], true),
        (&[7], true),
    ] {
        assert_eq!(is_work(Socket::Document, &frame(0x82, message), 2), expected, "{message:?}");
    }
}

#[test]
fn of_any_other_socket_all_data_is_work_and_nothing_else() {
    for (first, payload, expected) in [
        (0x81, &b"x"[..], true),
        (0x82, b"x", true),
        (0x02, b"x", true),
        (0x82, b"", false),
        (0x89, b"x", false),
        (0x8a, b"x", false),
        (0x88, b"\x03\xe8", false),
    ] {
        assert_eq!(is_work(Socket::Other, &frame(first, payload), 1), expected, "{first:#x}");
    }
    let late = [frame(0x02, b""), frame(0x80, b"x")].concat();
    assert!(is_work(Socket::Other, &late, 100));
}

#[test]
fn a_compressed_message_is_work_on_every_socket() {
    for socket in [Socket::Kernel, Socket::Terminal, Socket::Document, Socket::Other] {
        assert!(is_work(socket, &frame(0xc1, b"\xaa\x56\x4a"), 100), "{socket:?}");
        assert!(!is_work(socket, &frame(0xc9, b"ping"), 100), "{socket:?}");
    }
}

#[test]
fn nothing_is_kept_between_two_messages() {
    let (mut frames, mut messages) = (Frames::default(), Messages::of(Socket::Kernel));
    let long = frame(0x82, &[1; 60_000]);
    frames.follow(&long[..100], &mut messages);
    assert!(messages.head.capacity() <= HEAD_BYTES);
    frames.follow(&long[100..40_000], &mut messages);
    assert_eq!(messages.head.capacity(), 0, "it is judged: nothing more of it is wanted");
    frames.follow(&long[40_000..], &mut messages);
    frames.follow(&frame(0x81, as_text("kernel_info_request", "{}").as_bytes()), &mut messages);
    assert_eq!(messages.head.capacity(), 0);
    assert!(messages.take_work() && !messages.take_work());
    assert!(size_of::<Messages>() <= 56, "{} bytes a tunnel", size_of::<Messages>());
}

fn any_socket() -> impl Strategy<Value = Socket> {
    prop::sample::select(vec![Socket::Kernel, Socket::Terminal, Socket::Document, Socket::Other])
}

proptest! {
    #[test]
    fn whatever_a_client_sends_is_judged_alike_however_it_is_cut(
        socket in any_socket(),
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        cut in 1..700_usize,
    ) {
        let (mut whole, mut pieces) = (Frames::default(), Frames::default());
        let (mut one, mut other) = (Messages::of(socket), Messages::of(socket));
        whole.follow(&bytes, &mut one);
        for piece in bytes.chunks(cut) {
            pieces.follow(piece, &mut other);
        }
        prop_assert_eq!(one.take_work(), other.take_work());
        prop_assert!(other.head.capacity() <= 2 * HEAD_BYTES);
        // Who listens changes nothing of where frames end.
        let mut alone = Frames::default();
        alone.follow(&bytes, &mut ());
        prop_assert_eq!((whole, pieces), (alone, alone));
    }

    #[test]
    fn frames_of_anything_are_judged_alike_however_they_are_cut(
        socket in any_socket(),
        frames in prop::collection::vec((any::<u8>(), "[\\[\\]{}\":,\\\\a-z_0]{0,700}"), 1..6),
        cut in 1..700_usize,
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(*first, payload.as_bytes())).collect();
        prop_assert_eq!(is_work(socket, &bytes, cut), is_work(socket, &bytes, bytes.len()));
    }
}
