//! Names of users and servers, and the three ways they are written: in a URL, in an OAuth client id, in Docker.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Longest name, in bytes of UTF-8: escaped for Docker each byte may become three, and 255 is the end there.
pub(super) const NAME_LIMIT_BYTES: usize = 64;

/// Longest name of a new server: with its owner's it becomes a container's name.
const NEW_SERVER_NAME_LIMIT_BYTES: usize = 30;

/// Names that the pages under `/hub` use for themselves.
const RESERVED: [&str; 2] = ["new", "bulk"];

/// Why a name is not one. The text names the name and the cure, for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("the name is empty; choose one of 1 to 64 characters")]
    Empty,
    /// More bytes of UTF-8 than a name of its kind may have.
    #[error("the name is longer than {limit_bytes} bytes; choose a shorter one")]
    TooLong {
        /// The limit.
        limit_bytes: usize,
    },
    /// A character that would mean something else in a path, a list or a header.
    #[error("the name contains {0:?}; leave out spaces, commas, slashes, backslashes and control characters")]
    BadCharacter(char),
    /// `.` and `..` are places, not names.
    #[error("a name cannot consist of dots alone")]
    OnlyDots,
    /// One of the page names.
    #[error("the name {0:?} is reserved; choose another")]
    Reserved(String),
    /// A role's name is no role's name.
    #[error(
        "a role's name is 3 to 255 lower-case letters, digits, '-', '_', '~' or '.', begins with a letter and ends with a letter or digit"
    )]
    BadRole,
    /// A new server's name that does not follow JupyterHub's rule.
    #[error(
        "{0:?} is not a valid server name; choose 1 to 30 lower-case letters, digits and single dashes, with a letter \
         first and no dash last"
    )]
    NotAServerName(String),
    /// A name for people that is not printable.
    #[error("a display name has 1 to 255 printable characters, with single spaces between words")]
    NotADisplayName,
}

pub(super) fn check(name: &str) -> Result<(), NameError> {
    check_with(name, NAME_LIMIT_BYTES, |_| false)
}

/// The same with another limit, and with characters that are allowed all the same.
pub(super) fn check_with(name: &str, limit_bytes: usize, is_allowed: fn(char) -> bool) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > limit_bytes {
        return Err(NameError::TooLong { limit_bytes });
    }
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || is_invisible(c) || matches!(c, '/' | '\\' | ',');
    let is_bad = |c: char| is_odd(c) && !is_allowed(c);
    if let Some(bad) = name.chars().find(|c| is_bad(*c)) {
        return Err(NameError::BadCharacter(bad));
    }
    if name.chars().all(|c| c == '.') {
        return Err(NameError::OnlyDots);
    }
    Ok(())
}

/// Characters that nobody sees, or that turn the text around them: with one of them `alice` and a stranger look the
/// same in the list from which an administrator lets people in.
pub(super) fn is_invisible(c: char) -> bool {
    const RANGES: [(char, char); 8] = [
        ('\u{ad}', '\u{ad}'),
        ('\u{61c}', '\u{61c}'),
        ('\u{180e}', '\u{180e}'),
        ('\u{200b}', '\u{200f}'),
        ('\u{202a}', '\u{202e}'),
        ('\u{2060}', '\u{206f}'),
        ('\u{feff}', '\u{feff}'),
        ('\u{e0000}', '\u{e007f}'),
    ];
    RANGES.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// A user's name: lower case, 1 to 64 bytes, safe in a path segment once encoded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Arc<str>);

impl UserName {
    /// Reads what a person typed: surrounding blanks are dropped and the name is lower-cased.
    ///
    /// # Errors
    /// If it is no name by the rules of `NameError`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.trim().to_lowercase();
        check(&name)?;
        if RESERVED.contains(&name.as_str()) {
            return Err(NameError::Reserved(name));
        }
        Ok(Self(name.into()))
    }

    /// Reads a decoded path segment: only a name in its stored form is one. `Alice` is nobody, so that the path
    /// that is checked and the path that is forwarded are the same.
    #[must_use]
    pub fn from_path(segment: &str) -> Option<Self> {
        Self::parse(segment).ok().filter(|name| name.as_str() == segment)
    }

    /// The name as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A server's name among its owner's servers; the default server's is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// Reads a server's name; the empty text is the default server.
    ///
    /// # Errors
    /// If it is no name by the rules of `NameError`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if !text.is_empty() {
            check(text)?;
        }
        Ok(Self(text.into()))
    }

    /// Whether a new server may have this name: 1 to 30 of `[a-z0-9]+(-[a-z0-9]+)*`, with a letter first. Servers that exist
    /// keep whatever name they have.
    ///
    /// # Errors
    /// If not.
    pub fn check_new(&self) -> Result<(), NameError> {
        let name = self.as_str();
        let is_part =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_good = name.len() <= NEW_SERVER_NAME_LIMIT_BYTES
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.split('-').all(is_part);
        if is_good { Ok(()) } else { Err(NameError::NotAServerName(name.to_owned())) }
    }

    /// The name; empty for the default server.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the server that a user has without naming it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<String> for ServerName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.as_str().to_owned()
    }
}

/// One server: whose, and which of his.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServerKey {
    /// Its owner.
    pub user: UserName,
    /// Its name; empty for the default server.
    pub name: ServerName,
}

impl ServerKey {
    /// The default server of `user`.
    #[must_use]
    pub fn default_of(user: UserName) -> Self {
        Self { user, name: ServerName::default() }
    }

    /// `/user/alice/` or `/user/alice/srv/` under the base path, percent-encoded: the server's base URL.
    #[must_use]
    pub fn prefix(&self, base: &BasePath) -> String {
        let user = percent_encode(self.user.as_str());
        if self.name.is_default() {
            return format!("{base}user/{user}/");
        }
        format!("{base}user/{user}/{}/", percent_encode(self.name.as_str()))
    }

    /// The same prefix decoded and without its last slash: the key in the route table.
    #[must_use]
    pub fn route_key(&self, base: &BasePath) -> String {
        if self.name.is_default() {
            return format!("{base}user/{}", self.user);
        }
        format!("{base}user/{}/{}", self.user, self.name.as_str())
    }

    /// `jupyterhub-user-alice`, with `-srv` for a named one: OAuth client id, and name of the server's login cookie.
    #[must_use]
    pub fn client_id(&self) -> String {
        let user = percent_encode_keeping_slash(self.user.as_str());
        if self.name.is_default() {
            return format!("jupyterhub-user-{user}");
        }
        format!("jupyterhub-user-{user}-{}", percent_encode_keeping_slash(self.name.as_str()))
    }

    /// `alice/` or `alice/srv`: how scopes name a server.
    #[must_use]
    pub fn scope_name(&self) -> String {
        format!("{}/{}", self.user, self.name.as_str())
    }

    /// `{prefix}-alice` or `{prefix}-alice--srv`, escaped: container name, and stem of volume names.
    #[must_use]
    pub fn docker_name(&self, prefix: &str) -> String {
        let user = docker_escape(self.user.as_str());
        if self.name.is_default() {
            return format!("{prefix}-{user}");
        }
        format!("{prefix}-{user}--{}", docker_escape(&self.name.as_str().to_lowercase()))
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_default() {
            return self.user.fmt(f);
        }
        write!(f, "{}/{}", self.user, self.name.as_str())
    }
}

/// DockerSpawner's escape: lower-case letters and digits stay, every other byte becomes `-` and its upper-case hex
/// without padding, and the whole is lower-cased. Injective, so two users never share a container or a volume.
#[must_use]
pub fn docker_escape(name: &str) -> String {
    use fmt::Write as _;
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            escaped.push(c);
            continue;
        }
        let mut buffer = [0; 4];
        for byte in c.encode_utf8(&mut buffer).bytes() {
            let _ = write!(escaped, "-{byte:x}");
        }
    }
    escaped
}

/// What `E` of the hub contract keeps: `A-Z a-z 0-9 _ . - ~ @`.
const KEEP_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'@');
/// What `Q` keeps: as `E`, but `/` instead of `@`.
const KEEP_IN_CLIENT_ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');

/// `E` of the hub contract: a name as one path segment.
#[must_use]
pub fn percent_encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, KEEP_IN_SEGMENT).into()
}

/// `Q` of the hub contract: Python's `quote`, used in client ids and for whole paths.
#[must_use]
pub fn percent_encode_keeping_slash(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, KEEP_IN_CLIENT_ID).into()
}

/// Where the deployment lives under its host: `/`, or `/jupyterhub/`. Always begins and ends with a slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// Reads `base_url` with or without its slashes; empty is `/`.
    ///
    /// # Errors
    /// A sentence, if a segment is empty, made of dots, or holds anything but letters, digits and `-._~`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim().trim_matches('/');
        if inner.is_empty() {
            return Ok(Self("/".into()));
        }
        for segment in inner.split('/') {
            let is_plain = segment.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
            if segment.is_empty() || !is_plain || segment.chars().all(|c| c == '.') {
                return Err(format!(
                    "segment {segment:?} must be letters, digits, '-', '.', '_' or '~', as in \"/jupyterhub/\""
                ));
            }
        }
        Ok(Self(format!("/{inner}/").into()))
    }

    /// The path, with both slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `{base}hub/`: where our own pages are.
    #[must_use]
    pub fn hub(&self) -> String {
        format!("{self}hub/")
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn docker_escape_gives_the_contracts_examples() {
        let cases = [
            ("alice", "alice"),
            ("Alice", "-41lice"),
            ("a-b", "a-2db"),
            ("user@example.com", "user-40example-2ecom"),
            ("Jürgen", "-4a-c3-bcrgen"),
            ("a_b.c", "a-5fb-2ec"),
            ("\t", "-9"),
        ];
        for (name, escaped) in cases {
            assert_eq!(docker_escape(name), escaped, "{name}");
        }
    }

    #[test]
    fn user_names_follow_the_rules() {
        assert_eq!(UserName::parse(" Alice ").map(String::from), Ok("alice".into()));
        for unseen in ["ali\u{200b}ce", "\u{202e}ecila", "alice\u{feff}", "a\u{ad}lice"] {
            assert!(matches!(UserName::parse(unseen), Err(NameError::BadCharacter(_))), "{unseen:?}");
        }
        assert_eq!(UserName::parse(""), Err(NameError::Empty));
        assert_eq!(UserName::parse(&"x".repeat(65)), Err(NameError::TooLong { limit_bytes: 64 }));
        assert_eq!(UserName::parse("a b"), Err(NameError::BadCharacter(' ')));
        assert_eq!(UserName::parse("a,b"), Err(NameError::BadCharacter(',')));
        assert_eq!(UserName::parse("a/b"), Err(NameError::BadCharacter('/')));
        assert_eq!(UserName::parse("a\nb"), Err(NameError::BadCharacter('\n')));
        assert_eq!(UserName::parse(".."), Err(NameError::OnlyDots));
        assert_eq!(UserName::parse("New"), Err(NameError::Reserved("new".into())));
        assert!(UserName::from_path("Alice").is_none());
    }

    #[test]
    fn a_new_server_has_a_plain_name() {
        let check = |name: &str| ServerName::parse(name).expect("a name").check_new().is_ok();
        for good in ["gpu", "g", "my-gpu-2", "a1", &"x".repeat(30)] {
            assert!(check(good), "{good}");
        }
        for bad in ["", "GPU", "2gpu", "-gpu", "gpu-", "my--gpu", "my_gpu", "größe", "a.b", &"x".repeat(31)] {
            assert!(!check(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_is_written_three_ways() {
        let base = BasePath::parse("jupyterhub").expect("a plain base path");
        let key = ServerKey {
            user: UserName::parse("a@b c".replace(' ', "~").as_str()).expect("a name"),
            name: ServerName::parse("My GPU".replace(' ', "_").as_str()).expect("a name"),
        };
        assert_eq!(key.prefix(&base), "/jupyterhub/user/a@b~c/My_GPU/");
        assert_eq!(key.client_id(), "jupyterhub-user-a%40b~c-My_GPU");
        assert_eq!(key.docker_name("jupyterlab"), "jupyterlab-a-40b-7ec--my-5fgpu");
        assert_eq!(key.scope_name(), "a@b~c/My_GPU");
    }

    #[test]
    fn a_base_path_has_both_slashes() {
        for text in ["/hub2", "hub2/", "/hub2/", "hub2"] {
            assert_eq!(BasePath::parse(text).expect("a plain base path").as_str(), "/hub2/");
        }
        assert_eq!(BasePath::parse("").expect("empty is the root").as_str(), "/");
        assert!(
            BasePath::parse("/a//b").is_err() && BasePath::parse("/../x").is_err() && BasePath::parse("/a b").is_err()
        );
    }

    proptest! {
        #[test]
        fn two_names_never_share_an_escape(a in "\\PC{1,12}", b in "\\PC{1,12}") {
            prop_assume!(a != b);
            prop_assert_ne!(docker_escape(&a), docker_escape(&b));
        }
    }
}
