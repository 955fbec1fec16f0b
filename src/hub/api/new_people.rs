//! `POST /admin/users/bulk`: many accounts at once, from a list or a spreadsheet, with passwords that are told once.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{json_body, short};
use super::model::error::ErrorModel;
use super::scopes;
use crate::auth::{Creation, NEW_PEOPLE_LIMIT, NewPerson, Roster, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::{GroupName, UserName, UserProfile};

/// People who are to have accounts: as `users`, or as text in `list`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "list": "ada,Ada,Lovelace,ada@example.org,math\ngrace", "must_change": true }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct BulkWish {
    /// One each; 200 at most.
    #[serde(default)]
    #[schema(max_items = 200)]
    users: Vec<BulkUser>,
    /// One a line: `name,first name,last name,e-mail,group;group`; what is not needed is left out.
    #[serde(default)]
    list: String,
    /// Groups that all of them join; they must be there.
    #[serde(default)]
    #[schema(max_items = 100)]
    groups: Vec<String>,
    /// Whether they must change the password at the first sign-in; true if it is left out.
    must_change: Option<bool>,
    /// Whether they may sign in at once; true if it is left out.
    authorized: Option<bool>,
}

/// Somebody who is to have an account.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "ada", "groups": ["math"] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct BulkUser {
    /// Unique.
    name: String,
    /// 100 characters at most.
    #[serde(default)]
    first_name: String,
    /// 100 characters at most.
    #[serde(default)]
    last_name: String,
    /// 254 bytes at most; loosely checked.
    #[serde(default)]
    email: String,
    /// Groups to join; they must be there.
    #[serde(default)]
    #[schema(max_items = 100)]
    groups: Vec<String>,
}

/// What became of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::hub) enum Outcome {
    /// There is a new account.
    Created,
    /// There was one; it is as it was.
    Existing,
    /// It cannot be, and therefore nobody was made.
    Invalid,
}

/// One of them.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkResult, example = json!({
    "line": 1, "name": "ada", "outcome": "created", "password": "maple-orbit-velvet-crane"
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct BulkRow {
    /// Of the list, or the place in `users`; from 1.
    line: usize,
    /// As it was understood.
    name: String,
    outcome: Outcome,
    /// Told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    password: Option<String>,
    /// Why it cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// What became of all of them.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkOutcome, example = json!({ "results": [] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct BulkModel {
    results: Vec<BulkRow>,
}

/// `POST /hub/api/admin/users/bulk`
#[utoipa::path(
    post, path = "/admin/users/bulk", operation_id = "create_many_with_passwords", tag = "Users",
    summary = "Make many accounts with passwords",
    description = "In one step: all that are new, or, if one of them cannot be, none (422). The passwords are told in \
                   this answer alone. 200 at most; each takes some 50 ms.",
    security(("token" = ["admin:users"])),
    request_body = BulkWish,
    responses(
        (status = 200, description = "What became of each.", body = BulkModel),
        (status = 422, description = "Some cannot be: those are told, and nobody was made.", body = BulkModel),
        (status = 400, description = "Nobody is named, or the body is not as it must be.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<(StatusCode, Json<BulkModel>), HubError> {
    scopes::require(&caller, &["admin:users"], Target::All)?;
    let wish = json_body::<BulkWish>(&body)?.unwrap_or_default();
    let groups = wish.groups.iter().map(|group| group_of(&state, group)).collect::<Result<Vec<_>, _>>();
    let groups = groups.map_err(HubError::bad)?;
    let (people, mut invalid) = read(&state, &wish)?;
    for group in groups.iter().chain(people.iter().flat_map(|(_, person)| &person.groups)) {
        scopes::require(&caller, &["groups"], Target::Group(group))?;
    }
    if people.is_empty() && invalid.is_empty() {
        return Err(HubError::bad("Nobody is named."));
    }
    if !invalid.is_empty() {
        invalid.sort_by_key(|row| row.line);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(BulkModel { results: invalid })));
    }
    let creation =
        Creation { must_change: wish.must_change.unwrap_or(true), authorised: wish.authorized.unwrap_or(true), groups };
    let persons: Vec<_> = people.iter().map(|(_, person)| person.clone()).collect();
    let made = state.auth.create_with_passwords(&by, &persons, &creation).await?;
    let results = people.into_iter().map(|(line, person)| {
        let created = made.created.iter().find(|created| created.name == person.name);
        BulkRow {
            line,
            name: person.name.to_string(),
            outcome: if created.is_some() { Outcome::Created } else { Outcome::Existing },
            password: created.map(|created| created.password.expose().to_owned()),
            reason: None,
        }
    });
    Ok((StatusCode::OK, Json(BulkModel { results: results.collect() })))
}

/// People with the lines that they stand on.
type Numbered = Vec<(usize, NewPerson)>;

/// The people of a wish, with their lines, and what cannot be.
fn read(state: &HubState, wish: &BulkWish) -> Result<(Numbered, Vec<BulkRow>), HubError> {
    if !wish.users.is_empty() && !wish.list.is_empty() {
        return Err(HubError::bad("Send `users` or `list`, not both."));
    }
    if wish.users.len() > NEW_PEOPLE_LIMIT {
        return Err(HubError::bad(format!("Make at most {NEW_PEOPLE_LIMIT} accounts in one go.")));
    }
    let invalid = |line: usize, name: &str, reason: String| BulkRow {
        line,
        name: short(name),
        outcome: Outcome::Invalid,
        password: None,
        reason: Some(reason),
    };
    let roster = Roster::read(&wish.list, NEW_PEOPLE_LIMIT);
    let mut rows: Vec<_> =
        roster.mistakes.iter().map(|mistake| invalid(mistake.line, &mistake.name, mistake.reason.clone())).collect();
    let mut people = roster.people;
    for (line, user) in (1..).zip(&wish.users) {
        match person_of(user) {
            Ok(person) => people.push((line, person)),
            Err(reason) => rows.push(invalid(line, &user.name, reason)),
        }
    }
    let known = state.auth.group_names();
    for (line, person) in &people {
        if let Some(group) = person.groups.iter().find(|group| !known.contains(group)) {
            rows.push(invalid(*line, person.name.as_str(), format!("there is no group {group}")));
        }
    }
    Ok((people, rows))
}

fn person_of(user: &BulkUser) -> Result<NewPerson, String> {
    let name = UserName::parse(&user.name).map_err(|error| error.to_string())?;
    let profile = UserProfile::parse(&user.first_name, &user.last_name, &user.email);
    let profile = profile.map_err(|error| error.to_string())?;
    let groups = user.groups.iter().map(|group| GroupName::parse(group));
    let groups = groups.collect::<Result<Vec<_>, _>>().map_err(|error| format!("the group's name: {error}"))?;
    Ok(NewPerson { name, profile, groups, admin: false })
}

fn group_of(state: &HubState, text: &str) -> Result<GroupName, String> {
    let group = GroupName::parse(text).ok().filter(|group| state.auth.group_names().contains(group));
    group.ok_or_else(|| format!("There is no group {}.", short(text)))
}
