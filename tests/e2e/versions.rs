//! What differs between versions of Compose, and makes no difference.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    compose_binaries::Compose,
    support::{Project, run},
};

/// Compose with a script before its end: `$code` is what it would have ended with.
fn ends_with(project: &Project, script: &str) {
    let place = "docker/cli-plugins/docker-compose";
    let compose = Compose::own().path();
    project.write(place, &format!("#!/bin/sh\n{compose} \"$@\"; code=$?\n{script}\n"));
    fs::set_permissions(project.path(place), fs::Permissions::from_mode(0o755)).unwrap();
}

/// 2.26 ends a build that fails with 17, later versions with 1, a missing variable with 15 or 1; a signal is above 128.
#[test]
fn exit_code_that_is_not_zero_is_a_failure_whichever_it_is_and_zero_is_no_verification() {
    for code in [1, 15, 17, 130] {
        let project = Project::in_incident();
        ends_with(&project, &format!("case \" $* \" in *' build '*) exit {code} ;; esac\nexit $code"));
        let apply = run(&mut Compose::undrift(&project, "apply")).expect(0);
        // The build has made the image all the same, which is seen: one more is not needed.
        assert_eq!(project.steps(), ["Build", "Up"], "{code}: {apply:?}");
        let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
        assert!(trail.contains("\"Failed\""), "{code}: {trail}");
    }
    let project = Project::in_incident();
    ends_with(&project, "exit $code");
    let image = project.image();
    // It builds nothing, and says that all is well.
    let place = "docker/cli-plugins/docker-compose";
    let script = fs::read_to_string(project.path(place)).unwrap();
    project.write(
        place,
        &script.replace("#!/bin/sh\n", "#!/bin/sh\ncase \" $* \" in *' build '*) exit 0 ;; esac\n"),
    );
    let apply = run(&mut Compose::undrift(&project, "apply")).expect(1);
    assert_eq!((apply.drift("api").as_str(), project.image()), ("artifact ModuleMissing", image));
}

/// 2.40 builds by bake unless this says otherwise, 5.6 does not ask, and 2.26 knows no bake.
#[test]
fn variable_that_chooses_the_builder_changes_nothing_of_a_repair() {
    for bake in ["true", "false"] {
        let project = Project::in_incident();
        let apply = || {
            let mut command = project.command(&["apply", "-f", "undrift.yaml", "-o", "json"]);
            run(command.env("COMPOSE_BAKE", bake))
        };
        apply().expect(0);
        assert_eq!(project.steps_that_counted(), ["Build", "Up"], "{bake}");
        let before = (project.containers("api"), project.image());
        // And the other way round it is no drift.
        project.check().expect(0);
        apply().expect(0);
        assert_eq!((project.containers("api"), project.image()), before, "{bake}");
    }
}
