//! Reads a list of people to be made: a name a line, or lines of CSV. Pure; what is wrong is said of its line.
//!
//! Columns: name, first name, last name, e-mail, groups. A first line with titles may order them otherwise. Fields are
//! parted by commas, semicolons or tabs, whichever the first line has, and may stand in double quotes.

use std::collections::HashMap;

use crate::auth::{NEW_PEOPLE_LIMIT, NewPerson};
use crate::model::{GroupName, UserName, UserProfile};

/// One line of the list that says something.
#[derive(Debug)]
pub(super) struct Line {
    /// As an editor counts, from 1.
    pub(super) number: usize,
    /// What stands where the name should.
    pub(super) name: String,
    /// Somebody to make, or why not.
    pub(super) person: Result<NewPerson, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    FirstName,
    LastName,
    Email,
    Groups,
}

const USUAL: [Option<Column>; 5] =
    [Some(Column::Name), Some(Column::FirstName), Some(Column::LastName), Some(Column::Email), Some(Column::Groups)];

/// The people of `text`. `objection` is what stands against a name beside the rules of names; `group_objection` is what stands
/// against a group.
pub(super) fn parse(
    text: &str,
    objection: impl Fn(&UserName) -> Option<String>,
    group_objection: impl Fn(&GroupName) -> Option<String>,
) -> Vec<Line> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let mut lines = lines.by_ref().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).peekable();
    let delimiter = lines.peek().map_or(',', |(_, line)| delimiter_of(line));
    let titles = lines.peek().and_then(|(_, line)| titles_of(&fields_of(line, delimiter)));
    if titles.is_some() {
        lines.next();
    }
    let columns = titles.unwrap_or_else(|| USUAL.to_vec());
    let mut seen = HashMap::new();
    let mut people = Vec::new();
    for (number, line) in lines {
        let row = Row { columns: &columns, fields: fields_of(line, delimiter) };
        let mut person = row.person(&objection, &group_objection);
        if let Ok(new) = &person {
            let first = *seen.entry(new.name.clone()).or_insert(number);
            if first != number {
                person = Err(format!("stands in line {first} already"));
            } else if seen.len() > NEW_PEOPLE_LIMIT {
                person = Err(format!("at most {NEW_PEOPLE_LIMIT} people are made in one go; make the others next"));
            }
        }
        people.push(Line { number, name: row.get(Column::Name).to_owned(), person });
    }
    people
}

struct Row<'a> {
    columns: &'a [Option<Column>],
    fields: Vec<String>,
}

impl Row<'_> {
    fn get(&self, wanted: Column) -> &str {
        let place = self.columns.iter().position(|column| *column == Some(wanted));
        place.and_then(|place| self.fields.get(place)).map_or("", |field| field.trim())
    }

    fn person(
        &self,
        objection: impl Fn(&UserName) -> Option<String>,
        group_objection: impl Fn(&GroupName) -> Option<String>,
    ) -> Result<NewPerson, String> {
        let name = UserName::parse(self.get(Column::Name)).map_err(|error| format!("is no name: {error}"))?;
        if self.fields.len() > self.columns.len() {
            return Err(format!("has {} fields, and there are {} columns", self.fields.len(), self.columns.len()));
        }
        if let Some(why) = objection(&name) {
            return Err(why);
        }
        let profile =
            UserProfile::parse(self.get(Column::FirstName), self.get(Column::LastName), self.get(Column::Email));
        let profile = profile.map_err(|error| error.to_string())?;
        let groups = self.get(Column::Groups).split(['|', '+']).map(str::trim).filter(|group| !group.is_empty());
        let groups = groups.map(|text| {
            let group = GroupName::parse(text).map_err(|error| format!("group “{text}”: {error}"))?;
            group_objection(&group).map_or(Ok(group), |why| Err(format!("group “{text}” {why}")))
        });
        Ok(NewPerson { name, profile, groups: groups.collect::<Result<_, _>>()?, admin: false })
    }
}

fn delimiter_of(line: &str) -> char {
    ['\t', ';', ','].into_iter().find(|delimiter| line.contains(*delimiter)).unwrap_or(',')
}

/// The columns, if this line is one of titles.
fn titles_of(fields: &[String]) -> Option<Vec<Option<Column>>> {
    let column = |title: &String| match title.trim().to_lowercase().replace(['_', '-', ' '], "").as_str() {
        "name" | "username" | "user" | "login" => Some(Column::Name),
        "firstname" | "givenname" | "first" => Some(Column::FirstName),
        "lastname" | "surname" | "familyname" | "last" => Some(Column::LastName),
        "email" | "mail" | "emailaddress" => Some(Column::Email),
        "group" | "groups" => Some(Column::Groups),
        _ => None,
    };
    let columns: Vec<_> = fields.iter().map(column).collect();
    // A list of one name called "user" is a name; with another title beside it, it is a title.
    let is_titles = columns.contains(&Some(Column::Name)) && columns.iter().flatten().count() > 1;
    let is_alone = fields.len() == 1 && fields[0].trim().eq_ignore_ascii_case("username");
    (is_titles || is_alone).then_some(columns)
}

/// Parted at `delimiter`, but not within double quotes; two of them there are one.
fn fields_of(line: &str, delimiter: char) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(field) = fields.last_mut() else { break };
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if is_quoted || field.trim().is_empty() => is_quoted = !is_quoted,
            letter if letter == delimiter && !is_quoted => fields.push(String::new()),
            letter => field.push(letter),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let objection = |name: &UserName| (name.as_str() == "taken").then(|| "is taken".to_owned());
        parse(text, objection, |group| (!group.as_str().starts_with("course")).then(|| "is not there".to_owned()))
    }

    #[track_caller]
    fn check(text: &str, expected: &[(usize, Result<&str, &str>)]) {
        let found = lines(text);
        let told = found.iter().map(|line| {
            let person = line.person.as_ref().map(|person| {
                let groups = person.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
                format!("{}/{}/{}/{groups}", person.name, person.profile.full_name(), person.profile.email())
            });
            (line.number, person.map_err(Clone::clone))
        });
        let expected: Vec<_> = expected
            .iter()
            .map(|(number, person)| (*number, person.map(str::to_owned).map_err(str::to_owned)))
            .collect();
        assert_eq!(told.collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn a_name_a_line_is_enough() {
        check("Ann\n\n  bob  \r\n# a remark\n", &[(1, Ok("ann///")), (3, Ok("bob///"))]);
        check("", &[]);
    }

    #[test]
    fn a_line_of_csv_has_the_columns_in_their_order_or_in_that_of_its_titles() {
        check("ann, Ann ,Lee,ann@x.org,course 1|course-2", &[(1, Ok("ann/Ann Lee/ann@x.org/course 1+course-2"))]);
        check("e-mail;Last name;username\na@x.org;\"Le;\"\"e\";ann", &[(2, Ok("ann/Le;\"e/a@x.org/"))]);
        check("username\nann", &[(2, Ok("ann///"))]);
        check("user\nann", &[(1, Ok("user///")), (2, Ok("ann///"))]);
        check("\u{feff}ann\tAnn", &[(1, Ok("ann/Ann//"))]);
    }

    #[test]
    fn what_is_wrong_is_said_of_its_line_and_the_others_stay() {
        let found = lines("ann\nANN\ntaken\na/b\nbob,B,,nonsense\ncleo,,,,physics\ndan,1,2,3@x.org,course,6\neve");
        let wrong: Vec<_> =
            found.iter().filter_map(|line| Some((line.number, line.person.as_ref().err()?.as_str()))).collect();
        assert_eq!(wrong.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        assert_eq!(wrong[0].1, "stands in line 1 already");
        assert_eq!(wrong[1].1, "is taken");
        assert!(
            wrong[2].1.starts_with("is no name") && wrong[4].1.contains("“physics”") && wrong[5].1.contains("6 fields")
        );
    }

    #[test]
    fn no_more_are_taken_than_are_made_in_one_go() {
        let text: String = (0..NEW_PEOPLE_LIMIT + 2).map(|n| format!("u{n}\n")).collect();
        let found = lines(&text);
        assert_eq!(found.iter().filter(|line| line.person.is_err()).count(), 2);
    }
}
