//! BasicAuth: a name and a password, asked for by the browser itself.
//!
//! Browsers send both with every request, so a right pair is remembered for a while, as a keyed hash; checks run on the
//! blocking pool, a few at once, and what would have to wait behind too many is answered 503.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;

use super::answer::plain;
use super::htpasswd::{PASSWORD_LIMIT_BYTES, PasswordHash};
use super::{Next, Tools};
use crate::model::Timestamp;
use crate::net::{RequestBody, ResponseBody};
use crate::routers::{Fields, Problem, quoted};

/// Users of one middleware.
const USER_LIMIT: usize = 10_000;
/// A file of users: each line is some 80 bytes.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;
/// Right pairs that are remembered.
const REMEMBERED_LIMIT: usize = 1_024;
/// For so long: who is taken from the users is out at once, because the middleware is made anew.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// A name and a password, asked for by the browser itself.
pub struct BasicAuth {
    users: Arc<HashMap<String, PasswordHash>>,
    challenge: HeaderValue,
    removes_header: bool,
    header_field: Option<HeaderName>,
    remembered: Mutex<HashMap<[u8; 32], Timestamp, ahash::RandomState>>,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicAuth").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

enum Verdict {
    Right(String),
    Wrong,
    Busy,
}

impl BasicAuth {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let mut users = HashMap::new();
        if let Some(path) = fields.take_text("usersFile")?.filter(|path| !path.is_empty()) {
            let text =
                read_file(&path).map_err(|text| fields.problem(format!("usersFile {}: {text}", quoted(&path))))?;
            for (at, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let text = |error| format!("usersFile {}, line {}: {error}", quoted(&path), at + 1);
                add_user(&mut users, line).map_err(|error| fields.problem(text(error)))?;
            }
        }
        // What is said here counts more than what the file says.
        for (at, line) in fields.take_list("users")?.unwrap_or_default().iter().enumerate() {
            let text = |error| format!("users, number {}: {error}", at + 1);
            add_user(&mut users, line.trim()).map_err(|error| fields.problem(text(error)))?;
        }
        let realm =
            fields.take_text("realm")?.filter(|realm| !realm.is_empty()).unwrap_or_else(|| "traefik".to_owned());
        let challenge = format!("Basic realm=\"{}\"", realm.replace('\\', "\\\\").replace('"', "\\\""));
        let challenge =
            HeaderValue::from_str(&challenge).map_err(|_| fields.problem("realm cannot stand in a header"))?;
        Ok(Self {
            users: Arc::new(users),
            challenge,
            removes_header: fields.take_bool("removeHeader")?.unwrap_or(false),
            header_field: take_header_name(fields, "headerField")?,
            remembered: Mutex::default(),
        })
    }

    pub(super) async fn handle(&self, mut request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        match self.check(request.headers(), next.tools).await {
            Verdict::Wrong => {
                let mut answer = plain(StatusCode::UNAUTHORIZED);
                answer.headers_mut().insert(WWW_AUTHENTICATE, self.challenge.clone());
                return answer;
            }
            Verdict::Busy => return plain(StatusCode::SERVICE_UNAVAILABLE),
            Verdict::Right(name) => {
                if self.removes_header {
                    request.headers_mut().remove(AUTHORIZATION);
                }
                if let (Some(header), Ok(value)) = (&self.header_field, HeaderValue::from_str(&name)) {
                    request.headers_mut().insert(header, value);
                }
            }
        }
        next.run(request).await
    }

    async fn check(&self, headers: &HeaderMap, tools: &Tools) -> Verdict {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Verdict::Wrong };
        let Some((name, password)) = name_and_password(value) else { return Verdict::Wrong };
        let key = tools.remembering_key(&name, &password);
        let now = tools.clock.now();
        if self.remembered.lock().get(&key).is_some_and(|until| *until > now) {
            return Verdict::Right(name);
        }
        // A name that nobody has costs the same, so nobody learns by the clock who is there.
        let Some(hash) = self.users.get(&name).or_else(|| self.users.values().next()).cloned() else {
            return Verdict::Wrong;
        };
        let Some(is_right) = tools.check_password(move || hash.is_of(&password)).await else { return Verdict::Busy };
        if !is_right || !self.users.contains_key(&name) {
            return Verdict::Wrong;
        }
        self.remember(key, now);
        Verdict::Right(name)
    }

    fn remember(&self, key: [u8; 32], now: Timestamp) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_LIMIT {
            remembered.retain(|_, until| *until > now);
        }
        if remembered.len() >= REMEMBERED_LIMIT {
            remembered.clear();
        }
        remembered.insert(key, now.plus(REMEMBERED_FOR));
    }
}

/// `Basic bmFtZTpwYXNzd29yZA==`.
fn name_and_password(value: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 4 * PASSWORD_LIMIT_BYTES {
        return None;
    }
    let mut name = STANDARD.decode(encoded.trim()).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon + 1);
    name.truncate(colon);
    let name = String::from_utf8(name).ok()?;
    (password.len() <= PASSWORD_LIMIT_BYTES && !name.chars().any(char::is_control)).then_some((name, password))
}

fn add_user(users: &mut HashMap<String, PasswordHash>, line: &str) -> Result<(), String> {
    let Some((name, hash)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        return Err("is not NAME:HASH".to_owned());
    };
    let hash = PasswordHash::parse(hash).map_err(|error| format!("{}: {error}", quoted(name)))?;
    if users.len() >= USER_LIMIT {
        return Err(format!("more than {USER_LIMIT} users"));
    }
    users.insert(name.to_owned(), hash);
    Ok(())
}

fn read_file(path: &str) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let is_file = file.metadata().map_err(|error| error.to_string())?.is_file();
    if !is_file {
        return Err("is no file".to_owned());
    }
    let mut text = String::new();
    let read = file.take(FILE_LIMIT_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > FILE_LIMIT_BYTES { Err("is longer than 1 MiB".to_owned()) } else { Ok(text) }
}

/// A header's name, or none if it is empty or not said.
///
/// # Errors
/// It is none, or one that frames messages.
pub(super) fn take_header_name(fields: &mut Fields, field: &'static str) -> Result<Option<HeaderName>, Problem> {
    let Some(text) = fields.take_text(field)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if !super::headers::is_of_connection(&name) => Ok(Some(name)),
        _ => Err(fields.problem(format!("{field} = {} is no header's name that can be set", quoted(&text)))),
    }
}
