//! What the look-up of a session by its cookie costs, in time and in allocations, among 1 to 100,000 sessions; and
//! of a cookie that nobody has. Ends with an error if one allocates.
//!
//! `cargo bench --bench caller`

// A benchmark talks to the terminal.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use slipway::auth::{Auth, Config};
use slipway::model::{Clock, Random, Secret, SessionKey, SystemClock, UserName};
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
    if allocates.is_empty() { Ok(()) } else { Err(format!("look-ups allocate: {allocates:?}").into()) }
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
                transaction.put_user(&UserRow {
                    name: user.clone(),
                    password: None,
                    authorised: true,
                    admin: false,
                    created: now,
                    last_activity: None,
                })?;
            }
            let (cookie, key) = SessionKey::generate(&random);
            cookies.push(cookie);
            let hub_session_id = format!("{number:032x}");
            transaction.put_session(&SessionRow { key, user, hub_session_id, created: now, last_seen: now })?;
        }
        Ok(())
    })?;
    let config = Config { data_dir: data_dir.into(), ..Config::default() };
    let auth = Auth::load(config, store, Arc::new(SystemClock), random).await?;
    Ok((auth, cookies))
}
