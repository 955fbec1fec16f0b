//! `{base}hub/admin/new`: one or many new users from a list, looked at before they are made, with passwords that are
//! shown once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use minijinja::context;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::check;
use crate::auth::{CreatedPeople, Creation, NEW_PEOPLE_LIMIT, NewPerson, Roster};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person};
use crate::hub::form::Fields;
use crate::hub::frame::Frame;
use crate::hub::to_its_end::to_its_end;
use crate::model::{Actor, GroupName, UserName};

/// 2 min: a form that is sent twice (a double click, a page sent again) shows the same passwords, made once. Then
/// nobody can read them again.
const KEPT: Duration = Duration::from_secs(120);
/// How many forms are kept that long; the oldest makes room.
const KEPT_FORMS: usize = 16;

/// Forms that have been sent, with the people they made.
#[derive(Debug, Default)]
pub(in crate::hub) struct NewUsers(Mutex<VecDeque<Arc<Sent>>>);

/// One form; one that is sent again finds it.
#[derive(Debug)]
struct Sent {
    id: String,
    by: UserName,
    made: OnceCell<CreatedPeople>,
}

impl NewUsers {
    /// The form of this person with this id: a new one, if it has not been sent before.
    fn of(&self, state: &HubState, id: &str, by: &UserName) -> Arc<Sent> {
        let mut kept = self.0.lock();
        if let Some(sent) = kept.iter().find(|sent| sent.id == id && sent.by == *by) {
            return Arc::clone(sent);
        }
        let sent = Arc::new(Sent { id: id.to_owned(), by: by.clone(), made: OnceCell::new() });
        if kept.len() >= KEPT_FORMS {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&sent));
        let (weak, new_users) = (Arc::downgrade(&sent), Arc::clone(&state.new_users));
        let stopping = state.program.tasks.stopping().clone();
        state.program.tasks.spawn(async move {
            let _ = tokio::time::timeout(KEPT, stopping.cancelled()).await;
            new_users.0.lock().retain(|sent| !std::ptr::eq(Arc::as_ptr(sent), weak.as_ptr()));
        });
        sent
    }
}

/// What stands in the form.
struct Typed {
    people: String,
    groups: Vec<GroupName>,
    must_change: bool,
    admin: bool,
}

impl Typed {
    fn read(fields: &Fields) -> Self {
        Self {
            people: fields.get("people").to_owned(),
            groups: fields.all("group").filter_map(|name| GroupName::parse(name).ok()).collect(),
            must_change: fields.get("must_change") == "1",
            admin: fields.get("admin") == "1",
        }
    }

    /// What is wrong with the groups that everybody joins.
    fn objection_to_groups(&self, state: &HubState) -> Option<String> {
        self.groups
            .iter()
            .find_map(|group| objection_to_group(state, group).map(|why| format!("Group {group}: {why}.")))
    }

    fn lines(&self, state: &HubState) -> Vec<Line> {
        let Roster { people, mistakes } = Roster::read(&self.people, NEW_PEOPLE_LIMIT);
        let good = people.into_iter().map(|(number, person)| {
            let name = person.name.to_string();
            Line { number, name, person: objection_to(state, &person).map_or(Ok(person), Err) }
        });
        let wrong = mistakes.into_iter().map(|it| Line { number: it.line, name: it.name, person: Err(it.reason) });
        let mut lines: Vec<_> = good.chain(wrong).collect();
        lines.sort_by_key(|line| line.number);
        lines
    }
}

/// One line of the list that says something.
struct Line {
    /// As an editor counts, from 1.
    number: usize,
    /// What stands where the name should.
    name: String,
    /// Somebody to make, or why not.
    person: Result<NewPerson, String>,
}

/// Why this person cannot be made here.
fn objection_to(state: &HubState, person: &NewPerson) -> Option<String> {
    if state.auth.user(&person.name).is_some() {
        return Some("is taken: there is a user of this name".to_owned());
    }
    let objection = |group| objection_to_group(state, group).map(|why| format!("group “{group}” {why}"));
    person.groups.iter().find_map(objection)
}

/// Why nobody is made a member of this group on the way.
fn objection_to_group(state: &HubState, group: &GroupName) -> Option<String> {
    match state.auth.group(group) {
        None => Some("is not there; part several by | or ;".to_owned()),
        Some(_) if state.auth.is_root_like(group) => Some(
            "makes its members root on this host; make the users first, then add them on the group’s page".to_owned(),
        ),
        Some(_) => None,
    }
}

/// `GET {base}hub/admin/new`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let typed = Typed { people: String::new(), groups: Vec::new(), must_change: true, admin: false };
    show(&state, frame, &typed, &[], StatusCode::OK, None)
}

/// `POST {base}hub/admin/new`: looks at the list, or makes the people of one that is good.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    fields: Fields,
    frame: Frame,
) -> Result<Response, HubError> {
    check(&person)?;
    let typed = Typed::read(&fields);
    let form = Some(fields.get("form")).filter(|form| fields.get("step") == "create" && !form.is_empty());
    let sent = form.map(|form| state.new_users.of(&state, form, person.name()));
    if let Some(made) = sent.as_ref().and_then(|sent| sent.made.get()) {
        return show_passwords(frame, &typed, made);
    }
    let lines = typed.lines(&state);
    let people: Vec<_> = lines.iter().filter_map(|line| line.person.as_ref().ok().cloned()).collect();
    let problem = typed.objection_to_groups(&state);
    let is_good = !lines.is_empty() && people.len() == lines.len() && problem.is_none();
    let Some(sent) = sent.filter(|_| is_good) else {
        let status = if is_good { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        return show(&state, frame, &typed, &lines, status, problem);
    };
    match create(&state, by, &typed, people, Arc::clone(&sent)).await {
        Ok(()) => show_passwords(frame, &typed, sent.made.get().ok_or(HubError::Wiring("the new users"))?),
        Err(HubError::Bad(problem)) => show(&state, frame, &typed, &lines, StatusCode::BAD_REQUEST, Some(problem)),
        Err(error) => Err(error),
    }
}

/// To its end, also if the browser goes away: it may come back and ask again, and finds the passwords.
async fn create(
    state: &HubState,
    by: Actor,
    typed: &Typed,
    mut people: Vec<NewPerson>,
    sent: Arc<Sent>,
) -> Result<(), HubError> {
    people.iter_mut().for_each(|person| person.admin = typed.admin);
    let creation = Creation { must_change: typed.must_change, authorised: true, groups: typed.groups.clone() };
    let auth = state.auth.clone();
    to_its_end(async move {
        sent.made.get_or_try_init(|| auth.create_with_passwords(by, &people, &creation)).await?;
        Ok(())
    })
    .await
}

fn show(
    state: &HubState,
    frame: Frame,
    typed: &Typed,
    lines: &[Line],
    status: StatusCode,
    problem: Option<String>,
) -> Result<Response, HubError> {
    let wrong = lines.iter().filter(|line| line.person.is_err()).count();
    let shown = lines.iter().map(|line| match &line.person {
        Ok(person) => context! {
            number => line.number,
            name => person.name.to_string(),
            real_name => person.profile.full_name(),
            email => person.profile.email(),
            groups => person.groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
            problem => (),
        },
        Err(problem) => context! { number => line.number, name => &line.name, problem },
    });
    let groups = state.auth.group_names().into_iter().filter(|group| !state.auth.is_root_like(group)).map(|group| {
        context! { name => group.to_string(), is_chosen => typed.groups.contains(&group) }
    });
    let values = context! {
        form => state.random.hex::<16>(),
        people => &typed.people,
        must_change => typed.must_change,
        admin => typed.admin,
        groups => groups.collect::<Vec<_>>(),
        lines => shown.collect::<Vec<_>>(),
        count => lines.len(),
        wrong,
        problem,
        is_empty => lines.is_empty() && status != StatusCode::OK,
        limit => NEW_PEOPLE_LIMIT,
    };
    frame.show(status, "users_new.html", values)
}

fn show_passwords(frame: Frame, typed: &Typed, made: &CreatedPeople) -> Result<Response, HubError> {
    let people = made.created.iter().map(|person| {
        context! { name => person.name.to_string(), password => person.password.expose() }
    });
    let values = context! {
        people => people.collect::<Vec<_>>(),
        existing => made.existing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        must_change => typed.must_change,
    };
    let mut response = frame.show(StatusCode::OK, "users_made.html", values)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
