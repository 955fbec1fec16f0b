//! Who servers run as: the numbers behind `run_as`.

use std::path::Path;

use crate::host::account::{Account, look_up, read};
use crate::spawner::backend::BackendError;

/// The account for servers; none if they run as we do. Root must name one, and only root may.
pub(super) fn choose(run_as: Option<&str>, we_are_root: bool, passwd: &Path) -> Result<Option<Account>, BackendError> {
    match (run_as, we_are_root) {
        (None, false) => Ok(None),
        (None, true) => Err(BackendError::Settings(
            "spawner.process.run_as is not set: Slipway runs as root, and a person's server must not. Name an account, \
             as in \"nobody\" or \"1000:1000\""
                .into(),
        )),
        (Some(name), false) => Err(BackendError::Settings(format!(
            "spawner.process.run_as = {name:?}: only root can run servers as somebody else. Leave the line out"
        ))),
        (Some(name), true) => {
            let account = look_up(name, &read(passwd)).ok_or_else(|| {
                BackendError::Settings(format!(
                    "spawner.process.run_as = {name:?}: no such account on this host. Give a name or uid:gid"
                ))
            })?;
            if account.uid == 0 {
                return Err(BackendError::Settings(format!(
                    "spawner.process.run_as = {name:?}: servers must not run as root. Give another account"
                )));
            }
            Ok(Some(account))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_must_name_an_account_that_is_not_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let passwd = folder.path().join("passwd");
        std::fs::write(&passwd, "root:x:0:0::/root:/bin/sh\nada:x:1001:100::/home/ada:/bin/sh\n").expect("written");
        let choose = |run_as, we_are_root| choose(run_as, we_are_root, &passwd).map_err(|error| error.to_string());
        assert_eq!(choose(None, false), Ok(None));
        assert_eq!(choose(Some("ada"), true), Ok(Some(Account { uid: 1001, gid: 100 })));
        assert_eq!(choose(Some("7:8"), true), Ok(Some(Account { uid: 7, gid: 8 })));
        for (run_as, we_are_root) in [(None, true), (Some("ada"), false), (Some("bob"), true), (Some("root"), true)] {
            let text = choose(run_as, we_are_root).expect_err("refused");
            assert!(text.contains("spawner.process.run_as"), "{text}");
        }
    }
}
