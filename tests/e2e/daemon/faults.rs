//! What fails around the daemon: the engine, the state folder, Compose. It does nothing wrong, says so, and goes on
//! once it can.

use std::{
    os::unix::net::UnixDatagram,
    time::{Duration, Instant},
};

use super::{Daemon, engine_proxy::EngineProxy, watching};
use crate::{
    support::{MANIFEST, Project, docker, every_second, wait_for},
    tmpfs::Tmpfs,
};

#[track_caller]
fn wait_until_settled(project: &Project) {
    wait_for("it to be proven", || {
        project.condition("Ready").starts_with("True")
            && project.condition("Reconciling").starts_with("False")
    });
}

/// Nothing was done, and nothing is claimed.
#[track_caller]
fn assert_no_drift_is_recorded(project: &Project) {
    let kinds = ["DriftDetected", "StepIntended", "Stalled"];
    let trail = project.trail();
    assert!(trail.iter().all(|r| !kinds.contains(&r["kind"].as_str().unwrap())), "{trail:?}");
    let service = &project.recorded()["services"][0];
    assert!(service["drift"].is_null(), "{service}");
}

/// A container is stopped while the engine cannot be asked: nothing is said of it before the engine is back.
fn is_healed_after_an_outage(fail: fn(&EngineProxy), manifest: &str) {
    let (project, proxy) = (Project::healthy(), EngineProxy::new());
    project.manifest(manifest);
    let daemon = proxy.watch(&project, &[]);
    wait_until_settled(&project);
    fail(&proxy);
    docker(&["kill", &project.containers("api")[0]]);
    wait_for("the outage in the status", || project.condition("Ready") == "Unknown EngineUnavailable");
    let before = proxy.in_vain();
    wait_for("further attempts", || proxy.in_vain() > before + 1);
    assert_no_drift_is_recorded(&project);
    assert_eq!(project.condition("Reconciling"), "False EngineUnavailable");
    proxy.restore();
    project.wait_for_healed(1);
    assert_eq!(project.steps(), ["Up"]);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

#[test]
fn engine_that_goes_away_is_no_drift_and_what_it_hid_is_healed() {
    is_healed_after_an_outage(EngineProxy::cut, MANIFEST);
}

#[test]
fn engine_that_hangs_is_no_drift_and_what_it_hid_is_healed() {
    is_healed_after_an_outage(EngineProxy::hang, &every_second());
}

#[test]
fn engine_that_comes_and_goes_on_a_healthy_host_leaves_no_trace() {
    let (project, proxy) = (Project::healthy(), EngineProxy::new());
    let daemon = proxy.watch(&project, &[]);
    wait_until_settled(&project);
    let records = project.trail().len();
    for _ in 0..3 {
        proxy.cut();
        wait_for("the outage in the status", || project.condition("Ready") == "Unknown EngineUnavailable");
        proxy.restore();
        wait_for("it to be seen again", || project.condition("Ready").starts_with("True"));
    }
    assert_eq!(project.trail().len(), records, "{:?}", project.trail());
    assert!(daemon.end().success());
}

#[test]
fn engine_that_is_not_there_at_the_start_is_waited_for() {
    let (project, proxy) = (Project::in_incident(), EngineProxy::new());
    proxy.cut();
    let daemon = proxy.watch(&project, &[]);
    wait_for("the outage in the status", || project.condition("Ready") == "Unknown EngineUnavailable");
    let before = proxy.in_vain();
    wait_for("further attempts", || proxy.in_vain() > before + 1);
    assert!(!daemon.is_ready(), "nothing was looked at yet");
    assert_no_drift_is_recorded(&project);
    proxy.restore();
    daemon.wait_until_ready();
    project.wait_for_healed(1);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

#[test]
fn state_that_cannot_be_written_holds_every_step_back_until_it_can() {
    // For the intent alone, for the whole trail, for the status; and how often the drift is told.
    for (full, recorded) in [("trail WHEN NEW.kind = 'StepIntended'", 1), ("trail", 0), ("objects", 1)] {
        let trigger = format!(
            "CREATE TRIGGER full BEFORE INSERT ON {full} BEGIN SELECT RAISE(FAIL, 'the disk is full'); END"
        );
        let project = Project::healthy();
        let daemon = Daemon::start_every_second(&project);
        wait_until_settled(&project);
        project.sql(&trigger);
        let container = project.containers("api");
        docker(&["kill", &container[0]]);
        daemon.wait_for_log("the disk is full");
        let looks = || daemon.log().matches("looked services=").count();
        let before = looks();
        wait_for("further looks", || looks() > before + 2);
        assert_eq!(docker(&["inspect", "--format", "{{.State.Running}}", &container[0]]).trim(), "false");
        assert_eq!(project.steps(), [""; 0]);
        let drifts = daemon.log().matches("drift service=").count();
        assert_eq!(drifts, recorded, "{full}: what is told is in the trail, and not told anew at every look");
        project.sql("DROP TRIGGER full");
        project.wait_for_healed(1);
        assert_eq!(project.steps(), ["Up"]);
        assert!(daemon.end().success());
        project.assert_trail_is_whole();
    }
}

/// How a state folder cannot be written, and what makes it so again.
type Unwritable = (fn(&Tmpfs), fn(&Tmpfs));

const READ_ONLY: Unwritable = (|disk| disk.read_only(true), |disk| disk.read_only(false));
const FULL: Unwritable = (Tmpfs::fill, Tmpfs::make_room);

#[test]
fn state_that_cannot_be_written_at_the_start_is_waited_for() {
    for (unwritable, writable) in [READ_ONLY, FULL] {
        // Where nothing is yet, and where an earlier undrift has left its state.
        for is_new in [true, false] {
            let project = Project::healthy();
            project.manifest(&every_second());
            let disk = Tmpfs::over(&project.state_dir());
            if !is_new {
                project.apply().expect(0);
            }
            unwritable(&disk);
            let container = project.containers("api");
            docker(&["kill", &container[0]]);
            let daemon = Daemon::spawn(&mut watching(&project, &[]), &project);
            let waits = "not ready: the state cannot be written, and is waited for";
            daemon.wait_for_log(waits);
            assert!(!daemon.is_ready());
            writable(&disk);
            project.wait_for_healed(1);
            daemon.wait_until_ready();
            assert_eq!(daemon.log().matches(waits).count(), 1, "{}", daemon.log());
            assert!(daemon.log().contains("the state can be written again"));
            assert_eq!(project.steps(), ["Up"]);
            assert!(daemon.end().success());
            project.assert_trail_is_whole();
        }
    }
}

#[test]
fn wait_for_a_state_that_can_be_written_ends_by_signal() {
    let project = Project::healthy();
    let disk = Tmpfs::over(&project.state_dir());
    disk.read_only(true);
    let manager = Manager::new(&project);
    let mut command = watching(&project, &[]);
    let daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", manager.path()), &project);
    let lock = project.state_dir().join("lock");
    manager.expect_messages(&[&format!(
        "STATUS=not ready: waits for a state that can be written: cannot use the state folder {}: Read-only file system (os \
         error 30)",
        lock.display()
    )]);
    assert_eq!(daemon.end().code(), Some(0));
}

#[test]
fn project_that_compose_refuses_is_left_alone_until_it_is_fixed() {
    let project = Project::healthy();
    let daemon = Daemon::start_every_second(&project);
    wait_until_settled(&project);
    let compose = std::fs::read_to_string(project.path("compose.yaml")).unwrap();
    project.write("compose.yaml", "services: [not, a, map]\n");
    docker(&["kill", &project.containers("api")[0]]);
    wait_for("the refusal in the status", || project.condition("Ready") == "Unknown ComposeRefused");
    let refused = || daemon.log().matches("outcome=\"Failed\"").count();
    let before = refused();
    // At the resync's pace: at that of an outage so many would take three minutes, for which nobody waits here.
    wait_for("further looks", || refused() > before + 10);
    assert_no_drift_is_recorded(&project);
    project.write("compose.yaml", &compose);
    project.wait_for_healed(1);
    assert_eq!(project.steps(), ["Up"]);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

#[test]
fn service_manager_is_notified_of_readiness_liveness_and_the_end() {
    let (project, proxy) = (Project::in_incident(), EngineProxy::new());
    // A build that goes on for longer than this test does not keep it from being ready.
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    let manager = Manager::new(&project);
    proxy.cut();
    let mut command = proxy.command(&project, &["--grace-period", "100ms"]);
    let daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", manager.path()), &project).started();
    wait_for("the outage in the status", || project.condition("Ready") == "Unknown EngineUnavailable");
    manager.expect_messages(&["WATCHDOG=1", "WATCHDOG=1"]);
    proxy.restore();
    manager.expect_messages(&["READY=1"]);
    assert!(daemon.log().contains("looked services=1"), "ready before a look was done");
    wait_for("the build", || project.is_at(" build "));
    manager.expect_messages(&["WATCHDOG=1", "WATCHDOG=1"]);
    daemon.signal(rustix::process::Signal::TERM);
    manager.expect_messages(&["STOPPING=1"]);
    assert!(daemon.end().success());
}

/// The service manager's end of the socket.
pub(super) struct Manager(UnixDatagram, std::path::PathBuf);

impl Manager {
    pub(super) fn new(project: &Project) -> Self {
        let path = project.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket, path)
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.1
    }

    /// Reads on until these have come in this order, watchdog's signs aside; nothing else may come.
    #[track_caller]
    pub(super) fn expect_messages(&self, expected: &[&str]) {
        for expected in expected {
            let began = Instant::now();
            loop {
                assert!(began.elapsed() < Duration::from_secs(60), "waited in vain: {expected}");
                let mut message = [0; 1024];
                let length = self.0.recv(&mut message).unwrap_or_else(|error| panic!("{expected}: {error}"));
                let message = String::from_utf8_lossy(&message[..length]).trim().to_owned();
                if message == *expected {
                    break;
                }
                assert_eq!(message, "WATCHDOG=1", "before {expected}");
            }
        }
    }
}
