//! Against a real engine and real images: `./test.sh docker`.
//!
//! `story` is the whole program with people; `spawner` is the life of servers alone. Each test has its own
//! installation, names, network and volumes, and removes what it made and nothing else.
// A test program has no public face: `pub` here means "for the other files".
#![allow(unreachable_pub)]
// A test is one long story, and its future is as large; nobody moves it about.
#![allow(clippy::large_futures)]
// These tests measure on the way, and the figures belong into the log of a run.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod adopted;
#[path = "../suite/client.rs"]
#[allow(dead_code)]
mod client;
mod engine;
mod grants;
mod idle;
mod labelled;
mod lazy;
mod notices;
#[allow(dead_code)]
mod program;
mod registry;
mod routers;
mod spawner;
mod story;
mod usage;
mod volumes;
mod world;
