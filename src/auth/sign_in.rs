//! Sign-in, sign-out and sign-up: what strangers can ask for, so each is counted, queued and answered alike.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::devices::Device;
use super::password::{self, Memory, PASSWORD_LIMIT_BYTES};
use super::setup::SignUp;
use super::throttle::Standing;
use super::user::KnownPassword;
use super::{AccountError, Auth, Session, Shared, SignInError, SignedUp, User};
use crate::model::{Actor, Secret, SessionKey, Timestamp, UserName};
use crate::store::{SessionRow, StoreError, UserRow};

/// A name's failed sign-ins give one audit row in this time.
const FAILURE_AUDIT_INTERVAL: Duration = Duration::from_secs(60);
/// All names' failed sign-ins give so many audit rows in that time: real acts must not be pushed out of the table.
const FAILURES_AUDITED_LIMIT: usize = 60;

/// Failed sign-ins on their way to the audit.
///
/// They are written by the minute, not by the request: a write takes milliseconds, and one that happens for the
/// names that exist would tell which do.
#[derive(Default)]
pub(super) struct Failures {
    /// When a row was last made, by name; `None` is any unknown name.
    noted_at: HashMap<Option<UserName>, Timestamp>,
    rows: Vec<FailureRow>,
}

/// One row to be.
pub(super) struct FailureRow {
    pub(super) at: Timestamp,
    pub(super) from: IpAddr,
    pub(super) object: String,
}

impl Failures {
    fn note(&mut self, name: Option<UserName>, from: IpAddr, now: Timestamp) {
        self.noted_at.retain(|_, at| *at <= now && now.since(*at) < FAILURE_AUDIT_INTERVAL);
        let is_enough = self.noted_at.len() >= FAILURES_AUDITED_LIMIT || self.rows.len() >= FAILURES_AUDITED_LIMIT;
        if is_enough || self.noted_at.contains_key(&name) {
            return;
        }
        let object = name.as_ref().map_or("an unknown name", UserName::as_str).to_owned();
        self.rows.push(FailureRow { at: now, from, object });
        self.noted_at.insert(name, now);
    }

    pub(super) fn take_rows(&mut self) -> Vec<FailureRow> {
        std::mem::take(&mut self.rows)
    }
}

impl Auth {
    /// Signs a browser in: the cookie's value, and the session.
    ///
    /// # Errors
    /// `Wrong` in the same words and after the same work whether the name or the password is wrong.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &Secret,
        device: impl Into<Device>,
    ) -> Result<(Secret, Arc<Session>), SignInError> {
        let begun = Instant::now();
        let result = self.check_and_sign_in(name, password, device.into()).await;
        self.0.counts.note_sign_in(&result, begun.elapsed());
        result
    }

    async fn check_and_sign_in(
        &self,
        name: &str,
        password: &Secret,
        device: Device,
    ) -> Result<(Secret, Arc<Session>), SignInError> {
        let from = device.from;
        if password.expose().len() > PASSWORD_LIMIT_BYTES {
            return Err(SignInError::Wrong);
        }
        // What is no name has no user either, and is answered like any unknown one. Only its beginning is counted.
        let parsed = UserName::parse(name).ok();
        let counted = parsed.as_ref().map_or("/", UserName::as_str).to_owned();
        let now = self.0.now();
        let user = parsed.and_then(|name| self.0.user(&name));
        let known = user.as_ref().map(|user| user.password()).unwrap_or_default();
        let (checked, against, name_checked) = (password.clone(), known.hash.clone(), counted.clone());
        let shared = Arc::clone(&self.0);
        let work = move |memory: &mut Memory| {
            let decoy = shared.decoy_of(&name_checked);
            let matches = password::verify(&checked, against.as_deref(), decoy, memory);
            let stored = against.filter(|_| matches)?;
            Some(password::rehash(&checked, &stored, &shared.random, memory))
        };
        let checked = self.0.try_password(&counted, from, None, work).await?;
        let (Some(user), Some(rehashed)) = (user, checked) else {
            let known = UserName::parse(name).ok().filter(|name| self.0.user(name).is_some());
            self.0.failures.lock().note(known, from, now);
            return Err(SignInError::Wrong);
        };
        self.0.throttle.lock().succeeded(&counted, from, now);
        self.run(move |shared| shared.begin_session(&user, &known, rehashed, &device)).await
    }

    /// Ends the session, the OAuth tokens that were issued to it, and its open sockets.
    ///
    /// # Errors
    /// If that could not be stored. In memory it has ended all the same, and the store follows later.
    pub async fn sign_out(&self, session: &Session, from: Option<IpAddr>) -> Result<(), StoreError> {
        let key = session.key;
        let by = Actor { from, ..session.user.name.as_str().into() };
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let Some(session) = shared.sessions.get(&key) else { return Ok(()) };
            let now = shared.now();
            shared.end_sessions(&[session], |t, sessions| {
                sessions.iter().try_for_each(|_| t.audit(now, &by, "signed out", ""))
            })
        })
        .await
    }

    /// Makes an account.
    ///
    /// # Errors
    /// Why there is none; `Taken` tells that the name is, which cannot be hidden from one who wants it.
    pub async fn sign_up(
        &self,
        name: &str,
        password: &Secret,
        code: Option<&str>,
        from: IpAddr,
    ) -> Result<SignedUp, AccountError> {
        let name = UserName::parse(name)?;
        self.0.check_new_password(password)?;
        let counted = self.0.throttle.lock().begin_sign_up(from, self.0.now());
        counted.map_err(|retry_after| AccountError::TooMany { retry_after })?;
        // Asked before the expensive part, so that it is spent on nobody who gets a no anyway; and again when it counts.
        let code = code.map(Secret::new);
        self.0.decide_sign_up(&name, code.as_ref())?;
        let random = self.0.random.clone();
        let password = password.clone();
        let work = move |memory: &mut Memory| password::hash(&password, &random, memory);
        // People who have an account come first.
        let hash = self.0.passwords.run(from, Standing::Suspect, work).await;
        let hash = hash.map_err(|busy| AccountError::Busy { retry_after: busy.retry_after })?;
        self.run(move |shared| shared.finish_sign_up(&name, code.as_ref(), hash, from)).await
    }
}

impl Shared {
    /// Stores a session of `user` if what was checked is still so, and only then lets it be found. A better hash of the
    /// same password goes with it.
    fn begin_session(
        &self,
        user: &Arc<User>,
        checked: &KnownPassword,
        rehashed: Option<String>,
        device: &Device,
    ) -> Result<(Secret, Arc<Session>), SignInError> {
        let _act = self.acts.lock();
        // While the hash was computed the account may have gone, or its password have changed.
        let is_same = self.user(&user.name).is_some_and(|now| Arc::ptr_eq(&now, user));
        if !is_same || !user.still_has(checked) {
            return Err(SignInError::Wrong);
        }
        if user.is_disabled() {
            return Err(SignInError::Disabled);
        }
        if !user.is_authorised() {
            return Err(SignInError::NotAuthorised);
        }
        if user.has_second_factor() {
            return Err(SignInError::SecondFactor);
        }
        let now = self.now();
        let (cookie, key) = SessionKey::generate(&self.random);
        let hub_session_id = self.random.hex::<16>();
        let row = SessionRow {
            key,
            user: user.name.clone(),
            hub_session_id,
            created: now,
            last_seen: now,
            from: Some(device.from),
            agent: device.agent.clone(),
        };
        let own = self.sessions.of_user(&user.name);
        let too_many = (own.len() + 1).saturating_sub(self.config.read().sessions_per_user.max(1));
        self.end_sessions(&own[..too_many.min(own.len())], |t, _| {
            t.put_session(&row)?;
            if let (Some(hash), Some(account)) = (&rehashed, t.user(&user.name)?) {
                t.put_user(&UserRow { password: Some(hash.clone()), ..account })?;
            }
            let by = Actor { from: Some(device.from), ..user.name.as_str().into() };
            t.audit(now, &by, "signed in", "")
        })?;
        if let Some(hash) = &rehashed {
            user.set_rehashed(hash);
        }
        let session = Arc::new(Session::of(&row, Arc::clone(user)));
        user.note_activity(now);
        self.sessions.add(Arc::clone(&session));
        Ok((cookie, session))
    }

    fn decide_sign_up(&self, name: &UserName, code: Option<&Secret>) -> Result<SignUp, AccountError> {
        match self.situation(name, code.map(Secret::expose)).decide() {
            SignUp::Closed => Err(AccountError::Closed),
            SignUp::WrongCode => Err(AccountError::WrongCode),
            SignUp::Taken => Err(AccountError::Taken),
            SignUp::Waiting if self.waiting_users() >= self.config.read().waiting_users_limit => {
                Err(AccountError::TooManyWaiting)
            }
            decided @ (SignUp::Administrator | SignUp::Waiting) => Ok(decided),
        }
    }

    fn waiting_users(&self) -> usize {
        self.users.pin().values().filter(|user| user.is_waiting()).count()
    }

    fn finish_sign_up(
        &self,
        name: &UserName,
        code: Option<&Secret>,
        hash: String,
        from: IpAddr,
    ) -> Result<SignedUp, AccountError> {
        let _act = self.acts.lock();
        let is_administrator = self.decide_sign_up(name, code)? == SignUp::Administrator;
        let row = UserRow {
            password: Some(hash),
            authorised: is_administrator,
            admin: is_administrator,
            ..UserRow::new(name.clone(), self.next_creation())
        };
        let act = if is_administrator { "signed up as first administrator" } else { "signed up" };
        self.put_user(&row, &Actor { from: Some(from), ..name.as_str().into() }, act, "")?;
        self.follow_setup_window();
        Ok(if is_administrator { SignedUp::Authorised } else { SignedUp::Waiting })
    }
}
