//! Containers that live in another's namespaces: does what they have joined still exist?

use chrono::TimeDelta;

use super::{LayerVerdict, View};
use crate::api::{ContainerObservation, ContainerState, Fact, Joined, OtherContainer, Reason};

/// For so long after a start of the other container somebody may be about to restart this one, too, as `docker compose restart`
/// does it one after the other.
const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(10);

pub(super) fn check(view: View<'_>, c: &ContainerObservation) -> LayerVerdict {
    super::worst(c.joined.iter().map(|joined| one(view, c, joined)))
}

fn one(view: View<'_>, c: &ContainerObservation, joined: &Joined) -> LayerVerdict {
    match &joined.other {
        Fact::Unknown(why) => {
            LayerVerdict::not_known(format!("the container whose {} {} shares: {why}", joined.what, c.name))
        }
        Fact::Known(None) => LayerVerdict::Broken(
            Reason::NamespaceLost,
            format!("{} shares the {} of a container that is gone", c.name, joined.what),
        ),
        Fact::Known(Some(other)) if joined.what.is_namespace() && c.state == ContainerState::Running => {
            of_other(view, c, joined, other)
        }
        Fact::Known(Some(_)) => LayerVerdict::AsDeclared(None),
    }
}

fn of_other(
    view: View<'_>,
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
    // A start that lies ahead, by a clock that was set back, says nothing of which came first.
    let started = other.started_at.filter(|started| *started <= now);
    match started.zip(c.started_at) {
        Some((theirs, ours)) if ours < theirs && now - theirs < SETTLED_AFTER => {
            LayerVerdict::not_known(format!(
                "{} was started just now, and {}, which shares its {}, may be next",
                other.name, c.name, joined.what
            ))
        }
        Some((theirs, ours)) if ours < theirs => LayerVerdict::Broken(
            Reason::NamespaceLost,
            format!(
                "{} shares the {} of {}, which was started again since: it still has the one of before",
                c.name, joined.what, other.name
            ),
        ),
        _ => LayerVerdict::AsDeclared(None),
    }
}

/// Whether a restart joins the namespaces anew: every one of the other containers is still there.
pub(in crate::decide) fn is_mended_by_a_restart(containers: &[ContainerObservation]) -> bool {
    let mut all = containers.iter().flat_map(|c| &c.joined);
    all.all(|joined| matches!(joined.other, Fact::Known(Some(_))))
}
