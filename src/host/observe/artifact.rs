//! The artifact layer.

use super::reference;
use crate::{
    api::{ArtifactObservation, Fact, ModuleObservation, RevisionFact, ServiceSpec},
    host::{
        LocalHost, compose::Resolved, content::ServiceContents, engine::verified_reference,
        revision::Revisions,
    },
};

impl LocalHost {
    /// The artifact layer, without the inputs of the image, which the store knows; and the revision that the image carries.
    pub(super) async fn artifact(
        &self,
        resolved: &Resolved,
        revisions: &Revisions<'_>,
        service: &ServiceSpec,
        contents: ServiceContents<'_>,
    ) -> (ArtifactObservation, Option<RevisionFact>) {
        let reference = reference(resolved, &service.name);
        let found = self.engine.tagged_image(&reference).await;
        let kept = verified_reference(&resolved.model.name, &service.name);
        let is_kept = matches!(&found, Ok(Some(image)) if image.has_tag(&kept));
        let image: Fact<Option<String>> = found.map(|image| image.map(|image| image.id)).into();
        let unknown = |why: &str| {
            let unknown = ModuleObservation { presence: Fact::unknown(why), content: None };
            vec![unknown; service.modules.len()]
        };
        let modules = async {
            match &image {
                _ if service.modules.is_empty() => Vec::new(),
                Fact::Known(Some(image)) => self.modules_in_image(image, service, contents).await,
                Fact::Known(None) => unknown(&format!("there is no image {reference}")),
                Fact::Unknown(reason) => unknown(reason),
            }
        };
        let (modules, revision) = tokio::join!(modules, revisions.in_image(service, &image));
        let artifact = ArtifactObservation {
            reference,
            image,
            built_from: None,
            first_sight: None,
            build_check: None,
            modules,
            is_kept,
        };
        (artifact, revision)
    }
}
