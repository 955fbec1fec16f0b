//! JupyterHub's cookie secret: with it JupyterHub signs the cookies of signed-in browsers.
//!
//! We cannot go on with those. Such a cookie says who somebody is for as long as the secret lives, and no store knows
//! of it; a session here is a random key that ends when somebody signs out. So everybody signs in once more, and the
//! secret is only looked at, to say so before the day of the move.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// JupyterHub's are 64 hex characters and a line break.
const LIMIT_BYTES: u64 = 4 * 1024;

/// Why a file holds no cookie secret.
#[derive(Debug, thiserror::Error)]
pub enum CookieSecretError {
    /// The system refuses.
    #[error("{} cannot be read: {cause}; leave --cookie-secret out, nothing hangs on it", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Something else.
    #[error("{} is no cookie secret of JupyterHub (64 hex digits); leave --cookie-secret out, nothing hangs on it", path.display())]
    NotOne {
        /// Which file.
        path: PathBuf,
    },
}

/// What is to be said to whoever brings a secret.
pub const COOKIE_SECRET_NOTE: &str = "The cookie secret has the right form, and is not used: JupyterHub's browser sessions are cookies \
     signed with it, which Slipway's sessions are not. Everybody signs in once more; servers and tokens go on.";

/// Whether the file has the form of JupyterHub's secret.
///
/// # Errors
/// If it cannot be read, or has not.
pub fn check_cookie_secret(path: &Path) -> Result<(), CookieSecretError> {
    let unreadable = |cause| CookieSecretError::Unreadable { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LIMIT_BYTES).read_to_end(&mut bytes)).map_err(unreadable)?;
    let text = bytes.trim_ascii();
    let is_one = text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit);
    // It is a secret all the same.
    let is_one = is_one.then_some(()).ok_or_else(|| CookieSecretError::NotOne { path: path.to_owned() });
    zeroize::Zeroize::zeroize(&mut bytes);
    is_one
}
