//! Notices to running servers as the platform before us wrote them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hub::notices::{Sent, SentState};
use crate::model::NoticeKind;
use crate::store::DeliveryRow;

/// What is sent, and to whom.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = BroadcastWish, example = json!({
    "message": "Maintenance at 18:00. Save your work.", "variant": "warning", "autoClose": false, "recipients": ["alice"]
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct BroadcastWish {
    /// What is said: 1 to 140 characters (code points) without the blanks around it.
    #[serde(default)]
    #[schema(required, min_length = 1, nullable = false)]
    pub(in crate::hub::api) message: Option<String>,
    /// How it looks; `info` if nothing is said.
    #[serde(default)]
    pub(in crate::hub::api) variant: Option<NoticeWord>,
    /// After how many milliseconds it goes by itself (a day at most; 0: it is only listed), `false` for never, `true`
    /// for 5,000; never if nothing is said.
    #[serde(default, rename = "autoClose")]
    pub(in crate::hub::api) auto_close: Option<AutoCloseWish>,
    /// To these users alone; others than ours are left out. Everybody whose server runs if nothing is said.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 10_000)]
    pub(in crate::hub::api) recipients: Option<Vec<String>>,
}

/// How a notice looks.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = NoticeVariant)]
#[serde(rename_all = "kebab-case")]
pub(in crate::hub) enum NoticeWord {
    Default,
    Info,
    Success,
    Warning,
    Error,
    InProgress,
}

impl From<NoticeWord> for NoticeKind {
    fn from(word: NoticeWord) -> Self {
        match word {
            NoticeWord::Default => Self::Default,
            NoticeWord::Info => Self::Info,
            NoticeWord::Success => Self::Success,
            NoticeWord::Warning => Self::Warning,
            NoticeWord::Error => Self::Error,
            NoticeWord::InProgress => Self::InProgress,
        }
    }
}

impl From<NoticeKind> for NoticeWord {
    fn from(kind: NoticeKind) -> Self {
        match kind {
            NoticeKind::Default => Self::Default,
            NoticeKind::Info => Self::Info,
            NoticeKind::Success => Self::Success,
            NoticeKind::Warning => Self::Warning,
            NoticeKind::Error => Self::Error,
            NoticeKind::InProgress => Self::InProgress,
        }
    }
}

/// When a notice goes by itself.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[schema(as = AutoClose)]
#[serde(untagged)]
pub(in crate::hub) enum AutoCloseWish {
    /// Never, or JupyterLab's usual time.
    Flag(bool),
    /// After so many milliseconds.
    Milliseconds(u64),
}

/// What became of a broadcast.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BroadcastResult, example = json!({
    "total": 2, "successful": 1, "failed": 1,
    "details": [
        { "username": "bob", "status": "failed", "error": "The server did not answer within 5 s" },
        { "username": "alice", "status": "success" }
    ]
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct BroadcastResultModel {
    /// Servers that it was for.
    pub(in crate::hub::api) total: usize,
    /// Those which have it.
    pub(in crate::hub::api) successful: usize,
    /// Those which have not.
    pub(in crate::hub::api) failed: usize,
    /// Each of them, failures first.
    pub(in crate::hub::api) details: Vec<DeliveryModel>,
    /// Said when no server was meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::hub::api) message: Option<&'static str>,
}

impl BroadcastResultModel {
    /// Of these results.
    pub(in crate::hub::api) fn of(mut results: Vec<DeliveryRow>) -> Self {
        crate::hub::notices::sort(&mut results);
        let successful = results.iter().filter(|result| result.failure.is_none()).count();
        Self {
            total: results.len(),
            successful,
            failed: results.len() - successful,
            details: results.iter().map(DeliveryModel::of).collect(),
            message: None,
        }
    }

    /// Nobody was meant.
    pub(in crate::hub::api) fn nobody() -> Self {
        Self { message: Some("No active servers found"), ..Self::of(Vec::new()) }
    }
}

/// What became of a broadcast at one server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery, example = json!({ "username": "alice", "status": "success" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct DeliveryModel {
    /// Whose server.
    username: String,
    /// Which, if it is one with a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    server: Option<String>,
    /// Whether it has the notice.
    status: DeliveryWord,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

impl DeliveryModel {
    fn of(row: &DeliveryRow) -> Self {
        Self {
            username: row.server.user.to_string(),
            server: (!row.server.name.is_default()).then(|| row.server.name.as_str().to_owned()),
            status: if row.failure.is_none() { DeliveryWord::Success } else { DeliveryWord::Failed },
            error: row.failure.as_ref().map(ToString::to_string),
        }
    }
}

/// Whether a server has a notice.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::hub) enum DeliveryWord {
    Success,
    Failed,
}

/// Whose default servers run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActiveServers, example = json!({ "servers": [{ "username": "alice" }] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ActiveServersModel {
    /// In order of name; those on their way, too.
    pub(in crate::hub::api) servers: Vec<ActiveServerModel>,
}

/// Somebody whose server runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActiveServer, example = json!({ "username": "alice" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ActiveServerModel {
    /// Whose.
    pub(in crate::hub::api) username: String,
}

/// What was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SentNotices, example = json!({ "notifications": [{
    "id": 7, "message": "Back at 5", "type": "info", "sentISO": "2026-11-22T02:07:07.732000Z", "delivered": 3, "total": 4
}] }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SentNoticesModel {
    /// The newest 100, newest first.
    pub(in crate::hub::api) notifications: Vec<SentNoticeModel>,
}

/// A notice that was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SentNotice, example = json!({
    "id": 7, "message": "Back at 5", "type": "info", "sentISO": "2026-11-22T02:07:07.732000Z", "delivered": 3, "total": 4
}))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SentNoticeModel {
    /// Never used again.
    id: u64,
    /// What was said.
    message: String,
    /// How it looked.
    #[serde(rename = "type")]
    kind: NoticeWord,
    /// When.
    #[serde(rename = "sentISO")]
    #[schema(format = DateTime)]
    sent_iso: String,
    /// How many servers have it.
    delivered: usize,
    /// For how many it was.
    total: usize,
}

impl SentNoticeModel {
    /// Of a notice in the history.
    pub(in crate::hub::api) fn of(sent: Sent) -> Self {
        let row = sent.row;
        Self {
            id: row.id.0,
            message: row.message.as_str().to_owned(),
            kind: row.kind.into(),
            sent_iso: row.sent_at.to_iso(),
            delivered: row.delivered,
            total: row.total,
        }
    }
}

/// A notice that was sent, and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SentNoticeProgress, example = json!({ "delivered": 3, "failed": 1, "total": 9, "state": "under-way" }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct SentProgressModel {
    /// How many servers have it.
    delivered: usize,
    /// How many have not got it and will not; of more than a thousand only those that are kept count.
    failed: usize,
    /// For how many it is.
    total: usize,
    /// How far it has come.
    state: SentStateWord,
}

/// How far a notice has come.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = SentState)]
#[serde(rename_all = "kebab-case")]
pub(in crate::hub) enum SentStateWord {
    UnderWay,
    Over,
    Interrupted,
}

impl SentProgressModel {
    /// Of a notice in the history.
    pub(in crate::hub::api) fn of(sent: &Sent) -> Self {
        let failed = sent.row.deliveries.iter().filter(|delivery| delivery.failure.is_some()).count();
        let state = match sent.state {
            SentState::UnderWay => SentStateWord::UnderWay,
            SentState::Over => SentStateWord::Over,
            SentState::Interrupted => SentStateWord::Interrupted,
        };
        Self { delivered: sent.row.delivered, failed, total: sent.row.total, state }
    }
}

/// How many were forgotten.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cleared, example = json!({ "cleared": 3 }))]
#[serde(deny_unknown_fields)]
pub(in crate::hub) struct ClearedModel {
    pub(in crate::hub::api) cleared: u64,
}
