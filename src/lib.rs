#![doc = include_str!("README.md")]

// The words, and what stands under everything.
pub mod host;
pub mod model;
pub mod net;
pub mod tasks;
// A request's way.
pub mod edge;
pub mod listener;
pub mod proxy;
pub mod routers;
// What is kept, who is who, the life of servers, and what people see of it.
pub mod auth;
pub mod gpu;
pub mod hub;
pub mod services;
pub mod spawner;
pub mod store;
// What an operator sees, says and sets; and what wires it all.
pub mod app;
pub mod chp;
pub mod cli;
pub mod config;
pub mod control;
pub mod takeover;
pub mod telemetry;
// What tests share.
#[cfg(test)]
mod fuzz;
