//! Acts on one or many users: which are meant, the question that names them, and the page of what became of each.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;
use tokio::time::timeout;

use super::act::{Act, Choice};
use super::batch::{Batch, Outcome};
use super::perform::{Deed, perform};
use super::question::{Problem, Unfit, show};
use super::wish::{Entry, Wish};
use super::{check, entries, list_at, page_of_user, user_of};
use crate::auth::RootLeave;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person, VisitOf};
use crate::hub::form::{Fields, query_value};
use crate::hub::frame::Frame;
use crate::hub::pages::groups::leave_of;
use crate::hub::pages::see_other;
use crate::model::{Actor, GroupName, UserName};

/// How many results one page shows.
const RESULTS: usize = 200;

/// `POST {base}hub/admin/ask`: `act` and `user`…, or all who match `wish`; or `just` one act and user. One harmless
/// act is done; for everything else a page asks. This alone changes nothing.
pub(in crate::hub) async fn ask(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let wish = Wish::parse(fields.get("wish").trim_start_matches('?'));
    let asked = Asked::read(&fields)?;
    let back = match asked.names.as_slice() {
        [name] if fields.get("from") == "user" => page_of_user(&state, name),
        _ => list_at(&state, &wish),
    };
    let (fit, unfit) = asked.sort_out(&state, person.name(), &wish)?;
    if fit.is_empty() && unfit.is_empty() {
        let page = super::list::view(
            &state,
            person.name(),
            &wish,
            Some("Choose somebody first: tick the boxes beside the names."),
        );
        return frame.show(StatusCode::BAD_REQUEST, "users.html", page);
    }
    let is_alone = fit.len() == 1 && unfit.is_empty();
    let batch = state.batches.ask(&state.random, person.name().clone(), asked.act, fit, back);
    if is_alone && asked.act.is_harmless() {
        return begin(&state, &batch, without_choice(by)).await;
    }
    show(&state, frame, &batch, &unfit, StatusCode::OK, Problem::default()).await
}

/// `POST {base}hub/authorize/{user}`: NativeAuthenticator's address of what approves one.
pub(in crate::hub) async fn approve(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(name): Path<String>,
) -> Result<Response, HubError> {
    check(&person)?;
    let name = user_of(&state, &name)?;
    let back = list_at(&state, &Wish { at: name.to_string(), ..Wish::default() });
    let batch = state.batches.ask(&state.random, person.name().clone(), Act::Approve, vec![name], back);
    begin(&state, &batch, without_choice(by)).await
}

/// `POST {base}hub/admin/do`: does what a question asked, once.
pub(in crate::hub) async fn act(
    State(state): State<HubState>,
    By(by): By,
    VisitOf(visit): VisitOf,
    person: Person,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let batch = state.batches.find(fields.get("question"), person.name()).ok_or_else(too_old)?;
    let group = GroupName::parse(fields.get("group")).ok().filter(|group| state.auth.group(group).is_some());
    if batch.act.wants_group() && group.is_none() {
        let problem = Problem { of_group: Some("Choose a group."), ..Problem::default() };
        return show(&state, frame, &batch, &[], StatusCode::BAD_REQUEST, problem).await;
    }
    let mut leave = RootLeave::NONE;
    let wants_leave =
        batch.act == Act::AddToGroup && group.as_ref().is_some_and(|group| state.auth.is_root_like(group));
    // What has begun is not asked for again: the answer leads to what became of it.
    if wants_leave && batch.choice().is_none() {
        let problem = |sentence: String| {
            let group = fields.get("group").to_owned();
            Problem { of_password: Some(sentence), group, ..Problem::default() }
        };
        if fields.get("password").is_empty() {
            let problem = problem("Type your own password: members become root on this host.".to_owned());
            return show(&state, frame, &batch, &[], StatusCode::FORBIDDEN, problem).await;
        }
        leave = match leave_of(&state, &person, &visit, &fields).await {
            Ok(leave) => leave,
            Err(refusal) => {
                let problem = problem(refusal.sentence.clone());
                let page = show(&state, frame, &batch, &[], refusal.status, problem).await?;
                return Ok(refusal.wait(page));
            }
        };
    }
    let choice = Choice { group, with_volumes: fields.get("volumes") == "delete" };
    begin(&state, &batch, Deed { by, choice, leave }).await
}

/// `GET {base}hub/admin/done/{question}`: how far it has come, and what became of each.
pub(in crate::hub) async fn done(
    State(state): State<HubState>,
    person: Person,
    Path(question): Path<String>,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let batch = state.batches.find(&question, person.name()).filter(|batch| batch.choice().is_some());
    let batch = batch.ok_or_else(too_old)?;
    let page = query_value(uri.query(), "page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(1).max(1);
    let (tally, is_finished) = (batch.tally(), batch.is_finished());
    let pages = batch.targets.len().div_ceil(RESULTS).max(1);
    let page = page.min(pages);
    let results = batch.results().into_iter().skip((page - 1) * RESULTS).take(RESULTS).map(|(name, outcome)| {
        let (word, text) = match outcome {
            Outcome::Waiting => ("waiting", "Not yet".to_owned()),
            Outcome::UnderWay => ("starting", "Under way".to_owned()),
            Outcome::Done => ("ready", "Done".to_owned()),
            Outcome::Failed(why) => ("failed", why),
        };
        let url = state.auth.user(&name).map(|_| page_of_user(&state, &name));
        context! { name => name.to_string(), url, word, text }
    });
    let address = |page: usize| format!("{}?page={page}", done_at(&state, &batch));
    let values = context! {
        label => batch.act.label(),
        what => batch.act.done(),
        with_volumes => batch.choice().is_some_and(|choice| choice.with_volumes),
        group => batch.choice().and_then(|choice| choice.group).map(|group| group.to_string()),
        count => batch.targets.len(),
        done => tally.done,
        failed => tally.failed,
        open => tally.open,
        is_finished,
        results => results.collect::<Vec<_>>(),
        back => &batch.back,
        page,
        pages,
        previous => (page > 1).then(|| address(page - 1)),
        next => (page < pages).then(|| address(page + 1)),
    };
    frame.show(StatusCode::OK, "users_done.html", values)
}

/// Takes the batch up if nobody has, waits a moment for its end, and leads to where its outcome can be read.
async fn begin(state: &HubState, batch: &Arc<Batch>, deed: Deed) -> Result<Response, HubError> {
    if batch.begin(deed.choice.clone()) {
        perform(state, Arc::clone(batch), deed);
    }
    let is_quick = timeout(state.config.act_quick(), batch.wait()).await.is_ok();
    let is_one = batch.targets.len() == 1;
    if is_quick && is_one && batch.tally().failed == 0 {
        let sign = if batch.back.contains('?') { '&' } else { '?' };
        return Ok(see_other(&format!("{}{sign}done={}", batch.back, batch.id)));
    }
    Ok(see_other(&done_at(state, batch)))
}

/// The sentence of an act on one that has just been done: `?done=` of the page that it led back to.
pub(super) fn sentence_of_done(state: &HubState, me: &UserName, query: Option<&str>) -> Option<Value> {
    let batch = state.batches.find(&query_value(query, "done")?, me)?;
    let name = batch.targets.first().filter(|_| batch.targets.len() == 1 && batch.is_finished())?;
    let url = state.auth.user(name).map(|_| page_of_user(state, name));
    let with_volumes = batch.choice().is_some_and(|choice| choice.with_volumes);
    Some(context! { name => name.to_string(), url, what => batch.act.done(), with_volumes })
}

fn without_choice(by: Actor) -> Deed {
    Deed { by, choice: Choice::default(), leave: RootLeave::NONE }
}

fn done_at(state: &HubState, batch: &Batch) -> String {
    state.config.hub("admin/done/") + &batch.id
}

fn too_old() -> HubError {
    HubError::not_found("This question is no longer kept. Go back to the list and choose again.")
}

/// Whom an act was asked for.
struct Asked {
    act: Act,
    names: Vec<UserName>,
    is_for_all: bool,
}

impl Asked {
    fn read(fields: &Fields) -> Result<Self, HubError> {
        let unknown = || HubError::bad("This act is not known here. Go back and choose another.");
        if let Some((word, name)) = fields.get("just").split_once(' ') {
            let act = Act::parse(word).ok_or_else(unknown)?;
            let name = UserName::parse(name).map_err(|_| HubError::NoSuchResource)?;
            return Ok(Self { act, names: vec![name], is_for_all: false });
        }
        let act = Act::parse(fields.get("act")).ok_or_else(unknown)?;
        let mut names: Vec<_> = fields.all("user").filter_map(|name| UserName::parse(name).ok()).collect();
        names.sort_unstable();
        names.dedup();
        Ok(Self { act, names, is_for_all: fields.get("all") == "1" })
    }

    /// Those to whom it can be done, and the others with the reason.
    fn sort_out(&self, state: &HubState, me: &UserName, wish: &Wish) -> Result<(Vec<UserName>, Vec<Unfit>), HubError> {
        if self.is_for_all && !self.act.may_be_for_all() {
            return Err(HubError::bad(format!(
                "“{}” is only done to people whose boxes you have ticked.",
                self.act.label()
            )));
        }
        let mut chosen = if self.is_for_all || self.names.len() > 1 {
            entries::everybody(state)
        } else {
            self.names.iter().filter_map(|name| entries::of(state, name)).collect()
        };
        if self.is_for_all {
            chosen.retain(|entry| wish.fits(entry));
        } else {
            chosen.retain(|entry| self.names.binary_search(&entry.name).is_ok());
        }
        chosen.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let objection = |entry: &Entry| self.act.objection(entry, me);
        let (fit, unfit): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|entry| objection(entry).is_none());
        let unfit = unfit.into_iter().filter_map(|entry| Some((objection(&entry)?, entry)));
        let unfit = unfit.map(|(why, entry)| Unfit { name: entry.name, why });
        Ok((fit.into_iter().map(|entry| entry.name).collect(), unfit.collect()))
    }
}
