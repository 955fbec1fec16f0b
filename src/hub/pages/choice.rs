//! What a person may choose when a server starts: from an address, from a form, and as the page shows it.

use std::collections::BTreeMap;

use axum::http::Uri;
use minijinja::context;
use minijinja::value::Value;
use serde_json::Map;

use crate::hub::HubState;
use crate::hub::form::Fields;
use crate::model::{ServerKey, ServerOptions};
use crate::spawner::{Offer, Profile, ResourceLimits};

/// Parameters of our own addresses: no options.
const OURS: [&str; 4] = ["next", "_xsrf", "start", "redirects"];
/// JupyterHub 6 marks options in addresses by this; before, every parameter was one.
const PREFIX: &str = "opt-";

/// True if there is more than one kind of server to start.
pub(super) fn has_choice(offer: &Offer) -> bool {
    offer.profiles.len() > 1 || offer.images.len() > 1 || offer.any_image
}

/// True if this person has not chosen yet what this server is to be, and nobody has said what it is otherwise.
pub(super) fn must_choose(state: &HubState, server: &ServerKey) -> bool {
    let offer = state.spawner.offer(&server.user);
    let has_default = offer.profiles.is_empty() || offer.profiles.iter().any(|profile| profile.is_default);
    let has_chosen = state.spawner.record(server).is_some_and(|record| record.options.is_some());
    has_choice(&offer) && !has_default && !has_chosen
}

/// The options in an address; none if there are none.
///
/// # Errors
/// A sentence, if they cannot be kept.
pub(super) fn options_of_query(uri: &Uri) -> Result<Option<ServerOptions>, String> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let options = pairs.filter(|(key, _)| !OURS.contains(&&**key));
    options_of(options.map(|(key, value)| (key.strip_prefix(PREFIX).unwrap_or(&key).to_owned(), value.into_owned())))
}

/// The options in a form; none if it has no other fields than ours.
///
/// # Errors
/// A sentence, if they cannot be kept.
pub(super) fn options_of_form(fields: &Fields) -> Result<Option<ServerOptions>, String> {
    let options = fields.pairs().filter(|(key, _)| !OURS.contains(key));
    options_of(options.map(|(key, value)| (key.to_owned(), value.to_owned())))
}

/// `profile` and `image` are texts, all others lists of texts, as JupyterHub keeps a form that nobody has told it to
/// read otherwise.
fn options_of(pairs: impl Iterator<Item = (String, String)>) -> Result<Option<ServerOptions>, String> {
    let (mut options, mut lists) = (Map::new(), BTreeMap::<String, Vec<String>>::new());
    let mut is_empty = true;
    for (key, value) in pairs {
        is_empty = false;
        if key != ServerOptions::PROFILE && key != ServerOptions::IMAGE {
            lists.entry(key).or_default().push(value);
        } else if !value.trim().is_empty() {
            options.insert(key, value.trim().into());
        }
    }
    if is_empty {
        return Ok(None);
    }
    options.extend(lists.into_iter().map(|(key, values)| (key, values.into())));
    ServerOptions::parse(options.into()).map(Some).map_err(|error| error.to_string())
}

/// The offer as the template shows it, with what was chosen last, or is asked for now, marked.
pub(super) fn offer_view(offer: &Offer, chosen: Option<&ServerOptions>) -> Value {
    let wanted = chosen.and_then(ServerOptions::profile);
    let is_known = |name: &str| offer.profiles.iter().any(|profile| profile.name == name);
    let marked = wanted
        .filter(|name| is_known(name))
        .or_else(|| offer.profiles.iter().find(|profile| profile.is_default).map(|profile| profile.name.as_str()))
        .or_else(|| offer.profiles.first().map(|profile| profile.name.as_str()));
    let profiles = offer.profiles.iter().map(|profile| profile_view(profile, Some(&*profile.name) == marked));
    context! {
        profiles => profiles.collect::<Vec<_>>(),
        images => &offer.images,
        any_image => offer.any_image,
        image => chosen.and_then(ServerOptions::image),
    }
}

fn profile_view(profile: &Profile, is_chosen: bool) -> Value {
    context! {
        name => &profile.name,
        title => if profile.display_name.is_empty() { &profile.name } else { &profile.display_name },
        description => &profile.description,
        image => &profile.image,
        memory => memory_of(&profile.limits),
        cpu => cpu_of(&profile.limits),
        is_chosen,
    }
}

/// `4 GiB`, `512 MiB`.
#[expect(clippy::cast_precision_loss, reason = "a memory of 2^53 bytes is 8 PiB")]
pub(super) fn memory_of(limits: &ResourceLimits) -> Option<String> {
    const GIB: f64 = (1_u64 << 30) as f64;
    limits.memory_bytes.map(|bytes| {
        let gib = bytes as f64 / GIB;
        if gib < 1.0 { format!("{:.0} MiB", gib * 1024.0) } else { format!("{} GiB", (gib * 10.0).round() / 10.0) }
    })
}

/// `1 core`, `2.5 cores`.
pub(super) fn cpu_of(limits: &ResourceLimits) -> Option<String> {
    limits.cpu_cores.map(|cores| {
        let unit = if (cores - 1.0).abs() < f64::EPSILON { "core" } else { "cores" };
        format!("{cores} {unit}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of_query(query: &str) -> Option<serde_json::Value> {
        let uri: Uri = format!("/hub/spawn?{query}").parse().expect("an address");
        options_of_query(&uri).expect("they can be kept").map(|options| options.as_map().clone().into())
    }

    #[test]
    fn options_in_an_address_are_all_but_our_own_parameters() {
        assert_eq!(of_query("next=%2Fx&_xsrf=1&start=3"), None);
        assert_eq!(of_query("opt-profile=gpu&next=%2Fx"), Some(json!({ "profile": "gpu" })));
        assert_eq!(of_query("profile=gpu&opt-a=1&a=2"), Some(json!({ "profile": "gpu", "a": ["1", "2"] })));
        assert_eq!(of_query("opt-image=+"), Some(json!({})));
        let long: Uri = format!("/hub/spawn?x={}", "y".repeat(17_000)).parse().expect("an address");
        assert!(options_of_query(&long).is_err());
    }

    #[test]
    fn the_last_choice_is_marked_and_else_the_default() {
        let profile = |name: &str, is_default| Profile { name: name.into(), is_default, ..Profile::default() };
        let offer = Offer { profiles: vec![profile("a", false), profile("b", true)], ..Offer::default() };
        let marked = |options: Option<&ServerOptions>| {
            let view = offer_view(&offer, options).get_attr("profiles").expect("a list");
            let profiles: Vec<Value> = view.try_iter().expect("a list").collect();
            let marked = profiles.iter().find(|profile| profile.get_attr("is_chosen").is_ok_and(|is| is.is_true()));
            marked.map(|profile| profile.get_attr("name").expect("a name").to_string())
        };
        let chosen = |name: &str| ServerOptions::parse(json!({ "profile": name })).expect("options");
        assert_eq!(marked(None).as_deref(), Some("b"));
        assert_eq!(marked(Some(&chosen("a"))).as_deref(), Some("a"));
        assert_eq!(marked(Some(&chosen("gone"))).as_deref(), Some("b"));
    }

    #[test]
    fn limits_are_said_in_words() {
        let limits = |memory_bytes, cpu_cores| ResourceLimits { memory_bytes, cpu_cores };
        assert_eq!(memory_of(&limits(Some(512 << 20), None)).as_deref(), Some("512 MiB"));
        assert_eq!(memory_of(&limits(Some(3 << 29), None)).as_deref(), Some("1.5 GiB"));
        assert_eq!(cpu_of(&limits(None, Some(1.0))).as_deref(), Some("1 core"));
        assert_eq!(cpu_of(&limits(None, Some(0.5))).as_deref(), Some("0.5 cores"));
    }
}
