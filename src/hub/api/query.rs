//! The query of a request, as a list of names and values.

/// Names and values, decoded, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the `?`.
    pub(super) fn parse(text: Option<&str>) -> Self {
        Self(form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The last value under `name`, without the blanks around it, as JupyterHub reads arguments.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// True if the parameter is given as anything but `0` and `false`.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// Gives `name` this one value, where it first stands or at the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let first = self.0.iter().position(|(key, _)| key == name);
        let at = first.unwrap_or(self.0.len());
        self.0.retain(|(key, _)| key != name);
        self.0.insert(at, (name.to_owned(), value.to_owned()));
    }

    /// The query, encoded.
    pub(super) fn to_text(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_unless_it_says_no() {
        let is_set = |text: &str| Query::parse(Some(text)).is_set("stopped");
        assert!(is_set("stopped=1") && is_set("stopped") && is_set("stopped=True"));
        assert!(!is_set("stopped=0") && !is_set("stopped=FALSE") && !is_set("other=1"));
    }

    #[test]
    fn a_parameter_is_set_in_its_place() {
        let mut query = Query::parse(Some("a=1&b=2&a=3&c=4"));
        query.set("a", "5 6");
        query.set("d", "&");
        assert_eq!(query.to_text(), "a=5+6&b=2&c=4&d=%26");
    }
}
