//! `GET {base}hub/admin`: everybody in one table, searched, filtered, sorted and cut into pages by the server.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::act::Act;
use super::ask::sentence_of_done;
use super::entries;
use super::using::{self, cores};
use super::wish::{Access, Column, Entry, SIZES, Server, Show, Wish};
use super::{check, list_at, page_of_user, path_of, user_of};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::form::query_encode;
use crate::hub::frame::Frame;
use crate::hub::idle::{Tone, in_words};
use crate::hub::pages::found;
use crate::hub::pages::host::size;
use crate::hub::templates::short_moment;
use crate::model::{ServerKey, UserName};

/// How many of a user's groups a row names; the others are counted.
const GROUPS_NAMED: usize = 3;
/// How many groups the filter offers: a longer choice is none; the search finds groups by name.
const GROUPS_OFFERED: usize = 200;

/// `GET {base}hub/admin`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let wish = Wish::parse(uri.query().unwrap_or_default());
    let done = sentence_of_done(&state, person.name(), uri.query());
    let page = view(&state, person.name(), &wish, None);
    let page = context! { done, ..page };
    frame.show(StatusCode::OK, "users.html", page)
}

/// `GET {base}hub/authorize`: the old address of those who wait.
pub(in crate::hub) async fn waiting(State(state): State<HubState>, person: Person) -> Result<Response, HubError> {
    check(&person)?;
    Ok(found(&(state.config.hub("admin") + "?waiting=1")))
}

/// `GET {base}hub/authorize/{user}`: the old name of a toggle; here it only shows the person.
pub(in crate::hub) async fn show_user(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    Ok(found(&page_of_user(&state, &user_of(&state, &name)?)))
}

/// What the page shows to `me`; `problem` is what is wrong with what was asked last.
pub(super) fn view(state: &HubState, me: &UserName, wish: &Wish, problem: Option<&str>) -> Value {
    let mut entries = entries::everybody(state);
    let total = entries.len();
    // Where nothing is stopped by itself, nothing tells of it.
    let has_idle = wish.show == Show::Idle || entries.iter().any(|entry| entry.idle.is_some());
    let shows = Show::ALL.into_iter().filter(|show| has_idle || *show != Show::Idle).map(|show| {
        let count = entries.iter().filter(|entry| show.fits(entry)).count();
        let address = list_at(state, &wish.with(|other| other.show = show));
        context! { word => show.word(), count, address, is_chosen => wish.show == show }
    });
    let shows = shows.collect::<Vec<_>>();
    let has_second_factors = entries.iter().any(|entry| entry.has_second_factor);
    wish.arrange(&mut entries);
    let cut = wish.cut(&entries);
    let address_of = |page: usize| list_at(state, &wish.with(|other| other.page = page));
    let rows = entries.get(cut.shown.clone()).unwrap_or_default();
    let host_memory = state.host_memory();
    let rows = rows.iter().map(|entry| row_of(state, me, entry, host_memory)).collect::<Vec<_>>();
    let groups = state.auth.group_names();
    let is_group_offered = |name: &str| groups.len() <= GROUPS_OFFERED && !name.is_empty();
    // Few installations have second factors, and none gets new ones.
    let is_offered = |act: &Act| *act != Act::ClearSecondFactor || has_second_factors;
    let acts = Act::ALL.into_iter().filter(is_offered).map(|act| {
        context! {
            word => act.word(), label => act.label(), is_destructive => act.is_destructive(), wants_more => act.wants_group(),
        }
    });
    context! {
        users => rows,
        total,
        found => entries.len(),
        shows,
        has_idle,
        show => wish.show.word(),
        columns => Column::ALL.map(|column| column_of(state, wish, column)).to_vec(),
        sort => sort_of(wish),
        text => &wish.text,
        group => wish.group.as_ref().map(ToString::to_string),
        groups => groups.iter().map(ToString::to_string).filter(|name| is_group_offered(name)).collect::<Vec<_>>(),
        is_narrowed => !wish.text.is_empty() || wish.group.is_some(),
        everybody => list_at(state, &wish.with(|other| { other.text.clear(); other.group = None; })),
        sizes => SIZES.map(|size| context! { size, address => list_at(state, &wish.with(|other| other.size = size)) }).to_vec(),
        size => wish.size,
        wish => wish.to_query(),
        acts => acts.collect::<Vec<_>>(),
        problem,
        done => (),
        has_samples => state.activity.last_look().is_some(),
        warns => using::thresholds(&state.config.activity),
        first => cut.shown.start + 1,
        last => cut.shown.end,
        pages => cut.pages,
        previous => (cut.page > 1).then(|| address_of(cut.page - 1)),
        next => (cut.page < cut.pages).then(|| address_of(cut.page + 1)),
    }
}

/// A column's head: where a click leads, and how it is sorted now.
fn column_of(state: &HubState, wish: &Wish, column: Column) -> Value {
    let is_sorted = wish.column == column;
    let is_reversed = is_sorted && !wish.is_reversed;
    let address = list_at(state, &wish.with(|other| (other.column, other.is_reversed) = (column, is_reversed)));
    // The natural order of these begins with the latest, or with the most.
    let is_latest_first = !matches!(column, Column::Name | Column::Access | Column::Server | Column::Groups);
    let direction = if wish.is_reversed == is_latest_first { "ascending" } else { "descending" };
    context! { word => column.word(), address, direction => is_sorted.then_some(direction) }
}

/// The parameter that keeps the order while the search changes.
fn sort_of(wish: &Wish) -> Option<String> {
    let sign = if wish.is_reversed { "-" } else { "" };
    let is_usual = wish.column == Column::Name && !wish.is_reversed;
    (!is_usual).then(|| format!("{sign}{}", wish.column.word()))
}

fn row_of(state: &HubState, me: &UserName, entry: &Entry, host_memory: Option<u64>) -> Value {
    let (using, above) = (&entry.using, entry.using.above(&state.config.activity, host_memory));
    let named = entry.groups.iter().take(GROUPS_NAMED).map(|group| {
        context! { name => group.to_string(), query => query_encode(group.as_str()) }
    });
    let url =
        (entry.server == Server::Ready).then(|| state.config.address_of(&ServerKey::default_of(entry.name.clone())));
    context! {
        name => entry.name.to_string(),
        path => path_of(&entry.name),
        real_name => &entry.real_name,
        is_me => entry.name == *me,
        admin => entry.admin,
        is_waiting => entry.access == Access::Waiting,
        must_change_password => entry.must_change_password,
        is_disabled => entry.access == Access::Disabled,
        has_second_factor => entry.has_second_factor,
        server => entry.server.word(),
        url,
        ends => entry.idle.map(|end| context! {
            left => in_words(end.left), used => end.used, is_soon => end.tone != Tone::Ample,
        }),
        active => entry.active_at.map(short_moment),
        groups => named.collect::<Vec<_>>(),
        more_groups => entry.groups.len().saturating_sub(GROUPS_NAMED),
        created => short_moment(entry.created),
        cpu => using.cpu_cores.map(cores),
        memory => using.memory_bytes.map(size),
        volumes => using.volume_bytes.map(size),
        layer => using.layer_bytes.map(size),
        activity => using.activity.map(|activity| activity.score),
        bars => using.activity.map(|activity| activity.bars()),
        above_memory => above.memory,
        above_volumes => above.volumes,
        above_layer => above.layer,
    }
}
