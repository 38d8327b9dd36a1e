//! What a host's own ways (links, folders, people's other commands) must not be taken for.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{MANIFEST, Project, Run, run};

/// As declared, brought up by a person who stood at a link to its folder, with a file that names no project and says
/// `${PWD}`. The link's path.
fn behind_a_link() -> (Project, std::path::PathBuf) {
    let project = Project::new();
    project.add_module("api", "workflow");
    let api = "{ build: ./api, init: true, stop_grace_period: 1s, volumes: ['${PWD}/data:/data'] }";
    project.write("compose.yaml", &format!("services:\n  api: {api}\n"));
    project.manifest(&MANIFEST.replace("{ directory: ., name: NAME }", "{ directory: . }"));
    let link = project.path("").parent().unwrap().join(&project.name);
    symlink("project", &link).unwrap();
    let mut up = Command::new("docker");
    up.args(["compose", "up", "-d", "--build"]).current_dir(&link).env("PWD", &link).stdin(Stdio::null());
    let up = run(&mut up);
    assert_eq!(up.code, Some(0), "{up:?}");
    (project, link)
}

fn standing_at(project: &Project, folder: &Path, verb: &str, manifest: &Path) -> Run {
    let mut command = project.command(&[verb, "-o", "json", "-f"]);
    run(command.arg(manifest).current_dir(folder).env("PWD", folder))
}

#[test]
fn project_behind_a_link_is_the_one_that_a_person_brought_up_there() {
    let (project, link) = behind_a_link();
    let before = project.containers("api");
    for (folder, manifest) in
        [(Path::new("/"), link.join("undrift.yaml")), (&link, Path::new("undrift.yaml").to_owned())]
    {
        let check = standing_at(&project, folder, "check", &manifest).expect(0);
        assert_eq!(check.drift("api"), "", "{}", folder.display());
    }
    standing_at(&project, Path::new("/"), "apply", &link.join("undrift.yaml")).expect(0);
    assert_eq!((project.containers("api"), project.steps().len()), (before, 0), "adoption disturbs nothing");
}
