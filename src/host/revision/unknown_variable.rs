//! Variables of the Compose files that should hold an expected revision which is not known.
//!
//! Compose would resolve a service that uses one with an old value, or with none: what follows from that is no fact, and a step
//! would build or create it so.

use crate::{
    api::{Desired, Fact, RelatedObservation, ServiceObservation, UnknownVariable},
    host::{
        LocalHost,
        compose::{Configuration, Resolved, VariableUse},
    },
};

impl LocalHost {
    /// The first of these variables that each service may depend on, by the order of the services.
    pub(in crate::host) async fn unknown_variables_of<'u>(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        unknown: &'u [UnknownVariable],
        services: &[&str],
    ) -> Vec<Option<&'u UnknownVariable>> {
        if unknown.is_empty() {
            return vec![None; services.len()];
        }
        // If Compose does not tell, each service may use each of them.
        let asked = Configuration::ask(desired, self.engine.endpoint(), resolved).await.ok();
        let uses: Vec<_> = unknown
            .iter()
            .map(|variable| {
                let found = asked.as_ref();
                (variable, found.map(|asked| VariableUse::of(asked, &resolved.builds, &variable.name)))
            })
            .collect();
        let may_use = |service: &str, found: &Option<VariableUse<'_>>| {
            found.as_ref().is_none_or(|found| found.is_by(service))
        };
        let of = |service: &&str| uses.iter().find(|(_, found)| may_use(service, found)).map(|(one, _)| *one);
        services.iter().map(of).collect()
    }
}

/// Takes back what Compose resolved without the variable.
pub(in crate::host) fn withhold(service: &mut ServiceObservation, variable: &UnknownVariable) {
    let why = &variable.message;
    service.unresolved = Some(variable.clone());
    service.config_hash = None;
    service.artifact.image = Fact::unknown(why);
    if let Fact::Known(containers) = &mut service.containers {
        for container in containers {
            container.config_changed = Fact::unknown(why);
            container.differences = Fact::unknown(why);
            container.only_upgraded = false;
        }
    }
}

/// The same for a service that the object does not name. Nothing decides on its containers then: a job among them must not run.
pub(in crate::host) fn withhold_related(service: &mut RelatedObservation, variable: &UnknownVariable) {
    service.image = Fact::unknown(&variable.message);
    service.containers = Fact::unknown(&variable.message);
}
