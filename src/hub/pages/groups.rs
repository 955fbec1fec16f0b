//! The administrators' groups: a list, one page a group (what it is for, who belongs to it, what it grants), and a page
//! that asks before one is deleted.
//!
//! What makes members root on the host asks for the password again; `auth` decides when that is.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::list_part::Wish;
use super::{see_other, with_retry_after};
use crate::auth::{AccountError, ActError, GroupChange, GroupListing, NewGroup, RootLeave, may_administer};
use crate::hub::HubState;
use crate::hub::error::{HubError, sentence_of};
use crate::hub::extract::{By, Person, VisitOf};
use crate::hub::form::{Fields, query_value};
use crate::hub::frame::Frame;
use crate::model::{
    DraftVariable, DraftVolume, GrantProblem, Grants, GrantsDraft, GroupName, Secret, UserName, Visit, percent_encode,
};

/// So many names a form of new members may hold: a class, typed or pasted.
const NEW_MEMBERS_LIMIT: usize = 1_000;
/// So many names are suggested in the field of new members.
const SUGGESTIONS: usize = 100;
/// Empty rows for more variables and volumes; the script adds more.
const SPARE_ROWS: usize = 2;

/// `GET {base}hub/groups`
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let wish = Wish::of_query(&uri);
    let deleted = query_value(uri.query(), "deleted").filter(|name| GroupName::parse(name).is_ok());
    show_list(&state, frame, StatusCode::OK, &wish, context! { deleted })
}

/// `POST {base}hub/groups` with `name` and `description`: makes a group and goes to it.
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let (text, description) = (fields.get("name").trim(), fields.get("description").trim());
    let again = |status, error: String| {
        let values = context! { name => text, description, error };
        show_list(&state, frame, status, &Wish::default(), values)
    };
    let name = match GroupName::parse(text) {
        Ok(name) => name,
        Err(error) => return again(StatusCode::BAD_REQUEST, format!("This cannot be a group's name: {error}.")),
    };
    let group = NewGroup { name: name.clone(), description: description.to_owned(), grants: Grants::default() };
    match state.auth.create_groups_with(by, vec![group], &[], &RootLeave::NONE).await {
        Ok(_) => Ok(see_other(&address_of(&state, &name))),
        Err(ActError::Store(error)) => Err(error.into()),
        Err(ActError::GroupExists(_)) => again(StatusCode::CONFLICT, "There is a group of that name already.".into()),
        Err(error) => again(StatusCode::BAD_REQUEST, sentence(&error)),
    }
}

/// `GET {base}hub/groups/{group}`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let group = group_of(&state, &name)?;
    let said = query_value(uri.query(), "done").unwrap_or_default();
    let said = match said.as_str() {
        "saved" => "Saved. It counts at the members' next start; when idle servers are stopped, at once.",
        "joined" => {
            "They belong to the group now. What it grants counts at their next start; when idle servers are stopped, at once."
        }
        "left" => {
            "They no longer belong to the group. What it grants ends with their servers; when idle servers are stopped, at once."
        }
        _ => "",
    };
    let shown = Shown { said, ..Shown::of(&group) };
    show_group(&state, frame, &group, &Wish::of_query(&uri), StatusCode::OK, shown)
}

/// `POST {base}hub/groups/{group}`: what it is for, and what it grants.
pub(in crate::hub) async fn save(
    State(state): State<HubState>,
    By(by): By,
    VisitOf(visit): VisitOf,
    person: Person,
    Path(name): Path<String>,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let group = group_of(&state, &name)?;
    let description = fields.get("description").trim().to_owned();
    let (draft, mut problems) =
        if group.is_built_in { (GrantsDraft::of(&group.grants), vec![]) } else { draft_of(&fields) };
    let priority = if group.is_built_in { 0 } else { priority_of(&fields, &mut problems) };
    let wish = Wish::default();
    let again = |status, error: &str, password_error: String, problems: Vec<GrantProblem>| {
        let shown = Shown {
            draft: draft.clone(),
            description: description.clone(),
            priority,
            problems,
            error: error.to_owned(),
            password_error,
            ..Shown::of(&group)
        };
        (status, shown)
    };
    let grants = match draft.check(priority, &state.auth.grant_rules()) {
        Ok(grants) if problems.is_empty() => grants,
        checked => {
            problems.extend(checked.err().unwrap_or_default());
            let (status, shown) =
                again(StatusCode::BAD_REQUEST, "Nothing is saved yet: see below.", String::new(), problems);
            return show_group(&state, frame, &group, &wish, status, shown);
        }
    };
    let leave = match leave_of(&state, &person, &visit, &fields).await {
        Ok(leave) => leave,
        Err(refusal) => {
            let error = "Nothing is saved yet: the password is not right.";
            let (status, shown) = again(refusal.status, error, refusal.sentence.clone(), vec![]);
            let response = show_group(&state, frame, &group, &wish, status, shown)?;
            return Ok(refusal.wait(response));
        }
    };
    let change = GroupChange { description: Some(description.clone()), grants: Some(grants) };
    match state.auth.configure_group(by, &group.name, change, &leave).await {
        Ok(_) => Ok(see_other(&format!("{}?done=saved", address_of(&state, &group.name)))),
        Err(ActError::RootLike(_)) => {
            let error = "Nothing is saved yet: type your password below.";
            let sentence = "Members become root on this host by it. Type your own password to confirm.";
            let (status, shown) = again(StatusCode::FORBIDDEN, error, sentence.into(), vec![]);
            show_group(&state, frame, &group, &wish, status, shown)
        }
        Err(error @ ActError::TooLong { .. }) => {
            let (status, shown) = again(StatusCode::BAD_REQUEST, &sentence(&error), String::new(), vec![]);
            show_group(&state, frame, &group, &wish, status, shown)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST {base}hub/groups/{group}/members` with `add` (names) or `remove` (a name).
pub(in crate::hub) async fn members(
    State(state): State<HubState>,
    By(by): By,
    VisitOf(visit): VisitOf,
    person: Person,
    Path(name): Path<String>,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let group = group_of(&state, &name)?;
    let wish = Wish::of_fields(&fields);
    let back =
        |done: &str| see_other(&(address_of(&state, &group.name) + &wish.to_query(&[("done", done)]) + "#members"));
    if let Some(gone) = fields.find("remove") {
        let gone = UserName::from_path(gone).ok_or(HubError::NoSuchResource)?;
        state.auth.remove_from_group(by, &group.name, &[gone]).await?;
        return Ok(back("left"));
    }
    let text = fields.get("add");
    let again = |members_error: String, members_password_error: String| Shown {
        new_members: text.to_owned(),
        members_error,
        members_password_error,
        ..Shown::of(&group)
    };
    let users = match names_in(&state, text) {
        Ok(users) => users,
        Err(sentence) => {
            let shown = again(sentence, String::new());
            return show_group(&state, frame, &group, &wish, StatusCode::BAD_REQUEST, shown);
        }
    };
    let leave = match leave_of(&state, &person, &visit, &fields).await {
        Ok(leave) => leave,
        Err(refusal) => {
            let shown = again(String::new(), refusal.sentence.clone());
            let response = show_group(&state, frame, &group, &wish, refusal.status, shown)?;
            return Ok(refusal.wait(response));
        }
    };
    match state.auth.add_to_group_with(by, &group.name, &users, &leave).await {
        Ok(_) => Ok(back("joined")),
        Err(ActError::RootLike(_)) => {
            let shown = again(String::new(), "Type your own password: members become root on this host.".into());
            show_group(&state, frame, &group, &wish, StatusCode::FORBIDDEN, shown)
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET {base}hub/groups/{group}/delete`: asks.
pub(in crate::hub) async fn ask_delete(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let group = group_of(&state, &name)?;
    if group.is_built_in {
        return Err(ActError::BuiltIn(group.name).into());
    }
    let page = context! {
        name => group.name.to_string(),
        path => path_of(&group.name),
        members => group.users.len(),
        roles => group.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
        grants => notes_of(&group),
    };
    frame.show(StatusCode::OK, "delete_group.html", page)
}

/// `POST {base}hub/groups/{group}/delete`
pub(in crate::hub) async fn delete(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    let group = group_of(&state, &name)?;
    state.auth.delete_group(by, &group.name).await?;
    Ok(see_other(&format!(
        "{}?deleted={}",
        state.config.hub("groups"),
        crate::hub::form::query_encode(group.name.as_str())
    )))
}

fn check(person: &Person) -> Result<(), HubError> {
    if may_administer(&person.as_caller()) { Ok(()) } else { Err(HubError::AdministratorsOnly) }
}

fn group_of(state: &HubState, name: &str) -> Result<GroupListing, HubError> {
    let group = GroupName::parse(name).ok().and_then(|name| state.auth.group(&name));
    group.ok_or(HubError::NoSuchResource)
}

fn path_of(name: &GroupName) -> String {
    percent_encode(name.as_str()).into_owned()
}

fn address_of(state: &HubState, name: &GroupName) -> String {
    state.config.hub(&format!("groups/{}", path_of(name)))
}

fn sentence(error: &ActError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

/// Why the password gave no leave.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For people.
    pub(super) sentence: String,
    retry_after: Option<std::time::Duration>,
}

impl Refusal {
    /// The page that says so, with when to come again.
    pub(super) fn wait(self, response: Response) -> Response {
        match self.retry_after {
            Some(wait) => with_retry_after(response, wait),
            None => response,
        }
    }
}

/// Leave by the password of the form, if one was typed.
pub(super) async fn leave_of(
    state: &HubState,
    person: &Person,
    visit: &Visit,
    fields: &Fields,
) -> Result<RootLeave, Refusal> {
    let password = fields.get("password");
    if password.is_empty() {
        return Ok(RootLeave::NONE);
    }
    state.auth.root_leave(&person.0, &Secret::new(password), visit.address).await.map_err(|error| {
        let (status, retry_after) = match &error {
            AccountError::TooMany { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(*retry_after)),
            AccountError::Busy { retry_after } => (StatusCode::SERVICE_UNAVAILABLE, Some(*retry_after)),
            _ => (StatusCode::FORBIDDEN, None),
        };
        Refusal { status, sentence: sentence_of(&error), retry_after }
    })
}

/// Names of people who are there, apart by spaces, commas or lines; else a sentence.
fn names_in(state: &HubState, text: &str) -> Result<Vec<UserName>, String> {
    let words: Vec<_> = text.split([' ', ',', ';', '\n', '\r', '\t']).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Err("Type the names of those who shall belong to the group.".into());
    }
    if words.len() > NEW_MEMBERS_LIMIT {
        return Err(format!("At most {NEW_MEMBERS_LIMIT} names in one go, please."));
    }
    let mut users = Vec::with_capacity(words.len());
    for word in words {
        match UserName::parse(word).ok().filter(|name| state.auth.user(name).is_some()) {
            Some(name) => users.push(name),
            None => {
                let word: String = word.chars().take(64).collect();
                return Err(format!("Nobody here is called “{word}”. Nobody has been added."));
            }
        }
    }
    Ok(users)
}

/// What the page of a group shows beside what is stored.
struct Shown {
    draft: GrantsDraft,
    description: String,
    priority: i32,
    said: &'static str,
    problems: Vec<GrantProblem>,
    error: String,
    password_error: String,
    new_members: String,
    members_error: String,
    members_password_error: String,
}

impl Shown {
    fn of(group: &GroupListing) -> Self {
        Self {
            draft: GrantsDraft::of(&group.grants),
            description: group.description.clone(),
            priority: group.grants.priority,
            said: "",
            problems: vec![],
            error: String::new(),
            password_error: String::new(),
            new_members: String::new(),
            members_error: String::new(),
            members_password_error: String::new(),
        }
    }
}

fn show_group(
    state: &HubState,
    frame: Frame,
    group: &GroupListing,
    wish: &Wish,
    status: StatusCode,
    shown: Shown,
) -> Result<Response, HubError> {
    let members: Vec<_> = group.users.iter().filter(|user| wish.fits(user.as_str())).collect();
    let cut = wish.cut(members.iter().map(|user| user.as_str()));
    let rows = members.get(cut.shown.clone()).unwrap_or_default().iter().map(|user| {
        context! { name => user.to_string(), path => percent_encode(user.as_str()).into_owned() }
    });
    let page_at = |page: usize| {
        let there = Wish { page, at: String::new(), ..wish.clone() };
        address_of(state, &group.name) + &there.to_query(&[]) + "#members"
    };
    let problem = |field: &str| -> Vec<&str> {
        shown.problems.iter().filter(|problem| problem.field == field).map(|problem| problem.message.as_str()).collect()
    };
    let fields = [
        "env_vars",
        "gpu_device_ids",
        "cpu_limit_cores",
        "mem_limit_gb",
        "shared_mount_mode",
        "volume_mounts",
        "priority",
        "idle_after_minutes",
        "idle_max_age_hours",
        "idle_extension_hours",
    ];
    let problems: BTreeMap<_, _> = fields.into_iter().map(|field| (field, problem(field).join(" "))).collect();
    let page = context! {
        name => group.name.to_string(),
        path => path_of(&group.name),
        is_built_in => group.is_built_in,
        is_root_like => group.grants.is_root_like(),
        has_extras => state.spawner.gives_extras(),
        roles => group.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
        grants => notes_of(group),
        description => shown.description,
        priority => shown.priority,
        draft => draft_value(&shown.draft),
        spare => (0..SPARE_ROWS).collect::<Vec<_>>(),
        said => shown.said,
        error => shown.error,
        problems => Value::from(problems),
        password_error => shown.password_error,
        new_members => shown.new_members,
        members_error => shown.members_error,
        members_password_error => shown.members_password_error,
        members => rows.collect::<Vec<_>>(),
        member_count => group.users.len(),
        found => members.len(),
        text => wish.text.clone(),
        page => cut.page,
        pages => cut.pages,
        previous_url => (cut.page > 1).then(|| page_at(cut.page - 1)),
        next_url => (cut.page < cut.pages).then(|| page_at(cut.page + 1)),
        others => others(state, group),
    };
    frame.show(status, "group.html", page)
}

/// Some of those who do not belong to the group yet, for the field's suggestions.
fn others(state: &HubState, group: &GroupListing) -> Vec<String> {
    let members: BTreeSet<_> = group.users.iter().collect();
    let users = state.auth.users().into_iter().filter(|user| !members.contains(&user.name));
    users.take(SUGGESTIONS).map(|user| user.name.to_string()).collect()
}

fn show_list(
    state: &HubState,
    frame: Frame,
    status: StatusCode,
    wish: &Wish,
    beside: Value,
) -> Result<Response, HubError> {
    let mut groups = state.auth.groups();
    let total = groups.len();
    groups.retain(|group| group.name.as_str().to_lowercase().contains(&wish.text));
    let cut = wish.cut(groups.iter().map(|group| group.name.as_str()));
    let shown = groups.get(cut.shown.clone()).unwrap_or_default();
    let rows = shown.iter().map(|group| {
        context! {
            name => group.name.to_string(),
            path => path_of(&group.name),
            description => group.description.clone(),
            members => group.users.len(),
            priority => group.grants.priority,
            is_built_in => group.is_built_in,
            is_root_like => group.grants.is_root_like(),
            grants => notes_of(group),
        }
    });
    let page_at = |page: usize| {
        let there = Wish { page, at: String::new(), ..wish.clone() };
        state.config.hub("groups") + &there.to_query(&[])
    };
    let page = context! {
        groups => rows.collect::<Vec<_>>(),
        total,
        found => groups.len(),
        text => wish.text.clone(),
        name => "",
        description => "",
        error => "",
        deleted => None::<String>,
        page => cut.page,
        pages => cut.pages,
        first => cut.shown.start + 1,
        last => cut.shown.end,
        previous_url => (cut.page > 1).then(|| page_at(cut.page - 1)),
        next_url => (cut.page < cut.pages).then(|| page_at(cut.page + 1)),
    };
    frame.show(status, "groups.html", context! { ..beside, ..page })
}

fn notes_of(group: &GroupListing) -> Vec<Value> {
    let notes = group.notes().into_iter();
    notes
        .map(|note| {
            let is_root_like = note.is_root_like();
            context! { key => note.key, label => note.label, value => note.value, is_root_like }
        })
        .collect()
}

fn draft_value(draft: &GrantsDraft) -> Value {
    let variables = draft.env_vars.iter().map(|variable| {
        let DraftVariable { name, value, description } = variable.clone();
        context! { name, value, description }
    });
    let volumes = draft.volume_mounts.iter().map(|grant| {
        let DraftVolume { volume, mountpoint, mode } = grant.clone();
        context! { volume, mountpoint, mode }
    });
    let on = Option::unwrap_or_default;
    context! {
        env_vars_active => on(draft.env_vars_active),
        env_vars => variables.collect::<Vec<_>>(),
        gpu_access => on(draft.gpu_access),
        gpu_all => on(draft.gpu_all),
        gpu_device_ids => draft.gpu_device_ids.clone(),
        gpu_exclusive => draft.gpu_exclusive,
        docker_access => draft.docker_access,
        docker_privileged => draft.docker_privileged,
        cpu_limit_enabled => on(draft.cpu_limit_enabled),
        cpu_limit_cores => draft.cpu_limit_cores,
        mem_limit_enabled => on(draft.mem_limit_enabled),
        mem_limit_gb => draft.mem_limit_gb,
        mem_swap_disabled => draft.mem_swap_disabled,
        volume_mounts_active => on(draft.volume_mounts_active),
        shared_mount_allow => draft.shared_mount_allow,
        shared_mount_mode => draft.shared_mount_mode.clone(),
        volume_mounts => volumes.collect::<Vec<_>>(),
        idle_active => on(draft.idle_active),
        idle_after_minutes => draft.idle_after_minutes,
        idle_max_age_hours => draft.idle_max_age_hours,
        idle_extension_hours => draft.idle_extension_hours,
        idle_stops_busy_kernels => draft.idle_stops_busy_kernels,
    }
}

fn priority_of(fields: &Fields, problems: &mut Vec<GrantProblem>) -> i32 {
    let text = fields.get("priority").trim();
    if text.is_empty() {
        return 0;
    }
    text.parse().unwrap_or_else(|_| {
        problems.push(problem("priority", "A priority is a whole number: the higher one wins."));
        0
    })
}

fn problem(field: &'static str, message: &str) -> GrantProblem {
    GrantProblem { code: "invalid", field, message: message.to_owned(), rejected: vec![] }
}

/// The grants as the form says them, and what is no number where one belongs.
fn draft_of(fields: &Fields) -> (GrantsDraft, Vec<GrantProblem>) {
    let mut problems = Vec::new();
    let is_on = |name: &str| fields.find(name).is_some();
    let mut number = |name: &'static str| {
        let text = fields.get(name).trim().replace(',', ".");
        if text.is_empty() {
            return 0.0;
        }
        text.parse().unwrap_or_else(|_| {
            problems.push(problem(name, "This is no number."));
            0.0
        })
    };
    let (cores, gb) = (number("cpu_limit_cores"), number("mem_limit_gb"));
    let mut whole = |name: &'static str| {
        let text = fields.get(name).trim();
        if text.is_empty() {
            return 0;
        }
        text.parse().unwrap_or_else(|_| {
            problems.push(problem(name, "This is no whole number."));
            0
        })
    };
    let (idle_after_minutes, idle_max_age_hours) = (whole("idle_after_minutes"), whole("idle_max_age_hours"));
    let idle_extension_hours = whole("idle_extension_hours");
    let variables = fields.all("env_name").zip(fields.all("env_value")).zip(fields.all("env_description"));
    let env_vars = variables.map(|((name, value), description)| DraftVariable {
        name: name.trim().to_owned(),
        value: value.to_owned(),
        description: description.trim().to_owned(),
    });
    let volumes = fields.all("volume").zip(fields.all("mountpoint")).zip(fields.all("mode"));
    let volume_mounts = volumes.map(|((volume, mountpoint), mode)| DraftVolume {
        volume: volume.trim().to_owned(),
        mountpoint: mountpoint.trim().to_owned(),
        mode: mode.to_owned(),
    });
    let ids = fields.get("gpu_device_ids").split([',', ' ', '\n', '\r']).filter(|id| !id.is_empty());
    let draft = GrantsDraft {
        env_vars_active: Some(is_on("env_vars_active")),
        env_vars: env_vars.filter(|variable| *variable != DraftVariable::default()).collect(),
        gpu_access: Some(is_on("gpu_access")),
        gpu_all: Some(fields.get("gpu_all") != "0"),
        gpu_device_ids: ids.map(str::to_owned).collect(),
        gpu_exclusive: is_on("gpu_exclusive"),
        docker_active: None,
        docker_access: is_on("docker_access"),
        docker_privileged: is_on("docker_privileged"),
        cpu_limit_enabled: Some(is_on("cpu_limit_enabled")),
        cpu_limit_cores: cores,
        mem_limit_enabled: Some(is_on("mem_limit_enabled")),
        mem_limit_gb: gb,
        mem_swap_disabled: is_on("mem_swap_disabled"),
        volume_mounts_active: Some(is_on("volume_mounts_active")),
        shared_mount_allow: is_on("shared_mount_allow"),
        shared_mount_mode: fields.get("shared_mount_mode").to_owned(),
        volume_mounts: volume_mounts
            .filter(|grant| !(grant.volume.is_empty() && grant.mountpoint.is_empty()))
            .collect(),
        idle_active: Some(is_on("idle_active")),
        idle_after_minutes,
        idle_max_age_hours,
        idle_extension_hours,
        idle_stops_busy_kernels: is_on("idle_stops_busy_kernels"),
    };
    (draft, problems)
}
