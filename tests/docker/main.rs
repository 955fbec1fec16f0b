//! Against a real Docker engine: `cargo test --test docker`. Wants the images of `tests/lab/build.sh`.
//!
//! Each test has its own installation, names, network and volumes, and removes what it made and nothing else.

mod spawner;
mod world;
