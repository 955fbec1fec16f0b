//! What each module has counted, under the names that boards read it by. `docs/metrics.md` is this list for people.
//!
//! Ours begin with `slipway_`. The families of JupyterHub that its published boards ask for are there under their old
//! names; those that tell of parts we do not have (a proxy to poll, an event loop) are not.

use std::sync::Arc;

use super::boards::{Shown, boards};
use super::copies::Copier;
use super::reload::ReloadCounts;
use crate::auth::Auth;
use crate::edge;
use crate::hub::{HostFacts, HostFactsOf, Requests};
use crate::listener::{self, Certificates, Counts};
use crate::model::{Durations, Routes, Timing};
use crate::proxy::Proxy;
use crate::routers::Routers;
use crate::spawner::Spawner;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::telemetry::{self, AccessLog, Metrics, Page, Traces};

/// All that counts.
pub(super) struct Sources {
    pub(super) tasks: Tasks,
    /// Its counts alone: the edge holds the hub, and the hub shows us.
    pub(super) edge: edge::Counts,
    pub(super) proxy: Proxy,
    /// By door: `https`, `http`, `private`.
    pub(super) listeners: Vec<(&'static str, Counts)>,
    pub(super) auth: Auth,
    pub(super) spawner: Spawner,
    pub(super) store: Store,
    pub(super) copier: Copier,
    pub(super) routes: Arc<Routes>,
    pub(super) routers: Routers,
    pub(super) hub_requests: Arc<Requests>,
    pub(super) access_log: Option<AccessLog>,
    pub(super) reloads: ReloadCounts,
    pub(super) traces: Option<Traces>,
    pub(super) certificates: Arc<Certificates>,
    /// How long our own start took.
    pub(super) startup: Timing,
    /// The latest look at the host.
    pub(super) host: HostFactsOf,
}

/// Lets `metrics` ask all of them.
pub(super) fn register(metrics: &Metrics, sources: Sources) {
    metrics.add(move |page| {
        program(page, &sources);
        connections(page, &sources.listeners);
        let figures = sources.edge.figures();
        requests(page, &sources, &figures);
        let proxied = sources.proxy.figures();
        boards(
            page,
            &Shown {
                requests: &figures,
                listeners: &sources.listeners,
                certificates: sources.certificates.all(),
                websockets_open: proxied.websockets_open,
                websockets: proxied.websockets,
                reloads: sources.reloads.figures(),
                balancers: sources.routers.table().balancers(),
            },
        );
        upstreams(page, &sources);
        servers(page, &sources.spawner);
        if let Some(facts) = (sources.host)() {
            host(page, &facts);
        }
        people(page, &sources.auth);
        store(page, &sources.store);
        copies(page, &sources.copier);
    });
}

fn program(page: &mut Page, sources: &Sources) {
    page.gauge("slipway_build_info", "Always 1; its label is the version.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("slipway_tasks", "Tasks that run: connections, WebSockets, jobs.")
        .sample(&[], sources.tasks.count() as u64);
    page.counter("slipway_panics_total", "Mistakes of ours that ended one request and nothing else.")
        .sample(&[], telemetry::panics());
    page.counter("slipway_log_lines_dropped_total", "Lines that were dropped because their reader was too slow.")
        .sample(&[("log", "program")], telemetry::log_lines_dropped())
        .sample(&[("log", "access")], sources.access_log.as_ref().map_or(0, AccessLog::dropped));
    let reloads = sources.reloads.figures();
    page.counter("slipway_config_reloads_total", "Reloads of the configuration by result.")
        .sample(&[("result", "ok")], reloads.done)
        .sample(&[("result", "mistakes")], reloads.mistaken)
        .sample(&[("result", "failed")], reloads.failed);
    page.gauge("slipway_config_last_reload_success_timestamp_seconds", "When the configuration was last taken up.")
        .sample(&[], reloads.last_done_at.0.unsigned_abs() / 1000);
    if let Some(traces) = &sources.traces {
        page.counter("slipway_traces_total", "Collected requests by whether the collector has taken their spans.")
            .sample(&[("result", "sent")], traces.sent())
            .sample(&[("result", "dropped")], traces.dropped());
    }
    page.histogram("jupyterhub_hub_startup_duration_seconds", "How long our start took.")
        .durations(&[], &sources.startup.durations());
}

fn connections(page: &mut Page, listeners: &[(&'static str, Counts)]) {
    let figures: Vec<_> = listeners.iter().map(|(door, counts)| (*door, counts.figures())).collect();
    let by_door = |page: &mut Page, name, help, is_gauge, value: fn(&listener::Figures) -> u64| {
        let family = if is_gauge { page.gauge(name, help) } else { page.counter(name, help) };
        figures.iter().fold(family, |family, (door, figures)| family.sample(&[("door", door)], value(figures)));
    };
    by_door(page, "slipway_connections_total", "Connections taken.", false, |f| f.accepted);
    by_door(page, "slipway_connections_open", "Connections open now.", true, |f| f.open);
    let help = "Connections closed because their address had its share.";
    by_door(page, "slipway_connections_turned_away_total", help, false, |f| f.turned_away);
    let help = "Bytes from clients: requests and WebSockets, without TLS.";
    by_door(page, "slipway_received_bytes_total", help, false, |f| f.received_bytes);
    let help = "Bytes to clients: answers and WebSockets, without TLS.";
    by_door(page, "slipway_sent_bytes_total", help, false, |f| f.sent_bytes);

    let sum = |value: fn(&listener::Figures) -> u64| figures.iter().map(|(_, figures)| value(figures)).sum::<u64>();
    page.counter("slipway_tls_handshakes_total", "TLS handshakes by how they ended.")
        .sample(&[("result", "full")], sum(|f| f.full_handshakes))
        .sample(&[("result", "resumed")], sum(|f| f.resumed_handshakes))
        .sample(&[("result", "failed")], sum(|f| f.failed_handshakes))
        .sample(&[("result", "late")], sum(|f| f.late_handshakes));
}

fn requests(page: &mut Page, sources: &Sources, edge: &edge::Figures) {
    let help = "Requests by where they went (hub, server, service, or none), protocol and class of status.";
    edge.requests.iter().fold(page.counter("slipway_requests_total", help), |family, figure| {
        let labels = [("destination", figure.aim), ("protocol", figure.protocol), ("status", figure.class)];
        family.sample(&labels, figure.count)
    });
    let help = "From the head of a request to the head of its answer.";
    edge.durations.iter().fold(page.histogram("slipway_request_duration_seconds", help), |family, (aim, durations)| {
        family.durations(&[("destination", aim)], durations)
    });
    let help = "Requests to the hub, from their head to the head of the answer.";
    sources.hub_requests.figures().iter().fold(
        page.histogram("jupyterhub_request_duration_seconds", help),
        |family, figure| {
            let code = figure.code.to_string();
            let labels = [("method", figure.method), ("handler", &*figure.handler), ("code", &*code)];
            family.durations(&labels, &figure.durations)
        },
    );
}

fn upstreams(page: &mut Page, sources: &Sources) {
    let proxy = sources.proxy.figures();
    page.counter("slipway_websockets_total", "WebSockets opened.").sample(&[], proxy.websockets);
    page.gauge("slipway_websockets_open", "WebSockets open now.").sample(&[], proxy.websockets_open);
    page.counter("slipway_upstream_connections_total", "Connections to servers by how a request got one.")
        .sample(&[("result", "new")], proxy.dialled)
        .sample(&[("result", "reused")], proxy.reused)
        .sample(&[("result", "unreachable")], proxy.unreachable);
    page.gauge("slipway_upstream_connections_idle", "Connections to servers that wait for their next request.")
        .sample(&[], proxy.idle);
    page.gauge("slipway_routes", "Servers and services that can be reached now.")
        .sample(&[], sources.routes.current().len() as u64);
}

fn servers(page: &mut Page, spawner: &Spawner) {
    let figures = spawner.figures();
    page.gauge("slipway_servers", "Servers by state.")
        .sample(&[("state", "ready")], figures.ready)
        .sample(&[("state", "starting")], figures.starting)
        .sample(&[("state", "stopping")], figures.stopping);
    page.histogram("slipway_server_start_duration_seconds", "From the wish to the first answer, or to its failure.")
        .durations(&[("result", "ready")], &figures.started)
        .durations(&[("result", "failed")], &figures.failed)
        .durations(&[("result", "cancelled")], &figures.cancelled);
    page.counter("slipway_server_starts_refused_total", "Starts refused because too many were under way.")
        .sample(&[], figures.refused);
    page.counter("slipway_servers_died_total", "Servers that ended by themselves.").sample(&[], figures.died);
    let idle = spawner.idle_figures();
    page.counter("slipway_idle_servers_stopped_total", "Servers stopped because nobody used them, or for their age.")
        .sample(&[("reason", "idle")], idle.stopped_idle)
        .sample(&[("reason", "age")], idle.stopped_age);
    page.counter("slipway_idle_warnings_total", "Owners told that their server is going to be stopped.")
        .sample(&[], idle.warned);
    page.counter("slipway_idle_extensions_total", "Deadlines put off.").sample(&[], idle.extended);
    let totals = spawner.usage_totals();
    page.gauge("slipway_servers_measured", "Servers of which it is known what they use.").sample(&[], totals.servers);
    page.gauge("slipway_servers_cpu_cores", "Cores in use by all servers of which it is known.")
        .exact(&[], totals.cpu_cores);
    page.gauge(
        "slipway_servers_memory_bytes",
        "Memory in use by all servers of which it is known, without file caches.",
    )
    .sample(&[], totals.memory_bytes);
    if let Some(bytes) = totals.layer_bytes {
        page.gauge("slipway_servers_written_bytes", "What servers have written beside their volumes.")
            .sample(&[], bytes);
    }
    page.gauge("jupyterhub_running_servers", "Servers that are ready.").sample(&[], figures.ready);
    page.histogram("jupyterhub_server_spawn_duration_seconds", "How long starts took.")
        .durations(&[("status", "success")], &figures.started)
        .durations(&[("status", "failure")], &figures.failed);
    page.histogram("jupyterhub_server_stop_seconds", "How long stops took.")
        .durations(&[("status", "success")], &figures.stopped);
}

/// What is not known has no line.
fn host(page: &mut Page, facts: &HostFacts) {
    if let Some(cores) = facts.cores {
        page.gauge("slipway_host_cores", "Processors of the host.").sample(&[], cores as u64);
    }
    if let Some(busy) = facts.busy {
        page.gauge("slipway_host_cpu_busy_ratio", "How busy they are: 0 to 1.").exact(&[], busy);
    }
    if let Some(load) = facts.load {
        page.gauge("slipway_host_load_1m", "How many of them were wanted on average in the last minute.")
            .exact(&[], load);
    }
    if let Some(memory) = facts.memory {
        page.gauge("slipway_host_memory_bytes", "The host's memory.")
            .sample(&[("state", "used")], memory.used_bytes)
            .sample(&[("state", "free")], memory.total_bytes - memory.used_bytes);
    }
    let engine = facts.engine_disk.as_ref().map(|disk| disk.filled);
    let disks = [("data", facts.disk), ("engine", engine)];
    let known = disks.into_iter().filter_map(|(disk, filled)| Some((disk, filled?)));
    known.fold(
        page.gauge("slipway_host_disk_bytes", "Disks of Slipway's data and of the engine."),
        |family, (disk, filled)| {
            family
                .sample(&[("disk", disk), ("state", "used")], filled.used_bytes)
                .sample(&[("disk", disk), ("state", "free")], filled.total_bytes - filled.used_bytes)
        },
    );
}

fn people(page: &mut Page, auth: &Auth) {
    let figures = auth.figures();
    page.gauge("slipway_users", "Accounts.")
        .sample(&[("state", "authorised")], figures.users - figures.waiting_users)
        .sample(&[("state", "waiting")], figures.waiting_users);
    page.gauge("slipway_sessions", "Browser sign-ins that are alive.").sample(&[], figures.sessions);
    page.gauge("slipway_tokens", "Tokens that are alive.").sample(&[], figures.tokens);
    let help = "Sign-ins with a password by result, with the wait for their turn.";
    figures.sign_ins.iter().fold(page.histogram("slipway_sign_in_duration_seconds", help), |family, (result, took)| {
        family.durations(&[("result", result)], took)
    });
    let of = |is_wanted: fn(&str) -> bool| {
        let wanted = figures.sign_ins.iter().filter(|(result, _)| is_wanted(result));
        wanted.fold(Durations::default(), |sum, (_, took)| sum.plus(took.clone()))
    };
    page.histogram("jupyterhub_login_duration_seconds", "How long sign-ins took.")
        .durations(&[("status", "success")], &of(|result| result == "ok"))
        .durations(&[("status", "failure")], &of(|result| result != "ok"));
    page.gauge("jupyterhub_total_users", "Accounts.").sample(&[], figures.users);
    figures
        .active_users
        .iter()
        .fold(page.gauge("jupyterhub_active_users", "Who was here within a period."), |family, (period, count)| {
            family.sample(&[("period", period)], *count)
        });
}

fn store(page: &mut Page, store: &Store) {
    let figures = store.figures();
    page.histogram("slipway_store_commit_duration_seconds", "Commits, with their wait for the disk.")
        .durations(&[("result", "ok")], &figures.commits)
        .durations(&[("result", "refused")], &figures.refused);
}

#[expect(clippy::cast_precision_loss, reason = "a time of this age is exact")]
fn copies(page: &mut Page, copier: &Copier) {
    let figures = copier.figures();
    let help = "When the newest copy of the store was made, in seconds since 1970; 0: there is none.";
    let last_s = figures.last_at.map_or(0.0, |at| at.0 as f64 / 1000.0);
    page.gauge("slipway_backup_last_success_timestamp_seconds", help).exact(&[], last_s);
    page.counter("slipway_backup_failures_total", "Copies of the store that could not be made.")
        .sample(&[], figures.failures);
}
