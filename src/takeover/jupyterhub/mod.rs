//! A JupyterHub's database becomes rows of ours.
//!
//! `old` reads it into typed rows, and knows what each version has; the rest does not know SQL.

mod old;

pub use old::{OldHub, ReadError, read};
