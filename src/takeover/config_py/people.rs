//! Settings about people: administrators, sign-up, roles, groups, and services, which act like people.

use toml::{Table, Value as Toml};

use super::convert::{Form, convert};
use super::draft::shortened;
use super::idle;
use super::reading::Setting;
use super::secrets::{is_secret, is_secret_word};
use super::translate::Work;
use super::value::Value;

pub(super) fn admins(work: &mut Work<'_>, setting: &Setting) {
    const KEY: &str = "auth.admins";
    let names = match convert(Form::Names, &setting.value) {
        Ok(Toml::Array(names)) => names,
        Ok(_) => Vec::new(),
        Err(problem) => {
            let text = format!(
                "is {}. It would be auth.admins; accounts that `slipway import jupyterhub` brings stay administrators in any case.",
                shortened(&problem)
            );
            return work.draft.look(setting, &text);
        }
    };
    if names.is_empty() {
        return work.draft.fine(setting, "names nobody.");
    }
    let mut all = work.draft.value(KEY).and_then(Toml::as_array).cloned().unwrap_or_default();
    all.extend(names.into_iter().filter(|name| !all.contains(name)).collect::<Vec<_>>());
    work.draft.take(KEY, all, setting);
}

pub(super) fn admin_access(work: &mut Work<'_>, setting: &Setting) {
    match work.flag(setting) {
        Some(true) => {
            work.draft.fine(setting, "administrators may open everybody's server; each visit is in the audit log.")
        }
        Some(false) => work
            .draft
            .look(setting, "administrators may always open everybody's server; each visit is in the audit log."),
        None => {}
    }
}

pub(super) fn allowed_users(work: &mut Work<'_>, setting: &Setting) {
    match convert(Form::Names, &setting.value) {
        Ok(Toml::Array(names)) if names.is_empty() => work.draft.fine(setting, "names nobody."),
        Ok(Toml::Array(names)) => {
            let text = format!(
                "names {} people. With Slipway an account is let in once an administrator approved it: \
                 `slipway import jupyterhub` brings the accounts that there are, and /hub/admin/new makes others from a list.",
                names.len()
            );
            work.draft.look(setting, &text);
        }
        _ => work.draft.look(
            setting,
            "only Python can tell whom it names. With Slipway an account is let in once an administrator approved it.",
        ),
    }
}

pub(super) fn allow_all(work: &mut Work<'_>, setting: &Setting) {
    if work.flag(setting).is_some() {
        let text = "whom an administrator approved is let in, nobody else; so it was with NativeAuthenticator.";
        work.draft.fine(setting, text);
    }
}

pub(super) fn open_signup(work: &mut Work<'_>, setting: &Setting) {
    match work.flag(setting) {
        Some(true) => work.draft.look(setting, "let everybody in who signs up. With Slipway they wait for an administrator's approval (/hub/admin, one or many at once)."),
        Some(false) => work.draft.fine(setting, "who signs up waits for an administrator's approval."),
        None => {}
    }
}

pub(super) fn password_length(work: &mut Work<'_>, setting: &Setting) {
    if matches!(setting.value, Value::Whole(length) if length < 1) {
        return work.draft.take_with("auth.password_length", 1, setting, "One character is the least.");
    }
    work.take_as("auth.password_length", Form::Whole, setting);
}

pub(super) fn failed_logins(work: &mut Work<'_>, setting: &Setting) {
    if setting.value == Value::Whole(0) {
        return work.draft.look(setting, "switched the lock-out off. Slipway always slows guessing down (auth.tries_per_name, by default 10 tries in 10 minutes from one address).");
    }
    work.take_as("auth.tries_per_name", Form::Whole, setting);
}

pub(super) fn authenticator(work: &mut Work<'_>, setting: &Setting) {
    let class = match &setting.value {
        Value::Text(name) | Value::Name(name) => name.rsplit(['.', ':']).next().unwrap_or_default().to_owned(),
        Value::Subclass { name, line, base } => {
            let text =
                format!("is the class `{name}` of line {line}: what it changes in {} was not read.", shortened(base));
            work.draft.look(setting, &text);
            base.rsplit('.').next().unwrap_or_default().to_owned()
        }
        other => {
            let what = other.unknown().unwrap_or_else(|| "no class".into());
            return work.draft.look(setting, &format!("is {}. Slipway has accounts of its own.", shortened(&what)));
        }
    };
    let text = match class.to_ascii_lowercase().as_str() {
        "native" | "nativeauthenticator" => {
            let text = "Slipway's accounts are of the same kind; `slipway import jupyterhub` brings them with their passwords.";
            return work.draft.fine(setting, text);
        }
        "" => "names no class. Slipway has accounts of its own.",
        "pam" | "pamauthenticator" | "default" | "localauthenticator" => {
            "asked the host for passwords. Slipway has accounts of its own: `slipway import jupyterhub` brings the names, and everybody gets a new password from an administrator."
        }
        "dummy" | "dummyauthenticator" | "sharedpasswordauthenticator" | "shared-password" | "null" => {
            "let people in without a password of their own. With Slipway everybody has one: `slipway import jupyterhub` brings the names, and everybody gets a password from an administrator."
        }
        "firstuseauthenticator" | "firstuse" => {
            "keeps its passwords in a file of its own, which is not read: everybody gets a new password from an administrator."
        }
        _ => {
            "asks a sign-in provider outside, which Slipway does not: `slipway import jupyterhub` brings the names, and everybody gets a password from an administrator."
        }
    };
    work.draft.look(setting, text);
}

/// The tables of a list, each with its name; what is none is noted.
fn tables_of<'v>(work: &mut Work<'_>, setting: &Setting, value: &'v Value) -> Vec<(String, &'v [(Value, Value)])> {
    let items = match value {
        Value::List(items) => items.as_slice(),
        other => {
            let what = other.unknown().unwrap_or_else(|| "no list".into());
            work.draft.look(setting, &format!("is {}.", shortened(&what)));
            return Vec::new();
        }
    };
    let mut tables = Vec::new();
    for (number, item) in items.iter().enumerate() {
        match item {
            Value::Dict(fields) => match field(fields, "name") {
                Some(Value::Text(name)) => tables.push((name.clone(), fields.as_slice())),
                _ => work
                    .draft
                    .look(setting, &format!("entry {} has no name that can be told; it was left out.", number + 1)),
            },
            other => {
                let what = other.unknown().unwrap_or_else(|| "no dictionary".into());
                work.draft.look(setting, &format!("entry {} is {}; it was left out.", number + 1, shortened(&what)));
            }
        }
    }
    tables
}

pub(super) fn field<'v>(fields: &'v [(Value, Value)], name: &str) -> Option<&'v Value> {
    fields.iter().find(|(key, _)| matches!(key, Value::Text(key) if key == name)).map(|(_, value)| value)
}

/// Adds tables to what `key` has so far.
fn take_tables(work: &mut Work<'_>, key: &str, tables: Vec<Table>, setting: &Setting) {
    let mut all = work.draft.value(key).and_then(Toml::as_array).cloned().unwrap_or_default();
    all.extend(tables.into_iter().map(Toml::Table));
    if !all.is_empty() {
        work.draft.take(key, all, setting);
    }
}

pub(super) fn roles(work: &mut Work<'_>, setting: &Setting) {
    let mut tables = Vec::new();
    for (name, fields) in tables_of(work, setting, &setting.value) {
        let mut table = Table::new();
        table.insert("name".into(), name.clone().into());
        let mut serves_cullers = false;
        for (key, value) in fields {
            let Value::Text(key) = key else { continue };
            let form = match key.as_str() {
                "name" => continue,
                "description" => Form::Text,
                "users" => Form::Names,
                "scopes" | "groups" | "services" => Form::Texts,
                _ => {
                    work.draft.look(
                        setting,
                        &format!("the role {name:?} has a field {:?}, which roles do not have here.", shortened(key)),
                    );
                    continue;
                }
            };
            match convert(form, value) {
                Ok(Toml::Array(mut items)) => {
                    let before = items.len();
                    items.retain(|item| {
                        key != "services" || !item.as_str().is_some_and(|item| work.context.cullers.contains(item))
                    });
                    serves_cullers |= items.len() < before;
                    if !items.is_empty() {
                        table.insert(key.clone(), Toml::Array(items));
                    }
                }
                Ok(value) => _ = table.insert(key.clone(), value),
                Err(problem) => {
                    let text = format!(
                        "{key} of the role {:?} is {}; it was left out.",
                        shortened(&name),
                        shortened(&problem)
                    );
                    work.draft.look(setting, &text);
                }
            }
        }
        if serves_cullers && ["users", "groups", "services"].iter().all(|key| !table.contains_key(*key)) {
            let text = format!(
                "the role {:?} is for the service that stopped idle servers, which is now spawner.idle.",
                shortened(&name)
            );
            work.draft.fine(setting, &text);
            continue;
        }
        tables.push(table);
    }
    take_tables(work, "roles", tables, setting);
}

pub(super) fn groups(work: &mut Work<'_>, setting: &Setting) {
    let Value::Dict(groups) = &setting.value else {
        return work.draft.look(setting, "is no dictionary that can be told. It would be [[groups]].");
    };
    let mut tables = Vec::new();
    for (name, value) in groups {
        let Value::Text(name) = name else {
            work.draft.look(setting, "a group has a name that only Python can tell; it was left out.");
            continue;
        };
        let mut table = Table::new();
        table.insert("name".into(), name.clone().into());
        let users = match value {
            Value::Dict(fields) => {
                match field(fields, "properties").map(properties) {
                    Some(Some(properties)) if !properties.is_empty() => {
                        table.insert("properties".into(), Toml::Table(properties));
                    }
                    Some(None) => {
                        let text = format!(
                            "the properties of the group {:?} hold what may not be copied or only Python can tell; they were left out.",
                            shortened(name)
                        );
                        work.draft.look(setting, &text);
                    }
                    _ => {}
                }
                field(fields, "users").cloned().unwrap_or(Value::None)
            }
            users => users.clone(),
        };
        match convert(Form::Names, &users) {
            Ok(users) => _ = table.insert("users".into(), users),
            Err(problem) => {
                let text = format!(
                    "the members of the group {:?} are {}; they were left out.",
                    shortened(name),
                    shortened(&problem)
                );
                work.draft.look(setting, &text);
            }
        }
        tables.push(table);
    }
    take_tables(work, "groups", tables, setting);
}

/// Anything that JSON has, unless something of it is unknown or looks like a secret.
fn properties(value: &Value) -> Option<Table> {
    let Value::Dict(items) = value else { return None };
    let mut table = Table::new();
    for (key, value) in items {
        let Value::Text(key) = key else { return None };
        if value.as_text().is_some_and(|text| is_secret(key, &text)) {
            return None;
        }
        if let Some(value) = any(value)? {
            table.insert(key.clone(), value);
        }
    }
    Some(table)
}

fn any(value: &Value) -> Option<Option<Toml>> {
    Some(match value {
        Value::None => None,
        Value::Flag(flag) => Some((*flag).into()),
        Value::Whole(number) => Some((*number).into()),
        Value::Number(number) => Some((*number).into()),
        Value::Text(text) => Some(text.clone().into()),
        Value::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(any).collect();
            Some(Toml::Array(items?.into_iter().flatten().collect()))
        }
        Value::Dict(_) => Some(Toml::Table(properties(value)?)),
        Value::Name(_) | Value::Subclass { .. } | Value::Unknown(_) => return None,
    })
}

pub(super) fn custom_scopes(work: &mut Work<'_>, setting: &Setting) {
    let Value::Dict(scopes) = &setting.value else {
        return work.draft.look(setting, "is no dictionary that can be told. It would be [[custom_scopes]].");
    };
    let mut tables = Vec::new();
    for (name, value) in scopes {
        let (Value::Text(name), Value::Dict(fields)) = (name, value) else {
            work.draft.look(setting, "a scope is one that only Python can tell; it was left out.");
            continue;
        };
        let mut table = Table::new();
        table.insert("name".into(), name.clone().into());
        for (key, form) in [("description", Form::Text), ("subscopes", Form::Texts)] {
            if let Some(Ok(value)) = field(fields, key).map(|value| convert(form, value)) {
                table.insert(key.into(), value);
            }
        }
        tables.push(table);
    }
    take_tables(work, "custom_scopes", tables, setting);
}

pub(super) fn services(work: &mut Work<'_>, setting: &Setting) {
    let mut tables = Vec::new();
    for (name, fields) in tables_of(work, setting, &setting.value) {
        if idle::is_culler(fields) {
            idle::culler(work, setting, &name, fields);
            continue;
        }
        if let Some(table) = service(work, setting, &name, fields) {
            tables.push(table);
        }
    }
    take_tables(work, "services", tables, setting);
}

fn service(work: &mut Work<'_>, setting: &Setting, name: &str, fields: &[(Value, Value)]) -> Option<Table> {
    let label = format!("the service {:?}", shortened(name));
    let mut table = Table::new();
    table.insert("name".into(), name.to_owned().into());
    let mut has_token = false;
    for (key, value) in fields {
        let Value::Text(key) = key else { continue };
        let (key, form) = match key.as_str() {
            "name" => continue,
            "api_token" => {
                has_token |= *value != Value::None;
                continue;
            }
            "timeout" => ("timeout_s", Form::Seconds),
            "admin" | "display" | "oauth_no_confirm" => (key.as_str(), Form::Flag),
            "url" | "cwd" | "user" | "oauth_client_id" | "oauth_redirect_uri" => (key.as_str(), Form::Text),
            "oauth_client_allowed_scopes" => (key.as_str(), Form::Texts),
            "command" => (key.as_str(), Form::Command),
            "environment" => {
                let environment = variables(work, setting, value, &format!("{label}: "));
                if !environment.is_empty() {
                    table.insert(key.clone(), Toml::Table(environment));
                }
                continue;
            }
            "info" => {
                match properties(value) {
                    Some(info) => _ = table.insert(key.clone(), Toml::Table(info)),
                    None => work.draft.look(setting, &format!("info of {label} was left out.")),
                }
                continue;
            }
            other => {
                work.draft.look(
                    setting,
                    &format!("{label} has a field {:?}, which services do not have here.", shortened(other)),
                );
                continue;
            }
        };
        if *value == Value::None {
            continue;
        }
        let value = if key == "command" { with_python(value) } else { value.clone() };
        match convert(form, &value) {
            Ok(value) => {
                let words = value.as_array().into_iter().flatten().filter_map(Toml::as_str).chain(value.as_str());
                if words.into_iter().any(is_secret_word) {
                    let text = format!(
                        "{label} was left out: its {key} holds what looks like a secret. Write its [[services]] table yourself."
                    );
                    work.draft.look(setting, &text);
                    return None;
                }
                table.insert(key.to_owned(), value);
            }
            Err(problem) => {
                work.draft.look(setting, &format!("{key} of {label} is {}; it was left out.", shortened(&problem)));
            }
        }
    }
    if has_token && !table.contains_key("command") {
        let text = format!(
            "the api_token of {label} is a secret, which is not copied: write api_token = \"…\" into its [[services]] table, as it is in the old file."
        );
        work.draft.look(setting, &text);
    }
    Some(table)
}

/// A command with `sys.executable` as the word that finds Python on spawner.process.path.
pub(super) fn with_python(command: &Value) -> Value {
    match command {
        Value::Name(name) if name == "sys.executable" => Value::Text("python3".into()),
        Value::List(words) => Value::List(words.iter().map(with_python).collect()),
        other => other.clone(),
    }
}

/// Variables of an environment, without those that look like secrets or only Python can tell.
pub(super) fn variables(work: &mut Work<'_>, setting: &Setting, value: &Value, label: &str) -> Table {
    let mut table = Table::new();
    let Value::Dict(items) = value else {
        let what = value.unknown().unwrap_or_else(|| "no dictionary".into());
        work.draft.look(setting, &format!("{label}the environment is {}.", shortened(&what)));
        return table;
    };
    for (name, value) in items {
        let (Value::Text(name), text) = (name, value.as_text()) else {
            let what = name.unknown().unwrap_or_else(|| "no name".into());
            work.draft.look(setting, &format!("{label}a variable's name is {}; it was left out.", shortened(&what)));
            continue;
        };
        match text {
            _ if *value == Value::None => {}
            None => {
                let what = value.unknown().unwrap_or_else(|| "no text".into());
                let text = format!("{label}the variable {} is {}; it was left out.", shortened(name), shortened(&what));
                work.draft.look(setting, &text);
            }
            Some(text) if is_secret(name, &text) => {
                let text = format!(
                    "{label}the variable {} looks like a secret, which is not copied; write it in yourself, where only this file's readers see it.",
                    shortened(name)
                );
                work.draft.look(setting, &text);
            }
            Some(text) => _ = table.insert(name.clone(), text.into()),
        }
    }
    table
}
