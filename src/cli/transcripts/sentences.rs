//! What may happen on the host, in the words of who sees it. The list is closed: a sentence that is not in it is an error.

use chrono::TimeDelta;

use crate::testing::fake::{Hand, Image, Kill, World};

/// What a sentence does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    /// The host of the project becomes another.
    Change(fn(&mut World)),
    /// The same, and builds print this from now on where they fail.
    FailingBuilds(fn(&mut World), &'static str),
    /// Somebody else begins that after a while, and takes a while for it.
    Later { begins_after: TimeDelta, takes: TimeDelta, change: fn(&mut World, Option<Image>) },
    /// Somebody presses Ctrl-C in the middle of the next command.
    Interrupt { after: TimeDelta },
    /// undrift is killed at its next step.
    Killed(fn(usize) -> Kill),
    /// A manifest of the project is on the machine, with these words in the place of others.
    Install(&'static [(&'static str, &'static str)]),
}

use Happening::{Change, FailingBuilds, Install, Interrupt, Killed, Later};

/// What BuildKit prints of a `RUN` that fails.
const DOES_NOT_COMPILE: &str = "\
#9 [api 4/5] RUN npm run build
#9 ERROR: process \"/bin/sh -c npm run build\" did not complete successfully: exit code: 2
------
 > [api 4/5] RUN npm run build:
1.204 src/workflow/index.ts(14,7): error TS2322: Type 'string' is not assignable to type 'number'.
------
failed to solve: process \"/bin/sh -c npm run build\" did not complete successfully: exit code: 2";

/// The same of a base image that it cannot fetch.
const NO_REGISTRY: &str = "\
#2 [api internal] load metadata for registry.example/node:24
#2 ERROR: failed to do request: Head \"https://registry.example/v2/node/manifests/24\": dial tcp: i/o timeout
------
 > [api internal] load metadata for registry.example/node:24:
------
failed to solve: node:24: failed to resolve source metadata for registry.example/node:24: dial tcp: i/o timeout";

/// Every sentence. `shop: ` before it says that it is about the second project.
pub(super) const SENTENCES: &[(&str, Happening)] = &[
    ("the manifest is installed", Install(&[])),
    ("the manifest is installed, with mode: observe", Install(&[("mode: enforce", "mode: observe")])),
    ("the manifest is changed to mode: enforce", Install(&[])),
    (
        "the manifest is installed, with churn: { restarts: 3, within: 24h }",
        Install(&[("attempts: 3", "attempts: 3\n    churn: { restarts: 3, within: 24h }")]),
    ),
    ("a developer merges the module into the source", Change(|world| world.by_hand(Hand::GainModule))),
    ("a developer removes the module from the source", Change(|world| world.by_hand(Hand::LoseModule))),
    (
        "a developer merges a change that does not compile",
        FailingBuilds(|world| world.by_hand(Hand::Break), DOES_NOT_COMPILE),
    ),
    ("the registry is away", FailingBuilds(|world| world.faults.build_fails = true, NO_REGISTRY)),
    ("the registry is back", Change(|world| world.faults.build_fails = false)),
    ("a developer merges a change that compiles again", Change(|world| world.by_hand(Hand::Fix))),
    ("a developer merges a change that crashes at its start", Change(World::begin_crashing)),
    ("a developer merges a change that forgets the route", Change(World::begin_forgetting_the_route)),
    ("a developer merges a change that mends it", Change(World::mend_source)),
    ("somebody runs docker compose up -d --build", Change(World::compose_up_build)),
    (
        "in 30 seconds somebody runs docker compose up -d --force-recreate, which takes 20 seconds",
        Later {
            begins_after: TimeDelta::seconds(30),
            takes: TimeDelta::seconds(20),
            change: World::force_recreate,
        },
    ),
    ("somebody stops the container of api", Change(|world| world.by_hand(Hand::Stop))),
    ("something restarts the container of api", Change(World::restart_by_hand)),
    ("somebody removes the container of api", Change(|world| world.by_hand(Hand::Remove))),
    (
        "somebody changes the environment of api in compose.yaml",
        Change(|world| world.by_hand(Hand::Configure)),
    ),
    (
        "in 60 seconds somebody runs docker image prune --all",
        Later {
            begins_after: TimeDelta::seconds(60),
            takes: TimeDelta::zero(),
            change: |world, _| world.forget_all_but_current(),
        },
    ),
    ("in 20 seconds somebody presses Ctrl-C", Interrupt { after: TimeDelta::seconds(20) }),
    ("the engine stops", Change(|world| world.engine_away = true)),
    ("the engine is back", Change(|world| world.engine_away = false)),
    ("the engine restarts, and starts api a moment later", Change(|world| world.restart_engine(true))),
    ("the engine restarts, and leaves api down", Change(|world| world.restart_engine(false))),
    ("the server of api loses the route", Change(|world| world.faults.route_lost = true)),
    ("the server of api finds the route again", Change(|world| world.faults.route_lost = false)),
    ("undrift will be killed before its next step has an effect", Killed(Kill::Before)),
    ("undrift will be killed as its next step ends", Killed(Kill::After)),
];

/// What a sentence means, and of which project.
pub(super) fn find(text: &str) -> Result<(&str, Happening), String> {
    let (project, sentence) =
        text.split_once(": ").filter(|(name, _)| !name.contains(' ')).unwrap_or(("backoffice", text));
    if let Some((_, happening)) = SENTENCES.iter().find(|(known, _)| *known == sentence) {
        return Ok((project, *happening));
    }
    let known: String = SENTENCES.iter().map(|(known, _)| ["  * ", known, "\n"].concat()).collect();
    Err(format!("nothing is known of `{sentence}`; what may happen is:\n{known}"))
}
