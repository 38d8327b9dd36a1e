//! The containers of a project, by Compose's labels, never by name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use bollard::{
    models::{
        ContainerConfig, ContainerInspectResponse, ContainerState as EngineState,
        ContainerStateStatusEnum as Status, ContainerSummary, ContainerSummaryStateEnum as SummaryState,
        EndpointSettings, HealthStatusEnum, HostConfig, MountPoint, NetworkSettings, PortBinding,
    },
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use futures_util::future::try_join_all;

use super::{
    Engine, EngineError, attachments::attachments, content_watch::check_command, joined,
    request::EngineRequest,
};
use crate::{
    api::{ContainerObservation, ContainerState, Fact, Health, MountCover, Time},
    interference::{ContainerRow, Leftover, Origin, compose_up::mark_removals, leftovers},
};

pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
pub(super) const ONE_OFF: &str = "com.docker.compose.oneoff";
const COMPOSE_VERSION: &str = "com.docker.compose.version";
const CONFIG_HASH: &str = "com.docker.compose.config-hash";
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";

/// The containers of some services of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectContainers {
    /// By service, then number. Superfluous leftovers of a killed recreate are not among them.
    pub containers: Vec<Container>,
    /// The leftovers of a killed recreate, in the whole project.
    pub leftovers: Vec<Leftover>,
    /// The sign that someone else's `up` runs on the project right now, or that the engine has just started.
    pub external_activity: Option<String>,
    /// The services of the whole project in whose containers undrift itself runs.
    pub own_services: BTreeSet<String>,
    /// The origin of each container of the whole project.
    pub origins: Vec<Origin>,
}

/// One container, with the data for further checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The Compose service.
    pub service: String,
    /// Its observation; the caller fills in its modules and `config_changed`.
    pub seen: ContainerObservation,
    /// Volumes, bind mounts and tmpfs.
    pub mounts: Vec<MountCover>,
    /// What of the host is mounted: folders, files, sockets.
    pub binds: Vec<Bind>,
    /// Its addresses.
    pub network: Network,
    /// The ID of its process on the engine's host, while it runs.
    pub pid: Option<i64>,
    /// The command of its health check, as the engine's events have it.
    pub health_command: Option<String>,
}

/// Something of the host that is mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Its path on the host.
    pub source: String,
    /// Its path in the container.
    pub target: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// The addresses at which a container can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The engine's network mode: `host`, `none`, `container:ID` or a network's name.
    pub mode: String,
    /// Published TCP ports: the container's port to the host's address and port.
    pub published: BTreeMap<u16, (String, u16)>,
    /// Its own address, of the first network by name that gave it one.
    pub address: Option<IpAddr>,
}

impl Network {
    /// Whether the container has no network of its own, but the host's.
    #[must_use]
    pub fn is_the_hosts(&self) -> bool {
        self.mode == "host"
    }
}

impl Engine {
    /// The containers of these services, each with its wanted number: one list, then all details at once.
    ///
    /// # Errors
    /// If the engine does not answer. A container that vanishes in between is left out.
    pub async fn project_containers(
        &self,
        project: &str,
        services: &BTreeMap<&str, u32>,
    ) -> Result<ProjectContainers, EngineError> {
        let mut rows = self.rows(project).await?;
        let leftovers = leftovers::find(&rows);
        let superfluous: BTreeSet<&str> = leftovers
            .iter()
            .filter_map(|leftover| match leftover {
                Leftover::Superfluous { id, .. } => Some(id.as_str()),
                Leftover::Unfinished { .. } => None,
            })
            .collect();
        let wanted = rows.iter().filter(|row| {
            services.contains_key(row.service.as_str()) && !superfluous.contains(row.id.as_str())
        });
        let details = try_join_all(wanted.map(|row| self.container_of(row))).await?;
        let mut containers: Vec<Container> = details.into_iter().flatten().collect();
        mark_removals(&mut rows, containers.iter().map(|container| &container.seen));
        self.look_up_joined(&mut containers).await;
        containers.sort_by(|a, b| {
            (&a.service, a.seen.number, &a.seen.name).cmp(&(&b.service, b.seen.number, &b.seen.name))
        });
        let external_activity = match self.activity_of_others(project, services, &rows).await? {
            Some(why) => Some(why),
            None => self.just_started(&rows).await?,
        };
        let own_services = self.own_container.services(&rows);
        let origins = rows.into_iter().map(|row| row.origin).collect();
        Ok(ProjectContainers { containers, leftovers, external_activity, own_services, origins })
    }

    /// The origin of each container of the project.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn origins(&self, project: &str) -> Result<Vec<Origin>, EngineError> {
        Ok(self.rows(project).await?.into_iter().map(|row| row.origin).collect())
    }

    /// The services of the whole project in whose containers undrift itself runs.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn own_services(&self, project: &str) -> Result<BTreeSet<String>, EngineError> {
        Ok(self.own_container.services(&self.rows(project).await?))
    }

    /// One container by its ID; `None` if it is gone.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn container(&self, id: &str) -> Result<Option<Container>, EngineError> {
        let request = EngineRequest::container(id);
        let details = self
            .ask(&request, async |docker| docker.inspect_container(id, None::<InspectContainerOptions>).await)
            .await;
        match details {
            Ok(details) => container(&request, details).map(Some),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The container of a row. Labels never change, so undrift rejects an answer with other labels.
    async fn container_of(&self, row: &ContainerRow) -> Result<Option<Container>, EngineError> {
        let found = self.container(&row.id).await?;
        let is_same =
            |found: &Container| found.service == row.service && found.seen.config_hash == row.config_hash;
        match found {
            Some(found) if !is_same(&found) => {
                Err(EngineRequest::container(&row.id).lacks("Config.Labels as the list has them"))
            }
            found => Ok(found),
        }
    }

    /// All containers of a project, stopped ones too, without one-off ones. The filter on the hash label excludes containers
    /// that only inherit labels from an image that Compose built; Compose itself does the same.
    pub(super) async fn rows(&self, project: &str) -> Result<Vec<ContainerRow>, EngineError> {
        let request = EngineRequest::containers();
        let labels = vec![format!("{PROJECT}={project}"), format!("{ONE_OFF}=False"), CONFIG_HASH.to_owned()];
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.ask(&request, async |docker| docker.list_containers(Some(options)).await).await?;
        list.into_iter().map(|summary| row(&request, project, summary)).collect()
    }
}

/// If a container lacks the labels that undrift filtered by, the whole list is rejected.
fn row(
    request: &EngineRequest,
    project: &str,
    summary: ContainerSummary,
) -> Result<ContainerRow, EngineError> {
    let mut labels = request.required("Labels", summary.labels)?;
    let mut label = |name: &str| request.required(&format!("Labels[{name}]"), labels.remove(name));
    if label(PROJECT)? != project {
        return Err(request.lacks(&format!("Labels[{PROJECT}]={project}, which was asked for")));
    }
    let (service, config_hash) = (label(SERVICE)?, label(CONFIG_HASH)?);
    let id = request.required_text("Id", summary.id)?;
    let state = request.required("State", summary.state)?;
    let name = name(request, summary.names, &id, state)?;
    let files = labels.remove(CONFIG_FILES).unwrap_or_default();
    let origin = Origin {
        service: service.clone(),
        container: name.clone(),
        working_dir: labels.remove(WORKING_DIR),
        config_files: files.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect(),
    };
    Ok(ContainerRow {
        id,
        name,
        service,
        origin,
        config_hash: Some(config_hash),
        state: state_of(state),
        created: request.required("Created", summary.created)?,
        replaces: labels.remove(leftovers::REPLACES),
        // The list has no field for it: "Up 3 seconds (health: starting)".
        health_starting: request.required("Status", summary.status)?.contains("(health: starting)"),
    })
}

/// `None` if the list reports no known state.
const fn state_of(state: SummaryState) -> Option<ContainerState> {
    Some(match state {
        SummaryState::CREATED => ContainerState::Created,
        SummaryState::RUNNING => ContainerState::Running,
        SummaryState::PAUSED => ContainerState::Paused,
        SummaryState::RESTARTING => ContainerState::Restarting,
        SummaryState::EXITED => ContainerState::Exited,
        SummaryState::REMOVING => ContainerState::Removing,
        SummaryState::DEAD => ContainerState::Dead,
        // Podman's word for a container that got its signal and has not ended: neither running nor over.
        SummaryState::STOPPING | SummaryState::EMPTY => return None,
    })
}

/// A container that could not be removed completely may have no name any more (moby's `container/view.go`: "Dead containers
/// will often have no name"). undrift then uses the beginning of its ID.
fn name(
    request: &EngineRequest,
    names: Option<Vec<String>>,
    id: &str,
    state: SummaryState,
) -> Result<String, EngineError> {
    let name = request.required("Names", names)?.first().map(|name| bare(name));
    let is_half_gone = matches!(state, SummaryState::DEAD | SummaryState::REMOVING);
    let name = name.or_else(|| is_half_gone.then(|| id.get(..12).unwrap_or(id).to_owned()));
    request.required_text("Names", name)
}

pub(super) fn bare(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

fn container(request: &EngineRequest, details: ContainerInspectResponse) -> Result<Container, EngineError> {
    let engine_state = request.required("State", details.state)?;
    let state = request.required("State.Status", state(&engine_state))?;
    let host_config = request.required("HostConfig", details.host_config)?;
    let config = request.required("Config", details.config)?;
    let settings = request.required("NetworkSettings", details.network_settings)?;
    let network = network(request, state, &settings, &host_config)?;
    let has_health_check = has_health_check(&config);
    let health_command = config
        .healthcheck
        .as_ref()
        .and_then(|check| check_command(check.test.as_deref().unwrap_or_default(), config.shell.as_deref()));
    let mut labels = config.labels.unwrap_or_default();
    let created = request.required("Created", details.created)?;
    let started = request.required("State.StartedAt", engine_state.started_at)?;
    let exit_code = request.required("State.ExitCode", engine_state.exit_code)?;
    let health = engine_state.health.and_then(|health| health.status);
    if has_health_check && state == ContainerState::Running && health.is_none() {
        return Err(request.lacks("State.Health"));
    }
    Ok(Container {
        service: labels.remove(SERVICE).unwrap_or_default(),
        seen: ContainerObservation {
            id: request.required_text("Id", details.id)?,
            name: bare(&request.required_text("Name", details.name)?),
            number: labels.remove(NUMBER).and_then(|number| number.parse().ok()).unwrap_or_default(),
            state,
            restart_count: request.required("RestartCount", details.restart_count)?,
            exit_code: Some(exit_code).filter(|_| has_ended(state)),
            restarting: request.required("State.Restarting", engine_state.restarting)?,
            created_at: Some(request.required("Created that is a time", time(&created))?),
            started_at: time(&started),
            health: health.and_then(self::health),
            image_id: request.required_text("Image", details.image)?,
            config_hash: labels.remove(CONFIG_HASH),
            config_changed: Fact::unknown("it was not compared with the Compose files"),
            differences: Fact::Known(Vec::new()),
            made_by: labels.remove(COMPOSE_VERSION),
            only_upgraded: false,
            port_taken: state != ContainerState::Running
                && engine_state.error.is_some_and(|e| is_port_conflict(&e)),
            attachments: attachments(&settings),
            contents: Vec::new(),
            mounted: Vec::new(),
            modules: Vec::new(),
            joined: joined::declared(&host_config),
        },
        binds: details.mounts.iter().flatten().filter_map(bind).collect(),
        mounts: mounts(request, details.mounts, &host_config)?,
        network,
        pid: engine_state.pid.filter(|pid| *pid > 0),
        health_command,
    })
}

/// Whether a container could not start because a port of the host was taken, by another container or another process. Measured
/// with 20.10.24 and 28.5.2.
fn is_port_conflict(error: &str) -> bool {
    ["port is already allocated", "address already in use"].iter().any(|words| error.contains(words))
}

/// Whether the engine checks the health of a container with this configuration. It runs no test of another kind, and then
/// reports no health for the container: moby's `daemon/health.go`, `getProbe`.
fn has_health_check(config: &ContainerConfig) -> bool {
    let test = config.healthcheck.as_ref().and_then(|check| check.test.as_ref());
    test.and_then(|test| test.first()).is_some_and(|kind| matches!(kind.as_str(), "CMD" | "CMD-SHELL"))
}

/// `None` if the engine does not report it.
pub(super) fn state(state: &EngineState) -> Option<ContainerState> {
    Some(match state.status? {
        Status::CREATED => ContainerState::Created,
        // Newer engines report this while a container that still runs is being stopped.
        Status::RUNNING | Status::STOPPING => ContainerState::Running,
        Status::PAUSED => ContainerState::Paused,
        Status::RESTARTING => ContainerState::Restarting,
        Status::REMOVING => ContainerState::Removing,
        Status::DEAD => ContainerState::Dead,
        Status::EXITED => ContainerState::Exited,
        Status::EMPTY => return None,
    })
}

pub(super) const fn has_ended(state: ContainerState) -> bool {
    matches!(state, ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting)
}

/// A time in the engine's spelling; its year 1 means never.
pub(super) fn time(text: &str) -> Option<Time> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (time.timestamp() > 0).then_some(time)
}

const fn health(status: HealthStatusEnum) -> Option<Health> {
    match status {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

/// The engine's list, plus the mounts of `tmpfs:` in Compose files, which that list leaves out.
fn mounts(
    request: &EngineRequest,
    points: Option<Vec<MountPoint>>,
    host_config: &HostConfig,
) -> Result<Vec<MountCover>, EngineError> {
    let listed = request.required("Mounts", points)?.into_iter().map(|point| {
        Ok(MountCover {
            kind: point.typ.unwrap_or_else(|| "unknown".to_owned()),
            destination: request.required_text("Mounts[].Destination", point.destination)?,
            source: point.name.filter(|name| !name.is_empty()).or(point.source).unwrap_or_default(),
        })
    });
    let tmpfs = host_config.tmpfs.iter().flatten().map(|(destination, _)| {
        let destination = destination.clone();
        Ok(MountCover { kind: "tmpfs".into(), destination, source: String::new() })
    });
    listed.chain(tmpfs).collect()
}

/// A mount of the kind `bind`. If the engine does not report whether it is writable, it counts as such.
fn bind(point: &MountPoint) -> Option<Bind> {
    let is_bind = point.typ.as_deref() == Some("bind");
    let (source, target) = (point.source.clone()?, point.destination.clone()?);
    is_bind.then(|| Bind { source, target, writable: point.rw.unwrap_or(true) })
}

/// A running container with a network of its own has an entry for each; its published ports are never null then.
fn network(
    request: &EngineRequest,
    state: ContainerState,
    settings: &NetworkSettings,
    host_config: &HostConfig,
) -> Result<Network, EngineError> {
    let mode = request.required_text("HostConfig.NetworkMode", host_config.network_mode.clone())?;
    let is_its_own = !matches!(mode.as_str(), "host" | "none") && !mode.starts_with("container:");
    if is_its_own && state == ContainerState::Running {
        let networks = request.required("NetworkSettings.Networks", settings.networks.as_ref())?;
        networks.iter().try_for_each(|(name, at)| endpoint(request, name, at))?;
        request.required("NetworkSettings.Ports", settings.ports.as_ref())?;
    }
    let networks: BTreeMap<_, _> = settings.networks.iter().flatten().collect();
    let addresses = networks.values().flat_map(|at| [&at.ip_address, &at.global_ipv6_address]);
    Ok(Network {
        mode,
        published: settings.ports.iter().flatten().filter_map(published).collect(),
        address: addresses.flatten().find_map(|address| address.parse().ok()),
    })
}

/// On every network but the engine's default one, a container has names: at least the beginning of its ID, which engines add.
/// From 26 on they are in another list.
fn endpoint(request: &EngineRequest, network: &str, at: &EndpointSettings) -> Result<(), EngineError> {
    const WITHOUT_NAMES: [&str; 2] = ["bridge", "podman"];
    let names = at.aliases.as_ref().or(at.dns_names.as_ref());
    if !WITHOUT_NAMES.contains(&network) {
        request.required("NetworkSettings.Networks[].Aliases", names)?;
    }
    request.required("NetworkSettings.Networks[].IPAddress", at.ip_address.as_ref()).map(drop)
}

/// One published port; of several bindings the IPv4 one, which every engine serves.
fn published((port, bindings): (&String, &Option<Vec<PortBinding>>)) -> Option<(u16, (String, u16))> {
    let port = port.strip_suffix("/tcp")?.parse().ok()?;
    let bindings = bindings.iter().flatten();
    let mut hosts: Vec<(String, u16)> = bindings
        .filter_map(|binding| {
            Some((binding.host_ip.clone().unwrap_or_default(), binding.host_port.as_ref()?.parse().ok()?))
        })
        .collect();
    hosts.sort_by_key(|(ip, _)| ip.contains(':'));
    hosts.into_iter().next().map(|host| (port, host))
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
