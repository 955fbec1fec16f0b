//! The `jupyterhub_config.py` of the stack before us, where a compose file still mounts it: what can be read of it counts,
//! below everything that is said in our own words, and of each setting a line says what became of it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::config::{self, Given, KEYS, Mistake, Note, Origin, Settings, Sources};
use crate::takeover::config_py::{self, Findings, OurKey, Refusal, SOURCE_LIMIT_BYTES};

/// Where compose files mounted it, the first that is there counts: the old platform's place, beside our own file, and the
/// later platform's folder.
const PLACES: [&str; 2] = ["/srv/jupyterhub/jupyterhub_config.py", "config/jupyterhub_config.py"];
const FOLDER_VARIABLE: (&str, &str) = ("JUPYTERHUB_USER_CONFIG_DIR", "/mnt/user_config");
const FILE_VARIABLE: (&str, &str) = ("JUPYTERHUB_HUB_CONFIG_FILE", "jupyterhub_config.py");

/// What the container decides and the old file cannot know: where Slipway listens and keeps its own, where the engine is.
const OF_THE_CONTAINER: [&str; 8] = [
    "listener.https",
    "listener.http",
    "data_dir",
    "certs_dir",
    "hub.bind",
    "hub.connect_url",
    "spawner.backend",
    "spawner.docker.host",
];

/// What a file gave.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) given: Vec<Given>,
    /// Of each of those, which settings it is made from: sentences.
    from: Vec<String>,
    notes: Vec<Note>,
}

impl Taken {
    /// What became of each setting, now that all that is stronger has been read.
    pub(super) fn notes(self, settings: &Settings) -> Vec<Note> {
        let of_given = self.given.iter().zip(&self.from).map(|(given, from)| {
            let Given { key, path, line, .. } = given;
            let file = path.display();
            let origin = &settings.get(key).origin;
            // Not the value: nobody knows in which of them a password stands.
            if *origin == (Origin::File { path: path.clone(), line: *line }) || matches!(origin, Origin::Both(..)) {
                Note::told(format!("{file}: taken over as {key}. {from}"))
            } else {
                Note::warning(format!("{file}: not used, since {key} is set by {origin}. {from}"))
            }
        });
        of_given.chain(self.notes).collect()
    }
}

/// Reads the file, if one is mounted.
///
/// # Errors
/// If it is there and cannot be read, or is no Python: a hub without half of its rules would let people in whom the other
/// half keeps out.
pub(super) fn read(environment: &[(String, String)]) -> Result<Taken, Mistake> {
    let Some(path) = places(environment).into_iter().find(|path| path.is_file()) else { return Ok(Taken::default()) };
    let mut source = Vec::new();
    let limit = u64::try_from(SOURCE_LIMIT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = std::fs::File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut source));
    read.map_err(|error| Mistake::unreadable(&path, &error))?;
    taken_from(&path, &source)
}

fn places(environment: &[(String, String)]) -> Vec<PathBuf> {
    let said = |(name, default): (&str, &str)| {
        let text = environment.iter().find(|(said, text)| said == name && !text.is_empty());
        text.map_or_else(|| default.to_owned(), |(_, text)| text.clone())
    };
    let later = Path::new(&said(FOLDER_VARIABLE)).join(said(FILE_VARIABLE));
    PLACES.iter().map(PathBuf::from).chain([later]).collect()
}

fn taken_from(path: &Path, source: &[u8]) -> Result<Taken, Mistake> {
    // Without defaults, so that also a value which is one of ours counts against what the image says.
    let keys: Vec<_> = KEYS.iter().map(|key| OurKey { name: key.name, default: "" }).collect();
    let Findings { said, look, fine } = config_py::find(source, &keys, &refusals).map_err(|error| Mistake {
        key: "(file)".into(),
        origin: Origin::File { path: path.to_owned(), line: error.line },
        value: String::new(),
        problem: format!("this is not Python: {}; mend it, or mount it no more", error.problem),
    })?;
    let mut taken = Taken::default();
    let file = path.display();
    for said in said {
        if OF_THE_CONTAINER.contains(&said.key) {
            let key = said.key;
            let text = format!("{file}: {key} is a matter of the container and was not taken. {}", said.from);
            taken.notes.push(Note::told(text));
            continue;
        }
        taken.from.push(said.from);
        taken.given.push(Given { key: said.key.into(), value: said.value, path: path.to_owned(), line: said.line });
    }
    taken.notes.extend(look.into_iter().map(|text| Note::warning(format!("{file}: {text}"))));
    taken.notes.extend(fine.into_iter().map(|text| Note::told(format!("{file}: nothing to do: {text}"))));
    Ok(taken)
}

/// What our configuration says against `text`, without anything else that is said here.
fn refusals(text: &str) -> Vec<Refusal> {
    let sources = Sources { file: Some((Path::new("slipway.toml"), text)), ..Sources::default() };
    let mistakes = config::load_all(sources).err().unwrap_or_default();
    mistakes.into_iter().map(|mistake| Refusal { key: mistake.key, problem: mistake.problem }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
c = get_config()
import os
c.JupyterHub.bind_url = 'http://:8000/'
c.JupyterHub.base_url = '/lab/'
c.Authenticator.admin_users = {'root'}
c.DockerSpawner.image = os.environ['DOCKER_NOTEBOOK_IMAGE']
c.DockerSpawner.pre_spawn_hook = lambda spawner: None
c.JupyterHub.cookie_secret = 'hunter2'
";

    #[test]
    fn each_setting_is_taken_over_or_told_what_to_set_instead() {
        let taken = taken_from(Path::new("old.py"), OLD.as_bytes()).expect("it is Python");
        let given: Vec<_> = taken.given.iter().map(|given| (given.key.as_str(), given.line)).collect();
        assert!(given.contains(&("base_url", 4)) && given.contains(&("auth.admins", 5)), "{given:?}");
        assert!(given.iter().all(|(key, _)| *key != "listener.https"), "{given:?}");
        let sources = Sources { given: taken.given.clone(), ..Sources::default() };
        let notes = taken.notes(&config::load_all(sources).expect("sound").0);
        let has = |is_warning: bool, words: &str| {
            notes.iter().any(|note| note.is_warning == is_warning && note.text.contains(words))
        };
        assert!(has(false, "old.py: taken over as base_url. From line 4: c.JupyterHub.base_url."), "{notes:?}");
        assert!(has(false, "listener.https is a matter of the container"), "{notes:?}");
        assert!(has(true, "c.DockerSpawner.pre_spawn_hook"), "{notes:?}");
        assert!(has(true, "c.JupyterHub.cookie_secret: holds a secret"), "{notes:?}");
        assert!(!format!("{notes:?}").contains("hunter2"));
    }

    #[test]
    fn what_it_says_is_weaker_than_the_environment_and_our_own_file() {
        let given = taken_from(Path::new("old.py"), OLD.as_bytes()).expect("it is Python").given;
        let told = |settings: &Settings| {
            let taken = taken_from(Path::new("old.py"), OLD.as_bytes()).expect("it is Python");
            let mut of_base = taken.notes(settings).into_iter().filter(|note| note.text.contains("base_url"));
            of_base.next().map(|note| (note.is_warning, note.text))
        };
        let load = |file: Option<&str>, environment: &[(&str, &str)]| {
            let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            let (settings, _) = config::load_all(Sources {
                defaults: Some((Path::new("image.toml"), "base_url = \"/image/\"")),
                given: given.clone(),
                file: file.map(|text| (Path::new("s.toml"), text)),
                environment: environment.collect(),
            })
            .expect("sound");
            let setting = settings.get("base_url");
            let (is_warning, text) = told(&settings).expect("a line on it");
            assert_eq!(is_warning, setting.origin.to_string() != "old.py:4", "{text}");
            (setting.value.as_str().expect("a text").to_owned(), setting.origin.to_string())
        };
        assert_eq!(load(None, &[]), ("/lab/".into(), "old.py:4".into()));
        let old = ("JUPYTERHUB_BASE_URL", "/old");
        assert_eq!(load(None, &[old]), ("/old".into(), "environment JUPYTERHUB_BASE_URL".into()));
        assert_eq!(load(Some("base_url = \"/file/\""), &[old]), ("/file/".into(), "s.toml:1".into()));
    }

    #[test]
    fn a_file_that_is_no_python_is_a_mistake_with_its_line() {
        let mistake = taken_from(Path::new("old.py"), b"c = 1\nc.X.y = (\n").expect_err("it does not end");
        assert!(mistake.to_string().starts_with("old.py:2: (file): this is not Python"), "{mistake}");
    }

    #[test]
    fn the_later_platforms_folder_and_name_are_looked_at_too() {
        let said = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            places(&pairs).last().map(|path| path.display().to_string())
        };
        assert_eq!(said(&[]).as_deref(), Some("/mnt/user_config/jupyterhub_config.py"));
        let both = [("JUPYTERHUB_USER_CONFIG_DIR", "/c"), ("JUPYTERHUB_HUB_CONFIG_FILE", "hub.py")];
        assert_eq!(said(&both).as_deref(), Some("/c/hub.py"));
    }
}
