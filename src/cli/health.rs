//! `slipway health`: is the running instance well? For people and for a container's health check.

use std::process::ExitCode;

use super::{fail, print};
use crate::config::Config;
use crate::control::{self, Answer, Request};

pub(super) fn run(config: &Config) -> ExitCode {
    match control::ask(&config.control, &Request::Health) {
        Ok(Answer::Healthy { version, pid }) => {
            print(&format!("slipway {version} is well (process {pid})\n"));
            ExitCode::SUCCESS
        }
        Ok(other) => {
            eprintln!("slipway: the running instance gave another answer than asked for: {other:?}");
            ExitCode::FAILURE
        }
        Err(error) => fail(&error),
    }
}
