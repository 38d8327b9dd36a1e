//! Whether something undoes each repair of a drift: a verified repair that does not last.
//!
//! A verified repair counts as a success, and a drift that comes back minutes later as a new one. A service that changes its own
//! files after each start would so be recreated for ever, and no budget would end it. Therefore a row remembers its verified
//! repairs, each with a digest of what the drift looked like. What a person changes by hand now and then is repaired each time.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use sha2::{Digest as _, Sha256};

use super::{Inputs, start};
use crate::api::{
    Attempt, ContentObservation, Drift, DriftReason, Fact, Layer, ModuleInContainer, Presence,
    ServiceObservation, Time, VerifiedRepair,
};

/// How many verified repairs of one drift in a row may be undone. The next one would be undone as well.
const MOST: usize = 3;

/// The same whatever the drift looked like: a service that changes one file after a minute and another one later looks otherwise at
/// each observation.
const MOST_OF_ANY: usize = 6;

/// Repairs that are further apart are not in a row, and a drift that has stayed away for this long begins anew: a person may change
/// the same file once a day.
const IN_A_ROW: TimeDelta = TimeDelta::hours(12);

/// A digest of what the drift looks like, with what a repair starts from: the same digest after a verified repair means that
/// something has undone it. `None` for a drift that a running service does not cause, or if not all of it is known.
///
/// The build context is no part of it: one that changes by itself (a log in it) would make each drift a new one. A source that
/// was fixed makes another image. What a service answers in the place of its revision may be another one each time, too.
pub(super) fn cause(seen: &ServiceObservation, drift: &Drift) -> Option<String> {
    let looks: BTreeSet<String> = match (drift.layer, drift.reason) {
        (Layer::Container, DriftReason::ContentDiffers) => of_modules(seen, differences),
        (Layer::Container, DriftReason::ModuleMissing) => of_modules(seen, absence),
        (Layer::Container | Layer::Route, DriftReason::RevisionDiffers) => BTreeSet::new(),
        _ => return None,
    };
    // A build is the repair of what a route answers, and makes another image each time.
    let image = match &seen.artifact.image {
        _ if drift.layer == Layer::Route => None,
        Fact::Known(image) => image.clone(),
        Fact::Unknown(_) => return None,
    };
    let (config, revision) = (seen.config_hash.clone()?, start::revision(seen)?);
    let starts_from = [config, revision.unwrap_or_default(), image.unwrap_or_default()];
    let mut hash = Sha256::new();
    for text in starts_from.into_iter().chain(looks) {
        hash.update(text.as_bytes());
        // No path and no digest holds it.
        hash.update([0]);
    }
    Some(hex::encode(hash.finalize()))
}

/// What is said of each module of each replica, by its position: a spec with other modules has rows of its own.
fn of_modules(seen: &ServiceObservation, look: fn(&ModuleInContainer) -> Option<String>) -> BTreeSet<String> {
    let containers = seen.containers.known().into_iter().flatten();
    let modules = containers.flat_map(|container| container.modules.iter().enumerate());
    modules.filter_map(|(index, module)| Some(format!("{index}: {}", look(module)?))).collect()
}

fn differences(module: &ModuleInContainer) -> Option<String> {
    match module.content.as_ref()? {
        // Entries that only the container has are no drift.
        ContentObservation::Compared(compared) if !compared.holds_the_source() => {
            Some(format!("{} {} {:?}", compared.differing, compared.missing, compared.named))
        }
        _ => None,
    }
}

fn absence(module: &ModuleInContainer) -> Option<String> {
    matches!(&module.presence, Fact::Known(Presence::Missing | Presence::WrongType)).then(String::new)
}

/// Why no further repair of the drift is tried, in words, if [`MOST`] verified ones in a row were undone, or [`MOST_OF_ANY`] that
/// looked otherwise.
pub(super) fn in_a_row(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    seen: &ServiceObservation,
    drift: &Drift,
) -> Option<String> {
    let cause = cause(seen, drift)?;
    let rows =
        rows.iter().filter(|row| row.service == seen.name && row.generation == inputs.history.generation);
    let of_drift = rows.filter(|row| (row.layer, row.reason) == (drift.layer, drift.reason));
    let repairs: Vec<&VerifiedRepair> = of_drift.flat_map(|row| &row.verified_repairs).collect();
    // A drift that comes after a long time has another cause, also if nobody looked in between. It cannot be told when a drift
    // began in an incident that is open for another one; it counts from the beginning of the incident.
    let began = inputs.history.incident.as_ref().map_or(inputs.now, |incident| incident.opened_at);
    if is_in_a_row(repairs.iter().filter(|repair| repair.cause == cause), MOST, began) {
        return Some(in_words(drift, MOST));
    }
    // What a route answers is another revision with each commit.
    let is_of_files = drift.layer == Layer::Container;
    (is_of_files && is_in_a_row(repairs.iter(), MOST_OF_ANY, began)).then(|| in_words(drift, MOST_OF_ANY))
}

/// Whether the last repairs, so many of them, are in a row, together with a drift that began at this time.
fn is_in_a_row<'r>(repairs: impl Iterator<Item = &'r &'r VerifiedRepair>, most: usize, began: Time) -> bool {
    let mut times: Vec<Time> = repairs.map(|repair| repair.at).collect();
    times.sort_unstable();
    let Some(first) = times.len().checked_sub(most) else { return false };
    // Of a drift that began before the last repair in its incident, the repair itself is the last thing known.
    let next = times[first + 1..].iter().copied().chain([began]);
    times[first..].iter().zip(next).all(|(repair, next)| next - *repair < IN_A_ROW)
}

fn in_words(drift: &Drift, most: usize) -> String {
    let remedy = match drift.reason {
        DriftReason::ContentDiffers => {
            "; what it may change belongs in the module's `ignore`, or outside of the module, on a volume"
        }
        DriftReason::ModuleMissing => "; look at what removes the module in a running container",
        _ => "",
    };
    format!(
        "{}; {most} repairs in a row were verified, and each was undone later: the service changes its own files after its start, or \
         something else changes them{remedy}; nothing is tried again until the spec, the source or the image changes",
        drift.message
    )
}

/// The row once its service was verified: the repair that it stands for is remembered, with the time at which it began.
pub(super) fn after_verified_repair(row: Attempt) -> Attempt {
    let Some(cause) = row.cause else { return row };
    let mut verified_repairs = row.verified_repairs;
    verified_repairs.push(VerifiedRepair { cause, at: row.last_at });
    let surplus = verified_repairs.len().saturating_sub(MOST_OF_ANY);
    verified_repairs.drain(..surplus);
    Attempt { cause: None, verified_repairs, ..row }
}

/// Whether a row stays although its last repair is history: for its verified repairs, until the drift has stayed away for
/// [`IN_A_ROW`].
pub(super) fn is_to_keep(inputs: Inputs<'_>, row: &Attempt, drift: Option<&Drift>) -> bool {
    let is_drifting = drift.is_some_and(|drift| (drift.layer, drift.reason) == (row.layer, row.reason));
    // If the clock was set back, a time in the future is as long ago as its distance from now.
    let is_recent = |repair: &VerifiedRepair| (inputs.now - repair.at).abs() < IN_A_ROW;
    let last = row.verified_repairs.last().filter(|_| row.healed && row.gave_up.is_none());
    last.is_some_and(|last| is_drifting || is_recent(last))
}
