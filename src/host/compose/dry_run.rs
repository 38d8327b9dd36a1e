//! The effect that `up` would have. undrift asks Compose with a dry run, because config hashes alone are wrong for `env_file`,
//! shared namespaces and more.
//!
//! Without their dependencies (`--no-deps`), Compose 2.26 gives services another config hash than with them, and recreates each
//! service that has any (measured; docker/compose#12069). Whichever command made a container, one of the two hashes fits it, so
//! a container differs only if both dry runs report it.
//!
//! A dry run reaches the engine through a [`Gate`](crate::host::gate::Gate), so that a Compose that ignores the flag cannot
//! change anything. If the gate had to refuse a request, the dry run proves nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream,
};

use super::{
    Resolved,
    argv::{self, Pull, UpOptions},
    dry_run_output::{DryRunOutput, real_name},
    model::Program,
    overlay::lay_over,
    provided::Provided,
    question::Passage,
    refusal::{self, Passed},
    resolve::QueryTimeout,
};
use crate::{
    api::{Desired, Fact, StepOutcome},
    host::{
        endpoint::Endpoint,
        gate::Tally,
        process::{Environment, Finished},
    },
};

/// How many services are checked at once; each takes up to two processes.
const AT_ONCE: usize = 4;

/// How long a dry run may take. It takes 0.1 s, on a busy machine a few seconds, and with some projects it never ends, because
/// it waits for an event that its simulated container never produces. The output until then counts: Compose prints what happens
/// to each container before it waits for any.
const QUERY_TIMEOUT: QueryTimeout =
    QueryTimeout { limit: Duration::from_secs(10), grace: Duration::from_secs(1) };

/// The effect of an `up` on containers, by service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recreations(BTreeMap<String, RecreateVerdict>);

/// The known facts about the containers of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RecreateVerdict {
    /// By container name, whether it would be replaced.
    containers: BTreeMap<String, bool>,
    /// Why it is not known for all others.
    silence: String,
}

impl Recreations {
    /// Whether `up` would replace this container of this service. A missing line means unknown, never `false`.
    #[must_use]
    pub fn of(&self, service: &str, container: &str) -> Fact<bool> {
        let Some(verdict) = self.0.get(service) else {
            return Fact::unknown(format!("Compose was not asked about {service}"));
        };
        match verdict.containers.get(real_name(container)) {
            Some(recreated) => Fact::Known(*recreated),
            None => Fact::unknown(verdict.silence.clone()),
        }
    }

    /// The names of containers that would be replaced; unknown if nothing is known of some service.
    #[must_use]
    pub fn recreated(&self) -> Fact<BTreeSet<&str>> {
        let mut names = BTreeSet::new();
        for verdict in self.0.values() {
            if verdict.containers.is_empty() {
                return Fact::unknown(verdict.silence.clone());
            }
            names.extend(
                verdict.containers.iter().filter(|(_, recreated)| **recreated).map(|(name, _)| name.as_str()),
            );
        }
        Fact::Known(names)
    }
}

impl RecreateVerdict {
    fn unknown(silence: impl Into<String>) -> Self {
        Self { containers: BTreeMap::new(), silence: silence.into() }
    }

    /// The result of one dry run for a service, given how many containers it declares.
    fn of(dry: &DryRun, declared: usize) -> Self {
        let containers = dry.output.judged(declared).map(|(name, recreated)| (name.clone(), recreated));
        Self { containers: containers.collect(), silence: dry.silence() }
    }

    /// The result that a second dry run confirms: a container differs only if both report it.
    fn confirmed_by(self, other: &DryRun) -> Self {
        let all = self.containers.len();
        let confirmed = |(name, recreated): (String, bool)| {
            let both = if recreated { other.output.recreates(&name)? } else { false };
            Some((name, both))
        };
        let containers: BTreeMap<String, bool> = self.containers.into_iter().filter_map(confirmed).collect();
        let silence = if containers.len() < all { other.silence() } else { self.silence };
        Self { containers, silence }
    }
}

/// Which containers of these services `up` would recreate because they, or something that they depend on, differ from the
/// declaration. Changes nothing.
///
/// Meant for services whose config hash differs: it settles whether the difference matters. Unknown if no line of a dry run
/// covers the container.
pub async fn would_recreate(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    services: &[String],
) -> Recreations {
    would_recreate_beside(desired, endpoint, resolved, services, &Provided::default()).await
}

/// The same, with the known variables from providers. They must be known for each service that has a provider.
pub async fn would_recreate_beside(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    services: &[String],
    provided: &Provided,
) -> Recreations {
    let ask = &Asking { desired, endpoint, resolved };
    // Mapped before it is a stream: a closure in the stream would keep the future from being `Send`.
    let each: Vec<_> = services.iter().map(|service| of_service(ask, service, provided)).collect();
    let all: Vec<_> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
    Recreations(all.into_iter().collect())
}

async fn of_service(ask: &Asking<'_>, service: &str, provided: &Provided) -> (String, RecreateVerdict) {
    let model = &ask.resolved.model;
    if model.program(service) == Some(Program::ModelRunner) {
        return (
            service.to_owned(),
            RecreateVerdict::unknown(format!(
                "a dry run of `docker compose up` would run `docker model` for {service}, and its hash alone does not show it"
            )),
        );
    }
    let mut others = model.dependencies(&[service.to_owned()]).into_iter();
    let verdict = if others.any(|other| model.program(other).is_some()) {
        judge_alone(ask, service, provided).await
    } else {
        judge(ask, service).await
    };
    let verdict = verdict.unwrap_or_else(RecreateVerdict::unknown);
    (service.to_owned(), verdict)
}

async fn judge(ask: &Asking<'_>, service: &str) -> Result<RecreateVerdict, String> {
    let services = [service.to_owned()];
    let model = ask.resolved.model.services.get(service);
    if model.is_some_and(|model| model.depends_on.is_empty()) {
        return Ok(ask.verdict(service, &ask.up(&services, false, true).await?));
    }
    let (alone, together) = (pin!(ask.up(&services, false, true)), pin!(ask.up(&services, false, false)));
    let (alone, together) = match select(alone, together).await {
        Either::Left((alone, together)) => {
            let alone = alone?;
            if alone.output.recreated.is_empty() {
                // No question is left; the other dry run is ended.
                return Ok(ask.verdict(service, &alone));
            }
            (alone, together.await)
        }
        Either::Right((together, alone)) => (alone.await?, together),
    };
    let verdict = ask.verdict(service, &alone);
    if alone.output.recreated.is_empty() {
        return Ok(verdict);
    }
    let together = together?;
    let own = together.output.recreated.intersection(&alone.output.recreated).count();
    // Compose recreates a service together with the one it joins, although it does not differ itself. If the object also names
    // that one, its own recreation takes this one along.
    let named = ask.desired.services().iter().map(|service| service.name.as_str()).collect();
    if own > 0
        && model.is_some_and(|model| model.joins_another)
        && argv::depend_on_others(&ask.resolved.model, &services, &named)
        && together.output.recreated.len() > own
    {
        return Err(format!("{service} shares a namespace or volumes with a service that differs itself"));
    }
    Ok(verdict.confirmed_by(&together))
}

/// Judges a service behind a provider on its own: with its dependencies, Compose would run the provider. That is enough, since
/// no Compose that has providers hashes `depends_on` (that ended with 2.29.3, providers began with 2.36).
async fn judge_alone(
    ask: &Asking<'_>,
    service: &str,
    provided: &Provided,
) -> Result<RecreateVerdict, String> {
    let services = [service.to_owned()];
    if ask.resolved.model.providers_of(service).is_empty() {
        return Ok(ask.verdict(service, &ask.up(&services, false, true).await?));
    }
    let undeclared = provided.undeclared(&ask.resolved.model, service);
    let undeclared = undeclared.ok_or("it is not known what the service's provider gave its container")?;
    let with = undeclared.of_providers;
    let alone = ask.up_with(service, &with).await?;
    if alone.output.recreated.is_empty() || undeclared.others.is_empty() || undeclared.is_one_removed {
        return Ok(ask.verdict(service, &alone));
    }
    // Recreating it again and again for variables that its provider sets would do harm.
    let all = ask.up_with(service, &[with, undeclared.others.clone()].concat()).await?;
    if all.is_whole() && all.output.recreated.is_empty() {
        let names: Vec<&str> = undeclared.others.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        return Err(format!(
            "its container differs in variables that nobody declares and a provider may have set: {names}"
        ));
    }
    Ok(ask.verdict(service, &alone))
}

/// The `up` command for these services that touches no other service: another one that the object names may have to keep its
/// container, because its new image lacks a module.
///
/// It omits `--no-deps` if that is safe: no dependency lies outside, or a dry run shows that Compose would leave those that do
/// alone. Otherwise it uses the flag; the container then has the other one of its two config hashes. The command also names the
/// providers that give these services their environment; they are no containers.
pub async fn up_command(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    services: &[String],
    force_recreate: bool,
    pull: Pull,
) -> Vec<String> {
    let step = services.iter().map(String::as_str).collect();
    let ask = Asking { desired, endpoint, resolved };
    let no_deps = argv::depend_on_others(&resolved.model, services, &step)
        && (resolved.model.must_leave_dependencies(services)
            || !leaves_others_alone(&ask, services, force_recreate).await);
    let providers = if no_deps { resolved.model.providers(services) } else { Vec::new() };
    let named: Vec<String> = services.iter().cloned().chain(providers).collect();
    argv::up(desired, &named, UpOptions { force_recreate, no_deps, pull })
}

/// Whether an `up` with dependencies would touch the containers of these services only.
async fn leaves_others_alone(ask: &Asking<'_>, services: &[String], force_recreate: bool) -> bool {
    let (ours, all) =
        tokio::join!(ask.up(services, force_recreate, true), ask.up(services, force_recreate, false));
    match (ours, all) {
        (Ok(ours), Ok(all)) => {
            ours.is_whole() && all.is_whole() && all.output.touched.is_subset(&ours.output.containers)
        }
        _ => false,
    }
}

/// The output of a dry run, and whether it is complete.
struct DryRun {
    output: DryRunOutput,
    /// Why it did not finish.
    flaw: Option<String>,
    /// The first line that undrift cannot parse, without possible values.
    odd: Option<String>,
}

impl DryRun {
    /// `passed` decides which of its words may be shown.
    fn of(
        finished: std::io::Result<Finished>,
        passage: &Passage,
        passed: impl FnOnce() -> Passed,
    ) -> Result<Self, String> {
        let finished = finished
            .map_err(|error| format!("the dry run of `docker compose up` could not start: {error}"))?;
        refused(&passage.tally())?;
        let stdout = String::from_utf8_lossy(&finished.stdout);
        let output = DryRunOutput::read(stdout.lines().chain(finished.output.lines()));
        let is_passed_on = finished.outcome == StepOutcome::Failed || output.odd.is_some();
        let passed = is_passed_on.then(passed);
        let odd = output.odd.as_ref().zip(passed.as_ref()).map(|(line, passed)| passed.line(line).0);
        let flaw = match (finished.outcome, &passed) {
            (StepOutcome::Succeeded, _) => None,
            (StepOutcome::Failed, Some(passed)) => {
                let message = refusal::message(passed, &finished);
                let last = message.lines().last().unwrap_or_default();
                Some(format!("the dry run of `docker compose up` failed: {last}"))
            }
            _ => Some(format!(
                "the dry run of `docker compose up` did not end within {} s",
                QUERY_TIMEOUT.limit.as_secs()
            )),
        };
        Ok(Self { output, flaw, odd })
    }

    /// Whether the output covers everything.
    const fn is_whole(&self) -> bool {
        self.flaw.is_none() && self.output.odd.is_none()
    }

    /// Why the output leaves the rest unknown.
    fn silence(&self) -> String {
        let odd = || self.odd.as_ref().map(|line| format!("a line that cannot be parsed: {line}"));
        self.flaw.clone().unwrap_or_else(|| {
            let what = odd().unwrap_or_else(|| "nothing of the container".to_owned());
            format!("the dry run of `docker compose up` prints {what}")
        })
    }
}

/// The Compose to ask.
struct Asking<'a> {
    desired: &'a Desired,
    endpoint: &'a Endpoint,
    resolved: &'a Resolved,
}

impl Asking<'_> {
    fn verdict(&self, service: &str, dry: &DryRun) -> RecreateVerdict {
        let declared = self.resolved.model.replicas([service]);
        let declared = declared.get(service).and_then(|declared| usize::try_from(*declared).ok());
        RecreateVerdict::of(dry, declared.unwrap_or_default())
    }

    async fn up(&self, services: &[String], force_recreate: bool, no_deps: bool) -> Result<DryRun, String> {
        self.run_no_program(services, no_deps)?;
        let argv = argv::up_dry_run(self.desired, services, force_recreate, no_deps);
        self.dry_run(&self.passage()?, self.desired, Environment::of_this_process(), &argv).await
    }

    /// Without dependencies, and with these variables in addition to the declared ones.
    async fn up_with(&self, service: &str, given: &[(&str, &str)]) -> Result<DryRun, String> {
        let passage = self.passage()?;
        let env = Environment::of_this_process();
        let (with, env) = lay_over(self.desired, env, passage.0.folder(), service, given)?;
        let argv = argv::up_dry_run(&with, &[service.to_owned()], false, true);
        self.dry_run(&passage, &with, env, &argv).await
    }

    fn passage(&self) -> Result<Passage, String> {
        Passage::open(self.endpoint).map_err(|error| error.to_string())
    }

    /// Files that name the engine read the gate's address in its place, so their services seem to differ. If a dry run reports
    /// a container as different, and tried nothing else, undrift therefore asks once more about such files, with the variable
    /// as a step has it. It does not ask a Compose again that tried to change something.
    async fn dry_run(
        &self,
        passage: &Passage,
        desired: &Desired,
        env: Environment,
        argv: &[String],
    ) -> Result<DryRun, String> {
        let env = env.for_project(self.endpoint, desired);
        let first = passage.within(desired, &env, argv, QUERY_TIMEOUT).await;
        let passed = || Passed::of(desired, &env);
        let first = DryRun::of(first, passage, passed)?;
        if first.output.recreated.is_empty() || !self.resolved.names_engine {
            return Ok(first);
        }
        DryRun::of(passage.beside(desired, &env, argv, QUERY_TIMEOUT).await, passage, passed)
    }

    /// In a dry run, Compose also runs providers and `docker model`.
    fn run_no_program(&self, services: &[String], no_deps: bool) -> Result<(), String> {
        let model = &self.resolved.model;
        let others = if no_deps { BTreeSet::new() } else { model.dependencies(services) };
        let mut all = services.iter().map(String::as_str).chain(others);
        let what = all.find_map(|name| match model.program(name)? {
            Program::Provider => Some(format!("the provider of {name}")),
            Program::ModelRunner => Some(format!("`docker model` for {name}")),
        });
        what.map_or(Ok(()), |what| Err(format!("a dry run of `docker compose up` would run {what}")))
    }
}

/// The output of a Compose that the gate kept from changing something is not trusted.
fn refused(tally: &Tally) -> Result<(), String> {
    let Some(first) = tally.first.first() else { return Ok(()) };
    let more = match tally.refused {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    Err(format!(
        "the dry run of `docker compose up` was kept from changing the host: {first}{more} was refused; is there a \
         wrapper around Compose?"
    ))
}

#[cfg(test)]
mod tests {
    use super::{super::test_support::desired, *};
    use crate::host::compose::Model;

    #[tokio::test]
    async fn a_provider_is_brought_up_along_without_being_tried_first() {
        let json = serde_json::json!({"name": "p", "services": {
            "api": {"image": "x", "depends_on": ["cloud", "db"]}, "db": {"image": "x"},
            "cloud": {"provider": {"type": "cloud"}},
        }});
        let model = Model::parse(json.to_string().as_bytes()).unwrap();
        let declared = crate::host::compose::declared::Declared::default();
        let hashes = std::collections::BTreeMap::new();
        let builds = crate::host::compose::Builds::default();
        let resolved = Resolved {
            model,
            hashes,
            declared,
            version: None,
            builds,
            names_engine: false,
            filled_in: Vec::new(),
            inputs: None,
        };
        // No such folder, so that a dry run could not even start.
        let (desired, nowhere) = (desired("/nonexistent", &["api"]), Endpoint::Unix("/nonexistent".into()));
        let argv = up_command(&desired, &nowhere, &resolved, &["api".into()], true, Pull::Never).await;
        assert!(argv.join(" ").ends_with("--no-deps --force-recreate api cloud"), "{argv:?}");
    }
}
