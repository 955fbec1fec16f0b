//! Where a container is reached: which of its networks is also ours, and its lowest port. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Where we are among the engine's networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The networks that our own container is on; none if we are on the host, which reaches all of them.
    pub(super) own_networks: Option<Vec<String>>,
    /// `routers.docker.network`.
    pub(super) configured: Option<String>,
}

/// The networks of a container, as the engine tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attached {
    /// Its addresses by network.
    pub(super) addresses: BTreeMap<String, IpAddr>,
    /// True if it has the host's own network.
    pub(super) is_on_host: bool,
}

/// The container's address, or why there is none that we can reach. `wished` is its label `traefik.docker.network`, `project` the
/// Compose project that it belongs to: Compose puts its name before that of a network.
pub(super) fn choose(
    attached: &Attached,
    standing: &Standing,
    wished: Option<&str>,
    project: Option<&str>,
) -> Result<IpAddr, String> {
    if attached.is_on_host {
        return match standing.own_networks {
            None => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some(_) => Err("has the host's network, which Slipway's container does not see; write \
                            traefik.http.services.….loadbalancer.server.url"
                .into()),
        };
    }
    let names = || attached.addresses.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    if let Some(wished) = wished.filter(|wished| !wished.is_empty()) {
        let of_project = project.map(|project| format!("{project}_{wished}"));
        let found = attached.addresses.get(wished);
        let found = found.or_else(|| attached.addresses.get(&of_project?));
        return found.copied().ok_or_else(|| {
            let near = crate::routers::did_you_mean(wished, attached.addresses.keys().map(String::as_str));
            format!("is not on the network {wished} of its label traefik.docker.network, but on {}{near}", names())
        });
    }
    if let Some(address) = standing.configured.as_ref().and_then(|configured| attached.addresses.get(configured)) {
        return Ok(*address);
    }
    let Some(own) = &standing.own_networks else {
        return attached.addresses.values().next().copied().ok_or_else(|| "is on no network".to_owned());
    };
    let shared = attached.addresses.iter().find(|(name, _)| own.contains(name));
    shared.map(|(_, address)| *address).ok_or_else(|| {
        format!("is on none of Slipway's networks ({}), but on {}; connect it to one of them", own.join(", "), names())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(networks: &[(&str, &str)]) -> Attached {
        let address = |text: &str| text.parse().expect("an address");
        let addresses = networks.iter().map(|(name, text)| ((*name).to_owned(), address(text))).collect();
        Attached { addresses, is_on_host: false }
    }

    fn check(standing: &Standing, wished: Option<&str>, expected: Result<&str, &str>) {
        let attached = attached(&[("back", "10.0.0.2"), ("stack_front", "10.1.0.2")]);
        let chosen = choose(&attached, standing, wished, Some("stack"));
        assert_eq!(chosen.map(|ip| ip.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn the_network_that_is_also_ours_is_taken() {
        let on_host = Standing::default();
        let among = |own: &[&str]| Standing {
            own_networks: Some(own.iter().map(|name| (*name).to_owned()).collect()),
            configured: None,
        };
        check(&on_host, None, Ok("10.0.0.2"));
        check(&on_host, Some("front"), Ok("10.1.0.2"));
        check(&on_host, Some("stack_front"), Ok("10.1.0.2"));
        check(&Standing { configured: Some("stack_front".into()), ..Standing::default() }, None, Ok("10.1.0.2"));
        check(&among(&["stack_front", "other"]), None, Ok("10.1.0.2"));
        check(
            &among(&["other"]),
            None,
            Err("is on none of Slipway's networks (other), but on back, stack_front; connect it to one of them"),
        );
        check(
            &on_host,
            Some("bak"),
            Err(
                "is not on the network bak of its label traefik.docker.network, but on back, stack_front; did you mean \
                 back?",
            ),
        );
    }

    #[test]
    fn the_hosts_network_is_seen_from_the_host_alone() {
        let container = Attached { is_on_host: true, ..Attached::default() };
        assert_eq!(choose(&container, &Standing::default(), None, None), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let among = Standing { own_networks: Some(Vec::new()), configured: None };
        assert!(choose(&container, &among, None, None).is_err());
    }
}
