//! `GET/POST {base}hub/api/oauth2/authorize`: the browser's half. The visitor of a server or service is told apart here, and sent
//! back with a code.
//!
//! The order of the checks is the contract's (§1.3): a client or an address that is not right gets a page and never
//! a redirect; what the client did wrong goes back to it; what the visitor may not do is said to the visitor.

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderMap};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use minijinja::context;
use utoipa::{IntoParams, ToSchema};

use super::clients::{self, Client};
use super::codes::Grant;
use super::pkce::Challenge;
use super::words;
use crate::auth::{may_access_server, may_access_service};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::form::{Fields, query_encode, query_value};
use crate::hub::frame::{Frame, set_cookies};
use crate::hub::layers::page_policy_with_form_to;
use crate::hub::pages::found;
use crate::hub::pages::login::{has_hub_session_cookie, hub_session_cookie};
use crate::model::{OAuthClient, Scope};

/// Length of a code, as JupyterHub makes them.
const CODE_LENGTH: usize = 30;

/// A request that may be granted, as far as client and parameters go.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    client: Client,
    state: Option<String>,
    /// What the client asks for: all that it may ask for if it names nothing.
    scopes: Vec<Scope>,
    challenge: Option<Challenge>,
}

/// Why a request cannot be granted.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// Said on a page: there is no address that could be trusted with it.
    OnPage(&'static str),
    /// Said to the client: the address to send the browser to.
    ToClient(String),
}

/// What a client sends the browser along with.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what `read` reads")]
pub(in crate::hub) struct AskedQuery {
    /// A server's or service's.
    client_id: String,
    /// Where the browser is sent back to: the client's own address, letter by letter.
    redirect_uri: String,
    /// `code`.
    response_type: String,
    /// Comes back as it is.
    state: Option<String>,
    /// By spaces; all that the client may ask for if it names none.
    scope: Option<String>,
    /// Of PKCE.
    code_challenge: Option<String>,
    /// `S256`, or `plain` if it is left out.
    code_challenge_method: Option<String>,
}

/// The page's answer.
#[derive(ToSchema)]
#[schema(as = Consent)]
#[allow(dead_code, reason = "it describes the fields that `post` reads")]
pub(in crate::hub) struct Consent {
    /// What is left standing; nothing means identity only.
    scopes: Vec<String>,
    /// The form token.
    #[schema(rename = "_xsrf")]
    xsrf: String,
}

/// `GET`: a code at once for one's own server, or a page that asks.
#[utoipa::path(
    get, path = "/oauth2/authorize", operation_id = "authorize", tag = "OAuth",
    summary = "Ask a visitor", description = "A page for browsers: without a session it leads to the sign-in first.",
    params(AskedQuery),
    security(("session" = [])),
    responses(
        (status = 200, description = "The page that asks.", body = String, content_type = "text/html"),
        (status = 302, description = "Back to the client with a code or an error; or to sign in."),
        (status = 400, description = "No such client, or not its address.", body = String, content_type = "text/html"),
        (status = 403, description = "The visitor may not go there.", body = String, content_type = "text/html"),
    ),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    headers: HeaderMap,
    frame: Frame,
) -> Result<Response, HubError> {
    let asked = match asked(&state, uri.query()) {
        Ok(asked) => asked,
        Err(wrong) => return answer(wrong),
    };
    let granted = granted(&state, &asked, &person)?;
    let is_own = matches!(&asked.client.of, OAuthClient::Server(server) if server.user == *person.name());
    let texts = granted.iter().map(Scope::to_string).collect::<Vec<_>>();
    if is_own || asked.client.no_confirm || state.auth.has_consented(person.name(), &asked.client.of, &texts) {
        return Ok(with_code(&state, &person, &headers, asked, granted));
    }
    ask(&state, &asked.client, &granted, frame)
}

/// The page that asks.
fn ask(state: &HubState, client: &Client, granted: &[Scope], frame: Frame) -> Result<Response, HubError> {
    let scopes = granted.iter().map(Scope::to_string).collect::<Vec<_>>();
    let service = match &client.of {
        OAuthClient::Server(server) => {
            let page = context! { owner => server.user.to_string(), server => server.name.as_str(), scopes };
            return frame.show(StatusCode::OK, "consent.html", page);
        }
        OAuthClient::Service(service) => service.to_string(),
    };
    let access = client.access();
    let rights = granted.iter().filter(|scope| **scope != access).map(|scope| words::of(&state.auth, scope));
    let rights = rights.collect::<Vec<_>>();
    let elsewhere = client.elsewhere();
    let page = context! { service, elsewhere, rights, scopes };
    let mut response = frame.show(StatusCode::OK, "consent_service.html", page)?;
    // Browsers hold the form to our policy also where its answer sends them on to.
    if let Some(policy) = elsewhere.and_then(page_policy_with_form_to) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// `POST`: the page's answer, with the scopes that were left standing; none means identity only.
#[utoipa::path(
    post, path = "/oauth2/authorize", operation_id = "consent", tag = "OAuth",
    summary = "Say yes", description = "What the page that asks sends.",
    params(AskedQuery),
    security(("session" = [], "form_token" = [])),
    request_body(content = Consent, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 302, description = "Back to the client with a code."),
        (status = 400, description = "No such client, or not its address.", body = String, content_type = "text/html"),
        (status = 403, description = "The visitor may not go there.", body = String, content_type = "text/html"),
    ),
)]
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    person: Person,
    uri: Uri,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, HubError> {
    let asked = match asked(&state, uri.query()) {
        Ok(asked) => asked,
        Err(wrong) => return answer(wrong),
    };
    let mut granted = granted(&state, &asked, &person)?;
    granted.retain(|scope| fields.all("scopes").any(|left| left == scope.to_string()));
    Ok(with_code(&state, &person, &headers, asked, granted))
}

fn asked(state: &HubState, query: Option<&str>) -> Result<Asked, Wrong> {
    read(|client_id| clients::find(state, client_id), query)
}

/// Reads and checks the parameters; knows nothing of the visitor.
fn read(find: impl Fn(&str) -> Vec<Client>, query: Option<&str>) -> Result<Asked, Wrong> {
    let parameter = |name| query_value(query, name);
    let clients = find(&parameter("client_id").unwrap_or_default());
    if clients.is_empty() {
        return Err(Wrong::OnPage("The program that sent you here is not known to this hub."));
    }
    let given = parameter("redirect_uri").unwrap_or_default();
    let client = clients.into_iter().find(|client| client.redirect_uri == given);
    let client = client.ok_or(Wrong::OnPage("The address to return to is not the one of that server or service."))?;

    let state = parameter("state");
    let refuse = |error: &str, description: &str| {
        let mut location = with_query(&given, "error", error);
        if !description.is_empty() {
            location += &format!("&error_description={}", query_encode(description));
        }
        Wrong::ToClient(with_state(location, state.as_deref()))
    };
    match parameter("response_type").as_deref() {
        Some("code") => {}
        None => return Err(refuse("invalid_request", "Missing response_type parameter.")),
        Some(_) => return Err(refuse("unsupported_response_type", "")),
    }
    let challenge = Challenge::parse(parameter("code_challenge"), parameter("code_challenge_method").as_deref())
        .map_err(|description| refuse("invalid_request", description))?;
    let named = parameter("scope").unwrap_or_default();
    let named = named.split_whitespace().map(str::parse).collect::<Result<Vec<Scope>, _>>();
    let named = named.map_err(|_| refuse("invalid_scope", ""))?;
    if !named.iter().all(|scope| client.may_ask(scope)) {
        return Err(refuse("invalid_scope", ""));
    }
    let scopes = if named.is_empty() { client.default_scopes() } else { named };
    Ok(Asked { client, state, scopes, challenge })
}

fn answer(wrong: Wrong) -> Result<Response, HubError> {
    match wrong {
        Wrong::OnPage(sentence) => Err(HubError::bad(sentence)),
        Wrong::ToClient(location) => Ok(found(&location)),
    }
}

/// What of it the visitor may grant: access, if the visitor has it, and what else of it they hold at least in part.
fn granted(state: &HubState, asked: &Asked, person: &Person) -> Result<Vec<Scope>, HubError> {
    let caller = person.as_caller();
    let (may_enter, what) = match &asked.client.of {
        OAuthClient::Server(server) => (may_access_server(&caller, server), "server"),
        OAuthClient::Service(service) => (may_access_service(&caller, service), "service"),
    };
    if !may_enter {
        let message = format!("You do not have permission to access this {what}.");
        return Err(HubError::Answer { status: StatusCode::FORBIDDEN, message });
    }
    Ok(state.auth.grantable(&person.0.user, &asked.client.of, &asked.scopes))
}

fn with_code(state: &HubState, person: &Person, headers: &HeaderMap, asked: Asked, scopes: Vec<Scope>) -> Response {
    let session = &person.0;
    let code = state.random.alphanumeric(CODE_LENGTH);
    let location = with_state(with_query(&asked.client.redirect_uri, "code", &code), asked.state.as_deref());
    let grant = Grant {
        client: asked.client.of,
        redirect_uri: asked.client.redirect_uri,
        user: person.name().clone(),
        scopes: scopes.iter().map(Scope::to_string).collect(),
        session_id: session.hub_session_id.clone(),
        challenge: asked.challenge,
        session_ended: session.ended.clone(),
    };
    state.codes.keep(code, grant, state.clock.now());
    let mut response = found(&location);
    if !has_hub_session_cookie(headers, session) {
        set_cookies(&mut response, &[hub_session_cookie(state, session)]);
    }
    response
}

/// `uri?name=value`; the URI of a service elsewhere may have a query already.
fn with_query(uri: &str, name: &str, value: &str) -> String {
    let mark = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{mark}{name}={value}")
}

fn with_state(location: String, state: Option<&str>) -> String {
    match state {
        Some(state) => format!("{location}&state={}", query_encode(state)),
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BasePath, ServerKey, UserName};

    fn check(query: &str) -> Result<Asked, Wrong> {
        let base = BasePath::parse("/").expect("the root");
        let find = |id: &str| {
            let alice = ServerKey::default_of(UserName::parse("alice").expect("a name"));
            (id == alice.client_id()).then(|| Client::of_server(&base, alice)).into_iter().collect()
        };
        read(find, Some(query))
    }

    const SOUND: &str =
        "client_id=jupyterhub-user-alice&redirect_uri=%2Fuser%2Falice%2Foauth_callback&response_type=code";

    fn to_client(query: &str) -> String {
        match check(&format!("{SOUND}&state=s%3D1{query}")) {
            Err(Wrong::ToClient(location)) => location,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_servers_request_is_understood() {
        let asked =
            check(&format!("{SOUND}&state=abc%3D%3D&code_challenge=x&code_challenge_method=S256")).expect("sound");
        assert_eq!(asked.client.redirect_uri, "/user/alice/oauth_callback");
        assert_eq!(asked.state.as_deref(), Some("abc=="));
        assert_eq!(asked.scopes, [asked.client.access()]);
        assert_eq!(asked.challenge, Some(Challenge::Sha256("x".into())));
    }

    #[test]
    fn a_wrong_client_or_address_is_said_on_a_page_and_never_redirected() {
        for query in [
            "",
            "client_id=jupyterhub-user-alice",
            "client_id=jupyterhub-user-alice&redirect_uri=https://evil/",
            "client_id=jupyterhub-user-alice&redirect_uri=/user/alice/oauth_callback/",
            "client_id=jupyterhub-user-alice&redirect_uri=/user/bob/oauth_callback",
            "client_id=jupyterhub-user-bob&redirect_uri=/user/bob/oauth_callback&response_type=code",
            "client_id=service-x&redirect_uri=/services/x/oauth_callback&response_type=code",
            "redirect_uri=/user/alice/oauth_callback&response_type=code",
        ] {
            assert!(matches!(check(query), Err(Wrong::OnPage(_))), "{query}");
        }
    }

    #[test]
    fn what_the_client_did_wrong_goes_back_to_it_with_its_state() {
        let start = "/user/alice/oauth_callback?error=";
        assert_eq!(to_client("&response_type=token"), format!("{start}unsupported_response_type&state=s%3D1"));
        assert_eq!(to_client("&scope=admin:users"), format!("{start}invalid_scope&state=s%3D1"));
        assert_eq!(
            to_client("&code_challenge=x&code_challenge_method=S512"),
            format!("{start}invalid_request&error_description=Transform+algorithm+not+supported.&state=s%3D1")
        );
    }

    #[test]
    fn a_client_gets_what_it_names_and_no_more() {
        let scopes = |scope: &str| {
            let asked = check(&format!("{SOUND}&scope={scope}")).expect("allowed");
            asked.scopes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(scopes("access:servers!server%3Dalice%2F"), ["access:servers!server=alice/"]);
        assert_eq!(scopes("read:users:name!user"), ["read:users:name!user"]);
    }
}
