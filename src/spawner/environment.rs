//! The variables that a server is started with: contract §1.1, as a pure function.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::backend::{Environment, GpuRequest, ResourceLimits};
use crate::model::{BasePath, Secret, ServerKey, UserHosts, percent_encode};

/// What the variables are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// Where the deployment lives under its host.
    pub base: &'a BasePath,
    /// Whose server.
    pub server: &'a ServerKey,
    /// Its API token, also its OAuth client secret.
    pub token: &'a Secret,
    /// `scheme://host:port` of the hub's private listener as the server sees it.
    pub hub_connect_url: &'a str,
    /// The hosts of users' servers, if they have some.
    pub user_hosts: Option<&'a UserHosts>,
    /// Where it shall listen. Never an empty host: 4.x reads that as 127.0.0.1, 5.x as everywhere.
    pub listen: SocketAddr,
    /// What it may use, for its own displays.
    pub limits: ResourceLimits,
    /// The image it runs, if it is a container.
    pub image: Option<&'a str>,
    /// The graphics processors it gets.
    pub gpu: &'a GpuRequest,
    /// The page it opens with.
    pub default_url: Option<&'a str>,
    /// The variables of its profile: they win over ours.
    pub profile: &'a BTreeMap<String, String>,
    /// The administrator's variables: they win over all.
    pub extra: &'a BTreeMap<String, String>,
}

/// All variables of one server.
pub(super) fn environment(facts: &Facts<'_>) -> Environment {
    let Facts { base, server, .. } = *facts;
    let prefix = server.prefix(base);
    let api_url = format!("{}{base}hub/api", facts.hub_connect_url.trim_end_matches('/'));
    let user = server.user.as_str();
    let access_scopes = serde_json::json!([
        format!("access:servers!server={}", server.scope_name()),
        format!("access:servers!user={user}")
    ])
    .to_string();

    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: String| variables.insert(name.into(), value);
    set("JUPYTERHUB_API_TOKEN", facts.token.expose().into());
    set("JPY_API_TOKEN", facts.token.expose().into());
    set("JUPYTERHUB_CLIENT_ID", server.client_id());
    let origin = facts.user_hosts.map(|hosts| hosts.origin(&server.user)).unwrap_or_default();
    let hub_origin = facts.user_hosts.map(UserHosts::hub_origin).unwrap_or_default();
    set("JUPYTERHUB_OAUTH_CALLBACK_URL", format!("{origin}{prefix}oauth_callback"));
    set("JUPYTERHUB_SERVICE_PREFIX", prefix.clone());
    set("JUPYTERHUB_SERVICE_URL", format!("http://{}{prefix}", facts.listen));
    set("JUPYTERHUB_ACTIVITY_URL", format!("{api_url}/users/{}/activity", percent_encode(user)));
    set("JUPYTERHUB_API_URL", api_url);
    set("JUPYTERHUB_BASE_URL", base.to_string());
    set("JUPYTERHUB_HOST", hub_origin.clone());
    set("JUPYTERHUB_USER", user.into());
    set("JUPYTERHUB_SERVER_NAME", server.name.as_str().into());
    set("JUPYTERHUB_OAUTH_ACCESS_SCOPES", access_scopes.clone());
    set("JUPYTERHUB_OAUTH_SCOPES", access_scopes);
    set("JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES", "[]".into());
    // Our `Set-Cookie` hygiene drops `__Host-` names from servers, so they must not use one.
    set("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "0".into());
    let has_hosts = facts.user_hosts.is_some();
    set("JUPYTERHUB_PUBLIC_URL", if has_hosts { format!("{origin}{prefix}") } else { String::new() });
    set("JUPYTERHUB_PUBLIC_HUB_URL", if has_hosts { format!("{hub_origin}{base}hub/") } else { String::new() });
    if let Some(bytes) = facts.limits.memory_bytes {
        set("MEM_LIMIT", bytes.to_string());
    }
    if let Some(cores) = facts.limits.cpu_cores {
        // As Python prints a float: `2.0`, not `2`.
        set("CPU_LIMIT", format!("{cores:?}"));
    }
    if let Some(image) = facts.image {
        set("JUPYTER_IMAGE_SPEC", image.into());
    }
    if let Some(url) = facts.default_url {
        set("JUPYTERHUB_DEFAULT_URL", url.into());
    }
    variables.extend(facts.profile.clone());
    // Over the profile's: what is not given must not be seen, also where the image asks for all of them.
    variables.extend(gpu_variables(facts.gpu));
    variables.extend(facts.extra.clone());
    Environment(variables)
}

/// What says which graphics processors a server sees (platform §14).
fn gpu_variables(gpu: &GpuRequest) -> BTreeMap<String, String> {
    let is_given = if *gpu == GpuRequest::None { "0" } else { "1" };
    let names = ["ENABLE_GPU_SUPPORT", "ENABLE_GPUSTAT", "NVIDIA_DETECTED"];
    let mut variables: BTreeMap<_, _> = names.map(|name| (name.to_owned(), is_given.to_owned())).into();
    let visible = match gpu {
        GpuRequest::None => "void".to_owned(),
        GpuRequest::All => "all".to_owned(),
        GpuRequest::Ids(ids) => {
            // Inside, the processors are counted anew: only a UUID still names the same one.
            if ids.iter().all(|id| id.starts_with("GPU-")) {
                variables.insert("CUDA_VISIBLE_DEVICES".into(), ids.join(","));
            }
            ids.join(",")
        }
    };
    variables.insert("NVIDIA_VISIBLE_DEVICES".into(), visible);
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ServerName, UserName};

    fn of(base: &str, user: &str, name: &str, listen: &str, extra: &[(&str, &str)]) -> BTreeMap<String, String> {
        let server =
            ServerKey { user: UserName::parse(user).expect("a name"), name: ServerName::parse(name).expect("a name") };
        let extra = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        environment(&Facts {
            base: &BasePath::parse(base).expect("a base path"),
            server: &server,
            token: &Secret::new("0123456789abcdef0123456789abcdef"),
            hub_connect_url: "http://172.18.0.1:8081",
            user_hosts: None,
            listen: listen.parse().expect("an address"),
            limits: ResourceLimits { memory_bytes: Some(2_147_483_648), cpu_cores: Some(2.0) },
            image: Some("lab:4.2"),
            gpu: &GpuRequest::None,
            default_url: Some("/lab"),
            profile: &BTreeMap::from([("TZ".into(), "UTC".into()), ("JUPYTER_IMAGE_SPEC".into(), "lab:4.2".into())]),
            extra: &extra,
        })
        .0
    }

    #[test]
    fn on_a_host_of_its_own_a_server_knows_both_hosts() {
        let server =
            ServerKey { user: UserName::parse("a.b").expect("a name"), name: ServerName::parse("").expect("") };
        let variables = environment(&Facts {
            base: &BasePath::parse("/j").expect("a base path"),
            server: &server,
            token: &Secret::new("0123456789abcdef0123456789abcdef"),
            hub_connect_url: "http://172.18.0.1:8081",
            user_hosts: Some(&UserHosts::new("", "lab.example.org:8443").expect("a domain")),
            listen: "0.0.0.0:8888".parse().expect("an address"),
            limits: ResourceLimits::default(),
            image: None,
            gpu: &GpuRequest::None,
            default_url: None,
            profile: &BTreeMap::new(),
            extra: &BTreeMap::new(),
        })
        .0;
        let expected = [
            ("JUPYTERHUB_HOST", "https://lab.example.org:8443"),
            ("JUPYTERHUB_OAUTH_CALLBACK_URL", "https://a-2eb.lab.example.org:8443/j/user/a.b/oauth_callback"),
            ("JUPYTERHUB_SERVICE_PREFIX", "/j/user/a.b/"),
            ("JUPYTERHUB_PUBLIC_URL", "https://a-2eb.lab.example.org:8443/j/user/a.b/"),
            ("JUPYTERHUB_PUBLIC_HUB_URL", "https://lab.example.org:8443/j/hub/"),
        ];
        check(&variables, &expected);
    }

    fn check(variables: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert_eq!(variables.get(*name).map(String::as_str), Some(*value), "{name}");
        }
    }

    #[test]
    fn alice_gets_exactly_the_contracts_variables() {
        let variables = of("/", "alice", "", "0.0.0.0:8888", &[]);
        let scopes = r#"["access:servers!server=alice/","access:servers!user=alice"]"#;
        let expected = [
            ("CPU_LIMIT", "2.0"),
            ("ENABLE_GPUSTAT", "0"),
            ("ENABLE_GPU_SUPPORT", "0"),
            ("NVIDIA_DETECTED", "0"),
            ("NVIDIA_VISIBLE_DEVICES", "void"),
            ("JPY_API_TOKEN", "0123456789abcdef0123456789abcdef"),
            ("JUPYTERHUB_ACTIVITY_URL", "http://172.18.0.1:8081/hub/api/users/alice/activity"),
            ("JUPYTERHUB_API_TOKEN", "0123456789abcdef0123456789abcdef"),
            ("JUPYTERHUB_API_URL", "http://172.18.0.1:8081/hub/api"),
            ("JUPYTERHUB_BASE_URL", "/"),
            ("JUPYTERHUB_CLIENT_ID", "jupyterhub-user-alice"),
            ("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "0"),
            ("JUPYTERHUB_DEFAULT_URL", "/lab"),
            ("JUPYTERHUB_HOST", ""),
            ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", scopes),
            ("JUPYTERHUB_OAUTH_CALLBACK_URL", "/user/alice/oauth_callback"),
            ("JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES", "[]"),
            ("JUPYTERHUB_OAUTH_SCOPES", scopes),
            ("JUPYTERHUB_PUBLIC_HUB_URL", ""),
            ("JUPYTERHUB_PUBLIC_URL", ""),
            ("JUPYTERHUB_SERVER_NAME", ""),
            ("JUPYTERHUB_SERVICE_PREFIX", "/user/alice/"),
            ("JUPYTERHUB_SERVICE_URL", "http://0.0.0.0:8888/user/alice/"),
            ("JUPYTERHUB_USER", "alice"),
            ("JUPYTER_IMAGE_SPEC", "lab:4.2"),
            ("MEM_LIMIT", "2147483648"),
            ("TZ", "UTC"),
        ];
        check(&variables, &expected);
        assert_eq!(variables.len(), expected.len());
    }

    #[test]
    fn an_odd_name_is_written_in_each_place_as_that_place_wants_it() {
        check(
            &of("/hub2", "a@b", "", "0.0.0.0:8888", &[]),
            &[
                ("JUPYTERHUB_ACTIVITY_URL", "http://172.18.0.1:8081/hub2/hub/api/users/a@b/activity"),
                ("JUPYTERHUB_API_URL", "http://172.18.0.1:8081/hub2/hub/api"),
                ("JUPYTERHUB_BASE_URL", "/hub2/"),
                ("JUPYTERHUB_CLIENT_ID", "jupyterhub-user-a%40b"),
                ("JUPYTERHUB_OAUTH_CALLBACK_URL", "/hub2/user/a@b/oauth_callback"),
                ("JUPYTERHUB_SERVICE_URL", "http://0.0.0.0:8888/hub2/user/a@b/"),
                ("JUPYTERHUB_USER", "a@b"),
            ],
        );
    }

    #[test]
    fn a_named_server_of_a_process_has_its_own_prefix_and_port() {
        check(
            &of("/", "alice", "gpu", "127.0.0.1:40001", &[]),
            &[
                ("JUPYTERHUB_CLIENT_ID", "jupyterhub-user-alice-gpu"),
                (
                    "JUPYTERHUB_OAUTH_ACCESS_SCOPES",
                    r#"["access:servers!server=alice/gpu","access:servers!user=alice"]"#,
                ),
                ("JUPYTERHUB_OAUTH_CALLBACK_URL", "/user/alice/gpu/oauth_callback"),
                ("JUPYTERHUB_SERVER_NAME", "gpu"),
                ("JUPYTERHUB_SERVICE_PREFIX", "/user/alice/gpu/"),
                ("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:40001/user/alice/gpu/"),
            ],
        );
    }

    #[test]
    fn the_administrator_wins_over_a_profile_and_a_profile_over_us() {
        let extra = [("JUPYTERHUB_DEFAULT_URL", "/tree"), ("TZ", "Europe/Berlin")];
        check(&of("/", "alice", "", "0.0.0.0:8888", &extra), &extra);
    }

    #[test]
    fn a_server_sees_the_graphics_processors_it_was_given_and_no_others() {
        let of = |gpu: &GpuRequest| gpu_variables(gpu).into_iter().collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let all = of(&GpuRequest::All);
        assert!(all.contains(&pair("NVIDIA_VISIBLE_DEVICES", "all")) && all.contains(&pair("ENABLE_GPUSTAT", "1")));
        let by_uuid = of(&GpuRequest::Ids(vec!["GPU-1".into(), "GPU-2".into()]));
        assert!(by_uuid.contains(&pair("CUDA_VISIBLE_DEVICES", "GPU-1,GPU-2")));
        let by_number = of(&GpuRequest::Ids(vec!["2".into()]));
        assert!(by_number.contains(&pair("NVIDIA_VISIBLE_DEVICES", "2")));
        assert!(by_number.iter().all(|(name, _)| name != "CUDA_VISIBLE_DEVICES"), "inside it is number 0");
    }

    #[test]
    fn the_token_is_not_printed() {
        let environment = Environment(of("/", "alice", "", "0.0.0.0:8888", &[]));
        assert!(!format!("{environment:?}").contains("0123456789abcdef"));
    }
}
