//! What may be a secret and is therefore not copied into a file that people show each other.

/// Parts of names, in capitals, that tell of secrets.
const TELLING: [&str; 10] =
    ["SECRET", "TOKEN", "PASSW", "PASSPHRASE", "CREDENTIAL", "PRIVATE", "API_KEY", "APIKEY", "ACCESS_KEY", "CRYPT_KEY"];

/// Whether the variable or field `name` with this value looks like a secret.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let tells = TELLING.iter().any(|part| name.contains(part)) || name.ends_with("_KEY") || name.ends_with("_PWD");
    (tells && !value.is_empty()) || has_password(value)
}

/// Whether a word of a command line looks like one: `--token=…`.
pub(super) fn is_secret_word(word: &str) -> bool {
    let (option, value) = word.split_once('=').unwrap_or((word, "x"));
    (option.starts_with('-') && is_secret(option.trim_start_matches('-').replace('-', "_").as_str(), value))
        || has_password(word)
}

/// `postgres://user:password@host`.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let place = rest.split(['/', ' ', '?']).next().unwrap_or_default();
        place.rsplit_once('@').is_some_and(|(person, _)| person.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_their_names_and_by_addresses_with_passwords() {
        let check =
            |name: &str, value: &str, expected: bool| assert_eq!(is_secret(name, value), expected, "{name}={value}");
        check("AWS_SECRET_ACCESS_KEY", "x", true);
        check("GITHUB_TOKEN", "x", true);
        check("OPENAI_API_KEY", "sk-x", true);
        check("DATABASE_URL", "postgres://me:hunter2@db/x", true);
        check("DATABASE_URL", "postgres://db:5432/x", false);
        check("SSH_KEY", "x", true);
        check("TOKEN", "", false);
        check("TZ", "Europe/Berlin", false);
        assert!(is_secret_word("--api-token=abc") && is_secret_word("--password"));
        assert!(!is_secret_word("--timeout=3600") && !is_secret_word("token"));
    }
}
