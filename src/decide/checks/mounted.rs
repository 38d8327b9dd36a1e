//! Files of the host that are mounted into containers: do the containers' processes have the bytes of now?

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{Inputs, LayerVerdict, ServiceView};
use crate::api::{
    ContainerObservation, DriftReason, Fact, MountPolicy, MountedFile, Note, NoteReason, ServiceObservation,
    Time,
};

/// A file that changed within this time may be half written. undrift ends no container for such a file.
const QUIET: TimeDelta = TimeDelta::seconds(2);

/// How many files a message names.
const NAMED: usize = 3;

/// Whether a container must be reloaded or restarted for a file, if the spec enforces that. What is not known is a note only.
pub(super) fn check(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    let changed: Vec<&MountedFile> = changed(c).collect();
    if view.spec.mounts != MountPolicy::Enforce || changed.is_empty() {
        return LayerVerdict::AsDeclared(None);
    }
    if let Some(young) = changed.iter().find(|file| is_young(view.inputs, file)) {
        return LayerVerdict::not_known(format!(
            "{}, which {} mounts at {}, changed just now, and may still be changing; declare `mounts: report` if it changes \
             all the time",
            young.source, c.name, young.target
        ));
    }
    LayerVerdict::Broken(DriftReason::MountChanged, in_words(&changed, c))
}

/// The notes on the service's mounted files: what changed, unless the spec enforces or ignores that, and what is not known.
pub(super) fn notes(view: ServiceView<'_>) -> Vec<Note> {
    let containers = || view.seen.containers.known().into_iter().flatten();
    let mut noted = BTreeSet::new();
    // Replicas mount the same files.
    let mut is_new = |file: &&MountedFile| noted.insert(file.source.clone());
    let mut messages = Vec::new();
    for c in containers().filter(|_| view.spec.mounts != MountPolicy::Ignore) {
        let reported = changed(c).filter(|_| view.spec.mounts == MountPolicy::Report);
        let reported: Vec<&MountedFile> = reported.filter(&mut is_new).collect();
        messages.extend((!reported.is_empty()).then(|| in_words(&reported, c)));
        let unknown = c.mounted.iter().filter_map(|file| Some((file, file.changed.why_unknown()?)));
        messages.extend(unknown.filter(|(file, _)| is_new(file)).map(|(file, why)| {
            format!("whether {} has changed since {} was started is not known: {why}", file.source, c.name)
        }));
    }
    let note = |message| Note { reason: NoteReason::MountChanged, message };
    messages.into_iter().map(note).collect()
}

/// Whether a signal would not be enough: a container has another file than the one at the path, or may have.
pub(in crate::decide) fn needs_restart(seen: &ServiceObservation) -> bool {
    let mut changed = seen.containers.known().into_iter().flatten().flat_map(changed);
    changed.any(|file| file.replaced != Fact::Known(false))
}

fn changed(c: &ContainerObservation) -> impl Iterator<Item = &MountedFile> {
    c.mounted.iter().filter(|file| file.changed == Fact::Known(true))
}

/// If the clock was set back, a time in the future is as long ago as its distance from now.
fn is_young(inputs: Inputs<'_>, file: &MountedFile) -> bool {
    file.changed_at.is_some_and(|at: Time| (inputs.now - at).abs() < QUIET)
}

fn in_words(files: &[&MountedFile], c: &ContainerObservation) -> String {
    let named: Vec<String> = files.iter().take(NAMED).map(|file| of_file(file)).collect();
    let more = files.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if files.len() == 1 { "has" } else { "have" };
    format!("{}{more} {verb} changed since {} was started or last reloaded", named.join(", "), c.name)
}

fn of_file(file: &MountedFile) -> String {
    let MountedFile { source, target, .. } = file;
    let is_replaced = file.replaced == Fact::Known(true);
    let what = if is_replaced { "is another file now than the one mounted at" } else { "mounted at" };
    format!("{source} ({what} {target})")
}
