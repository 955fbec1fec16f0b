//! Moving in: what another hub's database and settings become with us.
//!
//! `jupyterhub` takes the rows of a database, `config_py` the settings of a `jupyterhub_config.py`. Both read a file that
//! others wrote, say what they make of it, and leave it as it is.

pub mod config_py;
pub mod jupyterhub;
