//! Statuses as people list them: `500-599, 404`.

use http::StatusCode;

use crate::routers::{Fields, Problem, quoted};

/// Ranges of statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatusRanges(Vec<(u16, u16)>);

impl StatusRanges {
    /// Takes a list of them; none of them if nothing is said.
    ///
    /// # Errors
    /// One of them is none.
    pub(super) fn take(fields: &mut Fields, field: &'static str) -> Result<Self, Problem> {
        let texts = fields.take_list(field)?.unwrap_or_default();
        let read = |text: &String| {
            read_range(text).ok_or_else(|| {
                fields.problem(format!("{field}: {} is no status (404) and no range of them (500-599)", quoted(text)))
            })
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, status: StatusCode) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status.as_u16()))
    }
}

/// `404` or `500-599`.
pub(super) fn read_range(text: &str) -> Option<(u16, u16)> {
    let status = |text: &str| text.trim().parse().ok().filter(|status| (100..1_000).contains(status));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (status(first)?, status(last)?),
        None => (status(text)?, status(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_ends_and_a_status_is_one() {
        assert_eq!(read_range("500-599"), Some((500, 599)));
        assert_eq!(read_range(" 404 "), Some((404, 404)));
        for text in ["", "-", "599-500", "5xx", "99", "500-", "1000"] {
            assert_eq!(read_range(text), None, "{text}");
        }
    }
}
