//! A group as JupyterHub's API writes it (contract §2.1).

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::auth::{GroupListing, Rights, Target};

/// A group with the fields that the caller may see.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Group, example = json!({
    "kind": "group", "name": "physics", "users": ["alice"], "properties": { "quota": 3 }, "roles": []
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct GroupModel {
    pub(in crate::hub::api) kind: GroupWord,
    /// Unique among groups.
    pub(in crate::hub::api) name: String,
    /// Who is in it; with `read:groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) users: Option<Vec<String>>,
    /// Whatever an administrator keeps with it; with `read:groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) properties: Option<Map<String, Value>>,
    /// The roles that its members have through it; with `read:roles:groups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) roles: Option<Vec<String>>,
}

/// The kind of a group's model.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::hub) enum GroupWord {
    /// The only one.
    Group,
}

impl GroupModel {
    /// `group` with the fields that somebody with these rights may see.
    pub(in crate::hub::api) fn of(rights: &Rights, group: GroupListing) -> Self {
        let may = |scope: &str| rights.allows(scope, Target::Group(&group.name));
        let (reads_group, reads_roles) = (may("read:groups"), may("read:roles:groups"));
        Self {
            kind: GroupWord::Group,
            name: group.name.to_string(),
            users: reads_group.then(|| group.users.iter().map(ToString::to_string).collect()),
            roles: reads_roles.then(|| group.roles.iter().map(ToString::to_string).collect()),
            properties: reads_group.then_some(group.properties),
        }
    }
}
