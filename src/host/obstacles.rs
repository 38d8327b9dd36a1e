//! Obstacles to the repair or verification of a service, found before a step: credentials that cannot be read, a port that
//! nothing exposes or that cannot be reached, one that somebody else has, a missing Dockerfile.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use futures_util::future::join_all;

use super::{
    LocalHost,
    compose::{self, BuildModel, Resolved, ServiceModel},
    engine::{Container, tcp_ports},
    observe::reference,
    ports::{self, PortsFound},
    probe::{ReplicaEndpoint, may_see, replica_url},
    source::ignore_files,
};
use crate::{
    api::{
        Answer, Auth, ContainerState, Desired, Fact, NoteReason, Obstacle, RouteObservation, RouteSpec,
        RouteTarget, Scheme, SecretSource, ServiceSpec,
    },
    files::{self, Hangs, LARGEST_TEXT},
};

/// How to let undrift see the listening processes.
const SEE_SOCKETS: &str = "run undrift beside the engine, as root or with CAP_SYS_PTRACE (sudo systemctl edit undrift, with \
                           CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE under [Service])";

/// The facts about one service that the search for its obstacles uses.
pub(super) struct ServiceFacts<'a> {
    pub(super) desired: &'a Desired,
    pub(super) resolved: &'a Resolved,
    pub(super) spec: &'a ServiceSpec,
    /// Its containers.
    pub(super) containers: Vec<&'a Container>,
    /// The answers of its routes, in the order of the spec.
    pub(super) routes: &'a [RouteObservation],
}

impl ServiceFacts<'_> {
    fn model(&self) -> Option<&ServiceModel> {
        self.resolved.model.services.get(&self.spec.name)
    }

    /// Its containers that run.
    fn running(&self) -> impl Iterator<Item = &Container> {
        let containers = self.containers.iter().copied();
        containers.filter(|container| container.seen.state == ContainerState::Running)
    }
}

impl LocalHost {
    /// The obstacles of one service, and the services of the object that still have its ports. For a healthy service, undrift
    /// asks the engine nothing.
    pub(super) async fn obstacles(&self, known: ServiceFacts<'_>) -> (Vec<Obstacle>, BTreeSet<String>) {
        let known = &known;
        let mut all = Vec::new();
        all.extend(known.model().and_then(|model| no_build(model.build.as_ref()?)));
        let from = &known.desired.manifest_directory;
        for route in &known.spec.routes {
            if let Some(auth) = &route.auth {
                let unusable = self.prober.unusable(auth, from).await;
                all.extend(unusable.map(|why| credentials(route, auth, from, &why)));
            }
            let untrustable = self.prober.untrustable(route, from).await;
            all.extend(untrustable.map(|why| certificates(route, from, &why)));
        }
        let routes = known.spec.routes.iter().enumerate();
        let own = known.containers.iter().map(|container| &container.seen);
        let ports = if ports::are_held(known.resolved, &known.spec.name, own) {
            PortsFound::default()
        } else {
            self.ports(known.desired, known.resolved, &known.spec.name, &known.containers).await
        };
        all.extend(ports.taken);
        let unreachable = join_all(routes.map(|(index, route)| self.unreachable(known, index, route))).await;
        all.extend(unreachable.into_iter().flatten());
        (all, ports.of_services)
    }

    /// The obstacles of every service, without an observation of all of its layers; undrift probes routes only if nothing
    /// exposes their port. By service.
    ///
    /// # Errors
    /// As [`Host::project`](super::Host::project), and if the engine does not answer.
    pub async fn foresee(&self, desired: &Desired) -> Result<Vec<(String, Obstacle)>, super::HostError> {
        let desired = &*self.with_revisions(desired).await;
        let resolved = compose::resolve(desired, self.engine.endpoint(), self.memory()).await?;
        let wanted = resolved.model.to_run(desired.services().iter().map(|service| service.name.as_str()));
        let found = self.engine.project_containers(&resolved.model.name, &wanted).await;
        let found = found.map_err(|error| {
            error.into_host_error(self.engine.endpoint(), "list the project's containers")
        })?;
        let mut all = Vec::new();
        for spec in desired.services() {
            let containers: Vec<&Container> =
                found.containers.iter().filter(|container| container.service == spec.name).collect();
            // This probes without credentials: an observation checks whether they are right.
            let plain = spec.routes.iter().map(RouteSpec::without_auth).collect();
            let probed = ServiceSpec { routes: plain, ..spec.clone() };
            let routes = self.routes(desired, &probed, containers.clone()).await;
            let known = ServiceFacts { desired, resolved: &resolved, spec, containers, routes: &routes };
            let (obstacles, _) = self.obstacles(known).await;
            all.extend(obstacles.into_iter().map(|obstacle| (spec.name.clone(), obstacle)));
        }
        Ok(all)
    }

    /// Why no container of the service is reachable for this route, as far as that is known.
    async fn unreachable(
        &self,
        known: &ServiceFacts<'_>,
        index: usize,
        route: &RouteSpec,
    ) -> Option<Obstacle> {
        let Some(RouteTarget::Replica { path, port }) = route.target() else { return None };
        let model = known.model()?;
        let name = route.display_name();
        if let Some(mode) = model.network_mode.as_deref().filter(|mode| is_of_another(mode)) {
            return self.in_another_network(known, mode, &name);
        }
        if is_answered(known.routes.get(index)) {
            return None;
        }
        let declared = known.resolved.declared.services.get(&known.spec.name);
        let published = declared.into_iter().flat_map(|declared| &declared.attachments.ports);
        let published = tcp_ports(published.map(|port| port.target.as_str()));
        if !self.engine.is_on_this_host() && !published.contains(&port) {
            return Some(not_published(&name, &known.spec.name, port));
        }
        let asked = ReplicaEndpoint { scheme: route.scheme.unwrap_or(Scheme::Http), path, port };
        if let Some(why) = self.without_address(known, asked) {
            return Some(not_reachable(&name, &why, BY_URL.to_owned()));
        }
        let of_files = &published | &tcp_ports(model.expose.iter().map(String::as_str));
        let exposed = self.exposed(known, model, of_files).await?;
        if exposed.contains(&port) || exposed.is_empty() && known.running().next().is_none() {
            return None;
        }
        Some(not_exposed(&name, &known.spec.name, port, &exposed, &model.image))
    }

    /// Why the route of a service that has no network of its own cannot be asked.
    fn in_another_network(&self, known: &ServiceFacts<'_>, mode: &str, name: &str) -> Option<Obstacle> {
        let service = &known.spec.name;
        match mode {
            "none" => {
                let why = format!(
                    "the Compose files give {service} no network (network_mode: none), so nobody can ask it"
                );
                Some(not_reachable(name, &why, BY_URL.to_owned()))
            }
            "host" => {
                let why = self.whose_answer_is_not_known(known)?;
                let why = format!("{service} shares this host's network (network_mode: host), and {why}");
                Some(not_reachable(name, &why, format!("{SEE_SOCKETS}; or {BY_URL}")))
            }
            // Whose ports these are is another's affair.
            _ => None,
        }
    }

    /// Why a container that runs has no address for this request.
    fn without_address(&self, known: &ServiceFacts<'_>, asked: ReplicaEndpoint<'_>) -> Option<String> {
        known.running().filter(|container| !container.network.mode.contains(':')).find_map(|container| {
            let why = replica_url(&container.network, asked, self.engine.endpoint_host()).err()?;
            Some(format!("{}: {why}", container.seen.name))
        })
    }

    /// Why it cannot be known whether a container of this service answers at a port of the host.
    fn whose_answer_is_not_known(&self, known: &ServiceFacts<'_>) -> Option<String> {
        if !self.engine.is_on_this_host() {
            return Some("the engine is on another host".into());
        }
        let running = known.containers.iter().filter(|c| c.seen.state == ContainerState::Running);
        running.map(|container| &container.seen.id).find_map(|id| may_see(id).err())
    }

    /// Every exposed port; `None` if that is not known.
    async fn exposed(
        &self,
        known: &ServiceFacts<'_>,
        model: &ServiceModel,
        of_files: BTreeSet<u16>,
    ) -> Option<BTreeSet<u16>> {
        // It is not known what a missing image will expose.
        let image = self.engine.image_id(&reference(known.resolved, &known.spec.name)).await.ok()??;
        let of_image = self.engine.exposed_ports(&image, &*self.cache).await.ok()?;
        let of_build = match &model.build {
            Some(build) => build.exposed()?,
            None => BTreeSet::new(),
        };
        Some(of_files.into_iter().chain(of_image).chain(of_build).collect())
    }
}

/// Whether a server answered there: then it listens, whatever is declared.
fn is_answered(seen: Option<&RouteObservation>) -> bool {
    let answers = seen.into_iter().flat_map(|seen| &seen.answers);
    answers.into_iter().any(|answer| match &answer.plain {
        Fact::Known(Answer::None(_)) | Fact::Unknown(_) => false,
        Fact::Known(_) => true,
    })
}

/// What to do about a route that nobody can ask at its container.
const BY_URL: &str = "ask by `url`, or remove the route from the manifest";

/// Whether a service of this network mode has no network of its own.
fn is_of_another(mode: &str) -> bool {
    matches!(mode, "none" | "host") || mode.contains(':')
}

fn not_reachable(route: &str, why: &str, next: String) -> Obstacle {
    Obstacle { reason: NoteReason::NotReachable, message: format!("route {route}: {why}"), next }
}

fn not_published(route: &str, service: &str, port: u16) -> Obstacle {
    let why = format!("port {port} of {service} is not published, and the engine is on another host");
    let next = format!("publish it in the Compose files (ports: [\"{port}\"]), or {BY_URL}");
    not_reachable(route, &why, next)
}

fn not_exposed(route: &str, service: &str, port: u16, exposed: &BTreeSet<u16>, image: &str) -> Obstacle {
    let others: Vec<String> = exposed.iter().map(u16::to_string).collect();
    let others = if others.is_empty() { "no port at all".into() } else { others.join(", ") };
    Obstacle {
        reason: NoteReason::PortNotExposed,
        message: format!(
            "route {route}: nothing exposes port {port} of {service}, and nobody answers there: its image and the Compose files \
             expose {others}"
        ),
        next: format!(
            "correct `port`, or declare it in the Compose files (expose: [\"{port}\"]); docker image inspect -f \
             '{{{{.Config.ExposedPorts}}}}' {image} shows what the image exposes"
        ),
    }
}

fn credentials(route: &RouteSpec, auth: &Auth, from: &Path, why: &str) -> Obstacle {
    let source = auth.basic.as_ref().map(|basic| &basic.password_from).or(auth.bearer_from.as_ref());
    let next = match source {
        Some(SecretSource::Env(name)) => {
            format!(
                "export {name}=…; for a daemon: sudo systemctl edit undrift, with Environment={name}=… under [Service]"
            )
        }
        Some(SecretSource::File(name)) => {
            let path = from.join(name);
            format!("ls -l {path}; to write it: sudo install -m 600 /dev/stdin {path}", path = path.display())
        }
        None => "declare a password or a token under `auth`".into(),
    };
    Obstacle {
        reason: NoteReason::CredentialsUnreadable,
        message: format!(
            "route {}: {why}, so what it answers with credentials cannot be verified",
            route.display_name()
        ),
        next,
    }
}

fn certificates(route: &RouteSpec, from: &Path, why: &str) -> Obstacle {
    let file = route.tls.as_ref().and_then(|tls| tls.ca_file.as_deref()).unwrap_or_default();
    Obstacle {
        reason: NoteReason::CredentialsUnreadable,
        message: format!("route {}: {why}, so its answer cannot be verified", route.display_name()),
        next: format!("openssl x509 -noout -subject -in {}", from.join(file).display()),
    }
}

/// Why the service cannot be built at all: an input that Compose would hand to the builder is missing, or blocks its reader
/// forever.
fn no_build(build: &BuildModel) -> Option<Obstacle> {
    let build = build.clone();
    let (message, path) = match files::look(move || no_build_of(&build)) {
        Ok(found) => found?,
        Err(hangs) => (format!("{hangs}, so no build can work"), None),
    };
    let next = match path {
        Some(path) => {
            format!("correct `build` in the Compose files, or bring it back: ls -l {}", path.display())
        }
        None => "mount it anew, or bring the server that it is mounted from back".to_owned(),
    };
    Some(Obstacle { reason: NoteReason::BuildFilesMissing, message, next })
}

/// The obstacle in words, and the path that is missing or unusable; `None` in its place if it does not respond.
fn no_build_of(build: &BuildModel) -> Option<(String, Option<PathBuf>)> {
    let context = PathBuf::from(&build.context);
    if !context.is_absolute() {
        return None;
    }
    match files::metadata(&context) {
        Ok(found) if !found.is_dir() => return None,
        Ok(_) => {}
        Err(error) => return unusable("build context", context, &error),
    }
    let dockerfile = build.dockerfile_path();
    let unreadable = dockerfile.as_deref().and_then(|path| {
        let error = files::is_readable(path, LARGEST_TEXT).err()?;
        unusable("Dockerfile", path.to_owned(), &error)
    });
    unreadable.or_else(|| {
        let more = build.additional_contexts.values().map(Path::new).filter(|context| context.is_absolute());
        let contexts =
            [(&*context, dockerfile.as_deref())].into_iter().chain(more.map(|context| (context, None)));
        contexts.into_iter().find_map(|(root, dockerfile)| unreadable_ignore_file(root, dockerfile))
    })
}

/// The first existing one counts, and none is required.
fn unreadable_ignore_file(root: &Path, dockerfile: Option<&Path>) -> Option<(String, Option<PathBuf>)> {
    let found = ignore_files(root, dockerfile).find_map(|path| {
        let looked = files::is_readable(&path, LARGEST_TEXT);
        let is_absent = looked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        (!is_absent).then_some((path, looked))
    });
    let (path, looked) = found?;
    unusable("ignore file", path, &looked.err()?)
}

fn unusable(what: &str, path: PathBuf, error: &io::Error) -> Option<(String, Option<PathBuf>)> {
    if error.kind() == io::ErrorKind::NotFound {
        return Some((format!("there is no {what} {}, so no build can work", path.display()), Some(path)));
    }
    let why = || format!("{error}, so no build can work");
    files::is_trap(error).then(|| (why(), Some(path).filter(|_| !Hangs::is_why(error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::compose::BuildSettings;

    fn build(context: &Path, dockerfile: Option<&str>) -> BuildModel {
        BuildModel {
            context: context.display().to_string(),
            dockerfile: dockerfile.map(str::to_owned),
            additional_contexts: std::collections::BTreeMap::new(),
            settings: BuildSettings::default(),
        }
    }

    #[test]
    fn a_build_without_its_files_is_found_and_one_from_elsewhere_is_not_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let found =
            |context: &Path, dockerfile| no_build(&build(context, dockerfile)).map(|found| found.message);
        assert!(found(folder.path(), Some("Dockerfile")).unwrap().contains("no Dockerfile "));
        let pipe = folder.path().join("Pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert!(found(folder.path(), Some("Pipe")).unwrap().contains("Pipe is a named pipe"));
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        assert_eq!(found(folder.path(), Some("Dockerfile")), None);
        assert_eq!(found(folder.path(), None), None, "an inline Dockerfile");
        assert!(found(&folder.path().join("no"), Some("Dockerfile")).unwrap().contains("no build context "));
        assert_eq!(found(Path::new("https://example.org/shop.git"), Some("Dockerfile")), None);
    }

    #[test]
    fn a_build_whose_files_are_too_large_to_be_read_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let large = |name: &str| {
            let file = std::fs::File::create(folder.path().join(name)).unwrap();
            file.set_len(3 << 30).unwrap();
        };
        let found = |more: Option<&Path>| {
            let mut build = build(folder.path(), Some("Dockerfile"));
            let more = more.map(|more| ("more".to_owned(), more.display().to_string()));
            build.additional_contexts.extend(more);
            no_build(&build).map(|found| found.message)
        };
        let expected = |name: &str| {
            let path = folder.path().join(name).display().to_string();
            Some(format!("{path} has 3 GiB, and 16 MiB at most are read, so no build can work"))
        };
        large("Dockerfile");
        assert_eq!(found(None), expected("Dockerfile"));
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        large(".dockerignore");
        assert_eq!(found(None), expected(".dockerignore"));
        std::fs::write(folder.path().join("Dockerfile.dockerignore"), "").unwrap();
        assert_eq!(found(None), None, "the Dockerfile has one of its own");
        let other = tempfile::tempdir().unwrap();
        assert_eq!(found(Some(other.path())), None);
        let ignore = other.path().join(".dockerignore");
        std::fs::File::create(&ignore).unwrap().set_len(3 << 30).unwrap();
        assert!(found(Some(other.path())).unwrap().starts_with(&ignore.display().to_string()));
    }
}
