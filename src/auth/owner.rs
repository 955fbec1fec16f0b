//! Whose a token is, and how rights are kept with whom they belong to.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::directory::Directory;
use super::rights::Rights;
use super::{Service, User};
use crate::model::OwnerName;

/// A user or a service: whose a token is, or who calls.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A person.
    User(Arc<User>),
    /// A program.
    Service(Arc<Service>),
}

impl Owner {
    /// The user, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::User(user) => Some(user),
            Self::Service(_) => None,
        }
    }

    /// The service, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<Service>> {
        match self {
            Self::User(_) => None,
            Self::Service(service) => Some(service),
        }
    }

    /// Kind and name.
    #[must_use]
    pub fn name(&self) -> OwnerName {
        match self {
            Self::User(user) => OwnerName::User(user.name.clone()),
            Self::Service(service) => OwnerName::from(service.name.clone()),
        }
    }

    /// The bare name, as the access log and JupyterHub's models write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(user) => user.name.as_str(),
            Self::Service(service) => service.name.as_str(),
        }
    }

    /// True for an administrator who may sign in, and for a service that administers.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        match self {
            Self::User(user) => user.is_admin(),
            Self::Service(service) => service.admin && !service.is_gone(),
        }
    }

    /// What they may do now.
    #[must_use]
    pub fn rights(&self) -> Arc<Rights> {
        self.with_rights(Arc::clone)
    }

    pub(super) fn with_rights<T>(&self, ask: impl FnOnce(&Arc<Rights>) -> T) -> T {
        match self {
            Self::User(user) => user.with_rights(ask),
            Self::Service(service) => service.with_rights(ask),
        }
    }

    /// False once nothing of theirs may be used: a user not let in, a service that is gone.
    pub(super) fn is_active(&self) -> bool {
        match self {
            Self::User(user) => user.is_authorised(),
            Self::Service(service) => !service.is_gone(),
        }
    }
}

/// Rights kept until the directory has changed.
#[derive(Debug, Default)]
pub(super) struct RightsCell(ArcSwapOption<Rights>);

impl RightsCell {
    /// Asks the rights that are kept if they are the present ones, else `work_out` makes them. The usual case takes
    /// no lock and allocates nothing.
    pub(super) fn with<T>(
        &self,
        directory: &Directory,
        work_out: impl FnOnce() -> Rights,
        ask: impl FnOnce(&Arc<Rights>) -> T,
    ) -> T {
        let kept = self.0.load();
        if let Some(rights) = &*kept
            && rights.epoch == directory.epoch()
        {
            return ask(rights);
        }
        drop(kept);
        let rights = Arc::new(work_out());
        self.0.store(Some(Arc::clone(&rights)));
        ask(&rights)
    }
}
