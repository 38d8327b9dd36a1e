//! Docker Compose and buildx, to which Compose delegates builds.

use super::{
    Check,
    tool::{ToolOutput, Version, ask},
};

/// From here on Compose builds by `buildx bake` unless configured otherwise; without buildx it falls back to a builder of
/// its own, with a warning.
const BAKES: Version = Version(2, 37, 0);

/// From here on Compose refuses to build with a buildx older than [`BUILDX`].
const DEMANDS: Version = Version(2, 40, 2);

/// From here on Compose has no builder of its own.
const CANNOT_BUILD_ALONE: Version = Version(5, 0, 0);

/// The oldest buildx that a Compose which [`DEMANDS`] one accepts.
const BUILDX: Version = Version(0, 17, 0);

const INSTALL_COMPOSE: &str = "sudo apt-get install docker-compose-v2 (in Ubuntu; in Debian 13 docker-compose, from \
    Docker's own packages docker-compose-plugin)";

const INSTALL_BUILDX: &str =
    "sudo apt-get install docker-buildx (from Docker's own packages docker-buildx-plugin)";

/// The tools' output.
#[derive(Debug)]
pub(super) struct Tools {
    /// `docker compose version --short`.
    pub(super) compose: ToolOutput,
    /// `docker-compose version --short`: version 1, or version 2 if it is no plugin.
    pub(super) standalone: Option<ToolOutput>,
    /// `docker buildx version`.
    pub(super) buildx: ToolOutput,
}

/// Runs the tools to get their versions.
pub(super) async fn read() -> Tools {
    let (compose, buildx) = tokio::join!(
        ask(&["docker", "compose", "version", "--short"]),
        ask(&["docker", "buildx", "version"])
    );
    let standalone = match version(&compose) {
        Some(_) => None,
        None => Some(ask(&["docker-compose", "version", "--short"]).await),
    };
    Tools { compose, standalone, buildx }
}

fn version(output: &ToolOutput) -> Option<Version> {
    match output {
        ToolOutput::Words(words) => Version::find(words),
        _ => None,
    }
}

/// Judges their output.
pub(super) fn judge(tools: &Tools) -> Vec<Check> {
    vec![compose(tools), buildx(tools)]
}

fn compose(tools: &Tools) -> Check {
    let name = "ComposeInstalled";
    let v1 = tools.standalone.as_ref().and_then(version).filter(|version| version.0 < 2);
    match (&tools.compose, version(&tools.compose)) {
        (_, Some(version)) if version.0 < 2 => {
            Check::failed(name, format!("Compose {version}: version 2 or later is needed"), INSTALL_COMPOSE)
        }
        (ToolOutput::Words(words), Some(_)) => Check::ok(name, format!("Compose {words}")),
        (ToolOutput::Words(words), None) => {
            Check::unknown(name, format!("Compose prints as its version: {words}"))
        }
        (ToolOutput::Silent(why), _) => Check::unknown(name, why.clone()),
        (ToolOutput::NotRun { why, next }, _) => not_run(name, why, next.as_deref()),
        (ToolOutput::NoProgram, _) => Check::failed(
            name,
            "there is no docker CLI on the PATH",
            "sudo apt-get install docker.io (from Debian 13 on docker-cli), and Compose v2 as its plugin",
        ),
        (ToolOutput::Refused(_), _) => match v1 {
            Some(v1) => Check::failed(
                name,
                format!(
                    "only docker-compose {v1} is here; version 1 ended in 2023, and undrift needs 2 or later"
                ),
                INSTALL_COMPOSE,
            ),
            None => Check::failed(name, "`docker compose` is not a command here", INSTALL_COMPOSE),
        },
    }
}

fn buildx(tools: &Tools) -> Check {
    let name = "BuildxInstalled";
    let compose = version(&tools.compose);
    let needs = |since: Version| compose.is_some_and(|compose| compose >= since);
    match (&tools.buildx, version(&tools.buildx)) {
        (ToolOutput::Words(_), Some(version)) if version < BUILDX && needs(DEMANDS) => Check::failed(
            name,
            format!("buildx {version}: this Compose refuses to build with one older than {BUILDX}"),
            INSTALL_BUILDX,
        ),
        (ToolOutput::Words(_), Some(version)) => Check::ok(name, format!("buildx {version}")),
        (ToolOutput::Words(words), None) => {
            Check::unknown(name, format!("buildx prints as its version: {words}"))
        }
        (ToolOutput::Silent(why), _) => Check::unknown(name, why.clone()),
        (ToolOutput::NotRun { why, next }, _) => not_run(name, why, next.as_deref()),
        (ToolOutput::Refused(_), _) if needs(CANNOT_BUILD_ALONE) => Check::failed(
            name,
            "no buildx, and this Compose has no builder of its own: nothing can be built",
            INSTALL_BUILDX,
        ),
        (ToolOutput::NoProgram, _) => Check::unknown(name, "without the docker CLI there is nobody to ask"),
        (ToolOutput::Refused(_), _) => {
            let what = if needs(BAKES) { ", which this Compose builds with by default" } else { "" };
            let found = format!("no buildx{what}: Compose builds by itself, as its next versions cannot");
            Check::warning(name, found, INSTALL_BUILDX)
        }
    }
}

/// Then no docker command works.
fn not_run(name: &'static str, why: &str, next: Option<&str>) -> Check {
    Check::failed(name, why, next.unwrap_or("mount anew what does not answer"))
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
