//! Configuration: what was typed, in a file or the environment, becomes each module's checked `Config`.
//!
//! `keys` is the one list of settings. `settings` reads file and environment against it and remembers where each
//! value came from; `build` checks the values and the relations between them. No other module reads either.

mod build;
mod keys;
mod profiles;
mod settings;

pub use build::{BackendChoice, Config, HubBind, Loaded, Reload, Source, load, load_all};
pub use keys::{KEYS, Key, Kind, TakenUp, template};
pub use settings::{Given, Mistake, Note, Origin, Setting, SettingTold, Settings, Sources};
