//! What is wrong with what a label or a file says, where it stands, and the cure.
//!
//! A problem is for the person who wrote the label. It never holds a secret: the value of a field is quoted only
//! where it was to be a number, a word of a closed list or a name.

use std::fmt;
use std::sync::Arc;

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A label of a container.
    Label {
        /// The container's name.
        container: Arc<str>,
        /// The label's name as it was written.
        label: Arc<str>,
    },
    /// A container as a whole.
    Container(Arc<str>),
    /// A line of a file; line 0 is the file as a whole.
    Line {
        /// The file as the configuration names it.
        file: Arc<str>,
        /// Counted from 1.
        line: usize,
    },
    /// A setting of ours.
    Setting(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label { container, label } => write!(f, "container {container}, label {label}"),
            Self::Container(name) => write!(f, "container {name}"),
            Self::Line { file, line: 0 } => write!(f, "{file}"),
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::Setting(key) => f.write_str(key),
        }
    }
}

/// Something that somebody said wrongly. What it was said for is not published; everything else is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {text}")]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, and the cure.
    pub text: String,
}

impl Problem {
    /// A problem at this place.
    pub fn new(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), text: text.into() }
    }
}

/// `; did you mean average?` if one of the known words is near, else nothing.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

/// The known word that is nearest to one that nobody knows, if any is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let scored = known.into_iter().map(|known| (strsim::jaro_winkler(&word, &known.to_lowercase()), known));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 > 0.8).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_gets_the_near_word_and_anything_else_none() {
        assert_eq!(did_you_mean("averag", ["average", "burst", "period"]), "; did you mean average?");
        assert_eq!(did_you_mean("stripPrefx", ["stripprefix", "addprefix"]), "; did you mean stripprefix?");
        assert_eq!(did_you_mean("xyz", ["average", "burst"]), "");
    }

    #[test]
    fn a_place_reads_as_people_point_at_it() {
        let label = Place::Label { container: "web".into(), label: "traefik.http.routers.a.rule".into() };
        assert_eq!(
            Problem::new(&label, "is empty").to_string(),
            "container web, label traefik.http.routers.a.rule: is empty"
        );
        assert_eq!(Place::Line { file: "config/routes.yml".into(), line: 3 }.to_string(), "config/routes.yml:3");
    }
}
