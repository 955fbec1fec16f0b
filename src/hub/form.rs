//! A form's fields, read once: the layer that checks the form token reads them, handlers find them ready.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;

use super::HubState;
use super::error::HubError;

/// The fields of a posted form, in order; empty if the body was no form.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Arc<Vec<(String, String)>>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` text.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(Arc::new(form_urlencoded::parse(text).into_owned().collect()))
    }

    /// The last value under `name`; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The last value under `name`.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All of them, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// All values under `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl FromRequestParts<HubState> for Fields {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, _: &HubState) -> Result<Self, HubError> {
        parts.extensions.get::<Self>().cloned().ok_or(HubError::Wiring("the form's fields"))
    }
}

/// Puts the fields of `request` into its extensions. Other bodies than forms are left where they are.
///
/// # Errors
/// If the body is longer than `limit_bytes`, or breaks off.
pub(super) async fn read(mut request: Request, limit_bytes: usize) -> Result<Request, HubError> {
    if !is_form(&request) {
        request.extensions_mut().insert(Fields::default());
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let bytes = to_bytes(body, limit_bytes).await.map_err(|_| HubError::BodyTooLarge { limit_bytes })?;
    parts.extensions.insert(Fields::parse(&bytes));
    Ok(Request::from_parts(parts, Body::empty()))
}

fn is_form(request: &Request) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The last value under `name` in a query string.
pub(super) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.filter(|(key, _)| key == name).last().map(|(_, value)| value.into_owned())
}

/// `text` as the value of a query parameter: `/hub/` becomes `%2Fhub%2F`.
pub(super) fn query_encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_counts() {
        assert_eq!(query_value(Some("next=a&x=1&next=%2Fb"), "next").as_deref(), Some("/b"));
        assert_eq!(query_value(None, "next"), None);
        let fields = Fields::parse(b"scopes=a&scopes=b%20c&empty=");
        assert_eq!(fields.all("scopes").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!((fields.get("scopes"), fields.find("empty"), fields.find("none")), ("b c", Some(""), None));
    }
}
