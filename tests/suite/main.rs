//! The whole program in one process on port 0, with a backend and a clock that the tests hold.
// A test program has no public face: `pub` here means "for the other files".
#![allow(unreachable_pub)]
// A test is one long story, and its future is as large; nobody moves it about.
#![allow(clippy::large_futures)]

mod access;
mod acme;
mod activity;
mod architecture;
mod attack_forms;
mod attack_oauth;
mod attack_path;
mod attack_services;
mod attack_sign_in;
mod attack_spawn;
mod attack_tenant;
mod attack_wire;
mod audit;
mod boards;
mod certificate_swaps;
mod chp;
#[allow(dead_code)]
mod client;
mod commands;
mod copies;
mod dependencies;
#[allow(dead_code)]
mod fake;
mod forced_password;
mod idle_pages;
mod import_config;
mod isolation;
mod listeners;
mod live;
mod login;
mod metrics;
mod notices;
mod openapi;
mod packaging;
mod people;
mod puppet;
mod readme;
mod reload;
mod route_mistakes;
mod routers;
mod routes;
mod seen;
mod shutdown;
mod spawn;
mod static_upstream;
mod system_calls;
mod tls;
mod volumes;
mod world;
