//! A JupyterHub's database becomes rows of ours.
//!
//! `read` makes typed rows of it (`old`) and does not know ours; `plan` says what each of them becomes beside what is
//! here (`ours`), and knows neither SQL nor a store; `apply` writes what the plan says, in one commit; `report` tells it.

mod apply;
mod cookie_secret;
mod old;
mod open;
mod ours;
mod plan;
mod read;
mod report;
mod row;

pub use apply::apply;
pub use cookie_secret::{COOKIE_SECRET_NOTE, CookieSecretError, check_cookie_secret};
pub use old::{
    OddRow, OldGroup, OldHub, OldLogin, OldOwner, OldProgram, OldRole, OldRunning, OldServer, OldService, OldShare,
    OldShareCode, OldToken, OldUser, Table,
};
pub use open::ReadError;
pub use ours::{Ours, Settings};
pub use plan::{Finding, Plan, Tally, Verdict, plan};
pub use read::read;
pub use report::report;

#[cfg(test)]
mod tests;
