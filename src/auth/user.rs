//! A user in memory: one object for as long as the account exists, shared by its sessions and tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::directory::Directory;
use super::expand;
use super::owner::RightsCell;
use super::rights::Rights;
use crate::model::{Timestamp, UserName, UserProfile};
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
    disabled: AtomicBool,
    must_change_password: AtomicBool,
    profile: ArcSwap<UserProfile>,
    password: Mutex<KnownPassword>,
    second_factor: AtomicBool,
    last_activity: AtomicI64,
    /// What of `last_activity` the store knows.
    pub(super) stored_activity: AtomicI64,
    directory: Arc<Directory>,
    rights: RightsCell,
}

/// A password as it is known now.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownPassword {
    /// Its hash, if there is one.
    pub(super) hash: Option<Arc<str>>,
    /// Counts the passwords of this object: one that was only hashed anew is still the same.
    serial: u64,
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
    /// Whether an administrator has let this user in; `disabled` stands above it.
    pub authorised: bool,
    /// When the account was made.
    pub created: Timestamp,
    /// Last seen doing something.
    pub last_activity: Option<Timestamp>,
    /// Whether a password is set.
    pub has_password: bool,
    /// Whether an administrator has shut this user out.
    pub disabled: bool,
    /// Whether this user must change the password before anything else.
    pub must_change_password: bool,
    /// Whether a password alone does not let this user in.
    pub has_second_factor: bool,
    /// Names and address.
    pub profile: Arc<UserProfile>,
}

impl User {
    pub(super) fn of(row: &UserRow, directory: &Arc<Directory>) -> Self {
        let activity = row.last_activity.map_or(NEVER, |at| at.0);
        Self {
            name: row.name.clone(),
            created: row.created,
            admin: AtomicBool::new(row.admin),
            authorised: AtomicBool::new(row.authorised),
            disabled: AtomicBool::new(row.disabled),
            must_change_password: AtomicBool::new(row.must_change_password),
            profile: ArcSwap::from_pointee(row.profile.clone()),
            password: Mutex::new(KnownPassword { hash: row.password.as_deref().map(Arc::from), serial: 0 }),
            second_factor: AtomicBool::new(row.otp_secret.is_some()),
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

    /// True for somebody who is an administrator as soon as they may sign in.
    #[must_use]
    pub fn is_named_administrator(&self) -> bool {
        self.admin.load(Ordering::Acquire)
    }

    /// True if this user may sign in: let in, and not disabled; false for good once deleted.
    #[must_use]
    pub fn is_authorised(&self) -> bool {
        self.authorised.load(Ordering::Acquire) && !self.is_disabled()
    }

    /// True for somebody whom no administrator has let in yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.authorised.load(Ordering::Acquire) && !self.is_disabled()
    }

    /// True for somebody whom an administrator has shut out.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::Acquire)
    }

    /// True for somebody who must change the password before anything else.
    #[must_use]
    pub fn must_change_password(&self) -> bool {
        self.must_change_password.load(Ordering::Acquire)
    }

    /// True for somebody whom a password alone does not let in.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.second_factor.load(Ordering::Acquire)
    }

    /// Names and address.
    #[must_use]
    pub fn profile(&self) -> Arc<UserProfile> {
        self.profile.load_full()
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

    /// Takes over at once what `row` takes away.
    pub(super) fn end_rights(&self, row: &UserRow) {
        if !row.authorised {
            self.set_authorised(false);
        }
        if row.disabled {
            self.set_disabled(true);
        }
    }

    fn set_disabled(&self, disabled: bool) {
        if self.disabled.swap(disabled, Ordering::AcqRel) != disabled {
            self.directory.changed();
        }
    }

    pub(super) fn password(&self) -> KnownPassword {
        self.password.lock().clone()
    }

    /// True if the password is the one that was `known`, however it is hashed now.
    pub(super) fn still_has(&self, known: &KnownPassword) -> bool {
        self.password.lock().serial == known.serial
    }

    fn set_password(&self, hash: Option<&str>) {
        let mut password = self.password.lock();
        if password.hash.as_deref() != hash {
            *password = KnownPassword { hash: hash.map(Arc::from), serial: password.serial + 1 };
        }
    }

    /// Takes over another hash of the same password.
    pub(super) fn set_rehashed(&self, hash: &str) {
        self.password.lock().hash = Some(Arc::from(hash));
    }

    /// Takes over what the store says.
    pub(super) fn follow(&self, row: &UserRow) {
        self.set_password(row.password.as_deref());
        self.set_admin(row.admin);
        self.set_authorised(row.authorised);
        self.set_disabled(row.disabled);
        self.must_change_password.store(row.must_change_password, Ordering::Release);
        self.second_factor.store(row.otp_secret.is_some(), Ordering::Release);
        if **self.profile.load() != row.profile {
            self.profile.store(Arc::new(row.profile.clone()));
        }
    }

    pub(super) fn listing(&self) -> UserListing {
        UserListing {
            name: self.name.clone(),
            admin: self.admin.load(Ordering::Acquire),
            authorised: self.authorised.load(Ordering::Acquire),
            created: self.created,
            last_activity: self.last_activity(),
            has_password: self.password.lock().hash.is_some(),
            disabled: self.is_disabled(),
            must_change_password: self.must_change_password(),
            has_second_factor: self.has_second_factor(),
            profile: self.profile(),
        }
    }
}
