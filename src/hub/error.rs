//! What can go wrong in a handler, and what a person or a program reads of it.
//!
//! A handler returns a `HubError`; the error travels in the answer's extensions to the layer of its family, which
//! turns it into a page or into JSON and logs it once (`layers`).

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::xsrf::Verdict;
use crate::auth::{AccountError, ActError};
use crate::spawner::SpawnerError;
use crate::store::StoreError;

/// Why a handler has no ordinary answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HubError {
    /// A page for signed-in people; `next` is where to go on after signing in, `None` if the request cannot be
    /// repeated (it was no GET).
    #[error("nobody is signed in")]
    SignInFirst { next: Option<String> },
    /// The API's words for an anonymous caller.
    #[error("missing or invalid credentials")]
    Anonymous,
    /// Anonymous at `GET /user`: JupyterHub's message is null there, and servers rely on the status.
    #[error("nobody's token")]
    Nobody,
    /// None of these scopes is held in any form.
    #[error("none of the scopes {wanted:?} is held")]
    MissingScope { wanted: Vec<&'static str> },
    /// Held for other resources, or not there: the words are the same, so that nothing is revealed.
    #[error("no access to the resource, or no such resource")]
    NoSuchResource,
    /// Not there, for one who may see all of its kind.
    #[error("there is none")]
    Absent,
    /// No page or endpoint under this address.
    #[error("no page under this address")]
    NoSuchPage,
    #[error("the method is not allowed here")]
    MethodNotAllowed,
    /// A page that only administrators see.
    #[error("for administrators only")]
    AdministratorsOnly,
    #[error("the form token is refused: {0:?}")]
    FormToken(Verdict),
    /// A hub page was asked for by a script or a frame.
    #[error("a hub page was asked for by something else than a person")]
    NotANavigation,
    /// What is wrong with the request, in a sentence.
    #[error("bad request: {0}")]
    Bad(String),
    #[error("the body is longer than {limit_bytes} bytes, or broke off")]
    BodyTooLarge { limit_bytes: usize },
    /// One of the bounds is reached.
    #[error("refused for now: {sentence}")]
    TooMany { sentence: String, retry_after: Duration },
    #[error("busy: {sentence}")]
    Busy { sentence: String, retry_after: Duration },
    #[error("no answer within {limit:?}")]
    Slow { limit: Duration },
    #[error("a start failed: {}", .0.sentence)]
    StartFailed(Box<crate::model::Failure>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the page could not be rendered")]
    Template(#[from] minijinja::Error),
    /// The edge (or a layer) did not hand over what it must.
    #[error("{0} did not come with the request")]
    Wiring(&'static str),
    /// An extractor of axum's refused the request.
    #[error("refused with status {status}: {text}")]
    Refused { status: StatusCode, text: String },
    /// Nothing goes on before the password is changed.
    #[error("the password must be changed first")]
    PasswordFirst,
    /// One particular answer of JupyterHub's.
    #[error("answered {status}: {message}")]
    Answer { status: StatusCode, message: String },
}

impl HubError {
    pub(super) fn bad(sentence: impl Into<String>) -> Self {
        Self::Bad(sentence.into())
    }

    /// 404 with a sentence, for who may know that it is not there.
    pub(super) fn not_found(sentence: impl Into<String>) -> Self {
        Self::Answer { status: StatusCode::NOT_FOUND, message: sentence.into() }
    }

    /// 409 with a sentence.
    pub(super) fn conflict(sentence: impl Into<String>) -> Self {
        Self::Answer { status: StatusCode::CONFLICT, message: sentence.into() }
    }

    /// 403 with a sentence.
    pub(super) fn forbidden(sentence: impl Into<String>) -> Self {
        Self::Answer { status: StatusCode::FORBIDDEN, message: sentence.into() }
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::SignInFirst { next: Some(_) } => StatusCode::FOUND,
            Self::SignInFirst { next: None }
            | Self::Anonymous
            | Self::Nobody
            | Self::MissingScope { .. }
            | Self::AdministratorsOnly
            | Self::FormToken(_)
            | Self::PasswordFirst
            | Self::NotANavigation => StatusCode::FORBIDDEN,
            Self::NoSuchResource | Self::Absent | Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy { .. } | Self::Slow { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) if error.is_without_room() => StatusCode::INSUFFICIENT_STORAGE,
            Self::StartFailed(_) | Self::Store(_) | Self::Template(_) | Self::Wiring(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Refused { status, .. } | Self::Answer { status, .. } => *status,
        }
    }

    /// How long to wait before asking again, where that helps.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany { retry_after, .. } | Self::Busy { retry_after, .. } => Some(*retry_after),
            Self::Slow { .. } => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    /// The API's `message`, in JupyterHub's words where it has some.
    pub(super) fn message(&self) -> Option<String> {
        let message = match self {
            Self::Nobody | Self::Absent | Self::NoSuchPage | Self::MethodNotAllowed => return None,
            Self::Anonymous | Self::SignInFirst { .. } => "Missing or invalid credentials.".to_owned(),
            Self::MissingScope { wanted } => {
                format!("Action is not authorized with current scopes; requires any of [{}]", wanted.join(", "))
            }
            Self::NoSuchResource => "No access to resources or resources not found".to_owned(),
            Self::FormToken(Verdict::Missing) => "'_xsrf' argument missing from POST".to_owned(),
            Self::FormToken(_) => "XSRF cookie does not match POST argument".to_owned(),
            Self::AdministratorsOnly => "This is for administrators.".to_owned(),
            Self::PasswordFirst => PASSWORD_FIRST.to_owned(),
            Self::NotANavigation => "This request may not come from a script or a frame of another page.".to_owned(),
            Self::Bad(sentence) => sentence.clone(),
            Self::BodyTooLarge { limit_bytes } => {
                format!("The body must arrive whole and have at most {limit_bytes} bytes.")
            }
            Self::TooMany { sentence, .. } | Self::Busy { sentence, .. } => sentence.clone(),
            Self::Slow { .. } => "This took too long. Try again in a moment.".to_owned(),
            Self::StartFailed(failure) => failure.sentence.clone(),
            Self::Refused { text, .. } => text.clone(),
            Self::Answer { message, .. } => message.clone(),
            Self::Store(error) if error.is_without_room() => {
                "The disk on which Slipway keeps its data is full. The change may not have been written; look before you try \
                 again when there is room."
                    .to_owned()
            }
            Self::Store(StoreError::Unknown(_)) => {
                "The change could not be written for certain; look before you try again.".to_owned()
            }
            Self::Store(_) | Self::Template(_) | Self::Wiring(_) => "Something went wrong on our side.".to_owned(),
        };
        Some(message)
    }

    /// Title and sentence for a person.
    pub(super) fn for_people(&self) -> (String, String) {
        let (title, sentence) = match self {
            Self::FormToken(_) => (
                "That form has expired",
                "It was open for a long time, or you signed in again elsewhere. Go back, reload the page and try once more.",
            ),
            Self::AdministratorsOnly => ("For administrators", "Your account has no access to this page."),
            Self::Anonymous | Self::Nobody | Self::SignInFirst { .. } => {
                ("Please sign in", "Your session has ended. Sign in and try once more.")
            }
            Self::NotANavigation => {
                ("Not from inside another page", "For your safety this page opens only when you go to it yourself.")
            }
            Self::PasswordFirst => ("First a new password", PASSWORD_FIRST),
            Self::NoSuchResource | Self::Absent | Self::NoSuchPage => {
                ("There is nothing here", "The address may be mistyped, or the page is not yours to see.")
            }
            Self::MethodNotAllowed => ("That does not work here", "This address does not take such a request."),
            Self::TooMany { .. } | Self::Busy { .. } => {
                return ("One moment, please".to_owned(), self.message().unwrap_or_default());
            }
            Self::StartFailed(_) => {
                return ("Your server could not start".to_owned(), self.message().unwrap_or_default());
            }
            _ if self.status().is_server_error() => {
                ("Something went wrong", "This is our fault, not yours. Try again; if it stays, tell an administrator.")
            }
            _ => return ("That did not work".to_owned(), self.message().unwrap_or_default()),
        };
        (title.to_owned(), sentence.to_owned())
    }

    /// True if somebody must look into it.
    pub(super) fn is_ours_to_mend(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Template(_) | Self::Wiring(_))
    }
}

impl From<SpawnerError> for HubError {
    fn from(error: SpawnerError) -> Self {
        match error {
            SpawnerError::TooMany { retry_after } => Self::TooMany {
                sentence: "Many servers are starting just now. Try again in a moment.".to_owned(),
                retry_after,
            },
            SpawnerError::TooManyActive { retry_after } => Self::TooMany {
                sentence: "As many servers are running as may run here. Try again in a few minutes.".to_owned(),
                retry_after,
            },
            SpawnerError::TooManyNamed { limit } => Self::bad(format!(
                "You have {limit} named servers, and may not have more. Delete one to make room for another."
            )),
            SpawnerError::NamedServersOff => Self::bad("Named servers are not enabled."),
            SpawnerError::BadName(error) => Self::bad(format!("This name cannot be used: {error}.")),
            SpawnerError::BadOptions(sentence) => Self::bad(sentence),
            SpawnerError::MayNotStart(sentence) => Self::forbidden(sentence),
            SpawnerError::NoSuchServer | SpawnerError::NoSuchUser => Self::NoSuchResource,
            SpawnerError::NameTaken => Self::Answer {
                status: StatusCode::CONFLICT,
                message: "There is a server of that name already.".to_owned(),
            },
            SpawnerError::Running => Self::bad("The server is running or on its way. Stop it first."),
            SpawnerError::NotRunning => Self::bad("The server is not running. Start it first."),
            SpawnerError::ContainerGone => {
                Self::not_found("The server's container is not there any more. Start it again.")
            }
            SpawnerError::CannotRestart => Self::bad("Servers cannot be restarted here: somebody else starts them."),
            SpawnerError::Engine(error) if error.is_silence() => Self::Busy {
                sentence: "The container engine does not answer. Nothing has changed; try again in a minute.".into(),
                retry_after: Duration::from_secs(10),
            },
            SpawnerError::Engine(error) => Self::Answer {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                message: format!("Nothing has changed, because {}", error.for_person()),
            },
            SpawnerError::Stopping => Self::bad("The server is stopping. Wait a moment, then start it again."),
            SpawnerError::Closed => Self::Busy {
                sentence: "Slipway is being restarted. Try again in a moment.".to_owned(),
                retry_after: Duration::from_secs(5),
            },
            SpawnerError::NoLeftOver => {
                Self::conflict("Nobody has to decide on volumes here any more. Reload the page.")
            }
            SpawnerError::Store(error) => Self::Store(error),
        }
    }
}

impl From<AccountError> for HubError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => Self::Store(error),
            AccountError::Busy { retry_after } => {
                Self::Busy { sentence: sentence_of(&AccountError::Busy { retry_after }), retry_after }
            }
            AccountError::TooMany { retry_after } => {
                Self::TooMany { sentence: sentence_of(&AccountError::TooMany { retry_after }), retry_after }
            }
            AccountError::Unknown(_) | AccountError::NoSession => Self::NoSuchResource,
            error => Self::Bad(sentence_of(&error)),
        }
    }
}

impl From<ActError> for HubError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Store(error) => Self::Store(error),
            ActError::NoGroup(_) | ActError::NoService(_) | ActError::NoToken(_) => {
                Self::not_found(capitalised(&error.to_string()))
            }
            ActError::NoCode => Self::not_found("Share code not found"),
            ActError::GroupExists(_) | ActError::ServiceExists(_) => Self::conflict(capitalised(&error.to_string())),
            ActError::FromConfig(_) => {
                Self::Answer { status: StatusCode::METHOD_NOT_ALLOWED, message: capitalised(&error.to_string()) }
            }
            ActError::BuiltIn(_) => Self::conflict(capitalised(&error.to_string())),
            ActError::MayNot(_) | ActError::RootLike(_) => Self::forbidden(capitalised(&error.to_string())),
            error => Self::Bad(capitalised(&error.to_string())),
        }
    }
}

/// What somebody reads who must change the password before anything else.
const PASSWORD_FIRST: &str = "This account's password must be changed before anything else can be done with it.";

/// `no such user: bob` as it begins a sentence.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// An account error as a person reads it beside a form.
pub(super) fn sentence_of(error: &AccountError) -> String {
    match error {
        AccountError::Closed => "Sign-up is closed. Ask an administrator for an account.".to_owned(),
        AccountError::TooManyWaiting => {
            "Too many accounts wait for an administrator already. Try again another day.".to_owned()
        }
        AccountError::Name(error) => format!("This name cannot be used: {error}."),
        error @ (AccountError::RootLike(_) | AccountError::NamedForRoot(_)) => {
            format!("{}.", capitalised(&error.to_string()))
        }
        AccountError::Taken => "That name is taken. Choose another.".to_owned(),
        AccountError::TooShort { min } => format!("The password is too short: use {min} characters or more."),
        AccountError::TooLong => "The password is too long: use 1,000 characters or fewer.".to_owned(),
        AccountError::WrongCode => {
            "This name needs the setup code. Open the link that Slipway printed when it started.".to_owned()
        }
        AccountError::Unknown(name) => format!("There is no user {name}."),
        AccountError::Blocked(name) => {
            format!("{name} is blocked. Take the name out of auth.blocked_users and restart Slipway first.")
        }
        AccountError::WrongPassword => "The present password is not right.".to_owned(),
        AccountError::LastAdministrator => "This is the last administrator. Make somebody else one first.".to_owned(),
        AccountError::Oneself => "You cannot disable yourself. Ask another administrator.".to_owned(),
        AccountError::SamePassword => "The new password is the present one. Choose another.".to_owned(),
        AccountError::NoSession => "That session has ended already.".to_owned(),
        AccountError::TooManyAtOnce { limit } => format!("Make at most {limit} accounts in one go."),
        AccountError::NoGroup(group) => format!("There is no group {group}. Make it first, or leave it out."),
        AccountError::Busy { .. } => "Many people are signing in just now. Try again in a moment.".to_owned(),
        AccountError::TooMany { retry_after } => {
            format!("Too many tries. Wait {} and try again.", wait_of(*retry_after))
        }
        AccountError::Store(_) => "Something went wrong on our side. Try again.".to_owned(),
    }
}

/// `40 seconds`, `2 minutes`: a wait as people say it, rounded up.
pub(super) fn wait_of(wait: Duration) -> String {
    match wait.as_secs().max(1) {
        1 => "a second".to_owned(),
        seconds @ 2..=90 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// An error on its way to the layer that shows it.
#[derive(Clone)]
pub(super) struct Raised(pub(super) Arc<HubError>);

impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Raised(Arc::new(self)));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_speaks_in_jupyterhubs_words() {
        let message = |error: HubError| (error.status().as_u16(), error.message());
        assert_eq!(message(HubError::Nobody), (403, None));
        assert_eq!(message(HubError::Anonymous), (403, Some("Missing or invalid credentials.".into())));
        assert_eq!(
            message(HubError::MissingScope { wanted: vec!["a", "b"] }),
            (403, Some("Action is not authorized with current scopes; requires any of [a, b]".into()))
        );
        assert_eq!(
            message(HubError::NoSuchResource),
            (404, Some("No access to resources or resources not found".into()))
        );
        assert_eq!(
            message(HubError::FormToken(Verdict::Missing)),
            (403, Some("'_xsrf' argument missing from POST".into()))
        );
        assert_eq!(
            message(HubError::FormToken(Verdict::Mismatch)),
            (403, Some("XSRF cookie does not match POST argument".into()))
        );
    }

    #[test]
    fn nobody_reads_the_cause_of_our_faults() {
        let error = HubError::from(StoreError::Damaged("page 7 of /data/slipway.redb".into()));
        let (_, sentence) = error.for_people();
        assert!(!sentence.contains("redb") && !error.message().unwrap_or_default().contains("redb"));
        assert!(error.is_ours_to_mend());
    }

    #[test]
    fn a_wait_is_said_as_people_say_it() {
        let said = [0, 2, 90, 91, 600].map(|seconds| wait_of(Duration::from_secs(seconds)));
        assert_eq!(said, ["a second", "2 seconds", "90 seconds", "2 minutes", "10 minutes"]);
    }
}
