//! Every path of the hub, on one screen, by family: who is let in and how errors look differs between them.

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, delete, get, post, put};
use axum::{Router, handler::Handler};

use super::counts::count;
use super::error::HubError;
use super::layers::{
    api_callers, check_api_token, check_form_token, check_session_token, navigations_only, no_head, note_form_token,
    password_first, password_first_for_api, private_door, read_form, show_errors_as_json, show_errors_as_pages, stamp,
    time_limit,
};
use super::pages::{
    accept_share, account, api_docs, audit, csp_report, grants, groups, health, home, host, idle, login, logout, named,
    notices, password, restart, routes, servers, set_password, settings, signup, spawn, tokens, users, volumes,
};
use super::{HubState, api, assets, oauth};

/// The hub as a service. Requests come with `model::Visit` and `auth::Caller` in their extensions.
pub fn router(state: HubState) -> Router {
    let families =
        pages(&state).merge(open(&state)).merge(servers(&state)).merge(rest_api(&state)).merge(broadcasts(&state));
    families
        .layer(from_fn_with_state(state.clone(), private_door))
        .layer(from_fn_with_state(state.clone(), stamp))
        .layer(from_fn_with_state(state.clone(), count))
        .with_state(state)
}

/// What people open: navigations only, and nothing changes without a form token.
fn pages(state: &HubState) -> Router<HubState> {
    let hub = |page: &str| state.config.hub(page);
    // These two show their form again when its token has expired.
    let sign_in = Router::new()
        .route(&hub("login"), get(login::get).post(login::post))
        .route(&hub("signup"), get(signup::get).post(signup::post))
        .layer(from_fn_with_state(state.clone(), note_form_token));
    let others = Router::new()
        .route(&hub(""), get(home::root))
        .route(state.config.hub("").trim_end_matches('/'), get(home::add_slash))
        .route(&hub("home"), get(home::get).post(named::create))
        .route(&hub("delete-server/{user}/{server}"), get(named::ask_delete).post(named::delete))
        .route(&hub("logout"), get(logout::get).post(logout::post))
        .route(&hub("change-password"), get(password::get).post(password::post))
        .route(&hub("spawn"), get(spawn::get).post(spawn::post))
        .route(&hub("spawn/{user}"), get(spawn::get).post(spawn::post))
        .route(&hub("spawn/{user}/{server}"), get(spawn::get).post(spawn::post))
        .route(&hub("spawn-pending/{user}"), get(servers::pending))
        .route(&hub("spawn-pending/{user}/{server}"), get(servers::pending))
        .route(&hub("stop/{user}"), post(servers::stop))
        .route(&hub("stop/{user}/{server}"), post(servers::stop))
        .route(&hub("user-redirect/{*path}"), get(servers::user_redirect))
        .route(&hub("token"), get(tokens::get).post(tokens::post))
        .route(&hub("token/revoke/{id}"), get(tokens::ask_revoke).post(tokens::revoke))
        .route(&hub("accept-share"), get(accept_share::get).post(accept_share::post))
        .route(&hub("error/{code}"), get(home::error))
        .route(&hub("api-docs"), get(api_docs::get))
        .route(&hub("api/oauth2/authorize"), get(oauth::authorize::get).post(oauth::authorize::post))
        .route(&hub("audit"), get(audit::get))
        .route(&hub("audit/check"), post(audit::check_chain))
        .route(&hub("settings"), get(settings::get))
        .route(&hub("restart/{user}"), get(restart::ask).post(restart::post))
        .route(&hub("restart/{user}/{server}"), get(restart::ask).post(restart::post))
        .route(&hub("account"), get(account::get).post(account::post))
        .route(&hub("account/sign-out"), get(account::ask_end_others).post(account::end_others))
        .route(&hub("account/sign-out/{id}"), get(account::ask_end).post(account::end))
        .route(&hub("change-password/{user}"), get(set_password::get).post(set_password::post))
        .route(&hub("admin"), get(users::list::get))
        .route(&hub("admin/new"), get(users::new::get).post(users::new::post))
        .route(&hub("admin/ask"), post(users::ask::ask))
        .route(&hub("admin/do"), post(users::ask::act))
        .route(&hub("admin/done/{question}"), get(users::ask::done))
        .route(&hub("admin/users/{user}"), get(users::one::get))
        .route(&hub("admin/users/{user}/rename"), post(users::one::change_name))
        .route(&hub("authorize"), get(users::list::waiting))
        .route(&hub("authorize/{user}"), get(users::list::show_user).post(users::ask::approve))
        .route(&hub("volumes"), get(volumes::get_own))
        .route(&hub("volumes/{user}"), get(volumes::get))
        .route(&hub("volumes/{user}/reset"), get(volumes::ask_reset).post(volumes::reset))
        .route(&hub("volumes/{user}/settle"), get(volumes::ask_settle).post(volumes::settle))
        .route(&hub("groups"), get(groups::list).post(groups::create))
        .route(&hub("groups/{group}"), get(groups::get).post(groups::save))
        .route(&hub("groups/{group}/members"), post(groups::members))
        .route(&hub("groups/{group}/delete"), get(groups::ask_delete).post(groups::delete))
        .route(&hub("grants"), get(grants::own))
        .route(&hub("grants/{user}"), get(grants::of_user))
        .route(&hub("notifications"), get(notices::get).post(notices::post))
        .route(&hub("notifications/clear"), get(notices::ask_clear).post(notices::clear))
        .route(&hub("notifications/{id}"), get(notices::one))
        .route(&hub("host"), get(host::get))
        .route(&hub("routes"), get(routes::get))
        .route(&hub("extend/{user}"), post(idle::extend))
        .route(&hub("extend/{user}/{server}"), post(idle::extend))
        .method_not_allowed_fallback(wrong_method)
        .fallback(servers::unmatched)
        .layer(from_fn_with_state(state.clone(), check_form_token))
        .layer(from_fn_with_state(state.clone(), password_first));
    others
        .merge(sign_in)
        .layer(from_fn_with_state(state.clone(), read_form))
        .layer(from_fn_with_state(state.clone(), navigations_only))
        .layer(from_fn_with_state(state.clone(), time_limit))
        .layer(from_fn_with_state(state.clone(), show_errors_as_pages))
}

/// Bytes of a browser's report: an address or two, and a line of our own policy.
const REPORT_LIMIT_BYTES: usize = 16 << 10;

/// What anybody may read: nothing here tells of anyone. And what browsers report by themselves.
fn open(state: &HubState) -> Router<HubState> {
    let hub = |page: &str| state.config.hub(page);
    Router::new()
        .route(&hub("health"), get(health::get))
        .route(&hub("api/health"), get(health::get))
        .route(&hub("security/csp-report"), post(csp_report::post).layer(DefaultBodyLimit::max(REPORT_LIMIT_BYTES)))
        .route(&hub("logo"), get(assets::logo))
        // Browsers ask for it on behalf of every page that names no icon, servers' pages among them.
        .route(&format!("{}favicon.ico", state.config.base), get(assets::logo))
        .route(&hub("static/{*path}"), get(assets::get))
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), show_errors_as_json))
}

/// Addresses of servers that have no route: the server is stopped, starting, or there is none.
fn servers(state: &HubState) -> Router<HubState> {
    let base = &state.config.base;
    Router::new()
        .route(&format!("{base}user/{{*rest}}"), any(servers::without_route))
        .route(&state.config.hub("user/{*rest}"), any(servers::without_route))
        .layer(from_fn_with_state(state.clone(), password_first))
        .layer(from_fn_with_state(state.clone(), time_limit))
        .layer(from_fn_with_state(state.clone(), show_errors_as_pages))
}

/// JupyterHub's REST API, for programs with tokens and for the scripts of our own pages.
fn rest_api(state: &HubState) -> Router<HubState> {
    let api = |path: &str| state.config.hub(&format!("api{path}"));
    // A server authenticates itself by its secret here, whatever else it sends along.
    let token_exchange = Router::new()
        .route(&api("/oauth2/token"), post(oauth::token::post.layer(from_fn_with_state(state.clone(), read_form))));
    // What anybody may know, by any method.
    let known_to_all = Router::new()
        .route(&api(""), get(api::version).options(api::options))
        .route(&api("/"), get(api::version).options(api::options))
        .route(&api("/openapi.json"), get(api::openapi::get).options(api::options))
        .route(&api("/authorizations/token"), post(api::whoami::request_token).options(api::options))
        .route(&api("/{*unknown}"), any(unknown_endpoint).options(api::options))
        .layer(from_fn(no_head));
    let endpoints = Router::new()
        .route(&api("/metrics"), get(api::metrics::get).options(api::options))
        .route(&state.config.hub("metrics"), get(api::metrics::get))
        .route(&api("/info"), get(api::info::get).options(api::options))
        .route(
            &api("/proxy"),
            get(api::proxy::get).post(api::proxy::post).patch(api::proxy::patch).options(api::options),
        )
        .route(&api("/shutdown"), post(api::shutdown::post).options(api::options))
        .route(&api("/user"), get(api::whoami::get).options(api::options))
        .route(&api("/authorizations/token/{token}"), get(api::whoami::of_token).options(api::options))
        .route(&api("/authorizations/cookie/{cookie}/{value}"), get(api::whoami::of_cookie).options(api::options))
        .route(&api("/users"), get(api::user_list::list).post(api::user_acts::create_many).options(api::options))
        .route(
            &api("/users/{user}"),
            get(api::users::get)
                .post(api::user_acts::create)
                .patch(api::user_acts::change)
                .delete(api::users::delete)
                .options(api::options),
        )
        .route(
            &api("/users/{user}/tokens/{token}"),
            get(api::tokens::get).delete(api::tokens::revoke).options(api::options),
        )
        .route(&api("/groups"), get(api::groups::list).post(api::groups::create_many).options(api::options))
        .route(
            &api("/groups/{group}"),
            get(api::groups::get).post(api::groups::create).delete(api::groups::delete).options(api::options),
        )
        .route(
            &api("/groups/{group}/users"),
            post(api::groups::add_users).delete(api::groups::remove_users).options(api::options),
        )
        .route(&api("/groups/{group}/properties"), put(api::groups::set_properties).options(api::options))
        .route(&api("/users/{user}/admin-access"), post(api::users::admin_access).options(api::options))
        .route(&api("/users/{user}/activity"), post(api::activity::post).options(api::options))
        .route(
            &api("/users/{user}/server"),
            get(api::servers::get)
                .put(api::servers::define)
                .post(api::servers::start)
                .patch(api::servers::change)
                .delete(api::servers::stop)
                .options(api::options),
        )
        // Scripts put the name of any server into the path of the named ones; the default one has none.
        .route(
            &api("/users/{user}/servers/"),
            get(api::servers::get)
                .put(api::servers::define)
                .post(api::servers::start)
                .patch(api::servers::change)
                .delete(api::servers::stop)
                .options(api::options),
        )
        .route(
            &api("/users/{user}/servers/{server}"),
            get(api::servers::get)
                .put(api::servers::define)
                .post(api::servers::start)
                .patch(api::servers::change)
                .delete(api::servers::stop)
                .options(api::options),
        )
        .route(&api("/users/{user}/server/progress"), get(api::progress::get).options(api::options))
        .route(&api("/users/{user}/servers/{server}/progress"), get(api::progress::get).options(api::options))
        .route(&api("/audit"), get(api::audit::get).options(api::options))
        .route(&api("/settings"), get(api::settings::get).options(api::options))
        .route(&api("/users/{user}/restart-server"), post(api::restart::post).options(api::options))
        .route(&api("/users/{user}/server/restart"), post(api::restart::post).options(api::options))
        .route(&api("/users/{user}/servers/{server}/restart"), post(api::restart::post).options(api::options))
        .route(&api("/users/{user}/server/logs"), get(api::server_log::get).options(api::options))
        .route(&api("/users/{user}/servers/{server}/logs"), get(api::server_log::get).options(api::options))
        .route(&api("/users/{user}/lab-ready"), get(api::lab_ready::get).options(api::options))
        .route(&api("/users/{user}/server/lab-ready"), get(api::lab_ready::get).options(api::options))
        .route(&api("/users/{user}/servers/{server}/lab-ready"), get(api::lab_ready::get).options(api::options))
        .route(&api("/live"), get(api::live::get).options(api::options))
        .route(&api("/users/{user}/profile"), get(api::profiles::get).put(api::profiles::put).options(api::options))
        .route(&api("/user-profiles"), get(api::profiles::list).options(api::options))
        .route(
            &api("/users/{user}/force-password-change"),
            post(api::accounts::force_password_change).options(api::options),
        )
        .route(&api("/users/{user}/rename"), post(api::accounts::rename).options(api::options))
        .route(&api("/users/{user}/password"), post(api::accounts::set_password).options(api::options))
        .route(&api("/users/{user}/disable"), post(api::accounts::disable).options(api::options))
        .route(&api("/users/{user}/enable"), post(api::accounts::enable).options(api::options))
        .route(&api("/native-users"), get(api::accounts::native_users).options(api::options))
        .route(&api("/native-users/{user}/authorization"), post(api::accounts::authorization).options(api::options))
        .route(
            &api("/users/{user}/sessions"),
            get(api::sessions::list).delete(api::sessions::end_all).options(api::options),
        )
        .route(&api("/users/{user}/sessions/{session}"), delete(api::sessions::end).options(api::options))
        .route(&api("/admin/users/bulk"), post(api::new_people::create).options(api::options))
        .route(
            &api("/users/{user}/manage-volumes"),
            get(api::volumes::list).delete(api::volumes::reset).options(api::options),
        )
        .route(&api("/users/{user}/effective-grants"), get(api::grants::effective).options(api::options))
        .route(&api("/admin/groups"), get(api::grants::list).options(api::options))
        .route(&api("/admin/groups/create"), post(api::grants::create).options(api::options))
        .route(&api("/admin/groups/import"), post(api::grants::import).options(api::options))
        .route(&api("/admin/groups/reorder"), post(api::grants::reorder).options(api::options))
        .route(&api("/admin/groups/{group}/delete"), delete(api::grants::delete).options(api::options))
        .route(&api("/admin/groups/{group}/config"), get(api::grants::get).put(api::grants::put).options(api::options))
        .route(&api("/notifications/active-servers"), get(api::notices::active_servers).options(api::options))
        .route(&api("/notifications/sent"), get(api::notices::sent).delete(api::notices::clear).options(api::options))
        .route(&api("/notifications/sent/{id}"), get(api::notices::progress).options(api::options))
        .route(&api("/routes"), get(api::routes::get).options(api::options))
        .route(&api("/gpus"), get(api::gpus::get).options(api::options))
        .route(&api("/activity"), get(api::people_activity::get).options(api::options))
        .route(&api("/activity/sample"), post(api::people_activity::sample).options(api::options))
        .route(&api("/activity/reset"), post(api::people_activity::reset).options(api::options))
        .route(&api("/services"), get(api::services::list).options(api::options))
        .route(
            &api("/services/{service}"),
            get(api::services::get).post(api::services::create).delete(api::services::delete).options(api::options),
        )
        .route(&api("/shares/{user}"), get(api::shares::of_owner).options(api::options))
        .route(
            &api("/shares/{user}/"),
            get(api::shares::of_server)
                .post(api::shares::grant)
                .patch(api::shares::revoke)
                .delete(api::shares::revoke_all)
                .options(api::options),
        )
        .route(
            &api("/shares/{user}/{server}"),
            get(api::shares::of_server)
                .post(api::shares::grant)
                .patch(api::shares::revoke)
                .delete(api::shares::revoke_all)
                .options(api::options),
        )
        .route(&api("/share-codes/{user}"), get(api::share_codes::of_owner).options(api::options))
        .route(
            &api("/share-codes/{user}/"),
            get(api::share_codes::of_server)
                .post(api::share_codes::create)
                .delete(api::share_codes::delete)
                .options(api::options),
        )
        .route(
            &api("/share-codes/{user}/{server}"),
            get(api::share_codes::of_server)
                .post(api::share_codes::create)
                .delete(api::share_codes::delete)
                .options(api::options),
        )
        .route(&api("/users/{user}/shared"), get(api::shared_with::list_of_user).options(api::options))
        .route(
            &api("/users/{user}/shared/{owner}/"),
            get(api::shared_with::of_user).delete(api::shared_with::leave_user).options(api::options),
        )
        .route(
            &api("/users/{user}/shared/{owner}/{server}"),
            get(api::shared_with::of_user).delete(api::shared_with::leave_user).options(api::options),
        )
        .route(&api("/groups/{group}/shared"), get(api::shared_with::list_of_group).options(api::options))
        .route(
            &api("/groups/{group}/shared/{owner}/"),
            get(api::shared_with::of_group).delete(api::shared_with::leave_group).options(api::options),
        )
        .route(
            &api("/groups/{group}/shared/{owner}/{server}"),
            get(api::shared_with::of_group).delete(api::shared_with::leave_group).options(api::options),
        )
        .route(&api("/users/{user}/session-info"), get(api::idle::info).options(api::options))
        .route(&api("/users/{user}/extend-session"), post(api::idle::extend).options(api::options))
        .route(&api("/users/{user}/servers/{server}/session-info"), get(api::idle::info).options(api::options))
        .route(&api("/users/{user}/servers/{server}/extend-session"), post(api::idle::extend).options(api::options))
        .layer(from_fn_with_state(state.clone(), check_api_token))
        .layer(from_fn(password_first_for_api))
        .layer(from_fn(api_callers))
        .layer(from_fn(no_head));
    // Who has no credentials may send the sign-in form along, so only a session has a form token to show.
    let tokens = Router::new()
        .route(&api("/users/{user}/tokens"), get(api::tokens::list).post(api::tokens::create).options(api::options))
        .layer(from_fn_with_state(state.clone(), check_session_token))
        .layer(from_fn(password_first_for_api))
        .layer(from_fn(api_callers))
        .layer(from_fn(no_head));
    token_exchange
        .merge(known_to_all)
        .merge(tokens)
        .merge(endpoints)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(state.config.api_body_limit_bytes))
        .layer(from_fn_with_state(state.clone(), time_limit))
        .layer(from_fn_with_state(state.clone(), show_errors_as_json))
}

/// As the rest of the API, but it may take longer: its answer waits for many servers, and has a limit of its own.
fn broadcasts(state: &HubState) -> Router<HubState> {
    let api = |path: &str| state.config.hub(&format!("api{path}"));
    Router::new()
        .route(&api("/notifications/broadcast"), post(api::notices::broadcast).options(api::options))
        .layer(from_fn_with_state(state.clone(), check_api_token))
        .layer(from_fn(api_callers))
        .layer(from_fn(no_head))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(state.config.api_body_limit_bytes))
        .layer(from_fn_with_state(state.clone(), show_errors_as_json))
}

async fn wrong_method() -> HubError {
    HubError::MethodNotAllowed
}

async fn unknown_endpoint() -> HubError {
    HubError::NoSuchPage
}
