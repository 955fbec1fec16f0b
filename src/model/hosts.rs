//! The hosts of `isolation = "subdomain"`: the hub has one, and each user's servers one of their own below a domain.
//!
//! A browser keeps the pages of different hosts apart, so the name of a host is the boundary between users. It is made from
//! the user's name by one injective rule, and whether a request may mean a user's servers is asked of the name in its path: no
//! table of hosts is kept, and none can be wrong.

use std::net::IpAddr;

use super::{UserName, docker_escape};

/// Longest label of DNS, in octets.
const LABEL_LIMIT_BYTES: usize = 63;
/// Labels that people expect to be somebody else's than a user's; a user of that name gets a hash.
const RESERVED: [&str; 7] = ["hub", "services", "www", "api", "admin", "mail", "localhost"];
/// What no escape contains: there a hyphen is always followed by a hexadecimal digit.
const HASH_MARK: &str = "u--";
/// 128 bits: nobody finds two names of one hash.
const HASH_BYTES: usize = 16;

/// Where users' servers live: `https://{label}.{domain}[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserHosts {
    /// Lower case, without a dot at either end.
    domain: String,
    /// Empty, or `:8443`.
    port: String,
    /// Where the hub lives: `host[:port]`.
    hub: String,
}

impl UserHosts {
    /// Hosts below `domain` (empty: below the hub's own), with the port of the hub, whose authority is `hub`, lower case.
    ///
    /// # Errors
    /// Why there can be no such hosts, as the rest of "`domain` …".
    pub fn new(domain: &str, hub: &str) -> Result<Self, &'static str> {
        let (hub_host, port) = match hub.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, format!(":{port}")),
            Some(_) | None => (hub, String::new()),
        };
        let domain = if domain.is_empty() { hub_host } else { domain }.to_ascii_lowercase();
        if domain.starts_with('[') || domain.parse::<IpAddr>().is_ok() {
            return Err("is an IP address, below which there are no names");
        }
        let is_label = |label: &str| {
            let is_plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            is_plain && (1..=LABEL_LIMIT_BYTES).contains(&label.len())
        };
        // 253 is what DNS allows a whole name; a label and its dot go before ours.
        if !domain.split('.').all(is_label) || domain.len() > 253 - LABEL_LIMIT_BYTES - 1 {
            return Err("is no name of a host");
        }
        Ok(Self { domain, port, hub: hub.to_owned() })
    }

    /// The first label of the host of this user's servers.
    #[must_use]
    pub fn label(&self, user: &UserName) -> String {
        let escaped = docker_escape(user.as_str());
        let is_fit = escaped.len() <= LABEL_LIMIT_BYTES && !escaped.starts_with('-');
        let is_free =
            !RESERVED.contains(&escaped.as_str()) && format!("{escaped}.{}{}", self.domain, self.port) != self.hub;
        if is_fit && is_free {
            return escaped;
        }
        let hash = blake3::derive_key("slipway 2026 host label of a user", user.as_str().as_bytes());
        hash[..HASH_BYTES].iter().fold(HASH_MARK.to_owned(), |label, byte| format!("{label}{byte:02x}"))
    }

    /// `https://alice.lab.example.org:8443`
    #[must_use]
    pub fn origin(&self, user: &UserName) -> String {
        self.origin_of(&self.label(user))
    }

    /// The same for a label.
    #[must_use]
    pub fn origin_of(&self, label: &str) -> String {
        format!("https://{label}.{}{}", self.domain, self.port)
    }

    /// `https://lab.example.org:8443`
    #[must_use]
    pub fn hub_origin(&self) -> String {
        format!("https://{}", self.hub)
    }

    /// The domain below which users' hosts are.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// A name below the domain: what a certificate must cover.
    #[must_use]
    pub fn example(&self) -> String {
        format!("somebody.{}", self.domain)
    }

    /// `https://*.lab.example.org:8443`, as a content policy names all of them.
    #[must_use]
    pub fn all_origins(&self) -> String {
        format!("https://*.{}{}", self.domain, self.port)
    }

    /// The label of a user's host, whoever's: lower case. `None` for a host that is no user's, the hub's among them.
    #[must_use]
    pub fn label_of(&self, authority: &str) -> Option<String> {
        let authority = authority.to_ascii_lowercase();
        let without_default = authority.strip_suffix(":443").unwrap_or(&authority);
        if without_default == self.hub {
            return None;
        }
        let host = without_default.strip_suffix(&self.port)?;
        let label = host.strip_suffix(&self.domain)?.strip_suffix('.')?;
        let is_one = !label.is_empty() && !label.contains(['.', ':']);
        is_one.then(|| label.to_owned())
    }

    /// The same for a host without its port, as it comes in clear text.
    #[must_use]
    pub fn label_at_any_port(&self, host: &str) -> Option<String> {
        self.label_of(&format!("{host}{}", self.port))
    }

    /// True if the host with this label is the one of `user`'s servers.
    #[must_use]
    pub fn is_of(&self, label: &str, user: &UserName) -> bool {
        self.label(user) == label
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(domain: &str, hub: &str) -> UserHosts {
        UserHosts::new(domain, hub).expect("a domain")
    }

    fn user(name: &str) -> UserName {
        UserName::parse(name).expect("a name")
    }

    #[test]
    fn a_users_host_is_made_from_the_name() {
        let hosts = hosts("", "lab.example.org:8443");
        assert_eq!(hosts.origin(&user("alice")), "https://alice.lab.example.org:8443");
        assert_eq!(hosts.label(&user("a.b@c")), "a-2eb-40c");
        for odd in ["hub", "services", "_x", &"a".repeat(64), &"ü".repeat(20)] {
            let label = hosts.label(&user(odd));
            assert!(label.starts_with(HASH_MARK) && label.len() <= LABEL_LIMIT_BYTES, "{odd}: {label}");
        }
    }

    #[test]
    fn nobodys_host_is_the_hubs() {
        let hosts = hosts("example.org", "lab.example.org");
        assert!(hosts.label(&user("lab")).starts_with(HASH_MARK));
        assert_eq!(hosts.label_of("lab.example.org"), None);
        assert_eq!(hosts.label_of("LAB.example.org:443"), None);
        assert_eq!(hosts.label_of("Alice.Example.org").as_deref(), Some("alice"));
    }

    #[test]
    fn only_one_label_below_the_domain_and_the_right_port_are_a_users_host() {
        let hosts = hosts("", "lab.example.org:8443");
        let check = |authority: &str, expected: Option<&str>| {
            assert_eq!(hosts.label_of(authority).as_deref(), expected, "{authority}");
        };
        check("alice.lab.example.org:8443", Some("alice"));
        for other in [
            "lab.example.org:8443",
            "alice.lab.example.org",
            "alice.lab.example.org:443",
            "alice.lab.example.org:84430",
            "a.b.lab.example.org:8443",
            ".lab.example.org:8443",
            "alicelab.example.org:8443",
            "alice.lab.example.org.:8443",
            "alice.lab.example.org.evil:8443",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn what_has_no_names_below_it_is_refused() {
        for (domain, hub) in
            [("", "127.0.0.1:8443"), ("", "[::1]:8443"), ("10.0.0.1", "x"), ("a..b", "x"), ("a b", "x"), (".x", "x")]
        {
            assert!(UserHosts::new(domain, hub).is_err(), "{domain} {hub}");
        }
        assert!(UserHosts::new("localhost", "localhost:8443").is_ok());
    }

    proptest! {
        #[test]
        fn two_users_never_share_a_host(a in "\\PC{1,20}", b in "\\PC{1,20}") {
            let hosts = hosts("", "lab.example.org");
            if let (Ok(a), Ok(b)) = (UserName::parse(&a), UserName::parse(&b)) {
                prop_assert_eq!(a == b, hosts.label(&a) == hosts.label(&b));
                prop_assert!(hosts.label(&a).len() <= LABEL_LIMIT_BYTES);
                prop_assert_eq!(hosts.label_of(hosts.origin(&a).trim_start_matches("https://")), Some(hosts.label(&a)));
            }
        }
    }
}
