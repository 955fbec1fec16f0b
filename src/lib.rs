#![doc = include_str!("README.md")]

// The words, and what stands under everything.
pub mod model;
pub mod tasks;
// What is kept, who is who, and the life of servers.
pub mod auth;
pub mod config;
pub mod spawner;
pub mod store;
// Commands on a running instance.
pub mod control;
// What people and programs see of it.
pub mod hub;
