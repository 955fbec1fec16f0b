//! Servers as containers of a Docker engine.
//!
//! A container is ours if it carries our label *and* this installation's id; of the same name without them it is a
//! stranger's and never touched, but for those that a takeover has made ours (`adopted`). Containers go when their server stops; volumes stay.

mod adopted;
mod config;
mod engine;
mod extras;
mod image;
mod labels;
mod network;
mod own;
mod sizes;
mod spec;
mod stats;
mod tar;
mod volumes;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings,
    EventMessage,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RestartContainerOptionsBuilder, StartContainerOptions,
    StatsOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use serde::Deserialize;

pub use config::{Config, PullPolicy, SharedVolume, UserVolume};

use super::backend::{
    Backend, BackendError, EngineFacts, Exit, Found, LayerSize, Notice, Order, ProgressSink, Removal, Sight,
    UsageReading, Volume,
};
use crate::model::{Handle, InstanceId, Live, ServerKey, UpstreamAddress, VolumeStem};
use crate::tasks::Tasks;
use engine::{Engine, NAME, refused, status_of};
use image::Images;
use own::Own;

/// Making a container copies the image's home into a fresh volume: that may take long. The driver's own deadline is
/// the one that counts.
const CREATE_TIMEOUT: Duration = Duration::from_secs(300);
/// How often the create call is made: a user's volumes may lie within one another at several places, and at each the
/// engine may lose its race.
const CREATE_TRIES: u32 = 4;
/// Images whose user is remembered: people may name any where the administrator lets them.
const IMAGES_LIMIT: usize = 1_000;
/// One line of a log that we keep.
const LOG_LINE_LIMIT_BYTES: usize = 2_000;

/// A Docker engine.
pub struct DockerBackend {
    /// Its `network` is a network's name.
    config: Live<Config>,
    instance: InstanceId,
    engine: Engine,
    /// The container that we run in, if it is one of the engine's.
    own: Option<Own>,
    images: Images,
    /// Who each image's programs run as, once it has been looked at.
    image_users: Mutex<HashMap<String, String>>,
    /// Whose volumes we have seen to belong to which of those: only missing ones are looked at again.
    settled: Mutex<HashSet<(VolumeStem, String)>>,
}

impl DockerBackend {
    /// Connects, agrees on an API version, and looks whether we run in a container of this engine ourselves.
    ///
    /// # Errors
    /// If no engine answers on the socket, or if nothing tells which of several networks is the servers'.
    pub async fn connect(
        config: impl Into<Live<Config>>,
        instance: InstanceId,
        tasks: Tasks,
    ) -> Result<Self, BackendError> {
        let live: Live<Config> = config.into();
        let mut config = Config::clone(&live.read());
        let engine = Engine::connect(&config).await?;
        let own = own::find(&engine).await?;
        config.network = own::network(&engine, &config.network, own.as_ref()).await?;
        let images = Images::new(engine.clone(), Duration::from_secs(config.pull_timeout_s), tasks);
        live.publish(config);
        Ok(Self {
            config: live,
            instance,
            engine,
            own,
            images,
            image_users: Mutex::default(),
            settled: Mutex::default(),
        })
    }

    /// This host's address on the servers' network, which is made when missing: where `hub.bind = "auto"` listens.
    /// None on a network without a gateway.
    ///
    /// # Errors
    /// If the engine refuses or does not answer.
    pub async fn network_gateway(&self) -> Result<Option<IpAddr>, BackendError> {
        network::ensure(&self.engine, &self.config.read().network, &self.instance, self.own.is_some()).await
    }

    /// If we are in a container of the engine ourselves, the name by which servers find us on their network, which we
    /// join for it: one that stays when our container is replaced. The network must be there.
    ///
    /// # Errors
    /// If the engine refuses or does not answer.
    pub async fn own_name(&self) -> Result<Option<String>, BackendError> {
        match &self.own {
            Some(own) => own::join(&self.engine, own, &self.config.read().network).await,
            None => Ok(None),
        }
    }

    /// True if the image is on this host.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn has_image(&self) -> Result<bool, BackendError> {
        let config = self.config.snapshot();
        let look = self.engine.docker.inspect_image(&config.image);
        Ok(self.engine.look("look for the image", look).await?.is_some())
    }

    async fn inspect_name(&self, name: &str) -> Result<Option<ContainerInspectResponse>, BackendError> {
        let look = self.engine.docker.inspect_container(name, None::<InspectContainerOptions>);
        self.engine.look("look for the container", look).await
    }

    /// The create call; where it fails for a cause that we can remove or that passes, once more.
    async fn create_container(&self, name: &str, order: &Order) -> Result<String, BackendError> {
        let mut tries_left = CREATE_TRIES;
        let socket_group =
            if order.extras.docker_socket { Some(extras::socket_group(&self.config.read()).await?) } else { None };
        loop {
            let options = CreateContainerOptionsBuilder::default().name(name).build();
            let body = spec::container(&self.config.read(), &self.instance, order, socket_group);
            let create = self.engine.docker.create_container(Some(options), body);
            let result = tokio::time::timeout(CREATE_TIMEOUT, create).await.map_err(|_| BackendError::Slow {
                engine: NAME,
                act: "create the container",
                limit: CREATE_TIMEOUT,
            })?;
            let error = match result {
                Ok(created) => return Ok(created.id),
                Err(error) => error,
            };
            tries_left -= 1;
            match status_of(&error) {
                Some(409) if tries_left > 0 => self.clear_name(name, &order.server).await?,
                Some(404) if tries_left > 0 && error.to_string().contains("network") => {
                    network::ensure(&self.engine, &self.config.read().network, &self.instance, self.own.is_some())
                        .await?;
                }
                // Two containers were made at once of volumes that lie one within the other, and the engine lost its
                // own race for the folder between them. It is there now.
                Some(500) if tries_left > 0 && is_lost_race(&error.to_string()) => {}
                Some(404) if error.to_string().contains("No such image") => {
                    return Err(BackendError::ImageMissing {
                        image: spec::image_of(&self.config.read(), order).to_owned(),
                    });
                }
                _ => return Err(refused("create the container", error)),
            }
        }
    }

    async fn start_container(&self, id: &str) -> Result<(), BackendError> {
        let start = self.engine.docker.start_container(id, None::<StartContainerOptions>);
        self.engine.call_for(CREATE_TIMEOUT, "start the container", start).await
    }

    /// Removes what has the name, if it is ours and this server's: names of old servers may differ in case alone.
    async fn clear_name(&self, name: &str, server: &ServerKey) -> Result<(), BackendError> {
        let Some(there) = self.inspect_name(name).await? else { return Ok(()) };
        let labels = there.config.as_ref().and_then(|config| config.labels.as_ref());
        let owner = labels.and_then(|labels| labels::read(&self.instance, labels));
        let is_ours = owner.is_some_and(|(owner, _)| owner == *server);
        match there.id {
            Some(id) if is_ours => self.remove_by_id(&id).await,
            _ => Err(BackendError::Foreign { name: name.into() }),
        }
    }

    async fn remove_by_id(&self, id: &str) -> Result<(), BackendError> {
        // `v` removes the volumes without a name that the image asked for; named ones stay.
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let remove = async {
            match self.engine.docker.remove_container(id, Some(options)).await {
                // It is gone, or on its way.
                Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
                result => result,
            }
        };
        self.engine.call("remove the container", remove).await
    }

    /// Who the image's programs run as; it has been prepared, so hardly ever is it looked at again.
    async fn user_of(&self, image: &str) -> Result<String, BackendError> {
        if let Some(user) = self.image_users.lock().get(image) {
            return Ok(user.clone());
        }
        self.images.ensure(image, PullPolicy::Never, &|_, _| {}).await
    }

    /// The mount points of those volumes that do not exist yet.
    async fn missing_volumes(&self, stem: &VolumeStem) -> Result<Vec<String>, BackendError> {
        let looks = spec::volumes(&self.config.read(), stem).into_iter().map(async |(name, path)| {
            let found = self.engine.look("look for a volume", self.engine.docker.inspect_volume(&name)).await?;
            Ok::<_, BackendError>(found.is_none().then_some(path))
        });
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    /// Where the container answers, from what the engine says of its networks and ports.
    fn address_of(
        &self,
        networks: Option<&HashMap<String, EndpointSettings>>,
        published_port: Option<u16>,
    ) -> Option<UpstreamAddress> {
        if self.config.read().publish_on_loopback {
            return Some(UpstreamAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], published_port?))));
        }
        let endpoint = networks?.get(&self.config.read().network)?;
        let ip =
            endpoint.ip_address.as_deref().filter(|ip| !ip.is_empty()).or(endpoint.global_ipv6_address.as_deref())?;
        Some(UpstreamAddress::Tcp(SocketAddr::new(ip.parse().ok()?, self.config.read().port)))
    }

    fn sight_of(&self, there: &ContainerInspectResponse) -> Sight {
        let state = there.state.clone().unwrap_or_default();
        if state.running != Some(true) && state.paused != Some(true) {
            let never_started = state.status == Some(bollard::models::ContainerStateStatusEnum::CREATED);
            return if never_started { Sight::Created } else { Sight::Exited(exit_of(&state)) };
        }
        let settings = there.network_settings.as_ref();
        let key = format!("{}/tcp", self.config.read().port);
        let bindings = settings.and_then(|settings| settings.ports.as_ref()?.get(&key)?.as_ref());
        let port = bindings.and_then(|bindings| bindings.first()?.host_port.as_ref()?.parse().ok());
        let address = self.address_of(settings.and_then(|settings| settings.networks.as_ref()), port);
        address.map_or(Sight::Astray, Sight::Running)
    }

    fn found_of(&self, summary: ContainerSummary) -> Option<Found> {
        let (server, generation) = labels::read(&self.instance, summary.labels.as_ref()?)?;
        let id = summary.id?;
        let published = summary.ports.as_ref().and_then(|ports| {
            ports.iter().find(|port| port.private_port == self.config.read().port).and_then(|port| port.public_port)
        });
        let networks = summary.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let sight = match summary.state? {
            ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::PAUSED => {
                self.address_of(networks, published).map_or(Sight::Astray, Sight::Running)
            }
            ContainerSummaryStateEnum::CREATED => Sight::Created,
            ContainerSummaryStateEnum::RESTARTING | ContainerSummaryStateEnum::REMOVING => return None,
            _ => Sight::Exited(Exit { code: exit_code_in(summary.status.as_deref()), out_of_memory: false }),
        };
        Some(Found { server, generation, handle: handle_of(&id), sight })
    }

    fn filters(&self, extra: &[(&str, &[&str])]) -> HashMap<String, Vec<String>> {
        let own = ("label".to_owned(), vec![format!("{}={}", labels::INSTANCE, self.instance)]);
        let extra = extra
            .iter()
            .map(|(key, values)| ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()));
        std::iter::once(own).chain(extra).collect()
    }
}

#[async_trait::async_trait]
impl Backend for DockerBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn facts(&self) -> Result<EngineFacts, BackendError> {
        let info = self.engine.call("say what it is", self.engine.docker.info()).await?;
        let runtimes = info.runtimes.unwrap_or_default();
        // One over the network may be on another host, whatever its folder is called.
        let is_here = self.config.read().host.starts_with("unix://");
        Ok(EngineFacts {
            folder: info.docker_root_dir.filter(|_| is_here).map(Into::into),
            version: info.server_version,
            // Registered by NVIDIA's container toolkit. Nothing is tried out, and no image is fetched for it.
            gives_gpus: runtimes.keys().any(|name| name.starts_with("nvidia")),
            gives_all_gpus_only: info.operating_system.as_deref() == Some("Docker Desktop"),
        })
    }

    fn gives_extras(&self) -> bool {
        true
    }

    fn shared_volume(&self) -> Option<String> {
        Some(self.config.read().shared_volume.clone())
    }

    fn image(&self) -> Option<String> {
        Some(self.config.read().image.clone())
    }

    async fn prepare(
        &self,
        _server: &ServerKey,
        image: Option<&str>,
        progress: &ProgressSink,
    ) -> Result<(), BackendError> {
        let config = self.config.snapshot();
        let image = image.unwrap_or(&config.image);
        let user = self.images.ensure(image, self.config.read().pull_policy, progress).await?;
        let mut users = self.image_users.lock();
        if users.len() >= IMAGES_LIMIT {
            users.clear();
        }
        users.insert(image.to_owned(), user);
        Ok(())
    }

    async fn listen_address(&self) -> Result<SocketAddr, BackendError> {
        Ok(SocketAddr::from(([0, 0, 0, 0], self.config.read().port)))
    }

    async fn create(&self, order: &Order) -> Result<Handle, BackendError> {
        let name = order.server.docker_name(&self.config.read().name_prefix);
        let user = self.user_of(spec::image_of(&self.config.read(), order)).await?;
        let granted = &order.extras.mounts;
        let fresh = extras::check_volumes(&self.engine, &self.config.read(), &self.instance, granted).await?;
        if volumes::is_root(&user) {
            return Ok(handle_of(&self.create_container(&name, order).await?));
        }
        // The first time all are looked at: a crash of ours may have come between making them and handing them over.
        let settled = (order.volumes.clone(), user);
        let is_settled = self.settled.lock().contains(&settled);
        let mut paths = if is_settled {
            self.missing_volumes(&order.volumes).await?
        } else {
            spec::volumes(&self.config.read(), &order.volumes).into_iter().map(|(_, path)| path).collect()
        };
        paths.extend(fresh);
        let id = self.create_container(&name, order).await?;
        if !paths.is_empty() {
            volumes::hand_over(&self.engine, &id, &settled.1, &paths).await?;
        }
        self.settled.lock().insert(settled);
        Ok(handle_of(&id))
    }

    async fn start(&self, handle: &Handle) -> Result<Sight, BackendError> {
        let id = &Kept::of(handle)?.container;
        match self.start_container(id).await {
            // Old engines ask for the network only now.
            Err(BackendError::Refused { reason, .. }) if reason.contains("network") && reason.contains("not found") => {
                network::ensure(&self.engine, &self.config.read().network, &self.instance, self.own.is_some()).await?;
                self.start_container(id).await?;
            }
            result => result?,
        }
        self.inspect(handle).await
    }

    async fn stop(&self, handle: &Handle, grace: Duration) -> Result<(), BackendError> {
        let id = &Kept::of(handle)?.container;
        if !self.may_touch(handle).await? {
            return Ok(());
        }
        let grace_s = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(grace_s).build();
        let stop = async {
            match self.engine.docker.stop_container(id, Some(options)).await {
                // 304: it does not run. 404: it is not there.
                Err(error) if matches!(status_of(&error), Some(304 | 404)) => Ok(()),
                result => result,
            }
        };
        let limit = grace + Duration::from_secs(self.config.read().call_timeout_s);
        self.engine.call_for(limit, "stop the container", stop).await
    }

    async fn restart(&self, handle: &Handle, grace: Duration) -> Result<Sight, BackendError> {
        let id = &Kept::of(handle)?.container;
        if !self.may_touch(handle).await? {
            return Ok(Sight::Gone);
        }
        let grace_s = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = RestartContainerOptionsBuilder::default().t(grace_s).build();
        let restart = async {
            match self.engine.docker.restart_container(id, Some(options)).await {
                // It is not there: `inspect` says so.
                Err(error) if status_of(&error) == Some(404) => Ok(()),
                result => result,
            }
        };
        let limit = grace + Duration::from_secs(self.config.read().call_timeout_s);
        self.engine.call_for(limit, "restart the container", restart).await?;
        // An engine may give it another address.
        self.inspect(handle).await
    }

    async fn remove(&self, handle: &Handle) -> Result<(), BackendError> {
        let Kept { container, adopted_from } = Kept::of(handle)?;
        if let Some(user) = adopted_from {
            return self.remove_adopted(&container, &user).await;
        }
        if !self.config.read().remove_on_stop {
            // The next start replaces it.
            return Ok(());
        }
        self.remove_by_id(&container).await
    }

    async fn inspect(&self, handle: &Handle) -> Result<Sight, BackendError> {
        let Kept { container, adopted_from } = Kept::of(handle)?;
        if let Some(user) = adopted_from {
            return self.sight_of_adopted(&container, &user).await;
        }
        let there = self.inspect_name(&container).await?;
        Ok(there.map_or(Sight::Gone, |there| self.sight_of(&there)))
    }

    async fn log_tail(&self, handle: &Handle, lines: usize) -> Result<Vec<String>, BackendError> {
        let id = &Kept::of(handle)?.container;
        if !self.may_touch(handle).await? {
            return Ok(vec![]);
        }
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let read = async {
            let mut log = self.engine.docker.logs(id, Some(options));
            let mut text = Vec::new();
            while let Some(piece) = log.next().await {
                // The engine hands out an endless line in pieces of 16 KiB, each counted as a line: of each we keep the
                // beginning, so that the last ones are there whatever was written before.
                let piece = piece?;
                let bytes = piece.as_ref();
                text.extend_from_slice(&bytes[..bytes.len().min(LOG_LINE_LIMIT_BYTES)]);
                if bytes.len() > LOG_LINE_LIMIT_BYTES && bytes.ends_with(b"\n") {
                    text.push(b'\n');
                }
                if text.len() > lines.saturating_mul(LOG_LINE_LIMIT_BYTES) {
                    break;
                }
            }
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        Ok(super::log_lines::last(&self.engine.call("give the log", read).await?, lines))
    }

    async fn find(&self, server: &ServerKey) -> Result<Option<Found>, BackendError> {
        let Some(there) = self.inspect_name(&server.docker_name(&self.config.read().name_prefix)).await? else {
            return Ok(None);
        };
        let labels = there.config.as_ref().and_then(|config| config.labels.as_ref());
        let read = labels.and_then(|labels| labels::read(&self.instance, labels));
        let (Some((owner, generation)), Some(id)) = (read, &there.id) else { return Ok(None) };
        if owner != *server {
            return Ok(None);
        }
        Ok(Some(Found { server: owner, generation, handle: handle_of(id), sight: self.sight_of(&there) }))
    }

    async fn list(&self) -> Result<Vec<Found>, BackendError> {
        // Those that are kept after a stop are no leftovers.
        let options = ListContainersOptionsBuilder::default()
            .all(self.config.read().remove_on_stop)
            .filters(&self.filters(&[]))
            .build();
        let containers = self.engine.call("list", self.engine.docker.list_containers(Some(options))).await?;
        Ok(containers.into_iter().filter_map(|container| self.found_of(container)).collect())
    }

    async fn events(&self) -> Result<BoxStream<'static, Notice>, BackendError> {
        let filters = self.filters(&[("type", &["container"]), ("event", &["die", "destroy"])]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        // A ping first: the stream itself says nothing until something happens, even if no engine is there.
        self.engine.call("send its events", self.engine.docker.ping()).await?;
        let instance = self.instance.clone();
        let events = self.engine.docker.events(Some(options));
        Ok(events
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(move |event| std::future::ready(event.ok().and_then(|event| notice_of(&instance, event))))
            .boxed())
    }

    fn has_volume(&self, suffix: &str) -> bool {
        self.config.read().volumes.iter().any(|volume| volume.suffix == suffix)
    }

    async fn volumes(&self, stem: &VolumeStem) -> Result<Vec<Volume>, BackendError> {
        volumes::existing(&self.engine, &self.config.read(), stem).await
    }

    async fn remove_volume(&self, stem: &VolumeStem, suffix: &str) -> Result<Removal, BackendError> {
        if !self.has_volume(suffix) {
            return Ok(Removal::Absent);
        }
        let name = spec::volume_name(&self.config.read(), stem, suffix);
        if self.config.read().shared_volumes.iter().any(|shared| shared.name == name) {
            return Ok(Removal::InUse("everybody: it is shared".into()));
        }
        for user in volumes::users_of(&self.engine, &name).await? {
            // Those of ours that are kept after a stop: the next start replaces them anyway.
            let is_ours = labels::read(&self.instance, &user.labels).is_some();
            if !is_ours || user.is_running {
                return Ok(Removal::InUse(format!("the container {}", user.name)));
            }
            self.remove_by_id(&user.id).await?;
        }
        volumes::remove(&self.engine, &name).await
    }

    async fn volume_sizes(&self) -> Result<HashMap<String, u64>, BackendError> {
        let mut sizes = sizes::ask(&self.config.read().host).await?;
        let own = format!("{}-", self.config.read().name_prefix);
        let is_shared = |name: &str| self.config.read().shared_volumes.iter().any(|shared| shared.name == name);
        sizes.retain(|name, _| name.starts_with(&own) || is_shared(name));
        Ok(sizes)
    }

    fn owner_of_volume(&self, name: &str) -> Option<(VolumeStem, String)> {
        // A stem has no `_` in it.
        let (stem, suffix) = name.strip_prefix(&self.config.read().name_prefix)?.strip_prefix('-')?.split_once('_')?;
        let is_shared = self.config.read().shared_volumes.iter().any(|shared| shared.name == name);
        let stem = VolumeStem::try_from(stem.to_owned()).ok()?;
        (self.has_volume(suffix) && !is_shared).then(|| (stem, suffix.to_owned()))
    }

    async fn usage(&self, handle: &Handle) -> Result<Option<UsageReading>, BackendError> {
        let id = &Kept::of(handle)?.container;
        // One answer at once: by default the engine waits for a second one to count the difference, which we do.
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let ask = async {
            let answer = self.engine.docker.stats(id, Some(options)).next().await;
            answer.transpose()
        };
        let answer = self.engine.look("say what a server uses", ask).await?;
        Ok(answer.flatten().and_then(|stats| stats::read(&stats)))
    }

    async fn layer_sizes(&self) -> Result<HashMap<ServerKey, LayerSize>, BackendError> {
        let options = ListContainersOptionsBuilder::default().size(true).filters(&self.filters(&[])).build();
        let list = self.engine.docker.list_containers(Some(options));
        let containers = list.await.map_err(|error| refused("say how large servers are", error))?;
        let sizes = containers.into_iter().filter_map(|container| {
            let (server, _) = labels::read(&self.instance, container.labels.as_ref()?)?;
            // An empty one is left out of the answer: it was asked for, so it is 0.
            let written_bytes = u64::try_from(container.size_rw.unwrap_or(0)).ok()?;
            let whole_bytes = container.size_root_fs.and_then(|bytes| u64::try_from(bytes).ok());
            Some((server, LayerSize { written_bytes, whole_bytes }))
        });
        Ok(sizes.collect())
    }
}

/// What an event says, if it is about a container of ours.
fn notice_of(instance: &InstanceId, event: EventMessage) -> Option<Notice> {
    let attributes = event.actor?.attributes?;
    let (server, generation) = labels::read(instance, &attributes)?;
    let sight = match event.action?.as_str() {
        "die" => {
            let code = attributes.get("exitCode").and_then(|code| code.parse().ok());
            Sight::Exited(Exit { code, out_of_memory: false })
        }
        "destroy" => Sight::Gone,
        _ => return None,
    };
    Some(Notice { server, generation, sight })
}

/// `failed to mkdir /…/alice_home/_data/work: mkdir …: file exists`
fn is_lost_race(text: &str) -> bool {
    text.contains("mkdir") && text.contains("file exists")
}

fn exit_of(state: &ContainerState) -> Exit {
    Exit { code: state.exit_code, out_of_memory: state.oom_killed == Some(true) }
}

/// `Exited (137) 2 seconds ago` → 137.
fn exit_code_in(status: Option<&str>) -> Option<i64> {
    status?.strip_prefix("Exited (")?.split(')').next()?.parse().ok()
}

fn handle_of(id: &str) -> Handle {
    serde_json::json!({ "container": id }).into()
}

/// What a handle of this backend says.
#[derive(Deserialize)]
struct Kept {
    /// The container's id.
    container: String,
    /// The name that its user had with the other hub, if it was started by one.
    adopted_from: Option<String>,
}

impl Kept {
    fn of(handle: &Handle) -> Result<Self, BackendError> {
        let foreign = || BackendError::Settings("a server of another backend cannot be reached through docker".into());
        handle.read().ok_or_else(foreign)
    }
}
