//! Moves bytes: dial, the bodies and upgrades that travel between modules, and our own HTTP/1.1 codec.
//!
//! Knows no users, no routes and no Docker. The client's side of HTTP/1.1 (`http1::serve`) and the parts of the
//! server's side that `proxy` and `ask` share (strict heads, body framing, buffers) live here.

mod ask;
mod body;
pub(crate) mod buffer;
mod dial;
mod guarded;
pub mod http1;
mod post;
pub(crate) mod timer;
mod tls;
mod upgrade;

pub use ask::{AskError, ask, ask_patiently};
pub use body::{BoxError, Ending, RequestBody, ResponseBody};
pub use dial::{DialError, Stream, dial, dial_with};
pub use guarded::Guarded;
pub use post::{Answer, Posting, fetch, post};
pub use tls::{ClientTls, ClientTlsParts, system_authorities};
pub use upgrade::{Io, OnUpgrade, UpgradeKind, UpgradeSender};
