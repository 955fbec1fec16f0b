//! What is known of everybody's week, in memory: pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{ActivityScore, Slot, SlotBits, Timestamp, UserName};
use crate::store::ActivityRow;

/// Slots of an hour.
const PER_HOUR: usize = 6;

/// An account as a look finds it.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: UserName,
    pub(super) created: Timestamp,
    pub(super) last_seen: Option<Timestamp>,
}

/// Everybody's week.
#[derive(Default)]
pub(super) struct Weeks {
    /// In which slots anybody looked.
    seen: SlotBits,
    looked_at: Option<Timestamp>,
    /// Those who were active in the last week.
    weeks: HashMap<UserName, Week>,
    /// Of those whose activity is too long ago: their rows go.
    gone: Vec<UserName>,
    /// Of everybody, as of the last look.
    scores: Arc<Scores>,
}

/// By name, with when the account was made: a later one of that name has another.
pub(in crate::hub) type Scores = HashMap<UserName, (Timestamp, ActivityScore)>;

struct Week {
    created: Timestamp,
    active: SlotBits,
    is_written: bool,
    /// The last look found no such account: it is gone, or it is being renamed at this moment.
    is_missed: bool,
}

impl Week {
    fn new(created: Timestamp, active: SlotBits) -> Self {
        Self { created, active, is_written: false, is_missed: false }
    }
}

impl Weeks {
    pub(super) fn of(rows: Vec<ActivityRow>, seen: SlotBits) -> Self {
        let week = |row: ActivityRow| (row.owner, Week { is_written: true, ..Week::new(row.created, row.active) });
        Self {
            looked_at: seen.newest().map(Slot::begins),
            seen,
            weeks: rows.into_iter().map(week).collect(),
            ..Self::default()
        }
    }

    /// Somebody looks: of all these accounts these are active.
    pub(super) fn look(&mut self, accounts: &[Account], active: &[&Account], now: Timestamp) {
        let slot = Slot::of(now);
        // A clock that was set back takes back what was said of slots that have not come, of everybody.
        let is_set_back = self.seen.newest().is_some_and(|newest| newest > slot);
        self.seen.set(slot);
        self.looked_at = Some(now);
        for account in active {
            let fresh = || Week::new(account.created, SlotBits::default());
            let week = self.weeks.entry(account.name.clone()).or_insert_with(fresh);
            if week.created != account.created {
                *week = fresh();
            }
            if !week.active.get(slot) || week.active.newest() != Some(slot) {
                week.active.set(slot);
                week.is_written = false;
            }
        }
        let there: HashMap<_, _> = accounts.iter().map(|account| (&account.name, account.created)).collect();
        let first = slot.week().next();
        let mut gone = Vec::new();
        self.weeks.retain(|name, week| {
            if is_set_back && week.active.newest().is_some_and(|newest| newest > slot) {
                week.active.move_to(slot);
                week.is_written = false;
            }
            let is_theirs = there.get(name) == Some(&week.created);
            let is_old = week.active.newest().is_none_or(|newest| Some(newest) < first);
            if is_theirs && is_old {
                gone.push(name.clone());
            }
            // Whoever is gone for two looks is gone.
            let was_missed = std::mem::replace(&mut week.is_missed, !is_theirs);
            (is_theirs || !was_missed) && !is_old
        });
        self.gone.append(&mut gone);
    }

    /// Everybody's score.
    pub(super) fn work_out(&self, accounts: &[Account], now: Timestamp, target: Duration) -> Scores {
        let nothing = SlotBits::default();
        let score = |active, since| ActivityScore::of(active, &self.seen, since, now, target);
        // All who were away, and whose account is older than the week, have the same.
        let begin = Slot::of(now).week().next().map_or(now, Slot::begins);
        let of_the_away = score(&nothing, begin);
        let scores = accounts.iter().filter_map(|account| {
            let week = self.weeks.get(&account.name).filter(|week| week.created == account.created);
            let score = match week {
                Some(week) => score(&week.active, account.created),
                None if account.created <= begin => of_the_away,
                None => score(&nothing, account.created),
            };
            Some((account.name.clone(), (account.created, score?)))
        });
        scores.collect()
    }

    pub(super) fn set_scores(&mut self, scores: Scores) {
        self.scores = Arc::new(scores);
    }

    /// Rows to write, rows to delete, and the slots in which anybody looked.
    pub(super) fn unwritten(&mut self) -> (Vec<ActivityRow>, Vec<UserName>, SlotBits) {
        let unwritten = self.weeks.iter().filter(|(_, week)| !week.is_written);
        let rows = unwritten.map(|(name, week)| ActivityRow {
            owner: name.clone(),
            created: week.created,
            active: week.active.clone(),
        });
        (rows.collect(), std::mem::take(&mut self.gone), self.seen.clone())
    }

    /// The store has these now.
    pub(super) fn are_written(&mut self, rows: &[ActivityRow]) {
        for row in rows {
            let week = self.weeks.get_mut(&row.owner);
            if let Some(week) = week.filter(|week| week.active == row.active && week.created == row.created) {
                week.is_written = true;
            }
        }
    }

    pub(super) fn renamed(&mut self, from: &UserName, to: &UserName) {
        if let Some(week) = self.weeks.remove(from) {
            self.weeks.insert(to.clone(), Week { is_written: false, is_missed: false, ..week });
        }
        let scores = Arc::make_mut(&mut self.scores);
        if let Some(score) = scores.remove(from) {
            scores.insert(to.clone(), score);
        }
    }

    pub(super) fn score_of(&self, name: &UserName, created: Timestamp) -> Option<ActivityScore> {
        self.scores.get(name).filter(|(since, _)| *since == created).map(|(_, score)| *score)
    }

    pub(super) fn scores(&self) -> Arc<Scores> {
        Arc::clone(&self.scores)
    }

    pub(super) fn last_look(&self) -> Option<Timestamp> {
        self.looked_at
    }

    pub(super) fn hours_of(&self, name: &UserName, created: Timestamp, now: Timestamp) -> Vec<Option<f64>> {
        let week = self.weeks.get(name).filter(|week| week.created == created);
        let slots: Vec<_> = Slot::of(now).week().collect();
        let hour = |slots: &[Slot]| {
            let is_known = |slot: &&Slot| self.seen.get(**slot) && **slot >= Slot::of(created);
            let seen = slots.iter().filter(is_known).count();
            let active = slots.iter().filter(is_known).filter(|slot| week.is_some_and(|week| week.active.get(**slot)));
            (seen > 0).then(|| active.count() as f64 / seen as f64)
        };
        slots.chunks(PER_HOUR).map(hour).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SLOT_MS;

    const TARGET: Duration = Duration::from_secs(8 * 3_600);

    fn at(slot: i64) -> Timestamp {
        Slot(5_000 + slot).begins()
    }

    fn account(name: &str, created: i64) -> Account {
        Account { name: UserName::parse(name).expect("a name"), created: at(created), last_seen: None }
    }

    fn look(weeks: &mut Weeks, accounts: &[Account], active: &[usize], slot: i64) {
        let active: Vec<_> = active.iter().map(|index| &accounts[*index]).collect();
        weeks.look(accounts, &active, at(slot));
        weeks.set_scores(weeks.work_out(accounts, at(slot), TARGET));
    }

    fn samples(weeks: &Weeks, account: &Account) -> Option<u32> {
        weeks.score_of(&account.name, account.created).map(|score| score.samples)
    }

    #[test]
    fn who_was_away_costs_no_row_and_has_a_score_of_0() {
        let accounts = [account("alice", 0), account("bob", 0)];
        let mut weeks = Weeks::default();
        look(&mut weeks, &accounts, &[0], 1);
        let (rows, gone, _) = weeks.unwritten();
        assert_eq!((rows.len(), rows[0].owner.as_str(), gone.len()), (1, "alice", 0));
        weeks.are_written(&rows);
        assert_eq!(weeks.score_of(&accounts[1].name, at(0)).map(|score| (score.score, score.samples)), Some((0, 1)));
        // Nobody is active: nothing to write but that somebody looked.
        look(&mut weeks, &accounts, &[], 2);
        assert!(weeks.unwritten().0.is_empty());
        assert_eq!(samples(&weeks, &accounts[0]), Some(2));
    }

    #[test]
    fn a_new_account_of_an_old_name_inherits_nothing() {
        let mut weeks = Weeks::default();
        look(&mut weeks, &[account("alice", 0)], &[0], 1);
        let new = account("alice", 2);
        assert_eq!(weeks.score_of(&new.name, new.created), None);
        look(&mut weeks, std::slice::from_ref(&new), &[0], 3);
        assert_eq!(samples(&weeks, &new), Some(1));
        let hours = weeks.hours_of(&new.name, new.created, at(3));
        assert_eq!(hours.last(), Some(&Some(1.0)));
        let rows = weeks.unwritten().0;
        assert_eq!(rows[0].active.count(), 1);
    }

    #[test]
    fn a_renamed_account_keeps_its_week_and_one_that_is_gone_leaves_none() {
        let mut weeks = Weeks::default();
        let alice = account("alice", 0);
        look(&mut weeks, std::slice::from_ref(&alice), &[0], 1);
        let carol = account("carol", 0);
        weeks.renamed(&alice.name, &carol.name);
        assert_eq!((samples(&weeks, &carol), samples(&weeks, &alice)), (Some(1), None));
        look(&mut weeks, std::slice::from_ref(&carol), &[], 2);
        assert_eq!(weeks.hours_of(&carol.name, carol.created, at(2)).last(), Some(&Some(0.5)));
        look(&mut weeks, &[], &[], 3);
        assert!(weeks.scores.is_empty());
        look(&mut weeks, &[], &[], 4);
        assert!(weeks.weeks.is_empty());
    }

    /// The accounts are asked while one of them is being renamed: they know the new name, and we the old one.
    #[test]
    fn a_look_in_the_midst_of_a_rename_loses_nothing() {
        let (alice, carol) = (account("alice", 0), account("carol", 0));
        let mut weeks = Weeks::default();
        look(&mut weeks, std::slice::from_ref(&alice), &[0], 1);
        look(&mut weeks, std::slice::from_ref(&carol), &[0], 2);
        weeks.renamed(&alice.name, &carol.name);
        look(&mut weeks, std::slice::from_ref(&carol), &[], 3);
        let rows = weeks.unwritten().0;
        assert_eq!((rows.len(), &rows[0].owner, rows[0].active.get(Slot(5_001))), (1, &carol.name, true));
    }

    #[test]
    fn the_row_of_somebody_who_was_away_for_a_week_goes() {
        let mut weeks = Weeks::default();
        let alice = account("alice", 0);
        look(&mut weeks, std::slice::from_ref(&alice), &[0], 1);
        look(&mut weeks, std::slice::from_ref(&alice), &[], 1 + 1_007);
        assert!(weeks.unwritten().1.is_empty());
        look(&mut weeks, std::slice::from_ref(&alice), &[], 1 + 1_008);
        assert_eq!(weeks.unwritten().1.as_slice(), std::slice::from_ref(&alice.name));
        assert!(weeks.weeks.is_empty());
    }

    #[test]
    fn what_is_kept_is_what_was_known() {
        let accounts = [account("alice", 0), account("bob", 0)];
        let mut weeks = Weeks::default();
        (1..40).for_each(|slot| look(&mut weeks, &accounts, if slot % 3 == 0 { &[0, 1] } else { &[1] }, slot));
        let (rows, _, seen) = weeks.unwritten();
        let mut read = Weeks::of(rows, seen);
        read.set_scores(read.work_out(&accounts, at(39), TARGET));
        assert_eq!(read.scores, weeks.scores);
        assert_eq!(read.hours_of(&accounts[0].name, at(0), at(39)), weeks.hours_of(&accounts[0].name, at(0), at(39)));
        assert!(read.unwritten().0.is_empty());
    }

    #[test]
    fn clock_jumps_make_nobody_active_and_heal() {
        let accounts = [account("alice", 0)];
        let mut weeks = Weeks::default();
        look(&mut weeks, &accounts, &[0], 1);
        // Ten years ahead, and back.
        look(&mut weeks, &accounts, &[0], 525_600);
        look(&mut weeks, &accounts, &[], 2);
        assert_eq!(weeks.score_of(&accounts[0].name, at(0)).map(|score| score.score), Some(0));
        look(&mut weeks, &accounts, &[0], 3);
        assert_eq!(samples(&weeks, &accounts[0]), Some(2));
        assert_eq!(weeks.unwritten().0[0].active.count(), 1);
        assert_eq!(SLOT_MS, 600_000);
    }

    #[test]
    fn ten_thousand_are_looked_at_in_a_moment() {
        let accounts: Vec<_> = (0..10_000).map(|number| account(&format!("u{number}"), 0)).collect();
        let half: Vec<_> = (0..5_000).collect();
        let mut weeks = Weeks::default();
        look(&mut weeks, &accounts, &half, 1);
        let begun = std::time::Instant::now();
        look(&mut weeks, &accounts, &half, 2);
        let took = begun.elapsed();
        // Only an optimised build is held to it: the other one shares its machine with all other tests.
        assert!(cfg!(debug_assertions) || took < Duration::from_millis(500), "{took:?}");
        assert_eq!(weeks.unwritten().0.len(), 5_000);
    }
}
