//! What image and containers carry as their revision, and what routes answer.

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::{ExpectedRevisions, admission};
use crate::{
    api::{
        ContainerState, Desired, Fact, ReplicaRevision, RevisionFact, RevisionObservation, RevisionPlace,
        RevisionRoute, RevisionSpec, Scheme, ServiceSpec, Tls, is_same_revision,
    },
    host::{
        LocalHost,
        compose::Resolved,
        engine::{Container, FileText, Setting},
        probe::{AnsweredRevision, ReplicaEndpoint},
        redact::Redactor,
    },
};

/// The label of an image that names its source revision: the OCI image specification's annotations.
const STANDARD_LABEL: &str = "org.opencontainers.image.revision";

/// The cache's space. A container's labels and environment never change, and neither does an image.
const SPACE: &str = "revision";

/// What the containers of a service carry, and what their routes answer.
#[derive(Default)]
pub(in crate::host) struct Carried {
    containers: Vec<ReplicaRevision>,
    routes: Vec<ReplicaRevision>,
}

/// The revisions of one observation.
pub(in crate::host) struct Revisions<'a> {
    host: &'a LocalHost,
    desired: &'a Desired,
    resolved: &'a Resolved,
    expected: &'a ExpectedRevisions,
    /// The secrets that are known without Compose.
    known: OnceCell<Redactor>,
    /// All of them. Only a revision that differs is worth the question to Compose.
    all: OnceCell<Redactor>,
}

impl<'a> Revisions<'a> {
    pub(in crate::host) fn new(
        host: &'a LocalHost,
        desired: &'a Desired,
        resolved: &'a Resolved,
        expected: &'a ExpectedRevisions,
    ) -> Self {
        Self { host, desired, resolved, expected, known: OnceCell::new(), all: OnceCell::new() }
    }

    /// What the image carries; `None` if the service declares no revision, or there is no image.
    pub(in crate::host) async fn in_image(
        &self,
        service: &ServiceSpec,
        image: &Fact<Option<String>>,
    ) -> Option<RevisionFact> {
        let (spec, expected) = (service.revision.as_ref()?, self.expected.of(&service.name)?);
        let image = match image {
            Fact::Known(image) => image.as_deref()?,
            Fact::Unknown(why) => return Some(RevisionFact::Unknown(why.clone())),
        };
        let is_same = |found: &RevisionFact| {
            expected
                .known()
                .zip(found.known())
                .is_some_and(|(expected, found)| is_same_revision(expected, found))
        };
        match &spec.from {
            RevisionPlace::Label(label) => {
                Some(self.image_setting(expected, image, Setting::Label(label)).await)
            }
            RevisionPlace::Env(name) => {
                Some(self.image_setting(expected, image, Setting::Variable(name)).await)
            }
            RevisionPlace::File(path) => Some(self.file_in_image(expected, image, path).await),
            RevisionPlace::Route(_) => {
                let found = self.image_setting(expected, image, Setting::Label(STANDARD_LABEL)).await;
                Some(found).filter(is_same)
            }
        }
    }

    /// What the containers of a service carry, or its route answers at those that run.
    pub(in crate::host) async fn in_production(
        &self,
        service: &ServiceSpec,
        containers: Vec<&Container>,
    ) -> Carried {
        let (Some(spec), Some(expected)) = (&service.revision, self.expected.of(&service.name)) else {
            return Carried::default();
        };
        if let RevisionPlace::Route(route) = &spec.from {
            return Carried {
                routes: self.answers(service, route, expected, &containers).await,
                ..Carried::default()
            };
        }
        let found = containers.iter().map(async |container| ReplicaRevision {
            container: container.seen.id.clone(),
            revision: self.in_container(spec, expected, container).await,
        });
        Carried { containers: join_all(found).await, ..Carried::default() }
    }

    /// All of it in one; `None` if the service declares no revision. `sources` is what shows a change of its work tree.
    pub(in crate::host) async fn observation(
        &self,
        service: &ServiceSpec,
        image: Option<RevisionFact>,
        carried: Carried,
        sources: &str,
    ) -> Option<RevisionObservation> {
        let (spec, expected) = (service.revision.as_ref()?, self.expected.of(&service.name)?.clone());
        let dirty = self.host.dirt(self.desired, spec, sources).await;
        let Carried { containers, routes } = carried;
        Some(RevisionObservation { expected, dirty, image, containers, routes })
    }

    async fn in_container(
        &self,
        spec: &RevisionSpec,
        expected: &RevisionFact,
        container: &Container,
    ) -> RevisionFact {
        match &spec.from {
            RevisionPlace::Label(label) => {
                self.container_setting(expected, container, Setting::Label(label)).await
            }
            RevisionPlace::Env(name) => {
                self.container_setting(expected, container, Setting::Variable(name)).await
            }
            RevisionPlace::File(path) => self.file_in_container(expected, container, path).await,
            RevisionPlace::Route(_) => RevisionFact::Unknown("it is asked at the route".into()),
        }
    }

    async fn image_setting(
        &self,
        expected: &RevisionFact,
        image: &str,
        setting: Setting<'_>,
    ) -> RevisionFact {
        self.once(&format!("{image}\n{setting}"), async {
            let found = self.host.engine.image_setting(image, setting).await;
            self.of_setting(expected, setting, found.map_err(|error| error.to_string())).await
        })
        .await
    }

    async fn container_setting(
        &self,
        expected: &RevisionFact,
        container: &Container,
        setting: Setting<'_>,
    ) -> RevisionFact {
        let id = &container.seen.id;
        self.once(&format!("{id}\n{setting}"), async {
            let found = self.host.engine.container_setting(id, setting).await;
            self.of_setting(expected, setting, found.map_err(|error| error.to_string())).await
        })
        .await
    }

    async fn of_setting(
        &self,
        expected: &RevisionFact,
        setting: Setting<'_>,
        found: Result<Option<String>, String>,
    ) -> RevisionFact {
        match found {
            Ok(Some(text)) => self.admitted(expected, setting.name(), &text).await,
            Ok(None) => RevisionFact::Missing(format!("it has no {setting}")),
            Err(why) => RevisionFact::Unknown(why),
        }
    }

    async fn file_in_image(&self, expected: &RevisionFact, image: &str, path: &str) -> RevisionFact {
        self.once(&format!("{image}\nfile {path}"), async {
            self.of_file(expected, path, self.host.engine.text_in_image(image, path).await).await
        })
        .await
    }

    async fn file_in_container(
        &self,
        expected: &RevisionFact,
        container: &Container,
        path: &str,
    ) -> RevisionFact {
        let engine = &self.host.engine;
        let file = match engine.file_in_container(container, path).await {
            Ok(file) => file,
            Err(other) => return self.of_file(expected, path, other).await,
        };
        let key = format!("{}\nfile {path}\n{}", container.seen.id, file.mark());
        self.once(&key, async {
            self.of_file(expected, path, engine.text_of(&container.seen.id, &file).await).await
        })
        .await
    }

    async fn of_file(&self, expected: &RevisionFact, path: &str, found: FileText) -> RevisionFact {
        match found {
            FileText::Text(bytes) => self.admitted(expected, path, &String::from_utf8_lossy(&bytes)).await,
            FileText::Missing => RevisionFact::Missing(format!("it has no {path}")),
            FileText::NoText(what) => RevisionFact::NotARevision(format!("{path} {what}")),
            FileText::Unknown(why) => RevisionFact::Unknown(format!("{path}: {why}")),
        }
    }

    /// What the route of each running container answers.
    async fn answers(
        &self,
        service: &ServiceSpec,
        route: &RevisionRoute,
        expected: &RevisionFact,
        containers: &[&Container],
    ) -> Vec<ReplicaRevision> {
        let running = containers.iter().filter(|container| container.seen.state == ContainerState::Running);
        let scheme = route.scheme.unwrap_or(Scheme::Http);
        let asked = ReplicaEndpoint { scheme, path: &route.path, port: route.port };
        let places = join_all(running.map(|container| self.host.place(container, asked))).await;
        let (tls, files_from) = (tls_at(service, route.port), &self.desired.manifest_directory);
        let answers = places.iter().map(async |place| {
            let answer = self.host.prober.revision(route, tls, place, files_from).await;
            let revision = match answer {
                AnsweredRevision::Text { name, text } => self.admitted(expected, &name, &text).await,
                AnsweredRevision::Missing(what) => RevisionFact::Missing(what),
                AnsweredRevision::NotARevision(why) => RevisionFact::NotARevision(why),
                AnsweredRevision::Unknown(why) => RevisionFact::Unknown(why),
                AnsweredRevision::Limited(again_at) => RevisionFact::Limited { again_at },
            };
            ReplicaRevision { container: place.container.clone().unwrap_or_default(), revision }
        });
        join_all(answers).await
    }

    /// The text, if it may be kept. What is not the expected revision is held against all values that the Compose files give to
    /// containers, too.
    async fn admitted(&self, expected: &RevisionFact, name: &str, text: &str) -> RevisionFact {
        let known = self.known.get_or_init(async || {
            self.host.known_secrets(self.desired).await.with_words(self.resolved.words())
        });
        let found = admission::admitted(known.await, name, text);
        let RevisionFact::Known(revision) = &found else { return found };
        if expected.known().is_some_and(|expected| is_same_revision(expected, revision)) {
            return found;
        }
        let all = self.all.get_or_init(|| self.host.all_secrets(self.desired, self.resolved)).await;
        if all.withheld().is_some() {
            admission::withheld(name)
        } else {
            admission::admitted(all, name, text)
        }
    }

    /// The fact under this key, observed once. Only what may be kept is.
    async fn once(&self, key: &str, observe: impl Future<Output = RevisionFact>) -> RevisionFact {
        let cache = &self.host.cache;
        if let Some(found) = cache.get(SPACE, key).and_then(|text| serde_json::from_str(&text).ok()) {
            return found;
        }
        let found = observe.await;
        let is_kept = matches!(found, RevisionFact::Known(_) | RevisionFact::Missing(_));
        if let Some(text) = is_kept.then(|| serde_json::to_string(&found).ok()).flatten() {
            cache.put(SPACE, key, &text);
        }
        found
    }
}

/// How the service's own routes trust the server at this port.
fn tls_at(service: &ServiceSpec, port: u16) -> Option<&Tls> {
    let same =
        |route: &&crate::api::RouteSpec| route.port == Some(port) && route.scheme == Some(Scheme::Https);
    service.routes.iter().find(same).and_then(|route| route.tls.as_ref())
}
