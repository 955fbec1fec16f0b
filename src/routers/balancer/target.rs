//! A target: something that listens, and what is known of its health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::draft::Server;
use crate::model::{Timestamp, Upstream};

/// Something that carries requests.
#[derive(Debug)]
pub struct Target {
    /// `http://10.0.0.2:8080`.
    pub url: String,
    /// `10.0.0.2:8080`: `Host` where the client's is not passed.
    pub host: Arc<str>,
    /// Where to connect.
    pub upstream: Arc<Upstream>,
    is_up: AtomicBool,
    trouble: Mutex<Option<String>>,
}

/// A target as the dashboard shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// `http://10.0.0.2:8080`.
    pub url: String,
    /// Its share of the requests among its like.
    pub weight: u32,
    /// True unless its health check says otherwise.
    pub is_up: bool,
    /// What the last health check said, if it was bad.
    pub trouble: Option<String>,
}

impl Target {
    /// Up until a check says otherwise, as with Traefik.
    pub(super) fn new(server: &Server, now: Timestamp) -> Self {
        Self {
            url: server.url(),
            host: server.authority().into(),
            upstream: Arc::new(Upstream::new(server.address(), now)),
            is_up: AtomicBool::new(true),
            trouble: Mutex::new(None),
        }
    }

    /// True unless its health check says otherwise.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Notes what a check said; true if that is news.
    pub(super) fn note(&self, trouble: Option<String>) -> bool {
        let is_up = trouble.is_none();
        *self.trouble.lock() = trouble;
        self.is_up.swap(is_up, Ordering::Relaxed) != is_up
    }

    pub(super) fn view(&self, weight: u32) -> TargetView {
        TargetView { url: self.url.clone(), weight, is_up: self.is_up(), trouble: self.trouble.lock().clone() }
    }
}
