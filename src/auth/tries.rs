//! One try at a password, from the count to the answer: whoever looks at one does it by this way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::password::Memory;
use super::throttle::Standing;
use super::{AccountError, Shared, SignInError};

/// No password was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTried {
    /// There were too many wrong ones.
    TooMany { retry_after: Duration },
    /// Too many others wait.
    Busy { retry_after: Duration },
}

impl Shared {
    /// Counts a try at `name`, waits for its turn, and looks: what `work` gives. Whoever finds it right says so to the
    /// throttle (`succeeded`). They wait as `standing`, or as what the throttle knows of them.
    pub(super) async fn try_password<T: Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        from: IpAddr,
        standing: Option<Standing>,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, NotTried> {
        let begun = self.throttle.lock().begin(name, from, self.now());
        let known = begun.map_err(|retry_after| NotTried::TooMany { retry_after })?;
        let shared = Arc::clone(self);
        let at_its_turn = move |memory: &mut Memory| {
            // A statement of its own: the lock is not held while the password is looked at.
            let turn = shared.throttle.lock().take_turn(from, shared.now());
            turn.map(|()| work(memory))
        };
        let not_tried = match self.passwords.run(from, standing.unwrap_or(known), at_its_turn).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(retry_after)) => NotTried::TooMany { retry_after },
            Err(busy) => NotTried::Busy { retry_after: busy.retry_after },
        };
        self.throttle.lock().withdrawn(name, from);
        Err(not_tried)
    }
}

impl From<NotTried> for SignInError {
    fn from(not_tried: NotTried) -> Self {
        match not_tried {
            NotTried::TooMany { retry_after } => Self::TooMany { retry_after },
            NotTried::Busy { retry_after } => Self::Busy { retry_after },
        }
    }
}

impl From<NotTried> for AccountError {
    fn from(not_tried: NotTried) -> Self {
        match not_tried {
            NotTried::TooMany { retry_after } => Self::TooMany { retry_after },
            NotTried::Busy { retry_after } => Self::Busy { retry_after },
        }
    }
}
