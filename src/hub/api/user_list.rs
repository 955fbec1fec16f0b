//! `GET /users`: which users, in which order, and the page of them that is asked for.
//!
//! Ten thousand users are looked at without copying one: only those of the page become models.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use utoipa::IntoParams;

use super::model::error::ErrorModel;
use super::model::user::{Shown, UserModel, last_activity};
use super::openapi::PageQuery;
use super::paging::{Listing, Page};
use super::query::Query;
use super::scopes;
use crate::auth::{Rights, Target, User};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::{ServerState, Timestamp, UserName};

/// Which users are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Wish` reads")]
pub(super) struct UserQuery {
    /// Only users with a server that is `active` (ready, or something is pending), with one that is `ready`, or with
    /// none that is active (`inactive`).
    #[param(example = "ready", pattern = "^(active|ready|inactive)$")]
    state: Option<String>,
    /// `id` (in order of creation), `name` or `last_activity`; with `-` before it the other way round.
    #[param(example = "-last_activity", pattern = "^-?(id|name|last_activity)$")]
    sort: Option<String>,
    /// Only users whose name contains this.
    #[param(example = "ali")]
    name_filter: Option<String>,
    /// Stopped servers are shown, too, unless this is `0` or `false`.
    #[param(example = "1")]
    include_stopped_servers: Option<String>,
}

/// `GET /hub/api/users`
#[utoipa::path(
    get, path = "/users", operation_id = "list_users", tag = "Users",
    summary = "List users", description = "Those whom the caller may list, with the fields that they may see of each.",
    params(UserQuery, PageQuery),
    security(("token" = ["list:users"])),
    responses(
        (status = 200, description = "A page of users.", body = Listing<Vec<UserModel>>),
        (status = 400, description = "A parameter is not as it must be.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn list(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    RawQuery(query): RawQuery,
    page: Page,
) -> Result<Json<Listing<Vec<UserModel>>>, HubError> {
    let rights = scopes::require(&caller, &["list:users"], Target::Some)?;
    let query = Query::parse(query.as_deref());
    let wish = Wish::read(&query)?;
    let shown = Shown::asked_for(&query);
    let mut users = state.auth.everybody();
    keep_listed(&mut users, &rights);
    if let Some(name) = &wish.name {
        users.retain(|user| user.name.as_str().contains(name.as_str()));
    }
    if let Some(wanted) = wish.state {
        let up = users_with_servers(&state, wanted == StateFilter::Ready);
        users.retain(|user| up.contains(&user.name) != (wanted == StateFilter::Inactive));
    }
    let total = users.len();
    let end = page.offset.saturating_add(page.limit);
    let users = wish.arrange(users, end, |user| last_activity(&state, user));
    let models = page.cut(users).map(|user| UserModel::of(&state, &rights, &user, shown)).collect();
    Ok(page.answer(models, total))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateFilter {
    Active,
    Ready,
    Inactive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Id,
    Name,
    LastActivity,
}

/// Which users, and in which order.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    state: Option<StateFilter>,
    name: Option<String>,
    sort: Sort,
    is_descending: bool,
}

impl Wish {
    fn read(query: &Query) -> Result<Self, HubError> {
        let asked = query.get("sort").unwrap_or("id");
        let (is_descending, by) = asked.strip_prefix('-').map_or((false, asked), |by| (true, by));
        let sort = match by {
            "id" => Sort::Id,
            "name" => Sort::Name,
            "last_activity" => Sort::LastActivity,
            _ => {
                return Err(HubError::bad(format!("sort must be 'id', 'name', or 'last_activity', not '{asked}'")));
            }
        };
        let state = match query.get("state").unwrap_or_default() {
            "" => None,
            "active" => Some(StateFilter::Active),
            "ready" => Some(StateFilter::Ready),
            "inactive" => Some(StateFilter::Inactive),
            other => return Err(HubError::bad(format!("Unrecognized state filter: '{other}'"))),
        };
        let name = query.get("name_filter").filter(|name| !name.is_empty()).map(str::to_lowercase);
        Ok(Self { state, name, sort, is_descending })
    }

    /// The first `end` users in this order. Who was never active comes first, or last the other way round.
    fn arrange(
        &self,
        mut users: Vec<Arc<User>>,
        end: usize,
        last_activity: impl Fn(&User) -> Option<Timestamp>,
    ) -> Vec<Arc<User>> {
        let direct = |ordering: Ordering| if self.is_descending { ordering.reverse() } else { ordering };
        match self.sort {
            Sort::Id => sort_first(&mut users, end, |a, b| direct(by_age(a, b))),
            Sort::Name => sort_first(&mut users, end, |a, b| direct(a.name.cmp(&b.name))),
            Sort::LastActivity => {
                // Looked up once each: a sort that sees it change would not come to an end in order.
                let mut seen: Vec<_> = users.into_iter().map(|user| (last_activity(&user), user)).collect();
                sort_first(&mut seen, end, |a, b| direct(a.0.cmp(&b.0)).then_with(|| by_age(&a.1, &b.1)));
                users = seen.into_iter().map(|(_, user)| user).collect();
            }
        }
        users
    }
}

/// In order of creation.
fn by_age(a: &Arc<User>, b: &Arc<User>) -> Ordering {
    a.created().cmp(&b.created()).then_with(|| a.name.cmp(&b.name))
}

/// Brings the first `end` items into order and drops the others.
fn sort_first<T>(items: &mut Vec<T>, end: usize, order: impl Fn(&T, &T) -> Ordering) {
    if end < items.len() {
        items.select_nth_unstable_by(end, &order);
        items.truncate(end);
    }
    items.sort_unstable_by(&order);
}

/// Drops those whom the caller may not list.
fn keep_listed(users: &mut Vec<Arc<User>>, rights: &Rights) {
    if !rights.allows("list:users", Target::All) {
        users.retain(|user| rights.allows("list:users", Target::User(&user.name)));
    }
}

/// The users with a server that is ready, or (`is_ready` not asked for) about to be or to stop.
fn users_with_servers(state: &HubState, is_ready: bool) -> HashSet<UserName> {
    let servers = state.spawner.active().into_iter();
    let fits = |state: &ServerState| *state == ServerState::Ready || (!is_ready && state.pending().is_some());
    servers.filter(|(_, status)| fits(&status.state)).map(|(key, _)| key.user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(query: &str) -> Result<Wish, String> {
        Wish::read(&Query::parse(Some(query))).map_err(|error| error.message().unwrap_or_default())
    }

    #[test]
    fn a_wish_is_read_or_refused() {
        let usual = Wish { state: None, name: None, sort: Sort::Id, is_descending: false };
        assert_eq!(wish(""), Ok(usual));
        assert_eq!(wish("state=&name_filter="), wish("sort=id"));
        let all = wish("state=ready&sort=-last_activity&name_filter=%20ALI").expect("sound");
        assert_eq!((all.state, all.sort, all.is_descending), (Some(StateFilter::Ready), Sort::LastActivity, true));
        assert_eq!(all.name.as_deref(), Some("ali"));
        assert_eq!(wish("state=odd"), Err("Unrecognized state filter: 'odd'".into()));
        assert_eq!(wish("sort=-age"), Err("sort must be 'id', 'name', or 'last_activity', not '-age'".into()));
        assert!(wish("sort=").is_err() && wish("sort=--id").is_err());
    }

    #[test]
    fn the_first_of_an_order_are_those_of_the_whole_order() {
        for end in [0, 1, 7, 99, 100, 1000] {
            let mut items: Vec<u64> = (0..100).map(|n| n * 7919 % 101).collect();
            let mut whole = items.clone();
            sort_first(&mut items, end, u64::cmp);
            whole.sort_unstable();
            whole.truncate(end);
            assert_eq!(items, whole);
        }
    }
}
