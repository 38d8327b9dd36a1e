//! The containers of a project, by Compose's labels, never by name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use bollard::{
    models::{
        ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum as Status,
        ContainerSummary, ContainerSummaryStateEnum as SummaryState, HealthStatusEnum, HostConfig,
        MountPoint, NetworkSettings,
    },
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use futures_util::future::try_join_all;

use super::{
    Engine, EngineError, Leftover, at_work::mark_removals, attachments::attachments, joined, leftovers,
};
use crate::api::{ContainerObservation, ContainerState, Fact, Health, MountCover, Time};

pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
pub(super) const ONE_OFF: &str = "com.docker.compose.oneoff";
const COMPOSE_VERSION: &str = "com.docker.compose.version";
const CONFIG_HASH: &str = "com.docker.compose.config-hash";
const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
const CONFIG_FILES: &str = "com.docker.compose.project.config_files";

/// A container of a project as the list shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) service: String,
    /// `None` where the engine said something unheard of.
    pub(super) state: Option<SummaryState>,
    /// When it was created, in seconds since 1970.
    pub(super) created: i64,
    pub(super) replaces: Option<String>,
    /// Whether its health check has given no verdict yet.
    pub(super) health_starting: bool,
    pub(super) origin: Origin,
}

/// Where a container was made, as Compose's labels say it. Compose writes them when it creates the container, leaves them out
/// of the config hash, and never changes them (measured with 2.26.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// The project directory as the caller wrote it, links and all; `None` without the label.
    pub working_dir: Option<String>,
    /// The Compose files, absolute as a rule.
    pub config_files: Vec<String>,
}

impl Row {
    pub(super) fn never_started(&self) -> bool {
        self.state == Some(SummaryState::CREATED)
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == Some(SummaryState::RUNNING)
    }

    /// Whether it has run, and does no more.
    pub(super) fn has_ended(&self) -> bool {
        self.state == Some(SummaryState::EXITED)
    }

    /// Its details say that it is being removed.
    pub(super) fn set_removing(&mut self) {
        self.state = Some(SummaryState::REMOVING);
    }

    /// Whether the engine is about to remove it, or has tried to: that is what `dead` means.
    pub(super) fn is_removing(&self) -> bool {
        matches!(self.state, Some(SummaryState::REMOVING | SummaryState::DEAD))
    }
}

/// The containers of some services of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectContainers {
    /// By service, then number. Superfluous leftovers of a killed recreate are not among them.
    pub containers: Vec<Container>,
    /// What a killed recreate left behind, in the whole project.
    pub leftovers: Vec<Leftover>,
    /// The sign that someone else's `up` is at work on the project right now, or an engine that has just started.
    pub changing: Option<String>,
    /// The services, of all of the project's, in a container of which undrift itself runs.
    pub own_services: BTreeSet<String>,
    /// Where each container of the whole project was made.
    pub origins: Vec<Origin>,
}

/// One container, with what is needed to look further.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The Compose service.
    pub service: String,
    /// What is reported of it; its modules and `config_changed` are for the caller to fill.
    pub seen: ContainerObservation,
    /// Volumes, bind mounts and tmpfs.
    pub mounts: Vec<MountCover>,
    /// Where it can be reached.
    pub network: Network,
}

/// Where a container can be reached.
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
    /// The containers of these services, of which each is to have so many: one list, then all details at once.
    ///
    /// # Errors
    /// Where the engine does not answer. A container that vanishes in between is simply not there.
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
        let details = try_join_all(wanted.map(|row| self.container(&row.id))).await?;
        let mut containers: Vec<Container> = details.into_iter().flatten().collect();
        mark_removals(&mut rows, containers.iter().map(|container| &container.seen));
        self.look_up_joined(&mut containers).await;
        containers.sort_by(|a, b| {
            (&a.service, a.seen.number, &a.seen.name).cmp(&(&b.service, b.seen.number, &b.seen.name))
        });
        let changing = match self.others(project, services, &rows).await? {
            Some(why) => Some(why),
            None => self.just_started(&rows).await?,
        };
        let own_services = self.itself.services(&rows);
        let origins = rows.into_iter().map(|row| row.origin).collect();
        Ok(ProjectContainers { containers, leftovers, changing, own_services, origins })
    }

    /// Where each container of the project was made.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn origins(&self, project: &str) -> Result<Vec<Origin>, EngineError> {
        Ok(self.rows(project).await?.into_iter().map(|row| row.origin).collect())
    }

    /// The services, of all of the project's, in a container of which undrift itself runs.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn own_services(&self, project: &str) -> Result<BTreeSet<String>, EngineError> {
        Ok(self.itself.services(&self.rows(project).await?))
    }

    /// One container by its ID; `None` where it is gone.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn container(&self, id: &str) -> Result<Option<Container>, EngineError> {
        let details = self
            .call(async |docker| docker.inspect_container(id, None::<InspectContainerOptions>).await)
            .await;
        match details {
            Ok(details) => Ok(Some(container(details))),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All containers of a project, stopped ones too, without one-off ones. Asking for the hash too keeps out
    /// what only inherits labels from an image that Compose built; Compose itself does the same.
    pub(super) async fn rows(&self, project: &str) -> Result<Vec<Row>, EngineError> {
        let labels = vec![format!("{PROJECT}={project}"), format!("{ONE_OFF}=False"), CONFIG_HASH.to_owned()];
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.call(async |docker| docker.list_containers(Some(options)).await).await?;
        Ok(list.into_iter().filter_map(row).collect())
    }
}

fn row(summary: ContainerSummary) -> Option<Row> {
    let mut labels = summary.labels.unwrap_or_default();
    let name = summary.names.unwrap_or_default().first().map(|name| bare(name)).unwrap_or_default();
    let service = labels.remove(SERVICE)?;
    let files = labels.remove(CONFIG_FILES).unwrap_or_default();
    let origin = Origin {
        service: service.clone(),
        container: name.clone(),
        working_dir: labels.remove(WORKING_DIR),
        config_files: files.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect(),
    };
    Some(Row {
        id: summary.id?,
        name,
        service,
        origin,
        state: summary.state,
        created: summary.created.unwrap_or_default(),
        replaces: labels.remove(leftovers::REPLACES),
        // The list has no field for it: "Up 3 seconds (health: starting)".
        health_starting: summary.status.is_some_and(|status| status.contains("(health: starting)")),
    })
}

pub(super) fn bare(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

fn container(details: ContainerInspectResponse) -> Container {
    let mut labels = details.config.and_then(|config| config.labels).unwrap_or_default();
    let engine_state = details.state.unwrap_or_default();
    let state = state(&engine_state);
    let host_config = details.host_config.unwrap_or_default();
    Container {
        service: labels.remove(SERVICE).unwrap_or_default(),
        seen: ContainerObservation {
            id: details.id.unwrap_or_default(),
            name: bare(&details.name.unwrap_or_default()),
            number: labels.remove(NUMBER).and_then(|number| number.parse().ok()).unwrap_or_default(),
            state,
            restart_count: details.restart_count.unwrap_or_default(),
            exit_code: engine_state.exit_code.filter(|_| has_ended(state)),
            restarting: engine_state.restarting.unwrap_or_default(),
            created_at: details.created.as_deref().and_then(time),
            started_at: engine_state.started_at.as_deref().and_then(time),
            health: engine_state.health.and_then(|health| health.status).and_then(health),
            image_id: details.image.unwrap_or_default(),
            config_hash: labels.remove(CONFIG_HASH),
            config_changed: Fact::unknown("it was not compared with the Compose files"),
            differences: Fact::Known(Vec::new()),
            made_by: labels.remove(COMPOSE_VERSION),
            only_upgraded: false,
            attachments: attachments(details.network_settings.as_ref()),
            contents: Vec::new(),
            modules: Vec::new(),
            joined: joined::declared(&host_config),
        },
        mounts: mounts(details.mounts.unwrap_or_default(), &host_config),
        network: network(details.network_settings, host_config),
    }
}

pub(super) fn state(state: &EngineState) -> ContainerState {
    match state.status {
        Some(Status::CREATED) => ContainerState::Created,
        // Newer engines say so while a container that still runs is being stopped.
        Some(Status::RUNNING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::RESTARTING) => ContainerState::Restarting,
        Some(Status::REMOVING) => ContainerState::Removing,
        Some(Status::DEAD) => ContainerState::Dead,
        Some(Status::EXITED | Status::EMPTY) | None => ContainerState::Exited,
    }
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

/// The engine's list, and the tmpfs of `tmpfs:` in Compose files, which that list leaves out.
fn mounts(points: Vec<MountPoint>, host_config: &HostConfig) -> Vec<MountCover> {
    let listed = points.into_iter().filter_map(|point| {
        Some(MountCover {
            kind: point.typ.unwrap_or_else(|| "unknown".to_owned()),
            destination: point.destination?,
            source: point.name.filter(|name| !name.is_empty()).or(point.source).unwrap_or_default(),
        })
    });
    let tmpfs = host_config.tmpfs.iter().flatten().map(|(destination, _)| MountCover {
        kind: "tmpfs".into(),
        destination: destination.clone(),
        source: String::new(),
    });
    listed.chain(tmpfs).collect()
}

fn network(settings: Option<NetworkSettings>, host_config: HostConfig) -> Network {
    let settings = settings.unwrap_or_default();
    let networks: BTreeMap<_, _> = settings.networks.unwrap_or_default().into_iter().collect();
    let addresses = networks.values().flat_map(|at| [&at.ip_address, &at.global_ipv6_address]);
    Network {
        mode: host_config.network_mode.unwrap_or_default(),
        published: settings.ports.unwrap_or_default().into_iter().filter_map(published).collect(),
        address: addresses.flatten().find_map(|address| address.parse().ok()),
    }
}

/// One published port; of several bindings the IPv4 one, which every engine serves.
fn published(
    (port, bindings): (String, Option<Vec<bollard::models::PortBinding>>),
) -> Option<(u16, (String, u16))> {
    let port = port.strip_suffix("/tcp")?.parse().ok()?;
    let mut hosts: Vec<(String, u16)> = bindings?
        .into_iter()
        .filter_map(|binding| Some((binding.host_ip.unwrap_or_default(), binding.host_port?.parse().ok()?)))
        .collect();
    hosts.sort_by_key(|(ip, _)| ip.contains(':'));
    hosts.into_iter().next().map(|host| (port, host))
}
