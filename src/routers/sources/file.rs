//! Watches the file of routes. A look is one step with the file as its only outside input; `sources` repeats it.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::routers::build::{Surroundings, check};
use crate::routers::draft::Draft;
use crate::routers::file::{self, SIZE_LIMIT_BYTES};
use crate::routers::name::Provider;
use crate::routers::problem::{Place, Problem};

/// The file and what of it is in force.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
    /// In force: the last text that had nothing wrong; until there was one, what is right of the newest that could be read.
    draft: Draft,
    /// Once it has been good, it stays good: a text with a mistake changes nothing of what is in force.
    has_been_good: bool,
    /// What is wrong with the newest text.
    mistakes: Vec<Problem>,
    /// Looks in a row that found no file: an editor takes it away for a moment.
    missing: u32,
}

impl WatchedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, seen: None, draft: Draft::default(), has_been_good: false, mistakes: Vec::new(), missing: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with the newest text.
    pub(super) fn mistakes(&self) -> &[Problem] {
        &self.mistakes
    }

    /// How it is with it, for people, and whether that is well.
    pub(super) fn state(&self) -> (String, bool) {
        let count = match self.mistakes.len() {
            0 if self.seen.is_none() => return ("not there".to_owned(), true),
            0 => return ("watched".to_owned(), true),
            1 => "one mistake".to_owned(),
            count => format!("{count} mistakes"),
        };
        let what_holds = match (self.has_been_good, self.draft.routers.is_empty()) {
            (true, _) => "what it said before stays in force",
            (false, false) => "it has not been without one yet, so what is right of it is in force",
            (false, true) => "nothing of it is in force",
        };
        (format!("watched; {count} in it: {what_holds}"), false)
    }

    pub(super) fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Looks once; true if what is in force has changed, or what is wrong.
    pub(super) fn look(&mut self, around: &Surroundings) -> bool {
        let stamp = std::fs::metadata(&self.path).and_then(|facts| Ok((facts.modified()?, facts.len())));
        let stamp = match stamp {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.note_missing(),
            Err(error) => return self.keep(vec![self.problem(format!("cannot be looked at: {error}"))]),
        };
        self.missing = 0;
        if self.seen == Some(stamp) {
            return false;
        }
        self.seen = Some(stamp);
        let read = read_text(&self.path).map_err(|error| self.problem(format!("cannot be read: {error}")));
        match read.and_then(|text| file::read(&self.path, &text)) {
            Err(problem) => self.keep(vec![problem]),
            Ok(new) => self.take(new, around),
        }
    }

    fn note_missing(&mut self) -> bool {
        self.missing = self.missing.saturating_add(1);
        if self.missing < 2 || self.seen.is_none() {
            return false;
        }
        self.seen = None;
        self.has_been_good = false;
        self.mistakes.clear();
        std::mem::take(&mut self.draft) != Draft::default()
    }

    /// A new text of the file: in force at once if nothing is wrong with it.
    fn take(&mut self, new: Draft, around: &Surroundings) -> bool {
        let problems = check(&new, Provider::File, around);
        if !problems.is_empty() && self.has_been_good {
            return self.keep(problems);
        }
        // At a start there is nothing better to go back to: what is right of it stands, as with labels, and so does what an
        // edit mends of it. Nothing is half applied, so what a mistake was said for is not served without it.
        self.has_been_good = problems.is_empty();
        self.mistakes = problems;
        let is_news = self.draft != new;
        self.draft = new;
        is_news
    }

    /// What was in force stays; what is wrong with the newest is said.
    fn keep(&mut self, problems: Vec<Problem>) -> bool {
        let is_news = self.draft.problems != problems;
        self.mistakes.clone_from(&problems);
        self.draft.problems = problems;
        is_news
    }

    fn problem(&self, text: String) -> Problem {
        Problem::new(&Place::Line { file: self.path.to_string_lossy().into(), line: 0 }, text)
    }
}

/// No more than is ever read, whatever the file is.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(SIZE_LIMIT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::BasePath;

    const GOOD: &str = "http:\n  routers:\n    a:\n      rule: Host(`a`)\n      service: s\n  services:\n    s:\n      \
                        loadBalancer:\n        servers:\n          - url: http://127.0.0.1:1\n";

    fn around() -> Surroundings {
        Surroundings { base: BasePath::parse("/").expect("a path"), hub_host: None, default_entry_points: Vec::new() }
    }

    struct Story {
        folder: tempfile::TempDir,
        file: WatchedFile,
        edits: u64,
    }

    impl Story {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let file = WatchedFile::new(folder.path().join("routes.yml"));
            Self { folder, file, edits: 0 }
        }

        /// Writes the file, each time with a later time.
        fn edit(&mut self, text: &str) -> bool {
            self.edits += 1;
            let path = self.folder.path().join("routes.yml");
            fs::write(&path, text).expect("it is written");
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(self.edits);
            fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("a time");
            self.file.look(&around())
        }

        fn problems(&self) -> Vec<String> {
            self.file.draft().problems.iter().map(|problem| problem.text.clone()).collect()
        }
    }

    #[test]
    fn a_bad_edit_keeps_what_was_in_force_and_says_why() {
        let mut story = Story::new();
        assert!(!story.file.look(&around()), "there is no file yet");
        assert!(story.edit(GOOD));
        assert!(!story.file.look(&around()), "nothing has changed");
        for (bad, expected) in [
            (
                GOOD.replace("rule: Host(`a`)", "rule: Hots(`a`)"),
                "rule, column 1: there is no matcher Hots; did you mean Host?",
            ),
            (
                GOOD.replace("service: s", "service: t"),
                "router a@file is not published: there is no service t@file; did you mean s@file?",
            ),
            (GOOD.replace("loadBalancer", "loadBalance"), "unknown field loadBalance of s; did you mean loadBalancer?"),
            (GOOD.replace("service: s", "servic: s"), "unknown field servic of a; did you mean service?"),
        ] {
            assert!(story.edit(&bad));
            assert!(story.problems().contains(&expected.to_owned()), "{:?}", story.problems());
            assert_eq!(story.file.draft().routers.len(), 1, "the old one stays");
            assert!(!story.file.look(&around()), "it is said once");
        }
        assert!(story.edit("http: ["));
        assert_eq!(story.file.draft().routers.len(), 1);
        assert!(story.edit(GOOD));
        assert_eq!(story.problems(), Vec::<String>::new());
    }

    #[test]
    fn until_it_was_good_once_what_is_right_of_it_is_in_force() {
        let wrong =
            "    b:\n      rule: Hots(`b`)\n      service: s\n    c:\n      rule: Host(`c`)\n      service: t\n";
        let both = GOOD.replace("  services:", &format!("{wrong}  services:"));
        let names = |story: &Story| {
            let draft = story.file.draft();
            let table = crate::routers::build(
                std::slice::from_ref(draft),
                &around(),
                &Default::default(),
                crate::model::Timestamp(0),
            );
            let names: Vec<_> = table.routers().iter().map(|router| router.name.to_string()).collect();
            (names.join(" "), table.problems().len())
        };
        let mut story = Story::new();
        assert!(story.edit("http: ["));
        assert_eq!(story.file.state(), ("watched; one mistake in it: nothing of it is in force".to_owned(), false));
        assert!(story.edit(&both));
        assert_eq!(names(&story), ("a@file".to_owned(), 2));
        let state = "watched; 2 mistakes in it: it has not been without one yet, so what is right of it is in force";
        assert_eq!(story.file.state(), (state.to_owned(), false));
        // One is mended: that counts, although the other is still there.
        assert!(story.edit(&both.replace("Hots", "Host")));
        assert_eq!(names(&story), ("a@file b@file".to_owned(), 1));
        assert!(story.edit(GOOD));
        assert_eq!((names(&story), story.file.state()), (("a@file".to_owned(), 0), ("watched".to_owned(), true)));
        // From now on a mistake changes nothing.
        assert!(story.edit(&both));
        assert_eq!(names(&story), ("a@file".to_owned(), 2));
        let state = "watched; 2 mistakes in it: what it said before stays in force";
        assert_eq!(story.file.state(), (state.to_owned(), false));
    }

    #[test]
    fn names_of_containers_are_no_reason_to_refuse_a_file() {
        let mut story = Story::new();
        story.edit(GOOD);
        story.edit(&GOOD.replace("service: s", "service: s@docker"));
        assert_eq!(story.problems(), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_gone_says_nothing_after_a_moment() {
        let mut story = Story::new();
        story.edit(GOOD);
        fs::remove_file(story.folder.path().join("routes.yml")).expect("it is removed");
        assert!(!story.file.look(&around()), "an editor may be writing it anew");
        assert!(story.file.look(&around()));
        assert_eq!(story.file.draft(), &Draft::default());
    }
}
