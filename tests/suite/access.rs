//! Every route × every kind of caller × every way to send it: the status is the table's, or the test fails.

use bytes::Bytes;
use http::Method;

use crate::client::{Client, Wire};
use crate::fake::FakeService;
use crate::world::{World, route_key};

/// The kinds of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Nobody we know.
    Nobody,
    /// A cookie and a token that we never gave out.
    Forger,
    /// A session that has been signed out.
    SignedOut,
    /// Another user.
    Stranger,
    /// The owner of the server.
    Owner,
    /// An administrator.
    Administrator,
    /// The API token of the owner's own server.
    ServerToken,
    /// The API token of a stranger's server.
    StrangersServerToken,
}

impl Who {
    const ALL: [Self; 8] = [
        Self::Nobody,
        Self::Forger,
        Self::SignedOut,
        Self::Stranger,
        Self::Owner,
        Self::Administrator,
        Self::ServerToken,
        Self::StrangersServerToken,
    ];
}

struct Callers(Vec<(Who, Client)>);

impl Callers {
    async fn in_world(world: &World) -> Self {
        let owner = world.user_with_server("alice").await;
        let stranger = world.user_with_server("bob").await;
        let administrator = world.admin("root").await;
        let signed_out = world.user("carol").await;
        signed_out.get("/hub/logout").await.is(302);
        let token_of = |name: &str| world.backend.environment_of(name)["JUPYTERHUB_API_TOKEN"].clone();
        let with_token = |token: &str| world.client().with("authorization", &format!("token {token}"));
        let mut forger = world.client().with("authorization", "Bearer 0123456789abcdef0123456789abcdef");
        forger.cookies = owner.cookies.iter().map(|(name, _)| (name.clone(), "A".repeat(43))).collect();
        Self(vec![
            (Who::Nobody, world.client()),
            (Who::Forger, forger),
            (Who::SignedOut, signed_out.scripting()),
            (Who::Stranger, stranger.scripting()),
            (Who::Owner, owner.scripting()),
            (Who::Administrator, administrator.scripting()),
            (Who::ServerToken, with_token(&token_of("alice"))),
            (Who::StrangersServerToken, with_token(&token_of("bob"))),
        ])
    }

    fn client(&self, who: Who) -> &Client {
        &self.0.iter().find(|(known, _)| *known == who).expect("every caller is there").1
    }
}

/// The status for each caller, in the order of `Who::ALL`.
type Row = (&'static str, &'static str, &'static str, [u16; 8]);

/// What a browser's address line or link sends (`nav`), what a script sends (`api`), and what each gets.
const TABLE: &[Row] = &[
    // how   method  path                                   nobody forger out stranger owner admin token other's token
    ("api", "GET", "/user/alice/lab", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("api", "POST", "/user/alice/api/kernels", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("api", "PUT", "/user/alice/x", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("api", "PATCH", "/user/alice/x", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("api", "DELETE", "/user/alice/x", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("api", "OPTIONS", "/user/alice/x", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("nav", "GET", "/user/alice/lab", [302, 302, 302, 404, 200, 200, 200, 404]),
    ("api", "GET", "/user/nobody/lab", [403, 403, 403, 404, 404, 404, 404, 404]),
    ("nav", "GET", "/user/nobody/lab", [302, 302, 302, 404, 404, 404, 404, 404]),
    ("api", "GET", "/user/alice/../bob/lab", [400, 400, 400, 400, 400, 400, 400, 400]),
    ("api", "GET", "/user%2Falice/lab", [400, 400, 400, 400, 400, 400, 400, 400]),
    ("api", "GET", "//user/alice/lab", [400, 400, 400, 400, 400, 400, 400, 400]),
    // A service asks its callers by itself who they are.
    ("nav", "GET", "/services/x/a", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/services/x/a", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/services/x/a", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "DELETE", "/services/x/hub/api", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/services/x", [301, 301, 301, 301, 301, 301, 301, 301]),
    ("nav", "GET", "/services/nobody/a", [302, 302, 302, 302, 302, 302, 302, 302]),
    ("nav", "GET", "/services/dead/a", [503, 503, 503, 503, 503, 503, 503, 503]),
    ("api", "GET", "/services/dead/a", [503, 503, 503, 503, 503, 503, 503, 503]),
    ("api", "GET", "/services/x/../../hub/home", [400, 400, 400, 400, 400, 400, 400, 400]),
    // Routes beyond users: the path decides, the access is the router's. A server's own token opens none of them.
    ("nav", "GET", "/r-public/a", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/r-public/a", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/r-user/a", [302, 302, 302, 200, 200, 200, 403, 403]),
    ("api", "GET", "/r-user/a", [403, 403, 403, 200, 200, 200, 403, 403]),
    ("api", "POST", "/r-user/a", [403, 403, 403, 200, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/r-user/a", [403, 403, 403, 200, 200, 200, 403, 403]),
    ("nav", "GET", "/r-admin/a", [302, 302, 302, 403, 403, 200, 403, 403]),
    ("api", "DELETE", "/r-admin/a", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("nav", "GET", "/r-group/a", [302, 302, 302, 403, 403, 200, 403, 403]),
    ("nav", "GET", "/r-user/../hub/home", [400, 400, 400, 400, 400, 400, 400, 400]),
    ("nav", "GET", "/hub/routes", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "GET", "/hub/api/routes", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/routes", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/login", [200, 200, 200, 302, 302, 302, 200, 200]),
    ("nav", "GET", "/hub/home", [302, 302, 302, 200, 200, 200, 302, 302]),
    ("api", "POST", "/hub/home", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/token", [302, 302, 302, 200, 200, 200, 302, 302]),
    ("api", "POST", "/hub/token", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/token/revoke/a1", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "POST", "/hub/token/revoke/a1", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/accept-share", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "POST", "/hub/accept-share", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/delete-server/alice/gpu", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "POST", "/hub/delete-server/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/security/csp-report", [403, 403, 403, 200, 200, 200, 403, 403]),
    ("nav", "GET", "/hub/change-password", [302, 302, 302, 200, 200, 200, 302, 302]),
    ("nav", "GET", "/hub/spawn/alice", [302, 302, 302, 404, 302, 302, 302, 302]),
    ("nav", "GET", "/hub/spawn-pending/alice", [302, 302, 302, 404, 302, 302, 302, 302]),
    ("nav", "GET", "/hub/spawn-pending/nobody", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "GET", "/hub/health", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/user", [403, 403, 403, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "GET", "/hub/api/users/alice", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("api", "POST", "/hub/api/users/alice/server", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/server", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "GET", "/hub/api/nothing", [404, 404, 404, 404, 404, 404, 404, 404]),
    ("nav", "GET", "/hub/audit", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "POST", "/hub/audit/check", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/settings", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "GET", "/hub/api/audit", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "GET", "/hub/api/settings", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/audit", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "OPTIONS", "/hub/api/settings", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/restart/alice", [302, 302, 302, 404, 200, 200, 302, 302]),
    ("api", "POST", "/hub/restart/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/restart/alice/gpu", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "POST", "/hub/restart/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/api/users/alice/restart-server", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/restart-server", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/server/restart", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/server/restart", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/servers/gpu/restart", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/gpu/restart", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/server/logs", [403, 403, 403, 403, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/server/logs", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/servers/gpu/logs", [403, 403, 403, 403, 404, 404, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/gpu/logs", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/lab-ready", [403, 403, 403, 403, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/lab-ready", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/server/lab-ready", [403, 403, 403, 403, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/server/lab-ready", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/servers/gpu/lab-ready", [403, 403, 403, 403, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/gpu/lab-ready", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/account", [302, 302, 302, 200, 200, 200, 302, 302]),
    ("api", "POST", "/hub/account", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/account/sign-out", [302, 302, 302, 200, 200, 200, 302, 302]),
    ("api", "POST", "/hub/account/sign-out", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/account/sign-out/a1", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "POST", "/hub/account/sign-out/a1", [403, 403, 403, 403, 403, 403, 403, 403]),
    // A stream without an end is no row: `live.rs` opens it.
    ("api", "GET", "/hub/api/live", [403, 403, 403, 400, 400, 400, 403, 403]),
    ("api", "OPTIONS", "/hub/api/live", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/change-password/alice", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "POST", "/hub/change-password/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "GET", "/hub/api/users/alice/profile", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "PUT", "/hub/api/users/alice/profile", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/profile", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/user-profiles", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/user-profiles", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/force-password-change", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/force-password-change", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/rename", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/rename", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/password", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/password", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/disable", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/disable", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/enable", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/enable", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/native-users", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/native-users", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/native-users/alice/authorization", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/native-users/alice/authorization", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/sessions", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/sessions", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/sessions", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "DELETE", "/hub/api/users/alice/sessions/x", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/sessions/x", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/admin/users/bulk", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/admin/users/bulk", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/admin", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("nav", "GET", "/hub/admin/new", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "POST", "/hub/admin/new", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/admin/ask", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/admin/do", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/admin/done/x", [302, 302, 302, 403, 403, 404, 302, 302]),
    ("nav", "GET", "/hub/admin/users/alice", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "POST", "/hub/admin/users/alice/rename", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/authorize", [302, 302, 302, 403, 403, 302, 302, 302]),
    ("nav", "GET", "/hub/authorize/alice", [302, 302, 302, 403, 403, 302, 302, 302]),
    ("api", "POST", "/hub/authorize/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/volumes", [302, 302, 302, 200, 200, 200, 302, 302]),
    ("nav", "GET", "/hub/volumes/alice", [302, 302, 302, 404, 200, 200, 302, 302]),
    ("nav", "GET", "/hub/volumes/alice/reset", [302, 302, 302, 404, 400, 400, 302, 302]),
    ("api", "POST", "/hub/volumes/alice/reset", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/volumes/alice/settle", [302, 302, 302, 403, 403, 400, 302, 302]),
    ("nav", "GET", "/hub/volumes/alice/settle?do=give", [302, 302, 302, 403, 403, 303, 302, 302]),
    ("api", "POST", "/hub/volumes/alice/settle", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "GET", "/hub/api/users/alice/manage-volumes", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/manage-volumes", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/manage-volumes", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/groups", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "POST", "/hub/groups", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/groups/docker-privileged", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("nav", "GET", "/hub/groups/x", [302, 302, 302, 403, 403, 404, 302, 302]),
    ("api", "POST", "/hub/groups/x", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/groups/x/members", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/groups/x/delete", [302, 302, 302, 403, 403, 404, 302, 302]),
    ("api", "POST", "/hub/groups/x/delete", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/grants", [302, 302, 302, 200, 200, 200, 302, 302]),
    ("nav", "GET", "/hub/grants/alice", [302, 302, 302, 404, 200, 200, 302, 302]),
    ("api", "GET", "/hub/api/users/alice/effective-grants", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("api", "OPTIONS", "/hub/api/users/alice/effective-grants", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/admin/groups", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/admin/groups", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/admin/groups/create", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/admin/groups/create", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/admin/groups/import", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/admin/groups/import", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/admin/groups/reorder", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/admin/groups/reorder", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "DELETE", "/hub/api/admin/groups/x/delete", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/admin/groups/x/delete", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/admin/groups/x/config", [403, 403, 403, 403, 403, 404, 403, 403]),
    ("api", "PUT", "/hub/api/admin/groups/x/config", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/admin/groups/x/config", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/notifications", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "POST", "/hub/notifications", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/notifications/a1", [302, 302, 302, 403, 403, 404, 302, 302]),
    ("nav", "GET", "/hub/notifications/clear", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "POST", "/hub/notifications/clear", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/api/notifications/broadcast", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/notifications/broadcast", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/notifications/active-servers", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/notifications/active-servers", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/notifications/sent", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "DELETE", "/hub/api/notifications/sent", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/notifications/sent", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/notifications/sent/a1", [403, 403, 403, 403, 403, 404, 403, 403]),
    ("api", "OPTIONS", "/hub/api/notifications/sent/a1", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/host", [302, 302, 302, 403, 403, 200, 302, 302]),
    ("api", "GET", "/hub/api/gpus", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/gpus", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/extend/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/extend/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "GET", "/hub/api/users/alice/session-info", [403, 403, 403, 403, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/session-info", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/extend-session", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/extend-session", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/servers/gpu/session-info", [403, 403, 403, 403, 404, 404, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/gpu/session-info", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/servers/gpu/extend-session", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/gpu/extend-session", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/activity", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/activity", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/activity/sample", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/activity/sample", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/activity/reset", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/activity/reset", [200, 200, 200, 200, 200, 200, 200, 200]),
    // The rest of the router. What changes something is refused to all: no form token comes along.
    ("api", "POST", "/hub/login", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/signup", [200, 200, 200, 303, 303, 303, 200, 200]),
    ("api", "POST", "/hub/signup", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/", [302, 302, 302, 302, 302, 302, 302, 302]),
    ("nav", "GET", "/hub", [301, 301, 301, 301, 301, 301, 301, 301]),
    ("api", "POST", "/hub/logout", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/change-password", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/spawn", [302, 302, 302, 302, 302, 302, 302, 302]),
    ("api", "POST", "/hub/spawn", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/spawn/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/spawn/alice/gpu", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "POST", "/hub/spawn/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/spawn-pending/alice/gpu", [302, 302, 302, 404, 404, 404, 302, 302]),
    ("api", "POST", "/hub/stop/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/stop/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("nav", "GET", "/hub/user-redirect/x", [302, 302, 302, 302, 302, 302, 302, 302]),
    ("nav", "GET", "/hub/api-docs", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/error/404", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/api/oauth2/authorize", [302, 302, 302, 400, 400, 400, 302, 302]),
    ("api", "POST", "/hub/api/oauth2/authorize", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "GET", "/hub/api/health", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/logo", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/favicon.ico", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("nav", "GET", "/hub/static/x", [404, 404, 404, 404, 404, 404, 404, 404]),
    ("nav", "GET", "/user/alice/x", [302, 302, 302, 404, 200, 200, 200, 404]),
    ("api", "POST", "/user/alice/x", [403, 403, 403, 404, 200, 200, 200, 404]),
    ("nav", "GET", "/hub/user/alice/x", [302, 302, 302, 404, 302, 302, 302, 404]),
    ("api", "POST", "/hub/user/alice/x", [403, 403, 403, 404, 503, 503, 503, 404]),
    ("api", "DELETE", "/hub/user/alice/x", [403, 403, 403, 404, 503, 503, 503, 404]),
    ("api", "PUT", "/hub/user/alice/x", [403, 403, 403, 404, 503, 503, 503, 404]),
    ("api", "PATCH", "/hub/user/alice/x", [403, 403, 403, 404, 503, 503, 503, 404]),
    ("api", "POST", "/hub/api/oauth2/token", [400, 400, 400, 400, 400, 400, 400, 400]),
    ("api", "OPTIONS", "/hub/api", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "OPTIONS", "/hub/api/", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/info", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "GET", "/hub/metrics", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("nav", "GET", "/hub/metrics", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "GET", "/hub/api/metrics", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/metrics", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/proxy", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "POST", "/hub/api/proxy", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "PATCH", "/hub/api/proxy", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/proxy", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/shutdown", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/shutdown", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "PUT", "/hub/api/users/alice/server", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "PATCH", "/hub/api/users/alice/server", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "GET", "/hub/api/users/alice/servers/", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "PUT", "/hub/api/users/alice/servers/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/api/users/alice/servers/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "PATCH", "/hub/api/users/alice/servers/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/servers/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/servers/gpu", [403, 403, 403, 404, 404, 404, 403, 403]),
    ("api", "PUT", "/hub/api/users/alice/servers/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/api/users/alice/servers/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "PATCH", "/hub/api/users/alice/servers/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/servers/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/gpu", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/servers/gpu/progress", [403, 403, 403, 404, 404, 404, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/servers/gpu/progress", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/services", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/services", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/services/x", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "POST", "/hub/api/services/x", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/services/x", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/services/x", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/shares/alice", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/shares/alice", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/shares/alice/", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "POST", "/hub/api/shares/alice/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "PATCH", "/hub/api/shares/alice/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/shares/alice/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/shares/alice/", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/shares/alice/gpu", [403, 403, 403, 404, 404, 404, 403, 403]),
    ("api", "POST", "/hub/api/shares/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "PATCH", "/hub/api/shares/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/shares/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/shares/alice/gpu", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/share-codes/alice", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/share-codes/alice", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/share-codes/alice/", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "POST", "/hub/api/share-codes/alice/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/share-codes/alice/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/share-codes/alice/", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/share-codes/alice/gpu", [403, 403, 403, 404, 404, 404, 403, 403]),
    ("api", "POST", "/hub/api/share-codes/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/share-codes/alice/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/share-codes/alice/gpu", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/shared", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/shared", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/shared/x/", [403, 403, 403, 404, 404, 404, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/shared/x/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/shared/x/", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/shared/x/gpu", [403, 403, 403, 404, 404, 404, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/shared/x/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/shared/x/gpu", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/groups/x/shared", [403, 403, 403, 403, 403, 404, 403, 403]),
    ("api", "OPTIONS", "/hub/api/groups/x/shared", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/groups/x/shared/x/", [403, 403, 403, 403, 403, 404, 403, 403]),
    ("api", "DELETE", "/hub/api/groups/x/shared/x/", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/groups/x/shared/x/", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/groups/x/shared/x/gpu", [403, 403, 403, 403, 403, 404, 403, 403]),
    ("api", "DELETE", "/hub/api/groups/x/shared/x/gpu", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/groups/x/shared/x/gpu", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/openapi.json", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "OPTIONS", "/hub/api/openapi.json", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "OPTIONS", "/hub/api/info", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "OPTIONS", "/hub/api/user", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "OPTIONS", "/hub/api/users", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "OPTIONS", "/hub/api/users/alice", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users/alice/activity", [403, 403, 403, 403, 403, 403, 400, 404]),
    ("api", "OPTIONS", "/hub/api/users/alice/activity", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/server", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/server", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/server/progress", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/server/progress", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/tokens", [403, 403, 403, 404, 200, 200, 403, 403]),
    ("api", "POST", "/hub/api/users/alice/tokens", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/tokens", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/users/alice/tokens/x", [403, 403, 403, 404, 404, 404, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice/tokens/x", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/tokens/x", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/users", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/api/users/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "PATCH", "/hub/api/users/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/users/alice", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "POST", "/hub/api/users/alice/admin-access", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/users/alice/admin-access", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/groups", [403, 403, 403, 403, 403, 200, 403, 403]),
    ("api", "POST", "/hub/api/groups", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/groups", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/groups/x", [403, 403, 403, 403, 403, 404, 403, 403]),
    ("api", "POST", "/hub/api/groups/x", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/groups/x", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/groups/x", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/groups/x/users", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "DELETE", "/hub/api/groups/x/users", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/groups/x/users", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "PUT", "/hub/api/groups/x/properties", [403, 403, 403, 403, 403, 403, 403, 403]),
    ("api", "OPTIONS", "/hub/api/groups/x/properties", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/authorizations/token/x", [403, 403, 403, 403, 403, 403, 404, 404]),
    ("api", "OPTIONS", "/hub/api/authorizations/token/x", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/authorizations/cookie/x/x", [403, 403, 403, 403, 403, 403, 404, 404]),
    ("api", "OPTIONS", "/hub/api/authorizations/cookie/x/x", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "POST", "/hub/api/authorizations/token", [404, 404, 404, 404, 404, 404, 404, 404]),
    ("api", "OPTIONS", "/hub/api/authorizations/token", [200, 200, 200, 200, 200, 200, 200, 200]),
    ("api", "GET", "/hub/api/x", [404, 404, 404, 404, 404, 404, 404, 404]),
    ("api", "POST", "/hub/api/x", [404, 404, 404, 404, 404, 404, 404, 404]),
    ("api", "DELETE", "/hub/api/x", [404, 404, 404, 404, 404, 404, 404, 404]),
    ("api", "PUT", "/hub/api/x", [404, 404, 404, 404, 404, 404, 404, 404]),
    ("api", "PATCH", "/hub/api/x", [404, 404, 404, 404, 404, 404, 404, 404]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_every_caller_as_the_table_says_on_both_protocols() {
    let service = FakeService::start("x").await;
    let services = format!(
        r#"[{{name="x", url="http://{}", api_token="0123456789abcdef"}}, {{name="dead", url="http://127.0.0.1:1", api_token="abcdef0123456789"}}]"#,
        service.address
    );
    let routes = ["public", "user", "admin", "group"].map(|kind| {
        let access = if kind == "group" { "group:nobodys" } else { kind };
        format!("    {kind}: {{rule: \"PathPrefix(`/r-{kind}`)\", service: x, access: \"{access}\"}}\n")
    });
    let routes = format!(
        "http:\n  routers:\n{}  services:\n    x: {{loadBalancer: {{servers: [{{url: \"http://{}\"}}]}}}}\n",
        routes.concat(),
        service.address
    );
    let (world, _target) = crate::routers::world_with(&routes, &[("SLIPWAY_SERVICES", &services)]).await;
    let callers = Callers::in_world(&world).await;
    let mut wrong = Vec::new();
    for (how, method, path, row) in TABLE {
        for (who, expected) in Who::ALL.into_iter().zip(row) {
            for wire in [Wire::Http1, Wire::Http2] {
                let mut client = callers.client(who).clone();
                if *how == "nav" {
                    client = client.navigating();
                }
                let method: Method = method.parse().expect("a method");
                let answer = client.send(wire, method.clone(), path, Bytes::new()).await;
                if answer.status.as_u16() != *expected {
                    wrong.push(format!(
                        "{how} {method} {path} as {who:?} over {wire:?}: {} instead of {expected}: {:.120}",
                        answer.status,
                        answer.text()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_checked_like_any_request() {
    let world = World::new().await;
    let callers = Callers::in_world(&world).await;
    for (who, expected) in Who::ALL.into_iter().zip([403, 403, 403, 404, 101, 101, 101, 404]) {
        let answer = callers.client(who).send(Wire::WebSocket, Method::GET, "/user/alice/ws", Bytes::new()).await;
        assert_eq!(answer.status.as_u16(), expected, "{who:?} over an upgrade: {}", answer.text());
        let expected = if expected == 101 { 200 } else { expected };
        let answer =
            callers.client(who).send(Wire::WebSocketOverHttp2, Method::CONNECT, "/user/alice/ws", Bytes::new()).await;
        assert_eq!(answer.status.as_u16(), expected, "{who:?} over extended CONNECT: {}", answer.text());
    }
    // Another site's page may not use the owner's session.
    let elsewhere = callers.client(Who::Owner).clone().with("origin", "https://evil.example");
    for wire in [Wire::WebSocket, Wire::WebSocketOverHttp2] {
        assert_eq!(elsewhere.send(wire, Method::GET, "/user/alice/ws", Bytes::new()).await.status, 403, "{wire:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_listener_serves_the_api_to_tokens_alone() {
    let world = World::new().await;
    let callers = Callers::in_world(&world).await;
    let cookies = callers.client(Who::Administrator).cookies.clone();
    let cookies: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    let cases = [
        ("/hub/api", "accept", "*/*", 200),
        ("/hub/api/user", "authorization", format!("token {token}").leak() as &str, 200),
        ("/hub/api/user", "cookie", cookies.join("; ").leak(), 403),
        ("/hub/login", "accept", "text/html", 404),
        ("/user/alice/lab", "authorization", format!("token {token}").leak(), 404),
        ("/", "accept", "text/html", 404),
    ];
    for (path, name, value, expected) in cases {
        let status = plain_http(world.app.private, path, name, value).await;
        assert_eq!(status, expected, "{path} with {name}");
    }
}

/// The status of one request in plain HTTP.
async fn plain_http(address: std::net::SocketAddr, path: &str, name: &str, value: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the private listener");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{name}: {value}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status in {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_sees_neither_our_session_nor_a_visitors_token() {
    let world = World::new().await;
    let callers = Callers::in_world(&world).await;
    let session = callers
        .client(Who::Owner)
        .cookies
        .iter()
        .find(|(name, _)| name.starts_with("__Host-Http-slipway"))
        .expect("a session")
        .clone();
    let mut owner = callers
        .client(Who::Owner)
        .clone()
        .with("x-forwarded-for", "6.6.6.6")
        .with("x_forwarded_for", "6.6.6.6")
        .with("forwarded", "for=6.6.6.6")
        .with("x-real-ip", "6.6.6.6")
        .with("x-scheme", "http");
    owner.cookies.push(("theme".into(), "dark".into()));
    let seen = owner.get("/user/alice/echo?q=1").await.is(200).json();
    let headers = &seen["headers"];
    assert!(!seen.to_string().contains(&session.1), "the session reached the server: {seen}");
    assert!(headers["cookie"].as_str().expect("other cookies pass").contains("theme=dark"), "{headers}");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-real-ip"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["host"], owner.host());
    assert!(
        headers["x-scheme"].is_null() && headers["forwarded"].is_null() && headers["x_forwarded_for"].is_null(),
        "{headers}"
    );
    assert_eq!(seen["target"], "/user/alice/echo?q=1");

    // The owner's own token passes; an administrator's is replaced by one for this server alone.
    let token = world.backend.environment_of("alice")["JUPYTERHUB_API_TOKEN"].clone();
    let seen = callers.client(Who::ServerToken).get("/user/alice/echo").await.is(200).json();
    assert_eq!(seen["headers"]["authorization"], format!("token {token}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_cannot_reach_beyond_its_own_path_with_headers() {
    let world = World::new().await;
    let owner = world.user_with_server("alice").await;
    let answer = owner.get("/user/alice/hostile").await.is(200);
    let cookies: Vec<_> =
        answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text").to_owned()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(
        cookies[0].starts_with("a=1") && cookies[0].contains("/user/alice/") && !cookies[0].contains("example.org"),
        "{cookies:?}"
    );
    assert!(cookies[1].contains("/user/alice/deep"), "{cookies:?}");
    for name in ["service-worker-allowed", "clear-site-data", "alt-svc", "cross-origin-opener-policy"] {
        assert!(answer.headers.get(name).is_none(), "{name} came through");
    }
    assert_ne!(answer.header("strict-transport-security"), "max-age=1");
}

/// A check on the checks: the fake servers do answer with whose they are.
#[tokio::test(flavor = "multi_thread")]
async fn two_users_get_two_servers() {
    let world = World::new().await;
    for name in ["alice", "bob"] {
        let browser = world.user_with_server(name).await;
        assert_eq!(browser.get(&format!("/user/{name}/x")).await.is(200).json()["secret_of"], name);
    }
    assert_eq!(world.backend.creates(), 2);
    assert!(world.app.routes.current().get(&route_key("alice")).is_some());
}

/// Routes whose callers are told apart elsewhere: asking here would end the sessions of all the other rows.
const ELSEWHERE: [(&str, &str); 1] = [("GET", "/hub/logout")];

/// The table knows every route of the hub, or this test fails.
#[test]
fn the_table_knows_every_route() {
    let is_known = |method: &str, path: &str| {
        TABLE.iter().any(|(_, m, p, _)| (*m, *p) == (method, path)) || ELSEWHERE.contains(&(method, path))
    };
    let mut missing = Vec::new();
    for route in crate::routes::routes() {
        for method in &route.methods {
            if !is_known(method, &route.path) {
                missing.push(format!("{method} {}", route.path));
            }
        }
    }
    assert!(missing.is_empty(), "no rows for:\n{}", missing.join("\n"));
}
