//! Accounts: users, and what NativeAuthenticator knows of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Fate, Planner, key};
use crate::model::{NameError, OtpSecret, Timestamp, UserName, UserProfile};
use crate::store::UserRow;
use crate::takeover::jupyterhub::old::{OldLogin, Table};

const NEWER: &str = "an account of that name is here and did not come from this row: it is newer, and stays as it is";
/// Others of the same name that are named.
const OTHERS_SHOWN: usize = 3;
const ENDED: &str = "it came in before, and has been deleted or renamed here since";

impl<'a> Planner<'a> {
    pub(super) fn accounts(&mut self) {
        let administrators = self.administrators();
        let users = self.named(Table::Users, &self.old.users, |user| &user.name);
        let logins = self.named(Table::UsersInfo, self.old.logins.as_deref().unwrap_or_default(), |login| &login.name);
        // For those of whom nobody knows when they came: as long as the hub is.
        let epoch = self.old.users.iter().filter_map(|user| user.created).min().unwrap_or_default();
        let mut logins: BTreeMap<_, _> = logins.into_iter().map(|(login, name)| (name, login)).collect();
        for (user, name) in users {
            let login = logins.remove(&name);
            let mut row = self.account(&name, login, user.created.unwrap_or(epoch));
            row.admin = administrators.contains(&user.id);
            row.last_activity = self.past(user.last_activity);
            let fate = self.account_comes_in(row, Table::Users);
            if login.is_some() {
                let tally = self.tally(Table::UsersInfo);
                match fate {
                    Fate::New(_) => tally.taken += 1,
                    Fate::Same(_) => tally.there += 1,
                    Fate::Kept(_) | Fate::Gone => tally.kept += 1,
                }
            }
            self.fates.insert(user.id, fate);
        }
        // They signed up, and have not been signed in since.
        for (name, login) in logins {
            let row = self.account(&name, Some(login), epoch);
            self.account_comes_in(row, Table::UsersInfo);
        }
        let without = self.plan.accounts.iter().filter(|row| row.password.is_none()).count();
        if without > 0 {
            self.plan.notes.push(format!(
                "{without} of the new accounts have no password: that database has none for them. Give each one with \
                 `slipway user password NAME`."
            ));
        }
        let waiting = self.plan.accounts.iter().filter(|row| !row.authorised).count();
        if waiting > 0 {
            self.plan.notes.push(format!("{waiting} of the new accounts wait for approval, as they did there."));
        }
        let second = self.plan.accounts.iter().filter(|row| row.otp_secret.is_some()).count();
        if second > 0 {
            self.plan.notes.push(format!(
                "{second} of the new accounts have a second factor: their password alone does not let them in."
            ));
        }
    }

    /// Ids of those who administer, by the column or by the role.
    fn administrators(&self) -> HashSet<i64> {
        let roles: HashSet<i64> =
            self.old.roles.iter().filter(|role| role.name == "admin").map(|role| role.id).collect();
        let by_role = self.old.user_roles.iter().filter(|(_, role)| roles.contains(role)).map(|(user, _)| *user);
        by_role.chain(self.old.users.iter().filter(|user| user.admin).map(|user| user.id)).collect()
    }

    /// Those whose name can be one here. Of several that become the same name, the one that has it already keeps it.
    fn named<T>(&mut self, table: Table, rows: &'a [T], name_of: impl Fn(&T) -> &String) -> Vec<(&'a T, UserName)> {
        let mut same: HashMap<UserName, Vec<usize>> = HashMap::new();
        let names: Vec<Result<UserName, NameError>> = rows.iter().map(|row| UserName::parse(name_of(row))).collect();
        for (at, name) in names.iter().enumerate() {
            if let Ok(name) = name {
                same.entry(name.clone()).or_default().push(at);
            }
        }
        let mut named = Vec::new();
        for (at, (row, name)) in rows.iter().zip(names).enumerate() {
            let written = name_of(row);
            let name = match name {
                Ok(name) => name,
                Err(error) => {
                    self.not_taken(table, written, error.to_string());
                    continue;
                }
            };
            let others = same.get(&name).map(Vec::as_slice).unwrap_or_default();
            let keeps_it = others.iter().find(|at| name_of(&rows[**at]) == name.as_str()).copied();
            if others.len() > 1 {
                let others: Vec<_> = others
                    .iter()
                    .filter(|other| **other != at)
                    .take(OTHERS_SHOWN)
                    .map(|at| format!("{:?}", name_of(&rows[*at])))
                    .collect();
                let others = others.join(", ");
                if keeps_it != Some(at) {
                    self.not_taken(
                        table,
                        written,
                        format!("becomes {name:?} here, and so does {others}; rename one there"),
                    );
                    continue;
                }
                self.remark(table, written, format!("comes in; {others}, which becomes the same name here, does not"));
            }
            named.push((row, name));
        }
        named
    }

    fn account(&mut self, name: &UserName, login: Option<&OldLogin>, created: Timestamp) -> UserRow {
        // Whoever signs in elsewhere was let in there.
        let row = UserRow { authorised: true, ..UserRow::new(name.clone(), created) };
        let Some(login) = login else { return row };
        let profile = UserProfile::parse("", "", &login.email).unwrap_or_default();
        let mut password = login.password.as_ref().map(|hash| hash.expose().to_owned());
        let otp_secret = login.second_factor.as_ref().and_then(|secret| OtpSecret::parse(secret.expose()));
        if login.second_factor.is_some() && otp_secret.is_none() {
            // Never the password alone.
            password = None;
            self.remark(
                Table::UsersInfo,
                &login.name,
                "its second factor cannot be read, so it comes without a password",
            );
        } else if password.is_none() {
            self.remark(
                Table::UsersInfo,
                &login.name,
                "its password is not of the form that bcrypt writes, and does not come in",
            );
        }
        UserRow { authorised: login.is_authorized, password, profile, otp_secret, ..row }
    }

    fn account_comes_in(&mut self, row: UserRow, table: Table) -> Fate {
        let name = row.name.clone();
        let key = key(Table::Users, &[name.as_str(), &row.created.0.to_string()]);
        let came_before = self.came_before(&key);
        match self.ours.users.get(&name) {
            Some(here) if came_before && here.created == row.created => {
                self.tally(table).there += 1;
                Fate::Same(name)
            }
            Some(_) => {
                self.kept(table, name.as_str(), NEWER);
                Fate::Kept(name)
            }
            None if came_before => {
                self.kept(table, name.as_str(), ENDED);
                Fate::Gone
            }
            None => {
                self.taken(table, key);
                if row.authorised {
                    self.let_in.insert(name.clone());
                }
                self.plan.accounts.push(row);
                Fate::New(name)
            }
        }
    }

    /// Tokens of an account that waits for approval end here; JupyterHub asks for it at the sign-in alone.
    pub(super) fn is_let_in(&self, name: &UserName) -> bool {
        self.ours.users.get(name).is_some_and(|row| row.authorised) || self.let_in.contains(name)
    }

    /// Whose something is: the account, or why nothing of it comes in.
    pub(super) fn owner(&self, id: i64) -> Result<UserName, String> {
        match self.fates.get(&id) {
            Some(Fate::New(name) | Fate::Same(name)) => Ok(name.clone()),
            Some(Fate::Kept(name)) => Err(format!("the account {name:?} here is another one")),
            Some(Fate::Gone) => Err("its account came in before, and is not here any more".into()),
            None if self.names.contains_key(&id) => Err("its account does not come in".into()),
            None => Err(format!("it is of user {id}, whom that database does not have")),
        }
    }
}
