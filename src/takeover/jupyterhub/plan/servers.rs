//! Servers: defined ones with their options, and running ones, which go on as they are.

use std::collections::{BTreeMap, HashSet};

use super::{Planner, key};
use crate::model::{DisplayName, Generation, Handle, ServerKey, ServerName, ServerOptions, UserName, VolumeStem};
use crate::store::{ServerRow, VolumesRow};
use crate::takeover::jupyterhub::old::{OldProgram, OldRunning, OldServer, Table};

/// How many images and profiles are named.
const NAMES_LIMIT: usize = 20;

impl Planner<'_> {
    pub(super) fn servers(&mut self) {
        let old = self.old;
        let mut seen = HashSet::new();
        for server in &old.servers {
            let subject = format!("{}/{}", self.name_there(server.user_id), server.name);
            let user = match self.owner(server.user_id) {
                Ok(user) => user,
                Err(reason) => {
                    self.give_way(Table::Spawners, server.user_id, &subject, reason);
                    continue;
                }
            };
            let name = match ServerName::parse(&server.name) {
                Ok(name) => name,
                Err(error) => {
                    self.not_taken(Table::Spawners, &subject, error.to_string());
                    continue;
                }
            };
            let server_key = ServerKey { user, name };
            if !seen.insert(server_key.clone()) {
                self.not_taken(Table::Spawners, &subject, "there is another one of that name");
                continue;
            }
            self.clients.insert(server_key.client_id(), server_key.clone());
            self.servers.insert(server.id, server_key.clone());
            self.server(server, server_key, &subject);
        }
        self.choices();
    }

    fn server(&mut self, server: &OldServer, server_key: ServerKey, subject: &str) {
        let taken_key = key(Table::Spawners, &[server_key.user.as_str(), server_key.name.as_str()]);
        let came_before = self.came_before(&taken_key);
        match self.ours.servers.get(&server_key) {
            None if came_before => {
                self.kept(Table::Spawners, subject, "it came in before, and has been deleted here since")
            }
            None => {
                self.taken(Table::Spawners, taken_key);
                self.new_server(server, server_key, subject);
            }
            // What kept it from running on may have been set right since the last run.
            Some(here) if here.generation == Generation(0) && !here.wanted => {
                let Some(handle) = self.handle(server, &server_key, subject) else {
                    self.tally(Table::Spawners).there += 1;
                    return;
                };
                let (wanted, generation, started_at) = (true, Generation(1), self.past(server.started));
                let row = ServerRow { handle: Some(handle), wanted, generation, started_at, ..here.clone() };
                self.taken(Table::Spawners, taken_key);
                self.volumes(&server_key.user);
                self.plan.servers.push(row);
            }
            Some(_) => self.tally(Table::Spawners).there += 1,
        }
    }

    fn new_server(&mut self, server: &OldServer, server_key: ServerKey, subject: &str) {
        let handle = self.handle(server, &server_key, subject);
        let options = server.options.clone().and_then(|options| match ServerOptions::parse(options) {
            Ok(options) => Some(options),
            Err(error) => {
                self.remark(Table::Spawners, subject, format!("comes in without its options: {error}"));
                None
            }
        });
        let display_name = server.display_name.as_deref().and_then(|name| DisplayName::parse(name).ok());
        self.volumes(&server_key.user);
        let was_used = handle.is_some() || options.is_some() || server.last_activity.is_some();
        if server_key.name.is_default() && !was_used {
            // JupyterHub has such a row for everybody who ever saw the home page.
            return;
        }
        let runs = handle.is_some();
        self.plan.servers.push(ServerRow {
            handle,
            wanted: runs,
            generation: Generation(u64::from(runs)),
            started_at: self.past(server.started).filter(|_| runs),
            last_activity: self.past(server.last_activity),
            display_name,
            options,
            ..ServerRow::new(server_key)
        });
    }

    /// By what the Docker backend finds the container, if it runs there and can run on here.
    fn handle(&mut self, server: &OldServer, server_key: &ServerKey, subject: &str) -> Option<Handle> {
        let running = server.running.as_ref()?;
        match self.check_running(server_key, running) {
            Ok(container) => {
                let path = running.base_url.clone();
                self.adopted.entry(server_key.user.clone()).or_default().push((server_key.clone(), path));
                // The container's own variables must name that user, so that a wrong id means nobody else's container.
                let user = self.name_there(server.user_id);
                Some(serde_json::json!({ "container": container, "adopted_from": user }).into())
            }
            Err(reason) => {
                self.remark(Table::Spawners, subject, format!("runs there, and does not run on here: {reason}"));
                None
            }
        }
    }

    fn check_running<'r>(&self, server_key: &ServerKey, running: &'r OldRunning) -> Result<&'r str, String> {
        let OldProgram::Container(container) = &running.what else {
            return Err("it is no container of DockerSpawner; stop it there, and start it here".into());
        };
        if !self.ours.settings.has_containers {
            return Err("servers are no containers here; set spawner.backend = \"docker\"".into());
        }
        let here = format!("{}/", server_key.route_key(&self.ours.settings.base));
        let there = percent_encoding::percent_decode_str(&running.base_url).decode_utf8_lossy();
        if there != here {
            return Err(format!(
                "it answers under {there:?}, not {here:?}; set hub.base_url to what c.JupyterHub.base_url was"
            ));
        }
        Ok(container)
    }

    /// Volumes of the account's name are its own: the other hub made them for this very person.
    fn volumes(&mut self, owner: &UserName) {
        if self.ours.volumes.contains(owner) || !self.volume_owners.insert(owner.clone()) {
            return;
        }
        let stem = VolumeStem::of(owner);
        if self.ours.stems.contains(&stem) {
            self.remark(
                Table::Users,
                owner.as_str(),
                "volumes of that name are another account's here; it gets others",
            );
            return;
        }
        self.plan.volumes.push(VolumesRow { owner: owner.clone(), stem });
    }

    /// What servers were started with there must be allowed here, or their owners choose anew.
    fn choices(&mut self) {
        for what in [ServerOptions::IMAGE, ServerOptions::PROFILE] {
            let mut names: BTreeMap<&str, u64> = BTreeMap::new();
            let options = self.plan.servers.iter().filter_map(|row| row.options.as_ref());
            for name in
                options.filter_map(|options| options.as_map().get(what)?.as_str()).filter(|name| !name.is_empty())
            {
                *names.entry(name).or_default() += 1;
            }
            let named: Vec<_> =
                names.iter().take(NAMES_LIMIT).map(|(name, count)| format!("{name:?} ({count})")).collect();
            if named.is_empty() {
                continue;
            }
            let cure = if what == ServerOptions::IMAGE { "spawner.allowed_images" } else { "[[spawner.profiles]]" };
            let more = if names.len() > NAMES_LIMIT { " and others" } else { "" };
            let note = format!(
                "Servers chose the {what} {}{more}: allow them with {cure}, or their owners choose another at the next start.",
                named.join(", ")
            );
            self.plan.notes.push(note);
        }
    }
}
