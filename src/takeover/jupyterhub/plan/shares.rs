//! Shares of servers, and codes for them (JupyterHub 5 and later).

use std::collections::HashSet;

use super::{Planner, key};
use crate::model::{GroupName, Scope, ServerKey, ShareCodeId, ShareWith};
use crate::store::{ShareCodeRow, ShareRow};
use crate::takeover::jupyterhub::old::{OldShare, OldShareCode, Table};

/// Numbers that are kept: what lies above is a mistake, and would leave us few.
const NUMBERS: std::ops::RangeInclusive<i64> = 1..=1 << 40;

impl Planner<'_> {
    pub(super) fn shares(&mut self) {
        let old = self.old;
        let mut seen = HashSet::new();
        for share in &old.shares {
            let subject = format!("share {}", share.id);
            let (server, with, scopes) = match self.share(share) {
                Ok(parts) => parts,
                Err(reason) => {
                    self.not_taken(Table::Shares, &subject, reason);
                    continue;
                }
            };
            let key = key(Table::Shares, &[server.user.as_str(), server.name.as_str(), &with.to_string()]);
            let pair = (server.clone(), with.clone());
            if self.came_before(&key) || self.ours.shares.contains(&pair) || !seen.insert(pair) {
                self.tally(Table::Shares).there += 1;
                continue;
            }
            self.taken(Table::Shares, key);
            let created = self.past(share.created).unwrap_or(self.now);
            self.plan.shares.push(ShareRow { server, with, scopes, created });
        }
        self.share_codes();
    }

    fn share(&self, share: &OldShare) -> Result<(ServerKey, ShareWith, Vec<Scope>), String> {
        if share.expires_at.is_some() {
            return Err("it has an end, which shares do not have here; share anew".into());
        }
        let server = self.shared_server(share.server_id)?;
        let with = match (share.user_id, share.group_id) {
            (Some(user), None) => ShareWith::User(self.owner(user)?),
            (None, Some(group)) => {
                let there = self.old.groups.iter().find(|there| there.id == group);
                let name = there.and_then(|there| GroupName::parse(&there.name).ok());
                let is_here = |name: &GroupName| {
                    self.ours.groups.contains_key(name) || self.plan.groups.iter().any(|row| row.name == *name)
                };
                ShareWith::Group(name.filter(is_here).ok_or("its group is not here")?)
            }
            _ => return Err("it does not say with whom".into()),
        };
        Ok((server, with, scopes_of(&share.scopes)?))
    }

    fn shared_server(&self, id: i64) -> Result<ServerKey, String> {
        self.servers.get(&id).cloned().ok_or_else(|| "its server does not come in".into())
    }

    fn share_codes(&mut self) {
        let old = self.old;
        let mut number = self.ours.numbers.share_code;
        let mut seen = HashSet::new();
        for code in &old.share_codes {
            let subject = format!("sc_{}", code.id);
            let key = key(Table::ShareCodes, &[&code.stored.hashed]);
            let is_here = self.came_before(&key) || self.ours.share_codes.contains(&code.stored.hashed);
            if is_here || !seen.insert(&code.stored.hashed) {
                self.tally(Table::ShareCodes).there += 1;
                continue;
            }
            match self.share_code(code) {
                Ok(mut row) => {
                    // In the order in which they were made, so their own numbers rise as well.
                    let own = u64::try_from(code.id).ok().filter(|own| NUMBERS.contains(&code.id) && *own > number);
                    number = own.unwrap_or(number + 1);
                    row.id = ShareCodeId(number);
                    self.taken(Table::ShareCodes, key);
                    self.plan.share_codes.push(row);
                }
                Err(reason) => self.not_taken(Table::ShareCodes, &subject, reason),
            }
        }
    }

    fn share_code(&self, code: &OldShareCode) -> Result<ShareCodeRow, String> {
        let expires_at = code.expires_at.ok_or("it has no end, and here each has one")?;
        if expires_at <= self.now {
            return Err("it has expired".into());
        }
        Ok(ShareCodeRow {
            id: ShareCodeId(0),
            stored: code.stored.clone(),
            server: self.shared_server(code.server_id)?,
            scopes: scopes_of(&code.scopes)?,
            created: self.past(code.created).unwrap_or(self.now),
            expires_at,
            exchange_count: code.exchange_count,
            last_exchanged: self.past(code.last_exchanged),
        })
    }
}

fn scopes_of(raw: &[String]) -> Result<Vec<Scope>, String> {
    raw.iter().map(|scope| scope.parse().map_err(|error: crate::model::ScopeError| error.to_string())).collect()
}
