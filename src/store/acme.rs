//! What an ACME authority has given us, and how far we are with what it has not: accounts by directory, and one row a
//! name. Private keys are in it; like every other secret they lie in the database file alone (0600), under its MAC.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ACME_ACCOUNTS, ACME_NAMES, Store, StoreError, Transaction};
use crate::model::{Secret, Timestamp};

/// An account with one authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeAccountRow {
    /// The authority's directory; unique.
    pub directory: String,
    /// The address that the authority was told; empty for none.
    #[serde(default)]
    pub email: String,
    /// The key identifier that the account was bound by; empty for none.
    #[serde(default)]
    pub eab_key_id: String,
    /// The library's own form of the account and its key.
    #[serde(with = "kept_secret")]
    pub credentials: Secret,
}

/// A name for which certificates are ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeNameRow {
    /// Lower case; unique.
    pub name: String,
    /// The last certificate that was obtained.
    #[serde(default)]
    pub certificate: Option<AcmeCertificate>,
    /// An order that was begun and whose end nobody has seen yet.
    #[serde(default)]
    pub order: Option<AcmeOrder>,
    /// Tries in a row that have failed.
    #[serde(default)]
    pub failures: u32,
    /// Tries that were begun and neither failed nor succeeded: we ended in the middle of them.
    #[serde(default)]
    pub unfinished: u32,
    /// Not before then.
    #[serde(default)]
    pub next_try: Timestamp,
    /// Why the last try failed, in one line; empty if it did not.
    #[serde(default)]
    pub problem: String,
}

impl AcmeNameRow {
    /// A name that nothing is known of.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            certificate: None,
            order: None,
            failures: 0,
            unfinished: 0,
            next_try: Timestamp(0),
            problem: String::new(),
        }
    }
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeCertificate {
    /// Who gave it: its directory.
    pub directory: String,
    /// The certificate and its issuers, PEM.
    pub chain: String,
    /// Its private key, PEM.
    #[serde(with = "kept_secret")]
    pub key: Secret,
    /// When it is to be renewed.
    pub renew_at: Timestamp,
    /// When the authority is asked again whether it should be sooner.
    #[serde(default)]
    pub ask_at: Timestamp,
}

/// An order under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeOrder {
    /// With whom.
    pub directory: String,
    /// Its address there.
    pub url: String,
    /// The key of the certificate to be, PEM.
    #[serde(with = "kept_secret")]
    pub key: Secret,
}

/// For the store alone.
mod kept_secret {
    use super::{Deserialize, Deserializer, Secret, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

impl Store {
    /// Our account with the authority of this directory.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn acme_account(&self, directory: &str) -> Result<Option<AcmeAccountRow>, StoreError> {
        self.row_if_table(ACME_ACCOUNTS, directory.as_bytes())
    }

    /// All names for which a certificate was ever ordered.
    ///
    /// # Errors
    /// If the file cannot be read or a row is damaged.
    pub fn acme_names(&self) -> Result<Vec<AcmeNameRow>, StoreError> {
        self.rows(ACME_NAMES)
    }

    /// One of them.
    ///
    /// # Errors
    /// If the file cannot be read or the row is damaged.
    pub fn acme_name(&self, name: &str) -> Result<Option<AcmeNameRow>, StoreError> {
        self.row_if_table(ACME_NAMES, name.as_bytes())
    }
}

impl Transaction<'_> {
    /// Adds or replaces an account.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_acme_account(&mut self, row: &AcmeAccountRow) -> Result<(), StoreError> {
        self.put(ACME_ACCOUNTS, row.directory.as_bytes(), row)
    }

    /// Forgets an account, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_acme_account(&mut self, directory: &str) -> Result<(), StoreError> {
        self.remove(ACME_ACCOUNTS, directory.as_bytes())
    }

    /// Adds or replaces a name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn put_acme_name(&mut self, row: &AcmeNameRow) -> Result<(), StoreError> {
        self.put(ACME_NAMES, row.name.as_bytes(), row)
    }

    /// Forgets a name with its certificate, if it is there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn delete_acme_name(&mut self, name: &str) -> Result<(), StoreError> {
        self.remove(ACME_NAMES, name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Config;

    #[test]
    fn what_an_authority_gave_is_there_after_a_restart_and_shows_no_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { data_dir: folder.path().join("data") };
        let row = AcmeNameRow {
            certificate: Some(AcmeCertificate {
                directory: "https://ca.example/dir".to_owned(),
                chain: "chain".to_owned(),
                key: Secret::new("the key"),
                renew_at: Timestamp(7),
                ask_at: Timestamp(3),
            }),
            ..AcmeNameRow::new("lab.example")
        };
        let store = Store::open(&config).expect("a store");
        assert_eq!(store.acme_names().expect("read"), [], "before the table is there");
        assert_eq!(store.acme_account("https://ca.example/dir").expect("read"), None);
        store.write(|t| t.put_acme_name(&row)).expect("a commit");
        drop(store);
        let store = Store::open(&config).expect("a store");
        assert_eq!(store.acme_name("lab.example").expect("read"), Some(row.clone()));
        assert!(!format!("{row:?}").contains("the key"));
    }
}
