//! Which requests to a server are somebody's work, and which a page that is open sends by itself: whoever forgets a tab
//! shall not keep a server running by it.
//!
//! Measured with JupyterLab 4.6 (jupyter_server 2.21) in Chromium, left alone for minutes with a notebook and a terminal
//! open, then hidden, cut off and back, reloaded; with the extensions notifications 1.2, git 0.55, resource usage 1.3
//! and collaboration 5.0:
//!
//! | what the tab sends by itself | how often |
//! | --- | --- |
//! | `GET api/kernels`, `api/sessions`, `api/terminals`, `api/contents?content=1` (the folder that is shown), `lab/api/workspaces` | 10 s |
//! | `PUT lab/api/workspaces/…` (where its panels are, though nobody moved them) | 10 s |
//! | `GET api/me`, `api/kernelspecs` | 60 s |
//! | `GET jupyterlab-notifications-extension/notifications` | 30 s, also hidden |
//! | `GET api/metrics/v1` (resource usage) | 2.5 s |
//! | `POST git/…/status` and what follows a change (`branch`, `tags`, `changed_files`, …), `fetch` | 3 s to 5 min |
//! | `GET api/kernels/…` and all its WebSockets opened anew | after each loss of its connection |
//! | of its WebSockets, what `proxy/messages.rs` tells | |
//!
//! Once hidden it sends nothing but the notifications' question. A file is loaded (`api/contents/…?type=notebook`) when
//! somebody opens it, and saved once after the last change.
//!
//! So reading the API is no work, but for loading a file; everything else is: the pages of an app that we know nothing
//! of may be somebody's. What such an app polls, an operator names (`IgnoredPaths`).

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::model::is_navigation;
use crate::proxy::Socket;

/// JupyterLab and its clients mark with it what is not to be taken for use.
const MARK: &str = "no_track_activity";
/// Below these, reading is polling.
const POLLED: [&str; 6] = ["api/", "lab/api/", "git/", "lsp/", "jupyterlab-notifications-extension/", "metrics"];
/// Where the tab writes by itself.
const WRITTEN: [&str; 1] = ["lab/api/workspaces"];
/// jupyterlab-git asks with POST; these change nothing of the repository.
const GIT: &str = "git/";
const GIT_QUESTIONS: [&str; 8] =
    ["status", "branch", "tags", "changed_files", "show_prefix", "show_top_level", "submodules", "fetch"];

/// Paths below a server's that are never work, as an operator names them. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoredPaths(Arc<[Box<str>]>);

impl IgnoredPaths {
    /// So many: each request is compared with all of them.
    pub const COUNT_LIMIT: usize = 64;
    /// So long.
    pub const LENGTH_LIMIT: usize = 256;

    /// Reads a path as it stands in an address below the server's: `proxy/8080` is that and everything below it.
    ///
    /// # Errors
    /// A sentence, if it is none.
    pub fn check(path: &str) -> Result<String, String> {
        let plain = path.trim_matches('/');
        let is_plain = !plain.is_empty()
            && plain.len() <= Self::LENGTH_LIMIT
            && plain.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%*\\".contains(&byte))
            && plain.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        if is_plain {
            Ok(plain.to_owned())
        } else {
            Err("is no path below a server, as in \"proxy/8080/health\"".into())
        }
    }

    /// All of these, which `check` has found sound.
    ///
    /// # Errors
    /// A sentence, if there are too many.
    pub fn of(paths: Vec<String>) -> Result<Self, String> {
        if paths.len() > Self::COUNT_LIMIT {
            return Err(format!("has {} paths; {} are the most", paths.len(), Self::COUNT_LIMIT));
        }
        Ok(Self(paths.into_iter().map(String::into_boxed_str).collect()))
    }

    fn contain(&self, tail: &str) -> bool {
        self.0
            .iter()
            .any(|path| tail.strip_prefix(&**path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

/// What a request below a server's prefix means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Its traffic is somebody's; of a WebSocket the messages that are work.
    pub(super) is_work: bool,
    /// What its WebSocket is for, if it is one.
    pub(super) socket: Socket,
}

/// Reads what a request means from its address alone, and from the headers whether a person sees the answer. No
/// allocation; some 20 ns.
pub(super) fn meaning(
    method: &Method,
    tail: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    is_websocket: bool,
    ignored: &IgnoredPaths,
) -> Meaning {
    let query = query.unwrap_or("");
    if ignored.contain(tail) || query.len() >= MARK.len() && has_parameter(query, |name, _| name == MARK) {
        return Meaning { is_work: false, socket: Socket::Other };
    }
    if is_websocket {
        return Meaning { is_work: true, socket: socket_at(tail) };
    }
    let is_work = match *method {
        Method::GET | Method::HEAD => !is_polled(tail, query) || is_navigation(method, headers),
        // A browser asks it before another request.
        Method::OPTIONS => false,
        _ => !is_written_by_itself(method, tail),
    };
    Meaning { is_work, socket: Socket::Other }
}

/// What of `path` stands below `prefix`, which ends with a slash; they may be percent-encoded differently.
pub(super) fn tail_of<'a>(path: &'a str, prefix: &str) -> &'a str {
    if let Some(tail) = path.strip_prefix(prefix) {
        return tail;
    }
    let slashes = prefix.bytes().filter(|byte| *byte == b'/').count();
    path.match_indices('/').nth(slashes.saturating_sub(1)).map_or("", |(at, _)| &path[at + 1..])
}

fn is_polled(tail: &str, query: &str) -> bool {
    POLLED.iter().any(|polled| tail.starts_with(polled)) && !loads_a_file(tail, query)
}

/// A folder is shown again and again; a file is loaded when somebody opens it. Without its content it is looked at only.
fn loads_a_file(tail: &str, query: &str) -> bool {
    tail.starts_with("api/contents/")
        && has_parameter(query, |name, value| name == "type" && matches!(value, "notebook" | "file"))
        && !has_parameter(query, |name, value| name == "content" && value == "0")
}

fn is_written_by_itself(method: &Method, tail: &str) -> bool {
    *method == Method::PUT && WRITTEN.iter().any(|written| tail.starts_with(written))
        || *method == Method::POST
            && tail.starts_with(GIT)
            && tail.rsplit('/').next().is_some_and(|question| GIT_QUESTIONS.contains(&question))
}

fn socket_at(tail: &str) -> Socket {
    if tail.starts_with("api/kernels/") && tail.ends_with("/channels") {
        Socket::Kernel
    } else if tail.starts_with("terminals/websocket/") {
        Socket::Terminal
    } else if tail.starts_with("api/collaboration/room/") {
        Socket::Document
    } else {
        Socket::Other
    }
}

fn has_parameter(query: &str, is_it: impl Fn(&str, &str) -> bool) -> bool {
    !query.is_empty()
        && query.split('&').any(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            is_it(name, value)
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn meaning_of(method: &str, address: &str, headers: &HeaderMap) -> Meaning {
        let (tail, query) = address.split_once('?').map_or((address, None), |(tail, query)| (tail, Some(query)));
        let method = method.parse().expect("a method");
        meaning(&method, tail, query, headers, false, &IgnoredPaths::default())
    }

    /// What an untouched tab of JupyterLab was seen to send.
    #[test]
    fn what_a_forgotten_tab_sends_is_no_work() {
        for (method, address) in [
            ("GET", "api/kernels?1795358134117"),
            ("GET", "api/kernels/e61e5a08-1009-4248-89c6-9716218ad342?1795358134117"),
            ("GET", "api/sessions?1795358134371"),
            ("GET", "api/terminals?1795358134371"),
            ("GET", "api/contents?content=1&hash=0&1795358134371"),
            ("GET", "api/contents/work?content=1&hash=0&1795358134371"),
            ("GET", "api/contents/Untitled.ipynb?content=0&hash=1&contentProviderId=undefined&1795358134371"),
            ("GET", "api/contents/Untitled.ipynb?type=notebook&content=0"),
            ("GET", "api/me?1795358134371"),
            ("GET", "api/kernelspecs?1795358134371"),
            ("GET", "api/status"),
            ("GET", "api/metrics/v1?1795358134371"),
            ("GET", "metrics"),
            ("GET", "lab/api/workspaces?1795358135978"),
            ("PUT", "lab/api/workspaces/default?1795358133249"),
            ("GET", "jupyterlab-notifications-extension/notifications?1795358655976"),
            ("GET", "lsp/status?1795358655976"),
            ("POST", "git/status?1795358655976"),
            ("POST", "git/work/project/status?1795358655976"),
            ("POST", "git/branch?1795358655976"),
            ("GET", "git/stash?1795358655976"),
            ("HEAD", "api/kernels"),
            ("OPTIONS", "api/kernels"),
            ("POST", "api/kernels?no_track_activity=1"),
            ("GET", "lab/tree?x=1&no_track_activity"),
        ] {
            assert!(!meaning_of(method, address, &HeaderMap::new()).is_work, "{method} {address}");
        }
    }

    #[test]
    fn what_somebody_does_is_work() {
        for (method, address) in [
            ("GET", "lab"),
            ("GET", "lab/tree/Untitled.ipynb"),
            ("GET", "files/data.csv"),
            ("GET", "api/contents/Untitled.ipynb?type=notebook&content=1&hash=1&contentProviderId=undefined&1795"),
            ("GET", "api/contents/a.py?content=1&type=file"),
            ("PUT", "api/contents/Untitled.ipynb?1795358655976"),
            ("POST", "api/contents?1795358655976"),
            ("POST", "api/sessions"),
            ("PATCH", "api/sessions/1"),
            ("DELETE", "api/kernels/1"),
            ("POST", "api/kernels/1/interrupt"),
            ("POST", "api/terminals"),
            ("PUT", "lab/api/settings/@jupyterlab/apputils-extension:themes"),
            ("DELETE", "lab/api/workspaces/old"),
            ("POST", "git/work/commit"),
            ("POST", "git/checkout"),
            ("POST", "other/status"),
            ("GET", "proxy/8080/data.json"),
            ("GET", "apis"),
            ("GET", ""),
        ] {
            assert!(meaning_of(method, address, &HeaderMap::new()).is_work, "{method} {address}");
        }
    }

    #[test]
    fn whatever_a_person_looks_at_in_a_window_is_work() {
        let navigation = HeaderMap::from_iter([(
            http::HeaderName::from_static("sec-fetch-mode"),
            HeaderValue::from_static("navigate"),
        )]);
        assert!(meaning_of("GET", "api/kernels", &navigation).is_work);
        assert!(!meaning_of("GET", "api/kernels?no_track_activity=1", &navigation).is_work);
    }

    #[test]
    fn a_websockets_address_says_what_it_is_for() {
        let check = |tail: &str, expected: Socket| {
            let found = meaning(&Method::GET, tail, None, &HeaderMap::new(), true, &IgnoredPaths::default());
            assert_eq!(found, Meaning { is_work: true, socket: expected }, "{tail}");
        };
        check("api/kernels/e61e5a08-1009-4248-89c6-9716218ad342/channels", Socket::Kernel);
        check("terminals/websocket/1", Socket::Terminal);
        check("api/collaboration/room/json:notebook:1-2-3", Socket::Document);
        check("api/events/subscribe", Socket::Other);
        check("proxy/8080/api/kernels/1/channels", Socket::Other);
    }

    #[test]
    fn what_an_operator_names_is_never_work() {
        let paths = ["proxy/8080", "/dask/"].map(|path| IgnoredPaths::check(path).expect("a path"));
        let ignored = IgnoredPaths::of(paths.into()).expect("two paths");
        for (tail, is_websocket, expected) in [
            ("proxy/8080", false, false),
            ("proxy/8080/ws", true, false),
            ("proxy/80801", false, true),
            ("dask/clusters", false, false),
            ("lab", false, true),
        ] {
            let found = meaning(&Method::POST, tail, None, &HeaderMap::new(), is_websocket, &ignored);
            assert_eq!(found.is_work, expected, "{tail}");
        }
        for bad in ["", "/", "a//b", "../x", "a?b", "a b", "a%20b", "é", &"x".repeat(300)] {
            assert!(IgnoredPaths::check(bad).is_err(), "{bad}");
        }
        assert!(IgnoredPaths::of(vec!["a".to_owned(); 65]).is_err());
    }

    #[test]
    fn the_tail_is_found_however_the_prefix_is_encoded() {
        for (path, prefix, expected) in [
            ("/user/alice/lab", "/user/alice/", "lab"),
            ("/user/a@b/lab/x", "/user/a%40b/", "lab/x"),
            ("/base/user/%61lice/gpu/api/kernels", "/base/user/alice/gpu/", "api/kernels"),
            ("/user/alice/", "/user/alice/", ""),
        ] {
            assert_eq!(tail_of(path, prefix), expected, "{path}");
        }
    }
}
