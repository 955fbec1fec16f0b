//! The setup window: how the first administrator comes to be.
//!
//! It is open while no authorised administrator exists. What is open is asked per request, never remembered.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use super::{Auth, Config, Shared};
use crate::model::{Random, Secret, UserName, same_secret};

/// The window as pages and the log speak of it.
#[derive(Clone, Debug)]
pub struct SetupWindow {
    /// The name whose sign-up makes the administrator.
    pub administrator: UserName,
    /// What that sign-up must carry; `None` with `bootstrap_with_code = false`. For the log, never for a page.
    pub code: Option<Secret>,
}

impl Auth {
    /// Some while no administrator exists: the configured name and (with a code) the code. Pages say that the window
    /// is open, and never show the code.
    #[must_use]
    pub fn setup_window(&self) -> Option<SetupWindow> {
        self.0.setup_window()
    }
}

/// What a sign-up becomes. Pure: what is the case comes in, what shall be goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignUp {
    /// The first administrator.
    Administrator,
    /// Waits to be let in.
    Waiting,
    Closed,
    WrongCode,
    Taken,
}

/// What is the case when somebody signs up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) window_is_open: bool,
    pub(super) is_configured_administrator: bool,
    pub(super) code_is_right: bool,
    pub(super) signup_is_open: bool,
    pub(super) exists: bool,
    pub(super) is_authorised: bool,
}

impl Situation {
    pub(super) fn decide(self) -> SignUp {
        if self.window_is_open && self.is_configured_administrator {
            // Whoever holds the code owns this host; somebody who sat on the name before does not keep it from him.
            return match (self.code_is_right, self.is_authorised) {
                (true, false) => SignUp::Administrator,
                (true, true) => SignUp::Taken,
                (false, _) => SignUp::WrongCode,
            };
        }
        if !self.signup_is_open {
            return SignUp::Closed;
        }
        if self.exists { SignUp::Taken } else { SignUp::Waiting }
    }
}

impl Shared {
    pub(super) fn setup_window(&self) -> Option<SetupWindow> {
        if self.users.pin().values().any(|user| user.is_admin()) {
            return None;
        }
        let administrator = self.config.read().admins.first()?.clone();
        Some(SetupWindow { administrator, code: self.setup_code.lock().clone() })
    }

    pub(super) fn situation(&self, name: &UserName, code: Option<&str>) -> Situation {
        let window = self.setup_window();
        let user = self.user(name);
        let code_is_right = match (&window, self.config.read().bootstrap_with_code) {
            (None, _) => false,
            (Some(_), false) => true,
            (Some(window), true) => {
                window.code.as_ref().zip(code).is_some_and(|(right, given)| same_secret(right.expose(), given))
            }
        };
        Situation {
            window_is_open: window.is_some(),
            is_configured_administrator: self.config.read().admins.contains(name),
            code_is_right,
            signup_is_open: self.config.read().signup,
            exists: user.is_some(),
            is_authorised: user.is_some_and(|user| user.is_authorised()),
        }
    }

    /// Makes the code if the window is open (or reads the one of an earlier start), forgets it if it is not.
    pub(super) fn follow_setup_window(&self) {
        let file = CodeFile::of(&self.config.read());
        if self.setup_window().is_none() {
            *self.setup_code.lock() = None;
            file.remove();
            return;
        }
        if !self.config.read().bootstrap_with_code || self.setup_code.lock().is_some() {
            return;
        }
        match file.read_or_make(&self.random) {
            Ok(code) => *self.setup_code.lock() = Some(code),
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(file = %file.0.display(), error = cause, "the setup code could not be kept");
            }
        }
    }
}

/// `data_dir/setup-code`, 0600.
struct CodeFile(PathBuf);

impl CodeFile {
    fn of(config: &Config) -> Self {
        Self(config.data_dir.join("setup-code"))
    }

    fn read_or_make(&self, random: &Random) -> io::Result<Secret> {
        if let Ok(text) = fs::read_to_string(&self.0) {
            let text = text.trim();
            if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
                fs::set_permissions(&self.0, fs::Permissions::from_mode(0o600))?;
                return Ok(Secret::new(text));
            }
        }
        let code = Secret::new(random.hex::<16>());
        self.remove();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.0)?;
        file.write_all(code.expose().as_bytes())?;
        file.sync_all()?;
        Ok(code)
    }

    fn remove(&self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // No harm: the code opens nothing once there is an administrator.
                tracing::warn!(file = %self.0.display(), %error, "the used setup code could not be removed");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Situation = Situation {
        window_is_open: true,
        is_configured_administrator: true,
        code_is_right: true,
        signup_is_open: true,
        exists: false,
        is_authorised: false,
    };

    #[test]
    fn only_the_configured_name_with_the_code_in_an_open_window_becomes_administrator() {
        assert_eq!(OPEN.decide(), SignUp::Administrator);
        assert_eq!(Situation { signup_is_open: false, ..OPEN }.decide(), SignUp::Administrator);
        assert_eq!(Situation { exists: true, ..OPEN }.decide(), SignUp::Administrator, "a squatter goes");
        assert_eq!(Situation { code_is_right: false, ..OPEN }.decide(), SignUp::WrongCode);
        assert_eq!(Situation { window_is_open: false, ..OPEN }.decide(), SignUp::Waiting);
        assert_eq!(Situation { is_configured_administrator: false, ..OPEN }.decide(), SignUp::Waiting);
    }

    #[test]
    fn everybody_else_waits_unless_sign_up_is_closed_or_the_name_is_taken() {
        let stranger = Situation { is_configured_administrator: false, code_is_right: false, ..OPEN };
        assert_eq!(stranger.decide(), SignUp::Waiting);
        assert_eq!(Situation { signup_is_open: false, ..stranger }.decide(), SignUp::Closed);
        assert_eq!(Situation { exists: true, ..stranger }.decide(), SignUp::Taken);
    }
}
