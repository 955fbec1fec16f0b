//! `/share-codes/{owner}`, `/share-codes/{owner}/{server}`: codes that can be exchanged for a share.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use utoipa::IntoParams;

use super::body::{json_body, short};
use super::model::share::ShareCodeModel;
use super::openapi::{PageQuery, UserPath};
use super::paging::{Listing, Page, Wrapped};
use super::query::Query;
use super::server_path::ServerPath;
use super::shares::{CodeBody, check_scopes, in_words, reach, read_scopes};
use super::users::reachable_user;
use crate::auth::WhichCodes;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, CallerOf};
use crate::model::Secret;

/// Which codes are meant; all of the server without either.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what `delete` reads")]
pub(super) struct CodeQuery {
    /// The one of this id.
    #[param(example = "sc_1")]
    id: Option<String>,
    /// The one that this is.
    code: Option<String>,
}

/// `GET /hub/api/share-codes/{owner}`
#[utoipa::path(
    get, path = "/share-codes/{user}", operation_id = "list_share_codes_of_user", tag = "Shares",
    summary = "List somebody's codes", description = "Of all their servers.",
    params(UserPath, PageQuery),
    security(("token" = ["read:shares"])),
    responses((status = 200, description = "A page of codes.", body = inline(Wrapped<Vec<ShareCodeModel>>))),
)]
pub(in crate::hub) async fn of_owner(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    Path(name): Path<String>,
    page: Page,
) -> Result<Json<Listing<Vec<ShareCodeModel>>>, HubError> {
    let owner = reachable_user(&state, &caller, &name, &["read:shares"])?;
    let codes = state.auth.share_codes_of_owner(&owner.name);
    let (total, page) = (codes.len(), page.always_wrapped());
    let models = page.cut(codes).map(|code| ShareCodeModel::of(&state, &code, None)).collect();
    Ok(page.answer(models, total))
}

/// `GET /hub/api/share-codes/{owner}/{server}`
#[utoipa::path(
    get, path = "/share-codes/{user}/{server}", operation_id = "list_share_codes_of_server", tag = "Shares",
    summary = "List the codes of a server", description = "The path of the default server ends with the slash.",
    params(ServerPath, PageQuery),
    security(("token" = ["read:shares"])),
    responses((status = 200, description = "A page of codes.", body = inline(Wrapped<Vec<ShareCodeModel>>))),
)]
pub(in crate::hub) async fn of_server(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    page: Page,
) -> Result<Json<Listing<Vec<ShareCodeModel>>>, HubError> {
    let server = reach(&state, &caller, &path, "read:shares")?;
    let codes = state.auth.share_codes_of_server(&server);
    let (total, page) = (codes.len(), page.always_wrapped());
    let models = page.cut(codes).map(|code| ShareCodeModel::of(&state, &code, None)).collect();
    Ok(page.answer(models, total))
}

/// `POST /hub/api/share-codes/{owner}/{server}`
#[utoipa::path(
    post, path = "/share-codes/{user}/{server}", operation_id = "create_share_code", tag = "Shares",
    summary = "Make a code", description = "It is told this once.",
    params(ServerPath),
    security(("token" = ["shares"])),
    request_body = Option<CodeBody>,
    responses((status = 200, description = "The code.", body = ShareCodeModel)),
)]
pub(in crate::hub) async fn create(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    body: Bytes,
) -> Result<Json<ShareCodeModel>, HubError> {
    let server = reach(&state, &caller, &path, "shares")?;
    let wanted = json_body::<CodeBody>(&body)?.unwrap_or_default();
    let scopes = read_scopes(wanted.scopes.as_deref())?.unwrap_or_default();
    check_scopes(&caller, &server, &scopes)?;
    let life = wanted.expires_in.map(Duration::from_secs);
    let made = state.auth.create_share_code(&by, &server, scopes, life, caller.rights()).await;
    let (secret, code) = made.map_err(in_words)?;
    Ok(Json(ShareCodeModel::of(&state, &code, Some(&secret))))
}

/// `DELETE /hub/api/share-codes/{owner}/{server}` → 204
#[utoipa::path(
    delete, path = "/share-codes/{user}/{server}", operation_id = "delete_share_codes", tag = "Shares",
    summary = "Delete codes", description = "What they were exchanged for stays.",
    params(ServerPath, CodeQuery),
    security(("token" = ["shares"])),
    responses((status = 204, description = "They are gone.")),
)]
pub(in crate::hub) async fn delete(
    State(state): State<HubState>,
    By(by): By,
    CallerOf(caller): CallerOf,
    path: ServerPath,
    uri: Uri,
) -> Result<StatusCode, HubError> {
    let server = reach(&state, &caller, &path, "shares")?;
    let query = Query::parse(uri.query());
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (which, missing) = match (given("code"), given("id")) {
        (Some(code), _) => (WhichCodes::Code(Secret::new(code)), "No matching code found".to_owned()),
        (None, Some(id)) => {
            let missing = format!("No code found matching id={}", short(&id));
            let id = id.parse().map_err(|()| HubError::not_found(missing.clone()))?;
            (WhichCodes::Id(id), missing)
        }
        (None, None) => (WhichCodes::All, String::new()),
    };
    match state.auth.delete_share_codes(&by, &server, which).await {
        Err(crate::auth::ActError::NoCode) => Err(HubError::not_found(missing)),
        deleted => deleted.map(|()| StatusCode::NO_CONTENT).map_err(HubError::from),
    }
}
