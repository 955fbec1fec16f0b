//! A JupyterHub's database becomes rows of ours.
//!
//! `read` makes typed rows of it (`old`) and does not know ours; `plan` says what each of them becomes beside what is
//! here (`ours`), and knows neither SQL nor a store; `apply` writes what the plan says, in one commit; `report` tells it.

mod old;
mod open;
mod read;
mod row;

pub use old::{
    OddRow, OldGroup, OldHub, OldLogin, OldOwner, OldProgram, OldRole, OldRunning, OldServer, OldService, OldShare,
    OldShareCode, OldToken, OldUser, Table,
};
pub use open::ReadError;
pub use read::read;
