//! Checks and preparations right before a step: whether it may run at all, and what would make it fail.

use super::Blocked;
use crate::{
    api::{Desired, Step, StepOutcome, UnknownVariable},
    host::{
        LocalHost, StepRequest,
        compose::{self, Resolved, argv::Pull},
    },
};

impl LocalHost {
    /// Whether the `up` of these services may fetch images: only if every one that the engine lacks comes from elsewhere. The
    /// examined image must be the one that comes up.
    pub(super) async fn pull(&self, resolved: &Resolved, services: &[String]) -> Result<Pull, String> {
        let mut pull = Pull::Never;
        for (image, may_be_fetched) in resolved.model.images(services) {
            let found = self.engine.image_id(image).await;
            match found.map_err(|error| format!("cannot see whether {image} is on the engine: {error}"))? {
                Some(_) => {}
                None if may_be_fetched => pull = Pull::Missing,
                None => return Ok(Pull::Never),
            }
        }
        Ok(pull)
    }

    /// Two `up` at once can leave a service without a container.
    pub(super) async fn hold_for_others(
        &self,
        desired: &Desired,
        resolved: &Resolved,
    ) -> Result<(), Blocked> {
        // In the same way as an observation: undrift would retry at once, and forever, on a sign that the observation does not
        // see.
        let services = desired.services().iter().map(|service| service.name.as_str());
        let wanted = resolved.model.replicas(services.clone());
        let to_run = resolved.model.to_run(services);
        let (project, young_for) = (&resolved.model.name, desired.object.spec.reconcile.verify.timeout.get());
        let found = match self.engine.external_activity(project, &to_run).await {
            Ok(None) => self.engine.roll_out_in_progress(project, &wanted, young_for).await,
            found => found,
        };
        match found {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(Blocked(StepOutcome::NotBegun, why)),
            Err(error) => Err(format!("cannot see whether someone else is at work: {error}").into()),
        }
    }

    /// undrift decides no step for a service whose configuration depends on a variable that is not known; it may have become so
    /// since the observation. A start changes nothing of an existing container.
    pub(super) async fn refuse_unknown_variable(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        unknown: &[UnknownVariable],
        request: &StepRequest<'_>,
    ) -> Result<(), Blocked> {
        if unknown.is_empty() {
            return Ok(());
        }
        if request.step == Step::Start && self.all_exist(resolved, request.services).await? {
            return Ok(());
        }
        let services: Vec<&str> = request.services.iter().map(String::as_str).collect();
        let found = self.unknown_variables_of(desired, resolved, unknown, &services).await;
        match found.into_iter().flatten().next() {
            Some(variable) => Err(Blocked(StepOutcome::NotBegun, variable.message.clone())),
            None => Ok(()),
        }
    }

    /// undrift decides no step for a service that it runs in itself; this check holds whatever was decided.
    pub(super) async fn refuse_own_container(
        &self,
        resolved: &Resolved,
        services: &[String],
    ) -> Result<(), String> {
        let own = self.engine.own_services(&resolved.model.name).await;
        let own = own.map_err(|error| format!("cannot see whether undrift itself is concerned: {error}"))?;
        match services.iter().find(|service| own.contains(*service)) {
            Some(service) => {
                Err(format!("undrift itself runs in a container of {service} and never touches itself"))
            }
            None => Ok(()),
        }
    }

    /// undrift decides no step for a service that another directory's project has; one may have come up there since the
    /// observation. This counts as external activity: nothing began, and the next observation reports the state.
    pub(super) async fn refuse_another_directory(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        services: &[String],
    ) -> Result<(), Blocked> {
        if desired.object.spec.project.take_over {
            return Ok(());
        }
        let origins = self.engine.origins(&resolved.model.name).await;
        let origins = origins.map_err(|error| format!("cannot see who made the containers: {error}"))?;
        let ownership = compose::ownership(desired, &*self.cache, &origins).await;
        let others = services.iter().find_map(|service| {
            ownership.of(service, 1).known().cloned().flatten().map(|directory| (service, directory))
        });
        others.map_or(Ok(()), |(service, directory)| {
            let why = format!("the project in {directory} has the service {service}");
            Err(Blocked(StepOutcome::NotBegun, why))
        })
    }

    /// A killed recreate makes the next `up` fail half of the time, and two networks of one name make it fail always.
    pub(super) async fn clear_the_way(
        &self,
        resolved: &Resolved,
        services: &[String],
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let removed = self.engine.remove_leftovers(&resolved.model.name, services).await;
        notes.extend(removed.map_err(|error| format!("cannot look for leftovers: {error}"))?);
        self.settle_networks(resolved, notes).await
    }

    /// Whether each of these services has its wanted number of containers, running or not.
    pub(super) async fn all_exist(&self, resolved: &Resolved, services: &[String]) -> Result<bool, String> {
        let wanted = resolved.model.replicas(services.iter().map(String::as_str));
        let found = self.engine.project_containers(&resolved.model.name, &wanted).await;
        let found = found.map_err(|error| format!("cannot see which containers there are: {error}"))?;
        Ok(wanted.iter().all(|(service, wanted)| {
            let own = found.containers.iter().filter(|container| container.service == *service).count();
            usize::try_from(*wanted).is_ok_and(|wanted| own >= wanted)
        }))
    }

    pub(super) async fn settle_networks(
        &self,
        resolved: &Resolved,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let removed = self.engine.remove_doubled_networks(&resolved.model.name).await;
        notes.extend(removed.map_err(|error| format!("cannot look for doubled networks: {error}"))?);
        Ok(())
    }
}
