//! Against a real engine and real images: `./test.sh docker`.

#[path = "../suite/client.rs"]
#[allow(dead_code)]
mod client;
#[allow(dead_code)]
mod program;
mod story;
