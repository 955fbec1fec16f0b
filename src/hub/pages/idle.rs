//! What people see of the time that a server has left, and the form that gives it more: whole hours, as many as are
//! offered. An administrator sees and does the same on the page of a user.

use std::num::NonZeroU32;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::{back_to_owner, home, page_of, see_other, users};
use crate::auth::may_start_server;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Named, Person, is_there};
use crate::hub::form::{Fields, query_encode, query_value};
use crate::hub::frame::Frame;
use crate::hub::idle::{bar_percent, hours_to_choose, in_words, tone_of};
use crate::hub::templates::moment;
use crate::model::{Generation, IdleView, IdleWhy, ServerKey, ServerName, ServerState, ServerStatus};
use crate::spawner::{ExtendError, SpawnerError};

/// What was asked for one of the servers on a page, and what became of it.
#[derive(Clone, Debug, Default)]
pub(super) enum Asked {
    /// Nothing.
    #[default]
    Nothing,
    /// Hours were added, or fewer than were asked for.
    Extended { server: ServerName, is_cut: bool },
    /// Why they were not.
    Refused { server: ServerName, sentence: String },
}

impl Asked {
    /// What the address of a page says that has been done.
    pub(super) fn of(uri: &Uri) -> Self {
        let name = query_value(uri.query(), "extended").and_then(|name| ServerName::parse(&name).ok());
        name.map_or(Self::Nothing, |server| {
            let is_cut = query_value(uri.query(), "cut").is_some();
            Self::Extended { server, is_cut }
        })
    }

    /// What is said, and what is wrong, of this server.
    fn told(&self, name: &ServerName) -> (Option<&'static str>, Option<&str>) {
        match self {
            Self::Extended { server, is_cut: false } if server == name => (Some("Extended."), None),
            Self::Extended { server, is_cut: true } if server == name => {
                (Some("Extended by all that was left to give, which is less than you asked for."), None)
            }
            Self::Refused { server, sentence } if server == name => (None, Some(sentence)),
            _ => (None, None),
        }
    }
}

/// The time that `server` has left as `idle.html` shows it; None where nothing stops it. `id` names its elements.
pub(super) fn value_of(state: &HubState, server: &ServerKey, id: &str, asked: &Asked) -> Option<Value> {
    // Where there is no deadline there is nothing to tell: the rules are off.
    let view = state.spawner.idle_view(server)?;
    let deadline = view.deadline?;
    let (said, problem) = asked.told(&server.name);
    let left = view.remaining.unwrap_or_default();
    let offers = hours_to_choose(view.offered_hours).into_iter().map(|hours| {
        let unit = if hours == 1 { "hour" } else { "hours" };
        let all = if hours == view.offered_hours { " (all there is)" } else { "" };
        context! { hours, text => format!("{hours} {unit}{all}") }
    });
    Some(context! {
        id,
        deadline => moment(deadline),
        wait => context! { iso => deadline.to_iso(), text => format!("in {}", in_words(left)) },
        is_held => left.is_zero() && view.busy_kernel,
        is_for_idle => view.why == IdleWhy::Idle,
        last => view.last.map(|(source, at)| context! { what => source.for_person(), at => moment(at) }),
        percent => bar_percent(left, view.high_water),
        tone => tone_of(&view).word(),
        is_extended => view.base.is_some_and(|base| left > base),
        offers => offers.collect::<Vec<_>>(),
        no_offer => no_offer(&view),
        extend_url => page_of(state, "extend", server),
        said,
        problem,
    })
}

/// Why no hours are offered, and when there will be some.
fn no_offer(view: &IdleView) -> Option<&'static str> {
    let can_ever = view.base.zip(view.ceiling).is_some_and(|(base, ceiling)| ceiling > base);
    match view.why {
        _ if view.offered_hours > 0 => None,
        IdleWhy::Age => Some("This cannot be put off."),
        IdleWhy::Idle if can_ever => {
            Some("It has as much time as can be given. Whole hours can be added again when an hour of it has passed.")
        }
        IdleWhy::Idle => Some("The time cannot be extended here: to use it keeps it."),
    }
}

/// What `idle.html` says of a server that was stopped because nobody used it, or for its age; None of any other.
pub(super) fn ended(state: &HubState, server: &ServerKey, status: &ServerStatus) -> Option<Value> {
    let end = state.spawner.idle_end(server)?;
    let last = match status.state {
        ServerState::Stopped | ServerState::Stopping => status.generation,
        // The start page tells why it has to start at all.
        ServerState::Starting(_) => Generation(status.generation.0.saturating_sub(1)),
        _ => return None,
    };
    (last == end.generation).then(|| {
        context! {
            at => moment(end.at), is_for_idle => end.why == IdleWhy::Idle, unused_since => end.unused_since.map(moment),
        }
    })
}

/// For people.
fn sentence_of(error: &ExtendError) -> &'static str {
    match error {
        ExtendError::Off => "This server is never stopped for being idle.",
        ExtendError::NotRunning => "This server does not run just now.",
        ExtendError::AtCeiling => "It has all the time that can be given.",
        ExtendError::Store(_) | ExtendError::Closed => "It could not be extended just now. Try again in a moment.",
    }
}

/// `POST {base}hub/extend/{user}[/{server}]` with `hours`.
pub(in crate::hub) async fn extend(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Named(named): Named,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    let server = named.ok_or(HubError::NoSuchResource)?;
    if !is_there(&state, &server) || !may_start_server(&person.as_caller(), &server) {
        return Err(HubError::NoSuchResource);
    }
    let refused = match fields.get("hours").trim().parse::<NonZeroU32>() {
        Err(_) => (StatusCode::BAD_REQUEST, "Choose a whole number of hours, 1 or more."),
        Ok(hours) => match state.spawner.extend(&server, hours, by).await {
            Ok(extended) => {
                let cut = if extended.truncated { "&cut=1" } else { "" };
                let back = back_to_owner(&state, person.name(), &server.user);
                let name = query_encode(server.name.as_str());
                return Ok(see_other(&format!("{back}?extended={name}{cut}")));
            }
            Err(ExtendError::Store(error)) => return Err(error.into()),
            Err(ExtendError::Closed) => return Err(SpawnerError::Closed.into()),
            Err(error) => (StatusCode::BAD_REQUEST, sentence_of(&error)),
        },
    };
    let (code, sentence) = refused;
    let asked = Asked::Refused { server: server.name.clone(), sentence: sentence.to_owned() };
    if server.user == *person.name() {
        return home::show(&state, &person, frame, code, home::Typed::default(), &asked);
    }
    users::one::show(&state, &person, &server.user, frame, code, &asked).await
}
