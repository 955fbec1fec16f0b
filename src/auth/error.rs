//! Why a sign-in or an account act was refused.

use std::time::Duration;

use crate::model::{GroupName, NameError, OwnerName, Scope, ScopeName, ServerKey, ServiceName, TokenId, UserName};
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
    /// The password is right, but an administrator has disabled the account.
    #[error("disabled by an administrator")]
    Disabled,
    /// The password is right, and there is a second factor, which is not checked yet.
    #[error("a second factor is needed, which cannot be checked yet")]
    SecondFactor,
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
    /// The configuration lets this user in no more.
    #[error("user {0} is blocked by auth.blocked_users")]
    Blocked(UserName),
    /// Without him nobody could let anybody in.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// Nobody takes himself out: he could not undo it.
    #[error("one cannot disable oneself")]
    Oneself,
    /// The new password is the old one, where another was asked for.
    #[error("the new password is the old one")]
    SamePassword,
    /// There is no such session of theirs (any more).
    #[error("no such session")]
    NoSession,
    /// More at once than are made in one commit.
    #[error("more than {limit} at once")]
    TooManyAtOnce {
        /// How many may be.
        limit: usize,
    },
    /// A group that new people were to join is not there.
    #[error("no group {0}")]
    NoGroup(GroupName),
    /// Its members are root on the host: nobody is made a member on the way.
    #[error("members of group {0} are root on the host: add them on the group's page, once they are there")]
    RootLike(GroupName),
    /// The configuration makes whoever has this name root on the host.
    #[error("the configuration makes {0} root on the host: only the configuration makes this account")]
    NamedForRoot(UserName),
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

/// Why an act on groups, services, tokens or shares was refused.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such group.
    #[error("no such group: {0}")]
    NoGroup(GroupName),
    /// There is one already.
    #[error("group {0} already exists")]
    GroupExists(GroupName),
    /// Its members are root on the host, and this is no way to give that.
    #[error(
        "members of group {0} are root on the host: an administrator gives this on the group's page with the password \
        again, or it stands in the configuration; a token needs the scope custom:grant-root"
    )]
    RootLike(GroupName),
    /// The program made it and needs it.
    #[error("group {0} is built in: it cannot be deleted, and what it grants cannot be changed")]
    BuiltIn(GroupName),
    /// There is no such user.
    #[error("no such user: {0}")]
    NoUser(UserName),
    /// There is no such service.
    #[error("no such service: {0}")]
    NoService(ServiceName),
    /// There is one already.
    #[error("service {0} already exists")]
    ServiceExists(ServiceName),
    /// It is the configuration's, so it cannot be changed here.
    #[error("service {0} stands in the configuration")]
    FromConfig(ServiceName),
    /// What was said of the service cannot be.
    #[error("{0}")]
    BadService(String),
    /// There are so many already.
    #[error("there cannot be more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A text or object is larger than what is kept.
    #[error("{what} cannot be longer than {limit_bytes} bytes")]
    TooLong {
        /// Which.
        what: &'static str,
        /// What is kept at most.
        limit_bytes: usize,
    },
    /// Nobody has defined this custom scope.
    #[error("scope {0} does not exist")]
    UnknownScope(Scope),
    /// The owner of the token to be, or of the server to be shared, does not hold it.
    #[error("requested scope {scope} is not held by {owner}")]
    NotHeld {
        /// The scope that is too much.
        scope: ScopeName,
        /// Who lacks it.
        owner: OwnerName,
    },
    /// Who asks does not hold it, so cannot give it.
    #[error("you do not hold {0} yourself")]
    NotYours(String),
    /// Who asks may not act for that owner.
    #[error("no permission to act for {0}")]
    MayNot(OwnerName),
    /// A life that nothing may have.
    #[error("expires_in must be from {least_s} to {most_s} seconds")]
    BadLife {
        /// The shortest.
        least_s: u64,
        /// The longest.
        most_s: u64,
    },
    /// A share is limited to its server.
    #[error("{scope} cannot be shared: only scopes filtered by !server={} can", server.scope_name())]
    BadShare {
        /// What was to be shared.
        scope: Scope,
        /// The server.
        server: ServerKey,
    },
    /// The code is unknown, used up or expired.
    #[error("share code not found")]
    NoCode,
    /// There is no such token.
    #[error("no such token: {0}")]
    NoToken(TokenId),
    /// It could not be stored.
    #[error("the store failed")]
    Store(#[from] StoreError),
}
