//! Random sequences of account acts against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["admin", "alice", "bob", "carol"];

#[derive(Clone, Debug)]
enum Act {
    SignUp { who: usize, with_code: bool },
    Add { who: usize, admin: bool },
    Authorise { who: usize, authorised: bool },
    SetAdmin { who: usize, admin: bool },
    SetPassword { who: usize },
    Disable { who: usize, disabled: bool },
    Force { who: usize, must: bool },
    Delete { who: usize },
    SignIn { who: usize },
    SignOut { nth: usize },
    IssueServerToken { who: usize },
    EndServerToken { who: usize },
    Flush,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..NAMES.len();
    prop_oneof![
        2 => (who.clone(), any::<bool>()).prop_map(|(who, with_code)| Act::SignUp { who, with_code }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, admin)| Act::Add { who, admin }),
        3 => (who.clone(), any::<bool>()).prop_map(|(who, authorised)| Act::Authorise { who, authorised }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, admin)| Act::SetAdmin { who, admin }),
        1 => who.clone().prop_map(|who| Act::SetPassword { who }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, disabled)| Act::Disable { who, disabled }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, must)| Act::Force { who, must }),
        2 => who.clone().prop_map(|who| Act::Delete { who }),
        6 => who.clone().prop_map(|who| Act::SignIn { who }),
        2 => (0..8_usize).prop_map(|nth| Act::SignOut { nth }),
        3 => who.clone().prop_map(|who| Act::IssueServerToken { who }),
        1 => who.prop_map(|who| Act::EndServerToken { who }),
        1 => Just(Act::Flush),
        1 => Just(Act::Restart),
    ]
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Person {
    admin: bool,
    authorised: bool,
    disabled: bool,
    must_change: bool,
}

impl Person {
    fn may_sign_in(&self) -> bool {
        self.authorised && !self.disabled
    }
}

/// What should be the case.
#[derive(Default)]
struct Model {
    people: BTreeMap<&'static str, Person>,
    /// Live cookies by number, and whose.
    sessions: BTreeMap<usize, &'static str>,
    tokens: BTreeSet<(usize, &'static str)>,
}

impl Model {
    fn window_is_open(&self) -> bool {
        !self.people.values().any(|p| p.admin && p.may_sign_in())
    }
    fn is_last_administrator(&self, who: &str) -> bool {
        let is = |p: &Person| p.admin && p.may_sign_in();
        self.people.get(who).is_some_and(is) && self.people.iter().filter(|(_, p)| is(p)).count() == 1
    }
    fn end_all(&mut self, who: &str) {
        self.sessions.retain(|_, owner| *owner != who);
        self.tokens.retain(|(_, owner)| *owner != who);
    }
}

/// The real thing, and all it ever handed out.
struct Real {
    world: World,
    cookies: Vec<(Secret, Arc<Session>)>,
    tokens: Vec<Secret>,
    code: Secret,
}

/// Does `act` to both; true if the outcome is the same.
async fn step(mut real: Real, model: &mut Model, act: &Act) -> Result<Real, TestCaseError> {
    let auth = real.world.auth.clone();
    match *act {
        Act::SignUp { who, with_code } => {
            let who = NAMES[who];
            let code = with_code.then(|| real.code.expose().to_owned());
            let result = auth.sign_up(who, &secret(GOOD), code.as_deref(), address(1)).await;
            let person = model.people.get(who).copied();
            if model.window_is_open() && who == "admin" {
                let may = with_code && person.is_none_or(|p| !p.may_sign_in());
                prop_assert_eq!(result.is_ok(), may, "{:?}", result);
                if may {
                    model.people.insert(who, Person { admin: true, authorised: true, ..Person::default() });
                }
            } else {
                prop_assert_eq!(result.is_ok(), person.is_none(), "{:?}", result);
                model.people.entry(who).or_default();
            }
        }
        Act::Add { who, admin } => {
            let result = auth.add_user("t", NAMES[who], Some(&secret(GOOD)), admin).await;
            prop_assert_eq!(result.is_ok(), !model.people.contains_key(NAMES[who]));
            let admin = admin || NAMES[who] == "admin";
            model.people.entry(NAMES[who]).or_insert(Person { admin, authorised: true, ..Person::default() });
        }
        Act::Authorise { who, authorised } => {
            let who = NAMES[who];
            let result = auth.authorise("t", &name(who), authorised).await;
            let may = model.people.contains_key(who) && (authorised || !model.is_last_administrator(who));
            prop_assert_eq!(result.is_ok(), may, "{:?}", result);
            if let Some(person) = model.people.get_mut(who).filter(|_| may) {
                person.admin |= authorised && !person.authorised && who == "admin";
                person.authorised = authorised;
                if !authorised {
                    model.end_all(who);
                }
            }
        }
        Act::SetAdmin { who, admin } => {
            let who = NAMES[who];
            let result = auth.set_admin("t", &name(who), admin).await;
            let may = model.people.contains_key(who) && (admin || !model.is_last_administrator(who));
            prop_assert_eq!(result.is_ok(), may, "{:?}", result);
            if let Some(person) = model.people.get_mut(who).filter(|_| may) {
                person.admin = admin;
            }
        }
        Act::SetPassword { who } => {
            let who = NAMES[who];
            let result = auth.set_password("t", &name(who), &secret(GOOD), false).await;
            prop_assert_eq!(result.is_ok(), model.people.contains_key(who));
            model.sessions.retain(|_, owner| *owner != who);
            if let Some(person) = model.people.get_mut(who) {
                person.must_change = false;
            }
        }
        Act::Disable { who, disabled } => {
            let who = NAMES[who];
            let result = auth.set_disabled("t", &name(who), disabled).await;
            let is_same = model.people.get(who).is_some_and(|person| person.disabled == disabled);
            let may = model.people.contains_key(who) && (!disabled || is_same || !model.is_last_administrator(who));
            prop_assert_eq!(result.is_ok(), may, "{:?}", result);
            if let Some(person) = model.people.get_mut(who).filter(|_| may) {
                person.disabled = disabled;
                if disabled {
                    model.end_all(who);
                }
            }
        }
        Act::Force { who, must } => {
            let who = NAMES[who];
            let result = auth.require_password_change("t", &name(who), must).await;
            prop_assert_eq!(result.is_ok(), model.people.contains_key(who));
            if let Some(person) = model.people.get_mut(who) {
                person.must_change = must;
            }
        }
        Act::Delete { who } => {
            let who = NAMES[who];
            let result = auth.delete_user("t", &name(who)).await;
            let may = model.people.contains_key(who) && !model.is_last_administrator(who);
            prop_assert_eq!(result.is_ok(), may, "{:?}", result);
            if may {
                model.people.remove(who);
                model.end_all(who);
            }
        }
        Act::SignIn { who } => {
            let who = NAMES[who];
            let result = auth.sign_in(who, &secret(GOOD), address(1)).await;
            prop_assert_eq!(result.is_ok(), model.people.get(who).is_some_and(Person::may_sign_in));
            if let Ok(signed_in) = result {
                model.sessions.insert(real.cookies.len(), who);
                real.cookies.push(signed_in);
            }
        }
        Act::SignOut { nth } => {
            if let Some((_, session)) = real.cookies.get(nth) {
                auth.sign_out(session, None).await.expect("the disk is fine");
                model.sessions.remove(&nth);
            }
        }
        Act::IssueServerToken { who } => {
            let who = NAMES[who];
            let result = auth.issue_server_token(&server_of(&name(who))).await;
            prop_assert_eq!(result.is_ok(), model.people.get(who).is_some_and(Person::may_sign_in));
            if let Ok(token) = result {
                model.tokens.retain(|(_, owner)| *owner != who);
                model.tokens.insert((real.tokens.len(), who));
                real.tokens.push(token);
            }
        }
        Act::EndServerToken { who } => {
            auth.end_server_token(&server_of(&name(NAMES[who]))).await.expect("the disk is fine");
            model.tokens.retain(|(_, owner)| *owner != NAMES[who]);
        }
        Act::Flush => auth.flush_activity().await.expect("the disk is fine"),
        Act::Restart => {
            drop(auth);
            real.world = real.world.restart().await;
            if let Some(admin) = model.people.get_mut("admin").filter(|admin| admin.authorised) {
                admin.admin = true;
            }
            if let Some(code) = real.world.auth.setup_window().and_then(|window| window.code) {
                real.code = code;
            }
        }
    }
    // A code is made anew whenever the window opens again.
    if let Some(code) = real.world.auth.setup_window().and_then(|window| window.code) {
        real.code = code;
    }
    Ok(real)
}

fn compare(real: &Real, model: &Model) -> Result<(), TestCaseError> {
    let auth = &real.world.auth;
    let users: BTreeMap<String, Person> = auth
        .users()
        .into_iter()
        .map(|user| {
            let person = Person {
                admin: user.admin,
                authorised: user.authorised,
                disabled: user.disabled,
                must_change: user.must_change_password,
            };
            (user.name.to_string(), person)
        })
        .collect();
    let expected: BTreeMap<String, Person> = model.people.iter().map(|(who, p)| ((*who).to_owned(), *p)).collect();
    prop_assert_eq!(&users, &expected);
    let rows = auth.0.store.users().expect("readable");
    let stored: BTreeMap<String, Person> = rows
        .into_iter()
        .map(|row| {
            let person = Person {
                admin: row.admin,
                authorised: row.authorised,
                disabled: row.disabled,
                must_change: row.must_change_password,
            };
            (row.name.to_string(), person)
        })
        .collect();
    prop_assert_eq!(&stored, &expected, "memory and store");
    prop_assert_eq!(auth.setup_window().is_some(), model.window_is_open());
    for (number, (cookie, session)) in real.cookies.iter().enumerate() {
        let found = auth.session_of_cookie(cookie.expose());
        prop_assert_eq!(found.is_some(), model.sessions.contains_key(&number), "session {}", number);
        let Some(found) = found else { continue };
        let owner = model.sessions[&number];
        prop_assert_eq!(found.user.name.as_str(), owner);
        prop_assert_eq!(&found.hub_session_id, &session.hub_session_id);
        let caller = Caller::Session(found);
        let is_admin = model.people[owner].admin;
        prop_assert_eq!(may_administer(&caller), is_admin);
        for other in NAMES {
            prop_assert_eq!(may_access_server(&caller, &server_of(&name(other))), is_admin || other == owner);
        }
    }
    for (number, token) in real.tokens.iter().enumerate() {
        let found = auth.token_of(token.expose()).map(|token| token.owner.as_str().to_owned());
        let owner = model.tokens.iter().find(|(n, _)| *n == number).map(|(_, owner)| (*owner).to_owned());
        prop_assert_eq!(found, owner, "token {}", number);
    }
    prop_assert_eq!(auth.0.store.tokens().expect("readable").len(), model.tokens.len());
    Ok(())
}

proptest! {
    // A case costs some thirty hashes and fsyncs.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]
    #[test]
    fn any_sequence_of_acts_leaves_what_the_model_says(acts in proptest::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::with(|config| config.tries_per_address = 1000).await;
            let code = world.auth.setup_window().and_then(|window| window.code).expect("open with a code");
            let mut real = Real { world, cookies: Vec::new(), tokens: Vec::new(), code };
            let mut model = Model::default();
            for act in &acts {
                real = step(real, &mut model, act).await?;
                compare(&real, &model)?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
