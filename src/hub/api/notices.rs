//! `/notifications` and what is below: tell running servers something, see who would hear it, and what was sent.
//!
//! All of it wants `admin:servers` for everybody: a notice stands in other people's JupyterLab with an administrator's
//! word, and the lists tell who works at this moment. A scope that is about accounts (`admin:users`) says nothing of
//! servers, and one that holds for some of them only is not enough, because a history of all is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa::IntoParams;

use super::body::json_body;
use super::model::error::ErrorModel;
use super::model::notice::{
    ActiveServerModel, ActiveServersModel, AutoCloseWish, BroadcastResultModel, BroadcastWish, ClearedModel,
    SentNoticeModel, SentNoticesModel, SentProgressModel,
};
use super::scopes;
use crate::auth::{Caller, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::hub::notices::{self, Audience};
use crate::model::{AutoClose, Notice, NoticeKind, NoticeText, NoticeTextError, UserName};
use crate::store::NoticeId;

/// How many people one request may name.
const RECIPIENTS_LIMIT: usize = 10_000;
/// What `autoClose: true` means: JupyterLab's usual time.
const USUAL_AUTO_CLOSE_MS: u64 = 5000;

fn require(caller: &Caller) -> Result<(), HubError> {
    scopes::require(caller, &["admin:servers"], Target::All).map(drop)
}

/// `POST /hub/api/notifications/broadcast`: answered when every server had its turn.
#[utoipa::path(
    post, path = "/notifications/broadcast", operation_id = "broadcast", tag = "Notices",
    summary = "Tell people whose server runs something",
    description = "In their JupyterLab, if it has jupyterlab-notifications-extension. Every ready server of a person is \
                   told, so one may stand in the result more than once. One broadcast at a time. It goes on if the \
                   client goes away.",
    security(("token" = ["admin:servers"])),
    request_body = BroadcastWish,
    responses(
        (status = 200, description = "What became of it.", body = BroadcastResultModel),
        (status = 400, description = "The message is empty or too long, or a field is not as it must be.", body = ErrorModel),
        (status = 504, description = "It takes longer than an answer may; it goes on, and what becomes of it is in what \
                                      was sent.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn broadcast(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    body: Bytes,
) -> Result<Json<BroadcastResultModel>, HubError> {
    require(&caller)?;
    let wish = json_body::<BroadcastWish>(&body)?.ok_or_else(|| HubError::bad("Message is required"))?;
    let (notice, audience) = parse(wish)?;
    let addressees = audience.addressees(&state);
    if addressees.is_empty() {
        return Ok(Json(BroadcastResultModel::nobody()));
    }
    let broadcast = notices::begin(&state, by, notice, addressees).await?;
    if !broadcast.wait(Duration::from_secs(state.config.notices.answer_timeout_s)).await {
        return Err(HubError::Answer {
            status: StatusCode::GATEWAY_TIMEOUT,
            message: "The notice is still being delivered. What becomes of it is in the list of what was sent.".into(),
        });
    }
    Ok(Json(BroadcastResultModel::of(broadcast.results())))
}

fn parse(wish: BroadcastWish) -> Result<(Notice, Audience), HubError> {
    let message = NoticeText::parse(wish.message.as_deref().unwrap_or_default()).map_err(|error| match error {
        NoticeTextError::Empty => HubError::bad("Message is required"),
        error => HubError::bad(format!("Invalid message: {error}")),
    })?;
    let kind = wish.variant.map_or(NoticeKind::Info, NoticeKind::from);
    let auto_close = match wish.auto_close {
        None | Some(AutoCloseWish::Flag(false)) => AutoClose::Never,
        Some(AutoCloseWish::Flag(true)) => AutoClose::AfterMs(USUAL_AUTO_CLOSE_MS),
        Some(AutoCloseWish::Milliseconds(milliseconds)) => AutoClose::after_ms(milliseconds)
            .ok_or_else(|| HubError::bad("autoClose must be false or milliseconds, a day at most"))?,
    };
    let audience = match wish.recipients {
        None => Audience::All,
        Some(names) if names.is_empty() => return Err(HubError::bad("recipients must name somebody, or be left out")),
        Some(names) if names.len() > RECIPIENTS_LIMIT => {
            return Err(HubError::bad(format!("At most {RECIPIENTS_LIMIT} recipients in one request, please.")));
        }
        // What cannot be a name is nobody's, and who is not there is left out.
        Some(names) => Audience::Chosen(names.iter().filter_map(|name| UserName::parse(name).ok()).collect()),
    };
    Ok((Notice { message, kind, auto_close }, audience))
}

/// `GET /hub/api/notifications/active-servers`
#[utoipa::path(
    get, path = "/notifications/active-servers", operation_id = "list_active_servers", tag = "Notices",
    summary = "Whose server runs", description = "Everybody with a server that runs or is on its way.",
    security(("token" = ["admin:servers"])),
    responses((status = 200, description = "They, in order of name.", body = ActiveServersModel)),
)]
pub(in crate::hub) async fn active_servers(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<ActiveServersModel>, HubError> {
    require(&caller)?;
    let names: BTreeSet<_> = Audience::All.addressees(&state).into_iter().map(|it| it.server.user).collect();
    let servers = names.iter().map(|name| ActiveServerModel { username: name.to_string() });
    Ok(Json(ActiveServersModel { servers: servers.collect() }))
}

/// `GET /hub/api/notifications/sent`
#[utoipa::path(
    get, path = "/notifications/sent", operation_id = "list_sent_notices", tag = "Notices",
    summary = "What was sent", description = "500 are kept; the newest 100 are shown.",
    security(("token" = ["admin:servers"])),
    responses((status = 200, description = "Newest first.", body = SentNoticesModel)),
)]
pub(in crate::hub) async fn sent(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
) -> Result<Json<SentNoticesModel>, HubError> {
    require(&caller)?;
    let sent = notices::list(&state).await?;
    Ok(Json(SentNoticesModel { notifications: sent.into_iter().map(SentNoticeModel::of).collect() }))
}

/// The notice that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes the path; handlers read its parts themselves")]
pub(super) struct NoticePath {
    /// A notice's number.
    #[param(minimum = 1, example = 7)]
    id: u64,
}

/// `GET /hub/api/notifications/sent/{id}`: what a page asks that shows a broadcast under way.
#[utoipa::path(
    get, path = "/notifications/sent/{id}", operation_id = "get_sent_notice", tag = "Notices",
    summary = "How far a notice has come", description = "While it is under way, and afterwards.",
    params(NoticePath),
    security(("token" = ["admin:servers"])),
    responses((status = 200, description = "So far.", body = SentProgressModel)),
)]
pub(in crate::hub) async fn progress(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(id): Path<String>,
) -> Result<Json<SentProgressModel>, HubError> {
    require(&caller)?;
    let id = id.parse().map(NoticeId).map_err(|_| HubError::NoSuchResource)?;
    let sent = notices::find(&state, id).await?.ok_or(HubError::NoSuchResource)?;
    Ok(Json(SentProgressModel::of(&sent)))
}

/// `DELETE /hub/api/notifications/sent`
#[utoipa::path(
    delete, path = "/notifications/sent", operation_id = "clear_sent_notices", tag = "Notices",
    summary = "Forget what was sent", description = "The audit log keeps its rows.",
    security(("token" = ["admin:servers"])),
    responses((status = 200, description = "How many were forgotten.", body = ClearedModel)),
)]
pub(in crate::hub) async fn clear(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
) -> Result<Json<ClearedModel>, HubError> {
    require(&caller)?;
    Ok(Json(ClearedModel { cleared: notices::clear(&state, by).await? }))
}
