//! `{base}hub/host`: the state of the engine, the store, the certificates, the graphics processors and the host itself.
//! For administrators. Everything comes from samples taken in the background: the page waits for nobody.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Value;

use crate::auth::may_administer;
use crate::gpu::{EngineGives, Gpu, GpuProcess, Overview, Sight};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::Person;
use crate::hub::frame::Frame;
use crate::hub::host::{CertificateShown, Filled, HostFacts};
use crate::hub::pages::plot;
use crate::hub::templates::moment;
use crate::model::{GpuHeld, Slot, Timestamp};
use crate::spawner::UsageTotals;
use crate::store::HostHistoryRow;

/// Processes of one graphics processor that the page shows; the API has all.
const PROCESSES_SHOWN: usize = 8;
/// Names of a certificate that the page shows.
const NAMES_SHOWN: usize = 8;
/// A certificate that ends sooner is marked: as the log warns.
const SOON_DAYS: i64 = 14;
const DAY_MS: i64 = 86_400_000;

/// `GET {base}hub/host`
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    person: Person,
    frame: Frame,
) -> Result<Response, HubError> {
    if !may_administer(&person.as_caller()) {
        return Err(HubError::AdministratorsOnly);
    }
    let now = state.clock.now();
    let facts = (state.host_facts)();
    let checked = state.audit_check.last();
    let report = checked.as_ref().and_then(|checked| checked.report.as_ref());
    let page = context! {
        version => env!("CARGO_PKG_VERSION"),
        started => moment(state.started_at),
        facts => facts.as_ref().map(|facts| facts_of(facts, now)),
        audit => checked.as_ref().map(|checked| context! {
            at => moment(checked.at),
            rows => report.map(|report| report.rows),
            is_whole => report.map(|report| report.first_break.is_none()),
        }),
        gpus => gpus_of(&state.gpus.overview()),
        servers => servers_of(&state.spawner.usage_totals()),
    };
    frame.show(StatusCode::OK, "host.html", page)
}

pub(in crate::hub) fn facts_of(facts: &HostFacts, now: Timestamp) -> Value {
    let HostFacts {
        at, engine, store, certificates, cores, load, busy, memory, own, disk, engine_disk, history, ..
    } = facts;
    let plot = |series| plot::line(&plot::hours_of(series, now));
    let HostHistoryRow { processor, memory: of_memory, disk: of_disk, engine_disk: of_engine, gpu } = &**history;
    context! {
        at => moment(*at),
        engine => context! {
            name => &engine.name, version => &engine.version, problem => &engine.problem, since => moment(engine.since),
        },
        store => context! {
            path => &store.path,
            size => store.size_bytes.map(size),
            written => store.written_at.map(moment),
            copied => store.copied_at.map(moment),
            copy_problem => &store.copy_problem,
        },
        certificates => certificates.iter().map(|one| certificate_of(one, now)).collect::<Vec<_>>(),
        cores,
        load => load.map(|load| format!("{load:.1}")),
        busy_percent => busy.map(|share| (share * 100.0).round().clamp(0.0, 100.0) as u64),
        memory => memory.map(filled),
        own => context! { cores => own.cores.map(|cores| format!("{cores}")), memory => own.memory.map(filled) },
        disk => disk.map(filled),
        engine_disk => engine_disk.as_ref().map(|disk| context! {
            folder => &disk.folder, is_data_disk => disk.is_data_disk, ..filled(disk.filled)
        }),
        plots => context! {
            processor => plot(processor), memory => plot(of_memory), disk => plot(of_disk), engine_disk => plot(of_engine),
            gpu => plot(gpu),
        },
        gpu_percent => gpu.get(Slot(Slot::of(now).0 - 1)).map(|share| (share * 100.0).round() as u64),
    }
}

/// What all servers use together.
pub(in crate::hub) fn servers_of(totals: &UsageTotals) -> Value {
    context! {
        count => totals.servers,
        cpu => format!("{:.1}", totals.cpu_cores),
        memory => size(totals.memory_bytes),
        layer => totals.layer_bytes.map(size),
    }
}

pub(super) fn certificate_of(certificate: &CertificateShown, now: Timestamp) -> Value {
    let CertificateShown { names, file, is_self_signed, ends_at } = certificate;
    let days_left = (ends_at.0 - now.0).div_euclid(DAY_MS);
    context! {
        names => names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>(),
        more => names.len().saturating_sub(NAMES_SHOWN),
        file,
        is_self_signed,
        ends => moment(*ends_at),
        days_left,
        is_over => *ends_at <= now,
        // Ours are made anew by themselves.
        is_soon => !is_self_signed && days_left < SOON_DAYS,
    }
}

fn filled(filled: Filled) -> Value {
    let Filled { used_bytes, total_bytes } = filled;
    context! { used => size(used_bytes), total => size(total_bytes), percent => percent(used_bytes, total_bytes) }
}

pub(in crate::hub) fn gpus_of(overview: &Overview) -> Value {
    let Overview { enable, sight, is_fresh, engine_gives, leases, queue } = overview;
    let gpus: Vec<&Gpu> = sight.inventory().map(|inventory| inventory.gpus.iter().collect()).unwrap_or_default();
    let holders = |gpu: &Gpu| -> Vec<Value> {
        let has = |held: &GpuHeld| held.is_unseen || gpu.uuid.as_ref().is_some_and(|uuid| held.uuids.contains(uuid));
        let having = leases.iter().filter(|lease| has(&lease.held));
        having.map(|lease| context! { server => lease.server.to_string(), alone => lease.held.is_exclusive }).collect()
    };
    context! {
        setting => enable.word(),
        state => match sight {
            Sight::Nothing => "nothing",
            Sight::NoLibrary { .. } => "no-library",
            Sight::Failed { .. } => "failed",
            Sight::Seen(_) => "seen",
        },
        reason => match sight {
            Sight::Failed { reason, .. } => Some(reason),
            _ => None,
        },
        is_fresh,
        as_of => sight.inventory().map(|inventory| moment(inventory.at)),
        engine => match engine_gives {
            None => "unknown",
            Some(EngineGives::Nothing) => "nothing",
            Some(EngineGives::AllOrNothing) => "all",
            Some(EngineGives::Each) => "each",
        },
        list => gpus.into_iter().map(|gpu| gpu_of(gpu, holders(gpu))).collect::<Vec<_>>(),
        queue => queue.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }
}

fn gpu_of(gpu: &Gpu, holders: Vec<Value>) -> Value {
    let Gpu { index, name, uuid, memory_total_bytes, memory_used_bytes, utilisation_percent, temperature_c, .. } = gpu;
    let memory = memory_used_bytes.zip(*memory_total_bytes);
    let process = |process: &GpuProcess| {
        let GpuProcess { pid, name, memory_bytes } = process;
        // The program's own name says more on a page than where it lies.
        let program = name.as_ref().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
        context! { pid, program, path => name, memory => memory_bytes.map(size) }
    };
    let processes = gpu.processes.as_ref();
    context! {
        index,
        name,
        uuid,
        is_partitioned => gpu.is_partitioned == Some(true),
        memory => memory.map(|(used_bytes, total_bytes)| filled(Filled { used_bytes, total_bytes })),
        busy => utilisation_percent.map(|percent| percent.min(100)),
        temperature => temperature_c,
        processes => processes.map(|all| all.iter().take(PROCESSES_SHOWN).map(process).collect::<Vec<_>>()),
        processes_more => processes.map_or(0, |all| all.len().saturating_sub(PROCESSES_SHOWN)),
        holders,
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 { 0 } else { u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(100).min(100) }
}

/// A size for people: `12 KiB`, `1.5 GiB`.
pub(in crate::hub) fn size(bytes: u64) -> String {
    let mut number = bytes as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        // As it would be written: 1024 of one is 1 of the next.
        if number < 1023.5 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    if number >= 9.95 || unit == "bytes" { format!("{number:.0} {unit}") } else { format!("{number:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_said_with_two_digits_at_least() {
        let texts = [0, 900, 1024, 20 << 20, (3 << 30) / 2, 141 << 30, (1 << 40) - 1].map(size);
        assert_eq!(texts, ["0 bytes", "900 bytes", "1.0 KiB", "20 MiB", "1.5 GiB", "141 GiB", "1.0 TiB"]);
        assert_eq!((percent(1, 0), percent(3, 2), percent(1, 3)), (0, 100, 33));
    }

    #[test]
    fn a_certificate_is_marked_before_it_ends_and_ours_is_not() {
        let at = |days: i64, is_self_signed| {
            let names = vec!["example.org".to_owned()];
            let ends_at = Timestamp(days * DAY_MS + 1);
            certificate_of(&CertificateShown { names, file: "x.pem".into(), is_self_signed, ends_at }, Timestamp(0))
        };
        let is = |value: &Value, name: &str| value.get_attr(name).is_ok_and(|value| value.is_true());
        assert!(is(&at(13, false), "is_soon") && !is(&at(14, false), "is_soon") && !is(&at(3, true), "is_soon"));
        assert!(is(&at(-1, false), "is_over") && !is(&at(0, false), "is_over"));
    }
}
