//! Log lines: for a person on a terminal, one JSON object a line elsewhere. Whatever a field holds, a line stays one
//! line and says nothing to a terminal.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::Config;
use super::writer::{LineWriter, WriterLimits};
use crate::model::with_causes;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The level names nothing.
    #[error(
        "{level:?} is no log level; use error, warn, info, debug, trace, or directives as in \"info,slipway=debug\""
    )]
    Level {
        /// As configured.
        level: String,
        /// What is wrong.
        #[source]
        cause: tracing_subscriber::filter::ParseError,
    },
    /// The thread that writes could not be started.
    #[error("the log's thread could not be started")]
    Thread(#[source] std::io::Error),
    /// Another log was installed before.
    #[error("a log is installed already")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Of the one log that `init` has set up.
static DROPPED: OnceLock<Arc<AtomicU64>> = OnceLock::new();

/// The same log's filter.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// From now on the log keeps what `level` says: a level or directives, as in `Config::level`. One that means nothing
/// changes nothing, and neither does a program without a log of ours.
pub fn set_level(level: &str) {
    let (Some(handle), Ok(filter)) = (LEVEL.get(), EnvFilter::builder().parse(level)) else { return };
    // It fails only when the log is gone.
    let _ = handle.reload(filter);
}

/// How many lines of the log were dropped so far.
#[must_use]
pub fn log_lines_dropped() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.load(Ordering::Relaxed))
}

/// Installs the log for this process, on standard error, and counts panics from now on. The writer is for `flush` at
/// the end and for the access log. `no_color` is `NO_COLOR` of the environment.
///
/// # Errors
/// See `InitError`.
pub fn init(config: &Config, no_color: bool) -> Result<LineWriter, InitError> {
    let filter = EnvFilter::builder()
        .parse(&config.level)
        .map_err(|cause| InitError::Level { level: config.level.clone(), cause })?;
    let is_terminal = std::io::stderr().is_terminal();
    let writer = LineWriter::new(std::io::stderr(), &config.limits).map_err(InitError::Thread)?;
    let style = match config.format {
        LogFormat::Human => Style::Human { colours: is_terminal && !no_color },
        LogFormat::Auto if is_terminal => Style::Human { colours: !no_color },
        LogFormat::Auto | LogFormat::Json => Style::Json,
    };
    install(filter, style, writer)
}

/// Installs a log as configurable-http-proxy writes it, on standard output, where its callers look for certain lines;
/// and counts panics from now on.
///
/// # Errors
/// See `InitError`.
pub fn init_as_config_proxy(level: &str, no_color: bool) -> Result<LineWriter, InitError> {
    let level = level.to_owned();
    let filter = EnvFilter::builder().parse(&level).map_err(|cause| InitError::Level { level, cause })?;
    let writer = LineWriter::new(std::io::stdout(), &WriterLimits::default()).map_err(InitError::Thread)?;
    install(filter, Style::ConfigProxy { colours: std::io::stdout().is_terminal() && !no_color }, writer)
}

fn install(filter: EnvFilter, style: Style, writer: LineWriter) -> Result<LineWriter, InitError> {
    let _ = DROPPED.set(writer.dropped_counter());
    let lines = Lines { style, writer: writer.clone(), clock: || jiff::Timestamp::now() };
    let (filter, handle) = reload::Layer::new(filter);
    let _ = LEVEL.set(handle);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(InitError::Twice)?;
    super::count_panics();
    Ok(writer)
}

#[derive(Clone, Copy, Debug)]
enum Style {
    Human { colours: bool },
    Json,
    ConfigProxy { colours: bool },
}

/// Makes a line of every event.
struct Lines {
    style: Style,
    writer: LineWriter,
    clock: fn() -> jiff::Timestamp,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields { map: Map::new(), value_bytes: self.writer.line_bytes() / 4 };
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = match self.style {
            Style::Human { colours } => human_line((self.clock)(), *metadata.level(), fields.map, colours),
            Style::ConfigProxy { colours } => config_proxy_line((self.clock)(), *metadata.level(), fields.map, colours),
            Style::Json => json_line((self.clock)(), *metadata.level(), metadata.target(), fields.map),
        };
        self.writer.write_line(line.into_bytes());
    }
}

fn json_line(now: jiff::Timestamp, level: Level, target: &str, fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    line.insert("time".to_owned(), Value::String(format!("{now:.3}")));
    line.insert("level".to_owned(), Value::String(level.as_str().to_ascii_lowercase()));
    line.insert("target".to_owned(), Value::String(target.to_owned()));
    line.extend(fields);
    let mut line = Value::Object(line).to_string();
    line.push('\n');
    line
}

/// `02:07:07.732 WARN  certificate ends soon  file=cert.pem names=a.example`
fn human_line(now: jiff::Timestamp, level: Level, mut fields: Map<String, Value>, colours: bool) -> String {
    let message = message_of(&mut fields);
    let (on, soft, off) = match (colours, level) {
        (false, _) => ("", "", ""),
        (true, Level::ERROR) => ("\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"),
        (true, Level::WARN) => ("\u{1b}[33m", "\u{1b}[2m", "\u{1b}[0m"),
        (true, Level::INFO) => ("\u{1b}[32m", "\u{1b}[2m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[2m", "\u{1b}[2m", "\u{1b}[0m"),
    };
    let time = now.strftime("%H:%M:%S");
    let mut line = format!("{soft}{time}{off} {on}{level:<5}{off} {message}");
    push_fields(&mut line, &fields, soft, off);
    line.push('\n');
    line
}

/// `2026-11-22T02:45:59.109Z [ConfigProxy] info: Route added / -> http://127.0.0.1:8081`
fn config_proxy_line(now: jiff::Timestamp, level: Level, mut fields: Map<String, Value>, colours: bool) -> String {
    let message = message_of(&mut fields);
    let (on, off) = match (colours, level) {
        (false, _) => ("", ""),
        (true, Level::ERROR) => ("\u{1b}[31m", "\u{1b}[39m"),
        (true, Level::WARN) => ("\u{1b}[33m", "\u{1b}[39m"),
        (true, Level::INFO) => ("\u{1b}[32m", "\u{1b}[39m"),
        (true, _) => ("\u{1b}[34m", "\u{1b}[39m"),
    };
    let level = level.as_str().to_ascii_lowercase();
    let mut line = format!("{now:.3} [ConfigProxy] {on}{level}{off}: {message}");
    push_fields(&mut line, &fields, "", "");
    line.push('\n');
    line
}

fn message_of(fields: &mut Map<String, Value>) -> String {
    escape(&fields.remove("message").as_ref().map(plain).unwrap_or_default())
}

fn push_fields(line: &mut String, fields: &Map<String, Value>, soft: &str, off: &str) {
    for (name, value) in fields {
        let value = escape(&plain(value));
        let needs_quotes = value.is_empty() || value.contains(' ');
        let quote = if needs_quotes { "\"" } else { "" };
        let _ = write!(line, " {soft}{name}={off}{quote}{value}{quote}");
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Control characters, of both sets, and what turns text around, as escapes.
fn escape(text: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if is_plain(c) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "{}", c.escape_default());
        }
        escaped
    })
}

/// Collects an event's fields; an error's causes are written behind it, once.
struct Fields {
    map: Map<String, Value>,
    value_bytes: usize,
}

impl Fields {
    fn put(&mut self, field: &Field, mut text: String) {
        if text.len() > self.value_bytes {
            text.truncate(text.floor_char_boundary(self.value_bytes));
            text.push('…');
        }
        self.map.insert(field.name().to_owned(), Value::String(text));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.map.insert(field.name().to_owned(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.map.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.map.insert(field.name().to_owned(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.map.insert(field.name().to_owned(), value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, with_causes(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::*;
    use crate::telemetry::WriterLimits;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(style: Style, act: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = LineWriter::new(memory.clone(), &WriterLimits::default()).expect("a thread");
        let clock = || jiff::Timestamp::from_millisecond(1_795_313_227_732).expect("a time");
        let subscriber = tracing_subscriber::registry().with(Lines { style, writer: writer.clone(), clock });
        tracing::subscriber::with_default(subscriber, act);
        writer.flush(Duration::from_secs(10));
        let bytes = memory.0.lock().clone();
        String::from_utf8(bytes).expect("text")
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the start failed")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_line_for_people_is_short_and_tells_the_causes() {
        let error = Outer(std::io::Error::other("no space"));
        let line = written(Style::Human { colours: false }, || {
            tracing::warn!(user = "alice", tries = 3, error = &error as &dyn std::error::Error, "not started");
        });
        assert_eq!(line, "02:07:07 WARN  not started error=\"the start failed: no space\" tries=3 user=alice\n");
    }

    #[test]
    fn whatever_a_field_holds_the_line_stays_one_line() {
        let hostile = "a\r\nb\u{1b}[31m\u{0}\u{9b}\u{202e}";
        for style in [Style::Human { colours: false }, Style::Json] {
            let line = written(style, || tracing::info!(user = hostile, debug = ?hostile, "{hostile}"));
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(!line.trim_end().contains(|c: char| c.is_ascii_control()), "{line:?}");
        }
    }

    #[test]
    fn a_line_for_programs_is_json() {
        let line = written(Style::Json, || tracing::info!(count = 3, name = "x\"y", "hello"));
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["time"], "2026-11-22T02:07:07.732Z");
        assert_eq!((&value["level"], &value["message"]), (&"info".into(), &"hello".into()));
        assert_eq!((&value["count"], &value["name"]), (&3.into(), &"x\"y".into()));
    }

    #[test]
    fn a_long_value_is_cut() {
        let line = written(Style::Json, || tracing::info!(name = "x".repeat(100_000), "hello"));
        assert!(line.len() < 8 * 1024 && serde_json::from_str::<Value>(&line).is_ok());
    }
}
