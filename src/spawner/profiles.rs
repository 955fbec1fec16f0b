//! What a start's options amount to: image, limits, variables and command. Pure.

use std::collections::BTreeMap;

use super::Config;
use super::backend::{Extras, ResourceLimits};
use crate::model::{GrantNote, ServerOptions};

/// In `allowed_images`: any image at all.
pub const ANY_IMAGE: &str = "*";
/// The longest image that somebody may name: a registry, a path, a tag or a digest.
const IMAGE_LIMIT_BYTES: usize = 256;
/// So much of what somebody typed is repeated to him.
const ECHO_LIMIT: usize = 100;

/// A kind of server that people may choose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// How options name it.
    pub name: String,
    /// How people read it.
    pub display_name: String,
    /// What it is good for, in a sentence.
    pub description: String,
    /// Taken when nothing is chosen.
    pub is_default: bool,
    /// Its image; none: the one that all servers have.
    pub image: Option<String>,
    /// What it may use; what is not set here is as for all servers.
    pub limits: ResourceLimits,
    /// Its variables: over ours, under the administrator's for all servers.
    pub environment: BTreeMap<String, String>,
    /// What runs; none: as for all servers.
    pub command: Option<Vec<String>>,
    /// Who may choose it; empty: everybody.
    pub groups: Vec<String>,
}

impl Profile {
    fn is_for(&self, groups: &[String]) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group))
    }
}

/// What one person may choose from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    /// Profiles, in the order of the configuration.
    pub profiles: Vec<Profile>,
    /// Images, the default one first; empty where servers are not made from images.
    pub images: Vec<String>,
    /// Any other image may be named too.
    pub any_image: bool,
}

/// What a start is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Choice {
    pub(super) profile: Option<String>,
    pub(super) image: Option<String>,
    pub(super) limits: ResourceLimits,
    /// The limits of a profile that somebody has chosen: groups do not raise them.
    pub(super) agreed: ResourceLimits,
    /// What groups give beside.
    pub(super) extras: Extras,
    /// What groups give, for people.
    pub(super) notes: Vec<GrantNote>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) command: Option<Vec<String>>,
}

/// What somebody of these groups may choose from.
pub(super) fn offer(config: &Config, default_image: Option<&str>, groups: &[String]) -> Offer {
    let profiles: Vec<Profile> = config.profiles.iter().filter(|profile| profile.is_for(groups)).cloned().collect();
    let Some(default_image) = default_image else { return Offer { profiles, ..Offer::default() } };
    let of_profiles = profiles.iter().filter_map(|profile| profile.image.as_deref());
    let allowed = config.allowed_images.iter().map(String::as_str).filter(|image| *image != ANY_IMAGE);
    let mut images: Vec<String> = Vec::new();
    for image in std::iter::once(default_image).chain(allowed).chain(of_profiles) {
        if !images.iter().any(|known| known == image) {
            images.push(image.to_owned());
        }
    }
    Offer { images, any_image: config.allowed_images.iter().any(|image| image == ANY_IMAGE), profiles }
}

/// What these options of somebody of these groups amount to; else a sentence that names what may be chosen.
pub(super) fn choose(
    config: &Config,
    default_image: Option<&str>,
    options: Option<&ServerOptions>,
    groups: &[String],
) -> Result<Choice, String> {
    let offer = offer(config, default_image, groups);
    let profile = match options.and_then(ServerOptions::profile) {
        Some(wanted) => Some(offer.profile(wanted)?),
        None => offer.profiles.iter().find(|profile| profile.is_default),
    };
    let image = match (options.and_then(ServerOptions::image), profile.and_then(|profile| profile.image.as_deref())) {
        (Some(wanted), _) => Some(offer.image(wanted)?),
        (None, Some(_)) if default_image.is_none() => {
            return Err("This profile has an image, and servers here are not made from images. Choose another.".into());
        }
        (None, image) => image.or(default_image),
    };
    let limits = profile.map(|profile| profile.limits).unwrap_or_default();
    let is_chosen = options.and_then(ServerOptions::profile).is_some();
    Ok(Choice {
        profile: profile.map(|profile| profile.name.clone()),
        image: image.map(str::to_owned),
        limits: ResourceLimits {
            memory_bytes: limits.memory_bytes.or(config.limits.memory_bytes),
            cpu_cores: limits.cpu_cores.or(config.limits.cpu_cores),
        },
        agreed: if is_chosen { limits } else { ResourceLimits::default() },
        extras: Extras::default(),
        notes: vec![],
        environment: profile.map(|profile| profile.environment.clone()).unwrap_or_default(),
        command: profile.and_then(|profile| profile.command.clone()),
    })
}

impl Offer {
    fn profile(&self, wanted: &str) -> Result<&Profile, String> {
        // One that is for others is not told from one that is not there.
        self.profiles.iter().find(|profile| profile.name == wanted).ok_or_else(|| {
            let names: Vec<&str> = self.profiles.iter().map(|profile| profile.name.as_str()).collect();
            match names.as_slice() {
                [] => format!("Profile {} not in allowed list: there are no profiles to choose from", echo(wanted)),
                names => format!("Profile {} not in allowed list: {}", echo(wanted), names.join(", ")),
            }
        })
    }

    fn image<'a>(&self, wanted: &'a str) -> Result<&'a str, String> {
        if self.images.is_empty() {
            return Err(format!("Image {} cannot be chosen: servers here are not made from images", echo(wanted)));
        }
        if self.images.iter().any(|image| image == wanted) || (self.any_image && is_image(wanted)) {
            return Ok(wanted);
        }
        if self.any_image {
            return Err(format!(
                "Image {} is not an image's name, as in quay.io/jupyter/base-notebook:latest",
                echo(wanted)
            ));
        }
        Err(format!("Image {} not in allowed list: {}", echo(wanted), self.images.join(", ")))
    }
}

/// True for what can be the name of an image. It becomes part of the engine's paths, so nothing of a path's or a query's own
/// characters may be in it.
#[must_use]
pub fn is_image(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let is_part = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && !part.contains("..");
    text.len() <= IMAGE_LIMIT_BYTES && text.chars().all(is_plain) && text.split('/').all(is_part)
}

fn echo(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(ECHO_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        let profile = |name: &str| Profile { name: name.into(), ..Profile::default() };
        Config {
            limits: ResourceLimits { memory_bytes: Some(1 << 30), cpu_cores: Some(1.0) },
            profiles: vec![
                profile("plain"),
                Profile {
                    image: Some("lab:gpu".into()),
                    limits: ResourceLimits { memory_bytes: Some(8 << 30), cpu_cores: None },
                    environment: BTreeMap::from([("CUDA".into(), "1".into())]),
                    command: Some(vec!["start-gpu".into()]),
                    ..profile("gpu")
                },
                Profile { groups: vec!["staff".into()], image: Some("lab:staff".into()), ..profile("staff") },
            ],
            allowed_images: vec!["lab:old".into()],
            ..Config::default()
        }
    }

    fn options(value: serde_json::Value) -> ServerOptions {
        ServerOptions::parse(value).expect("options")
    }

    fn of(config: &Config, value: serde_json::Value, groups: &[&str]) -> Result<Choice, String> {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        choose(config, Some("lab:1"), Some(&options(value)), &groups)
    }

    #[test]
    fn without_profiles_and_options_a_server_is_as_the_settings_say() {
        let config = Config { profiles: vec![], ..config() };
        let choice = choose(&config, Some("lab:1"), None, &[]).expect("nothing is wrong");
        let expected = Choice { image: Some("lab:1".into()), limits: config.limits, ..Choice::default() };
        assert_eq!(choice, expected);
        assert_eq!(choose(&config, None, None, &[]).expect("a process").image, None);
    }

    #[test]
    fn a_profile_changes_what_it_names_and_leaves_the_rest() {
        let choice = of(&config(), json!({ "profile": "gpu" }), &[]).expect("it is for everybody");
        assert_eq!((choice.profile.as_deref(), choice.image.as_deref()), (Some("gpu"), Some("lab:gpu")));
        assert_eq!(choice.limits, ResourceLimits { memory_bytes: Some(8 << 30), cpu_cores: Some(1.0) });
        assert_eq!(choice.environment["CUDA"], "1");
        assert_eq!(choice.command, Some(vec!["start-gpu".into()]));
        let other_image = of(&config(), json!({ "profile": "gpu", "image": "lab:old" }), &[]).expect("allowed");
        assert_eq!((other_image.profile.as_deref(), other_image.image.as_deref()), (Some("gpu"), Some("lab:old")));
    }

    #[test]
    fn the_default_profile_is_for_those_who_choose_none_and_may_have_it() {
        let mut config = config();
        config.profiles[2].is_default = true;
        assert_eq!(of(&config, json!({}), &["staff"]).expect("theirs").profile.as_deref(), Some("staff"));
        assert_eq!(of(&config, json!({}), &[]).expect("the plain settings").profile, None);
    }

    #[test]
    fn what_may_not_be_chosen_is_told_with_what_may() {
        let refused = |value, groups: &[&str]| of(&config(), value, groups).expect_err("not allowed");
        assert_eq!(refused(json!({ "profile": "tpu" }), &[]), "Profile tpu not in allowed list: plain, gpu");
        assert_eq!(refused(json!({ "profile": "staff" }), &["x"]), "Profile staff not in allowed list: plain, gpu");
        assert!(of(&config(), json!({ "profile": "staff" }), &["staff"]).is_ok());
        assert_eq!(refused(json!({ "image": "evil" }), &[]), "Image evil not in allowed list: lab:1, lab:old, lab:gpu");
        assert!(refused(json!({ "image": "lab:staff" }), &[]).contains("not in allowed list"));
        assert!(of(&config(), json!({ "image": "lab:staff" }), &["staff"]).is_ok());
        let long = refused(json!({ "image": "x".repeat(10_000) }), &[]);
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn a_process_has_no_image() {
        let choose = |value| choose(&config(), None, Some(&options(value)), &[]);
        assert!(choose(json!({ "image": "lab:1" })).is_err());
        assert!(choose(json!({ "profile": "gpu" })).is_err());
        assert_eq!(choose(json!({ "profile": "plain" })).expect("no image in it").image, None);
    }

    #[test]
    fn any_image_is_still_the_name_of_one() {
        let config = Config { allowed_images: vec![ANY_IMAGE.into()], ..config() };
        assert!(of(&config, json!({ "image": "quay.io:443/a/b-c:1.2@sha256:00ff" }), &[]).is_ok());
        for bad in ["../containers/x", "a/../b", "a?b", "a b", "/a", "a//b", "-a", "a%2fb", "ä"] {
            assert!(of(&config, json!({ "image": bad }), &[]).is_err(), "{bad}");
        }
    }
}
