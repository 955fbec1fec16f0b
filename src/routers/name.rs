//! Names of routers, balancers and middlewares: what somebody called it, and who said so.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::problem::{Place, Problem, did_you_mean};

/// Which kind of source said it: part of every name, `auth@file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Labels of containers.
    Docker,
    /// The file of routes.
    File,
}

impl Provider {
    const ALL: [Self; 2] = [Self::Docker, Self::File];

    /// As after the `@`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::File => "file",
        }
    }
}

/// The name of a router, a balancer or a middleware, with who said it. It counts without case, as all names of labels do.
#[derive(Clone, Debug)]
pub struct ObjectName {
    /// As written before the `@`.
    pub name: Arc<str>,
    /// Who said it.
    pub provider: Provider,
}

impl ObjectName {
    /// A name of this provider.
    pub fn new(name: &str, provider: Provider) -> Self {
        Self { name: name.into(), provider }
    }

    /// Reads `auth@file`; without `@` it is one of the same provider.
    ///
    /// # Errors
    /// It is empty, or the provider is none of ours.
    pub fn read(text: &str, own: Provider, place: &Place) -> Result<Self, Problem> {
        let (name, provider) = match text.trim().rsplit_once('@') {
            None => (text.trim(), own),
            Some((name, said)) => {
                let Some(provider) = Provider::ALL.into_iter().find(|provider| provider.as_str() == said) else {
                    let near = did_you_mean(said, Provider::ALL.map(Provider::as_str));
                    let text = format!("{text}: there is no provider {said}, only docker and file{near}");
                    return Err(Problem::new(place, text));
                };
                (name, provider)
            }
        };
        if name.is_empty() {
            return Err(Problem::new(place, "a name is expected"));
        }
        Ok(Self::new(name, provider))
    }
}

impl PartialEq for ObjectName {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ObjectName {}

impl PartialOrd for ObjectName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectName {
    fn cmp(&self, other: &Self) -> Ordering {
        let letters = |name: &Self| name.name.to_lowercase();
        letters(self).cmp(&letters(other)).then(self.provider.cmp(&other.provider))
    }
}

impl Hash for ObjectName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.to_lowercase().hash(state);
        self.provider.hash(state);
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.provider.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::Container("web".into())
    }

    #[test]
    fn a_name_without_a_provider_is_of_the_same() {
        let read = |text| ObjectName::read(text, Provider::Docker, &place()).map(|name| name.to_string());
        assert_eq!(read("auth"), Ok("auth@docker".to_owned()));
        assert_eq!(read(" auth@file "), Ok("auth@file".to_owned()));
        let problem = read("auth@fil").expect_err("no provider");
        assert_eq!(
            problem.to_string(),
            "container web: auth@fil: there is no provider fil, only docker and file; did you mean file?"
        );
        assert!(read("@file").is_err());
    }
}
