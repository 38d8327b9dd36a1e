//! Whether a module's files are the same as in the source, where the spec declares that.
//!
//! What cannot be compared is not as declared, and holds up no repair of anything else: a container that is down is started
//! whatever its files are.

use super::{LayerVerdict, ServiceView};
use crate::api::{
    ContainerObservation, Content, ContentObservation, DriftReason, MOST_NAMED, ModuleInContainer,
    ModuleObservation, ModuleSpec, Note, NoteReason, ServiceObservation, UnknownReason,
};

/// The files of a module that is in the image.
pub(super) fn in_image(spec: &ModuleSpec, seen: &ModuleObservation, reference: &str) -> LayerVerdict {
    let place = format!("the image {reference}");
    match declared(spec, seen.content.as_ref()) {
        Some(ContentObservation::Compared(compared)) if !compared.is_same() => LayerVerdict::Broken(
            DriftReason::ContentDiffers,
            format!("{} is not the same in {place}: {}", of_source(spec), compared.in_words()),
        ),
        seen => not_compared(spec, &place, seen),
    }
}

/// The files of a module that is in the container. More than in the source is a note: services write files.
pub(super) fn in_container(
    spec: &ModuleSpec,
    seen: &ModuleInContainer,
    container: &ContainerObservation,
) -> LayerVerdict {
    let compared = match declared(spec, seen.content.as_ref()) {
        Some(ContentObservation::Compared(compared)) if !compared.holds_the_source() => compared,
        seen => return not_compared(spec, &container.name, seen),
    };
    let words = format!("{} is not the same in {}: {}", of_source(spec), container.name, compared.in_words());
    match &seen.covered_by {
        Some(mount) => LayerVerdict::Broken(
            DriftReason::ShadowedByMount,
            format!(
                "{words}; it is what the {} {} at {} holds, and no rebuild changes that",
                mount.kind, mount.source, mount.destination
            ),
        ),
        None => LayerVerdict::Broken(DriftReason::ContentDiffers, words),
    }
}

fn declared<'a>(spec: &ModuleSpec, seen: Option<&'a ContentObservation>) -> Option<&'a ContentObservation> {
    seen.filter(|_| spec.content == Content::Same)
}

fn of_source(spec: &ModuleSpec) -> String {
    format!("{}, the source of module {},", spec.source.as_deref().unwrap_or_default(), spec.display_name())
}

fn not_compared(spec: &ModuleSpec, place: &str, seen: Option<&ContentObservation>) -> LayerVerdict {
    let (reason, why) = match seen {
        None | Some(ContentObservation::Compared(_)) => return LayerVerdict::AsDeclared(None),
        Some(ContentObservation::TooLarge(why)) => (UnknownReason::TooLarge, why),
        Some(ContentObservation::Unknown(why)) => (UnknownReason::NotKnown, why),
    };
    let name = spec.display_name();
    let message = format!("whether module {name} in {place} is the same as its source is not known: {why}");
    LayerVerdict::Unverifiable(reason, message)
}

/// A note for each module of which the containers have more than the source, once.
pub(super) fn notes(view: ServiceView<'_>) -> Vec<Note> {
    let containers = view.seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    let rows = view.spec.modules.iter().enumerate();
    rows.filter_map(|(index, spec)| {
        containers.iter().find_map(|container| added(spec, container.modules.get(index)?, &container.name))
    })
    .collect()
}

fn added(spec: &ModuleSpec, seen: &ModuleInContainer, container: &str) -> Option<Note> {
    let Some(ContentObservation::Compared(compared)) = declared(spec, seen.content.as_ref()) else {
        return None;
    };
    let named: Vec<&str> = compared.named_added.iter().take(MOST_NAMED).map(String::as_str).collect();
    let files = if compared.added == 1 { "1 entry" } else { &format!("{} entries", compared.added) };
    (compared.added > 0).then(|| Note {
        reason: NoteReason::ContentAdded,
        message: format!(
            "{container} has {files} in module {} that its source does not have: {}",
            spec.display_name(),
            named.join(", ")
        ),
    })
}

/// Whether a comparison failed that may succeed at the next observation.
pub(in crate::decide) fn may_be_known_soon(seen: &ServiceObservation) -> bool {
    let containers = seen.containers.known().into_iter().flatten();
    let in_containers = containers.flat_map(|container| &container.modules).map(|module| &module.content);
    let mut all = seen.artifact.modules.iter().map(|module| &module.content).chain(in_containers);
    all.any(|content| matches!(content, Some(ContentObservation::Unknown(_))))
}
