//! Which part of a long list one page shows: what holds a text in its name, so many at a time.

use std::ops::Range;

use axum::http::Uri;

use crate::hub::form::{Fields, query_encode, query_value};

/// How many one page shows: more than anybody reads at once, and 40 KB of HTML.
const PER_PAGE: usize = 50;

/// What the address of the list asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::hub) struct Wish {
    /// Part of a name; empty for all.
    pub(super) text: String,
    /// From 1; 0 if the address names none.
    pub(super) page: usize,
    /// Whose page it shall be when it names none.
    pub(super) at: String,
}

impl Wish {
    /// `?q=…&page=…&at=…`
    pub(super) fn of_query(uri: &Uri) -> Self {
        let value = |name| query_value(uri.query(), name).unwrap_or_default();
        Self { text: text_of(&value("q")), page: value("page").parse().unwrap_or_default(), at: value("at") }
    }

    /// The same from the hidden fields of a form of the list, which leads back to where it was.
    pub(super) fn of_fields(fields: &Fields) -> Self {
        let page = fields.get("page").parse().unwrap_or_default();
        Self { text: text_of(fields.get("q")), page, at: String::new() }
    }

    /// As the query of an address, with `more` pairs; empty or with its question mark.
    pub(super) fn to_query(&self, more: &[(&str, &str)]) -> String {
        let page = if self.page > 1 { self.page.to_string() } else { String::new() };
        let own = [("q", self.text.as_str()), ("page", page.as_str()), ("at", self.at.as_str())];
        let pairs = own.iter().chain(more).filter(|(_, value)| !value.is_empty());
        let query = pairs.map(|(name, value)| format!("{name}={}", query_encode(value))).collect::<Vec<_>>().join("&");
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// Whether somebody of this name is looked for.
    pub(super) fn fits(&self, name: &str) -> bool {
        name.contains(&self.text)
    }

    /// The page to show of `names`, all of which fit: its number, how many there are, and which names are on it.
    pub(super) fn cut<'a>(&self, names: impl ExactSizeIterator<Item = &'a str>) -> Cut {
        let count = names.len();
        let pages = count.div_ceil(PER_PAGE).max(1);
        let page = match self.page {
            0 => names.enumerate().find(|(_, name)| *name == self.at).map_or(1, |(index, _)| index / PER_PAGE + 1),
            page => page.min(pages),
        };
        let start = (page - 1) * PER_PAGE;
        Cut { page, pages, shown: start..(start + PER_PAGE).min(count) }
    }
}

/// One page of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// From 1.
    pub(super) page: usize,
    /// At least 1.
    pub(super) pages: usize,
    /// Which of the names.
    pub(super) shown: Range<usize>,
}

/// Names are stored in lower case, and nobody looks for spaces around one.
fn text_of(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(query: &str) -> Wish {
        Wish::of_query(&format!("/hub/authorize?{query}").parse().expect("an address"))
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("p{number:03}")).collect()
    }

    fn check(query: &str, count: usize, page: usize, shown: Range<usize>) {
        let names = names(count);
        let cut = wish(query).cut(names.iter().map(String::as_str));
        assert_eq!((cut.page, cut.shown), (page, shown), "{query} of {count}");
    }

    #[test]
    fn a_page_has_fifty_people_and_there_is_always_one() {
        check("", 0, 1, 0..0);
        check("", 50, 1, 0..50);
        check("page=2", 51, 2, 50..51);
        check("page=9", 120, 3, 100..120);
        check("page=x", 120, 1, 0..50);
    }

    #[test]
    fn without_a_number_it_is_the_page_of_the_person_named() {
        check("at=p070", 120, 2, 50..100);
        check("at=nobody", 120, 1, 0..50);
        check("at=p070&page=1", 120, 1, 0..50);
    }

    #[test]
    fn the_wish_finds_names_and_survives_a_round_trip() {
        let asked = wish("q=%20Ann%20&page=3");
        assert!(asked.fits("joanna") && !asked.fits("bob"));
        assert_eq!(asked.to_query(&[("let_in", "a&b")]), "?q=ann&page=3&let_in=a%26b");
        assert_eq!(wish("page=1").to_query(&[]), "");
    }
}
