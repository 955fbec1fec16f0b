//! `Location` of a redirect that names the target, rewritten so that the browser finds the way back to us.

/// The address to say instead of `location`; none if it stays, because it does not point at `target` (host, and port if
/// it is not the scheme's own).
pub(super) fn rewrite(location: &str, target: &str, host: Option<&str>, protocol: Option<&str>) -> Option<String> {
    let (scheme, rest) = location.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let authority = without_usual_port(authority, &scheme).to_ascii_lowercase();
    if authority != target {
        return None;
    }
    let host = without_usual_port(host.unwrap_or(&authority), &scheme);
    // `https:` and `https://` are written by some.
    let scheme = protocol.map_or(scheme.as_str(), |protocol| protocol.trim_end_matches(['/', ':']));
    let host = without_usual_port(host, scheme);
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(format!("{scheme}://{host}{slash}{path}"))
}

fn without_usual_port<'a>(authority: &'a str, scheme: &str) -> &'a str {
    let usual = match scheme {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(usual).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_the_target_comes_back_to_us() {
        let check = |location: &str, host: Option<&str>, protocol: Option<&str>, expected: Option<&str>| {
            assert_eq!(rewrite(location, "127.0.0.1:9000", host, protocol).as_deref(), expected, "{location}");
        };
        let hub = Some("hub.example:8000");
        check("http://127.0.0.1:9000/x?y#z", hub, None, Some("http://hub.example:8000/x?y#z"));
        check("http://127.0.0.1:9000", hub, Some("https"), Some("https://hub.example:8000/"));
        check("http://127.0.0.1:9000/x", None, Some("https:"), Some("https://127.0.0.1:9000/x"));
        check("http://127.0.0.1:9000/x", Some("hub.example:443"), Some("https"), Some("https://hub.example/x"));
        check("http://127.0.0.1:9001/x", hub, Some("https"), None);
        check("/x", hub, Some("https"), None);
        check("//127.0.0.1:9000/x", hub, Some("https"), None);
    }
}
