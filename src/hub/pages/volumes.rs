//! `{base}hub/volumes[/{user}]`: which volumes somebody has, what each is for and how large it is; chosen ones are reset
//! after a question. For administrators also: volumes that were there before an account, and whose they shall be.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::{page_of, see_other};
use crate::auth::may_administer;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person};
use crate::hub::form::{Fields, query_encode, query_value};
use crate::hub::frame::Frame;
use crate::hub::templates::moment;
use crate::model::{ServerKey, UserName};
use crate::spawner::{Outcome, Settlement, VolumeListing, VolumeOutcome};

/// `GET {base}hub/volumes`
pub(in crate::hub) async fn get_own(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let owner = person.name().clone();
    show(&state, &person, &owner, frame, News::of_query(&state, &uri)).await
}

/// `GET {base}hub/volumes/{user}`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let owner = owner_of(&state, &person, &name)?;
    show(&state, &person, &owner, frame, News::of_query(&state, &uri)).await
}

/// `GET {base}hub/volumes/{user}/reset?volume=…`: asks.
pub(in crate::hub) async fn ask_reset(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let owner = owner_of(&state, &person, &name)?;
    let fields = Fields::parse(uri.query().unwrap_or_default().as_bytes());
    let chosen = match chosen_of(&state, &owner, &fields).await? {
        Ok(chosen) => chosen,
        Err(problem) => return show(&state, &person, &owner, frame, News::Problem(problem)).await,
    };
    let page = context! {
        volumes => chosen.iter().map(view_of).collect::<Vec<_>>(),
        running => running_of(&state, &owner),
        ..whose(&state, &person, &owner)
    };
    frame.show(StatusCode::OK, "reset_volumes.html", page)
}

/// `POST {base}hub/volumes/{user}/reset` with `volume` for each: does it.
pub(in crate::hub) async fn reset(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(name): Path<String>,
    frame: Frame,
    fields: Fields,
) -> Result<Response, HubError> {
    let owner = owner_of(&state, &person, &name)?;
    let suffixes: Vec<String> =
        fields.all("volume").filter(|each| state.spawner.has_volume(each)).map(str::to_owned).collect();
    if suffixes.is_empty() {
        return show(&state, &person, &owner, frame, News::Problem(CHOOSE)).await;
    }
    let outcomes = match state.spawner.reset_volumes(&owner, &suffixes, by).await {
        Ok(outcomes) => outcomes,
        Err(crate::spawner::SpawnerError::Running) => {
            return show(
                &state,
                &person,
                &owner,
                frame,
                News::Problem("A server has been started meanwhile. Stop it first; nothing was reset."),
            )
            .await;
        }
        Err(error) => return Err(error.into()),
    };
    if outcomes.iter().all(VolumeOutcome::is_reset) {
        let done = outcomes.iter().map(|each| query_encode(&each.suffix)).collect::<Vec<_>>().join(",");
        return Ok(see_other(&format!("{}?reset={done}", address_of(&state, &person, &owner))));
    }
    show(&state, &person, &owner, frame, News::Outcomes(outcomes)).await
}

/// `GET {base}hub/volumes/{user}/settle?do=…`: asks.
pub(in crate::hub) async fn ask_settle(
    State(state): State<HubState>,
    person: Person,
    Path(name): Path<String>,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    let owner = administered(&state, &person, &name)?;
    let word = query_value(uri.query(), "do").unwrap_or_default();
    settlement_of(&word)?;
    let left_over = state.spawner.left_over_volumes(&owner).await?;
    if left_over.is_empty() {
        return Ok(see_other(&address_of(&state, &person, &owner)));
    }
    let volumes = state.spawner.volumes_of(&owner).await?;
    let page = context! {
        volumes => left_over.iter().map(view_of).collect::<Vec<_>>(),
        has_own => volumes.iter().any(|volume| volume.resettable),
        word,
        running => running_of(&state, &owner),
        ..whose(&state, &person, &owner)
    };
    frame.show(StatusCode::OK, "settle_volumes.html", page)
}

/// `POST {base}hub/volumes/{user}/settle` with `do`: does it.
pub(in crate::hub) async fn settle(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(name): Path<String>,
    frame: Frame,
    fields: Fields,
) -> Result<Response, HubError> {
    let owner = administered(&state, &person, &name)?;
    let word = fields.get("do").to_owned();
    let outcomes = state.spawner.settle_volumes(&owner, settlement_of(&word)?, by).await?;
    if outcomes.iter().all(VolumeOutcome::is_reset) {
        return Ok(see_other(&format!("{}?settled={word}", address_of(&state, &person, &owner))));
    }
    show(&state, &person, &owner, frame, News::Outcomes(outcomes)).await
}

const CHOOSE: &str = "Choose at least one volume.";

/// What has just happened.
enum News {
    Nothing,
    /// All of these were reset.
    Reset(Vec<String>),
    /// An administrator has decided: `give`, `aside`, `delete`.
    Settled(String),
    Outcomes(Vec<VolumeOutcome>),
    Problem(&'static str),
}

impl News {
    /// From an address that one of our own redirects leads to. Anybody can write one, so it says nothing but known words.
    fn of_query(state: &HubState, uri: &Uri) -> Self {
        let value = |name| query_value(uri.query(), name);
        if let Some(done) = value("reset") {
            let done: Vec<_> =
                done.split(',').filter(|each| state.spawner.has_volume(each)).map(str::to_owned).collect();
            return if done.is_empty() { Self::Nothing } else { Self::Reset(done) };
        }
        match value("settled") {
            Some(word) if settlement_of(&word).is_ok() => Self::Settled(word),
            _ => Self::Nothing,
        }
    }
}

async fn show(
    state: &HubState,
    person: &Person,
    owner: &UserName,
    frame: Frame,
    news: News,
) -> Result<Response, HubError> {
    let volumes = state.spawner.volumes_of(owner).await?;
    let left_over = state.spawner.left_over_volumes(owner).await?;
    let status = if matches!(news, News::Problem(_)) { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let (mut reset, mut settled, mut outcomes, mut problem) = (vec![], String::new(), vec![], None);
    match news {
        News::Nothing => {}
        News::Reset(done) => reset = done,
        News::Settled(word) => settled = word,
        News::Outcomes(all) => outcomes = all.iter().map(outcome_of).collect(),
        News::Problem(sentence) => problem = Some(sentence),
    }
    let measured = volumes.iter().filter_map(|volume| volume.size).map(|size| size.at).min();
    let page = context! {
        volumes => volumes.iter().map(view_of).collect::<Vec<_>>(),
        has_own => volumes.iter().any(|volume| volume.resettable),
        left_over => left_over.iter().map(view_of).collect::<Vec<_>>(),
        may_settle => may_administer(&person.as_caller()),
        measured => measured.map(moment),
        running => running_of(state, owner),
        reset,
        settled,
        outcomes,
        problem,
        ..whose(state, person, owner)
    };
    frame.show(status, "volumes.html", page)
}

fn whose(state: &HubState, person: &Person, owner: &UserName) -> Value {
    let path = page_of(state, "volumes", &ServerKey::default_of(owner.clone()));
    context! {
        owner => owner.to_string(),
        is_own => owner == person.name(),
        back => address_of(state, person, owner),
        reset_url => format!("{path}/reset"),
        settle_url => format!("{path}/settle"),
    }
}

fn view_of(volume: &VolumeListing) -> Value {
    context! {
        suffix => &volume.suffix,
        title => volume.label.as_ref().unwrap_or(&volume.suffix),
        name => &volume.name,
        mount => &volume.mount,
        description => &volume.description,
        resettable => volume.resettable,
        size => volume.size.map(|size| bytes_as_people_say(size.bytes)),
    }
}

fn outcome_of(outcome: &VolumeOutcome) -> Value {
    let reason = match &outcome.outcome {
        Outcome::Reset => None,
        Outcome::Failed(reason) => Some(reason),
    };
    context! { suffix => &outcome.suffix, reason }
}

/// The owner's servers that are not stopped, with where each is stopped.
fn running_of(state: &HubState, owner: &UserName) -> Vec<Value> {
    let servers = state.spawner.servers_of(owner).into_iter().filter(|(_, status)| !status.state.is_down());
    let view = |key: ServerKey| {
        let record = state.spawner.record(&key);
        let display_name = record.and_then(|record| record.display_name.as_ref().map(ToString::to_string));
        let title = display_name.unwrap_or_else(|| key.name.as_str().to_owned());
        context! { title, stop_url => page_of(state, "stop", &key) }
    };
    servers.map(|(key, _)| view(key)).collect()
}

/// The volumes that a form names, if each is there and the user's own; else what is wrong.
async fn chosen_of(
    state: &HubState,
    owner: &UserName,
    fields: &Fields,
) -> Result<Result<Vec<VolumeListing>, &'static str>, HubError> {
    let mut volumes = state.spawner.volumes_of(owner).await?;
    volumes.retain(|volume| volume.resettable && fields.all("volume").any(|suffix| suffix == volume.suffix));
    Ok(if volumes.is_empty() { Err(CHOOSE) } else { Ok(volumes) })
}

fn settlement_of(word: &str) -> Result<Settlement, HubError> {
    match word {
        "give" => Ok(Settlement::Give),
        "aside" => Ok(Settlement::SetAside),
        "delete" => Ok(Settlement::Delete),
        _ => Err(HubError::bad("Choose what shall become of them.")),
    }
}

/// Whose page an address is: one's own, or for administrators anybody's.
fn owner_of(state: &HubState, person: &Person, name: &str) -> Result<UserName, HubError> {
    let name = UserName::from_path(name).filter(|name| state.auth.user(name).is_some());
    let may = |name: &UserName| name == person.name() || may_administer(&person.as_caller());
    name.filter(may).ok_or(HubError::NoSuchResource)
}

fn administered(state: &HubState, person: &Person, name: &str) -> Result<UserName, HubError> {
    if !may_administer(&person.as_caller()) {
        return Err(HubError::AdministratorsOnly);
    }
    owner_of(state, person, name)
}

fn address_of(state: &HubState, person: &Person, owner: &UserName) -> String {
    if owner == person.name() {
        return state.config.hub("volumes");
    }
    page_of(state, "volumes", &ServerKey::default_of(owner.clone()))
}

/// `1.5 GB`: decimal, as disks are sold and file managers show.
pub(super) fn bytes_as_people_say(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1_000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    let unit = UNITS[unit];
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        let cases = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (9_960, "10 kB"),
            (999_499, "999 kB"),
            (999_600, "1.0 MB"),
            (1_540_000_000, "1.5 GB"),
            (12_300_000_000_000, "12 TB"),
            (u64::MAX, "18447 PB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(bytes_as_people_say(bytes), text);
        }
    }
}
