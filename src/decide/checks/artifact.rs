//! The artifact layer: does the image that the service's reference names hold what is declared?

use super::{LayerVerdict, ServiceView, content, revision, worst};
use crate::api::{
    ArtifactObservation, BuildResult, DriftReason, Fact, ModuleObservation, ModuleSpec, Presence,
    ServiceObservation, SourceComparison, SourceDrift, Time, UnknownReason, compare_sources, is_torn,
    knows_less,
};

pub(super) fn check(view: ServiceView<'_>) -> LayerVerdict {
    let seen = view.seen;
    // Of a service without any image of its own, too: whatever a step would make of it would be made with another value.
    if let Some(variable) = &seen.unresolved {
        return LayerVerdict::Unknown(variable.reason, variable.message.clone());
    }
    if !seen.buildable && view.spec.modules.is_empty() && view.spec.revision.is_none() {
        return LayerVerdict::Undeclared;
    }
    let reference = &seen.artifact.reference;
    match &seen.artifact.image {
        Fact::Unknown(why) => LayerVerdict::not_known(format!("image {reference}: {why}")),
        Fact::Known(None) => without_image(view),
        Fact::Known(Some(_)) => {
            let modules = view.spec.modules.iter().zip(&seen.artifact.modules);
            worst(modules.map(|(spec, seen)| module(spec, seen, reference)).chain([
                revision::in_image(view),
                checked_build(view),
                source_changed(view),
                unreadable(view),
            ]))
        }
    }
}

/// The reference names no image. For a service that Compose cannot build this is no drift. If a container runs, its tag was
/// moved or removed, which does not affect it; if none does, `up` pulls the image.
fn without_image(view: ServiceView<'_>) -> LayerVerdict {
    let reference = &view.seen.artifact.reference;
    if view.seen.buildable {
        return LayerVerdict::Broken(DriftReason::ImageMissing, format!("there is no image {reference}"));
    }
    match &view.seen.containers {
        Fact::Known(containers) if containers.is_empty() => LayerVerdict::Undeclared,
        _ => LayerVerdict::not_known(format!("nothing is behind the reference {reference} any more")),
    }
}

fn module(spec: &ModuleSpec, seen: &ModuleObservation, reference: &str) -> LayerVerdict {
    let (name, path) = (spec.display_name(), &spec.path);
    match &seen.presence {
        Fact::Known(Presence::Present) => content::in_image(spec, seen, reference),
        Fact::Known(Presence::Missing) => LayerVerdict::Broken(
            DriftReason::ModuleMissing,
            format!("module {name} is not in the image {reference}: no {path}"),
        ),
        Fact::Known(Presence::WrongType) => LayerVerdict::Broken(
            DriftReason::ModuleMissing,
            format!("module {name} is not in the image {reference}: {path} is not what is declared"),
        ),
        Fact::Unknown(why) => {
            LayerVerdict::not_known(format!("module {name} in the image {reference}: {why}"))
        }
    }
}

/// An unreadable source cannot be enforced, and does not silently count as unchanged. The running containers and the image's
/// content are known all the same: the service is repaired as if the source were only reported.
fn unreadable(view: ServiceView<'_>) -> LayerVerdict {
    match (&view.seen.source.unreadable, view.inputs.desired.object.spec.source.drift) {
        (Some(what), SourceDrift::Enforce) => LayerVerdict::not_verifiable(format!(
            "whether the source has changed since the image was built cannot be known ({what}), and `source.drift: \
             enforce` asks for it"
        )),
        _ => LayerVerdict::AsDeclared(None),
    }
}

/// How many torn builds in a row are not brought up where the source is not enforced. A context that never keeps still (a log
/// in it, a database) must not keep a service down for which nobody asked about the source.
const TORN_BUILDS: usize = 2;

/// An image whose source changed while undrift built it, and that no container runs: what it holds is not known, so another
/// build comes before it is brought up, whatever the policy.
fn torn(view: ServiceView<'_>) -> Option<LayerVerdict> {
    let (seen, inputs) = (view.seen, view.inputs);
    let image = seen.artifact.image.known()?.as_ref()?;
    seen.artifact.built_from.as_deref().filter(|digest| is_torn(digest))?;
    let is_run = seen.containers.known()?.iter().any(|container| container.image_id == *image);
    let is_enforced = inputs.desired.object.spec.source.drift == SourceDrift::Enforce;
    let builds = inputs.history.incident.as_ref().map_or(0, |incident| incident.builds_since_up(&seen.name));
    if is_run || !is_enforced && builds >= TORN_BUILDS {
        return None;
    }
    let reference = &seen.artifact.reference;
    Some(LayerVerdict::Broken(
        DriftReason::SourceChanged,
        format!("the source changed while the image {reference} was built, so that it is not brought up"),
    ))
}

/// What `check --build` found, while the source is what it built. What it could not find out is not as declared in its own run
/// and forgotten after it.
fn checked_build(view: ServiceView<'_>) -> LayerVerdict {
    let (seen, now) = (&view.seen.artifact, &view.seen.source.digest);
    let Some(check) = &seen.build_check else { return LayerVerdict::AsDeclared(None) };
    let words = check.in_words(&seen.reference);
    match &check.result {
        BuildResult::Unknown(_) => LayerVerdict::not_verifiable(words),
        BuildResult::TooLarge(_) => LayerVerdict::Unverifiable(UnknownReason::TooLarge, words),
        _ if !check.is_of(now) => LayerVerdict::AsDeclared(None),
        BuildResult::Same(_) => LayerVerdict::AsDeclared(Some(words)),
        BuildResult::Differs(_) if view.inputs.desired.object.spec.source.drift != SourceDrift::Enforce => {
            LayerVerdict::AsDeclared(Some(words))
        }
        BuildResult::Differs(_) if is_built_from(seen, now) => LayerVerdict::AsDeclared(Some(format!(
            "{words}; undrift built that image from this very source, so the build does not give the same image twice, or an \
             image that it begins with has changed"
        ))),
        BuildResult::Differs(_) => LayerVerdict::Broken(DriftReason::SourceChanged, words),
    }
}

/// Whether the image is known to be built from the present source, and from all of it.
fn is_built_from(seen: &ArtifactObservation, now: &Fact<Option<String>>) -> bool {
    let (Some(then), Fact::Known(Some(now))) = (&seen.built_from, now) else { return false };
    compare_sources(then, now) == SourceComparison::Same && !knows_less(then, now)
}

fn source_changed(view: ServiceView<'_>) -> LayerVerdict {
    if let Some(torn) = torn(view) {
        return torn;
    }
    let policy = view.inputs.desired.object.spec.source.drift;
    match (&view.seen.source.digest, policy) {
        (_, SourceDrift::Ignore) | (Fact::Known(None), _) | (Fact::Unknown(_), SourceDrift::Report) => {
            LayerVerdict::AsDeclared(None)
        }
        (Fact::Unknown(why), SourceDrift::Enforce) => {
            LayerVerdict::not_verifiable(format!("build context: {why}"))
        }
        (Fact::Known(Some(now)), _) => {
            worst(sources_then(view.seen, now).map(|then| since(then, now, policy)))
        }
    }
}

/// A source that the image cannot be newer than.
struct EarlierSource<'a> {
    digest: &'a str,
    /// The message if the source is different now.
    changed: String,
    /// The message if that is only reported.
    reported: String,
}

fn since(then: EarlierSource<'_>, now: &str, policy: SourceDrift) -> LayerVerdict {
    match (compare_sources(then.digest, now), policy) {
        (SourceComparison::Same, _) => LayerVerdict::AsDeclared(None),
        (SourceComparison::OtherRule, _) => LayerVerdict::AsDeclared(Some(
            "whether the source has changed since this image was built is not known: another version of undrift built it".into(),
        )),
        (SourceComparison::Changed, SourceDrift::Enforce) => {
            LayerVerdict::Broken(DriftReason::SourceChanged, then.changed)
        }
        (SourceComparison::Changed, _) => LayerVerdict::AsDeclared(Some(then.reported)),
    }
}

/// undrift knows best what it built itself. Of any other image, and of base images that it did not know at the time of its
/// build, it knows only since when they have existed.
fn sources_then<'a>(
    seen: &'a ServiceObservation,
    now: &str,
) -> impl Iterator<Item = EarlierSource<'a>> + use<'a> {
    let seen = &seen.artifact;
    let reference = &seen.reference;
    let is_all = |then: &String| !knows_less(then, now);
    let sight = seen.first_sight.as_ref().filter(|_| !seen.built_from.as_ref().is_some_and(is_all));
    let built = seen.built_from.as_deref().map(|digest| EarlierSource {
        digest,
        changed: format!("the source has changed since the image {reference} was built"),
        reported: "the source has changed since this image was built".into(),
    });
    let sight = sight.map(|sight| {
        let second = |time: Time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let changed = sight.changed_at.map(|at| format!(" (seen at {})", second(at))).unwrap_or_default();
        let words = format!(
            "the source has changed{changed} since the image {reference} was seen first, at {}: an image that is older than a \
             change cannot hold it",
            second(sight.at)
        );
        EarlierSource { digest: &sight.digest, changed: words.clone(), reported: words }
    });
    built.into_iter().chain(sight)
}
