//! Why a sign-in or an account act was refused.

use std::time::Duration;

use crate::model::{NameError, UserName};
use crate::store::StoreError;

/// Why a sign-in was refused.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Wrong password, unknown name, or a user without a password: nobody is told which.
    #[error("invalid username or password")]
    Wrong,
    /// The password is right, but nobody has let this user in yet.
    #[error("not yet authorised by an administrator")]
    NotAuthorised,
    /// Too many failed tries.
    #[error("too many tries")]
    TooMany {
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// The queue of password checks is full.
    #[error("too many sign-ins at once")]
    Busy {
        /// When there should be room.
        retry_after: Duration,
    },
    /// The session could not be stored.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Why an act on an account was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Strangers may not make accounts here.
    #[error("sign-up is closed")]
    Closed,
    /// Too many accounts wait for an administrator already.
    #[error("too many accounts wait to be authorised")]
    TooManyWaiting,
    /// It is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Somebody has it.
    #[error("the name is taken")]
    Taken,
    /// Fewer characters than allowed.
    #[error("the password is too short: {min} characters or more")]
    TooShort {
        /// The least number of characters.
        min: usize,
    },
    /// More than 1,024 bytes.
    #[error("the password is too long: 1024 bytes or fewer")]
    TooLong,
    /// The administrator's name needs the setup code while there is no administrator.
    #[error("the setup code is wrong")]
    WrongCode,
    /// There is no such user.
    #[error("no user {0}")]
    Unknown(UserName),
    /// The old password is not that.
    #[error("wrong password")]
    WrongPassword,
    /// Without him nobody could let anybody in.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// The queue of password checks is full.
    #[error("too many password checks at once")]
    Busy {
        /// When there should be room.
        retry_after: Duration,
    },
    /// Too many tries.
    #[error("too many tries")]
    TooMany {
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// It could not be stored.
    #[error("the store failed")]
    Store(#[from] StoreError),
}
