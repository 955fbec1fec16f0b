//! Renders the pages: minijinja templates built into the program, each of which a file in `templates_dir` may
//! replace.

use std::path::{Component, Path, PathBuf};

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, context};
use rust_embed::Embed;

use super::assets;
use super::config::Config;
use crate::model::Timestamp;

#[derive(Embed)]
#[folder = "src/hub/templates/"]
struct BuiltIn;

/// The templates, compiled at their first use.
pub(crate) struct Views(Environment<'static>);

impl Views {
    /// The built-in templates, and those of `config.templates_dir` before them.
    pub(super) fn new(config: &Config) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        // Everything is escaped, whatever a template is called: a name or a log line is never markup.
        environment.set_auto_escape_callback(|name| match name.ends_with(".svg") {
            true => AutoEscape::None,
            false => AutoEscape::Html,
        });
        let overrides = config.templates_dir.clone();
        environment.set_loader(move |name| source_of(overrides.as_deref(), name));
        environment.add_global("base", config.base.as_str());
        environment.add_global("hub", config.base.hub());
        environment.add_global("password_length", config.password_length_min);
        let base = config.base.clone();
        environment.add_function("asset", move |name: &str| assets::address_of(&base, name));
        Self(environment)
    }

    /// Renders the template `name`.
    ///
    /// # Errors
    /// If it is missing or wrong; the built-in ones are all rendered in a test.
    pub(super) fn render(&self, name: &str, values: Value) -> Result<String, Error> {
        self.0.get_template(name)?.render(values)
    }
}

fn source_of(overrides: Option<&Path>, name: &str) -> Result<Option<String>, Error> {
    if let Some(path) = overrides.and_then(|folder| inside(folder, name)) {
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let detail = format!("{} could not be read", path.display());
                return Err(Error::new(ErrorKind::InvalidOperation, detail).with_source(error));
            }
        }
    }
    Ok(BuiltIn::get(name).map(|file| String::from_utf8_lossy(&file.data).into_owned()))
}

/// `folder/name`, if the name stays in the folder.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| folder.join(name))
}

/// A moment for a page: exact for the machine and a readable UTC time that a script turns into local time.
pub(super) fn moment(at: Timestamp) -> Value {
    let utc = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    context! { iso => at.to_iso(), text => utc.strftime("%-d %b %Y, %H:%M UTC").to_string() }
}

/// The same to the minute and in fewer bytes, for long lists; the text is the day.
pub(super) fn short_moment(at: Timestamp) -> Value {
    let utc = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    context! { iso => utc.strftime("%Y-%m-%dT%H:%MZ").to_string(), text => utc.strftime("%-d %b %Y").to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_operator_takes_the_place_of_a_template() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("error.html"), "<p>{{ title }}</p>").expect("a file");
        let config = Config { templates_dir: Some(folder.path().to_owned()), ..Config::default() };
        let views = Views::new(&config);
        let page = views.render("error.html", context! { title => "<b>" }).expect("it is a template");
        assert_eq!(page, "<p>&lt;b&gt;</p>");
        assert!(views.render("../secret", context! {}).is_err());
    }

    #[test]
    fn a_moment_is_exact_and_readable() {
        let moment = moment(Timestamp(1_795_313_227_732));
        let text = moment.get_attr("text").expect("it has a text");
        assert_eq!(text.as_str(), Some("22 Nov 2026, 02:07 UTC"));
    }
}
