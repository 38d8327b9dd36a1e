//! The source that a repair starts from, and whether another source gets another chance.
//!
//! A budget belongs to a source: a person who fixes the build context, the configuration or, if Compose does not build the
//! image, the image itself gets a new chance. A context that changes by itself (a log in it, a database) must not: undrift
//! would build it, and perhaps roll it back, for ever.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::{Inputs, escalation::follows_the_source};
use crate::api::{
    Attempt, ContainerState, Drift, DriftReason, Entries, Expansion, Fact, ServiceObservation, Time,
};

/// The source that a repair of the service starts from; `None` if not all of it is known.
pub(super) fn start(seen: &ServiceObservation) -> Option<String> {
    let context = match &seen.source.digest {
        Fact::Known(digest) => digest.clone(),
        Fact::Unknown(_) => return None,
    };
    let config = format!("config:{}", seen.config_hash.as_ref()?);
    let image = match &seen.artifact.image {
        _ if seen.buildable => None,
        Fact::Known(image) => Some(format!("image:{}", image.as_deref().unwrap_or("none"))),
        Fact::Unknown(_) => return None,
    };
    let entries = entries(&seen.source.expansions)?;
    let jobs = seen.ties.jobs.as_ref().map(|jobs| format!("jobs:{jobs}"));
    if jobs.is_none() && !seen.ties.waits_for.is_empty() {
        return None;
    }
    let revision = revision(seen)?;
    let parts = [context, Some(config), image, jobs, entries, revision].into_iter();
    let parts: Vec<String> = parts.flatten().collect();
    Some(parts.join(" "))
}

/// The same for a repair of a drift with this reason: of mounted files, what they hold is a part of the source, too. It is not
/// for any other drift, since they are seen only while a container runs.
pub(super) fn start_of(seen: &ServiceObservation, reason: DriftReason) -> Option<String> {
    let start = start(seen)?;
    if reason != DriftReason::MountChanged {
        return Some(start);
    }
    // What a stopped container mounts is not read before its start.
    let running =
        seen.containers.known().into_iter().flatten().filter(|c| c.state == ContainerState::Running);
    let files = running.flat_map(|c| &c.mounted);
    let digests: BTreeSet<(&str, Option<&str>)> =
        files.map(|file| (file.source.as_str(), file.digest.as_deref())).collect();
    let mut hash = Sha256::new();
    for (source, digest) in digests {
        for text in [source, digest.unwrap_or_default()] {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
    }
    Some(format!("{start} mounts:{}", hex::encode(hash.finalize())))
}

/// How the part of a start begins that is the expected revision.
const REVISION: &str = "revision:";

/// The expected revision: another commit is another source, also where no digest covers what it changed. `None` if that is not
/// known, `Some(None)` if none is declared.
#[expect(clippy::option_option, reason = "the outer one is what is known, as in `start`")]
pub(super) fn revision(seen: &ServiceObservation) -> Option<Option<String>> {
    match &seen.revision {
        None => Some(None),
        Some(revision) => revision.expected.known().map(|expected| Some(format!("{REVISION}{expected}"))),
    }
}

/// Whether another revision was expected when the last step of this row began. A start that was not known then proves nothing:
/// it would make every look a new chance.
pub(super) fn is_of_another_revision(row: &Attempt, seen: &ServiceObservation) -> bool {
    let of = |start: &str| start.split(' ').find(|part| part.starts_with(REVISION)).map(str::to_owned);
    let (then, now) = (row.source_digest.as_deref().and_then(of), revision(seen).flatten());
    row.reason == DriftReason::RevisionDiffers && then.is_some() && now.is_some() && then != now
}

/// What each `each` gives: a new entry is a change of the source, also where no digest covers its folder. `None` if that is not
/// known, `Some(None)` without any `each`.
#[expect(clippy::option_option, reason = "the outer one is what is known, as in `start`")]
fn entries(expansions: &[Expansion]) -> Option<Option<String>> {
    let mut hash = Sha256::new();
    for expansion in expansions {
        let Entries::Found(names) = &expansion.entries else { return None };
        for text in names.iter().chain([&expansion.each]) {
            hash.update(text.as_bytes());
            // No file name holds it.
            hash.update([0]);
        }
    }
    Some((!expansions.is_empty()).then(|| format!("entries:{}", hex::encode(hash.finalize()))))
}

/// Whether a row has the source that a repair would start from now. An unknown source is no new chance, and within one
/// incident none is.
pub(super) fn is_current(inputs: Inputs<'_>, row: &Attempt, seen: &ServiceObservation) -> bool {
    let in_this_incident = inputs.history.incident.as_ref().is_some_and(|incident| {
        // A time in the future is from before the clock was set back, and so from before the incident.
        row.last_at >= incident.opened_at && row.last_at <= inputs.now
    });
    is_of(inputs, row, seen)
        && (in_this_incident
            || start_of(seen, row.reason).is_none_or(|start| row.source_digest.as_ref() == Some(&start)))
}

fn is_of(inputs: Inputs<'_>, row: &Attempt, seen: &ServiceObservation) -> bool {
    row.service == seen.name && row.generation == inputs.history.generation
}

/// The longest wait before another source gets its chance.
const LONGEST: TimeDelta = TimeDelta::days(1);

/// The earliest time at which another source may get its chance, if that is in the future.
///
/// The first one after a budget was spent without success is free. From then on, and from the first one on after a rollback,
/// which has cost its users something, each waits twice as long as the one before, beginning with the longest backoff, while
/// the service was not healthy in between. Of rebuilds that only the source requires, three in a row are free, and each
/// further one waits for the longest backoff alone: it may be a person's next commit.
pub(super) fn not_before(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    seen: &ServiceObservation,
    drift: &Drift,
) -> Option<Time> {
    // A budget that went on with another source was one chance, and has one row that counts.
    let is_earlier =
        |row: &&Attempt| is_of(inputs, row, seen) && !is_current(inputs, row, seen) && !row.continued;
    let earlier = || rows.iter().filter(is_earlier);
    let of_drift = || earlier().filter(|row| (row.layer, row.reason) == (drift.layer, drift.reason));
    let in_vain = of_drift().filter(|row| !row.healed).count();
    // If the source is enforced, a context that changes by itself builds successfully each time, and each time without effect.
    let rebuilt = if follows_the_source(drift) { of_drift().count() } else { 0 };
    // One start may have been given up at several drifts: it was one chance all the same.
    let given_up = || earlier().filter(|row| row.gave_up.is_some()).map(|row| row.source_digest.as_ref());
    let unknown = given_up().filter(Option::is_none).count();
    let given_up = given_up().flatten().collect::<BTreeSet<_>>().len() + unknown;
    let fruitless = in_vain.saturating_sub(1).max(given_up);
    let doubled = match fruitless.checked_sub(1) {
        Some(doubled) => u32::try_from(doubled).unwrap_or(u32::MAX).min(20),
        None if rebuilt > 2 => 0,
        None => return None,
    };
    let backoff = inputs.desired.object.spec.reconcile.backoff.max.delta();
    let wait = (backoff * (1 << doubled)).min(LONGEST.max(backoff));
    // If the clock was set back, repairs lie in the future: their age is unknown.
    let last = earlier().map(|row| row.last_at).filter(|last| *last <= inputs.now).max()?;
    Some(last + wait).filter(|at| *at > inputs.now)
}
