//! What README.md and docs/ tell people to type is typed here, in a scratch place beside a running instance; a command
//! that is neither run nor on the list of those that cannot be fails the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::commands::text;
use crate::world::World;

/// Beginnings of commands that are not run, each with its reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("slipway restore", "what runs here refuses it: tests/suite/commands.rs restores"),
    ("./start.sh", "builds a release first; tests/browser runs it"),
    ("./test.sh", "it is what runs this"),
    ("./compose.sh", "tests/compose runs it"),
    ("docker ", "wants an engine and images; tests/docker and tests/compose have them"),
    ("systemctl ", "wants a host that systemd has booted"),
    ("sudo ", "changes the host"),
    ("packaging/build.sh", "tests/suite/packaging.rs runs it"),
    ("benches/", "measures for minutes"),
    ("cargo ", "builds for minutes"),
    ("SLIPWAY_BINARY=", "measures for minutes"),
    ("slipway serve", "the instance beside which the others are run"),
    ("slipway chp", "tests/clients run it under a JupyterHub"),
    ("slipway import jupyterhub", "wants a JupyterHub's database; tests/suite/commands.rs and tests/clients have one"),
];

fn reason_not_to_run(command: &str) -> Option<&'static str> {
    NOT_RUN.iter().find(|(beginning, _)| command.starts_with(beginning)).map(|(_, reason)| *reason)
}

/// README.md and all pages of docs/ but the generated ones.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_docs =
        std::fs::read_dir(root.join("docs")).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = in_docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    paths.retain(|path| !path.ends_with("third-party.md"));
    paths.sort();
    paths.insert(0, root.join("README.md"));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        (name, std::fs::read_to_string(path).expect("a page"))
    };
    paths.into_iter().map(read).collect()
}

/// The fenced blocks of a page, with their language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// What stands in backticks outside of blocks, line by line.
fn spoken(page: &str) -> Vec<Vec<&str>> {
    let prose: String = page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n");
    let page: &'static str = Box::leak(prose.into_boxed_str());
    page.lines().map(|line| line.split('`').skip(1).step_by(2).collect()).collect()
}

/// A scratch place: a running instance that knows `admin` and `alice`, and the programs `slipway` and `curl` that lead to
/// it whatever address they are told.
struct Scratch {
    folder: TempDir,
    world: World,
}

impl Scratch {
    async fn new() -> Self {
        let world = World::with(&[("SLIPWAY_PUBLIC_URL", "https://lab.example.org:8443")]).await;
        world.add_user("admin", true).await;
        world.add_user("alice", false).await;
        world.start_server("alice").await;
        let scratch = Self { folder: TempDir::new().expect("a folder"), world };
        let port = scratch.world.address().port();
        let data = scratch.world.folder.path().join("data");
        let binary = env!("CARGO_BIN_EXE_slipway");
        scratch.program("slipway", &format!("SLIPWAY_DATA_DIR={} exec {binary} \"$@\"", data.display()));
        scratch.program(
            "curl",
            &format!("exec /usr/bin/curl -sSk --fail-with-body --max-time 20 --connect-to ::127.0.0.1:{port} \"$@\""),
        );
        std::fs::write(scratch.folder.path().join("jupyterhub_config.py"), "c.JupyterHub.base_url = '/lab/'\n")
            .expect("written");
        std::fs::create_dir(scratch.folder.path().join("config")).expect("a folder");
        scratch
    }

    fn program(&self, name: &str, line: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.folder.path().join("bin");
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{line}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made runnable");
    }

    /// Runs a script of bash, ended by its first failure.
    async fn run(&self, script: String, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &script]).current_dir(self.folder.path()).env_clear();
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.folder.path().join("bin").display()));
        command.envs(variables.iter().copied()).stdin(Stdio::null());
        // The instance lives on this runtime: the script must not hold a thread of it.
        tokio::task::spawn_blocking(move || command.output().expect("bash runs")).await.expect("no panic")
    }
}

/// Commands of blocks: a line each, with those that it is continued by.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split("  #").next().unwrap_or_default().trim().to_owned());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_block_of_commands_runs() {
    let scratch = Scratch::new().await;
    let mut count = 0;
    for (name, page) in pages() {
        // A page is read from above: what one block sets, the next may use.
        let blocks: Vec<_> = blocks(&page).into_iter().filter(|(language, _)| *language == "sh").collect();
        let lines: Vec<_> = blocks.iter().flat_map(|(_, block)| commands(block)).collect();
        let lines: Vec<_> = lines.into_iter().filter(|line| reason_not_to_run(line).is_none()).collect();
        count += lines.len();
        let done = scratch.run(lines.join("\n"), &[]).await;
        assert!(done.status.success(), "{name}:\n{}\n\n{}", lines.join("\n"), text(&done));
    }
    assert!(count >= 6, "only {count} commands were found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_a_sentence_or_a_table_runs() {
    let scratch = Scratch::new().await;
    for (name, page) in pages() {
        for line in spoken(&page) {
            let mut spoken_command = None;
            for word in line {
                if let Some(command) = word.strip_prefix("slipway ") {
                    spoken_command = command.split(' ').next();
                    let command = command.replace(['[', ']'], "").replace("NAME", "alice");
                    // What one page has written another may write, too.
                    let command =
                        format!("slipway {}", command.replace("FILE", &format!("{}.file", name.replace('/', "-"))));
                    if reason_not_to_run(&command).is_some() {
                        continue;
                    }
                    let done = scratch.run(command.clone(), &[]).await;
                    // The name of a command that wants more said than its name; or one that asks for a password.
                    let is_a_name = ["required arguments were not provided", "requires a subcommand", "password"]
                        .iter()
                        .any(|sign| text(&done).contains(sign));
                    assert!(done.status.success() || is_a_name, "{name}: {command}\n{}", text(&done));
                } else if let Some(command) = spoken_command.filter(|_| is_a_plain_word(word)) {
                    // `slipway user list`, `add`, `delete`: further names.
                    let done = scratch.run(format!("slipway {command} {word} --help"), &[]).await;
                    assert!(done.status.success(), "{name}: slipway {command} {word}\n{}", text(&done));
                } else if is_a_script(word) || word.starts_with("ln ") || word.starts_with("curl ") {
                    let done = match reason_not_to_run(word) {
                        Some(_) => continue,
                        None => scratch.run(word.to_owned(), &[]).await,
                    };
                    assert!(done.status.success(), "{name}: {word}\n{}", text(&done));
                }
            }
        }
    }
}

/// `./compose.sh up`, and not `./certs`.
fn is_a_script(word: &str) -> bool {
    word.starts_with("./") && word.split(' ').next().is_some_and(|program| program.ends_with(".sh"))
}

fn is_a_plain_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_variable_and_every_table_of_settings_is_sound() {
    let scratch = Scratch::new().await;
    let check = async |file: &str, variables: &[(&str, &str)]| {
        std::fs::write(scratch.folder.path().join("s.toml"), file).expect("written");
        scratch.run("slipway --config s.toml check".into(), variables).await
    };
    let compose = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/compose.yml")).unwrap_or_default();
    for (name, page) in pages() {
        for line in spoken(&page) {
            let variables: Vec<_> = line.iter().filter_map(|word| word.split_once('=')).collect();
            let ours = |(name, _): &&(&str, &str)| {
                // compose.yml has variables of its own beside ours.
                name.starts_with("SLIPWAY_") && *name != "SLIPWAY_BINARY" && !compose.contains(&format!("${{{name}:"))
            };
            let variables: Vec<_> = variables.iter().filter(ours).copied().collect();
            if variables.is_empty() {
                continue;
            }
            let done = check("", &variables).await;
            assert!(done.status.success(), "{name}: {variables:?}\n{}", text(&done));
        }
        for (language, block) in blocks(&page) {
            let done = match language {
                // Groups that grant images and volumes want containers.
                "toml" => check(block, &[("SLIPWAY_SPAWNER_BACKEND", "docker")]).await,
                "python" => {
                    std::fs::write(scratch.folder.path().join("s.py"), block).expect("written");
                    scratch.run("python3 -c 'import ast; ast.parse(open(\"s.py\").read())'".into(), &[]).await
                }
                "yaml" => {
                    std::fs::write(scratch.folder.path().join("s.yml"), block).expect("written");
                    scratch.run("python3 -c 'import yaml; assert yaml.safe_load(open(\"s.yml\"))'".into(), &[]).await
                }
                "ini" | "text" | "sh" => continue,
                other => panic!("{name}: nobody knows how to check a block of {other:?}:\n{block}"),
            };
            assert!(done.status.success(), "{name}:\n{block}\n{}", text(&done));
        }
    }
}

#[test]
fn a_new_command_is_noticed() {
    assert!(reason_not_to_run("slipway serve").is_some() && reason_not_to_run("slipway check").is_none());
    assert_eq!(commands("a   # why\n# a remark\n\nb \\\n  c\n"), ["a", "b    c"]);
    assert_eq!(blocks("x\n```sh\na\nb\n```\ny\n```toml\nc = 1\n```\n"), [("sh", "a\nb"), ("toml", "c = 1")]);
}
