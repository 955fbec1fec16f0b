//! `{base}hub/admin/users/{user}`: all that is known of one user, and what can be done to them.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;
use tokio::time::timeout;

use super::act::Act;
use super::ask::sentence_of_done;
use super::question::view_of;
use super::using;
use super::wish::{Access, Entry, Wish};
use super::{check, entries, list_at, page_of_user, path_of, user_of};
use crate::hub::HubState;
use crate::hub::api::user_acts::rename;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person};
use crate::hub::form::{Fields, query_encode};
use crate::hub::frame::Frame;
use crate::hub::pages::grants;
use crate::hub::pages::home::with_idle;
use crate::hub::pages::idle::Asked;
use crate::hub::pages::see_other;
use crate::hub::templates::moment;
use crate::hub::to_its_end::to_its_end;
use crate::model::{OwnerName, ServerKey, UserName};
use crate::store::AuditFilter;

/// Lines of the own server's log.
const LOG_LINES: usize = 20;
/// Rows of the audit log.
const AUDIT_ROWS: usize = 8;
/// Sessions; the others are counted.
const SESSIONS: usize = 10;

/// `GET {base}hub/admin/users/{user}`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    let done = sentence_of_done(&state, person.name(), uri.query());
    let page = view(&state, person.name(), &name, &Asked::of(&uri)).await?;
    frame.show(StatusCode::OK, "user.html", context! { done, problem => (), typed => "", ..page })
}

/// The same page where one of the user's servers was to get more time, and did not.
pub(in crate::hub::pages) async fn show(
    state: &HubState,
    person: &Person,
    name: &UserName,
    frame: Frame,
    code: StatusCode,
    asked: &Asked,
) -> Result<Response, HubError> {
    check(person)?;
    let page = view(state, person.name(), name, asked).await?;
    frame.show(code, "user.html", context! { done => (), problem => (), typed => "", ..page })
}

/// `POST {base}hub/admin/users/{user}/rename`
pub(in crate::hub) async fn change_name(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(name): Path<String>,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let old = user_of(&state, &name)?;
    let typed = fields.get("name");
    let renamed = match UserName::parse(typed) {
        Ok(new) if new == old => Ok(new),
        Ok(new) => {
            let (state, old, name) = (state.clone(), old.clone(), new.clone());
            to_its_end(async move { rename(&state, &by, &old, name, None).await }).await.map(|()| new)
        }
        Err(error) => Err(HubError::bad(format!("This name cannot be used: {error}."))),
    };
    match renamed {
        Ok(new) => Ok(see_other(&page_of_user(&state, &new))),
        Err(HubError::Bad(problem)) => {
            let page = view(&state, person.name(), &old, &Asked::Nothing).await?;
            let page = context! { done => (), problem, typed, ..page };
            frame.show(StatusCode::BAD_REQUEST, "user.html", page)
        }
        Err(error) => Err(error),
    }
}

async fn view(state: &HubState, me: &UserName, name: &UserName, asked: &Asked) -> Result<Value, HubError> {
    let entry = entries::of(state, name).ok_or(HubError::NoSuchResource)?;
    let servers = state.spawner.servers_of(name);
    let servers = servers.iter().map(|(server, status)| with_idle(state, server, status, asked)).collect::<Vec<_>>();
    let own_server = ServerKey::default_of(name.clone());
    // An engine that does not answer must not keep the page from showing the rest.
    let wait = state.config.engine_wait();
    let (log, volumes, left_over) = tokio::join!(
        timeout(wait, state.spawner.log_tail(&own_server, LOG_LINES)),
        timeout(wait, state.spawner.volumes_of(name)),
        timeout(wait, state.spawner.left_over_volumes(name)),
    );
    let log = log.ok().and_then(Result::ok).unwrap_or_default();
    let (volumes, left_over) = (volumes.ok().and_then(Result::ok), left_over.ok().and_then(Result::ok));
    let own_volumes = volumes
        .as_ref()
        .map(|volumes| volumes.iter().filter(|volume| volume.resettable).map(view_of).collect::<Vec<_>>());
    let sessions = state.auth.sessions_of(name, None);
    let shown = sessions.iter().take(SESSIONS).map(|session| {
        context! {
            from => session.from.map(|from| from.to_string()),
            agent => &session.agent,
            created => moment(session.created),
            last_seen => moment(session.last_seen),
        }
    });
    let tokens = state.auth.tokens_of(&OwnerName::User(name.clone())).len();
    let acts = Act::ALL.into_iter().filter(|act| act.objection(&entry, me).is_none());
    let acts = acts.filter(|act| fits_one(*act, &entry)).map(|act| {
        context! {
            word => act.word(), label => act.label(), is_destructive => act.is_destructive(), asks => !act.is_harmless(),
            is_server => matches!(act, Act::Start | Act::Stop | Act::Restart), is_main => act == Act::Approve,
        }
    });
    let groups = entry.groups.iter().map(|group| {
        context! { name => group.to_string(), url => state.config.hub("admin?group=") + &query_encode(group.as_str()) }
    });
    Ok(context! {
        name => name.to_string(),
        path => path_of(name),
        is_me => name == me,
        is_waiting => entry.access == Access::Waiting,
        is_disabled => entry.access == Access::Disabled,
        admin => entry.admin,
        must_change_password => entry.must_change_password,
        has_second_factor => entry.has_second_factor,
        real_name => &entry.real_name,
        email => &entry.email,
        created => moment(entry.created),
        active => entry.active_at.map(moment),
        servers,
        has_idle => !state.spawner.idle_rules(name).rules.are_off(),
        log => log.join("\n"),
        groups => groups.collect::<Vec<_>>(),
        grants => grants::table(state, name),
        volumes => own_volumes,
        left_over => left_over.is_some_and(|volumes| !volumes.is_empty()),
        volumes_url => state.config.hub("volumes/") + &path_of(name),
        sessions => shown.collect::<Vec<_>>(),
        session_count => sessions.len(),
        tokens,
        audit => audit_of(state, name).await?,
        audit_url => state.config.hub("audit?person=") + &query_encode(name.as_str()),
        acts => acts.collect::<Vec<_>>(),
        using => using::view(state, &entry),
        back => list_at(state, &Wish { at: name.to_string(), ..Wish::default() }),
    })
}

/// Some acts make no sense for one user alone, seen from their page.
fn fits_one(act: Act, entry: &Entry) -> bool {
    match act {
        Act::RemoveFromGroup => !entry.groups.is_empty(),
        // Who waits is discarded; that is less than a deletion, and there are no volumes yet.
        Act::Delete => entry.access != Access::Waiting,
        _ => true,
    }
}

async fn audit_of(state: &HubState, name: &UserName) -> Result<Vec<Value>, HubError> {
    let filter = AuditFilter { person: Some(name.to_string()), ..AuditFilter::default() };
    let page = state.auth.audit_page(filter, None, AUDIT_ROWS).await?;
    let rows = page.entries.into_iter().map(|entry| {
        let row = entry.row;
        context! { at => moment(row.at), actor => row.actor, act => row.act, object => row.object }
    });
    Ok(rows.collect())
}
