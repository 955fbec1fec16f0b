//! The language as far as it is read, and files that somebody made to hurt.

use super::reading::{Reading, read};
use super::value::Value;
use super::{OurKey, SOURCE_LIMIT_BYTES, translate, variables};

fn reading(source: &str) -> Reading {
    read(source, variables::default_of).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// What `c.A.x` is at the end of `source`.
fn value(source: &str) -> Value {
    let reading = reading(source);
    let setting = reading.settings.iter().rfind(|setting| setting.class == "A" && setting.name == "x");
    setting.unwrap_or_else(|| panic!("{source} sets nothing")).value.clone()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn texts(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|item| text(item)).collect())
}

fn dict(items: &[(&str, &str)]) -> Value {
    Value::Dict(items.iter().map(|(key, value)| (text(key), text(value))).collect())
}

#[test]
fn literals_are_what_python_makes_of_them() {
    let check = |source: &str, expected: Value| assert_eq!(value(&format!("c.A.x = {source}\n")), expected, "{source}");
    check("None", Value::None);
    check("True", Value::Flag(true));
    check("0x1F", Value::Whole(31));
    check("1_000", Value::Whole(1000));
    check("-5", Value::Whole(-5));
    check("1.5e1", Value::Number(15.0));
    check(r#""a" 'b' r"\n""#, text("ab\\n"));
    check(
        r#"'\x41\u00e4\101\n\q\
'"#,
        text("AäA\n\\q"),
    );
    check("(1)", Value::Whole(1));
    check("(1,)", Value::List(vec![Value::Whole(1)]));
    check("'a', 'b'", texts(&["a", "b"]));
    check("{'a', 'b',}", texts(&["a", "b"]));
    check("['a', *['b', 'c']]", texts(&["a", "b", "c"]));
    check("{'a': '1', **{'b': '2'}, 'a': '3'}", dict(&[("a", "3"), ("b", "2")]));
    check("{}", Value::Dict(vec![]));
    check("2 + 3 * 4 ** 2 // 5 - -1", Value::Whole(12));
    check("60 * 60 / 2", Value::Number(1800.0));
    check("'a' if 1 == 1 else 'b'", text("a"));
    check("'' or None or 'z'", text("z"));
    check("not 'a' in ['a'] and 1", Value::Flag(false));
    check("'%s-%d' % ('a', 3)", text("a-3"));
    check("'{}/{x}{{}}'.format('a', x='b')", text("a/b{}"));
    check("f'{1 + 1}{{x}}{\"y\"}'", text("2{x}y"));
    check("'A,b'.lower().split(',')", texts(&["a", "b"]));
    check("set(['a'])", texts(&["a"]));
    check("dict(a='1')", dict(&[("a", "1")]));
    check("int('7') + int(1.9)", Value::Whole(8));
    check("['a', 'b'][-1]", text("b"));
    check("os.path.join('/a', 'b', 'c')", text("/a/b/c"));
}

#[test]
fn what_only_running_it_would_tell_is_named() {
    let check = |source: &str, expected: &str| {
        let unknown = value(&format!("c.A.x = {source}\n")).unknown();
        assert!(unknown.as_deref().is_some_and(|what| what.contains(expected)), "{source}: {unknown:?}");
    };
    check("lambda s, *a, k={1: 2}: [s, a]", "a lambda");
    check("[x for x in y if x]", "a comprehension");
    check("{x: 1 for x in y}", "a comprehension");
    check("{x for x in y}", "a comprehension");
    check("f(x for x in y)", "f(…)");
    check("open('/etc/x').read()", "open(…)");
    check("a.b.c", "`a.b.c`");
    check("x[1:2, ::3]", "a part");
    check("1 < 2 < 3", "a comparison");
    check("b'x'", "bytes");
    check("os.environ['NOWHERE']", "NOWHERE");
    check("(yield)", "a yield");
    check("(y := 3)", "an assignment");
    check("~1", "a calculation");
    check("f'{x!r:>10}'", "a text with fields");
    check("'\\N{BULLET}'", "escape");
}

#[test]
fn settings_are_followed_through_constants_and_changes() {
    let check = |source: &str, expected: Value| assert_eq!(value(source), expected, "{source}");
    check("a = b = 'x'\nc.A.x = a + b", text("xx"));
    check("e = {'a': '1'}\nc.A.x = e\ne['b'] = '2'\ne.update(c='3')", dict(&[("a", "1"), ("b", "2"), ("c", "3")]));
    check("c.A.x.append('a')\nc.A.x += ['b']\nc.A.x.extend(['c'])", texts(&["a", "b", "c"]));
    check("c.A.x = {'a'}\nc.A.x.update({'b'})\nc.A.x.add('c')\nc.A.x |= {'d'}", texts(&["a", "b", "c", "d"]));
    check("c.A.x['k'] = 'v'", dict(&[("k", "v")]));
    check("c.A = {'x': 'v'}", text("v"));
    check("c.A.update(x='v')", text("v"));
    check("from traitlets.config import get_config as g\nhub = get_config()\nhub.A.x: str = 'v'; pass", text("v"));
    check("import os as o\nc.A.x = o.getenv('N', 'v')", text("v"));
    check("from os import environ\nc.A.x = environ.get('N') or 'v'", text("v"));
    check("with open('x') as f:\n  c.A.x = 'v'", text("v"));
    check("print(1)\nfor i in range(3): pass\nc.A.x = 'v'", text("v"));
    check("match = 'v'\ntype = match\nc.A.x = type", text("v"));
    check("a = 'v'\nprint(a)\nc.A.x = a", text("v"));
    check(
        "@wraps(f)\ndef g(a: int = 3) -> dict[str, int]:\n  if a:\n    c.A.x = 1\n\n  return 2\nc.A.x = 'v'",
        text("v"),
    );
    assert!(value("for a in y: pass\na = 'v'\nfor a, b in y:\n  pass\nc.A.x = a").unknown().is_some());
    assert!(value("a = 'v'\nif b:\n  a = 'w'\nc.A.x = a").unknown().is_some());
}

#[test]
fn a_setting_in_a_block_knows_its_condition() {
    let reading = reading(
        "c.A.x = 1\nif b:\n\tif d:\n\t\tc.A.x = 2\nelse: c.A.y = 3\nmatch e:\n  case 1:\n    c.A.z = 4\nc.A.w = 5\n",
    );
    let told: Vec<_> = reading.settings.iter().map(|s| (s.name.as_str(), s.line(), s.condition.clone())).collect();
    let expected = [
        ("x", 1, None),
        ("x", 4, Some(("if".to_owned(), 3))),
        ("y", 5, Some(("else".to_owned(), 5))),
        ("z", 8, Some(("case".to_owned(), 7))),
        ("w", 9, None),
    ];
    assert_eq!(told, expected);
}

fn translated(source: &[u8]) -> Result<String, String> {
    let keys = [OurKey { name: "base_url", default: "\"/\"" }, OurKey { name: "spawner.environment", default: "{}" }];
    let made = translate(source, "jupyterhub_config.py", &keys, &|_| Vec::new());
    made.map(|made| made.toml).map_err(|error| error.to_string())
}

#[test]
fn what_is_no_python_is_refused_with_its_place() {
    let check = |source: &[u8], expected: &str| {
        let error = translated(source).expect_err("no Python");
        assert_eq!(error, expected, "{:?}", String::from_utf8_lossy(source));
    };
    check(b"c.A.x = = 3\n", "line 1, column 9: an expression is missing here, before \"=\"");
    check(b"\n\nc.A.x = [1, 2\n", "line 3, column 9: the \"[\" is never closed");
    check("ä = 'é' 3\n".as_bytes(), "line 1, column 9: the end of the line is missing here");
    check(b"c.A.x = 3 if y\n", "line 1, column 15: an \"else\" is missing here");
    check(b"if x:\nc.A.x = 3\n", "line 2, column 1: the block of the \"if\" of line 1 is missing");
    check(b"a = 1\r\nb = \"\r\n", "line 2, column 5: the text that begins here is never closed");
    check(b"a = 1\nb = '\xff'\n", "line 2, column 6: the file is no UTF-8 text from here on");
    check(b"a\0b", "line 1, column 2: the file is no text: a byte 0 stands here");
    check(b"\x7fELF\x02\x01\x01", "line 1, column 1: '\\u{7f}' means nothing here");
    check(
        &vec![b'a'; SOURCE_LIMIT_BYTES + 1],
        "line 1, column 1: the file is longer than 1048576 bytes, as no configuration is",
    );
}

/// Each is refused or read, soon and without harm; a stack that overflows would end the tests.
#[test]
fn files_that_somebody_made_to_hurt_do_none() {
    let many = 200_000;
    let chain = |part: &str| format!("c.A.x = {}1\n", part.repeat(many));
    let refused = [
        chain("("),
        chain("[{"),
        chain("-"),
        chain("not "),
        chain("lambda: "),
        chain("1 if 2 else "),
        chain("2 ** "),
        chain("'a' + "),
        format!("a = 'xxxxxxxxxxxxxxxx'\n{}c.A.x = a\n", "a = a + a\n".repeat(100)),
        format!("a = ['x']\n{}c.A.x = a\n", "a = [a, a]\n".repeat(100)),
        (0..2000).map(|depth| format!("{}if a:\n", " ".repeat(depth))).collect(),
        (0..6000).map(|number| format!("c.A.x{number} = 1\n")).collect(),
    ];
    for source in refused {
        let source = &source[..source.len().min(SOURCE_LIMIT_BYTES)];
        assert!(translated(source.as_bytes()).is_err(), "{}", &source[..40]);
    }
    let read = [
        format!("c.A.x = f\"{}\"\n", "{'".repeat(many)).replace("{'", "{{'"),
        format!("c.A.x = [{}]\n", "1,".repeat(many / 4)),
        format!("#{}\n", "x".repeat(many)),
        "\t\t# only a comment\n\x0c\n".to_owned(),
        format!("c.{}.x = 1\n", "A".repeat(many)),
        format!("c.A{} = 1\n", ".x".repeat(many)),
        "a = []\n".to_owned() + &"a = [a]\n".repeat(1000) + "c.A.x = a\n",
    ];
    for source in read {
        let made = translated(source.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", &source[..20]));
        assert!(made.len() < 64 * 1024, "{} bytes", made.len());
    }
}

#[test]
fn nothing_of_the_file_breaks_out_of_a_comment() {
    let source = "c.A['x\\n[spawner]\\nbackend = \"docker\"'] = 1\nc.A = {'y\\r\\nbase_url = \"/x\"\\u202e': 1}\nc.JupyterHub.base_url = '/a\\n\"b'\n";
    let made = translated(source.as_bytes()).expect("Python");
    let table: toml::Table = made.parse().unwrap_or_else(|error| panic!("{error}\n{made}"));
    assert_eq!(table.keys().collect::<Vec<_>>(), ["base_url"], "{made}");
    assert!(!made.contains('\u{202e}'), "{made}");
}
