//! The certificate that Slipway makes for itself when an operator has given none.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};

use super::pairs::{Pair, match_pairs, read_folder};
use crate::model::Timestamp;

/// How long it is good for. 397 days: what browsers take at most.
const VALID_FOR: Duration = Duration::from_secs(397 * 24 * 3600);
/// It is made anew this long before its end, so that a machine that is off for a month comes back to a good one.
const RENEW_BEFORE_END: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// The folder could not be read or written.
    #[error("{path} could not be read or written")]
    Files {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The library refused.
    #[error("the certificate could not be signed")]
    Sign(#[from] rcgen::Error),
    /// What was just written is not there.
    #[error("the certificate in {path} cannot be read back")]
    Lost {
        /// Which folder.
        path: PathBuf,
    },
}

/// True if a pair made earlier is still to be served.
pub(super) fn is_fresh(pair: &Pair, host_name: &str, now: Timestamp) -> bool {
    let lasts = pair.ends_at.0 - i64::try_from(RENEW_BEFORE_END.as_millis()).unwrap_or(i64::MAX) > now.0;
    // A clock that was set back must not leave us with a certificate of the future.
    let has_begun = pair.starts_at <= now;
    lasts && has_begun && pair.covers_name("localhost") && pair.covers_name(host_name)
}

/// The kept pair if it is fresh, else a new one, written to `folder` (0700; the key 0600).
pub(super) fn load_or_make(folder: &Path, host_name: &str, now: Timestamp) -> Result<Pair, SelfSignedError> {
    if let Some(pair) = load(folder)?.filter(|pair| is_fresh(pair, host_name, now)) {
        return Ok(pair);
    }
    make(folder, host_name, now)?;
    load(folder)?.ok_or_else(|| SelfSignedError::Lost { path: folder.to_owned() })
}

fn load(folder: &Path) -> Result<Option<Pair>, SelfSignedError> {
    let files = read_folder(folder).map_err(|cause| SelfSignedError::Files { path: folder.to_owned(), cause })?;
    let found = match_pairs(&files, &rustls::crypto::aws_lc_rs::default_provider());
    Ok(found.pairs.into_iter().max_by_key(|pair| pair.ends_at))
}

fn make(folder: &Path, host_name: &str, now: Timestamp) -> Result<(), SelfSignedError> {
    let key = KeyPair::generate()?; // P-256
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, "Slipway");
    // A day early: the other side's clock may be behind.
    let ((y, m, d), (end_y, end_m, end_d)) = (date_of(now, -1), date_of(now.plus(VALID_FOR), 0));
    parameters.not_before = rcgen::date_time_ymd(y, m, d);
    parameters.not_after = rcgen::date_time_ymd(end_y, end_m, end_d);
    parameters.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    if host_name != "localhost" {
        parameters.subject_alt_names.push(SanType::DnsName(host_name.try_into()?));
    }
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = parameters.self_signed(&key)?;

    let files_error = |path: &Path, cause| SelfSignedError::Files { path: path.to_owned(), cause };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(|cause| files_error(folder, cause))?;
    // The key first: a crash in between leaves a certificate without its key, which is made anew.
    for (name, mode, content) in [("key.pem", 0o600, key.serialize_pem()), ("cert.pem", 0o644, certificate.pem())] {
        let path = folder.join(name);
        write_whole(&path, mode, &content).map_err(|cause| files_error(&path, cause))?;
    }
    Ok(())
}

/// Writes beside the file and renames: nobody ever sees half of it.
fn write_whole(path: &Path, mode: u32, content: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new~");
    // One left by a crash may have other rights; `mode` counts only for a new file.
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

/// Year, month and day of `moment`, moved by some days.
fn date_of(moment: Timestamp, days_later: i64) -> (i32, u8, u8) {
    let seconds = moment.0.div_euclid(1000).saturating_add(days_later * 86_400);
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let date = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}
