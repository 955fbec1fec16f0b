//! What groups grant: the platform's own endpoints beside JupyterHub's `/groups` (platform.md §8.2).
//!
//! What a group grants may hold secrets (variables) and decides what servers may do, so looking at it asks for
//! `admin:groups`, too. Who may give away what is root on the host is for `auth::RootLeave` to say.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::json_body;
use super::groups::{GroupPath, reachable_group};
use super::model::error::ErrorModel;
use super::model::grants::{
    DoneModel, EffectiveGrantsModel, GrantModel, GrantRefusalModel, GrantsNotTakenModel, GroupConfigModel,
    GroupConfigsModel,
};
use super::openapi::UserPath;
use super::scopes;
use super::users::reachable_user;
use crate::auth::{Caller, GroupChange, NewGroup, RootLeave, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{Actor, Grants, GrantsDraft, GroupName};

/// How many groups one request may name.
const GROUPS_LIMIT: usize = 1_000;
/// Words that stood in the old platform's addresses.
const WORDS: [&str; 2] = ["new", "export"];

/// A group to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "physics", "description": "Second year" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NewGroupBody {
    /// A letter, then letters, digits, `-` and `_`; not `new` or `export`.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// For people.
    #[serde(default)]
    #[schema(max_length = 1000)]
    description: String,
}

/// Which group wins over which.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "groups": [{ "name": "physics", "priority": 10 }] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NewOrder {
    #[schema(min_items = 1, max_items = 1000)]
    groups: Vec<NewPriority>,
}

/// A group's place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NewPriority {
    /// Which.
    name: String,
    /// The higher one wins.
    priority: i32,
}

/// Groups as they are taken from one installation to another. Members are not in it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "groups": [{ "name": "physics", "config": { "mem_limit_gb": 8.0 } }] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct Bundle {
    #[schema(min_items = 1, max_items = 1000)]
    groups: Vec<BundledGroup>,
}

/// One of them: fields of `GET /admin/groups` that are no part of it are left aside.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::hub) struct BundledGroup {
    /// Unique.
    name: String,
    /// For people.
    #[serde(default)]
    description: String,
    /// The higher one wins.
    #[serde(default)]
    priority: i32,
    /// What it grants, in the fields of `PUT …/config`.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
}

/// `GET /hub/api/users/{u}/effective-grants`
#[utoipa::path(
    get, path = "/users/{user}/effective-grants", operation_id = "get_effective_grants", tag = "Groups",
    summary = "What the next start gets through groups", description = "And which groups give it.",
    params(UserPath),
    security(("token" = ["read:users:groups"])),
    responses((status = 200, description = "All of it.", body = EffectiveGrantsModel)),
)]
pub(in crate::hub) async fn effective(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<EffectiveGrantsModel>, HubError> {
    let user = reachable_user(&state, &caller, &name, &["read:users:groups"])?;
    let has_extras = state.spawner.gives_extras();
    let notes = state.auth.effective(&user.name).notes().into_iter();
    Ok(Json(EffectiveGrantsModel { grants: notes.map(|note| GrantModel::of(note, has_extras)).collect() }))
}

/// `GET /hub/api/admin/groups`
#[utoipa::path(
    get, path = "/admin/groups", operation_id = "list_group_configs", tag = "Groups",
    summary = "All groups with what they grant", description = "The one that wins first. As a file it is what `POST /admin/groups/import` takes.",
    security(("token" = ["admin:groups"])),
    responses((status = 200, description = "All groups.", body = GroupConfigsModel)),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<GroupConfigsModel>, HubError> {
    scopes::require(&caller, &["admin:groups"], Target::All)?;
    let mut groups = state.auth.groups();
    groups.sort_by(|a, b| b.grants.priority.cmp(&a.grants.priority).then_with(|| a.name.cmp(&b.name)));
    Ok(Json(GroupConfigsModel { groups: groups.iter().map(GroupConfigModel::of).collect() }))
}

/// `POST /hub/api/admin/groups/create`
#[utoipa::path(
    post, path = "/admin/groups/create", operation_id = "create_described_group", tag = "Groups",
    summary = "Make a group with a description", description = "It grants nothing yet.",
    security(("token" = ["admin:groups"])),
    request_body = NewGroupBody,
    responses(
        (status = 200, description = "It is there.", body = DoneModel),
        (status = 400, description = "The name cannot be one.", body = ErrorModel),
        (status = 409, description = "It exists.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<Json<DoneModel>, HubError> {
    scopes::require(&caller, &["admin:groups"], Target::All)?;
    let wanted = json_body::<NewGroupBody>(&body)?.ok_or_else(|| HubError::bad("Must specify a name"))?;
    let name = plain_name(&wanted.name)?;
    let group = NewGroup { name: name.clone(), description: wanted.description, grants: Grants::default() };
    state.auth.create_groups_with(by, vec![group], &[], &RootLeave::NONE).await?;
    Ok(Json(DoneModel { success: true, name: Some(name.to_string()) }))
}

/// `POST /hub/api/admin/groups/import`
#[utoipa::path(
    post, path = "/admin/groups/import", operation_id = "import_groups", tag = "Groups",
    summary = "Make groups of a bundle", description = "In one step: all of them with what they grant and their priority, or none.",
    security(("token" = ["admin:groups"])),
    request_body = Bundle,
    responses(
        (status = 200, description = "They are there.", body = DoneModel),
        (status = 400, description = "A name or a grant cannot be so.", body = GrantsNotTakenModel),
        (status = 409, description = "One of them exists, or is named twice.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn import(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<Response, HubError> {
    scopes::require(&caller, &["admin:groups"], Target::All)?;
    let bundle = json_body::<Bundle>(&body)?.ok_or_else(|| HubError::bad("Must specify groups"))?;
    check_count(bundle.groups.len())?;
    let mut seen = std::collections::HashSet::new();
    let mut groups = Vec::with_capacity(bundle.groups.len());
    for bundled in bundle.groups {
        let name = group_name(&bundled.name)?;
        if !seen.insert(name.clone()) {
            return Err(HubError::conflict(format!("Group {name} is named twice")));
        }
        // The built-in one is everywhere, and always means the same.
        if state.auth.group(&name).is_some_and(|group| group.is_built_in) {
            continue;
        }
        let draft = read_draft(bundled.config)?;
        match draft.check(bundled.priority, &state.auth.grant_rules()) {
            Ok(grants) => groups.push(NewGroup { name, description: bundled.description, grants }),
            Err(problems) => return Ok(refused(problems)),
        }
    }
    state.auth.create_groups_with(by, groups, &[], &RootLeave::of(&caller)).await?;
    Ok(Json(DoneModel { success: true, name: None }).into_response())
}

/// `POST /hub/api/admin/groups/reorder`
#[utoipa::path(
    post, path = "/admin/groups/reorder", operation_id = "reorder_groups", tag = "Groups",
    summary = "Say which group wins over which", description = "Groups that are not named keep their priority.",
    security(("token" = ["admin:groups"])),
    request_body = NewOrder,
    responses(
        (status = 200, description = "It is so now.", body = DoneModel),
        (status = 400, description = "No group is named, or one twice.", body = ErrorModel),
        (status = 404, description = "There is no group of one of these names.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn reorder(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<Json<DoneModel>, HubError> {
    scopes::require(&caller, &["admin:groups"], Target::All)?;
    let wanted = json_body::<NewOrder>(&body)?.ok_or_else(|| HubError::bad("Must specify groups"))?;
    check_count(wanted.groups.len())?;
    let mut seen = std::collections::HashSet::new();
    let mut priorities = Vec::with_capacity(wanted.groups.len());
    for group in wanted.groups {
        let name = group_name(&group.name)?;
        if !seen.insert(name.clone()) {
            return Err(HubError::bad(format!("Group {name} is named twice")));
        }
        priorities.push((name, group.priority));
    }
    state.auth.reorder_groups(by, priorities).await?;
    Ok(Json(DoneModel { success: true, name: None }))
}

/// `DELETE /hub/api/admin/groups/{g}/delete`
#[utoipa::path(
    delete, path = "/admin/groups/{group}/delete", operation_id = "delete_group_config", tag = "Groups",
    summary = "Delete a group and what it grants", description = "Its members lose it with their next start.",
    params(GroupPath),
    security(("token" = ["delete:groups"])),
    responses(
        (status = 200, description = "It is gone.", body = DoneModel),
        (status = 409, description = "It is built in.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn delete(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<DoneModel>, HubError> {
    let group = reachable_group(&state, &caller, &name, &["delete:groups"])?;
    state.auth.delete_group(by, &group.name).await?;
    Ok(Json(DoneModel { success: true, name: None }))
}

/// `GET /hub/api/admin/groups/{g}/config`
#[utoipa::path(
    get, path = "/admin/groups/{group}/config", operation_id = "get_group_config", tag = "Groups",
    summary = "What a group grants", description = "Sections that are off, too.",
    params(GroupPath),
    security(("token" = ["admin:groups"])),
    responses((status = 200, description = "The group.", body = GroupConfigModel)),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
) -> Result<Json<GroupConfigModel>, HubError> {
    let group = reachable_group(&state, &caller, &name, &["admin:groups"])?;
    Ok(Json(GroupConfigModel::of(&group)))
}

/// `PUT /hub/api/admin/groups/{g}/config`
#[utoipa::path(
    put, path = "/admin/groups/{group}/config", operation_id = "set_group_config", tag = "Groups",
    summary = "Say what a group grants",
    description = "What is left out stays: `description`, `priority`, and the fields of `config`. Members' next starts get it. \
                   What is root on the host is refused to sessions, which have a page for it, and to tokens without `custom:grant-root`.",
    params(GroupPath),
    security(("token" = ["admin:groups"])),
    request_body(content = Object, example = json!({ "mem_limit_enabled": true, "mem_limit_gb": 8.0 })),
    responses(
        (status = 200, description = "The group as it is now.", body = GroupConfigModel),
        (status = 400, description = "Something cannot be so.", body = GrantsNotTakenModel),
        (status = 409, description = "It is built in.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn put(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, HubError> {
    let group = reachable_group(&state, &caller, &name, &["admin:groups"])?;
    let Some(mut said) = json_body::<Map<String, Value>>(&body)? else {
        return Err(HubError::bad("Must specify what to change"));
    };
    let description = take(&mut said, "description")?;
    let priority = take(&mut said, "priority")?.unwrap_or(group.grants.priority);
    let merged = merged(&group.grants, said);
    match read_draft(merged)?.check(priority, &state.auth.grant_rules()) {
        Ok(grants) => {
            let change = GroupChange { description, grants: Some(grants) };
            configure(&state, by, &caller, &group.name, change).await
        }
        Err(problems) => Ok(refused(problems)),
    }
}

async fn configure(
    state: &HubState,
    by: Actor,
    caller: &Caller,
    name: &GroupName,
    change: GroupChange,
) -> Result<Response, HubError> {
    let group = state.auth.configure_group(by, name, change, &RootLeave::of(caller)).await?;
    Ok(Json(GroupConfigModel::of(&group)).into_response())
}

fn refused(problems: Vec<crate::model::GrantProblem>) -> Response {
    match problems.into_iter().next() {
        Some(first) => (StatusCode::BAD_REQUEST, Json(GrantRefusalModel::of(first))).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// A field of another kind than the rest.
fn take<T: serde::de::DeserializeOwned>(said: &mut Map<String, Value>, field: &str) -> Result<Option<T>, HubError> {
    let Some(value) = said.remove(field) else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|_| HubError::bad(format!("{field} is not of its kind")))
}

/// The stored fields with those that are said over them. The switch of a section in which nothing stood yet follows
/// from what is said, as if the section were new.
fn merged(stored: &Grants, said: Map<String, Value>) -> Map<String, Value> {
    const SECTIONS: [(&str, &str); 6] = [
        ("env_vars_active", "env_vars"),
        ("gpu_access", "gpu_"),
        ("docker_active", "docker_"),
        ("cpu_limit_enabled", "cpu_"),
        ("mem_limit_enabled", "mem_"),
        ("volume_mounts_active", "_mount"),
    ];
    let mut merged = draft_fields(&GrantsDraft::of(stored));
    let empty = draft_fields(&GrantsDraft::of(&Grants::default()));
    for (switch, part) in SECTIONS {
        let is_empty =
            merged.iter().filter(|(field, _)| field.contains(part)).all(|(field, value)| empty[field] == *value);
        if is_empty && !said.contains_key(switch) {
            merged.remove(switch);
        }
    }
    if said.contains_key("gpu_device_ids") && !said.contains_key("gpu_all") && merged.get("gpu_access").is_none() {
        merged.remove("gpu_all");
    }
    merged.extend(said);
    merged
}

fn draft_fields(draft: &GrantsDraft) -> Map<String, Value> {
    match serde_json::to_value(draft) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn read_draft(fields: Map<String, Value>) -> Result<GrantsDraft, HubError> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        let text: String = error.to_string().chars().take(200).collect();
        HubError::bad(format!("Invalid JSON data: {text}"))
    })
}

fn check_count(count: usize) -> Result<(), HubError> {
    match count {
        0 => Err(HubError::bad("Must specify at least one group")),
        1..=GROUPS_LIMIT => Ok(()),
        _ => Err(HubError::bad(format!("At most {GROUPS_LIMIT} groups in one request, please."))),
    }
}

fn group_name(text: &str) -> Result<GroupName, HubError> {
    GroupName::parse(text).map_err(|error| HubError::bad(format!("Invalid group name: {error}")))
}

/// By the platform's own rule, which is narrower than JupyterHub's.
fn plain_name(text: &str) -> Result<GroupName, HubError> {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if !is_plain {
        return Err(HubError::bad(
            "A group's name is a letter, then letters, digits, \"-\" and \"_\"; not \"new\" or \"export\".",
        ));
    }
    group_name(text)
}
