//! The variables that a program of a service is started with: contract §1.7, as a pure function.

use std::collections::BTreeMap;

use super::{Program, ServiceSpec};
use crate::model::{BasePath, Secret};

/// What the variables are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) base: &'a BasePath,
    pub(super) spec: &'a ServiceSpec,
    pub(super) program: &'a Program,
    /// Its API token, also its OAuth client secret.
    pub(super) token: &'a Secret,
    /// `scheme://host:port` of the hub's private listener.
    pub(super) hub_url: &'a str,
    /// `https://host[:port]` as people see us, if that is configured.
    pub(super) public_origin: Option<&'a str>,
}

/// All variables of one program but those of its account (`PATH`, `HOME` …).
pub(super) fn environment(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let Facts { base, spec, .. } = *facts;
    let name = spec.name.as_str();
    let prefix = spec.name.prefix(base);
    let public = |path: &str| facts.public_origin.map(|origin| format!("{origin}{path}")).unwrap_or_default();
    let access_scopes = serde_json::json!(["access:services", format!("access:services!service={name}")]).to_string();

    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: String| variables.insert(name.into(), value);
    set("JUPYTERHUB_SERVICE_NAME", name.into());
    set("JUPYTERHUB_API_TOKEN", facts.token.expose().into());
    set("JUPYTERHUB_API_URL", format!("{}{base}hub/api", facts.hub_url.trim_end_matches('/')));
    set("JUPYTERHUB_BASE_URL", base.to_string());
    // The hub is on the same origin, by whichever of its names people came.
    set("JUPYTERHUB_HOST", String::new());
    set("JUPYTERHUB_CLIENT_ID", spec.client_id.clone());
    set("JUPYTERHUB_SERVICE_PREFIX", prefix.clone());
    if let Some(url) = &spec.url {
        set("JUPYTERHUB_SERVICE_URL", url.as_str().into());
    }
    let callback = spec.redirect_uri.clone().unwrap_or_else(|| format!("{prefix}oauth_callback"));
    set("JUPYTERHUB_OAUTH_CALLBACK_URL", callback);
    set("JUPYTERHUB_OAUTH_ACCESS_SCOPES", access_scopes.clone());
    set("JUPYTERHUB_OAUTH_SCOPES", access_scopes);
    set("JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES", serde_json::json!(spec.client_allowed_scopes).to_string());
    set("JUPYTERHUB_PUBLIC_URL", public(&prefix));
    set("JUPYTERHUB_PUBLIC_HUB_URL", public(&base.hub()));
    // Our `Set-Cookie` hygiene drops `__Host-` names from services, so they must not use one.
    set("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "0".into());
    variables.extend(facts.program.environment.clone());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;
    use crate::services::ServiceUrl;

    fn of(url: Option<&str>, origin: Option<&str>, extra: &[(&str, &str)]) -> BTreeMap<String, String> {
        let spec = ServiceSpec {
            name: ServiceName::parse("an@n").expect("a name"),
            url: url.map(|url| ServiceUrl::parse(url).expect("a URL")),
            program: None,
            client_id: "service-an@n".into(),
            redirect_uri: None,
            client_allowed_scopes: vec!["read:users:name!user".into()],
        };
        let environment = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        super::environment(&Facts {
            base: &BasePath::parse("/j").expect("a base path"),
            spec: &spec,
            program: &Program { environment, ..Program::default() },
            token: &Secret::new("0123"),
            hub_url: "http://127.0.0.1:8081",
            public_origin: origin,
        })
    }

    #[test]
    fn a_program_gets_exactly_the_contracts_variables() {
        let variables = of(Some("http://127.0.0.1:9000"), None, &[]);
        let scopes = r#"["access:services","access:services!service=an@n"]"#;
        let expected = [
            ("JUPYTERHUB_API_TOKEN", "0123"),
            ("JUPYTERHUB_API_URL", "http://127.0.0.1:8081/j/hub/api"),
            ("JUPYTERHUB_BASE_URL", "/j/"),
            ("JUPYTERHUB_CLIENT_ID", "service-an@n"),
            ("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "0"),
            ("JUPYTERHUB_HOST", ""),
            ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", scopes),
            ("JUPYTERHUB_OAUTH_CALLBACK_URL", "/j/services/an@n/oauth_callback"),
            ("JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES", r#"["read:users:name!user"]"#),
            ("JUPYTERHUB_OAUTH_SCOPES", scopes),
            ("JUPYTERHUB_PUBLIC_HUB_URL", ""),
            ("JUPYTERHUB_PUBLIC_URL", ""),
            ("JUPYTERHUB_SERVICE_NAME", "an@n"),
            ("JUPYTERHUB_SERVICE_PREFIX", "/j/services/an@n/"),
            ("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:9000"),
        ];
        let found: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_administrator_wins_and_a_public_address_is_told() {
        let variables = of(None, Some("https://hub.example.org"), &[("JUPYTERHUB_HOST", "x"), ("TZ", "UTC")]);
        assert!(!variables.contains_key("JUPYTERHUB_SERVICE_URL"));
        assert_eq!((&*variables["JUPYTERHUB_HOST"], &*variables["TZ"]), ("x", "UTC"));
        assert_eq!(variables["JUPYTERHUB_PUBLIC_URL"], "https://hub.example.org/j/services/an@n/");
        assert_eq!(variables["JUPYTERHUB_PUBLIC_HUB_URL"], "https://hub.example.org/j/hub/");
    }
}
