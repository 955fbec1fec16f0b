//! The hub as a whole: its router with the real accounts, store and spawner behind it, and an engine of our own whose
//! servers are tasks of the test. What can be decided without all that is tested where it is decided.

mod account;
mod activity;
mod api;
mod audit;
mod doors;
mod engine;
mod grants;
mod groups;
mod host;
mod methods;
mod moved_in;
mod named_api;
mod oauth;
mod openapi;
mod pages;
mod people;
mod program;
mod renames;
mod restarts;
mod routes;
mod samples;
mod server_api;
mod servers;
mod services;
mod shares;
mod token_page;
mod tokens;
mod users;
mod world;
