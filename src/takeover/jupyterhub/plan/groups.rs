//! Groups with their properties and members; and roles, which are the configuration's here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Planner, key};
use crate::auth::BUILT_IN_GROUP;
use crate::model::{GroupName, RoleName, Timestamp, UserName};
use crate::store::GroupRow;
use crate::takeover::jupyterhub::old::{OldGroup, OldRole, Table};

const ROOT: &str =
    "its members would be root on the host; add them on the page of groups, where that asks for your password";

impl Planner<'_> {
    pub(super) fn groups(&mut self) {
        let old = self.old;
        let mut last = self.ours.groups.values().map(|row| row.created).max().unwrap_or(self.now).max(self.now);
        let mut groups: HashMap<i64, GroupName> = HashMap::new();
        let mut rows: BTreeMap<GroupName, GroupRow> = BTreeMap::new();
        for group in &old.groups {
            let Some(row) = self.group(group, last) else { continue };
            last = last.max(row.created);
            groups.insert(group.id, row.name.clone());
            rows.insert(row.name.clone(), row);
        }
        let mut changed: BTreeSet<GroupName> =
            rows.keys().filter(|name| !self.ours.groups.contains_key(*name)).cloned().collect();
        for (user, group) in &old.members {
            if self.joins(*user, *group, &groups, &mut rows)
                && let Some(name) = groups.get(group)
            {
                changed.insert(name.clone());
            }
        }
        // In the order in which they were made.
        let mut changed: Vec<_> = rows.into_values().filter(|row| changed.contains(&row.name)).collect();
        changed.sort_by_key(|row| row.created);
        self.plan.groups = changed;
    }

    /// The group as it is here after this, without its new members; none: it does not come in.
    fn group(&mut self, group: &OldGroup, last: Timestamp) -> Option<GroupRow> {
        let name = match GroupName::parse(&group.name) {
            Ok(name) => name,
            Err(error) => {
                self.not_taken(Table::Groups, &group.name, error.to_string());
                return None;
            }
        };
        if name.as_str() == BUILT_IN_GROUP {
            self.kept(Table::Groups, &group.name, format!("it is built in here, and {ROOT}"));
            return None;
        }
        let key = key(Table::Groups, &[name.as_str()]);
        match self.ours.groups.get(&name) {
            Some(here) => {
                if self.came_before(&key) {
                    self.tally(Table::Groups).there += 1;
                } else {
                    self.kept(
                        Table::Groups,
                        &group.name,
                        "a group of that name is here, and stays as it is; new members come in",
                    );
                }
                if here.grants.is_root_like() {
                    self.remark(Table::Groups, &group.name, format!("gets no new members: {ROOT}"));
                    return None;
                }
                Some(here.clone())
            }
            None if self.came_before(&key) => {
                self.kept(Table::Groups, &group.name, "it came in before, and has been deleted here since");
                None
            }
            None => {
                self.taken(Table::Groups, key);
                let (users, properties) = (BTreeSet::new(), group.properties.clone());
                let created = Timestamp(last.0.saturating_add(1));
                let (description, grants) = (String::new(), crate::model::Grants::default());
                Some(GroupRow { name, users, properties, created, description, grants })
            }
        }
    }

    fn joins(
        &mut self,
        user: i64,
        group: i64,
        groups: &HashMap<i64, GroupName>,
        rows: &mut BTreeMap<GroupName, GroupRow>,
    ) -> bool {
        let there = groups.get(&group).map_or_else(|| format!("group {group}"), GroupName::to_string);
        let subject = format!("{} in {there}", self.name_there(user));
        let owner = match self.owner(user) {
            Ok(owner) => owner,
            Err(reason) => {
                self.give_way(Table::UserGroupMap, user, &subject, reason);
                return false;
            }
        };
        let Some(row) = groups.get(&group).and_then(|name| rows.get_mut(name)) else {
            self.not_taken(Table::UserGroupMap, &subject, "its group does not come in");
            return false;
        };
        let key = key(Table::UserGroupMap, &[owner.as_str(), row.name.as_str()]);
        if self.ours.taken.contains(&key) || !row.users.insert(owner) {
            self.tally(Table::UserGroupMap).there += 1;
            return false;
        }
        self.taken(Table::UserGroupMap, key);
        true
    }

    /// Roles and who has them: what is not so by itself stands in the configuration here.
    pub(super) fn roles(&mut self) {
        let old = self.old;
        for role in &old.roles {
            let usual: &[&str] = match role.name.as_str() {
                "user" => &["self"],
                "server" => &["users:activity!user", "access:servers!server"],
                "token" => &["inherit"],
                _ => &[],
            };
            let (users, groups, services) = self.holders(role);
            // Every user has the role `user`, every administrator `admin`: with us too, without being said.
            let says_more = match role.name.as_str() {
                "user" | "server" | "token" => role.scopes != usual,
                "admin" => !groups.is_empty(),
                _ => true,
            };
            if !says_more {
                self.tally(Table::Roles).there += 1;
            } else if RoleName::parse(&role.name).is_ok_and(|name| self.ours.settings.roles.contains(&name)) {
                self.tally(Table::Roles).configured += 1;
            } else if role.name == "admin" {
                let reason = format!(
                    "the groups {} have it: make their members administrators, since a group cannot be one here",
                    groups.join(", ")
                );
                self.not_taken(Table::Roles, &role.name, reason);
            } else if let Err(error) = RoleName::parse(&role.name) {
                self.not_taken(Table::Roles, &role.name, error.to_string());
            } else {
                self.tally(Table::Roles).configured += 1;
                let is_default = !usual.is_empty();
                let holders = if is_default { (vec![], vec![], vec![]) } else { (users, groups, services) };
                self.plan.to_set.push(role_table(role, &holders));
            }
        }
    }

    fn holders(&self, role: &OldRole) -> (Vec<String>, Vec<String>, Vec<String>) {
        let of = |pairs: &[(i64, i64)]| -> Vec<i64> {
            pairs.iter().filter(|(_, id)| *id == role.id).map(|(holder, _)| *holder).collect()
        };
        let users = of(&self.old.user_roles).into_iter().filter_map(|id| self.owner(id).ok());
        let names = |ids: Vec<i64>, all: &HashMap<i64, &String>| -> Vec<String> {
            ids.into_iter().filter_map(|id| all.get(&id).map(|name| (*name).clone())).collect()
        };
        let groups: HashMap<i64, &String> = self.old.groups.iter().map(|group| (group.id, &group.name)).collect();
        let services: HashMap<i64, &String> =
            self.old.services.iter().map(|service| (service.id, &service.name)).collect();
        let users: BTreeSet<UserName> = users.collect();
        (
            users.into_iter().map(String::from).collect(),
            names(of(&self.old.group_roles), &groups),
            names(of(&self.old.service_roles), &services),
        )
    }
}

fn role_table(role: &OldRole, (users, groups, services): &(Vec<String>, Vec<String>, Vec<String>)) -> String {
    let mut text = format!("[[roles]]\nname = {}\n", quoted(&role.name));
    if !role.description.is_empty() {
        text += &format!("description = {}\n", quoted(&role.description));
    }
    text += &format!("scopes = {}\n", list(&role.scopes));
    for (key, names) in [("users", users), ("groups", groups), ("services", services)] {
        if !names.is_empty() {
            text += &format!("{key} = {}\n", list(names));
        }
    }
    text
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.chars().filter(|c| !c.is_control()).collect()).to_string()
}

/// Texts as TOML writes them.
pub(super) fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}
