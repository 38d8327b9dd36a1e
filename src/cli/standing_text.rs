//! The present standing of an object in words: why its status may be outdated, and what else applies to it.

use super::style::clean;
use crate::{
    api::{Condition, ConditionStatus, ConditionType, ServiceStatus},
    standing::{Doubt, Standing},
    times::ago,
};

/// The lines under a list: the meaning of its marks, and what its columns leave out.
pub(super) fn remarks(standing: &Standing) -> Vec<String> {
    let name = standing.name();
    let fault = standing.fault.as_ref().map(|fault| {
        let instead = if standing.is_held() {
            "nobody works on the object until all manifests are valid"
        } else {
            "the last valid one goes on"
        };
        format!("{name}: ManifestInvalid: the manifest on disk is not in effect ({}); {instead}", fault.fault)
    });
    let suspension = standing.object.status.suspension.as_ref();
    let suspension = suspension.map(|suspension| {
        format!("{name}: suspended: {}; `undrift resume {name}` ends it", suspension.in_words())
    });
    let doubt = standing.doubt.map(|doubt| format!("* {name}: {}", doubt_in_words(standing, doubt)));
    let services = standing.object.status.services.iter();
    let restarts = services.filter_map(|service| {
        let unstable = unstable(service)?;
        Some(format!("{name}: {}: {}: {}", service.name, unstable.reason, unstable.message))
    });
    let remarks = doubt.into_iter().chain(fault).chain(suspension).chain(restarts);
    remarks.map(|line| clean(&line).into_owned()).collect()
}

/// The condition that says that a service restarts often; `None` if it does not, or that is not known.
pub(super) fn unstable(service: &ServiceStatus) -> Option<&Condition> {
    let stable = service.conditions.iter().find(|condition| condition.kind == ConditionType::Stable);
    stable.filter(|stable| stable.status == ConditionStatus::False)
}

/// The doubt, and the help.
pub(super) fn doubt_in_words(standing: &Standing, doubt: Doubt) -> String {
    let interval = standing.object.declared.spec.reconcile.interval;
    match doubt {
        Doubt::NeverLooked => {
            "no look is recorded, so nobody knows how old this is: `undrift check` or `undrift apply` looks now".into()
        }
        Doubt::Late { age } => format!(
            "as it was {} ago: the last look is older than twice the interval of {interval}; `undrift doctor` shows why",
            ago(age)
        ),
        Doubt::Ahead { by } => format!(
            "the last look is {} ahead of this host's clock, which was set back since, so nobody knows how old this is: \
             `undrift doctor` compares the clocks, `undrift check` looks now",
            ago(by)
        ),
        Doubt::Unwatched { age } => format!(
            "as it was {} ago, at the last look: no daemon runs on this state, so nobody looks on; `undrift check` looks \
             now, `undrift run` keeps looking",
            ago(age)
        ),
        Doubt::Displaced { age } => format!(
            "as it was {} ago, as far as it is recorded here: the running undrift has other files open, and takes no step; \
             `undrift doctor` shows which",
            ago(age)
        ),
    }
}
