//! Reads lists of people to be: one a line, as they come out of a spreadsheet or a mail.
//!
//! `name[,first name[,last name[,e-mail[,group;group]]]]`, with commas, semicolons or tabs between; a first line that
//! says so (`e-mail,username,…`) gives them another order. Empty lines are skipped, and those that begin with `#`. A field in
//! quotes may hold separators; no field holds a line break. Groups may be parted by `|`, too, where semicolons part the
//! fields. Pure; whoever reads decides what to do about mistakes.

use std::collections::HashMap;

use super::NewPerson;
use crate::model::{GroupName, UserName, UserProfile};

/// Longest line, in bytes: the longest of everything, and ten groups.
const LINE_LIMIT_BYTES: usize = 4096;
/// Mistakes that are told: nobody mends more at once, and the answer stays small.
const MISTAKES_LIMIT: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    FirstName,
    LastName,
    Email,
    Groups,
    /// Without a title: what stands in it is not read.
    Nothing,
}

/// The order of a list without titles.
const COLUMNS: [Column; 5] = [Column::Name, Column::FirstName, Column::LastName, Column::Email, Column::Groups];

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// People with the lines that they stand on.
    pub people: Vec<(usize, NewPerson)>,
    /// What could not be read, the first hundred.
    pub mistakes: Vec<RosterMistake>,
}

/// A line that is no person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterMistake {
    /// From 1.
    pub line: usize,
    /// What stands where the name should, cut to what a name may have.
    pub name: String,
    /// Why, as the rest of a sentence.
    pub reason: String,
}

impl Roster {
    /// Reads a text. People beyond `limit` are a mistake, told once.
    #[must_use]
    pub fn read(text: &str, limit: usize) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut roster = Self::default();
        let mut lines_of: HashMap<UserName, usize> = HashMap::new();
        let (mut separator, mut columns) = (None, COLUMNS.to_vec());
        // A lone carriage return ends a line, too, as it once did on some computers.
        let lines = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
        for (line, written) in (1..).zip(lines) {
            let trimmed = written.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let is_first = separator.is_none();
            let separator = *separator.get_or_insert_with(|| separator_of(trimmed));
            if roster.people.len() >= limit {
                roster.note(line, "", format!("there are more than {limit} people; make the others in another go"));
                break;
            }
            match fields_of(trimmed, separator) {
                Ok(fields) => match titles_of(&fields).filter(|_| is_first) {
                    Some(titles) => columns = titles,
                    None => roster.take(line, &fields, &columns, &mut lines_of),
                },
                Err(reason) => roster.note(line, trimmed, reason.to_owned()),
            }
            if roster.mistakes.len() >= MISTAKES_LIMIT {
                break;
            }
        }
        roster
    }

    fn take(&mut self, line: usize, fields: &[String], columns: &[Column], lines_of: &mut HashMap<UserName, usize>) {
        match person_of(fields, columns) {
            Ok(person) => match lines_of.insert(person.name.clone(), line) {
                Some(earlier) => {
                    self.note(line, person.name.as_str(), format!("the name stands on line {earlier} already"));
                }
                None => self.people.push((line, person)),
            },
            Err(reason) => self.note(line, field(fields, columns, Column::Name), reason),
        }
    }

    fn note(&mut self, line: usize, name: &str, reason: String) {
        let name = name.chars().filter(|c| !c.is_control()).take(64).collect();
        self.mistakes.push(RosterMistake { line, name, reason });
    }
}

/// Whichever stands first outside quotes; a comma if none does.
fn separator_of(line: &str) -> char {
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' | ';' | '\t' if !is_quoted => return c,
            _ => {}
        }
    }
    ','
}

/// The fields of a line, as RFC 4180 quotes them, trimmed.
fn fields_of(line: &str, separator: char) -> Result<Vec<String>, &'static str> {
    if line.len() > LINE_LIMIT_BYTES {
        return Err("the line is too long");
    }
    let mut fields = vec![String::new()];
    let (mut is_quoted, mut was_quoted) = (false, false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            '"' if is_quoted && rest.peek() == Some(&'"') => {
                rest.next();
                field.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if field.trim().is_empty() && !was_quoted => {
                field.clear();
                (is_quoted, was_quoted) = (true, true);
            }
            c if c == separator && !is_quoted => {
                fields.push(String::new());
                was_quoted = false;
            }
            c if was_quoted && !is_quoted && !c.is_whitespace() => return Err("text stands behind a closing quote"),
            c => field.push(c),
        }
    }
    if is_quoted {
        return Err("a quote is not closed");
    }
    fields.iter_mut().for_each(|field| *field = field.trim().to_owned());
    Ok(fields)
}

/// The columns, if this line is one of titles: all of them are known and the name is among them. Of a single word only
/// `name` and `username` are titles: a list may well begin with somebody called `user`.
fn titles_of(fields: &[String]) -> Option<Vec<Column>> {
    let column = |title: &String| match title.to_lowercase().replace(['_', '-', ' '], "").as_str() {
        "name" | "username" => Some(Column::Name),
        "user" | "login" if fields.len() > 1 => Some(Column::Name),
        "first" | "firstname" | "givenname" => Some(Column::FirstName),
        "last" | "lastname" | "surname" | "familyname" => Some(Column::LastName),
        "email" | "mail" | "emailaddress" => Some(Column::Email),
        "group" | "groups" => Some(Column::Groups),
        "" => Some(Column::Nothing),
        _ => None,
    };
    let columns: Vec<_> = fields.iter().map(column).collect::<Option<_>>()?;
    columns.contains(&Column::Name).then_some(columns)
}

/// What stands in a column; empty if nothing does.
fn field<'a>(fields: &'a [String], columns: &[Column], wanted: Column) -> &'a str {
    let place = columns.iter().position(|column| *column == wanted);
    place.and_then(|place| fields.get(place)).map_or("", String::as_str)
}

fn person_of(fields: &[String], columns: &[Column]) -> Result<NewPerson, String> {
    let field = |wanted| field(fields, columns, wanted);
    if fields.iter().skip(columns.len()).any(|field| !field.is_empty()) {
        return Err(match columns == COLUMNS {
            true => "there are more than five fields: name, first name, last name, e-mail, groups".to_owned(),
            false => format!("there are more fields than the {} titles of the first line", columns.len()),
        });
    }
    let name = UserName::parse(field(Column::Name)).map_err(|error| error.to_string())?;
    let profile = UserProfile::parse(field(Column::FirstName), field(Column::LastName), field(Column::Email))
        .map_err(|error| error.to_string())?;
    let groups = field(Column::Groups).split([';', '|']).map(str::trim).filter(|group| !group.is_empty());
    let mut parsed = Vec::new();
    for group in groups {
        let group = GroupName::parse(group).map_err(|error| format!("the group's name: {error}"))?;
        if !parsed.contains(&group) {
            parsed.push(group);
        }
    }
    Ok(NewPerson { name, profile, groups: parsed, admin: false })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<(usize, String)> {
        let roster = Roster::read(text, 100);
        assert_eq!(roster.mistakes, [], "{text:?}");
        roster.people.into_iter().map(|(line, person)| (line, person.name.to_string())).collect()
    }

    fn mistake(text: &str) -> (usize, String) {
        let roster = Roster::read(text, 100);
        let mistake = roster.mistakes.first().unwrap_or_else(|| panic!("{text:?} is refused")).clone();
        (mistake.line, mistake.reason)
    }

    fn expected(names: &[(usize, &str)]) -> Vec<(usize, String)> {
        names.iter().map(|(line, name)| (*line, (*name).to_owned())).collect()
    }

    #[test]
    fn a_plain_list_of_names_is_read_with_its_lines() {
        assert_eq!(names("alice\nBob\n\n# the others\n carol "), expected(&[(1, "alice"), (2, "bob"), (5, "carol")]));
        assert_eq!(names("\u{feff}alice\r\nbob\r\n"), expected(&[(1, "alice"), (2, "bob")]));
        assert_eq!(names("alice\rbob"), expected(&[(1, "alice"), (2, "bob")]));
        assert_eq!(names(""), []);
        assert_eq!(names("name,first name,last name,e-mail,groups\nalice"), expected(&[(2, "alice")]));
        assert_eq!(names("Username;Email\nalice;"), expected(&[(2, "alice")]));
        assert_eq!(names("name"), []);
        assert_eq!(names("user\nann"), expected(&[(1, "user"), (2, "ann")]));
        assert_eq!(names("alice\nname"), expected(&[(1, "alice"), (2, "name")]), "only the first line is a head");
    }

    #[test]
    fn a_spreadsheets_fields_are_read_whatever_parts_them() {
        let group = |text: &str| GroupName::parse(text).expect("a name");
        let person = NewPerson {
            name: UserName::parse("ada").expect("a name"),
            profile: UserProfile::parse("Ada", "King, Countess", "ada@example.org").expect("a profile"),
            groups: vec![group("math"), group("poets")],
            admin: false,
        };
        for text in [
            r#"ada,Ada,"King, Countess",ada@example.org,math;poets"#,
            r#"ada;Ada;"King, Countess";ada@example.org;"math;poets""#,
            r"ada;Ada;King, Countess;ada@example.org;math|poets",
            "ada\tAda\tKing, Countess\tada@example.org\tmath; poets;math",
        ] {
            assert_eq!(
                Roster::read(text, 10),
                Roster { people: vec![(1, person.clone())], mistakes: vec![] },
                "{text}"
            );
        }
        let titled = "e-mail;;Last name;username;groups;first\nada@example.org;x;King, Countess;ada;\"math;poets\";Ada";
        assert_eq!(Roster::read(titled, 10), Roster { people: vec![(2, person)], mistakes: vec![] });
        let quoted = Roster::read(r#"ada,"Ada ""the first""""#, 10);
        assert_eq!(quoted.people[0].1.profile.first_name(), r#"Ada "the first""#);
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        assert_eq!(mistake("alice\na/b").0, 2);
        assert_eq!(mistake("alice\n\"bob").1, "a quote is not closed");
        assert_eq!(mistake("\"bob\"x").1, "text stands behind a closing quote");
        assert_eq!(mistake("alice\nbob\nALICE"), (3, "the name stands on line 1 already".to_owned()));
        assert!(mistake("alice,,,nonsense").1.contains("e-mail"));
        assert!(mistake("alice,a,b,c@d,e,f").1.contains("five fields"));
        assert!(mistake(&format!("alice,{}", "x".repeat(5000))).1.contains("too long"));
        let many = (0..20).map(|number| format!("u{number}\n")).collect::<String>();
        let roster = Roster::read(&many, 10);
        assert_eq!((roster.people.len(), roster.mistakes.len(), roster.mistakes[0].line), (10, 1, 11));
        let roster = Roster::read(&"a/b\n".repeat(1000), 10);
        assert_eq!(roster.mistakes.len(), 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn any_text_is_read_and_each_line_is_told_of_once(text in "[a-c/,;\"#\t \r\n\u{feff}é\\PC]{0,200}") {
            let roster = Roster::read(&text, 5);
            prop_assert!(roster.people.len() <= 5);
            let mut lines: Vec<_> = roster.people.iter().map(|(line, _)| *line).collect();
            lines.extend(roster.mistakes.iter().map(|mistake| mistake.line));
            let count = lines.len();
            lines.sort_unstable();
            lines.dedup();
            prop_assert_eq!(lines.len(), count);
            for mistake in &roster.mistakes {
                prop_assert!(mistake.name.chars().count() <= 64 && !mistake.name.chars().any(char::is_control));
            }
        }

        #[test]
        fn fields_come_out_as_they_were_quoted(fields in proptest::collection::vec("[a-z \",;é]{0,12}", 1..5)) {
            let quoted: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let trimmed: Vec<_> = fields.iter().map(|field| field.trim().to_owned()).collect();
            prop_assert_eq!(fields_of(&quoted.join(","), ','), Ok(trimmed));
        }
    }
}
