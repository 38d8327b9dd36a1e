//! The artifact layer: does the image behind the service's reference hold what is declared?

use super::{LayerVerdict, View, worst};
use crate::api::{
    ArtifactObservation, Fact, ModuleObservation, ModuleSpec, Presence, Reason, SourceDrift, Time,
};

pub(super) fn check(view: View<'_>) -> LayerVerdict {
    let seen = view.seen;
    if !seen.buildable && view.spec.modules.is_empty() {
        return LayerVerdict::Undeclared;
    }
    let reference = &seen.artifact.reference;
    match &seen.artifact.image {
        Fact::Unknown(why) => LayerVerdict::not_known(format!("image {reference}: {why}")),
        Fact::Known(None) => without_image(view),
        Fact::Known(Some(_)) => {
            let modules = view.spec.modules.iter().zip(&seen.artifact.modules);
            worst(
                modules
                    .map(|(spec, seen)| module(spec, seen, reference))
                    .chain([source_changed(view), unreadable(view)]),
            )
        }
    }
}

/// Nothing is behind the reference. For a service that Compose cannot build this is no drift: where a container
/// runs, its tag was moved or removed and says nothing about it; where none does, `up` fetches the image.
fn without_image(view: View<'_>) -> LayerVerdict {
    let reference = &view.seen.artifact.reference;
    if view.seen.buildable {
        return LayerVerdict::Broken(Reason::ImageMissing, format!("there is no image {reference}"));
    }
    match &view.seen.containers {
        Fact::Known(containers) if containers.is_empty() => LayerVerdict::Undeclared,
        _ => LayerVerdict::not_known(format!("nothing is behind the reference {reference} any more")),
    }
}

fn module(spec: &ModuleSpec, seen: &ModuleObservation, reference: &str) -> LayerVerdict {
    let (name, path) = (spec.display_name(), &spec.path);
    match &seen.presence {
        Fact::Known(Presence::Present) => LayerVerdict::AsDeclared(None),
        Fact::Known(Presence::Missing) => LayerVerdict::Broken(
            Reason::ModuleMissing,
            format!("module {name} is not in the image {reference}: no {path}"),
        ),
        Fact::Known(Presence::WrongType) => LayerVerdict::Broken(
            Reason::ModuleMissing,
            format!("module {name} is not in the image {reference}: {path} is not what is declared"),
        ),
        Fact::Unknown(why) => {
            LayerVerdict::not_known(format!("module {name} in the image {reference}: {why}"))
        }
    }
}

/// What cannot be read cannot be enforced, and is not silently taken for unchanged.
fn unreadable(view: View<'_>) -> LayerVerdict {
    match (&view.seen.source.unreadable, view.inputs.desired.object.spec.source.drift) {
        (Some(what), SourceDrift::Enforce) => LayerVerdict::not_known(format!(
            "whether the source has changed since the image was built cannot be known ({what}), and `source.drift: \
             enforce` asks for it"
        )),
        _ => LayerVerdict::AsDeclared(None),
    }
}

fn source_changed(view: View<'_>) -> LayerVerdict {
    let policy = view.inputs.desired.object.spec.source.drift;
    let Some((then, words)) = source_then(&view.seen.artifact) else { return LayerVerdict::AsDeclared(None) };
    match (&view.seen.source.digest, policy) {
        (_, SourceDrift::Ignore) | (Fact::Known(None), _) | (Fact::Unknown(_), SourceDrift::Report) => {
            LayerVerdict::AsDeclared(None)
        }
        (Fact::Known(Some(now)), _) if now == then => LayerVerdict::AsDeclared(None),
        (Fact::Known(Some(now)), _) if form(now) != form(then) => LayerVerdict::AsDeclared(Some(
            "whether the source has changed since this image was built is not known: another version of undrift built it".into(),
        )),
        (Fact::Known(Some(_)), SourceDrift::Report) if view.seen.artifact.built_from.is_some() => {
            LayerVerdict::AsDeclared(Some("the source has changed since this image was built".into()))
        }
        (Fact::Known(Some(_)), SourceDrift::Report) => LayerVerdict::AsDeclared(Some(words)),
        (Fact::Known(Some(_)), SourceDrift::Enforce) => LayerVerdict::Broken(Reason::SourceChanged, words),
        (Fact::Unknown(why), SourceDrift::Enforce) => LayerVerdict::not_known(format!("build context: {why}")),
    }
}

/// The source that the image cannot be newer than, and what is said where the source is another now. What undrift built
/// itself it knows best; of any other image it knows only since when it has been there.
fn source_then(seen: &ArtifactObservation) -> Option<(&String, String)> {
    let reference = &seen.reference;
    if let Some(built_from) = &seen.built_from {
        return Some((built_from, format!("the source has changed since the image {reference} was built")));
    }
    let sight = seen.first_sight.as_ref()?;
    let second = |time: Time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let changed = sight.changed_at.map(|at| format!(" (seen at {})", second(at))).unwrap_or_default();
    let words = format!(
        "the source has changed{changed} since the image {reference} was seen first, at {}: an image that is older than a \
         change cannot hold it",
        second(sight.at)
    );
    Some((&sight.digest, words))
}

/// By which rule a digest was made, as it says before its last colon. Those of two rules differ for the same source, so
/// that an upgrade of undrift would rebuild everything.
#[must_use]
pub fn form(digest: &str) -> &str {
    digest.rsplit_once(':').map_or("", |(form, _)| form)
}
