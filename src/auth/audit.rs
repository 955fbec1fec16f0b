//! The audit log for those who may read it, and the rows of the program itself.

use std::collections::BTreeMap;

use super::{Auth, Shared};
use crate::model::Actor;
use crate::store::{AuditFilter, AuditPage, ChainReport, StoreError};

/// Who acts when nobody does.
const OURSELVES: &str = "slipway";

impl Auth {
    /// At most `limit` rows of the audit log that `filter` wants, below number `before`, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn audit_page(
        &self,
        filter: AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AuditPage, StoreError> {
        self.run(move |shared| shared.store.audit_page(&filter, before, limit)).await
    }

    /// Checks the whole audit log. Takes seconds for a million rows, on a thread of its own.
    ///
    /// # Errors
    /// If the store cannot be read; what is wrong with the log is in the report.
    pub async fn verify_audit(&self) -> Result<ChainReport, StoreError> {
        self.run(|shared| shared.store.verify_audit()).await
    }

    /// Notes an act that changes nothing in the store: what else is there to tell of it is there already.
    ///
    /// # Errors
    /// If it could not be stored.
    pub async fn note_act(&self, actor: impl Into<Actor>, act: &'static str, object: String) -> Result<(), StoreError> {
        let actor = actor.into();
        self.run(move |shared| {
            let now = shared.now();
            shared.store.write(|t| t.audit(now, &actor, act, &object))
        })
        .await
    }

    /// Notes that this version has started, and which settings are not what they were at the last start. `settings`
    /// are keys and values; of a value only a keyed hash is stored, and nothing is shown.
    ///
    /// # Errors
    /// If it could not be stored.
    pub async fn note_start(&self, version: &str, settings: Vec<(String, String)>) -> Result<(), StoreError> {
        let version = version.to_owned();
        self.run(move |shared| shared.note_configuration(&OURSELVES.into(), "started slipway", &version, settings))
            .await
    }
}

impl Shared {
    /// Notes `act`, and which of `settings` are not what they were when this was last called.
    pub(super) fn note_configuration(
        &self,
        actor: &Actor,
        act: &str,
        object: &str,
        settings: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let marks = settings.into_iter().map(|(key, value)| {
            let mark = self.store.mark_of(&key, &value);
            (key, mark)
        });
        let marks: BTreeMap<_, _> = marks.collect();
        self.store.write(|t| {
            t.audit(now, actor, act, object)?;
            let before = t.configuration_marks()?;
            if before.as_ref() == Some(&marks) {
                return Ok(());
            }
            t.put_configuration_marks(&marks)?;
            let Some(before) = before else { return Ok(()) };
            for object in in_rows(&changed(&before, &marks)) {
                t.audit(now, actor, "changed configuration", &object)?;
            }
            Ok(())
        })
    }
}

/// The keys that are new, gone or other.
fn changed<'a>(before: &'a BTreeMap<String, String>, now: &'a BTreeMap<String, String>) -> Vec<&'a str> {
    let mut keys: Vec<_> = before.keys().chain(now.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| before.get(*key) != now.get(*key));
    keys
}

/// Keys in texts that a row takes whole.
fn in_rows(keys: &[&str]) -> Vec<String> {
    const ROW_BYTES: usize = 240;
    let mut rows: Vec<String> = Vec::new();
    for key in keys {
        match rows.last_mut() {
            Some(row) if row.len() + key.len() + 2 <= ROW_BYTES => {
                row.push_str(", ");
                row.push_str(key);
            }
            _ => rows.push((*key).to_owned()),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::memory_folder;

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[tokio::test]
    async fn a_start_tells_its_version_and_which_settings_are_new_but_no_value() {
        let folder = memory_folder();
        let auth = super::super::tests::open(folder.path()).await;
        let start = |pairs: &[(&str, &str)]| auth.note_start("1.2.3", settings(pairs));
        start(&[("a.b", "1"), ("a.password", "hunter2")]).await.expect("stored");
        start(&[("a.b", "1"), ("a.password", "hunter2")]).await.expect("stored");
        start(&[("a.b", "1"), ("a.password", "hunter3"), ("c", "2")]).await.expect("stored");
        let page = auth.audit_page(AuditFilter::default(), None, 4).await.expect("readable");
        let acts: Vec<_> = page.entries.iter().map(|entry| format!("{} {}", entry.row.act, entry.row.object)).collect();
        // The groups that are made with the first load have rows of their own.
        let acts = &acts[..4];
        let start = "started slipway 1.2.3";
        assert_eq!(acts, ["changed configuration a.password, c", start, start, start]);
        let file = std::fs::read(folder.path().join("slipway.redb")).expect("it is there");
        assert!(!file.windows(7).any(|bytes| bytes == b"hunter3"), "no value is stored");
    }

    #[test]
    fn many_keys_take_several_rows_and_none_is_cut() {
        let keys: Vec<_> = (0..60).map(|n| format!("spawner.docker.setting_{n}")).collect();
        let rows = in_rows(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(rows.len() > 5 && rows.iter().all(|row| row.len() <= 256));
        assert_eq!(rows.join(", "), keys.join(", "));
    }
}
