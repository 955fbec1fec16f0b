#![doc = include_str!("README.md")]

// The words, and what stands under everything.
pub mod model;
pub mod tasks;
// Bytes on wires: bodies, our HTTP/1.1 codec, the way to a server.
pub mod net;
pub mod proxy;
// What is kept, who is who, and the life of servers.
pub mod auth;
pub mod config;
pub mod spawner;
pub mod store;
// How requests come in.
pub mod edge;
pub mod listener;
// What an operator sees.
pub mod telemetry;
// Commands on a running instance.
pub mod control;
// What people and programs see of it.
pub mod hub;
