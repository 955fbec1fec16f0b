//! What administrators do to users, and whom each act fits: pure, so that the question, the toolbar and the deed agree.

use super::wish::{Access, Entry, Server};
use crate::model::{GroupName, UserName};

/// An act on one or many users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Approve,
    Discard,
    Start,
    Stop,
    Restart,
    MakeAdministrator,
    TakeAdministration,
    AddToGroup,
    RemoveFromGroup,
    RequirePassword,
    ClearSecondFactor,
    Disable,
    Enable,
    Delete,
}

/// What an act wants to know beside whom it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) group: Option<GroupName>,
    /// An account goes with its volumes.
    pub(super) with_volumes: bool,
}

impl Act {
    pub(super) const ALL: [Self; 14] = [
        Self::Approve,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::AddToGroup,
        Self::RemoveFromGroup,
        Self::MakeAdministrator,
        Self::TakeAdministration,
        Self::RequirePassword,
        Self::ClearSecondFactor,
        Self::Disable,
        Self::Enable,
        Self::Discard,
        Self::Delete,
    ];

    /// Its word in forms.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Discard => "discard",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::MakeAdministrator => "make-administrator",
            Self::TakeAdministration => "take-administration",
            Self::AddToGroup => "add-to-group",
            Self::RemoveFromGroup => "remove-from-group",
            Self::RequirePassword => "require-password",
            Self::ClearSecondFactor => "clear-second-factor",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Delete => "delete",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.word() == word)
    }

    /// On its button.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Approve => "Approve",
            Self::Discard => "Discard sign-up",
            Self::Start => "Start server",
            Self::Stop => "Stop server",
            Self::Restart => "Restart server",
            Self::MakeAdministrator => "Make administrator",
            Self::TakeAdministration => "Take administration away",
            Self::AddToGroup => "Add to group",
            Self::RemoveFromGroup => "Remove from group",
            Self::RequirePassword => "Force a new password",
            Self::ClearSecondFactor => "Clear second factor",
            Self::Enable => "Enable account",
            Self::Disable => "Disable account",
            Self::Delete => "Delete account",
        }
    }

    /// When it has been done to somebody: `alice: approved`.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Discard => "sign-up discarded",
            Self::Start => "server started",
            Self::Stop => "server stopped",
            Self::Restart => "server restarted",
            Self::MakeAdministrator => "is an administrator",
            Self::TakeAdministration => "is no longer an administrator",
            Self::AddToGroup => "added to the group",
            Self::RemoveFromGroup => "removed from the group",
            Self::RequirePassword => "must choose a new password",
            Self::ClearSecondFactor => "has no second factor any more",
            Self::Enable => "account enabled",
            Self::Disable => "account disabled",
            Self::Delete => "account deleted",
        }
    }

    /// What will happen, and what is lost.
    pub(super) fn consequence(self) -> &'static str {
        match self {
            Self::Approve => "They can sign in from now on.",
            Self::Discard => {
                "The sign-up and its password are deleted for good. Whoever it was can sign up again. No volume is touched."
            }
            Self::Start => "Their own server starts with what it was started with last. One that runs already goes on.",
            Self::Stop => {
                "All their servers stop, and what runs in them ends: results that no file holds are lost. Files stay."
            }
            Self::Restart => {
                "Their own server restarts in the same container: what runs in it ends, and results that no file holds are lost."
            }
            Self::MakeAdministrator => {
                "They may do all that you may: enter every server, see every file, and change every account, yours too."
            }
            Self::TakeAdministration => {
                "They keep their account and lose every right over others at once, in tokens too."
            }
            Self::AddToGroup => {
                "They get what the group gives. Rights count at once; what it gives to servers counts from the next start."
            }
            Self::RemoveFromGroup => {
                "They lose what the group gives. Rights end at once; a running server keeps what it has until it stops."
            }
            Self::RequirePassword => {
                "They must choose a new password before anything else, also where they are signed in now. Their servers go on."
            }
            Self::ClearSecondFactor => {
                "Their password alone lets them in from then on, and the codes of their authenticator app are of no use here \
                 any more. Be sure that it is them who ask for it. Nothing else changes."
            }
            Self::Enable => "They can sign in again, with the password they had. Tokens that ended stay ended.",
            Self::Disable => {
                "They are signed out everywhere, their tokens end and their servers stop: results that no file holds are lost. \
                 Account, groups and files stay, and you can let them in again."
            }
            Self::Delete => {
                "Password, sessions, tokens and shares are deleted for good, and their servers stop: results that no file \
                 holds are lost."
            }
        }
    }

    /// Something is lost by it: its button is red.
    pub(super) fn is_destructive(self) -> bool {
        matches!(
            self,
            Self::Discard
                | Self::Stop
                | Self::Restart
                | Self::TakeAdministration
                | Self::ClearSecondFactor
                | Self::Disable
                | Self::Delete
        )
    }

    /// One user's is done without a question.
    pub(super) fn is_harmless(self) -> bool {
        matches!(self, Self::Approve | Self::Start | Self::Enable)
    }

    /// May be asked for of everybody who matches, unseen: what cannot be undone may not.
    pub(super) fn may_be_for_all(self) -> bool {
        !matches!(self, Self::Delete | Self::MakeAdministrator | Self::TakeAdministration | Self::ClearSecondFactor)
    }

    pub(super) fn wants_group(self) -> bool {
        matches!(self, Self::AddToGroup | Self::RemoveFromGroup)
    }

    /// Why it is not for this user, if it is not.
    pub(super) fn objection(self, entry: &Entry, me: &UserName) -> Option<&'static str> {
        let is_me = entry.name == *me;
        match self {
            Self::Approve if entry.access != Access::Waiting => Some("does not wait"),
            Self::Discard if entry.access != Access::Waiting => {
                Some("is no sign-up that waits; delete the account instead")
            }
            Self::Start if entry.access != Access::LetIn => Some("may not sign in"),
            Self::Start if entry.must_change_password => Some("must choose a new password first"),
            Self::Start if entry.server == Server::Ready => Some("runs already"),
            Self::Stop if !entry.server.is_up() => Some("has no running server"),
            Self::Restart if entry.server != Server::Ready => Some("has no running server"),
            Self::MakeAdministrator if entry.admin => Some("is one already"),
            Self::MakeAdministrator if entry.access != Access::LetIn => Some("may not sign in"),
            Self::TakeAdministration if !entry.admin => Some("is none"),
            Self::TakeAdministration if is_me => Some("is you; ask another administrator"),
            Self::RequirePassword if entry.must_change_password => Some("must choose one already"),
            Self::ClearSecondFactor if !entry.has_second_factor => Some("has none"),
            Self::Disable if entry.access == Access::Disabled => Some("is disabled already"),
            Self::Enable if entry.access != Access::Disabled => Some("is not disabled"),
            Self::Disable | Self::Delete if is_me => Some("is you; ask another administrator"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn entry(name: &str, access: Access, server: Server, admin: bool) -> Entry {
        Entry {
            name: UserName::parse(name).expect("a name"),
            real_name: String::new(),
            email: String::new(),
            groups: Vec::new(),
            admin,
            access,
            must_change_password: false,
            has_second_factor: name == "rita",
            server,
            idle: None,
            active_at: None,
            created: Timestamp(0),
            using: crate::hub::activity::Using::default(),
        }
    }

    #[test]
    fn every_act_has_a_word_of_its_own_that_is_read_back() {
        for act in Act::ALL {
            assert_eq!(Act::parse(act.word()), Some(act));
        }
        assert_eq!(Act::parse("explode"), None);
    }

    #[test]
    fn each_act_fits_those_to_whom_it_makes_a_difference() {
        let me = UserName::parse("root").expect("a name");
        let root = entry("root", Access::LetIn, Server::Stopped, true);
        let waiting = entry("wanda", Access::Waiting, Server::Stopped, false);
        let running = entry("rita", Access::LetIn, Server::Ready, false);
        let fits = |act: Act| [&root, &waiting, &running].map(|entry| act.objection(entry, &me).is_none());
        assert_eq!(fits(Act::Approve), [false, true, false]);
        assert_eq!(fits(Act::Discard), [false, true, false]);
        assert_eq!(fits(Act::Start), [true, false, false]);
        assert_eq!(fits(Act::Stop), [false, false, true]);
        assert_eq!(fits(Act::MakeAdministrator), [false, false, true]);
        assert_eq!(fits(Act::TakeAdministration), [false, false, false]);
        assert_eq!(fits(Act::Disable), [false, true, true]);
        assert_eq!(fits(Act::Enable), [false, false, false]);
        assert_eq!(fits(Act::Delete), [false, true, true]);
        assert_eq!(fits(Act::ClearSecondFactor), [false, false, true]);
        assert_eq!(fits(Act::AddToGroup), [true, true, true]);
    }

    #[test]
    fn what_cannot_be_undone_is_neither_harmless_nor_for_all_unseen() {
        for act in Act::ALL {
            assert!(!(act.is_destructive() && act.is_harmless()), "{act:?}");
        }
        assert!(
            !Act::ClearSecondFactor.may_be_for_all()
                && !Act::Delete.may_be_for_all()
                && !Act::MakeAdministrator.may_be_for_all()
        );
    }
}
