//! Cells with what no JupyterHub writes.

use rusqlite::ToSql;

use super::hub::{CREATED, Hub, in_container};
use super::moving::{Here, name};
use crate::takeover::jupyterhub::{Table, report};

#[test]
fn a_cell_of_any_type_or_length_only_loses_its_row() {
    let hub = Hub::of_version(5).with_native();
    let long = "x".repeat(10 << 20);
    let values: [&dyn ToSql; 7] =
        [&long, &vec![0xff_u8; 32], &7_i64, &1.5_f64, &rusqlite::types::Null, &"nul\0nul", &"{\"a\": [1}"];
    for value in values {
        hub.sql.execute("INSERT INTO users (name, admin, created) VALUES (?1, ?1, ?1)", [value]).expect("a row");
        hub.sql.execute("INSERT INTO groups (name, properties) VALUES (?1, ?1)", [value]).expect("a row");
        let tokens = "INSERT INTO api_tokens (user_id, hashed, prefix, note, scopes, expires_at) VALUES (?1, ?1, ?1, ?1, ?1, ?1)";
        hub.sql.execute(tokens, [value]).expect("a row");
        hub.sql
            .execute("INSERT INTO spawners (user_id, name, state, user_options) VALUES (1, ?1, ?1, ?1)", [value])
            .expect("a row");
        hub.sql.execute("INSERT INTO user_group_map VALUES (?1, 5)", [value]).unwrap_or(0);
        hub.sql.execute("INSERT INTO roles (name, scopes) VALUES (?1, ?1)", [value]).expect("a row");
        hub.sql.execute("INSERT INTO services (name, info, from_config) VALUES (?1, ?1, 0)", [value]).expect("a row");
        let logins = "INSERT INTO users_info (username, password, has_2fa, otp_secret) VALUES ('mallory', coalesce(?1, ''), 1, ?1)";
        hub.sql.execute(logins, [value]).expect("a row");
    }
    hub.user("alice", false);
    let here = Here::new();
    let plan = here.take_over(&hub);
    let text = report(&plan);
    assert!(here.store.user(&name("alice")).expect("read").is_some());
    assert!(here.store.tokens().expect("read").is_empty());
    assert!(text.len() < 64 * 1024 && !text.contains('\0') && !text.contains("xxxxxxxxxxxx".repeat(10).as_str()));
    assert!(plan.tallies[&Table::Users].not_taken >= 5, "{text}");
    let mallory = here.store.user(&name("mallory")).expect("read");
    assert!(
        mallory.is_none_or(|row| row.password.is_none()),
        "a second factor that cannot be read is none the less one"
    );
}

#[test]
fn times_that_make_no_sense_keep_nobody_alive_and_let_nothing_live_for_ever() {
    let hub = Hub::of_version(5);
    for (user, time) in
        [("a", "-4713-01-01 00:00:00"), ("b", "9999-12-31 23:59:59"), ("c", "soon"), ("d", "2150-01-01 00:00:00")]
    {
        let id = hub.user(user, false);
        hub.run("UPDATE users SET created = ?1, last_activity = ?1 WHERE id = ?2", &[&time, &id]);
        let token = hub.token(id, &format!("{user:x>32}"), "", "[\"inherit\"]");
        hub.run("UPDATE api_tokens SET expires_at = ?1 WHERE id = ?2", &[&time, &token]);
    }
    let here = Here::new();
    let plan = here.take_over(&hub);
    for row in here.store.users().expect("read") {
        assert!(row.last_activity.is_none_or(|at| at <= super::moving::NOW), "{row:?}");
    }
    let tokens = here.store.tokens().expect("read");
    assert_eq!(tokens.len(), 1, "{}", report(&plan));
    assert!(tokens[0].expires_at.is_some());
    assert!(report(&plan).contains("its end is not a time"));
}

#[test]
fn a_hash_that_would_take_for_ever_to_compare_is_none() {
    let hub = Hub::of_version(5);
    let alice = hub.user("alice", false);
    let digest = "0".repeat(128);
    for hashed in [
        format!("sha512:4294967295:ab:{digest}"),
        format!("sha512:0:ab:{digest}"),
        format!("md5:1:ab:{digest}"),
        format!("sha512:1:ab:{digest}:x"),
        "sha512:1:ab:short".into(),
    ] {
        hub.run(
            "INSERT INTO api_tokens (user_id, hashed, prefix, created, scopes) VALUES (?1, ?2, 'abcd', ?3, '[]')",
            &[&alice, &hashed, &CREATED],
        );
    }
    let here = Here::new();
    assert_eq!(here.take_over(&hub).tallies[&Table::ApiTokens].not_taken, 5);
    assert!(here.store.tokens().expect("read").is_empty());
}

#[test]
fn numbers_of_tokens_leave_us_some() {
    let hub = Hub::of_version(5);
    let alice = hub.user("alice", false);
    for id in [i64::MAX, -1, 0, 3] {
        let token = hub.token(alice, &format!("{:032x}", id.unsigned_abs() + 1), "", "[\"inherit\"]");
        hub.run("UPDATE api_tokens SET id = ?1 WHERE id = ?2", &[&id, &token]);
    }
    let here = Here::new();
    here.take_over(&hub);
    let mut ids: Vec<_> = here.store.tokens().expect("read").into_iter().map(|row| row.id.0).collect();
    ids.sort_unstable();
    assert_eq!(ids, [3, 4, 5, 6]);
}

#[test]
fn a_report_of_ten_thousand_troubles_stays_short() {
    let hub = Hub::of_version(5);
    hub.sql.execute_batch("BEGIN").expect("begun");
    for number in 0..10_000 {
        hub.user(&format!("a/{number}"), false);
    }
    hub.sql.execute_batch("COMMIT").expect("done");
    let text = report(&Here::new().plan(&hub));
    assert_eq!(text.lines().filter(|line| line.starts_with("not taken: users")).count(), 51);
    assert!(text.contains("not taken: users and 9950 more"));
}

#[test]
fn a_name_cannot_write_a_line_of_the_report() {
    let hub = Hub::of_version(5);
    hub.user("x\nnot taken: users \"root\": \u{1b}[2J", false);
    let user = hub.user("alice", false);
    hub.running(user, "/user/alice/\n\u{1b}[2Jkept: all", &in_container());
    let text = report(&Here::new().plan(&hub));
    assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("kept: all")), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("not taken: users")).count(), 1);
}
