//! `[[spawner.profiles]]` as typed, and what it amounts to.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::build::bytes;
use crate::spawner::{Profile, ResourceLimits, is_image};

/// Longest name of a profile, in bytes: it stands in addresses and in every refusal.
const NAME_LIMIT_BYTES: usize = 64;

/// One table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileTable {
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    image: String,
    #[serde(default)]
    memory: String,
    #[serde(default)]
    cpu: f64,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// The profiles of these tables, and what is wrong with the others: number, name and problem.
pub(super) fn profiles_of(tables: Vec<ProfileTable>, backend: &str) -> (Vec<Profile>, Vec<(usize, String, String)>) {
    let (mut names, mut has_default) = (HashSet::new(), false);
    let (mut profiles, mut mistakes) = (Vec::new(), Vec::new());
    for (number, table) in tables.into_iter().enumerate() {
        let name = table.name.clone();
        match profile_of(table, backend) {
            Ok(profile) if profile.is_default && has_default => {
                mistakes.push((number, name, "default = true: another profile is the default already".into()));
            }
            Ok(profile) if names.contains(&profile.name) => {
                mistakes.push((number, name, "there is a profile of this name already; choose another".into()));
            }
            Ok(profile) => {
                has_default |= profile.is_default;
                names.insert(profile.name.clone());
                profiles.push(profile);
            }
            Err(problem) => mistakes.push((number, name, problem)),
        }
    }
    (profiles, mistakes)
}

fn profile_of(table: ProfileTable, backend: &str) -> Result<Profile, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if table.name.is_empty() || table.name.len() > NAME_LIMIT_BYTES || !table.name.chars().all(is_plain) {
        return Err("name must be 1 to 64 letters, digits, '-', '_' or '.', as in \"gpu\"".into());
    }
    if backend == "static" {
        return Err(
            "has no meaning with spawner.backend = \"static\": servers are started elsewhere; leave it out".into()
        );
    }
    let image = Some(table.image).filter(|image| !image.is_empty());
    if image.is_some() && backend == "process" {
        return Err("image has no meaning with spawner.backend = \"process\"; leave it out, or use containers".into());
    }
    if image.as_deref().is_some_and(|image| !is_image(image)) {
        return Err("image must be an image's name, as in \"quay.io/jupyter/base-notebook:latest\"".into());
    }
    if !table.cpu.is_finite() || table.cpu < 0.0 {
        return Err("cpu must be a number of cores, as in 1.5; 0 or left out: as for all servers".into());
    }
    let memory_bytes = match table.memory.as_str() {
        "" => None,
        text => Some(bytes(text).map_err(|problem| format!("memory {problem}"))?),
    };
    if let Some(name) = table.environment.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(format!("environment: {name:?} is not the name of a variable"));
    }
    let display_name = if table.display_name.is_empty() { table.name.clone() } else { table.display_name };
    Ok(Profile {
        name: table.name,
        display_name,
        description: table.description,
        is_default: table.default,
        image,
        limits: ResourceLimits { memory_bytes, cpu_cores: Some(table.cpu).filter(|cores| *cores > 0.0) },
        environment: table.environment,
        command: Some(table.command).filter(|words| !words.is_empty()),
        groups: table.groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, backend: &str) -> (Vec<Profile>, Vec<String>) {
        let mut table: toml::Table = text.parse().expect("TOML");
        let tables = table.remove("profiles").expect("profiles").try_into().expect("fields that exist");
        let (profiles, mistakes) = profiles_of(tables, backend);
        (profiles, mistakes.into_iter().map(|(number, name, problem)| format!("{number} {name}: {problem}")).collect())
    }

    #[test]
    fn a_profile_is_read_and_what_it_leaves_out_stays_as_for_all() {
        let text = r#"
            [[profiles]]
            name = "plain"
            [[profiles]]
            name = "gpu"
            display_name = "A GPU"
            default = true
            image = "lab:gpu"
            memory = "8G"
            cpu = 2
            environment = { CUDA = "1" }
            command = ["start", "--gpu"]
            groups = ["staff"]
        "#;
        let (profiles, mistakes) = read(text, "auto");
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let plain = Profile { name: "plain".into(), display_name: "plain".into(), ..Profile::default() };
        assert_eq!(profiles[0], plain);
        let gpu = &profiles[1];
        assert_eq!(gpu.limits, ResourceLimits { memory_bytes: Some(8 << 30), cpu_cores: Some(2.0) });
        assert_eq!((gpu.image.as_deref(), gpu.is_default, gpu.groups.len()), (Some("lab:gpu"), true, 1));
        assert_eq!(gpu.command.as_ref().map(Vec::len), Some(2));
    }

    fn check(fields: &str, backend: &str, problem: &str) {
        let (_, mistakes) = read(&format!("[[profiles]]\n{fields}"), backend);
        assert!(mistakes.len() == 1 && mistakes[0].contains(problem), "{fields}: {mistakes:?}");
    }

    #[test]
    fn what_is_wrong_with_a_profile_is_told_with_its_number() {
        check("name = \"a b\"", "docker", "1 to 64 letters");
        check("name = \"a\"\nimage = \"../x\"", "docker", "an image's name");
        check("name = \"a\"\nmemory = \"much\"", "docker", "memory must be a size");
        check("name = \"a\"\ncpu = -1", "docker", "cpu must be");
        check("name = \"a\"\nenvironment = { \"A=B\" = \"\" }", "docker", "not the name of a variable");
        check("name = \"a\"\nimage = \"lab:1\"", "process", "0 a: image has no meaning");
        check("name = \"a\"", "static", "started elsewhere");
        check("name = \"a\"\n[[profiles]]\nname = \"a\"", "docker", "1 a: there is a profile of this name");
        let two = "name = \"a\"\ndefault = true\n[[profiles]]\nname = \"b\"\ndefault = true";
        check(two, "docker", "another profile is the default");
    }
}
