//! What sorts of acts the audit log keeps, and which sort an act's words say.

use serde::{Deserialize, Serialize};

/// A sort of act: what the log's page is filtered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditKind {
    /// Signed in or out, and applications that a person let in.
    SignIn,
    /// Failed to sign in.
    Failure,
    /// Made, renamed, deleted, disabled; passwords and profiles.
    Account,
    /// Let in, and let in no longer.
    Approval,
    /// Administrators, roles, groups and what they grant.
    Grant,
    /// What owners share of their servers.
    Share,
    /// Started, stopped, restarted, defined, deleted.
    Server,
    /// Somebody opened somebody else's server.
    Visit,
    /// Volumes, reset and deleted.
    Volume,
    /// Notices that were sent.
    Notice,
    /// Tokens, made and revoked.
    Token,
    /// Services, certificates, the configuration, and the program's own starts.
    Configuration,
    /// None of these: what a newer version wrote.
    #[default]
    #[serde(other)]
    Other,
}

impl AuditKind {
    /// All that can be asked for, in the order of the page.
    pub const ALL: [Self; 12] = [
        Self::SignIn,
        Self::Failure,
        Self::Account,
        Self::Approval,
        Self::Grant,
        Self::Share,
        Self::Server,
        Self::Visit,
        Self::Volume,
        Self::Notice,
        Self::Token,
        Self::Configuration,
    ];

    /// Its name in addresses, exports and rows.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Failure => "failure",
            Self::Account => "account",
            Self::Approval => "approval",
            Self::Grant => "grant",
            Self::Share => "share",
            Self::Server => "server",
            Self::Visit => "visit",
            Self::Volume => "volume",
            Self::Notice => "notice",
            Self::Token => "token",
            Self::Configuration => "configuration",
            Self::Other => "other",
        }
    }

    /// The kind called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The kind of an act by its words. The first line of the list that fits decides, so an act that holds a name
    /// is told by how it begins or ends before any word within it counts.
    #[must_use]
    pub fn of(act: &str) -> Self {
        let has = |word: &str| act.split([' ', ',']).any(|part| part == word);
        let fits = |sign: &Sign| match sign {
            Sign::Begins(with) => act.starts_with(with),
            Sign::Ends(with) => act.ends_with(with),
            Sign::Has(word) => has(word),
        };
        SIGNS.iter().find(|(sign, _)| fits(sign)).map_or(Self::Other, |(_, kind)| *kind)
    }
}

impl std::fmt::Display for AuditKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// What tells a kind in an act's words.
enum Sign {
    Begins(&'static str),
    Ends(&'static str),
    Has(&'static str),
}

/// From the particular to the general.
const SIGNS: &[(Sign, AuditKind)] = &[
    (Sign::Begins("failed to sign in"), AuditKind::Failure),
    (Sign::Begins("opened server"), AuditKind::Visit),
    (Sign::Begins("stopped idle server"), AuditKind::Server),
    (Sign::Begins("stopped server"), AuditKind::Server),
    (Sign::Begins("extended idle server"), AuditKind::Server),
    (Sign::Begins("restored a backup"), AuditKind::Configuration),
    (Sign::Begins("renamed "), AuditKind::Account),
    (Sign::Begins("enabled"), AuditKind::Account),
    (Sign::Begins("disabled"), AuditKind::Account),
    (Sign::Begins("shared "), AuditKind::Share),
    (Sign::Begins("unshared "), AuditKind::Share),
    (Sign::Ends(" group"), AuditKind::Grant),
    (Sign::Ends(" user of the configuration"), AuditKind::Account),
    (Sign::Ends(" as configured"), AuditKind::Configuration),
    (Sign::Has("share"), AuditKind::Share),
    (Sign::Has("authorisation"), AuditKind::Approval),
    (Sign::Has("authorised"), AuditKind::Approval),
    (Sign::Has("approved"), AuditKind::Approval),
    (Sign::Has("approval"), AuditKind::Approval),
    (Sign::Has("sign-up"), AuditKind::Approval),
    (Sign::Has("signed"), AuditKind::SignIn),
    (Sign::Has("session"), AuditKind::SignIn),
    (Sign::Has("sessions"), AuditKind::SignIn),
    (Sign::Has("application"), AuditKind::SignIn),
    (Sign::Has("administration"), AuditKind::Grant),
    (Sign::Has("administrator"), AuditKind::Grant),
    (Sign::Has("role"), AuditKind::Grant),
    (Sign::Has("roles"), AuditKind::Grant),
    (Sign::Has("group"), AuditKind::Grant),
    (Sign::Has("groups"), AuditKind::Grant),
    (Sign::Has("grant"), AuditKind::Grant),
    (Sign::Has("grants"), AuditKind::Grant),
    (Sign::Has("volume"), AuditKind::Volume),
    (Sign::Has("volumes"), AuditKind::Volume),
    (Sign::Has("notice"), AuditKind::Notice),
    (Sign::Has("notices"), AuditKind::Notice),
    (Sign::Has("notification"), AuditKind::Notice),
    (Sign::Has("broadcast"), AuditKind::Notice),
    (Sign::Has("token"), AuditKind::Token),
    (Sign::Has("tokens"), AuditKind::Token),
    (Sign::Has("password"), AuditKind::Account),
    (Sign::Has("factor"), AuditKind::Account),
    (Sign::Has("profile"), AuditKind::Account),
    (Sign::Has("account"), AuditKind::Account),
    (Sign::Has("activity"), AuditKind::Account),
    (Sign::Has("user"), AuditKind::Account),
    (Sign::Has("users"), AuditKind::Account),
    (Sign::Has("server"), AuditKind::Server),
    (Sign::Has("servers"), AuditKind::Server),
    (Sign::Has("service"), AuditKind::Configuration),
    (Sign::Has("configuration"), AuditKind::Configuration),
    (Sign::Has("certificate"), AuditKind::Configuration),
    (Sign::Has("certificates"), AuditKind::Configuration),
    (Sign::Has("slipway"), AuditKind::Configuration),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_word_everywhere() {
        for kind in AuditKind::ALL {
            assert_eq!(AuditKind::parse(kind.word()), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.word());
        }
        let newer: AuditKind = serde_json::from_str(r#""quantum""#).expect("a newer version's word still reads");
        assert_eq!(newer, AuditKind::Other);
    }

    #[test]
    fn an_act_with_a_name_in_it_is_told_by_its_frame() {
        assert_eq!(AuditKind::of("renamed token to"), AuditKind::Account);
        assert_eq!(AuditKind::of("shared volume/server"), AuditKind::Share);
        assert_eq!(AuditKind::of("added token to group"), AuditKind::Grant);
        assert_eq!(AuditKind::of("failed to sign in as"), AuditKind::Failure);
        assert_eq!(AuditKind::of("opened server of"), AuditKind::Visit);
    }
}
