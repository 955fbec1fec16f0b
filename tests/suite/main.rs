//! The whole program in one process on port 0, with a backend and a clock that the tests hold.
// A test program has no public face: `pub` here means "for the other files".
#![allow(unreachable_pub)]

mod access;
mod architecture;
#[allow(dead_code)]
mod client;
#[allow(dead_code)]
mod fake;
mod login;
mod spawn;
mod world;
