//! The container layer: does every replica run the image that the reference names, as Compose describes it?

use chrono::TimeDelta;

use super::{
    Inputs, LayerVerdict, ServiceView, content, job, mounted, namespace, network, replicas, revision, worst,
};
use crate::api::{
    ConfigDifference, ContainerObservation, ContainerState, DriftReason, Fact, Health, ModuleInContainer,
    ModuleSpec, Presence, Time, Upgrades,
};

/// A container that ran for less than this counts as crashed again. This is the engine's own rule for the delay of its
/// restart policy ("restart: always" starts over at 100 ms once a container has run for 10 s).
const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(10);

/// This many deaths within ten minutes are a loop. One death that the engine's restart policy repaired is history: a service
/// that starts before its dependencies dies once, too.
const LOOP_RESTARTS: i64 = 2;

/// Why a container was not started, beside its state.
const PORT_TAKEN: &str = ": a port of the host that it publishes was taken when it was to be started";

/// A check of one replica.
type ReplicaCheck = fn(ServiceView<'_>, &ContainerObservation) -> LayerVerdict;

pub(super) fn check(view: ServiceView<'_>) -> LayerVerdict {
    let containers = match &view.seen.containers {
        Fact::Known(containers) => containers,
        Fact::Unknown(why) => return LayerVerdict::not_known(format!("containers: {why}")),
    };
    // Another project's container is not judged by this project's declaration.
    if let Some(others) = other_directory(view, containers) {
        return others;
    }
    // A person paused it, and a pause makes `up` fail for the whole service: it comes before all other reasons.
    if let Some(paused) = containers.iter().find(|c| c.state == ContainerState::Paused) {
        return broken(DriftReason::Paused, format!("{} is paused: a person has chosen that", paused.name));
    }
    if let Some(missing) = replicas::missing(view, containers) {
        return missing;
    }
    if replicas::none_is_declared(view) {
        return replicas::surplus(view, containers);
    }
    if let Some(of_job) = job::check(view, containers) {
        return of_job;
    }
    // DriftReason by reason, not container by container: drifts that `up` fixes come before those that a restart might fix.
    let fixed_by_up: [ReplicaCheck; 9] = [
        crash_looping_now,
        not_running,
        image,
        namespace::check,
        config,
        network::contents,
        modules,
        network::attachments,
        revision::in_container,
    ];
    let fixed_by_restart: [ReplicaCheck; 3] = [crash_looping, health, mounted::check];
    let each = |checks: &[ReplicaCheck]| {
        worst(checks.iter().flat_map(|check| containers.iter().map(move |c| check(view, c))))
    };
    let surplus = replicas::surplus(view, containers);
    // The last one last, because no step fixes it.
    worst([each(&fixed_by_up), surplus, each(&fixed_by_restart), network::definitions(view)])
}

fn other_directory(view: ServiceView<'_>, containers: &[ContainerObservation]) -> Option<LayerVerdict> {
    if view.inputs.desired.object.spec.project.take_over {
        return None;
    }
    let directory = match &view.seen.other_directory {
        Fact::Known(None) => return None,
        Fact::Known(Some(directory)) => directory,
        Fact::Unknown(why) => return Some(LayerVerdict::not_known(format!("whose container it is: {why}"))),
    };
    let (project, service) = (&view.inputs.observed.project, &view.seen.name);
    let what = if containers.is_empty() {
        format!("there is no container, and all others of the Compose project {project} were made")
    } else {
        format!("a container of {service} was made")
    };
    let message = format!(
        "{what} in {directory}, which is another project of the name {project}: give one of the two a `name:` of its own, \
         or set `project.takeOver: true`"
    );
    Some(broken(DriftReason::OtherDirectory, message))
}

/// The engine is between two starts of it: whatever else is wrong, it was observed to die.
fn crash_looping_now(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    // The new image, rather than a restart, repairs an outdated container that dies.
    if !is_between_starts(c) || matches!(image(view, c), LayerVerdict::Broken(..)) {
        return fine();
    }
    dies(view, c)
}

const fn is_between_starts(c: &ContainerObservation) -> bool {
    c.restarting || matches!(c.state, ContainerState::Restarting)
}

fn not_running(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    if replicas::is_spare(view, c) {
        return fine();
    }
    match c.state {
        ContainerState::Running
        | ContainerState::Restarting
        | ContainerState::Paused
        | ContainerState::Removing
        | ContainerState::Dead => fine(),
        state => {
            let code = c.exit_code.map(|code| format!(" with code {code}")).unwrap_or_default();
            let code = if state == ContainerState::Exited { code } else { String::new() };
            let port = if c.port_taken { PORT_TAKEN } else { "" };
            broken(DriftReason::NotRunning, format!("{} is {}{code}{port}", c.name, state.as_str()))
        }
    }
}

fn image(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    match &view.seen.artifact.image {
        Fact::Known(Some(id)) if *id == c.image_id => fine(),
        Fact::Known(Some(id)) => broken(
            DriftReason::ImageOutdated,
            format!(
                "{} runs image {}, while {} is {}",
                c.name,
                short(&c.image_id),
                view.seen.artifact.reference,
                short(id)
            ),
        ),
        // A tag that is gone is unknown, not stale.
        Fact::Known(None) => LayerVerdict::not_known(format!(
            "{} runs image {}, and nothing is behind {} to compare it with",
            c.name,
            short(&c.image_id),
            view.seen.artifact.reference
        )),
        Fact::Unknown(why) => LayerVerdict::not_known(format!("image of {}: {why}", c.name)),
    }
}

fn config(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    match &c.config_changed {
        Fact::Known(false) => fine(),
        // The same configuration: upgrading Compose needs no repair, unless the manifest demands it.
        _ if c.only_upgraded && reports_upgrades(view) => fine(),
        Fact::Known(true) => broken(
            DriftReason::ConfigChanged,
            format!(
                "{} was created from another configuration than the Compose files describe now: {}",
                c.name,
                in_what(c)
            ),
        ),
        Fact::Unknown(why) => LayerVerdict::not_known(format!("configuration of {}: {why}", c.name)),
    }
}

/// How many keys the message names; the status has all.
const NAMED: usize = 6;

/// How a container differs, if that is visible.
fn in_what(c: &ContainerObservation) -> String {
    let differences = match &c.differences {
        Fact::Unknown(why) => return format!("which key differs is not known ({why})"),
        Fact::Known(none) if none.is_empty() => {
            return "which key differs cannot be seen of the container".to_owned();
        }
        Fact::Known(differences) => differences,
    };
    let named: Vec<String> = differences.iter().take(NAMED).map(ConfigDifference::in_words).collect();
    let more = differences.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if differences.len() == 1 { "differs" } else { "differ" };
    format!("{}{more} {verb}", named.join(", "))
}

fn reports_upgrades(view: ServiceView<'_>) -> bool {
    view.inputs.desired.object.spec.reconcile.upgrades == Upgrades::Report
}

fn modules(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    let rows = view.spec.modules.iter().zip(&c.modules).enumerate();
    worst(rows.map(|(index, (spec, seen))| {
        let in_image = view.seen.artifact.modules.get(index).map(|m| &m.presence);
        module(spec, seen, in_image, c)
    }))
}

fn module(
    spec: &ModuleSpec,
    seen: &ModuleInContainer,
    in_image: Option<&Fact<Presence>>,
    c: &ContainerObservation,
) -> LayerVerdict {
    let (name, path) = (spec.display_name(), &spec.path);
    match &seen.presence {
        Fact::Known(Presence::Present) => content::in_container(spec, seen, c),
        Fact::Unknown(why) => LayerVerdict::not_known(format!("module {name} in {}: {why}", c.name)),
        Fact::Known(Presence::Missing | Presence::WrongType) => match &seen.covered_by {
            Some(mount) => {
                let there = in_image.is_some_and(|p| *p == Fact::Known(Presence::Present));
                let image = if there { "the image has it; " } else { "" };
                broken(
                    DriftReason::ShadowedByMount,
                    format!(
                        "module {name} is not in {}: {image}the {} {} at {} hides {path}, and no rebuild changes that",
                        c.name, mount.kind, mount.source, mount.destination
                    ),
                )
            }
            None => {
                broken(DriftReason::ModuleMissing, format!("module {name} is not in {}: no {path}", c.name))
            }
        },
    }
}

fn crash_looping(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    if c.state == ContainerState::Running { dies(view, c) } else { fine() }
}

/// Whether undrift observed a container dying again and again.
pub(in crate::decide) fn is_looping(inputs: Inputs<'_>, c: &ContainerObservation) -> bool {
    let restarts = match inputs.history.restarts.get(&c.id) {
        Some(before) => c.restart_count - before,
        // At a first observation: the last death was just now, and the times of the others are unknown.
        None if within_start_grace(c, inputs.now) => c.restart_count,
        None => 0,
    };
    restarts >= LOOP_RESTARTS
}

fn dies(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    let in_grace = within_start_grace(c, view.inputs.now);
    if is_looping(view.inputs, c) {
        looping(c)
    } else if is_between_starts(c) || (in_grace && c.restart_count > 0) {
        LayerVerdict::not_known(format!("{} has died just now, and the engine starts it again", c.name))
    } else {
        fine()
    }
}

/// Whether the last start of a container was so recent that it counts as crashed again if it dies.
#[must_use]
pub fn within_start_grace(c: &ContainerObservation, now: Time) -> bool {
    is_between_starts(c) || c.started_at.is_some_and(|started| (now - started).abs() < SETTLED_AFTER)
}

fn health(_: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    match c.health {
        Some(Health::Unhealthy) => {
            broken(DriftReason::Unhealthy, format!("the health check of {} fails", c.name))
        }
        Some(Health::Starting) => {
            LayerVerdict::not_known(format!("the health check of {} has not passed yet", c.name))
        }
        Some(Health::Healthy) | None => fine(),
    }
}

fn looping(c: &ContainerObservation) -> LayerVerdict {
    let code = c.exit_code.map(|code| format!(", last with code {code}")).unwrap_or_default();
    broken(
        DriftReason::CrashLooping,
        format!("{} dies and is started again: {} restarts{code}", c.name, c.restart_count),
    )
}

const fn fine() -> LayerVerdict {
    LayerVerdict::AsDeclared(None)
}

const fn broken(reason: DriftReason, message: String) -> LayerVerdict {
    LayerVerdict::Broken(reason, message)
}

/// An image ID in its short form: twelve digits, as the docker CLI prints it.
fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}
