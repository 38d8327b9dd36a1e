//! An engine whose answers come byte by byte and never end: each verb that looks once ends all the same, says so, and does
//! nothing.

use std::time::{Duration, Instant};

use crate::{
    faulty_wire::{Fault, Plan, Wire},
    support::{MANIFEST, Project, run},
};

/// Far below the limit of a look: each question has one of its own.
const LONG: Duration = Duration::from_secs(100);

#[test]
fn check_plan_and_apply_end_where_the_engine_drips() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 1s"));
    project.apply().expect(0);
    let wire = Wire::new();
    for (verb, about) in [("check", ""), ("plan", "/containers/*/json"), ("apply", "/archive"), ("apply", "")]
    {
        let fault = Fault::Drips(Duration::from_millis(200));
        wire.set(Some(Plan { fault, about, often: 100, seed: 0 }));
        let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
        command.env("DOCKER_HOST", wire.docker_host()).env_remove("DOCKER_CONTEXT");
        let _ = std::fs::remove_dir_all(project.cache_home());
        let began = Instant::now();
        let found = run(&mut command);
        assert!(began.elapsed() < LONG, "{verb}, {about:?}: {:?}", began.elapsed());
        assert!(matches!(found.code, Some(1 | 2)), "{verb}, {about:?}: {found:?}");
        assert!(found.condition("Ready").starts_with("Unknown "), "{verb}, {about:?}: {found:?}");
        assert_eq!(found.drift("api"), "", "{verb}, {about:?}: {found:?}");
    }
    assert_eq!(project.steps(), [""; 0]);
}
