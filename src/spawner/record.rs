//! What is known of a server beside its life: its name for people, its options, and what it was made from.

use super::backend::ResourceLimits;
use super::profiles::Choice;
use crate::model::{Actor, DisplayName, GrantNote, ServerName, ServerOptions, Timestamp};
use crate::store::{MadeFrom, ServerRow};

/// What a start says beside «start». What is left out is as it was at the previous start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The options of this and further starts.
    pub options: Option<ServerOptions>,
    /// The server's name for people.
    pub display_name: Option<DisplayName>,
    /// Whose wish it is.
    pub by: Actor,
}

impl Wish {
    /// A start as the previous one was.
    #[must_use]
    pub fn of(by: impl Into<Actor>) -> Self {
        Self { options: None, display_name: None, by: by.into() }
    }
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
    /// What groups gave its latest start.
    pub granted: Vec<GrantNote>,
}

impl ServerRecord {
    pub(super) fn new(created: Timestamp) -> Self {
        let limits = ResourceLimits::default();
        Self { display_name: None, options: None, created, profile: None, image: None, limits, granted: vec![] }
    }

    /// As a row says; `now` for rows that were written before they said when.
    pub(super) fn of_row(row: &ServerRow, now: Timestamp) -> Self {
        let MadeFrom { profile, image, memory_bytes, cpu_cores, granted } = row.made_from.clone();
        Self {
            display_name: row.display_name.clone(),
            options: row.options.clone(),
            created: row.created.or(row.started_at).unwrap_or(now),
            profile,
            image,
            limits: ResourceLimits { memory_bytes, cpu_cores },
            granted,
        }
    }

    pub(super) fn write_to(&self, row: &mut ServerRow) {
        row.display_name.clone_from(&self.display_name);
        row.options.clone_from(&self.options);
        row.created = Some(self.created);
        row.made_from = MadeFrom {
            profile: self.profile.clone(),
            image: self.image.clone(),
            memory_bytes: self.limits.memory_bytes,
            cpu_cores: self.limits.cpu_cores,
            granted: self.granted.clone(),
        };
    }

    /// This with what is said; what is not said stays.
    pub(super) fn with(&self, display_name: Option<DisplayName>, options: Option<ServerOptions>) -> Self {
        Self {
            display_name: display_name.or_else(|| self.display_name.clone()),
            options: options.or_else(|| self.options.clone()),
            ..self.clone()
        }
    }

    pub(super) fn made_from(&self, choice: &Choice) -> Self {
        Self {
            profile: choice.profile.clone(),
            image: choice.image.clone(),
            limits: choice.limits,
            granted: choice.notes.clone(),
            ..self.clone()
        }
    }
}
