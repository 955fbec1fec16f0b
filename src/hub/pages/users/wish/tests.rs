//! What the list of users shows for which address.

use super::*;

fn entry(name: &str) -> Entry {
    Entry {
        name: UserName::parse(name).expect("a name"),
        real_name: String::new(),
        email: String::new(),
        groups: Vec::new(),
        admin: false,
        access: Access::LetIn,
        must_change_password: false,
        has_second_factor: false,
        server: Server::Stopped,
        idle: None,
        active_at: None,
        created: Timestamp(0),
        using: Using::default(),
    }
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).expect("a name")
}

fn people() -> Vec<Entry> {
    vec![
        Entry {
            real_name: "Ada Lovelace".into(),
            email: "ada@Example.org".into(),
            admin: true,
            server: Server::Ready,
            active_at: Some(Timestamp(9)),
            created: Timestamp(1),
            ..entry("ada")
        },
        Entry { access: Access::Waiting, created: Timestamp(5), ..entry("bob") },
        Entry {
            groups: vec![group("chemistry"), group("zoo")],
            server: Server::Failed,
            active_at: Some(Timestamp(3)),
            created: Timestamp(2),
            ..entry("cleo")
        },
        Entry {
            groups: vec![group("biology")],
            access: Access::Disabled,
            server: Server::Stopping,
            created: Timestamp(3),
            ..entry("dan")
        },
    ]
}

#[test]
fn who_uses_most_comes_first_and_who_is_unknown_last() {
    let score = |score| crate::model::ActivityScore { score, hours_per_day: 1.0, samples: 3 };
    let some = |number: u64, activity| Using {
        cpu_cores: Some(number as f64 / 2.0),
        memory_bytes: Some(number),
        volume_bytes: Some(number),
        layer_bytes: Some(number),
        activity: Some(score(activity)),
        ..Using::default()
    };
    for column in ["cpu", "memory", "volumes", "layer", "activity"] {
        let mut people = vec![
            entry("unknown"),
            Entry { using: some(0, 0), ..entry("idle") },
            Entry { using: some(9, 90), ..entry("busy") },
            Entry { using: some(3, 30), ..entry("calm") },
        ];
        let mut order = |query: &str| {
            Wish::parse(query).arrange(&mut people);
            people.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order(&format!("sort={column}")), ["busy", "calm", "idle", "unknown"], "{column}");
        assert_eq!(order(&format!("sort=-{column}")), ["unknown", "idle", "calm", "busy"], "{column}");
    }
}

#[track_caller]
fn check(query: &str, expected: &[&str]) {
    let mut found = people();
    Wish::parse(query).arrange(&mut found);
    let names: Vec<_> = found.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, expected, "{query}");
}

#[test]
fn every_column_sorts_both_ways_and_equal_ones_stand_by_name() {
    check("", &["ada", "bob", "cleo", "dan"]);
    check("sort=-name", &["dan", "cleo", "bob", "ada"]);
    check("sort=access", &["bob", "ada", "cleo", "dan"]);
    check("sort=-access", &["dan", "cleo", "ada", "bob"]);
    check("sort=server", &["ada", "dan", "cleo", "bob"]);
    check("sort=active", &["ada", "cleo", "bob", "dan"]);
    check("sort=-active", &["bob", "dan", "cleo", "ada"]);
    check("sort=groups", &["dan", "cleo", "ada", "bob"]);
    check("sort=created", &["bob", "dan", "cleo", "ada"]);
    check("sort=nonsense", &["ada", "bob", "cleo", "dan"]);
}

#[test]
fn filters_and_the_search_narrow_the_list_together() {
    check("show=waiting", &["bob"]);
    check("waiting=1", &["bob"]);
    check("show=running", &["ada", "dan"]);
    check("show=administrators", &["ada"]);
    check("show=disabled", &["dan"]);
    check("group=zoo", &["cleo"]);
    check("q=LOVE", &["ada"]);
    check("q=@example", &["ada"]);
    check("q=%20olog", &["dan"]);
    check("q=o", &["ada", "bob", "cleo", "dan"]);
    check("q=o&show=running&sort=-name", &["dan", "ada"]);
    check("q=nobody-at-all", &[]);
}

#[test]
fn an_address_survives_a_round_trip_and_nonsense_in_one_is_passed_over() {
    let wish = Wish::parse("q=%20Ann%26&show=running&group=a%20b&sort=-active&size=100&page=3&other=1");
    assert_eq!(wish.to_query(), "?q=ann%26&show=running&group=a+b&sort=-active&size=100&page=3");
    assert_eq!(Wish::parse(wish.to_query().trim_start_matches('?')), wish);
    assert_eq!(Wish::parse("show=x&sort=&size=7&page=-1&group=&waiting=0"), Wish::default());
    assert_eq!(Wish::default().to_query(), "");
    assert_eq!(Wish::parse(&format!("q={}", "ä".repeat(500))).text.chars().count(), TEXT_LIMIT);
}

#[test]
fn a_page_is_the_one_asked_for_or_that_of_the_person_named() {
    let many: Vec<_> = (0..120).map(|number| entry(&format!("p{number:03}"))).collect();
    let check = |query: &str, page: usize, shown: Range<usize>| {
        let cut = Wish::parse(query).cut(&many);
        assert_eq!((cut.page, cut.shown), (page, shown), "{query}");
    };
    check("", 1, 0..50);
    check("page=2", 2, 50..100);
    check("page=9", 3, 100..120);
    check("page=x", 1, 0..50);
    check("size=200", 1, 0..120);
    check("at=p070", 2, 50..100);
    check("at=nobody", 1, 0..50);
    check("at=p070&page=1", 1, 0..50);
    assert_eq!((Wish::default().cut(&[]).pages, Wish::default().cut(&[]).shown), (1, 0..0));
}
