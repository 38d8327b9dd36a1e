//! What may happen on the host, in the words of who sees it. The list is closed: a sentence that is not in it is an error.

use chrono::TimeDelta;

use crate::reconcile::fake::{Hand, Kill, World};

/// What a sentence does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    /// The host of the project becomes another.
    World(fn(&mut World)),
    /// Somebody else's `docker compose up`: begins after a while, and takes a while.
    ComposeUp { begins_after: TimeDelta, takes: TimeDelta },
    /// undrift is killed at its next step.
    Kill(fn(usize) -> Kill),
    /// A manifest of the project is on the machine, with these words in the place of others.
    Manifest(&'static [(&'static str, &'static str)]),
}

use Happening::{ComposeUp, Kill as Killed, Manifest, World as Host};

/// Every sentence. `shop: ` before it says that it is about the other project.
const SENTENCES: &[(&str, Happening)] = &[
    ("the manifest is installed", Manifest(&[])),
    ("the manifest is changed to mode: observe", Manifest(&[("mode: enforce", "mode: observe")])),
    ("the manifest is changed back to mode: enforce", Manifest(&[])),
    ("a developer merges the module into the source", Host(|world| world.by_hand(Hand::GainModule))),
    ("a developer removes the module from the source", Host(|world| world.by_hand(Hand::LoseModule))),
    ("a developer merges a change", Host(|world| world.by_hand(Hand::Edit))),
    ("a developer merges a change that does not compile", Host(|world| world.by_hand(Hand::Break))),
    ("a developer merges a change that compiles again", Host(|world| world.by_hand(Hand::Fix))),
    ("a developer merges a change that crashes at its start", Host(World::begin_crashing)),
    ("a developer merges a change that starts again", Host(World::end_crashing)),
    ("somebody runs docker compose up -d --build", Host(World::compose_up_build)),
    (
        "in 30 seconds somebody runs docker compose up -d, which takes 20 seconds",
        ComposeUp { begins_after: TimeDelta::seconds(30), takes: TimeDelta::seconds(20) },
    ),
    ("somebody stops the container of api", Host(|world| world.by_hand(Hand::Stop))),
    ("somebody removes the container of api", Host(|world| world.by_hand(Hand::Remove))),
    ("somebody changes the environment of api in compose.yaml", Host(|world| world.by_hand(Hand::Configure))),
    ("somebody removes the image that is kept for a rollback", Host(World::forget_all_but_current)),
    ("the engine stops", Host(|world| world.engine_away = true)),
    ("the engine is back", Host(|world| world.engine_away = false)),
    ("the engine restarts, and starts api a moment later", Host(|world| world.restart_engine(true))),
    ("the engine restarts, and leaves api down", Host(|world| world.restart_engine(false))),
    ("the server of api loses the route", Host(|world| world.faults.route_lost = true)),
    ("the server of api finds the route again", Host(|world| world.faults.route_lost = false)),
    ("undrift will be killed before its next step has an effect", Killed(Kill::Before)),
    ("undrift will be killed as its next step ends", Killed(Kill::After)),
];

/// What a sentence means, and of which project.
pub(super) fn find(text: &str) -> Result<(&str, Happening), String> {
    let (project, sentence) =
        text.split_once(": ").filter(|(name, _)| !name.contains(' ')).unwrap_or(("backoffice", text));
    let found = SENTENCES.iter().find(|(known, _)| *known == sentence);
    let known = || SENTENCES.iter().map(|(known, _)| format!("  * {known}\n")).collect::<String>();
    let happening = found.map(|(_, happening)| *happening);
    Ok((
        project,
        happening
            .ok_or_else(|| format!("nothing is known of `{sentence}`; what may happen is:\n{}", known()))?,
    ))
}
