//! What is known of a server beside its life: its name for people, its options, and what it was made from.

use super::backend::ResourceLimits;
use crate::model::{DisplayName, ServerName, ServerOptions, Timestamp};

/// What a start says beside «start». What is left out is as it was at the previous start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The options of this and further starts.
    pub options: Option<ServerOptions>,
    /// The server's name for people.
    pub display_name: Option<DisplayName>,
}

/// A change of a stopped server. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Another name; only named servers have one.
    pub name: Option<ServerName>,
    /// Another name for people.
    pub display_name: Option<DisplayName>,
    /// The options of further starts.
    pub options: Option<ServerOptions>,
}

/// What `define` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defined {
    /// It is there now.
    Created,
    /// It was there already; nothing has changed.
    Exists,
}

/// What is known of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerRecord {
    /// Its name for people, if it was given one.
    pub display_name: Option<DisplayName>,
    /// The options of its latest start, or of its next one if it has been changed since.
    pub options: Option<ServerOptions>,
    /// When it was defined or first started.
    pub created: Timestamp,
    /// The profile of its latest start.
    pub profile: Option<String>,
    /// The image of its latest start; none before the first, and where servers are not made from images.
    pub image: Option<String>,
    /// What it may use since its latest start.
    pub limits: ResourceLimits,
}
