//! What is here already, and what the configuration says: all that a plan is made beside.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::{BasePath, GroupName, RoleName, ServerKey, ServiceName, ShareWith, UserName, VolumeStem};
use crate::store::{GroupRow, Numbers, ServerRow, Store, StoreError, TakenKey, UserRow};

/// What the configuration says of things that a database has as well.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `hub.base_url`.
    pub base: BasePath,
    /// Servers are containers.
    pub has_containers: bool,
    /// Configured services.
    pub services: BTreeSet<ServiceName>,
    /// Configured roles.
    pub roles: BTreeSet<RoleName>,
}

/// What is here already.
#[derive(Clone, Debug)]
pub struct Ours {
    pub(super) settings: Settings,
    pub(super) users: BTreeMap<UserName, UserRow>,
    pub(super) groups: BTreeMap<GroupName, GroupRow>,
    pub(super) services: BTreeSet<ServiceName>,
    pub(super) servers: BTreeMap<ServerKey, ServerRow>,
    /// Hashes of all tokens, as stored.
    pub(super) tokens: HashSet<String>,
    /// Hashes of all share codes, as stored.
    pub(super) share_codes: HashSet<String>,
    pub(super) shares: HashSet<(ServerKey, ShareWith)>,
    /// Who has volumes.
    pub(super) volumes: BTreeSet<UserName>,
    pub(super) stems: HashSet<VolumeStem>,
    pub(super) numbers: Numbers,
    pub(super) taken: HashSet<TakenKey>,
}

impl Ours {
    /// A fresh installation: nothing is here yet.
    #[must_use]
    pub fn nothing(settings: Settings) -> Self {
        Self {
            settings,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            services: BTreeSet::new(),
            servers: BTreeMap::new(),
            tokens: HashSet::new(),
            share_codes: HashSet::new(),
            shares: HashSet::new(),
            volumes: BTreeSet::new(),
            stems: HashSet::new(),
            numbers: Numbers::default(),
            taken: HashSet::new(),
        }
    }

    /// What a store has.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(store: &Store, settings: Settings) -> Result<Self, StoreError> {
        let volumes = store.volumes()?;
        Ok(Self {
            users: store.users()?.into_iter().map(|row| (row.name.clone(), row)).collect(),
            groups: store.groups()?.into_iter().map(|row| (row.name.clone(), row)).collect(),
            services: store.services()?.into_iter().map(|row| row.name).collect(),
            servers: store.servers()?.into_iter().map(|row| (row.key.clone(), row)).collect(),
            tokens: store.tokens()?.into_iter().map(|row| row.stored.hashed).collect(),
            share_codes: store.share_codes()?.into_iter().map(|row| row.stored.hashed).collect(),
            shares: store.shares()?.into_iter().map(|row| (row.server, row.with)).collect(),
            volumes: volumes.iter().map(|row| row.owner.clone()).collect(),
            stems: volumes.into_iter().map(|row| row.stem).collect(),
            numbers: store.numbers()?,
            taken: store.taken_over()?,
            ..Self::nothing(settings)
        })
    }
}
