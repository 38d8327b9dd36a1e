//! The gate for observations: whether the docker CLI reaches the engine through it, and whether it refuses.

use std::path::Path;

use super::{
    Check,
    tool::{ToolOutput, ask_in},
};
use crate::host::{
    endpoint::Endpoint,
    gate::{Gate, Tally},
    process::Environment,
};

/// A container that cannot exist. Removing it changes nothing, even if the gate lets that pass.
const NOBODY: &str = "undrift-doctor-no-such-network";

const HELP: &str = "set TMPDIR to a folder that undrift can write and the docker CLI can see (one from a snap sees another \
    /tmp)";

/// The findings.
#[derive(Debug)]
pub(super) enum GateFindings {
    /// There is no address to contact.
    NoEngine,
    /// No gate could be opened; the message.
    Closed(String),
    /// It was tried.
    Tried {
        /// The output of a read: `docker version`.
        question: ToolOutput,
        /// All requests that reached the gate.
        tally: Tally,
    },
}

/// Tries it once: a read, and a write.
pub(super) async fn read() -> GateFindings {
    let Ok(endpoint) = Endpoint::resolve(&|name| std::env::var_os(name)) else {
        return GateFindings::NoEngine;
    };
    let gate = match Gate::open(&endpoint) {
        Ok(gate) => gate,
        Err(error) => return GateFindings::Closed(error.to_string()),
    };
    let env = || Environment::of_this_process().for_look(&gate, Path::new("/"));
    let (question, _) = tokio::join!(
        ask_in(&["docker", "version", "--format", "{{.Server.Version}}"], env()),
        ask_in(&["docker", "network", "rm", NOBODY], env())
    );
    GateFindings::Tried { question, tally: gate.tally() }
}

/// Judges the findings.
pub(super) fn judge(found: &GateFindings) -> Vec<Check> {
    vec![gate(found)]
}

fn gate(found: &GateFindings) -> Check {
    let name = "LooksChangeNothing";
    let tally = match found {
        GateFindings::NoEngine => return Check::unknown(name, "there is no engine to look at"),
        GateFindings::Closed(why) => {
            return Check::failed(name, format!("the gate for looks cannot be opened: {why}"), HELP);
        }
        GateFindings::Tried { question: ToolOutput::NoProgram, .. } => {
            return Check::unknown(name, "without the docker CLI nobody goes through the gate");
        }
        GateFindings::Tried {
            question: ToolOutput::Silent(why) | ToolOutput::NotRun { why, .. }, ..
        } => {
            return Check::unknown(name, why.clone());
        }
        GateFindings::Tried { tally, .. } => tally,
    };
    let GateFindings::Tried { question, .. } = found else { return Check::unknown(name, "it was not tried") };
    match (question, tally.refused) {
        (ToolOutput::Refused(why), _) if tally.passed == 0 && tally.refused == 0 => {
            Check::failed(name, format!("the docker CLI does not find the gate for looks: {why}"), HELP)
        }
        (ToolOutput::Refused(why), _) => {
            Check::unknown(name, format!("the engine does not answer through the gate for looks: {why}"))
        }
        (_, 0) => Check::unknown(
            name,
            "the docker CLI asks an engine by another way than DOCKER_HOST: no look of Compose's is kept from changing it",
        )
        .with_help("look for a wrapper around docker: type -a docker"),
        (_, refused) => Check::ok(
            name,
            format!("looks go through a gate: {} questions passed, {refused} other refused, as it should be", tally.passed),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::Status, host::gate::Refused};

    fn tried(question: ToolOutput, passed: u64, refused: u64) -> (Status, String) {
        let first = vec![Refused { method: "DELETE".into(), path: format!("/networks/{NOBODY}") }];
        let check = gate(&GateFindings::Tried { question, tally: Tally { passed, refused, first } });
        assert!(check.status != Status::Failed || check.help.is_some());
        (check.status, check.found)
    }

    #[test]
    fn it_is_well_only_where_questions_pass_and_nothing_else_does() {
        let version = || ToolOutput::Words("20.10.24".into());
        assert_eq!(tried(version(), 2, 1).0, Status::Ok);
        let (status, found) = tried(version(), 0, 0);
        assert!(status == Status::Unknown && found.contains("another way"), "{found}");
        assert_eq!(tried(version(), 2, 0).0, Status::Unknown);
        let refused = || ToolOutput::Refused("Cannot connect to the Docker daemon".into());
        let (status, found) = tried(refused(), 0, 0);
        assert!(status == Status::Failed && found.contains("Cannot connect"), "{found}");
        assert_eq!(
            tried(refused(), 1, 0).0,
            Status::Unknown,
            "the engine is away, which is another line's to say"
        );
        assert_eq!(tried(ToolOutput::NoProgram, 0, 0).0, Status::Unknown);
        assert_eq!(gate(&GateFindings::Closed("no space".into())).status, Status::Failed);
    }
}
