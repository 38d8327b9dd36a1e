//! Variables of the Compose files that should hold an expected revision which is not known.
//!
//! Compose would resolve a service that uses one with an old value, or with none: what follows from that is no fact, and a step
//! would build or create it so.

use crate::{
    api::{Desired, Fact, ServiceObservation, UnknownVariable},
    host::{
        LocalHost,
        compose::{Configuration, Resolved},
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
        let may_use = |service: &str, variable: &UnknownVariable| {
            asked.as_ref().is_none_or(|asked| asked.may_use(service, &variable.name))
        };
        let of = |service: &&str| unknown.iter().find(|variable| may_use(service, variable));
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
