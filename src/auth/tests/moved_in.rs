//! Accounts that came along from a JupyterHub: their passwords and second factors.

use super::*;
use crate::model::OtpSecret;
use crate::store::UserRow;

/// `correct horse`, by Python's bcrypt 4.3.
const HASH: &str = "$2b$04$ddOLAXIMRlIAzcHIdYAj5eNvDRJG.lcZqWt2ytrvaGREiVZsDqwsG";
/// 36 times `é` and more, of which bcrypt sees the former.
const HASH_OF_A_LONG_ONE: &str = "$2b$04$9oLsNPxNGaRPGotRiFvUJer69uTRl9R95MrF8WYWc/.61Tms2FzX6";

impl World {
    fn row(&self, name: &str) -> UserRow {
        self.auth.0.store.user(&super::name(name)).expect("readable").expect("an account")
    }

    fn hash(&self, name: &str) -> String {
        self.row(name).password.expect("a password")
    }

    /// As an import leaves the account, and a start of Slipway after it.
    async fn moved_in(self, name: &str, change: impl FnOnce(&mut UserRow)) -> Self {
        let mut row = UserRow { password: Some(HASH.to_owned()), ..self.row(name) };
        change(&mut row);
        self.auth.0.store.write(|t| t.put_user(&row)).expect("stored");
        self.restart().await
    }

    async fn is_refused(&self, name: &str, password: &str) -> bool {
        let answer = self.auth.sign_in(name, &secret(password), address(2)).await;
        matches!(answer, Err(SignInError::Wrong))
    }
}

async fn world_of_alice() -> World {
    let world = World::new().await;
    world.user("alice").await;
    world
}

#[tokio::test]
async fn the_old_password_signs_in_and_is_hashed_anew_with_the_sign_in() {
    let world = world_of_alice().await;
    let (elsewhere, _) = world.sign_in("alice").await;
    let world = world.moved_in("alice", |row| row.last_activity = Some(Timestamp(7))).await;
    assert!(world.is_refused("alice", "correct hors").await);
    assert_eq!(world.hash("alice"), HASH, "a wrong password changes nothing");
    let (cookie, _) = world.sign_in("alice").await;
    let hash = world.hash("alice");
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    assert_eq!(world.row("alice").last_activity, Some(Timestamp(7)), "the rest of the row stays");
    assert!(world.is_live(&cookie) && world.is_live(&elsewhere), "no session ends by it");
    world.sign_in("alice").await;
    assert_eq!(world.hash("alice"), hash, "once is enough");
    assert!(world.is_refused("alice", "correct hors").await);
    world.restart().await.sign_in("alice").await;
}

#[tokio::test]
async fn who_signs_in_twice_at_once_is_let_in_twice() {
    let world = world_of_alice().await.moved_in("alice", |_| {}).await;
    let password = secret(GOOD);
    let sign_in = |from| world.auth.sign_in("alice", &password, address(from));
    let (one, other) = tokio::join!(sign_in(1), sign_in(2));
    assert!(one.is_ok() && other.is_ok(), "{:?} {:?}", one.err(), other.err());
}

#[tokio::test]
async fn a_password_of_which_bcrypt_sees_a_part_works_as_before_until_another_is_set() {
    let world = world_of_alice().await.moved_in("alice", |row| row.password = Some(HASH_OF_A_LONG_ONE.into())).await;
    let head = "é".repeat(36);
    for password in [head.clone() + "one tail", head.clone() + "another"] {
        world.auth.sign_in("alice", &secret(&password), address(1)).await.expect("the first 72 bytes are right");
        assert_eq!(world.hash("alice"), HASH_OF_A_LONG_ONE, "a slip in the tail must not become the password");
    }
    world.auth.sign_in("alice", &secret(&head), address(1)).await.expect("72 bytes are all of it");
    assert!(world.hash("alice").starts_with("$argon2id$"));
}

#[tokio::test]
async fn passwords_that_came_along_can_be_changed_forced_and_set_and_are_asked_again() {
    let world = world_of_alice().await.moved_in("alice", |_| {}).await;
    let alice = name("alice");
    let (cookie, _) = world.sign_in("alice").await;
    let world = world.moved_in("alice", |row| row.must_change_password = true).await;
    let session = world.auth.session_of_cookie(cookie.expose()).expect("sessions outlive a restart");
    world.auth.verify_password_again(&session, &secret(GOOD), address(1)).await.expect("it is hers");
    let change = async |old: &str| {
        world.auth.change_password(&session, &secret(old), &secret("battery staple"), address(1)).await
    };
    assert!(matches!(change("correct hors").await, Err(AccountError::WrongPassword)));
    change(GOOD).await.expect("it is hers");
    assert!(world.hash("alice").starts_with("$argon2id$") && !session.user.must_change_password());

    let world = world.moved_in("alice", |_| {}).await;
    world.auth.set_password("root", &alice, &secret("staple battery"), true).await.expect("an administrator may");
    assert!(world.is_refused("alice", GOOD).await);
    world.auth.sign_in("alice", &secret("staple battery"), address(1)).await.expect("the new one");
}

#[tokio::test]
async fn a_sign_in_under_way_does_not_break_a_change_of_the_same_password() {
    let world = world_of_alice().await.moved_in("alice", |_| {}).await;
    let (_, session) = world.sign_in("alice").await;
    let known = session.user.password();
    session.user.set_rehashed("$argon2id$another hash of the same");
    assert!(session.user.still_has(&known));
    world.auth.set_password("root", &name("alice"), &secret("battery staple"), false).await.expect("stored");
    assert!(!session.user.still_has(&known));
}

#[tokio::test]
async fn a_hash_that_would_keep_a_core_busy_lets_nobody_in() {
    let world = world_of_alice().await;
    let world = world.moved_in("alice", |row| row.password = Some(HASH.replacen("$04$", "$31$", 1))).await;
    assert!(world.is_refused("alice", GOOD).await);
}

#[tokio::test]
async fn who_has_a_second_factor_is_not_let_in_by_the_password_alone_until_it_is_cleared() {
    let otp_secret = || OtpSecret::parse("JBSWY3DPEHPK3PXP");
    let world = world_of_alice().await;
    let alice = name("alice");
    let new = NewToken { scopes: None, note: String::new(), expires_in: None, by: Asker::Operator };
    let (token, _) = world.auth.create_token("test", &alice.clone().into(), new).await.expect("a token");
    let (cookie, _) = world.sign_in("alice").await;
    let world = world.moved_in("alice", |row| row.otp_secret = otp_secret()).await;

    assert!(world.is_refused("alice", "correct hors").await, "a wrong password tells nothing of it");
    let right = world.auth.sign_in("alice", &secret(GOOD), address(1)).await;
    assert!(matches!(right, Err(SignInError::SecondFactor)), "{right:?}");
    assert_eq!(world.hash("alice"), HASH, "that was no sign-in");
    assert!(world.is_live(&cookie), "what is signed in stays so");
    assert!(world.auth.token_of(token.expose()).is_some(), "tokens go on working");
    assert!(!format!("{:?}", world.row("alice")).contains("JBSWY"), "it is printed nowhere");

    world.auth.set_password("root", &alice, &secret(GOOD), false).await.expect("stored");
    let right = world.auth.sign_in("alice", &secret(GOOD), address(1)).await;
    assert!(matches!(right, Err(SignInError::SecondFactor)), "a new password is no second factor");
    for _ in 0..2 {
        world.auth.clear_second_factor("root", &alice).await.expect("stored");
    }
    world.sign_in("alice").await;
    let acts = world.acts().into_iter().filter(|act| act == "root cleared the second factor of alice");
    assert_eq!(acts.count(), 1);
    world.restart().await.sign_in("alice").await;
    let unknown = World::new().await.auth.clear_second_factor("root", &alice).await;
    assert!(matches!(unknown, Err(AccountError::Unknown(_))));
}

/// The medians of both, in turns, so that a busy machine slows both alike.
async fn medians(world: &World, names: [&str; 2]) -> [Duration; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..9 {
        for (name, took) in names.iter().zip(&mut took) {
            let begun = std::time::Instant::now();
            assert!(world.is_refused(name, "wrong").await);
            took.push(begun.elapsed());
        }
    }
    took.map(|mut took| {
        took.sort();
        took[took.len() / 2]
    })
}

#[tokio::test]
async fn a_name_of_nobody_takes_as_long_as_one_that_came_along() {
    let world = World::with(|config| (config.tries_per_name, config.tries_per_address) = (1000, 1000)).await;
    world.user("alice").await;
    // Cost 10: some 50 ms, which argon2 does not take.
    let world = world.moved_in("alice", |row| row.password = Some(HASH.replacen("$04$", "$10$", 1))).await;
    let [alice, nobody] = medians(&world, ["alice", "nobody"]).await;
    assert!(alice < nobody * 2 && nobody < alice * 2, "alice {alice:?}, nobody {nobody:?}");
    world.auth.set_password("root", &name("alice"), &secret(GOOD), false).await.expect("stored");
    let [alice, nobody] = medians(&world, ["alice", "nobody"]).await;
    assert!(alice < nobody * 2 && nobody < alice * 2, "alice {alice:?}, nobody {nobody:?}");
}
