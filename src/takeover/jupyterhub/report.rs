//! A plan in words: a table of counts, what cannot come in and why, and what is to be set. The same for a dry run.
//!
//! Lines are for people and for programs: `not taken: users "A/B": why`. Names are somebody else's text, so they are
//! quoted, and shortened.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::old::Table;
use super::plan::{Plan, Verdict};

/// Findings of one sort that are shown.
const SHOWN: usize = 50;
/// The longest name that is shown, in characters.
const NAME_LIMIT: usize = 80;
/// The longest reason that is shown, in characters: some have others' names in them.
const REASON_LIMIT: usize = 400;

/// The report, in lines.
#[must_use]
pub fn report(plan: &Plan) -> String {
    let mut text = format!("JupyterHub {}, revision {}\n\n", plan.version, plan.revision);
    let head = ["found", "taken", "here", "kept", "not taken", "configured"];
    let _ = write!(text, "{:<16}", "table");
    for title in head {
        let _ = write!(text, "{title:>12}");
    }
    text.push('\n');
    for table in Table::ALL {
        let tally = plan.tallies.get(&table).copied().unwrap_or_default();
        let _ = write!(text, "{:<16}", table.name());
        let counts = [tally.found(), tally.taken, tally.there, tally.kept, tally.not_taken, tally.configured];
        for count in counts {
            let _ = write!(text, "{count:>12}");
        }
        text.push('\n');
    }
    let running = plan.servers.iter().filter(|row| row.wanted).count();
    let _ = writeln!(text, "\nservers that run on: {running}");
    findings(&mut text, plan);
    for note in &plan.notes {
        let _ = writeln!(text, "note: {}", plain(note, usize::MAX));
    }
    if !plan.to_set.is_empty() {
        text.push_str("\nTo set in slipway.toml:\n\n");
        for piece in plan.to_set.iter().take(SHOWN) {
            let _ = writeln!(text, "{piece}");
        }
        if plan.to_set.len() > SHOWN {
            let _ = writeln!(text, "# and {} more", plan.to_set.len() - SHOWN);
        }
    }
    text
}

fn findings(text: &mut String, plan: &Plan) {
    let mut sorts: BTreeMap<(Verdict, Table), Vec<(&str, &str)>> = BTreeMap::new();
    for finding in &plan.findings {
        sorts.entry((finding.verdict, finding.table)).or_default().push((&finding.subject, &finding.reason));
    }
    for ((verdict, table), rows) in sorts {
        let word = match verdict {
            Verdict::Kept => "kept",
            Verdict::NotTaken => "not taken",
            Verdict::Remark => "remark",
        };
        for (subject, reason) in rows.iter().take(SHOWN) {
            let _ = writeln!(text, "{word}: {} {}: {}", table.name(), quoted(subject), plain(reason, REASON_LIMIT));
        }
        if rows.len() > SHOWN {
            let _ = writeln!(text, "{word}: {} and {} more", table.name(), rows.len() - SHOWN);
        }
    }
}

/// In quotes, so that nothing in it can be taken for a line of ours.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(NAME_LIMIT).collect();
    let more = if short.len() < name.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

fn plain(text: &str, limit: usize) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = visible.take(limit).collect();
    if text.chars().count() > limit { short + "…" } else { short }
}
