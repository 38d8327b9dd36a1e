//! One build: its folder, the command, the comparison, and the removal of all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use super::{CheckRun, compare::compare, leftovers::CheckFolder};
use crate::{
    api::{BuildCheck, BuildResult, Fact, ModuleSpec, StepOutcome},
    host::{
        BuildCheckProgress,
        compose::{self, BuildElsewhere, Resolved},
        engine::{CheckName, ImageDetails},
        execute::{Blocked, wait_for_git},
        process::{Finished, GRACE, Invocation, command},
        sources::Sources,
    },
};

/// How long after the limit of a build everything of it is surely over: the comparison has limits, too.
const OVER_AFTER: Duration = Duration::from_secs(3600);

/// The build of one service, to be compared with the image behind its reference.
pub(super) struct OneBuild<'a> {
    pub(super) run: &'a CheckRun<'a>,
    pub(super) service: &'a str,
    pub(super) reference: &'a str,
    pub(super) image: &'a ImageDetails,
}

impl OneBuild<'_> {
    /// The answer for each service that has the image. Nothing is left of the build.
    ///
    /// # Errors
    /// In words, why there is no answer.
    pub(super) async fn check(
        &self,
        sharing: &[(String, Vec<ModuleSpec>)],
    ) -> Result<Vec<(String, BuildCheck)>, String> {
        let CheckRun { host, desired, resolved, request, .. } = self.run;
        let name = CheckName::own((chrono::Utc::now() + request.timeout + OVER_AFTER).timestamp());
        // Some versions of Compose build the services, too, that an additional context names.
        let bases = resolved.builds.bases(self.service);
        let images: BTreeMap<String, String> = bases
            .into_iter()
            .chain([self.service])
            .map(|service| (service.to_owned(), name.reference(&resolved.model.name, service)))
            .collect();
        let folder = CheckFolder::new(&name).await?;
        let env = host.build_environment(desired).await?;
        let of = (folder.path(), &images);
        let elsewhere = BuildElsewhere::prepare(desired, host.engine.endpoint(), resolved, env, of).await?;
        let spared = host.engine.nameless_images().await.map_err(|error| error.to_string())?;
        let checked = self.build_and_compare(&elsewhere, &images[self.service], sharing).await;
        for image in images.values() {
            self.remove(image, &spared).await;
        }
        checked
    }

    async fn build_and_compare(
        &self,
        elsewhere: &BuildElsewhere,
        image: &str,
        sharing: &[(String, Vec<ModuleSpec>)],
    ) -> Result<Vec<(String, BuildCheck)>, String> {
        let CheckRun { host, resolved, request, .. } = self.run;
        let before = self.digest(resolved).await?;
        let bases = self.base_ids().await?;
        self.are_as_checked(&bases)?;
        let builds = resolved.builds.with_bases(&[self.service.to_owned()]);
        wait_for_git(builds).await.map_err(|Blocked(_, why)| why)?;
        self.build(elsewhere).await?;
        let at = chrono::Utc::now();
        let after = host.resolve_again(self.run.desired).await?;
        if self.digest(&after).await? != before {
            return Err("the source has changed meanwhile".into());
        }
        if let Some(base) = moved(&bases, &self.base_ids().await?) {
            return Err(format!("the image {base}, which it is built on, has changed meanwhile"));
        }
        let built = host.engine.image_details(image).await.map_err(|error| error.to_string())?;
        let built = built.ok_or("the build has left no image")?;
        let mut checked = Vec::new();
        for (service, modules) in sharing {
            let result = compare(&host.engine, (&built, self.image), modules, request.cancel).await;
            let result = result.unwrap_or_else(|| BuildResult::Unknown(INTERRUPTED.into()));
            checked.push((
                service.clone(),
                BuildCheck { at, digest: before.clone(), also_built_by: vec![], result },
            ));
        }
        Ok(checked)
    }

    /// The images that it is built on, by reference, with the IDs behind them now. What a registry has of an image that this host
    /// lacks cannot be known.
    async fn base_ids(&self) -> Result<BaseIds, String> {
        let CheckRun { host, resolved, references, .. } = self.run;
        let own = resolved.builds.bases(self.service).into_iter().filter_map(|base| references.get(base));
        let foreign = resolved.builds.foreign_bases(self.service);
        let mut ids = BaseIds::new();
        for reference in own.map(String::as_str).chain(foreign) {
            let image = host.engine.image_details(reference).await.map_err(|error| error.to_string())?;
            ids.insert(reference.to_owned(), image.map(|image| image.id));
        }
        Ok(ids)
    }

    /// Fails if a base that another service builds is another image than the one that was found to be the same.
    fn are_as_checked(&self, bases: &BaseIds) -> Result<(), String> {
        let CheckRun { resolved, references, answers, .. } = self.run;
        for base in resolved.builds.bases(self.service) {
            let (Some(answer), Some(reference)) = (answers.get(base), references.get(base)) else { continue };
            if bases.get(reference).is_some_and(|id| id.as_ref() != Some(&answer.image)) {
                return Err(format!(
                    "the image {reference} of {base}, which it is built on, has changed meanwhile"
                ));
            }
        }
        Ok(())
    }

    /// The digest of all that the image is built from; `None` if it is elsewhere.
    async fn digest(&self, resolved: &Resolved) -> Result<Option<String>, String> {
        let sources = Sources::read(&resolved.builds, [self.service], &*self.run.host.cache).await;
        match sources.digest(self.service) {
            Fact::Known(digest) => Ok(digest),
            Fact::Unknown(why) => Err(format!("build context: {why}")),
        }
    }

    async fn build(&self, elsewhere: &BuildElsewhere) -> Result<(), String> {
        let CheckRun { desired, request, known, .. } = self.run;
        if let Some(why) = known.withheld() {
            (request.progress)(BuildCheckProgress::Output { line: why });
        }
        let progress = |line: &str| {
            if known.withheld().is_none() {
                (request.progress)(BuildCheckProgress::Output { line: &known.line(line) });
            }
        };
        let argv = elsewhere.argv(self.service);
        let finished = command::run(Invocation {
            argv: &argv,
            directory: &desired.directory,
            env: &elsewhere.env,
            limit: request.timeout,
            grace: GRACE,
            cancel: request.cancel,
            progress: &progress,
            hold: None,
            keep_stdout: false,
        })
        .await
        .map_err(|error| format!("docker compose cannot be started: {error}"))?;
        match finished.outcome {
            StepOutcome::Succeeded => Ok(()),
            StepOutcome::Cancelled => Err(INTERRUPTED.into()),
            StepOutcome::TimedOut => {
                Err(format!("the build did not end within {} s (`buildTimeout`)", request.timeout.as_secs()))
            }
            _ => Err(format!("the build fails: {}", known.line(last_line(&finished)))),
        }
    }

    async fn remove(&self, image: &str, spared: &BTreeSet<String>) {
        let removed = self.run.host.engine.remove_check_image(image, spared, Some(self.reference));
        if let Err(error) = removed.await {
            tracing::warn!(image, %error, "a build that was compared cannot be removed; the next undrift will");
        }
    }
}

/// Images by reference, with their IDs; `None` where there is none of that name.
type BaseIds = BTreeMap<String, Option<String>>;

/// The first image that is another one now. One that came only now was fetched by the build itself.
fn moved<'a>(before: &'a BaseIds, after: &BaseIds) -> Option<&'a str> {
    let mut known = before.iter().filter(|(_, id)| id.is_some());
    known.find(|(reference, id)| after.get(*reference) != Some(id)).map(|(reference, _)| reference.as_str())
}

const INTERRUPTED: &str = "it was interrupted";

/// What a build that fails says last. BuildKit's frames and Compose's error come by two pipes, in any order.
fn last_line(finished: &Finished) -> &str {
    let lines = || finished.output.lines().rev().map(str::trim);
    let error = lines().find(|line| line.starts_with(ERROR));
    let other = || lines().find(|line| line.chars().any(char::is_alphanumeric));
    error.or_else(other).unwrap_or("it says nothing")
}

/// How BuildKit's error begins, as Compose and buildx print it.
const ERROR: &str = "failed to solve";

impl super::LocalHost {
    /// The project as it is by now.
    async fn resolve_again(&self, desired: &crate::api::Desired) -> Result<Resolved, String> {
        let resolve = compose::resolve(desired, self.engine.endpoint(), self.memory());
        resolve.await.map_err(|error| format!("the source has changed meanwhile: {error}"))
    }
}

impl CheckFolder {
    /// Its path.
    fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_has_moved_is_named_and_one_that_the_build_fetched_is_not() {
        let ids = |all: &[(&str, Option<&str>)]| -> BaseIds {
            all.iter().map(|(name, id)| ((*name).to_owned(), id.map(str::to_owned))).collect()
        };
        let before = ids(&[("debian", Some("1")), ("node", None), ("shop-base", Some("2"))]);
        assert_eq!(moved(&before, &before), None);
        assert_eq!(
            moved(&before, &ids(&[("debian", Some("1")), ("node", Some("3")), ("shop-base", Some("2"))])),
            None
        );
        for gone in [Some("4"), None] {
            let after = ids(&[("debian", Some("1")), ("node", None), ("shop-base", gone)]);
            assert_eq!(moved(&before, &after), Some("shop-base"));
        }
    }
}
