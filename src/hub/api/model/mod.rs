//! What JupyterHub's API writes (contract §2.1), one resource a file. Every answer is one of these types, so that the
//! OpenAPI document says what is sent, and nothing is sent that it does not say.

pub(in crate::hub) mod error;
pub(in crate::hub) mod grants;
pub(in crate::hub) mod group;
pub(in crate::hub) mod idle;
pub(in crate::hub) mod notice;
pub(in crate::hub) mod route;
pub(in crate::hub) mod server;
pub(in crate::hub) mod server_wish;
pub(in crate::hub) mod service;
pub(in crate::hub) mod share;
pub(in crate::hub) mod token;
pub(in crate::hub) mod user;
pub(in crate::hub) mod whoami;
