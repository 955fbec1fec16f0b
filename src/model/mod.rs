//! The words: names, ids, secrets, paths, routes, server states and the clock.
//!
//! No I/O and no async work happens here, so every other module may import it. A value of one of these types
//! has been checked once, at the rim, and is trusted inside.

mod activity_score;
mod actor;
mod audit_kind;
mod causes;
mod clock;
mod exchange;
mod gpu;
mod grants;
mod handle;
mod handshake;
mod hosts;
mod id;
mod idle;
mod labels;
mod live;
mod name;
mod network;
mod notice;
mod owner;
mod path;
mod profile;
mod route;
mod scope;
mod secret;
mod server;
mod server_options;
mod service;
mod slots;
mod tally;
mod trace;
mod visit;
mod volume;

pub use activity_score::{ActivityLevel, ActivityScore};
pub use actor::Actor;
pub use audit_kind::AuditKind;
pub use causes::with_causes;
pub use clock::{Clock, SystemClock, Timestamp};
pub use exchange::{Aim, Asked, Exchange, Trail};
pub use gpu::GpuHeld;
pub use grants::{
    CpuGrant, DockerGrant, DraftVariable, DraftVolume, Effective, EnvironmentGrant, GpuDevices, GpuGrant, GrantNote,
    GrantProblem, GrantRules, Granted, GrantedGpu, GrantedMemory, GrantedVariable, Grants, GrantsDraft, GroupGrants,
    IdleGrant, MemoryGrant, MountPoint, SHARED_MOUNT, SharedGrant, VariableName, VolumeGrant, VolumeName, VolumesGrant,
    merge, merge_idle,
};
pub use handle::Handle;
pub use handshake::{ClientCertificate, ClientCertificateRule, Handshake, TlsFacts};
pub use hosts::UserHosts;
pub use id::{Generation, InstanceId};
pub use idle::{
    ActivitySource, ClockReading, Extension, GrantedIdle, IdleEnd, IdleExtension, IdleRules, IdleSpan, IdleView,
    IdleWarning, IdleWhy, LastSeen, Observed, Switches,
};
pub use labels::{GroupName, RoleName, ServiceName, ShareCodeId};
pub use live::{Live, Reading};
pub use name::{
    BasePath, NameError, ServerKey, ServerName, UserName, docker_escape, percent_encode, percent_encode_keeping_slash,
};
pub use network::{Network, UNIX_PEER};
pub use notice::{AutoClose, NOTICE_LIMIT, Notice, NoticeKind, NoticeText, NoticeTextError, Undelivered};
pub use owner::{OAuthClient, OwnerName, ShareWith};
pub use path::{NormalPath, PathError, ServerPath, ServicePath};
pub use profile::{ProfileError, UserProfile};
pub use route::{Route, RouteTable, RouteTarget, Routes, Upstream, UpstreamAddress};
pub use scope::{Filter, Scope, ScopeError, ScopeName};
pub use secret::{OtpSecret, Random, SESSION_COOKIE_STEM, Secret, SessionKey, StoredToken, TokenId, same_secret};
pub use server::{Failure, Phase, ServerState, ServerStatus, Unreachable};
pub use server_options::{DisplayName, OptionsError, ServerOptions};
pub use service::ServiceConfig;
pub use slots::{SLOT_MS, SLOTS, Slot, SlotBits, SlotSeries};
pub use tally::{BOUNDS_MS, Count, Durations, PerThread, Timing, thread_number};
pub use trace::{TraceContext, TraceParent};
pub use visit::{Door, Protocol, Security, Visit, is_navigation, prefers_html};
pub use volume::VolumeStem;
