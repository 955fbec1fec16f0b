//! Lists in pages (contract §2.0): which part of a list is asked for, and how the answer tells of the next.
//!
//! A client that accepts `application/jupyterhub-pagination+json` gets `{"items", "_pagination"}` with the address of
//! the next page; any other gets the bare list, as before there were pages, and the largest page.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::query::Query;
use crate::hub::error::HubError;
use crate::hub::extract::VisitOf;
use crate::hub::{Config, HubState};

const MEDIA_TYPE: &str = "application/jupyterhub-pagination+json";

/// The part of a list that a request asks for.
#[derive(Clone, Debug)]
pub(in crate::hub) struct Page {
    /// How many items come before it.
    pub(super) offset: usize,
    /// How many it has at most; 1 or more.
    pub(super) limit: usize,
    is_wrapped: bool,
    /// Scheme, host and path of the request, and its query.
    address: String,
    query: Query,
}

/// A list as it is answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::hub) enum Listing<T> {
    /// The items, and nothing of pages.
    Bare(T),
    /// The items, and where the next ones are.
    // In place: by its name, which is `Wrapped_Vec` for every list, the document would give all of them one schema.
    Wrapped(#[schema(inline)] Wrapped<T>),
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct Wrapped<T> {
    /// The items of this page.
    items: T,
    #[serde(rename = "_pagination")]
    pagination: Pagination,
}

/// Which page this is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct Pagination {
    /// How many items come before this page.
    offset: usize,
    /// How many items a page has at most.
    #[schema(minimum = 1, maximum = 200)]
    limit: usize,
    /// How many items there are in all.
    total: usize,
    /// The next page; `null` on the last.
    #[schema(required)]
    next: Option<NextPage>,
}

/// Where the next page is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct NextPage {
    /// How many items come before it.
    offset: usize,
    /// As in this page.
    limit: usize,
    /// Its whole address, under the host by which this page was asked for.
    url: String,
}

impl FromRequestParts<HubState> for Page {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &HubState) -> Result<Self, HubError> {
        let VisitOf(visit) = VisitOf::from_request_parts(parts, state).await?;
        let query = Query::parse(parts.uri.query());
        let address = format!("{}{}", visit.origin, parts.uri.path());
        Self::read(&state.config, query, address, accepts_pages(&parts.headers))
    }
}

impl Page {
    fn read(config: &Config, query: Query, address: String, is_wrapped: bool) -> Result<Self, HubError> {
        let most = config.api_page_limit.max(1);
        let usual = if is_wrapped { config.api_page_default } else { most };
        let offset = query.get("offset").map_or(Ok(0), whole_number)?;
        let limit = query.get("limit").map_or(Ok(usual), whole_number)?.clamp(1, most);
        Ok(Self { offset, limit, is_wrapped, address, query })
    }

    /// The same page, told in the wrapped shape whatever the client accepts.
    pub(super) fn always_wrapped(self) -> Self {
        Self { is_wrapped: true, ..self }
    }

    /// `items` are those of this page, out of `total`.
    pub(super) fn answer<T: Serialize>(&self, items: T, total: usize) -> Json<Listing<T>> {
        if !self.is_wrapped {
            return Json(Listing::Bare(items));
        }
        Json(Listing::Wrapped(Wrapped { items, pagination: self.pagination(total) }))
    }

    /// Which page this is, out of `total` items.
    pub(super) fn pagination(&self, total: usize) -> Pagination {
        let (offset, limit) = (self.offset, self.limit);
        let next_offset = offset.saturating_add(limit);
        let next = (next_offset < total).then(|| NextPage { offset: next_offset, limit, url: self.url(next_offset) });
        Pagination { offset, limit, total, next }
    }

    /// The items of this page, out of all.
    pub(super) fn cut<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.offset).take(self.limit)
    }

    /// This request with another offset. The other parameters stay as they are, and where they are.
    fn url(&self, offset: usize) -> String {
        let (offset, limit) = (offset.to_string(), self.limit.to_string());
        let mut query = self.query.clone();
        query.set("offset", &offset);
        query.set("limit", &limit);
        format!("{}?{}", self.address, query.to_text())
    }
}

/// True if the media type stands in the list, alone: JupyterHub reads no parameters and no wildcards.
fn accepts_pages(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

/// A whole number as Python's `int` reads it, without its sign; what is too large for us is the largest.
fn whole_number(text: &str) -> Result<usize, HubError> {
    let digits = text.trim().trim_start_matches(['+', '-']);
    let is_signed_once = text.trim().len() - digits.len() <= 1;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || !is_signed_once {
        return Err(HubError::bad("Invalid argument type, offset and limit must be integers"));
    }
    Ok(digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn page(query: &str, is_wrapped: bool) -> Result<Page, HubError> {
        let address = "https://lab.test:8443/hub/api/users".to_owned();
        Page::read(&Config::default(), Query::parse(Some(query)), address, is_wrapped)
    }

    fn bounds(query: &str, is_wrapped: bool) -> Option<(usize, usize)> {
        page(query, is_wrapped).ok().map(|page| (page.offset, page.limit))
    }

    #[test]
    fn a_page_lies_between_1_and_200_items() {
        let cases = [
            ("", false, Some((0, 200))),
            ("", true, Some((0, 50))),
            ("limit=0", true, Some((0, 1))),
            ("limit=1000", true, Some((0, 200))),
            ("limit=-7&offset=-3", false, Some((3, 7))),
            ("limit=%2B7&offset=%203%20", false, Some((3, 7))),
            ("limit=5&limit=6", false, Some((0, 6))),
            ("offset=99999999999999999999999999", false, Some((usize::MAX, 200))),
            ("offset=", false, None),
            ("limit=--5", false, None),
            ("limit=5.0", false, None),
            ("limit=ten", true, None),
            ("limit=5&offset=x", true, None),
        ];
        for (query, is_wrapped, expected) in cases {
            assert_eq!(bounds(query, is_wrapped), expected, "{query}");
        }
    }

    #[test]
    fn the_media_type_stands_alone_in_the_list() {
        let check = |accept: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepts_pages(&headers), expected, "{accept}");
        };
        check("application/jupyterhub-pagination+json", true);
        check("text/html, Application/JupyterHub-Pagination+JSON", true);
        check("application/jupyterhub-pagination+json;q=0.9", false);
        check("application/*", false);
        check("application/json", false);
    }

    #[test]
    fn the_next_page_is_the_same_request_further_on() {
        let json = |query: &str, total: usize| {
            let Json(listing) = page(query, true).expect("sound").answer(["x"], total);
            serde_json::to_value(listing).expect("json")["_pagination"]["next"].clone()
        };
        let next = json("state=ready&limit=2&name_filter=a%26b&empty=", 5);
        assert_eq!((&next["offset"], &next["limit"]), (&2.into(), &2.into()));
        let url = "https://lab.test:8443/hub/api/users?state=ready&limit=2&name_filter=a%26b&empty=&offset=2";
        assert_eq!(next["url"], url);
        assert!(json("limit=2&offset=3", 5).is_null());
        assert_eq!(json("limit=2&offset=2", 5)["offset"], 4);
        assert!(json("offset=99999999999999999999999999", 5).is_null());
    }

    #[test]
    fn without_the_media_type_the_list_stands_alone() {
        let Json(listing) = page("limit=1", false).expect("sound").answer(["x"], 5);
        assert_eq!(serde_json::to_value(listing).expect("json"), serde_json::json!(["x"]));
        let Json(listing) = page("limit=1", false).expect("sound").always_wrapped().answer(["x"], 5);
        assert_eq!(serde_json::to_value(listing).expect("json")["_pagination"]["total"], 5);
    }
}
