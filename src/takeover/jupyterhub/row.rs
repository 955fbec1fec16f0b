//! One row of somebody else's table: every cell is looked at for its type and length before it is believed.

use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use crate::model::{StoredToken, Timestamp};

/// The longest text of a cell; a name, a note, an address. JupyterHub's own longest column is 4,095.
const TEXT_LIMIT_BYTES: usize = 8 * 1024;
/// The longest JSON of a cell.
pub(super) const JSON_LIMIT_BYTES: usize = 64 * 1024;
/// Rounds of a stored token's hash: JupyterHub's are 1 and 16,384. Each use of a token computes them.
const ROUNDS_MAX: u32 = 16_384;
/// 1970 to 2200: what lies outside is a mistake.
const TIMES: std::ops::Range<i64> = 0..7_258_118_400_000;

/// A row, by the columns' order in the query.
pub(super) struct Cells<'a, 'r> {
    row: &'a rusqlite::Row<'r>,
}

/// Why a cell says nothing that could be believed: a part of a sentence.
pub(super) type Odd = String;

impl<'a, 'r> Cells<'a, 'r> {
    pub(super) fn of(row: &'a rusqlite::Row<'r>) -> Self {
        Self { row }
    }

    fn cell(&self, at: usize) -> ValueRef<'_> {
        self.row.get_ref(at).unwrap_or(ValueRef::Null)
    }

    pub(super) fn number(&self, at: usize, what: &str) -> Result<i64, Odd> {
        self.number_or_none(at, what)?.ok_or_else(|| format!("it has no {what}"))
    }

    pub(super) fn number_or_none(&self, at: usize, what: &str) -> Result<Option<i64>, Odd> {
        match self.cell(at) {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(format!("its {what} is not a number")),
        }
    }

    /// SQLite has no booleans; what is not there is no.
    pub(super) fn flag(&self, at: usize) -> bool {
        matches!(self.cell(at), ValueRef::Integer(number) if number != 0)
    }

    pub(super) fn text(&self, at: usize, what: &str) -> Result<String, Odd> {
        self.text_or_none(at, what)?.ok_or_else(|| format!("it has no {what}"))
    }

    pub(super) fn text_or_none(&self, at: usize, what: &str) -> Result<Option<String>, Odd> {
        self.text_up_to(at, what, TEXT_LIMIT_BYTES)
    }

    fn text_up_to(&self, at: usize, what: &str, limit_bytes: usize) -> Result<Option<String>, Odd> {
        let bytes = match self.cell(at) {
            ValueRef::Null => return Ok(None),
            // NativeAuthenticator keeps texts as bytes.
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
            _ => return Err(format!("its {what} is not a text")),
        };
        if bytes.len() > limit_bytes {
            return Err(format!("its {what} is longer than {limit_bytes} bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| format!("its {what} is not UTF-8"))?;
        if text.contains('\0') {
            return Err(format!("its {what} has a zero byte in it"));
        }
        Ok(Some(text.to_owned()))
    }

    /// A time that nothing hangs on: one that makes no sense is none.
    pub(super) fn about(&self, at: usize) -> Option<Timestamp> {
        self.time(at, "").ok().flatten()
    }

    /// `2026-11-22 14:45:41.135660`, UTC.
    pub(super) fn time(&self, at: usize, what: &str) -> Result<Option<Timestamp>, Odd> {
        let Some(text) = self.text_or_none(at, what)? else { return Ok(None) };
        let time = Timestamp::parse_iso(&text).filter(|time| TIMES.contains(&time.0));
        time.map(Some).ok_or_else(|| format!("its {what} is not a time"))
    }

    pub(super) fn json(&self, at: usize, what: &str) -> Result<Option<Value>, Odd> {
        let Some(text) = self.text_up_to(at, what, JSON_LIMIT_BYTES)? else { return Ok(None) };
        match serde_json::from_str(&text) {
            Ok(Value::Null) => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("its {what} is not JSON")),
        }
    }

    pub(super) fn object(&self, at: usize, what: &str) -> Result<Map<String, Value>, Odd> {
        match self.json(at, what)? {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(format!("its {what} is no JSON object")),
        }
    }

    pub(super) fn texts(&self, at: usize, what: &str) -> Result<Vec<String>, Odd> {
        let wrong = || format!("its {what} is no list of texts");
        match self.json(at, what)? {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => {
                list.into_iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A hash and the token's first characters.
    pub(super) fn stored_token(&self, hashed_at: usize, prefix_at: usize) -> Result<StoredToken, Odd> {
        let (hashed, prefix) = (self.text(hashed_at, "hash")?, self.text(prefix_at, "prefix")?);
        if !is_token_hash(&hashed) {
            return Err("its hash is not of the form that JupyterHub writes".into());
        }
        if prefix.is_empty() || StoredToken::prefix_of(&prefix) != prefix {
            return Err("its prefix is not the first four characters of a token".into());
        }
        Ok(StoredToken { prefix, hashed })
    }
}

/// `sha512:<rounds>:<salt>:<digest>`
fn is_token_hash(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["sha512", rounds, salt, digest] = parts.as_slice() else { return false };
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rounds_are_fine = rounds.parse().is_ok_and(|rounds: u32| (1..=ROUNDS_MAX).contains(&rounds));
    rounds_are_fine && (1..=128).contains(&salt.len()) && is_hex(salt) && digest.len() == 128 && is_hex(digest)
}

/// bcrypt's `$2b$12$` and 53 characters; the cost bounded, since a sign-in computes it.
pub(super) fn is_bcrypt(text: &str) -> bool {
    let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|kind| text.strip_prefix(kind)) else { return false };
    let Some((cost, hash)) = rest.split_once('$') else { return false };
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    let cost_is_fine = cost.len() == 2 && cost.parse().is_ok_and(|cost: u32| (4..=16).contains(&cost));
    cost_is_fine && hash.len() == 53 && hash.bytes().all(is_letter)
}

/// A cell that is never longer than is looked at, however long it is in the file.
pub(super) fn bounded(column: &str) -> String {
    let most = JSON_LIMIT_BYTES + 1;
    format!(
        "CASE WHEN typeof(\"{column}\") IN ('text', 'blob') THEN substr(CAST(\"{column}\" AS BLOB), 1, {most}) ELSE \"{column}\" END"
    )
}
