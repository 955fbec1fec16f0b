//! Passwords that came along from a JupyterHub: bcrypt, as NativeAuthenticator writes it.
//!
//! They are checked at the same gate as our own, and the next sign-in makes an argon2id hash of each. Until then a
//! check of bcrypt takes longer than one of argon2id (at the usual cost of 12 some 200 ms against 30), and by that a
//! stranger could tell who has an account. So names that nobody has are checked against bcrypt as well, in the same
//! share: which ones is drawn from the name with the installation's key, so that one name takes equally long every time.
//! As people sign in, the share falls, and with it names of nobody turn quick one after the other just as theirs do.
//! What remains: a name that is slow belongs to nobody, or to somebody who has not been here since the move.

use super::Shared;
use crate::model::Secret;

/// What of a password counts in bcrypt.
pub(super) const BCRYPT_PASSWORD_BYTES: usize = 72;
/// Fewer rounds the format does not know.
const COST_MIN: u8 = 4;
/// 14: some 800 ms. NativeAuthenticator uses 12, each more doubles the work, and 31 is days: a hash that was planted
/// must not keep a core busy.
const COST_MAX: u8 = 14;
const HASH_BYTES: usize = 60;
/// Salt and hash of what names without a password are checked against; the cost goes before it. Nothing gives it.
const NOBODYS_SALT_AND_HASH: &str = "KIKIKIKIKIKIKIKIKIKIKuKIKIKIKIKIKIKIKIKIKIKIKIKIKIKIK";

/// A hash as bcrypt writes it, of a form and a cost that are checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BcryptHash<'a> {
    text: &'a str,
    cost: u8,
}

/// Why a hash cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BcryptMistake {
    /// Neither `$2a$`, `$2b$` nor `$2y$`, or damaged.
    #[error("its password is not in bcrypt's form")]
    Form,
    /// It would take too long to check.
    #[error("its password has the bcrypt cost {cost}; {COST_MIN} to {COST_MAX} are taken")]
    Cost {
        /// The logarithm of its rounds.
        cost: u8,
    },
}

impl<'a> BcryptHash<'a> {
    /// Reads `$2b$12$…`. What it says no to never lets anybody in.
    ///
    /// # Errors
    /// If it has another form or a cost that is not taken.
    pub fn parse(text: &'a str) -> Result<Self, BcryptMistake> {
        let is_of_form = text.len() == HASH_BYTES && text.is_ascii() && is_bcrypt(text);
        if !is_of_form || text.parse::<bcrypt::HashParts>().is_err() {
            return Err(BcryptMistake::Form);
        }
        let digits = text.get(4..6).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let cost = digits.and_then(|digits| digits.parse().ok()).ok_or(BcryptMistake::Form)?;
        if (COST_MIN..=COST_MAX).contains(&cost) { Ok(Self { text, cost }) } else { Err(BcryptMistake::Cost { cost }) }
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// True if `password` is the one that was hashed. As with NativeAuthenticator, its first 72 bytes count.
    pub(super) fn verify(&self, password: &Secret) -> bool {
        let bytes = password.expose().as_bytes();
        let matches = bcrypt::verify(bytes, self.text).unwrap_or(false);
        // bcrypt repeats a password with a zero byte after it, so `a` and `a\0a` are one to it. No hub took such.
        matches && !bytes.contains(&0)
    }
}

/// True for what looks like bcrypt's. `$2x$` is the broken one of 2011.
pub(super) fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|begin| hash.starts_with(begin))
}

/// What a name is checked against that has no password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoy {
    /// None: argon2id, like those who have signed in here.
    bcrypt_cost: Option<u8>,
}

impl Decoy {
    /// The decoy of the name with this `mark`, where `counts` accounts have a password of each bcrypt cost, of `all`
    /// that have one. Pure.
    fn of(mark: u32, counts: &[u64; COST_MAX as usize + 1], all: u64) -> Self {
        let place = u64::try_from((u128::from(mark) * u128::from(all)) >> 32).unwrap_or(u64::MAX);
        let mut below = 0;
        // From the dearest down: while people sign in, a name only ever gets cheaper.
        let bcrypt_cost = (COST_MIN..=COST_MAX).rev().find(|cost| {
            below += counts[usize::from(*cost)];
            place < below
        });
        Self { bcrypt_cost }
    }

    /// The hash to check against instead, if it is one of bcrypt.
    pub(super) fn bcrypt(self) -> Option<String> {
        self.bcrypt_cost.map(|cost| format!("$2b${cost:02}${NOBODYS_SALT_AND_HASH}"))
    }
}

impl Shared {
    /// What `name` is checked against if it has no password. Looks at all accounts, and is asked for every name: it
    /// takes as long for each.
    pub(super) fn decoy_of(&self, name: &str) -> Decoy {
        let (mut counts, mut all) = ([0; COST_MAX as usize + 1], 0);
        for user in self.users.pin().values() {
            let Some(hash) = user.password().hash else { continue };
            all += 1;
            if let Ok(BcryptHash { cost, .. }) = BcryptHash::parse(&hash) {
                counts[usize::from(cost)] += 1;
            }
        }
        let mark = self.store.mark_of("sign-in as nobody", name);
        let mark = u32::from_str_radix(mark.get(..8).unwrap_or_default(), 16).unwrap_or_default();
        Decoy::of(mark, &counts, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Python's bcrypt 4.3, which NativeAuthenticator uses: `correct horse`, as it writes it and as it once did.
    const OF_PYTHON: &str = "$2b$04$ddOLAXIMRlIAzcHIdYAj5eNvDRJG.lcZqWt2ytrvaGREiVZsDqwsG";
    const OF_OLD_PYTHON: &str = "$2a$04$xtJ.S9zDZhxmW8mDCcUCKukr4oyf0L7Mzvt99qSQNPEa9o33AD9gG";
    /// 36 times `é`, which are 72 bytes, and more.
    const OF_A_LONG_ONE: &str = "$2b$04$9oLsNPxNGaRPGotRiFvUJer69uTRl9R95MrF8WYWc/.61Tms2FzX6";

    fn is_password(hash: &str, password: &str) -> bool {
        BcryptHash::parse(hash).expect("of bcrypt's form").verify(&Secret::new(password))
    }

    #[test]
    fn passwords_that_python_hashed_are_known_and_others_are_not() {
        for hash in [OF_PYTHON, OF_OLD_PYTHON, &OF_OLD_PYTHON.replace("$2a$", "$2y$")] {
            assert!(is_password(hash, "correct horse"), "{hash}");
            for wrong in ["", "correct hors", "Correct horse", "correct horse ", "correct horse\0correct horse"] {
                assert!(!is_password(hash, wrong), "{hash} {wrong:?}");
            }
        }
    }

    #[test]
    fn the_first_72_bytes_count_as_they_did_there() {
        let head = "é".repeat(36);
        assert!(is_password(OF_A_LONG_ONE, &head));
        assert!(is_password(OF_A_LONG_ONE, &(head.clone() + "something else")));
        assert!(!is_password(OF_A_LONG_ONE, &"é".repeat(35)));
    }

    #[test]
    fn what_is_damaged_or_would_keep_a_core_busy_is_refused() {
        let of_cost = |cost: &str| OF_PYTHON.replacen("$04$", &format!("${cost}$"), 1);
        assert!(BcryptHash::parse(&of_cost("14")).is_ok());
        for cost in [0, 3, 15, 31, 99] {
            let text = of_cost(&format!("{cost:02}"));
            assert_eq!(BcryptHash::parse(&text), Err(BcryptMistake::Cost { cost }));
        }
        let umlauts = OF_PYTHON.replacen("dd", "ü", 1);
        let damaged = ["", "$2b$", "$2b$04$", &of_cost("+4"), &of_cost("4 "), &OF_PYTHON[..59], &umlauts];
        let longer = OF_PYTHON.to_owned() + "G";
        let broken = OF_PYTHON.replacen("$2b$", "$2x$", 1);
        let stray = OF_PYTHON.replacen("dd", "d*", 1);
        for text in damaged.into_iter().chain([&*longer, &broken, &stray]) {
            assert_eq!(BcryptHash::parse(text), Err(BcryptMistake::Form), "{text}");
        }
    }

    #[test]
    fn a_decoy_of_bcrypt_is_a_hash_that_no_password_gives_and_that_costs_the_same() {
        let text = Decoy { bcrypt_cost: Some(4) }.bcrypt().expect("one of bcrypt");
        let hash = BcryptHash::parse(&text).expect("of bcrypt's form");
        assert_eq!(hash.cost, 4);
        assert!(!hash.verify(&Secret::new("")));
        assert_eq!(Decoy::default().bcrypt(), None);
    }

    #[test]
    fn names_of_nobody_are_slow_in_the_share_of_those_who_have_not_been_here_and_only_get_quicker() {
        let counts = |of_12, of_10| {
            let mut counts = [0; COST_MAX as usize + 1];
            (counts[12], counts[10]) = (of_12, of_10);
            counts
        };
        let marks = (0..1000_u32).map(|n| n.wrapping_mul(2_654_435_761));
        let costs = |of_12, of_10| -> Vec<u8> {
            let decoys = marks.clone().map(move |mark| Decoy::of(mark, &counts(of_12, of_10), 100));
            decoys.map(|decoy| decoy.bcrypt_cost.unwrap_or(0)).collect()
        };
        let (at_first, later) = (costs(60, 20), costs(30, 10));
        let share = |costs: &[u8], cost| costs.iter().filter(|c| **c == cost).count();
        assert!((550..650).contains(&share(&at_first, 12)), "{}", share(&at_first, 12));
        assert!((150..250).contains(&share(&at_first, 10)), "{}", share(&at_first, 10));
        assert!(at_first.iter().zip(&later).all(|(before, after)| after <= before));
        assert_eq!(Decoy::of(0, &counts(0, 0), 100), Decoy::default());
        assert_eq!(Decoy::of(u32::MAX, &counts(0, 0), 0), Decoy::default());
        assert_eq!(Decoy::of(u32::MAX, &counts(7, 0), 7).bcrypt_cost, Some(12), "everybody's is bcrypt");
    }
}
