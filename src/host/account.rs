//! Accounts of this host, as `/etc/passwd` tells them.

use std::path::{Path, PathBuf};

/// Where this host keeps its accounts.
pub const PASSWD: &str = "/etc/passwd";

/// A user and a group of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// Its first group's number.
    pub gid: u32,
}

/// Reads a name of an account, or `uid:gid`.
#[must_use]
pub fn look_up(name: &str, passwd: &str) -> Option<Account> {
    if let Some((uid, gid)) = name.split_once(':') {
        return Some(Account { uid: uid.parse().ok()?, gid: gid.parse().ok()? });
    }
    let entry = entries(passwd).find(|fields| fields[0] == name)?;
    Some(Account { uid: entry[2].parse().ok()?, gid: entry[3].parse().ok()? })
}

/// The name and the home of the account with this number.
#[must_use]
pub fn name_and_home(uid: u32, passwd: &str) -> Option<(String, PathBuf)> {
    let entry = entries(passwd).find(|fields| fields.len() > 5 && fields[2].parse() == Ok(uid))?;
    Some((entry[0].to_owned(), PathBuf::from(entry[5])))
}

/// The accounts of the file at `path`; none if it cannot be read.
#[must_use]
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn entries(passwd: &str) -> impl Iterator<Item = Vec<&str>> {
    passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() > 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_name_and_by_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nada:x:1001:100:Ada,,,:/home/ada:/bin/sh\nbroken\n";
        assert_eq!(look_up("ada", passwd), Some(Account { uid: 1001, gid: 100 }));
        assert_eq!(look_up("7:8", passwd), Some(Account { uid: 7, gid: 8 }));
        assert_eq!((look_up("bob", passwd), look_up("a:b", passwd), look_up("broken", passwd)), (None, None, None));
        assert_eq!(name_and_home(1001, passwd), Some(("ada".into(), "/home/ada".into())));
        assert_eq!(name_and_home(7, passwd), None);
    }
}
