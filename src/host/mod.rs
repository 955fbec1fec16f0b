//! The computer we run on: itself, its processes, its accounts, and what its programs write.
//!
//! Shared by those who start programs: `spawner` (servers as processes) and `services`. Decides nothing.

pub mod account;
pub mod log_line;
pub mod machine;
pub mod process;
