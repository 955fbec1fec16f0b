//! Accounts: users, and what NativeAuthenticator knows of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Fate, Planner, Verdict, key};
use crate::model::{OtpSecret, Timestamp, UserName, UserProfile};
use crate::store::UserRow;
use crate::takeover::jupyterhub::old::{OldLogin, OldUser, Table};

const NEWER: &str = "an account of that name is here and did not come from this database: it is newer, and stays as it is";
const ENDED: &str = "came in before, and has been deleted or renamed here since";

impl Planner<'_> {
    pub(super) fn accounts(&mut self) {
        let administrators = self.administrators();
        let logins = self.logins();
        let epoch = self.old.users.iter().filter_map(|user| user.created).min().unwrap_or_default();
        let mut without_password = 0;
        let mut with_login = HashSet::new();
        for (user, name) in self.named_users() {
            let login = logins.get(&name).copied();
            with_login.insert(name.clone());
            let created = user.created.unwrap_or(epoch);
            let row = self.account(&name, Some(user), login, created, administrators.contains(&user.id));
            without_password += u64::from(row.password.is_none());
            let came_in = self.account_comes_in(&name, row, Table::Users);
            self.fates.insert(user.id, came_in.clone());
            if login.is_some() {
                self.login_follows(&came_in);
            }
        }
        // Signed up and never let in, or never signed in.
        for (name, login) in logins.iter().filter(|(name, _)| !with_login.contains(*name)) {
            let row = self.account(name, None, Some(login), epoch, false);
            self.account_comes_in(name, row, Table::UsersInfo);
        }
        if without_password > 0 && !self.plan.accounts.is_empty() {
            let without = self.plan.accounts.iter().filter(|row| row.password.is_none()).count();
            if without > 0 {
                self.plan.notes.push(format!(
                    "{without} of the new accounts have no password here: JupyterHub's database has none of theirs. Give \
                     each one with `slipway user password NAME`."
                ));
            }
        }
    }

    /// Ids of those who administer by the column or by the role.
    fn administrators(&self) -> HashSet<i64> {
        let roles: HashSet<i64> =
            self.old.roles.iter().filter(|role| role.name == "admin").map(|role| role.id).collect();
        let by_role = self.old.user_roles.iter().filter(|(_, role)| roles.contains(role)).map(|(user, _)| *user);
        by_role.chain(self.old.users.iter().filter(|user| user.admin).map(|user| user.id)).collect()
    }

    /// Users whose name is one here, each name once.
    fn named_users(&mut self) -> Vec<(&'static OldUser, UserName)> {
        unreachable!()
    }
}
