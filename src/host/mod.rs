//! The computer we run on: itself, its processes, its accounts, what its programs write, and its Docker engine.
//!
//! Shared by those who start programs, `spawner` and `services`, and by `routers`, which reads containers' labels. Decides
//! nothing.

pub mod account;
pub mod engine;
pub mod log_line;
pub mod machine;
pub mod process;
