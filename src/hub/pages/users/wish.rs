//! What the address of the list of users asks for, and the users that fit it, in order: pure, over plain entries.

use std::cmp::{Ordering, Reverse};
use std::ops::Range;
use std::time::Duration;

use crate::hub::activity::Using;
use crate::hub::form::query_encode;
use crate::hub::idle::Tone;
use crate::model::{GroupName, Timestamp, UserName};

/// How many users a page may show; the first is usual. 200 rows are some 90 KB of HTML.
pub(in crate::hub::pages) const SIZES: [usize; 3] = [50, 100, 200];
/// Longer than any name, address or e-mail that somebody looks for.
const TEXT_LIMIT: usize = 100;

/// What is known of a user in the list, without asking anybody for more.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: UserName,
    /// First and last name, as far as they are known.
    pub(super) real_name: String,
    pub(super) email: String,
    pub(super) groups: Vec<GroupName>,
    pub(super) admin: bool,
    pub(super) access: Access,
    pub(super) must_change_password: bool,
    pub(super) has_second_factor: bool,
    pub(super) server: Server,
    /// When the first of their servers is stopped, and why not before.
    pub(super) idle: Option<TimeLeft>,
    pub(super) active_at: Option<Timestamp>,
    pub(super) created: Timestamp,
    pub(super) using: Using,
}

/// What a running server's time comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeLeft {
    pub(super) deadline: Timestamp,
    pub(super) left: Duration,
    pub(super) tone: Tone,
    /// What it was last used by.
    pub(super) used: Option<&'static str>,
}

/// Whether somebody may come in; in the order of the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Waiting,
    LetIn,
    Disabled,
}

/// The liveliest of a user's servers; in the order of the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Server {
    Ready,
    Starting,
    Stopping,
    Failed,
    Stopped,
}

impl Server {
    /// The class of its badge.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Neither stopped nor failed.
    pub(super) fn is_up(self) -> bool {
        !matches!(self, Self::Failed | Self::Stopped)
    }
}

/// Which users are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Show {
    #[default]
    Everybody,
    Waiting,
    Running,
    Administrators,
    Disabled,
    /// A server that is stopped soon unless somebody uses it.
    Idle,
}

impl Show {
    pub(super) const ALL: [Self; 6] =
        [Self::Everybody, Self::Waiting, Self::Running, Self::Idle, Self::Administrators, Self::Disabled];

    /// Its word in addresses.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Everybody => "",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Administrators => "administrators",
            Self::Disabled => "disabled",
            Self::Idle => "idle",
        }
    }

    pub(super) fn fits(self, entry: &Entry) -> bool {
        match self {
            Self::Everybody => true,
            Self::Waiting => entry.access == Access::Waiting,
            Self::Running => entry.server.is_up(),
            Self::Administrators => entry.admin,
            Self::Disabled => entry.access == Access::Disabled,
            Self::Idle => entry.idle.is_some_and(|end| end.tone != Tone::Ample),
        }
    }
}

/// By which column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Access,
    Server,
    Processor,
    Memory,
    Volumes,
    Layer,
    Activity,
    Active,
    Groups,
    Created,
}

impl Column {
    pub(super) const ALL: [Self; 11] = [
        Self::Name,
        Self::Access,
        Self::Server,
        Self::Processor,
        Self::Memory,
        Self::Volumes,
        Self::Layer,
        Self::Activity,
        Self::Active,
        Self::Groups,
        Self::Created,
    ];

    /// Its word in addresses.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Access => "access",
            Self::Server => "server",
            Self::Processor => "cpu",
            Self::Memory => "memory",
            Self::Volumes => "volumes",
            Self::Layer => "layer",
            Self::Activity => "activity",
            Self::Active => "active",
            Self::Groups => "groups",
            Self::Created => "created",
        }
    }

    fn order(self, a: &Entry, b: &Entry) -> Ordering {
        match self {
            Self::Name => Ordering::Equal,
            // Administrators stand before others who are let in.
            Self::Access => (a.access, Reverse(a.admin)).cmp(&(b.access, Reverse(b.admin))),
            // Of equal ones that first which is stopped first.
            Self::Server => {
                let end = |entry: &Entry| entry.idle.map_or(i64::MAX, |end| end.deadline.0);
                a.server.cmp(&b.server).then(end(a).cmp(&end(b)))
            }
            // Who uses most comes first, and of whom nothing is known last.
            Self::Processor => {
                let cores = |entry: &Entry| entry.using.cpu_cores.unwrap_or(-1.0);
                cores(b).total_cmp(&cores(a))
            }
            Self::Memory => b.using.memory_bytes.cmp(&a.using.memory_bytes),
            Self::Volumes => b.using.volume_bytes.cmp(&a.using.volume_bytes),
            Self::Layer => b.using.layer_bytes.cmp(&a.using.layer_bytes),
            Self::Activity => {
                let score = |entry: &Entry| entry.using.activity.map(|activity| activity.score);
                score(b).cmp(&score(a))
            }
            // The latest first: who was never here comes last.
            Self::Active => b.active_at.cmp(&a.active_at),
            // Who is in no group comes last.
            Self::Groups => (a.groups.is_empty(), &a.groups).cmp(&(b.groups.is_empty(), &b.groups)),
            Self::Created => b.created.cmp(&a.created),
        }
    }
}

/// What the address of the list asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Part of a name, real name, e-mail or group, in lower case; empty for everybody.
    pub(super) text: String,
    pub(super) show: Show,
    /// Only members of this group.
    pub(super) group: Option<GroupName>,
    pub(super) column: Column,
    /// The column's order the other way round.
    pub(super) is_reversed: bool,
    /// From 1; 0 if the address names none.
    pub(super) page: usize,
    /// One of `SIZES`.
    pub(super) size: usize,
    /// Whose page it shall be when it names none.
    pub(super) at: String,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            text: String::new(),
            show: Show::Everybody,
            group: None,
            column: Column::Name,
            is_reversed: false,
            page: 0,
            size: SIZES[0],
            at: String::new(),
        }
    }
}

/// One page of the list.
#[derive(Debug)]
pub(super) struct Cut {
    /// From 1.
    pub(super) page: usize,
    /// At least 1.
    pub(super) pages: usize,
    /// Which of those that fit.
    pub(super) shown: Range<usize>,
}

impl Wish {
    /// Reads a query string, or the hidden field of a form that holds one. What it does not know it passes over: an
    /// address that somebody kept shows something.
    pub(super) fn parse(query: &str) -> Self {
        let mut wish = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "q" => wish.text = value.trim().to_lowercase().chars().take(TEXT_LIMIT).collect(),
                "show" => {
                    wish.show = Show::ALL.into_iter().find(|show| show.word() == value).unwrap_or_default();
                }
                // The old address of the waiting ones leads here.
                "waiting" if value == "1" => wish.show = Show::Waiting,
                "group" => wish.group = GroupName::parse(&value).ok(),
                "sort" => {
                    let (is_reversed, word) = value.strip_prefix('-').map_or((false, &*value), |word| (true, word));
                    if let Some(column) = Column::ALL.into_iter().find(|column| column.word() == word) {
                        (wish.column, wish.is_reversed) = (column, is_reversed);
                    }
                }
                "page" => wish.page = value.parse().unwrap_or_default(),
                "size" => wish.size = SIZES.into_iter().find(|size| size.to_string() == value).unwrap_or(SIZES[0]),
                "at" => wish.at = value.into_owned(),
                _ => {}
            }
        }
        wish
    }

    /// As the query of an address; empty or with its question mark.
    pub(super) fn to_query(&self) -> String {
        let text = |is_there: bool, text: String| if is_there { text } else { String::new() };
        let usual = Self::default();
        let sign = if self.is_reversed { "-" } else { "" };
        let is_sorted = (self.column, self.is_reversed) != (usual.column, usual.is_reversed);
        let pairs = [
            ("q", self.text.clone()),
            ("show", self.show.word().to_owned()),
            ("group", self.group.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("sort", text(is_sorted, format!("{sign}{}", self.column.word()))),
            ("size", text(self.size != usual.size, self.size.to_string())),
            ("page", text(self.page > 1, self.page.to_string())),
            ("at", self.at.clone()),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let query = pairs.map(|(name, value)| format!("{name}={}", query_encode(value))).collect::<Vec<_>>().join("&");
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// The first page of the same, shown otherwise.
    pub(super) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = Self { page: 0, at: String::new(), ..self.clone() };
        change(&mut other);
        other
    }

    /// Whether this user is looked for.
    pub(super) fn fits(&self, entry: &Entry) -> bool {
        self.show.fits(entry) && self.is_in_group(entry) && self.has_text(entry)
    }

    fn is_in_group(&self, entry: &Entry) -> bool {
        self.group.as_ref().is_none_or(|group| entry.groups.contains(group))
    }

    fn has_text(&self, entry: &Entry) -> bool {
        let holds = |text: &str| text.to_lowercase().contains(&self.text);
        self.text.is_empty()
            || entry.name.as_str().contains(&self.text)
            || holds(&entry.real_name)
            || holds(&entry.email)
            || entry.groups.iter().any(|group| holds(group.as_str()))
    }

    /// Drops those who do not fit and brings the others into order. Equal ones stand by name.
    pub(super) fn arrange(&self, entries: &mut Vec<Entry>) {
        entries.retain(|entry| self.fits(entry));
        let (column, is_reversed) = (self.column, self.is_reversed);
        entries.sort_unstable_by(|a, b| {
            let by_name = a.name.cmp(&b.name);
            let order = match column {
                Column::Name => by_name,
                column => column.order(a, b),
            };
            (if is_reversed { order.reverse() } else { order }).then(by_name)
        });
    }

    /// The page to show of users who fit, in order.
    pub(super) fn cut(&self, entries: &[Entry]) -> Cut {
        let pages = entries.len().div_ceil(self.size).max(1);
        let place = || entries.iter().position(|entry| entry.name.as_str() == self.at);
        let page = match self.page {
            0 if self.at.is_empty() => 1,
            0 => place().map_or(1, |index| index / self.size + 1),
            page => page.min(pages),
        };
        let start = (page - 1) * self.size;
        Cut { page, pages, shown: start..(start + self.size).min(entries.len()) }
    }
}

#[cfg(test)]
mod tests;
