//! A user in memory: one object for as long as the account exists, shared by its sessions and tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;

use super::directory::Directory;
use super::expand;
use super::owner::RightsCell;
use super::rights::Rights;
use crate::model::{Timestamp, UserName};
use crate::store::UserRow;

/// Stands for "never" in an atomic time.
pub(super) const NEVER: i64 = i64::MIN;

/// A user as every request sees them: in memory, changed in place, shared by their sessions and tokens.
pub struct User {
    /// Unique.
    pub name: UserName,
    pub(super) created: Timestamp,
    admin: AtomicBool,
    authorised: AtomicBool,
    password: Mutex<Option<Arc<str>>>,
    last_activity: AtomicI64,
    /// What of `last_activity` the store knows.
    pub(super) stored_activity: AtomicI64,
    directory: Arc<Directory>,
    rights: RightsCell,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("User").field(&self.name).finish()
    }
}

/// A user as lists show them.
#[derive(Clone, Debug)]
pub struct UserListing {
    /// Unique.
    pub name: UserName,
    /// Whether this is an administrator.
    pub admin: bool,
    /// Whether this user may sign in.
    pub authorised: bool,
    /// When the account was made.
    pub created: Timestamp,
    /// Last seen doing something.
    pub last_activity: Option<Timestamp>,
    /// Whether a password is set.
    pub has_password: bool,
}

impl User {
    pub(super) fn of(row: &UserRow, directory: &Arc<Directory>) -> Self {
        let activity = row.last_activity.map_or(NEVER, |at| at.0);
        Self {
            name: row.name.clone(),
            created: row.created,
            admin: AtomicBool::new(row.admin),
            authorised: AtomicBool::new(row.authorised),
            password: Mutex::new(row.password.as_deref().map(Arc::from)),
            last_activity: AtomicI64::new(activity),
            stored_activity: AtomicI64::new(activity),
            directory: Arc::clone(directory),
            rights: RightsCell::default(),
        }
    }

    /// True for an administrator who may sign in.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.admin.load(Ordering::Acquire) && self.is_authorised()
    }

    /// True if this user may sign in; false for good once deleted.
    #[must_use]
    pub fn is_authorised(&self) -> bool {
        self.authorised.load(Ordering::Acquire)
    }

    /// What they may do now.
    #[must_use]
    pub fn rights(&self) -> Arc<Rights> {
        self.with_rights(Arc::clone)
    }

    pub(super) fn with_rights<T>(&self, ask: impl FnOnce(&Arc<Rights>) -> T) -> T {
        self.rights.with(&self.directory, || expand::rights_of_user(self, &self.directory), ask)
    }

    /// When the account was made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Last seen doing something.
    #[must_use]
    pub fn last_activity(&self) -> Option<Timestamp> {
        let at = self.last_activity.load(Ordering::Relaxed);
        (at != NEVER).then_some(Timestamp(at))
    }

    /// Notes that this user did something; times only move forward.
    pub fn note_activity(&self, at: Timestamp) {
        self.last_activity.fetch_max(at.0, Ordering::Relaxed);
    }

    pub(super) fn set_admin(&self, admin: bool) {
        if self.admin.swap(admin, Ordering::AcqRel) != admin {
            self.directory.changed();
        }
    }

    pub(super) fn set_authorised(&self, authorised: bool) {
        if self.authorised.swap(authorised, Ordering::AcqRel) != authorised {
            self.directory.changed();
        }
    }

    pub(super) fn password(&self) -> Option<Arc<str>> {
        self.password.lock().clone()
    }

    pub(super) fn set_password(&self, hash: Option<&str>) {
        *self.password.lock() = hash.map(Arc::from);
    }

    /// Takes over what the store says.
    pub(super) fn follow(&self, row: &UserRow) {
        self.set_password(row.password.as_deref());
        self.set_admin(row.admin);
        self.set_authorised(row.authorised);
    }

    pub(super) fn listing(&self) -> UserListing {
        UserListing {
            name: self.name.clone(),
            admin: self.admin.load(Ordering::Acquire),
            authorised: self.is_authorised(),
            created: self.created,
            last_activity: self.last_activity(),
            has_password: self.password.lock().is_some(),
        }
    }
}
