//! What one look-up in the route table costs, in time and in allocations: 1 to 100,000 routes, shallow and deep paths,
//! hits and misses. Ends with an error if a look-up of a plain path allocates.
//!
//! `cargo bench --bench route_table`

// A benchmark talks to the terminal.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use slipway::model::{
    BasePath, Generation, NormalPath, Route, Routes, ServerKey, ServerName, Timestamp, UpstreamAddress, UserName,
};

/// Look-ups of one measurement; each is of another user where there are several.
const LOOK_UPS: usize = 200_000;

fn route(server: ServerKey) -> Arc<Route> {
    let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 9000).into());
    Arc::new(Route::new(server, Generation(1), address, Timestamp(0)))
}

fn server(number: usize, name: &str) -> Result<ServerKey, Box<dyn Error>> {
    Ok(ServerKey { user: UserName::parse(&format!("u{number:05}"))?, name: ServerName::parse(name)? })
}

fn main() -> Result<(), Box<dyn Error>> {
    let base = BasePath::parse("/")?;
    println!("{:>8}  {:<34} {:>8} {:>12}", "routes", "path", "ns each", "allocations");
    let mut allocates = Vec::new();
    for count in [1, 100, 10_000, 100_000] {
        let routes = Routes::default();
        for number in 0..count {
            // Every tenth has a named server as well, which makes the deepest prefix one segment longer.
            let key = server(number, if number % 10 == 9 { "gpu" } else { "" })?;
            routes.publish(&key.route_key(&base), route(key));
        }
        let deep = format!("/user/{{}}/lab/tree/{}notebook.ipynb", "folder/".repeat(20));
        let cases = [
            ("shallow", "/user/{}/lab", true),
            ("deep", deep.as_str(), true),
            ("no such user", "/user/{}x/lab", false),
            ("not a user's path", "/hub/{}", false),
        ];
        for (title, pattern, is_hit) in cases {
            // Named servers are not hit by these paths.
            let numbers = (0..count).filter(|number| number % 10 != 9).take(1000);
            let paths: Vec<_> = numbers.map(|number| pattern.replace("{}", &format!("u{number:05}"))).collect();
            let paths = paths.iter().map(|path| NormalPath::parse(path)).collect::<Result<Vec<_>, _>>()?;
            let look_up = |path: NormalPath<'_>| black_box(routes.current().find(black_box(path)).is_some());
            if paths.iter().any(|path| look_up(*path) != is_hit) {
                return Err(format!("{title}: wrong answer at {count} routes").into());
            }
            let began = Instant::now();
            for path in paths.iter().cycle().take(LOOK_UPS) {
                look_up(*path);
            }
            let each_ns = began.elapsed().as_nanos() as f64 / LOOK_UPS as f64;
            let counted = allocation_counter::measure(|| {
                for path in &paths {
                    look_up(*path);
                }
            });
            println!("{count:>8}  {title:<34} {each_ns:>8.0} {:>12}", counted.count_total);
            if counted.count_total > 0 {
                allocates.push(format!("{title} at {count} routes: {}", counted.count_total));
            }
        }
        one_more(&routes, count, &base)?;
    }
    if allocates.is_empty() { Ok(()) } else { Err(format!("look-ups allocate: {allocates:?}").into()) }
}

/// What it costs to add one route (goal: at most 50 µs).
fn one_more(routes: &Routes, count: usize, base: &BasePath) -> Result<(), Box<dyn Error>> {
    const ADDED: usize = 1000;
    let added = (0..ADDED).map(|number| server(number, "added")).collect::<Result<Vec<_>, _>>()?;
    let added: Vec<_> = added.into_iter().map(|key| (key.route_key(base), route(key))).collect();
    let began = Instant::now();
    for (key, route) in &added {
        routes.publish(key, route.clone());
    }
    let each_ns = began.elapsed().as_nanos() as f64 / ADDED as f64;
    println!("{count:>8}  {:<34} {each_ns:>8.0}", "one route added");
    Ok(())
}
