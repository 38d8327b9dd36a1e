//! The previous images: a tag of undrift's own keeps them before a build, and a rollback restores them.

use crate::{
    api::ContainerState,
    host::{
        LocalHost, StepRequest,
        compose::Resolved,
        engine::{EngineError, keep_reference},
        observe::reference,
    },
};

impl LocalHost {
    /// Gives the image that a rollback would restore a tag of undrift's own, or else the one that each service runs now: the
    /// build takes its reference away, and anybody may prune an image without one.
    pub(super) async fn keep_images(
        &self,
        resolved: &Resolved,
        request: &StepRequest<'_>,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let wanted = resolved.model.replicas(request.services.iter().map(String::as_str));
        let found = self.engine.project_containers(&resolved.model.name, &wanted).await;
        let found = found.map_err(|error| format!("cannot see which images run now: {error}"))?;
        for service in request.services {
            let mut own = found.containers.iter().filter(|container| container.service == *service);
            let runs = own.clone().find(|container| container.seen.state == ContainerState::Running);
            let runs = runs.or_else(|| own.next()).map(|container| container.seen.image_id.as_str());
            let before = request.rollback_to.get(service).map(String::as_str);
            let kept = self.keep_image(resolved, service, before, runs).await;
            notes.extend(kept.map_err(|error| format!("cannot keep the image of {service}: {error}"))?);
        }
        Ok(())
    }

    /// `before` is the image that ran when the incident opened: a second build in it must not take the tag from that image.
    async fn keep_image(
        &self,
        resolved: &Resolved,
        service: &str,
        before: Option<&str>,
        runs: Option<&str>,
    ) -> Result<Option<String>, EngineError> {
        let keep = keep_reference(&resolved.model.name, service);
        let kept = self.engine.image_id(&keep).await?;
        if kept.is_some() && kept.as_deref() == before {
            return Ok(None);
        }
        let before = match before {
            Some(before) => self.engine.image_id(before).await?,
            None => None,
        };
        let image = match before.or_else(|| runs.map(str::to_owned)) {
            Some(image) => Some(image),
            // Without a container the reference may already point to the failed image: an older tag is better.
            None if kept.is_some() => None,
            None => self.engine.image_id(&reference(resolved, service)).await?,
        };
        let Some(image) = image else { return Ok(None) };
        match self.engine.tag(&image, &keep).await {
            Ok(()) => Ok(Some(format!("kept {image} as {keep}"))),
            Err(EngineError::NotFound(_)) => {
                Ok(Some(format!("could not keep {image} of {service}: it was removed")))
            }
            Err(error) => Err(error),
        }
    }

    /// Points the services' references at the previous images. All are checked first: half a rollback is worse than none.
    pub(super) async fn restore_images(
        &self,
        resolved: &Resolved,
        request: &StepRequest<'_>,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut images = Vec::new();
        for service in request.services {
            let image = request.rollback_to.get(service);
            let image = image.ok_or_else(|| format!("there is no image to put {service} back to"))?;
            match self.engine.image_id(image).await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(format!("the image {image}, to put {service} back to, is gone")),
                Err(error) => return Err(error.to_string()),
            }
            let reference = reference(resolved, service);
            self.refuse_shared_reference(resolved, &reference).await?;
            images.push((reference, image));
        }
        for (reference, image) in images {
            let tagged = self.engine.tag(image, &reference).await;
            tagged.map_err(|error| format!("cannot point {reference} at {image}: {error}"))?;
            notes.push(format!("pointed {reference} back at {image}"));
        }
        // No job runs with the previous image: it is not known whether that reverts the work of the newer one.
        for service in request.services {
            let jobs = resolved.model.ties(service).waits_for;
            if !jobs.is_empty() {
                notes.push(format!("what {} did for {service} is not taken back", jobs.join(", ")));
            }
        }
        Ok(())
    }

    /// A reference belongs to the whole host: other projects would be created next from the image that a rollback puts behind
    /// it.
    async fn refuse_shared_reference(&self, resolved: &Resolved, reference: &str) -> Result<(), String> {
        let others = self.engine.other_users(reference, &resolved.model.name).await;
        let others = others.map_err(|error| format!("cannot see who else uses {reference}: {error}"))?;
        if others.is_empty() {
            return Ok(());
        }
        let others: Vec<String> = others.into_iter().collect();
        Err(format!(
            "{reference} is also what {} runs, so it is not put back: a person must do it",
            others.join(", ")
        ))
    }
}
