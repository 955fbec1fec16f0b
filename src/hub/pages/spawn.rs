//! `{base}hub/spawn[/{user}[/{server}]]`: starts a server and leads to its start page; where there is a choice, asks
//! first what it is to be.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use minijinja::context;

use super::choice::{has_choice, offer_view, options_of_form, options_of_query};
use super::{found, page_of, see_other};
use crate::auth::may_start_server;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Named, Person, VisitOf, next_of};
use crate::hub::form::Fields;
use crate::hub::frame::Frame;
use crate::hub::landing::{next_url, with_next};
use crate::model::{ServerKey, ServerOptions, ServerState, Visit};
use crate::spawner::Wish;

/// A GET starts one's own server too: JupyterLab's menu and bookmarks come this way (one of the few GETs that change
/// anything). It starts what is there already: somebody else's server, a new named one and, where there is a choice,
/// any server is shown with a form. A link from another site chooses nothing either: what it asks for is only marked.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a handler asks of the request")]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    By(by): By,
    person: Person,
    named: Named,
    uri: Uri,
    headers: HeaderMap,
    frame: Frame,
) -> Result<Response, HubError> {
    let asking = Asking::new(&state, &visit, &person, named, &uri)?;
    let status = state.spawner.status(&asking.server);
    if (status.state == ServerState::Ready || status.state.is_coming()) && asking.is_own {
        // The wish changes nothing for one that runs; the spawner may know better than its board that it does not.
        return Ok(found(&asking.start(Wish::of(by)).await?));
    }
    let offer = state.spawner.offer(&asking.server.user);
    let options = options_of_query(&uri).map_err(HubError::bad)?;
    let is_from_here = headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site" && site != "same-site");
    let says_all = options.is_some() && is_from_here || !has_choice(&offer);
    if asking.is_own && asking.is_there() && says_all {
        let options = options.filter(|_| has_choice(&offer) && is_from_here);
        return Ok(found(&asking.start(Wish { options, ..Wish::of(by) }).await?));
    }
    if !asking.is_own && !has_choice(&offer) {
        return Ok(found(&asking.start_page()));
    }
    asking.show(frame, StatusCode::OK, options.as_ref(), None)
}

/// The buttons' way, and the form's. What is not said is as it was at the previous start.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a handler asks of the request")]
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    VisitOf(visit): VisitOf,
    By(by): By,
    person: Person,
    named: Named,
    uri: Uri,
    frame: Frame,
    fields: Fields,
) -> Result<Response, HubError> {
    let asking = Asking::new(&state, &visit, &person, named, &uri)?;
    let options = options_of_form(&fields).map_err(HubError::bad)?;
    let status = state.spawner.status(&asking.server);
    if options.is_some() && (status.state == ServerState::Ready || status.state.is_coming()) {
        let sentence = "This server runs already. Stop it first to start it as something else.";
        return asking.show(frame, StatusCode::BAD_REQUEST, options.as_ref(), Some(sentence));
    }
    match asking.start(Wish { options: options.clone(), ..Wish::of(by) }).await {
        Ok(location) => Ok(see_other(&location)),
        Err(error) if has_choice(&state.spawner.offer(&asking.server.user)) && !error.status().is_server_error() => {
            let (_, sentence) = error.for_people();
            asking.show(frame, error.status(), options.as_ref(), Some(&sentence))
        }
        Err(error) => Err(error),
    }
}

/// One request about one server that its sender may start.
struct Asking<'a> {
    state: &'a HubState,
    server: ServerKey,
    is_own: bool,
    /// Where the person wanted, if that is on this site.
    next: Option<String>,
    query: String,
}

impl<'a> Asking<'a> {
    fn new(
        state: &'a HubState,
        visit: &Visit,
        person: &Person,
        Named(named): Named,
        uri: &Uri,
    ) -> Result<Self, HubError> {
        let server = named.unwrap_or_else(|| ServerKey::default_of(person.name().clone()));
        let is_user = state.auth.user(&server.user).is_some();
        if !is_user || !may_start_server(&person.as_caller(), &server) {
            return Err(HubError::NoSuchResource);
        }
        let next = next_url(next_of(uri).as_deref(), &visit.origin);
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self { state, is_own: server.user == *person.name(), server, next, query })
    }

    /// False for a named server that a start would make.
    fn is_there(&self) -> bool {
        let is_given =
            self.server.name.is_default() || Some(&self.server.name) == self.state.config.default_server.as_ref();
        is_given || self.state.spawner.record(&self.server).is_some()
    }

    fn start_page(&self) -> String {
        page_of(self.state, "spawn-pending", &self.server) + &self.query
    }

    /// Wishes a start, and returns where to go. Two clicks are one start.
    async fn start(&self, wish: Wish) -> Result<String, HubError> {
        // The wish is good in every state: it changes nothing for one that runs, and follows a stop under way.
        let status = self.state.spawner.start(&self.server, wish).await?;
        if status.state == ServerState::Ready {
            return Ok(self.next.clone().unwrap_or_else(|| self.state.config.address_of(&self.server)));
        }
        Ok(self.start_page())
    }

    fn show(
        &self,
        frame: Frame,
        code: StatusCode,
        asked: Option<&ServerOptions>,
        problem: Option<&str>,
    ) -> Result<Response, HubError> {
        let record = self.state.spawner.record(&self.server);
        let chosen = asked.or_else(|| record.as_ref().and_then(|record| record.options.as_ref()));
        let offer = self.state.spawner.offer(&self.server.user);
        let spawn = page_of(self.state, "spawn", &self.server);
        let page = context! {
            owner => self.server.user.to_string(),
            name => self.server.name.as_str(),
            title => record.as_ref().and_then(|record| record.display_name.as_ref()).map(ToString::to_string),
            is_own => self.is_own,
            is_new => !self.is_there(),
            offer => offer_view(&offer, chosen),
            has_choice => has_choice(&offer),
            action => self.next.as_ref().map_or_else(|| spawn.clone(), |next| with_next(&spawn, next)),
            problem,
        };
        frame.show(code, "spawn.html", page)
    }
}
