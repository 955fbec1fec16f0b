//! Writes the rows of many running servers, so that the benchmark can begin with 10,000 or 100,000 routes.
//!
//! Usage: `bench_seed DATA_DIR COUNT`, on a data folder that no Slipway has open. Users are `u00000`, `u00001`, …; they
//! have no password, and their servers are those of `spawner.backend = "static"`.

use std::error::Error;

use slipway::model::{Generation, ServerKey, Timestamp, UserName};
use slipway::store::{Config, ServerRow, Store, UserRow};

/// Rows of one commit: a table of 100,000 in one would need much memory.
const ROWS_PER_COMMIT: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, data_dir, count] = &arguments[..] else { return Err("usage: bench_seed DATA_DIR COUNT".into()) };
    let store = Store::open(&Config { data_dir: data_dir.into() })?;
    let numbers: Vec<usize> = (0..count.parse()?).collect();
    for chunk in numbers.chunks(ROWS_PER_COMMIT) {
        let rows = chunk.iter().map(|number| rows_of(*number)).collect::<Result<Vec<_>, _>>()?;
        store.write(|transaction| {
            rows.iter().try_for_each(|(user, server)| {
                transaction.put_user(user)?;
                transaction.put_server(server)
            })
        })?;
    }
    Ok(())
}

fn rows_of(number: usize) -> Result<(UserRow, ServerRow), Box<dyn Error>> {
    let name = UserName::parse(&format!("u{number:05}"))?;
    let key = ServerKey::default_of(name.clone());
    let user = UserRow { authorised: true, ..UserRow::new(name, Timestamp(0)) };
    let server = ServerRow {
        handle: Some(serde_json::json!({ "static": &key }).into()),
        generation: Generation(1),
        wanted: true,
        started_at: Some(Timestamp(0)),
        ..ServerRow::new(key)
    };
    Ok((user, server))
}
