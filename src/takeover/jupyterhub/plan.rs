//! What each row of another hub becomes, beside what is here. Pure: the same two give the same plan, for a dry run and
//! for the real one.
//!
//! Two rules keep what is here. An account that is here and did not come from that very row is newer, whatever it says:
//! it stays as it is, and nothing of the other's (tokens, servers, groups) becomes its own. And a row that was taken over
//! once never is again: what has been changed or ended here since stays so, however often the import runs.

mod accounts;
mod groups;
mod servers;
mod services;
mod shares;
mod tokens;

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::old::{OldHub, Table};
use super::ours::Ours;
use crate::model::{ServerKey, ServiceName, Timestamp, UserName};
use crate::store::{GroupRow, ServerRow, ServiceRow, ShareCodeRow, ShareRow, TakenKey, TokenRow, UserRow, VolumesRow};

/// What is to be written, and what is to be said of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Which version the other hub is: `4`, `5` or `6`.
    pub version: String,
    /// The revision of its tables.
    pub revision: String,
    /// New accounts.
    pub accounts: Vec<UserRow>,
    /// New groups, and those that get new members.
    pub groups: Vec<GroupRow>,
    /// New servers, and those that turn out to run.
    pub servers: Vec<ServerRow>,
    /// Whose volumes are whose.
    pub volumes: Vec<VolumesRow>,
    /// New tokens, each with a number that nobody else ever had.
    pub tokens: Vec<TokenRow>,
    /// New services.
    pub services: Vec<ServiceRow>,
    /// New shares.
    pub shares: Vec<ShareRow>,
    /// New share codes, each with a number that nobody else ever had.
    pub share_codes: Vec<ShareCodeRow>,
    /// By what the rows are known again.
    pub taken: Vec<TakenKey>,
    /// How many of each table become what.
    pub tallies: BTreeMap<Table, Tally>,
    /// What is to be said of single rows.
    pub findings: Vec<Finding>,
    /// What is to be said of many.
    pub notes: Vec<String>,
    /// Pieces of `slipway.toml` for what stands in the configuration here.
    pub to_set: Vec<String>,
}

impl Plan {
    /// True if there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.servers.is_empty() && self.groups.is_empty()
    }
}

/// How many rows of a table become what. Their sum is the number of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Come in.
    pub taken: u64,
    /// Are here already, or say nothing that is not here.
    pub there: u64,
    /// Give way to what is here.
    pub kept: u64,
    /// Cannot come in.
    pub not_taken: u64,
    /// Belong into the configuration, or follow from other rows.
    pub configured: u64,
}

impl Tally {
    /// All rows.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.taken + self.there + self.kept + self.not_taken + self.configured
    }
}

/// What is to be said of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Of which table.
    pub table: Table,
    /// What it is about.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// What is here stays as it is.
    Kept,
    /// It cannot come in.
    NotTaken,
    /// It comes in, but not all of it.
    Remark,
}

/// What becomes of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// It comes in.
    New(UserName),
    /// It came in before.
    Same(UserName),
    /// Somebody else has that name here.
    Kept(UserName),
    /// It came in before, and is not here any more.
    Gone,
}

/// Says what each row becomes. `now` is when it happens.
#[must_use]
pub fn plan(old: &OldHub, ours: &Ours, now: Timestamp) -> Plan {
    let plan = Plan { version: old.version.clone(), revision: old.revision.clone(), ..Plan::default() };
    let mut planner = Planner {
        old,
        ours,
        now,
        plan,
        names: old.users.iter().map(|user| (user.id, user.name.as_str())).collect(),
        fates: HashMap::new(),
        servers: HashMap::new(),
        adopted: HashMap::new(),
        clients: HashMap::new(),
        let_in: HashSet::new(),
        volume_owners: HashSet::new(),
        services: HashMap::new(),
    };
    for odd in &old.odd {
        planner.not_taken(odd.table, &odd.subject, odd.reason.clone());
    }
    planner.accounts();
    planner.servers();
    planner.groups();
    planner.services();
    planner.tokens();
    planner.shares();
    planner.roles();
    planner.oauth();
    planner.plan
}

struct Planner<'a> {
    old: &'a OldHub,
    ours: &'a Ours,
    now: Timestamp,
    plan: Plan,
    /// By the user's id there.
    names: HashMap<i64, &'a str>,
    /// By the user's id there.
    fates: HashMap<i64, Fate>,
    /// New accounts that may sign in.
    let_in: HashSet<UserName>,
    /// By the server's id there: those that are here after this.
    servers: HashMap<i64, ServerKey>,
    /// Servers that run on as they are, with the paths under which they answer.
    adopted: HashMap<UserName, Vec<(ServerKey, String)>>,
    /// Servers that are here after this, by their OAuth client's id.
    clients: HashMap<String, ServerKey>,
    /// Who gets volumes, or cannot.
    volume_owners: HashSet<UserName>,
    /// By the service's id there: those that are here after this.
    services: HashMap<i64, ServiceName>,
}

impl Planner<'_> {
    fn tally(&mut self, table: Table) -> &mut Tally {
        self.plan.tallies.entry(table).or_default()
    }

    fn say(&mut self, verdict: Verdict, table: Table, subject: &str, reason: impl Into<String>) {
        self.plan.findings.push(Finding { verdict, table, subject: subject.to_owned(), reason: reason.into() });
    }

    fn not_taken(&mut self, table: Table, subject: &str, reason: impl Into<String>) {
        self.tally(table).not_taken += 1;
        self.say(Verdict::NotTaken, table, subject, reason);
    }

    fn kept(&mut self, table: Table, subject: &str, reason: impl Into<String>) {
        self.tally(table).kept += 1;
        self.say(Verdict::Kept, table, subject, reason);
    }

    fn remark(&mut self, table: Table, subject: &str, reason: impl Into<String>) {
        self.say(Verdict::Remark, table, subject, reason);
    }

    fn taken(&mut self, table: Table, key: TakenKey) {
        self.tally(table).taken += 1;
        self.plan.taken.push(key);
    }

    /// True if the row with this key came in before.
    fn came_before(&self, key: &TakenKey) -> bool {
        self.ours.taken.contains(key)
    }

    /// The name of a user of that hub, for sentences.
    fn name_there(&self, id: i64) -> String {
        self.names.get(&id).map_or_else(|| format!("user {id}"), |name| (*name).to_owned())
    }

    /// A row of an account that does not come in does not either.
    fn give_way(&mut self, table: Table, owner: i64, subject: &str, reason: String) {
        match self.fates.get(&owner) {
            Some(Fate::Kept(_) | Fate::Gone) => self.kept(table, subject, reason),
            _ => self.not_taken(table, subject, reason),
        }
    }

    /// What a column of times says, where the future would keep a server alive for ever.
    fn past(&self, at: Option<Timestamp>) -> Option<Timestamp> {
        at.map(|at| at.min(self.now))
    }

    /// OAuth clients are what servers and services are; codes live ten minutes.
    fn oauth(&mut self) {
        let odd = self.tally(Table::OAuthClients).not_taken;
        self.tally(Table::OAuthClients).configured += self.old.oauth_clients.saturating_sub(odd);
        self.tally(Table::OAuthCodes).configured += self.old.oauth_codes;
    }
}

/// By what a row is known again. Hashed, so that the store learns nothing from it.
fn key(table: Table, parts: &[&str]) -> TakenKey {
    let mut hasher = Sha256::new();
    hasher.update(table.name().as_bytes());
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut key = TakenKey::default();
    key.copy_from_slice(&digest[..16]);
    key
}
