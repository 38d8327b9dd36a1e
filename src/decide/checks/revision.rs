//! The revision: do image, container and route carry the source revision that is expected?
//!
//! A revision that is not known keeps nothing down: a container that has died is repaired all the same. It is different where
//! the expected one is a variable of the Compose files: without it, every container would look as if it were made otherwise.

use super::{LayerVerdict, ServiceView, replicas, worst};
use crate::api::{
    ContainerObservation, Drift, DriftReason, Fact, Layer, Note, NoteReason, RevisionFact,
    RevisionObservation, RevisionPlace, RevisionSpec, ServiceObservation, UnknownReason, is_dirty_revision,
    is_same_revision, short_revision,
};

/// The variable that a snippet names if the spec declares none.
const VARIABLE: &str = "GIT_SHA";

/// The declared and the observed revision of a service.
#[derive(Clone, Copy)]
struct Revision<'a> {
    spec: &'a RevisionSpec,
    seen: &'a RevisionObservation,
}

impl<'a> Revision<'a> {
    fn of(view: ServiceView<'a>) -> Option<Self> {
        Some(Self { spec: view.spec.revision.as_ref()?, seen: view.seen.revision.as_ref()? })
    }

    const fn is_of_routes(self) -> bool {
        matches!(self.spec.from, RevisionPlace::Route(_))
    }

    /// The expected revision; the verdict if it is not known.
    fn expected(self) -> Result<&'a str, LayerVerdict> {
        let (reason, why) = match &self.seen.expected {
            RevisionFact::Known(revision) => return Ok(revision),
            RevisionFact::NotARevision(why) => (UnknownReason::NotARevision, why),
            RevisionFact::Missing(why) | RevisionFact::Unknown(why) => (UnknownReason::NotKnown, why),
            RevisionFact::Limited { .. } => (UnknownReason::RateLimited, &String::new()),
        };
        let message = format!("the expected revision: {why}");
        Err(match self.spec.variable {
            Some(_) => LayerVerdict::Unknown(reason, message),
            None => LayerVerdict::Unverifiable(reason, message),
        })
    }

    /// The verdict on what is found at one place.
    fn judge(self, whose: &str, found: &RevisionFact) -> LayerVerdict {
        let expected = match self.expected() {
            Ok(expected) => expected,
            Err(unknown) => return unknown,
        };
        match found {
            RevisionFact::Known(found) if is_same_revision(expected, found) => LayerVerdict::AsDeclared(None),
            RevisionFact::Known(found) => {
                let dirt = if is_dirty_revision(found) {
                    ", which says of itself that its files were not those of a commit"
                } else {
                    ""
                };
                broken(format!(
                    "{whose} is of revision {}{dirt}; expected is {}",
                    short_revision(found),
                    short_revision(expected)
                ))
            }
            RevisionFact::Missing(what) => broken(format!(
                "{whose} carries no revision ({what}); expected is {}",
                short_revision(expected)
            )),
            RevisionFact::NotARevision(why) => {
                LayerVerdict::Unverifiable(UnknownReason::NotARevision, format!("revision of {whose}: {why}"))
            }
            RevisionFact::Unknown(why) => LayerVerdict::not_verifiable(format!("revision of {whose}: {why}")),
            RevisionFact::Limited { .. } => LayerVerdict::Unverifiable(
                UnknownReason::RateLimited,
                format!("revision of {whose}: the server limits requests"),
            ),
        }
    }
}

const fn broken(message: String) -> LayerVerdict {
    LayerVerdict::Broken(DriftReason::RevisionDiffers, message)
}

/// Of the image behind the reference. An image that could not be observed is not brought up.
pub(super) fn in_image(view: ServiceView<'_>) -> LayerVerdict {
    let Some(revision) = Revision::of(view) else { return LayerVerdict::Undeclared };
    if revision.is_of_routes() {
        // The route layer reports it, unless it is a variable of the Compose files.
        return revision.expected().err().filter(is_unknown).unwrap_or(LayerVerdict::Undeclared);
    }
    let whose = format!("the image {}", view.seen.artifact.reference);
    match &revision.seen.image {
        None => LayerVerdict::Undeclared,
        Some(RevisionFact::Unknown(why)) => LayerVerdict::not_known(format!("revision of {whose}: {why}")),
        Some(found) => revision.judge(&whose, found),
    }
}

const fn is_unknown(verdict: &LayerVerdict) -> bool {
    matches!(verdict, LayerVerdict::Unknown(..))
}

/// Of one replica.
pub(super) fn in_container(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    let Some(revision) = Revision::of(view).filter(|revision| !revision.is_of_routes()) else {
        return LayerVerdict::Undeclared;
    };
    match revision.seen.containers.iter().find(|one| one.container == c.id) {
        Some(found) => revision.judge(&c.name, &found.revision),
        None => LayerVerdict::not_verifiable(format!("revision of {}: it was not looked at", c.name)),
    }
}

/// Of the route of each replica.
pub(super) fn of_routes(view: ServiceView<'_>) -> LayerVerdict {
    let Some(revision) = Revision::of(view).filter(|revision| revision.is_of_routes()) else {
        return LayerVerdict::Undeclared;
    };
    if replicas::none_is_declared(view) {
        return LayerVerdict::Undeclared;
    }
    if revision.seen.routes.is_empty() {
        return LayerVerdict::not_known("revision: no replica runs that could be asked".into());
    }
    worst(revision.seen.routes.iter().map(|one| {
        let mut containers = view.seen.containers.known().into_iter().flatten();
        let name = containers.find(|c| c.id == one.container).map_or(&one.container, |c| &c.name);
        let whose = format!("the answer of {name}");
        match revision.judge(&whose, &one.revision) {
            // A server that has only just started may answer with something else first: that is waited for.
            LayerVerdict::Unverifiable(reason, why) if revision.expected().is_ok() => {
                LayerVerdict::Unknown(reason, why)
            }
            // An answer without it is no evidence of another revision.
            LayerVerdict::Broken(..) if one.revision.known().is_none() => {
                let why = "it has no revision at the declared place";
                LayerVerdict::Unknown(UnknownReason::NotARevision, format!("revision of {whose}: {why}"))
            }
            verdict => verdict,
        }
    }))
}

/// The note on a work tree that the revision does not describe.
pub(super) fn note(view: ServiceView<'_>) -> Option<Note> {
    let revision = Revision::of(view)?;
    let is_dirty = revision.seen.dirty == Some(Fact::Known(true));
    let expected = revision.seen.expected.known().filter(|_| is_dirty)?;
    Some(Note {
        reason: NoteReason::WorkTreeDirty,
        message: format!(
            "the work tree has changes that are not committed, and revision {} does not describe them: commit them, or take \
             them back",
            short_revision(expected)
        ),
    })
}

/// Whether the image and every container are known to carry the expected revision, so that only the route differs.
pub(in crate::decide) fn only_the_route_differs(seen: &ServiceObservation) -> bool {
    let carries = seen.revision.as_ref().is_some_and(|revision| {
        let found = revision.image.as_ref().and_then(RevisionFact::known);
        let both = revision.expected.known().zip(found);
        both.is_some_and(|(expected, found)| is_same_revision(expected, found))
    });
    let runs_it = |c: &ContainerObservation| seen.artifact.image.known() == Some(&Some(c.image_id.clone()));
    carries && seen.containers.known().is_some_and(|all| all.iter().all(runs_it))
}

/// What a person puts where, so that a build makes an image that carries the revision.
pub(in crate::decide) fn remedy(
    spec: &RevisionSpec,
    seen: &ServiceObservation,
    drift: &Drift,
) -> Option<String> {
    if drift.reason != DriftReason::RevisionDiffers {
        return None;
    }
    if drift.layer == Layer::Container {
        return Some(container_remedy(&spec.from));
    }
    let variable = spec.variable.as_deref().unwrap_or(VARIABLE);
    let args = format!(
        "`args: {{ {variable}: \"${{{variable}}}\" }}` below the service's `build` in the Compose file"
    );
    let put = match &spec.from {
        RevisionPlace::Label(label) => format!(
            "Put `labels: {{ {label}: \"${{{variable}}}\" }}` below the service's `build` in the Compose file"
        ),
        RevisionPlace::Env(env) => format!(
            "Put `ARG {variable}` and `ENV {env}=${variable}` into the last stage of the Dockerfile, and {args}"
        ),
        RevisionPlace::File(path) => format!(
            "Put `ARG {variable}` and `RUN echo \"${variable}\" > {path}` into the last stage of the Dockerfile, and {args}"
        ),
        RevisionPlace::Route(route) => format!(
            "Put `ARG {variable}` and `ENV {variable}=${variable}` into the last stage of the Dockerfile, and {args}; {} has to \
             answer with that variable",
            route.path.split('?').next().unwrap_or_default()
        ),
    };
    let declare = match spec.variable {
        Some(_) => String::new(),
        None => format!(", and `variable: {variable}` below `revision` in the manifest"),
    };
    let only_there = if containers_carry_it(seen) {
        "; the containers have it from the Compose file, which says nothing of what the image was built from"
    } else {
        ""
    };
    Some(format!("{put}{declare}{only_there}"))
}

/// What makes a container carry another revision than its image, again and again.
fn container_remedy(from: &RevisionPlace) -> String {
    match from {
        RevisionPlace::Label(label) => {
            format!("The image carries it: remove `{label}` from the service's `labels` in the Compose file")
        }
        RevisionPlace::Env(env) => format!(
            "The image carries it: remove `{env}` from the service's `environment` and env files in the Compose file"
        ),
        RevisionPlace::File(path) => format!(
            "The image carries it: look at what writes {path} in the container, and at the mounts over it"
        ),
        RevisionPlace::Route(_) => String::new(),
    }
}

fn containers_carry_it(seen: &ServiceObservation) -> bool {
    let Some(revision) = &seen.revision else { return false };
    let Some(expected) = revision.expected.known() else { return false };
    let mut found = revision.containers.iter().filter_map(|one| one.revision.known());
    found.any(|found| is_same_revision(expected, found))
}
