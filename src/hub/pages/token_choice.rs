//! What can be chosen for a new token, in people's words: how long it lives and what it may do. Pure.

use std::time::Duration;

use crate::hub::form::Fields;
use crate::model::{Filter, Scope};

/// A right that a token can have.
pub(super) struct Choice {
    pub(super) scope: &'static str,
    /// Limited to its owner.
    pub(super) is_own: bool,
    pub(super) text: &'static str,
    pub(super) about: &'static str,
}

const fn own(scope: &'static str, text: &'static str, about: &'static str) -> Choice {
    Choice { scope, is_own: true, text, about }
}

const fn all(scope: &'static str, text: &'static str, about: &'static str) -> Choice {
    Choice { scope, is_own: false, text, about }
}

/// In the order of the page: one's own first, then what only administrators are offered.
pub(super) const CHOICES: [Choice; 12] = [
    own("read:users", "Read my account", "Name, groups, and when I was last active"),
    own("read:servers", "See my servers", "Whether they run, and since when"),
    own("servers", "Start and stop my servers", "Also makes and deletes named ones"),
    own("access:servers", "Use my servers", "Whatever I can do in JupyterLab: files, notebooks, terminals"),
    own("tokens", "Manage my tokens", "Make and revoke them"),
    own("users:activity", "Report my activity", "Keeps my servers from being taken for idle"),
    all("admin:users", "Manage people", "Everybody’s accounts"),
    all("admin:servers", "Manage everybody’s servers", "Start, stop, and see their state"),
    all("access:servers", "Use everybody’s servers", "Files, notebooks and terminals of all people"),
    all("admin:groups", "Manage groups", "Make and delete them, and who is in them"),
    all("list:users", "List people", "Names alone"),
    all("read:metrics", "Read figures", "For Prometheus: no names"),
];

impl Choice {
    /// As the form sends it, and as the token keeps it.
    pub(super) fn written(&self) -> String {
        let scope = Scope::known(self.scope);
        if self.is_own { scope.with(Filter::OwnUser).to_string() } else { scope.to_string() }
    }
}

/// How long a token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) key: &'static str,
    pub(super) text: &'static str,
    /// 0: for ever.
    days: u64,
}

impl Life {
    /// What can be chosen.
    pub(super) const ALL: [Self; 6] = [
        Self { key: "1", text: "1 day", days: 1 },
        Self { key: "7", text: "1 week", days: 7 },
        Self { key: "30", text: "30 days", days: 30 },
        Self { key: "90", text: "90 days", days: 90 },
        Self { key: "365", text: "1 year", days: 365 },
        Self { key: "never", text: "Until it is revoked", days: 0 },
    ];
    /// A month: long enough for a project, and a forgotten token ends by itself.
    pub(super) const USUAL: Self = Self::ALL[2];

    pub(super) fn of(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|life| life.key == key)
    }

    pub(super) fn duration(self) -> Option<Duration> {
        (self.days > 0).then(|| Duration::from_secs(self.days * 86_400))
    }
}

/// The scopes that a form asks for: `inherit`, or those that are ticked and typed.
///
/// # Errors
/// A sentence, if nothing is chosen or a scope does not exist.
pub(super) fn scopes_of_form(fields: &Fields) -> Result<Vec<Scope>, String> {
    if fields.get("rights") != "some" {
        return Ok(vec![Scope::known("inherit")]);
    }
    let typed =
        fields.get("more_scopes").split(|c: char| c.is_whitespace() || c == ',').filter(|text| !text.is_empty());
    let mut scopes = Vec::new();
    for text in fields.all("scopes").chain(typed) {
        let unknown = |_| format!("There is no right called “{}”.", text.chars().take(60).collect::<String>());
        let scope: Scope = text.parse().map_err(unknown)?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        return Err("Choose at least one right, or let the token do all that you may do.".to_owned());
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(form: &str) -> Result<Vec<String>, String> {
        scopes_of_form(&Fields::parse(form.as_bytes())).map(|scopes| scopes.iter().map(Scope::to_string).collect())
    }

    #[test]
    fn a_form_says_all_rights_or_some() {
        assert_eq!(scopes("rights=all&scopes=tokens!user"), Ok(vec!["inherit".into()]));
        assert_eq!(scopes(""), Ok(vec!["inherit".into()]));
        let some = scopes("rights=some&scopes=servers!user&scopes=servers!user&more_scopes=read:hub,+proxy");
        assert_eq!(some, Ok(vec!["servers!user".into(), "read:hub".into(), "proxy".into()]));
        assert!(scopes("rights=some").is_err_and(|sentence| sentence.contains("at least one")));
        assert!(scopes("rights=some&more_scopes=nonsense").is_err_and(|sentence| sentence.contains("nonsense")));
    }

    #[test]
    fn every_choice_is_a_scope_that_can_be_read_back() {
        for choice in &CHOICES {
            assert!(choice.written().parse::<Scope>().is_ok(), "{}", choice.scope);
        }
        assert_eq!(Life::USUAL.duration(), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(Life::of("never").and_then(Life::duration), None);
    }
}
