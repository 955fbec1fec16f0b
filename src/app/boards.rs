//! The same figures under the names that the published boards of Traefik and configurable-http-proxy ask for.
//!
//! `entrypoint` is `websecure` (TLS) or `web`; `router` and `service` are names of containers' labels or of a file, or
//! `slipway-hub@internal`, `slipway-servers@internal` and `slipway-services@internal` for what we answer ourselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reload::ReloadFigures;
use crate::edge::{self, Detail, Facets, TRAEFIK_BOUNDS_S};
use crate::listener::{CertificateFigures, Counts};
use crate::routers::{Balancer, ObjectName};
use crate::telemetry::Page;

/// What is shown, read once.
pub(super) struct Shown<'a> {
    pub(super) requests: &'a edge::Figures,
    pub(super) listeners: &'a [(&'static str, Counts)],
    pub(super) certificates: Vec<CertificateFigures>,
    pub(super) websockets_open: u64,
    pub(super) websockets: u64,
    pub(super) reloads: ReloadFigures,
    pub(super) balancers: &'a BTreeMap<ObjectName, Arc<Balancer>>,
}

/// Traefik's families and configurable-http-proxy's.
pub(super) fn boards(page: &mut Page, shown: &Shown<'_>) {
    let mut entry_points: BTreeMap<(Vec<&str>, Facets), Detail> = BTreeMap::new();
    let mut services: BTreeMap<(Vec<&str>, Facets), Detail> = BTreeMap::new();
    let mut routers: BTreeMap<(Vec<&str>, Facets), Detail> = BTreeMap::new();
    for ((place, facets), detail) in &shown.requests.details {
        let (router, service) = (&*place.router, &*place.service);
        // A request that came by another entry point is the same to a service.
        let elsewhere = Facets { entry_point: "", ..*facets };
        let entry_point = facets.entry_point;
        entry_points.entry((vec![entry_point], elsewhere)).or_default().merge(detail);
        services.entry((vec![service], elsewhere)).or_default().merge(detail);
        routers.entry((vec![router, service], elsewhere)).or_default().merge(detail);
    }
    group(page, "entrypoint", &["entrypoint"], &entry_points);
    group(page, "service", &["service"], &services);
    group(page, "router", &["router", "service"], &routers);
    connections(page, shown);
    certificates(page, &shown.certificates);
    reloads(page, &shown.reloads);
    targets(page, shown.balancers);
    as_config_proxy(page, shown);
}

fn group(page: &mut Page, name: &str, labels: &[&str], details: &BTreeMap<(Vec<&str>, Facets), Detail>) {
    let each = |page: &mut Page, family: &str, help: &str, value: fn(&Detail) -> u64| {
        let name = format!("traefik_{name}_{family}");
        details.iter().fold(page.counter(&name, help), |samples, ((names, facets), detail)| {
            let code = facets.code.to_string();
            samples.sample(&labels_of(labels, names, facets, &code), value(detail))
        });
    };
    each(page, "requests_total", "Requests.", |detail| detail.count);
    each(page, "requests_bytes_total", "Bytes of requests' bodies, as announced.", |detail| detail.request_bytes);
    each(page, "responses_bytes_total", "Bytes of answers' bodies, as announced.", |detail| detail.answer_bytes);
    let name = format!("traefik_{name}_request_duration_seconds");
    let help = "From the head of a request to the head of its answer.";
    details.iter().fold(page.histogram(&name, help), |samples, ((names, facets), detail)| {
        let code = facets.code.to_string();
        let labels = labels_of(labels, names, facets, &code);
        samples.histogram(&labels, &TRAEFIK_BOUNDS_S, &detail.within, detail.count, detail.duration.as_secs_f64())
    });
}

fn labels_of<'a>(labels: &[&'a str], names: &[&'a str], facets: &Facets, code: &'a str) -> Vec<(&'a str, &'a str)> {
    let own = labels.iter().copied().zip(names.iter().copied());
    own.chain([("code", code), ("method", facets.method), ("protocol", facets.protocol)]).collect()
}

/// The doors under Traefik's names for them.
const ENTRY_POINTS: [(&str, &str); 2] = [("https", "websecure"), ("http", "web")];

fn connections(page: &mut Page, shown: &Shown<'_>) {
    let open: Vec<_> = ENTRY_POINTS
        .iter()
        .map(|(door, entry_point)| {
            let of_door = shown.listeners.iter().filter(|(name, _)| name == door);
            (*entry_point, of_door.map(|(_, counts)| counts.figures().open).sum::<u64>())
        })
        .collect();
    let help = "Connections open now.";
    open.iter().fold(page.gauge("traefik_open_connections", help), |family, (entry_point, count)| {
        family.sample(&[("entrypoint", entry_point), ("protocol", "TCP")], *count)
    });
    // The official board (17346) still asks for these two names of Traefik 2.
    open.iter().fold(page.gauge("traefik_entrypoint_open_connections", help), |family, (entry_point, count)| {
        family.sample(&[("entrypoint", entry_point), ("method", ""), ("protocol", "http")], *count)
    });
    let services: std::collections::BTreeSet<&str> =
        shown.requests.details.keys().map(|(place, _)| &*place.service).collect();
    let help = "WebSockets open now; requests are counted when they are answered.";
    services.iter().fold(page.gauge("traefik_service_open_connections", help), |family, service| {
        let count = if *service == "slipway-servers@internal" { shown.websockets_open } else { 0 };
        family.sample(&[("service", service), ("method", "GET"), ("protocol", "websocket")], count)
    });
}

#[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
fn certificates(page: &mut Page, certificates: &[CertificateFigures]) {
    let help = "Until when certificates are good, in seconds since 1970.";
    let ends = |certificate: &CertificateFigures| (certificate.ends_at.0 / 1000) as f64;
    certificates.iter().fold(page.gauge("traefik_tls_certs_not_after", help), |family, certificate| {
        let sans = certificate.names.join(",");
        let first = certificate.names.first().map_or("", String::as_str);
        let name = if certificate.common_name.is_empty() { first } else { &certificate.common_name };
        family.exact(&[("cn", name), ("sans", &sans), ("serial", &certificate.serial)], ends(certificate))
    });
    certificates.iter().fold(
        page.gauge("slipway_certificate_expires_timestamp_seconds", help),
        |family, certificate| {
            let kind = if certificate.is_self_signed { "self-signed" } else { "given" };
            let name = certificate.names.first().map_or("", String::as_str);
            family.exact(&[("name", name), ("kind", kind)], ends(certificate))
        },
    );
}

#[expect(clippy::cast_precision_loss, reason = "a time of this age is exact")]
fn reloads(page: &mut Page, reloads: &ReloadFigures) {
    let help = "Configurations taken up; a start is the first.";
    page.counter("traefik_config_reloads_total", help).sample(&[], 1 + reloads.done);
    let taken_up_at_s = reloads.last_done_at.0 as f64 / 1000.0;
    page.gauge("traefik_config_last_reload_success", "When the last one was taken up.").exact(&[], taken_up_at_s);
}

/// Only of services with a health check, as Traefik has it: of others nobody knows.
fn targets(page: &mut Page, balancers: &BTreeMap<ObjectName, Arc<Balancer>>) {
    let checked = balancers.values().filter(|balancer| balancer.draft().health_check_shown().is_some());
    let help = "1 while the health check of a service's target succeeds.";
    checked.fold(page.gauge("traefik_service_server_up", help), |family, balancer| {
        balancer.view().into_iter().fold(family, |family, target| {
            family.sample(&[("service", balancer.name()), ("url", &target.url)], u64::from(target.is_up))
        })
    });
}

/// Under configurable-http-proxy's names: they have no `_total`, and say nothing of who was asked for.
fn as_config_proxy(page: &mut Page, shown: &Shown<'_>) {
    let proxied = shown
        .requests
        .details
        .iter()
        .filter(|((place, _), _)| !matches!(&*place.service, "slipway-hub@internal" | "slipway-none@internal"));
    let (mut web, mut by_status) = (0, BTreeMap::<u16, u64>::new());
    for ((_, facets), detail) in proxied {
        *by_status.entry(facets.code).or_default() += detail.count;
        web += if facets.protocol == "http" { detail.count } else { 0 };
    }
    page.counter("requests_web", "Requests to servers and services.").sample(&[], web);
    page.counter("requests_ws", "WebSockets opened.").sample(&[], shown.websockets);
    by_status.iter().fold(page.counter("requests_proxy", "The same by status."), |family, (code, count)| {
        family.sample(&[("status", &code.to_string())], *count)
    });
}
