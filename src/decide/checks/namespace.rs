//! Containers that live in another's namespaces: do the namespaces that they joined still exist?

use chrono::TimeDelta;

use super::{Inputs, LayerVerdict, ServiceView};
use crate::api::{
    ContainerObservation, ContainerState, DriftReason, Fact, JoinOwner, Joined, OtherContainer,
    ServiceObservation,
};

/// For this long after a start of the other container somebody may be about to restart this one, too: `docker compose restart`
/// restarts one after the other.
const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(10);

pub(super) fn check(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    super::worst(c.joined.iter().map(|joined| one(view, c, joined)))
}

fn one(view: ServiceView<'_>, c: &ContainerObservation, joined: &Joined) -> LayerVerdict {
    match &joined.other {
        Fact::Unknown(why) => {
            LayerVerdict::not_known(format!("the container whose {} {} shares: {why}", joined.what, c.name))
        }
        Fact::Known(None) => {
            let lost = format!("{} shares the {} of a container that is gone", c.name, joined.what);
            let blocked = blocking(view.inputs, view.seen).map(|why| format!(": {why}")).unwrap_or_default();
            LayerVerdict::Broken(DriftReason::NamespaceLost, format!("{lost}{blocked}"))
        }
        Fact::Known(Some(other)) if joined.what.is_namespace() && c.state == ContainerState::Running => {
            of_other(view, c, joined, other)
        }
        Fact::Known(Some(_)) => LayerVerdict::AsDeclared(None),
    }
}

fn of_other(
    view: ServiceView<'_>,
    c: &ContainerObservation,
    joined: &Joined,
    other: &OtherContainer,
) -> LayerVerdict {
    if !other.is_running {
        return LayerVerdict::not_known(format!(
            "{} shares the {} of {}, which does not run",
            c.name, joined.what, other.name
        ));
    }
    let now = view.inputs.now;
    // A start in the future, dated before the clock was set back, does not show which came first.
    let started = other.started_at.filter(|started| *started <= now);
    match started.zip(c.started_at) {
        Some((theirs, ours)) if ours < theirs && now - theirs < SETTLED_AFTER => {
            LayerVerdict::not_known(format!(
                "{} was started just now, and {}, which shares its {}, may be next",
                other.name, c.name, joined.what
            ))
        }
        Some((theirs, ours)) if ours < theirs => LayerVerdict::Broken(
            DriftReason::NamespaceLost,
            format!(
                "{} shares the {} of {}, which was started again since: it still has the one of before",
                c.name, joined.what, other.name
            ),
        ),
        _ => LayerVerdict::AsDeclared(None),
    }
}

/// Why a container of the service can be neither created nor started, and what a person can do: the namespace that it should
/// share is missing, and no repair of the object restores it. A service of the object is repaired by itself, and first.
pub(in crate::decide) fn blocking(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<String> {
    seen.joins.iter().find_map(|join| {
        let is_there = |other: &OtherContainer| other.is_running || !join.what.is_namespace();
        // An unknown fact blocks nothing.
        let other = join.other.known()?.as_ref();
        if other.is_some_and(is_there) {
            return None;
        }
        let state = if other.is_some() { "does not run" } else { "is gone" };
        match &join.owner {
            JoinOwner::Service(name) if inputs.desired.service(name).is_some() => None,
            JoinOwner::Service(name) => Some(format!(
                "the container of {name}, whose {} it is to share, {state}, and the object does not name {name}: name it, \
                 or run `docker compose up -d {name}`",
                join.what
            )),
            JoinOwner::Container(name) => Some(format!(
                "the container {name}, whose {} it is to share, {state}, and no Compose file of the project makes it: start \
                 it",
                join.what
            )),
        }
    })
}

/// Whether a restart joins the namespaces again: every one of the other containers still exists.
pub(in crate::decide) fn is_fixed_by_a_restart(containers: &[ContainerObservation]) -> bool {
    let mut all = containers.iter().flat_map(|c| &c.joined);
    all.all(|joined| matches!(joined.other, Fact::Known(Some(_))))
}
