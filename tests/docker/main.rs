//! Against a real engine and real images: `./test.sh docker`.
// A test program has no public face: `pub` here means "for the other files".
#![allow(unreachable_pub)]

#[path = "../suite/client.rs"]
#[allow(dead_code)]
mod client;
#[allow(dead_code)]
mod program;
mod story;
