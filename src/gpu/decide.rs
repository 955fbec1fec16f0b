//! What a server gets of the graphics processors: the rule, without time or chance.

use super::config::Enable;
use super::inventory::{Inventory, Known};
use crate::model::{GpuDevices, GpuHeld, GrantedGpu};

/// What a grant comes to on this host. Lists are UUIDs in order of index, and never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// None.
    Nothing,
    /// Whatever there is: nobody tells us what.
    AllUnseen,
    /// All of these, with others.
    Shared(Vec<String>),
    /// One of these, alone.
    OneAlone(Vec<String>),
}

/// What is asked of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// None.
    None,
    /// All of the host's.
    All,
    /// These, by UUID.
    Ids(Vec<String>),
}

/// The rule. `engine_can`: the engine has said that it can give them.
pub(super) fn decide(enable: Enable, known: Known<'_>, engine_can: bool, grant: Option<&GrantedGpu>) -> Wanted {
    let Some(grant) = grant.filter(|_| enable != Enable::Off) else { return Wanted::Nothing };
    // An engine that cannot give them refuses the whole container.
    if !engine_can {
        return Wanted::Nothing;
    }
    match known {
        Known::Fresh(inventory) => {
            let among = inventory.select(&grant.devices);
            match (among.is_empty(), grant.is_exclusive) {
                (true, _) => Wanted::Nothing,
                (false, true) => Wanted::OneAlone(among),
                (false, false) => Wanted::Shared(among),
            }
        }
        // Slipway in a container of its own has no driver's library, while the engine has. Which one is whose cannot be
        // kept apart then, so only what is for all is given.
        Known::NoLibrary if enable == Enable::On && !grant.is_exclusive => match grant.devices {
            GpuDevices::All => Wanted::AllUnseen,
            GpuDevices::Chosen(_) => Wanted::Nothing,
        },
        Known::NoLibrary | Known::Unknown => Wanted::Nothing,
    }
}

/// What to ask the engine for. `is_all_or_nothing`: it knows no single ones.
pub(super) fn devices(inventory: Option<&Inventory>, held: &GpuHeld, is_all_or_nothing: bool) -> Devices {
    if held.is_unseen {
        return Devices::All;
    }
    if held.uuids.is_empty() {
        return Devices::None;
    }
    let has_all = inventory.is_some_and(|inventory| inventory.uuids() == held.uuids);
    if is_all_or_nothing || (has_all && !held.is_exclusive) {
        return Devices::All;
    }
    Devices::Ids(held.uuids.clone())
}
