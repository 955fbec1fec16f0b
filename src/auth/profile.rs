//! What else is kept of an account: names and address, whether the password must be changed or is not enough,
//! whether it is disabled.

use std::net::IpAddr;
use std::sync::Arc;

use super::moved_in::Decoy;
use super::password::{self, Memory, PASSWORD_LIMIT_BYTES};
use super::throttle::Standing;
use super::{AccountError, Auth, Session};
use crate::model::{Actor, Secret, UserName, UserProfile};
use crate::store::UserRow;

impl Auth {
    /// Names and address of a user; None if there is no such user.
    #[must_use]
    pub fn profile(&self, name: &UserName) -> Option<Arc<UserProfile>> {
        self.0.user(name).map(|user| user.profile())
    }

    /// Sets names and address.
    ///
    /// # Errors
    /// `Unknown`.
    pub async fn set_profile(
        &self,
        by: impl Into<Actor>,
        name: &UserName,
        profile: UserProfile,
    ) -> Result<(), AccountError> {
        let (by, name) = (by.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&name)?;
            if row.profile == profile {
                return Ok(());
            }
            shared.change(UserRow { profile, ..row }, &by, "changed profile of", name.as_str(), &[], &[])
        })
        .await
    }

    /// Makes a user change the password before anything else, or lets them off. Sessions go on, confined; a change of
    /// the password ends the confinement.
    ///
    /// # Errors
    /// `Unknown`.
    pub async fn require_password_change(
        &self,
        by: impl Into<Actor>,
        name: &UserName,
        must_change_password: bool,
    ) -> Result<(), AccountError> {
        let (by, name) = (by.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&name)?;
            if row.must_change_password == must_change_password {
                return Ok(());
            }
            let act = if must_change_password { "required a new password of" } else { "required no new password of" };
            shared.change(UserRow { must_change_password, ..row }, &by, act, name.as_str(), &[], &[])
        })
        .await
    }

    /// Forgets a second factor, so that the password alone lets them in. There is nothing to do for who has none.
    ///
    /// # Errors
    /// `Unknown`.
    pub async fn clear_second_factor(&self, by: impl Into<Actor>, name: &UserName) -> Result<(), AccountError> {
        let (by, name) = (by.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&name)?;
            if row.otp_secret.is_none() {
                return Ok(());
            }
            let row = UserRow { otp_secret: None, ..row };
            shared.change(row, &by, "cleared the second factor of", name.as_str(), &[], &[])
        })
        .await
    }

    /// Shuts a user out, or lets them in again: their sessions and tokens end at once and do not come back. Whether
    /// they are authorised stays as it is. The caller stops their servers.
    ///
    /// # Errors
    /// `Unknown`, `Oneself`, `LastAdministrator`.
    pub async fn set_disabled(
        &self,
        by: impl Into<Actor>,
        name: &UserName,
        disabled: bool,
    ) -> Result<(), AccountError> {
        let (by, name) = (by.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let row = shared.row(&name)?;
            if row.disabled == disabled {
                return Ok(());
            }
            if !disabled {
                shared.check_not_blocked(&name)?;
                shared.change(UserRow { disabled, ..row }, &by, "enabled", name.as_str(), &[], &[])?;
                shared.follow_setup_window();
                return Ok(());
            }
            if by.name == name.as_str() {
                return Err(AccountError::Oneself);
            }
            shared.check_not_last_administrator(&name)?;
            let (sessions, tokens) = (shared.sessions.of_user(&name), shared.tokens.of_user(&name));
            shared.change(UserRow { disabled, ..row }, &by, "disabled", name.as_str(), &sessions, &tokens)
        })
        .await
    }

    /// Why nothing of this user's may start now, whoever asks: a sentence for people. None if it may.
    #[must_use]
    pub fn objection_to_start(&self, name: &UserName) -> Option<String> {
        let user = self.0.user(name)?;
        if user.is_disabled() {
            return Some(format!("The account {name} is disabled: no server of it can start."));
        }
        let sentence = || format!("{name} must change the password first: until then no server of theirs can start.");
        user.must_change_password().then(sentence)
    }

    /// Asks a signed-in person for the password once more, before what cannot be undone. Counted and slowed down like
    /// a sign-in.
    ///
    /// # Errors
    /// `WrongPassword`, `TooMany`, `Busy`.
    pub async fn verify_password_again(
        &self,
        session: &Session,
        password: &Secret,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        if password.expose().len() > PASSWORD_LIMIT_BYTES {
            return Err(AccountError::WrongPassword);
        }
        let shared = &self.0;
        let name = session.user.name.as_str();
        let (checked, against) = (password.clone(), session.user.password());
        let stored = against.hash.clone();
        let work = move |memory: &mut Memory| password::verify(&checked, stored.as_deref(), Decoy::default(), memory);
        let matches = shared.try_password(name, from, Some(Standing::Known), work).await?;
        // While the hash was computed the session may have ended, or the password have changed.
        let is_still_so = !session.is_over() && session.user.is_authorised() && session.user.still_has(&against);
        if !matches || !is_still_so {
            return Err(AccountError::WrongPassword);
        }
        shared.throttle.lock().succeeded(name, from, shared.now());
        Ok(())
    }
}
