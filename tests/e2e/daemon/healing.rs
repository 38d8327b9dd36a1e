//! What goes wrong on the host is noticed and healed without a command.

use super::Daemon;
use crate::support::{Project, docker};

#[test]
fn stopped_container_is_started_again() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
    project.wait_for_healed(1);
    assert_eq!(project.steps(), ["Up"]);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}
