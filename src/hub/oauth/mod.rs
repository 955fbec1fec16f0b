//! The OAuth provider that servers and services sign their visitors in with (contract §1.3): authorization code
//! grant with optional PKCE, nothing else.
//!
//! `authorize` is the browser's half, `token` the server's, `clients` says who a client id is, `words` what a
//! scope means, `codes` keeps the codes between the two.

pub(super) mod authorize;
mod clients;
mod codes;
mod pkce;
pub(super) mod token;
mod words;

pub(super) use codes::Codes;
