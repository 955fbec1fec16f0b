//! The page that asks before an act: whom it names, what is lost, and what it wants to know.

use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;
use minijinja::context;
use minijinja::value::Value;
use tokio::time::timeout;

use super::act::Act;
use super::batch::Batch;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::frame::Frame;
use crate::hub::pages::volumes::bytes_as_people_say;
use crate::model::UserName;
use crate::spawner::VolumeListing;

/// How many names a question shows: the others are counted.
const NAMED: usize = 30;
/// Users whose volumes the engine is asked for at once.
const ASKED_AT_ONCE: usize = 6;

/// Somebody to whom an act cannot be done.
pub(super) struct Unfit {
    pub(super) name: UserName,
    pub(super) why: &'static str,
}

/// What is wrong with an answer to the question.
#[derive(Default)]
pub(super) struct Problem {
    pub(super) of_group: Option<&'static str>,
    pub(super) of_password: Option<String>,
    /// The group that was chosen: the form shows it again.
    pub(super) group: String,
}

/// Shows the question of `batch`; `unfit` are left out, and `problem` is what was wrong with the answer.
pub(super) async fn show(
    state: &HubState,
    frame: Frame,
    batch: &Batch,
    unfit: &[Unfit],
    status: StatusCode,
    problem: Problem,
) -> Result<Response, HubError> {
    let names = batch.targets.iter().take(NAMED).map(ToString::to_string);
    let unfit_shown =
        unfit.iter().take(NAMED).map(|unfit| context! { name => unfit.name.to_string(), why => unfit.why });
    let values = context! {
        question => &batch.id,
        act => batch.act.word(),
        label => batch.act.label(),
        consequence => batch.act.consequence(),
        is_destructive => batch.act.is_destructive(),
        count => batch.targets.len(),
        names => names.collect::<Vec<_>>(),
        more => batch.targets.len().saturating_sub(NAMED),
        unfit => unfit_shown.collect::<Vec<_>>(),
        unfit_count => unfit.len(),
        unfit_more => unfit.len().saturating_sub(NAMED),
        wants_group => batch.act.wants_group(),
        groups => groups_of(state, batch.act),
        volumes => if batch.act == Act::Delete { volumes_of(state, &batch.targets).await } else { Value::UNDEFINED },
        group => problem.group,
        group_problem => problem.of_group,
        password_problem => problem.of_password,
        back => &batch.back,
    };
    frame.show(status, "users_ask.html", values)
}

/// The groups to choose from, and which of them make their members root on the host.
fn groups_of(state: &HubState, act: Act) -> Vec<Value> {
    if !act.wants_group() {
        return Vec::new();
    }
    let is_root_like = |name| act == Act::AddToGroup && state.auth.is_root_like(name);
    let names = state.auth.group_names();
    names.iter().map(|name| context! { name => name.to_string(), is_root_like => is_root_like(name) }).collect()
}

/// The volumes of those who are named, as far as the engine tells in time.
async fn volumes_of(state: &HubState, users: &[UserName]) -> Value {
    let named = &users[..users.len().min(NAMED)];
    let asked = stream::iter(named.to_vec()).map(|name| async move {
        let volumes = state.spawner.volumes_of(&name).await;
        (name, volumes)
    });
    let told = timeout(state.config.engine_wait(), asked.buffered(ASKED_AT_ONCE).collect::<Vec<_>>()).await;
    let is_whole = matches!(&told, Ok(told) if told.iter().all(|(_, volumes)| volumes.is_ok()));
    let told = told.unwrap_or_default().into_iter().map(|(name, volumes)| (name, volumes.unwrap_or_default()));
    let owners = told.filter_map(|(name, volumes)| {
        let own: Vec<_> = volumes.iter().filter(|volume| volume.resettable).map(view_of).collect();
        (!own.is_empty()).then(|| context! { name => name.to_string(), volumes => own })
    });
    context! {
        owners => owners.collect::<Vec<_>>(),
        is_whole,
        others => users.len() - named.len(),
        next_gets_them => state.spawner.gives_left_over_volumes(),
    }
}

/// A volume as the pages about users name it.
pub(super) fn view_of(volume: &VolumeListing) -> Value {
    context! {
        title => volume.label.as_ref().unwrap_or(&volume.suffix),
        name => &volume.name,
        mount => &volume.mount,
        size => volume.size.map(|size| bytes_as_people_say(size.bytes)),
    }
}
