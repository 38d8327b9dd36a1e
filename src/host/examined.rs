//! Ensures that the examined images are the ones that come up: compares the images of containers after an `up` with those
//! behind their references before it.

use std::collections::BTreeMap;

use super::{LocalHost, StepRequest, compose::Resolved, execute::Blocked, observe::reference};
use crate::{
    api::{Step, StepOutcome},
    host::process::Finished,
};

/// The image ID behind the reference of each service right before an `up`; without services that have none.
pub(super) type Examined = BTreeMap<String, String>;

impl LocalHost {
    /// The images that a step's containers must have. Empty for a step that creates no container.
    ///
    /// If one of them is not the one that the observation examined, somebody has built or pulled since: nothing begins, and the
    /// next observation examines the new one.
    pub(super) async fn images_before_up(
        &self,
        resolved: &Resolved,
        request: &StepRequest<'_>,
    ) -> Result<Examined, Blocked> {
        let mut examined = Examined::new();
        if !matches!(request.step, Step::Up { .. } | Step::Rollback) {
            return Ok(examined);
        }
        for service in request.services {
            let name = reference(resolved, service);
            let image = self.engine.image_id(&name).await;
            let image = image.map_err(|error| format!("cannot see which image {name} is: {error}"))?;
            if matches!(request.step, Step::Up { .. })
                && request.examined.get(service).is_some_and(|looked_at| *looked_at != image)
            {
                let why = format!(
                    "{name} is another image than the one that was looked into: somebody has built it"
                );
                return Err(Blocked(StepOutcome::NotBegun, why));
            }
            if let Some(image) = image {
                examined.insert(service.clone(), image);
            }
        }
        Ok(examined)
    }

    /// A container of another image than the examined one is a failed repair, whatever Compose reports.
    pub(super) async fn compare_images(
        &self,
        resolved: &Resolved,
        examined: &Examined,
        finished: Finished,
    ) -> Finished {
        if examined.is_empty() || finished.outcome != StepOutcome::Succeeded {
            return finished;
        }
        let services = examined.keys().map(|service| (service.as_str(), 0)).collect();
        let why = match self.engine.project_containers(&resolved.model.name, &services).await {
            Ok(found) => found.containers.iter().find_map(|container| {
                let image =
                    examined.get(&container.service).filter(|image| **image != container.seen.image_id)?;
                Some(format!(
                    "{} runs {}, and not {image}, which was examined: somebody else moved the reference",
                    container.seen.name, container.seen.image_id
                ))
            }),
            Err(error) => Some(format!("cannot see which images came up: {error}")),
        };
        match why {
            None => finished,
            Some(why) => {
                let output = [finished.output.as_str(), &why].join("\n").trim_start().to_owned();
                Finished { outcome: StepOutcome::Failed, output, ..finished }
            }
        }
    }
}
