//! `check --build`: builds each service's source as it is now under a name of undrift's own, compares that image with the one
//! behind the service's reference, and removes it.
//!
//! No container and no other name changes, and nothing is added to the build: if the build cache has all of it, the two images
//! have one ID.
//!
//! | file | contents |
//! | --- | --- |
//! | `mod` | which services, in which order |
//! | `built` | one build, from its folder to its removal |
//! | `compare` | two images |
//! | `leftovers` | what a killed undrift left of a build |

mod built;
mod compare;
pub(super) mod leftovers;

use std::collections::BTreeMap;

use built::OneBuild;

use super::{
    BuildCheckProgress, BuildCheckRequest, CheckedBuild, HostError, LocalHost,
    compose::{self, BuildElsewhere, Resolved},
    engine::ImageDetails,
    redact::Redactor,
};
use crate::{
    api::{BuildCheck, BuildResult, Desired, ModuleSpec},
    reference,
};

/// The answers so far, in one run.
struct CheckRun<'a> {
    host: &'a LocalHost,
    desired: &'a Desired,
    resolved: &'a Resolved,
    request: &'a BuildCheckRequest<'a>,
    /// The secrets to hide in all output.
    known: Redactor,
    /// The image reference of each service, also of a base whose profile is not enabled.
    references: BTreeMap<String, String>,
    /// By service.
    answers: BTreeMap<String, CheckedBuild>,
}

impl LocalHost {
    /// See [`Host::check_builds`](super::Host::check_builds).
    #[tracing::instrument(name = "check_builds", skip_all, fields(object = desired.name()))]
    pub(super) async fn checked_builds(
        &self,
        desired: &Desired,
        request: &BuildCheckRequest<'_>,
    ) -> Result<Vec<CheckedBuild>, HostError> {
        self.sweep_once().await;
        let resolved = self.in_time(compose::resolve(desired, self.engine.endpoint(), self.memory())).await?;
        let names = desired.services().iter().map(|service| &service.name);
        let declared: Vec<String> = names.filter(|name| is_built(&resolved, name)).cloned().collect();
        let stages = resolved.builds.stages(&resolved.model.builds_once(&declared));
        let order: Vec<String> = stages.into_iter().flatten().collect();
        let references = self.references(desired, &resolved, &order).await;
        let known = self.all_secrets(desired, &resolved).await;
        let answers = BTreeMap::new();
        let mut run =
            CheckRun { host: self, desired, resolved: &resolved, request, known, references, answers };
        for service in &order {
            if request.cancel.is_cancelled() {
                break;
            }
            run.check(service).await?;
        }
        let mut answers = run.answers;
        Ok(declared.iter().filter_map(|service| answers.remove(service)).collect())
    }

    /// The image reference of each of these services. One that is not known is left out.
    async fn references(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        services: &[String],
    ) -> BTreeMap<String, String> {
        let own = resolved.model.services.iter().map(|(name, service)| (name.clone(), service.image.clone()));
        let mut references: BTreeMap<String, String> = own.collect();
        if services.iter().all(|service| references.contains_key(service)) {
            return references;
        }
        let Ok(env) = self.build_environment(desired).await else { return references };
        match BuildElsewhere::references(desired, self.engine.endpoint(), resolved, &env).await {
            Ok(all) => references.extend(all),
            Err(why) => tracing::debug!(%why, "the images of profiles that are not enabled are not known"),
        }
        references
    }
}

fn is_built(resolved: &Resolved, service: &str) -> bool {
    resolved.model.services.get(service).is_some_and(|service| service.build.is_some())
}

/// Whether two services are built from one source with the same settings.
fn has_one_build(resolved: &Resolved, one: &str, other: &str) -> bool {
    resolved.builds.build(one) == resolved.builds.build(other)
}

impl CheckRun<'_> {
    /// Answers for a service and those that share its build and image. A service without an image has no answer.
    async fn check(&mut self, service: &str) -> Result<(), HostError> {
        let Some(reference) = self.references.get(service).cloned() else { return Ok(()) };
        let engine = &self.host.engine;
        let image = engine.image_details(&reference).await;
        let image = image.map_err(|error| error.into_host_error(engine.endpoint(), "inspect an image"))?;
        let Some(image) = image else { return Ok(()) };
        (self.request.progress)(BuildCheckProgress::Begins { service });
        let sharing = self.sharing(service, &reference);
        let checked = match self.in_the_way(service) {
            Some(why) => all_unknown(&sharing, &why),
            None => self.build(service, &reference, &image, &sharing).await,
        };
        let rivals = self.resolved.builds.rivals(service).into_iter();
        let also_built_by: Vec<String> = rivals.map(str::to_owned).collect();
        for (service, check) in checked {
            let check = self.without_secrets(BuildCheck { also_built_by: also_built_by.clone(), ..check });
            (self.request.progress)(BuildCheckProgress::Ends {
                service: &service,
                reference: &reference,
                check: &check,
            });
            let image = image.id.clone();
            self.answers.insert(service.clone(), CheckedBuild { service, image, check });
        }
        Ok(())
    }

    /// The services that have this image by the same build, with the modules that each declares; the one that is built first.
    fn sharing(&self, service: &str, reference: &str) -> Vec<(String, Vec<ModuleSpec>)> {
        let full = reference::full(reference);
        let own = (service.to_owned(), self.modules(service));
        let others = self.desired.services().iter().filter(|other| other.name != service);
        let others = others.filter(|other| {
            let image = self.references.get(&other.name).map(|image| reference::full(image));
            let is_shared = image.as_ref() == Some(&full) && is_built(self.resolved, &other.name);
            is_shared && has_one_build(self.resolved, &other.name, service)
        });
        let others = others.map(|other| (other.name.clone(), other.modules.clone()));
        std::iter::once(own).chain(others).collect()
    }

    fn modules(&self, service: &str) -> Vec<ModuleSpec> {
        self.desired.service(service).map(|service| service.modules.clone()).unwrap_or_default()
    }

    /// Why a build of the service would not show what it is made of: it takes the image that is behind each base's reference.
    fn in_the_way(&self, service: &str) -> Option<String> {
        let bases = self.resolved.builds.bases(service);
        let other = bases.into_iter().find_map(|base| {
            let why = match self.answers.get(base).map(|answer| &answer.check.result) {
                Some(BuildResult::Same(by)) if by.is_whole() => return None,
                Some(BuildResult::Same(_)) => "of that only the declared modules were compared",
                Some(BuildResult::Differs(_)) => "a build of that is another one",
                Some(BuildResult::TooLarge(_) | BuildResult::Unknown(_)) => {
                    "whether a build of that is the same is not known"
                }
                None => "there is no image of it",
            };
            let reference = self.references.get(base).map_or(base, String::as_str);
            Some(format!("it would be built on the image {reference} of {base}, and {why}"))
        });
        let flaw = self.resolved.builds.flaw().filter(|_| self.resolved.builds.unreadable(service).is_some());
        other.or_else(|| {
            flaw.map(|why| format!("a profile that is not enabled may build what it is made of: {why}"))
        })
    }

    async fn build(
        &self,
        service: &str,
        reference: &str,
        image: &ImageDetails,
        sharing: &[(String, Vec<ModuleSpec>)],
    ) -> Vec<(String, BuildCheck)> {
        let build = OneBuild { run: self, service, reference, image };
        match build.check(sharing).await {
            Ok(checked) => checked,
            Err(why) => all_unknown(sharing, &why),
        }
    }

    /// The names of files and settings, and messages of others, may hold a secret.
    fn without_secrets(&self, mut check: BuildCheck) -> BuildCheck {
        let hide = |text: &mut String| *text = self.known.message(text);
        match &mut check.result {
            BuildResult::Same(_) => {}
            BuildResult::Differs(difference) => {
                let files = &mut difference.files;
                let all = difference.named.iter_mut().chain(&mut files.named).chain(&mut files.named_added);
                all.for_each(hide);
            }
            BuildResult::TooLarge(why) | BuildResult::Unknown(why) => hide(why),
        }
        check
    }
}

/// Every service's answer is that there is none.
fn all_unknown(sharing: &[(String, Vec<ModuleSpec>)], why: &str) -> Vec<(String, BuildCheck)> {
    let (at, result) = (chrono::Utc::now(), BuildResult::Unknown(why.to_owned()));
    let check = BuildCheck { at, digest: None, also_built_by: vec![], result };
    sharing.iter().map(|(service, _)| (service.clone(), check.clone())).collect()
}
