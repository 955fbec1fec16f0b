//! What the look-up of a session by its cookie costs, in time and in allocations, among 1 to 100,000 sessions; of a
//! cookie that nobody has; and of asking whether a session or a token may open its server. Ends with an error if one
//! allocates. Then what working out an administrator's rights costs among 10,000 users and 1,000 groups.
//!
//! `cargo bench --bench caller`

// A benchmark talks to the terminal.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use slipway::auth::{Auth, Caller, Config, may_access_server};
use slipway::model::{Clock, GroupName, Random, Secret, ServerKey, SessionKey, SystemClock, UserName};
use slipway::store::{SessionRow, Store, UserRow};

/// Look-ups of one measurement.
const LOOK_UPS: usize = 200_000;
/// Sessions of one user, as the default limit allows.
const SESSIONS_PER_USER: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    println!("{:>8}  {:<20} {:>8} {:>12}", "sessions", "cookie", "ns each", "allocations");
    let mut allocates = Vec::new();
    for count in [1, 100, 10_000, 100_000] {
        let folder = tempfile::TempDir::new()?;
        let (auth, cookies) = runtime.block_on(auth_with(count, folder.path()))?;
        let unknown: Vec<_> = (0..1000).map(|_| SessionKey::generate(&Random::from_system()).0).collect();
        for (title, cookies, is_hit) in [("known", &cookies, true), ("unknown", &unknown, false)] {
            let cookies: Vec<_> = cookies.iter().take(1000).collect();
            let look_up = |cookie: &Secret| black_box(auth.session_of_cookie(black_box(cookie.expose())).is_some());
            if cookies.iter().any(|cookie| look_up(cookie) != is_hit) {
                return Err(format!("{title}: wrong answer at {count} sessions").into());
            }
            let began = Instant::now();
            for cookie in cookies.iter().cycle().take(LOOK_UPS) {
                look_up(cookie);
            }
            let each_ns = began.elapsed().as_nanos() as f64 / LOOK_UPS as f64;
            let counted = allocation_counter::measure(|| {
                for cookie in &cookies {
                    look_up(cookie);
                }
            });
            println!("{count:>8}  {title:<20} {each_ns:>8.0} {:>12}", counted.count_total);
            if counted.count_total > 0 {
                allocates.push(format!("{title} among {count}: {}", counted.count_total));
            }
        }
    }
    runtime.block_on(rights(&mut allocates))?;
    if allocates.is_empty() { Ok(()) } else { Err(format!("look-ups allocate: {allocates:?}").into()) }
}

/// What it costs to ask whether somebody may open his server, and to work out what he may do.
async fn rights(allocates: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    const USERS: usize = 10_000;
    const GROUPS: usize = 1_000;
    let folder = tempfile::TempDir::new()?;
    let (auth, cookies) = auth_with(USERS * SESSIONS_PER_USER, folder.path()).await?;
    let names: Vec<_> = (0..USERS).map(|number| UserName::parse(&format!("u{number:05}"))).collect::<Result<_, _>>()?;
    let groups: Vec<_> =
        (0..GROUPS).map(|number| GroupName::parse(&format!("g{number:04}"))).collect::<Result<_, _>>()?;
    // Everybody is in ten groups, the administrator in all.
    for (number, group) in groups.iter().enumerate() {
        let members: Vec<_> =
            names.iter().skip(number % 100).step_by(100).chain(std::iter::once(&names[0])).cloned().collect();
        auth.create_groups("bench", std::slice::from_ref(group), &members).await?;
    }
    auth.set_admin("bench", &names[0], true).await?;
    let admin = auth.user(&names[0]).ok_or("no administrator")?;
    let mut slowest_us = 0;
    for group in groups.iter().take(20) {
        auth.set_group_properties("bench", group, serde_json::Map::new()).await?;
        let began = Instant::now();
        black_box(admin.rights());
        slowest_us = slowest_us.max(began.elapsed().as_micros());
    }
    println!("rights of an administrator of {USERS} users in {GROUPS} groups: {slowest_us} us at most");

    let own = ServerKey::default_of(names[9].clone());
    let session = auth.session_of_cookie(cookies[9 * SESSIONS_PER_USER].expose()).ok_or("no session")?;
    let secret = auth.issue_server_token(&own).await?;
    let token = auth.token_of(secret.expose()).ok_or("no token")?;
    let callers = [("session", Caller::Session(session)), ("token", Caller::Token(token))];
    for (title, caller) in &callers {
        if !may_access_server(caller, &own) {
            return Err(format!("{title}: may not open its own server").into());
        }
        let began = Instant::now();
        for _ in 0..LOOK_UPS {
            black_box(may_access_server(black_box(caller), black_box(&own)));
        }
        let each_ns = began.elapsed().as_nanos() as f64 / LOOK_UPS as f64;
        let counted = allocation_counter::measure(|| {
            black_box(may_access_server(caller, &own));
        });
        println!("may a {title} open its own server: {each_ns:.0} ns, {} allocations", counted.count_total);
        if counted.count_total > 0 {
            allocates.push(format!("may_access_server of a {title}"));
        }
    }
    Ok(())
}

/// People with `count` live sessions, loaded from a store as at every start.
async fn auth_with(count: usize, data_dir: &std::path::Path) -> Result<(Auth, Vec<Secret>), Box<dyn Error>> {
    let (random, now) = (Random::from_system(), SystemClock.now());
    let store = Store::open(&slipway::store::Config { data_dir: data_dir.into() })?;
    let mut cookies = Vec::new();
    store.write(|transaction| {
        for number in 0..count {
            let user = UserName::parse(&format!("u{:05}", number / SESSIONS_PER_USER)).expect("a name");
            if number % SESSIONS_PER_USER == 0 {
                transaction.put_user(&UserRow { authorised: true, ..UserRow::new(user.clone(), now) })?;
            }
            let (cookie, key) = SessionKey::generate(&random);
            cookies.push(cookie);
            let hub_session_id = format!("{number:032x}");
            transaction.put_session(&SessionRow {
                key,
                user,
                hub_session_id,
                created: now,
                last_seen: now,
                from: None,
                agent: String::new(),
            })?;
        }
        Ok(())
    })?;
    let config = Config { data_dir: data_dir.into(), ..Config::default() };
    let auth = Auth::load(config, store, Arc::new(SystemClock), random).await?;
    Ok((auth, cookies))
}
