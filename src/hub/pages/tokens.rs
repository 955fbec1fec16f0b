//! `{base}hub/token`: one's own tokens and the apps that one has let in. A token is made, shown once, listed, revoked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use super::see_other;
use super::token_choice::{CHOICES, Life, scopes_of_form};
use crate::auth::{ActError, Asker, NewToken, Target, Token};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::{By, Person};
use crate::hub::form::Fields;
use crate::hub::frame::Frame;
use crate::hub::templates::moment;
use crate::model::{OAuthClient, OwnerName, Scope, Secret};
use crate::store::TokenKind;

/// Tokens on one page. Somebody who has more has a program that forgets to revoke; the newest are shown.
const SHOWN_LIMIT: usize = 200;

/// `GET {base}hub/token`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    frame: Frame,
) -> Result<Response, HubError> {
    Showing { state: &state, person: &person }.show(frame, StatusCode::OK, &Fields::default(), None, None)
}

/// `POST {base}hub/token` with `note`, `life`, `rights` (`all` or `some`), `scopes`, `more_scopes`: makes one and shows
/// it, this once.
pub(in crate::hub) async fn post(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    frame: Frame,
    fields: Fields,
) -> Result<Response, HubError> {
    let page = Showing { state: &state, person: &person };
    let made = match wish_of(&person, &fields) {
        Ok(wish) => state.auth.create_token(by, &owner(&person), wish).await.map_err(|error| match error {
            ActError::Store(error) => Err(HubError::Store(error)),
            error => Ok(sentence_of(&error)),
        }),
        Err(sentence) => Err(Ok(sentence)),
    };
    match made {
        Ok((secret, token)) => page.show(frame, StatusCode::OK, &Fields::default(), Some((&secret, &token)), None),
        Err(Ok(sentence)) => page.show(frame, StatusCode::BAD_REQUEST, &fields, None, Some(&sentence)),
        Err(Err(error)) => Err(error),
    }
}

/// `GET {base}hub/token/revoke/{id}`: asks.
pub(in crate::hub) async fn ask_revoke(
    State(state): State<HubState>,
    person: Person,
    Path(id): Path<String>,
    frame: Frame,
) -> Result<Response, HubError> {
    let token = own_token(&state, &person, &id)?;
    let app = client_of(&token).map(|client| app_name(&client).to_owned());
    frame.show(StatusCode::OK, "revoke.html", context! { token => token_view(&token), app })
}

/// `POST {base}hub/token/revoke/{id}`: ends it; of an app, all that it has of this person.
pub(in crate::hub) async fn revoke(
    State(state): State<HubState>,
    By(by): By,
    person: Person,
    Path(id): Path<String>,
) -> Result<Response, HubError> {
    let token = own_token(&state, &person, &id)?;
    let id = token.id.ok_or(HubError::NoSuchResource)?;
    match state.auth.revoke_token(by, id).await {
        // Whoever else revoked it meanwhile: it has ended.
        Ok(()) | Err(ActError::NoToken(_)) => Ok(see_other(&state.config.hub("token"))),
        Err(ActError::Store(error)) => Err(error.into()),
        Err(error) => Err(HubError::bad(sentence_of(&error))),
    }
}

fn owner(person: &Person) -> OwnerName {
    OwnerName::User(person.name().clone())
}

fn wish_of(person: &Person, fields: &Fields) -> Result<NewToken, String> {
    let life = Life::of(fields.get("life")).ok_or("Choose how long the token shall live.")?;
    let note = fields.get("note").trim().to_owned();
    Ok(NewToken {
        scopes: Some(scopes_of_form(fields)?),
        note: if note.is_empty() { "Made on the token page".to_owned() } else { note },
        expires_in: life.duration(),
        by: Asker::Caller(owner(person), person.as_caller().rights()),
    })
}

fn sentence_of(error: &ActError) -> String {
    match error {
        ActError::NotHeld { scope, .. } => {
            format!("You do not have the right “{}” yourself, so no token of yours can.", scope.as_str())
        }
        ActError::BadLife { most_s, .. } => {
            format!("Here a token may live {} days at most. Choose a shorter life.", (most_s / 86_400).max(1))
        }
        ActError::MayNot(_) => "You may not make tokens here. Ask an administrator.".to_owned(),
        error => {
            let text = error.to_string();
            let mut letters = text.chars();
            letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
        }
    }
}

/// Tokens of servers are the servers' own: they end with them, and nobody revokes them here.
fn own_tokens(state: &HubState, person: &Person) -> Vec<Arc<Token>> {
    let mut tokens = state.auth.tokens_of(&owner(person));
    tokens.retain(|token| matches!(token.kind, TokenKind::Api | TokenKind::OAuth { .. }) && token.id.is_some());
    tokens
}

fn own_token(state: &HubState, person: &Person, id: &str) -> Result<Arc<Token>, HubError> {
    let tokens = own_tokens(state, person);
    let is_meant = |token: &&Arc<Token>| token.id.is_some_and(|own| own.to_string() == id);
    tokens.iter().find(is_meant).cloned().ok_or(HubError::NoSuchResource)
}

fn client_of(token: &Token) -> Option<String> {
    match &token.kind {
        TokenKind::OAuth { client: Some(OAuthClient::Server(server)), .. } => {
            Some(format!("Server {}", server.scope_name()))
        }
        TokenKind::OAuth { client: Some(OAuthClient::Service(service)), .. } => Some(service.to_string()),
        TokenKind::OAuth { client_id, .. } => Some(client_id.clone()),
        _ => None,
    }
}

fn app_name(client: &str) -> &str {
    client.strip_suffix('/').unwrap_or(client)
}

fn token_view(token: &Token) -> Value {
    context! {
        id => token.id.map(|id| id.to_string()),
        note => &token.note,
        created => moment(token.created),
        used => token.last_used().map(moment),
        expires => token.expires_at.map(moment),
        has_all => token.scopes.iter().any(Scope::is_inherit),
        scopes => token.scopes.iter().map(Scope::to_string).collect::<Vec<_>>(),
    }
}

struct Showing<'a> {
    state: &'a HubState,
    person: &'a Person,
}

impl Showing<'_> {
    fn show(
        &self,
        frame: Frame,
        code: StatusCode,
        typed: &Fields,
        made: Option<(&Secret, &Token)>,
        problem: Option<&str>,
    ) -> Result<Response, HubError> {
        let all = own_tokens(self.state, self.person);
        let mut apps = BTreeMap::<String, Vec<&Arc<Token>>>::new();
        for token in &all {
            if let Some(client) = client_of(token) {
                apps.entry(client).or_default().push(token);
            }
        }
        let own = all.iter().rev().filter(|token| token.kind == TokenKind::Api);
        let own: Vec<_> = own.take(SHOWN_LIMIT).map(|token| token_view(token)).collect();
        let apps = apps.iter().filter_map(|(client, tokens)| {
            let latest = tokens.iter().max_by_key(|token| token.last_used().unwrap_or(token.created))?;
            let first = tokens.iter().map(|token| token.created).min()?;
            Some(context! {
                name => app_name(client),
                since => moment(first),
                ..token_view(latest),
            })
        });
        let rights = self.person.as_caller().rights();
        let target = |is_own: bool| if is_own { Target::User(self.person.name()) } else { Target::All };
        let choices = CHOICES.iter().filter(|choice| rights.allows(choice.scope, target(choice.is_own)));
        let choices = choices.map(|choice| {
            let scope = choice.written();
            let is_chosen = typed.all("scopes").any(|typed| typed == scope);
            context! { scope, text => choice.text, about => choice.about, is_chosen }
        });
        let life = Life::of(typed.get("life")).unwrap_or(Life::USUAL);
        let lives =
            Life::ALL.map(|each| context! { key => each.key, text => each.text, is_chosen => each.key == life.key });
        let page = context! {
            tokens => own,
            is_cut => all.iter().filter(|token| token.kind == TokenKind::Api).count() > SHOWN_LIMIT,
            apps => apps.collect::<Vec<_>>(),
            choices => choices.collect::<Vec<_>>(),
            lives,
            note => typed.get("note"),
            more_scopes => typed.get("more_scopes"),
            some_rights => typed.get("rights") == "some",
            made => made.map(|(secret, token)| context! { secret => secret.expose(), ..token_view(token) }),
            problem,
        };
        frame.show(code, "token.html", page)
    }
}
