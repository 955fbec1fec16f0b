//! `{base}hub/routes`: the routes beyond users, as containers' labels and the file of routes say them. For
//! administrators.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::host::certificate_of;
use super::list_part::Wish;
use crate::auth::may_administer;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::frame::Frame;
use crate::routers::view::{BalancerView, Health, MiddlewareView, ProblemView, RouterView, TargetView, View};

/// Problems that the page shows; the API has all.
const PROBLEMS_SHOWN: usize = 50;
/// Balancers and middlewares that the page shows beside one page of routers.
const OTHERS_SHOWN: usize = 100;
/// Targets of one balancer that the page shows.
const TARGETS_SHOWN: usize = 12;

/// `GET {base}hub/routes` with `q` and `page`.
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    frame: Frame,
) -> Result<Response, HubError> {
    if !may_administer(&person.as_caller()) {
        return Err(HubError::AdministratorsOnly);
    }
    let now = state.clock.now();
    let certificates = (state.host_facts)().map(|facts| facts.certificates).unwrap_or_default();
    let certificates = certificates.iter().map(|one| certificate_of(one, now)).collect::<Vec<_>>();
    let list = state.config.hub("routes");
    let page = context! { certificates, ..page_of(&(state.routes_view)(), &Wish::of_query(&uri), &list) };
    frame.show(StatusCode::OK, "routes.html", page)
}

/// What the address asks for.
#[cfg(test)]
pub(in crate::hub) fn wish_of(uri: &Uri) -> Wish {
    Wish::of_query(uri)
}

pub(in crate::hub) fn page_of(view: &View, wish: &Wish, list: &str) -> Value {
    let fits = |router: &&RouterView| {
        let RouterView { name, rule, access, balancer, .. } = router;
        [name, rule, access, balancer].iter().any(|text| wish.fits(&text.to_lowercase()))
    };
    let found: Vec<&RouterView> = view.routers.iter().filter(fits).collect();
    let cut = wish.cut(found.iter().map(|router| router.name.as_str()));
    let address_of = |page: usize| format!("{list}{}", Wish { page, ..wish.clone() }.to_query(&[]));
    let shown = found.get(cut.shown.clone()).unwrap_or_default();
    let count_of = |health: Health| view.routers.iter().filter(|router| router.health == health).count();
    context! {
        entry_points => view.entry_points.iter().map(|one| context! {
            name => one.name, addresses => &one.addresses, routers => one.routers,
        }).collect::<Vec<_>>(),
        sources => view.sources.iter().map(|one| context! {
            provider => one.provider, what => &one.what, state => &one.state, is_well => one.is_well,
        }).collect::<Vec<_>>(),
        routers => shown.iter().map(|router| router_of(router)).collect::<Vec<_>>(),
        total => view.routers.len(),
        found => found.len(),
        down => count_of(Health::Down) + count_of(Health::Failed),
        asleep => count_of(Health::Asleep),
        balancers => view.balancers.iter().take(OTHERS_SHOWN).map(balancer_of).collect::<Vec<_>>(),
        more_balancers => view.balancers.len().saturating_sub(OTHERS_SHOWN),
        middlewares => view.middlewares.iter().take(OTHERS_SHOWN).map(|one: &MiddlewareView| context! {
            name => &one.name, kind => &one.kind, routers => one.routers,
        }).collect::<Vec<_>>(),
        more_middlewares => view.middlewares.len().saturating_sub(OTHERS_SHOWN),
        problems => view.problems.iter().take(PROBLEMS_SHOWN).map(|ProblemView { place, text }| {
            context! { place, text }
        }).collect::<Vec<_>>(),
        more_problems => view.problems.len().saturating_sub(PROBLEMS_SHOWN),
        text => &wish.text,
        list,
        first => cut.shown.start + 1,
        last => cut.shown.end,
        pages => cut.pages,
        previous_url => (cut.page > 1).then(|| address_of(cut.page - 1)),
        next_url => (cut.page < cut.pages).then(|| address_of(cut.page + 1)),
    }
}

fn router_of(router: &RouterView) -> Value {
    let RouterView { name, rule, priority, entry_points, access, middlewares, balancer, place, is_lazy, health } =
        router;
    context! {
        name,
        rule,
        priority,
        entry_points,
        access,
        group => access.strip_prefix("group:"),
        middlewares,
        balancer,
        place,
        is_lazy,
        health => health.as_str(),
    }
}

fn balancer_of(balancer: &BalancerView) -> Value {
    let BalancerView { name, targets, is_sticky, health_check } = balancer;
    let is_weighted = targets.iter().any(|target| target.weight != 1);
    context! {
        name,
        targets => targets.iter().take(TARGETS_SHOWN).map(|TargetView { address, weight, is_up }| {
            context! { address, weight => is_weighted.then_some(weight), is_up }
        }).collect::<Vec<_>>(),
        more => targets.len().saturating_sub(TARGETS_SHOWN),
        up => targets.iter().filter(|target| target.is_up).count(),
        count => targets.len(),
        is_sticky,
        health_check,
    }
}
