//! Services that undo each repair some time after it was verified.

use crate::support::{MANIFEST, Project, SERVE, docker, wait_for};

/// What a service does to itself, once the test says so, and how that shows.
struct Undoes {
    /// The command in the container.
    command: &'static str,
    /// The check of its effect, in the container.
    shows: &'static str,
    /// What the manifest declares, for `path: /app/dist/modules/workflow }]`.
    declared: &'static str,
    drift: &'static str,
    remedy: &'static str,
}

const MODULE: &str = "path: /app/dist/modules/workflow }]";

const FILES: Undoes = Undoes {
    command: "echo other > /app/dist/modules/workflow/index",
    shows: "grep -q other /app/dist/modules/workflow/index",
    declared: "path: /app/dist/modules/workflow, content: same }]",
    drift: "container ContentDiffers",
    remedy: "`ignore`",
};

const REMOVES: Undoes = Undoes {
    command: "rm -r /app/dist/modules/workflow",
    shows: "test ! -e /app/dist/modules/workflow",
    declared: MODULE,
    drift: "container ModuleMissing",
    remedy: "removes the module",
};

const UPDATES: Undoes = Undoes {
    command: "date +%s > /REVISION",
    shows: "! grep -q 1.4.2 /REVISION",
    declared: "path: /app/dist/modules/workflow }]\n      \
               revision: { from: { file: /REVISION }, equals: { text: 1.4.2 } }",
    drift: "container RevisionDiffers",
    remedy: "look at what writes /REVISION",
};

impl Undoes {
    /// A healthy project that waits for the test's word.
    fn project(&self) -> Project {
        let project = Project::new();
        project.add_module("api", "workflow");
        let waits = format!(
            "(while [ ! -e \"/words/$(hostname)\" ]; do sleep 0.1; done; {}) &\nexec httpd -f",
            self.command
        );
        project.write("api/serve", &SERVE.replace("exec httpd -f", &waits));
        project.append("api/Dockerfile", "RUN echo 1.4.2 > /REVISION\n");
        project.write("words/README", "the containers that may begin\n");
        let service = "{ build: ./api, init: true, stop_grace_period: 1s, volumes: [\"./words:/words:ro\"] }";
        project.write("compose.yaml", &format!("services:\n  api: {service}\n"));
        project.manifest(&MANIFEST.replace(MODULE, self.declared));
        project.compose(&["up", "-d", "--build"]);
        project
    }

    /// Has the container undo what it was repaired for.
    fn undo(&self, project: &Project) {
        let id = project.containers("api")[0].clone();
        project.write(&format!("words/{}", &id[..12]), "now\n");
        let shows = format!("{} && echo yes || echo no", self.shows);
        wait_for("the service to undo it", || docker(&["exec", &id, "sh", "-c", &shows]).trim() == "yes");
    }

    fn is_given_up_after_three_repairs(&self) {
        let project = self.project();
        project.apply().expect(0);
        for round in 1..=3 {
            self.undo(&project);
            assert_eq!(project.check().expect(1).drift("api"), self.drift);
            project.apply().expect(0);
            assert_eq!(project.steps_that_counted().len(), round, "{}", self.drift);
        }
        self.undo(&project);
        for _ in 0..2 {
            let apply = project.apply().expect(1);
            assert_eq!(
                (apply.drift("api").as_str(), apply.condition("Stalled")),
                (self.drift, "True RepairsExhausted".into())
            );
            let said = apply.status()["conditions"].to_string();
            assert!(said.contains("its own files after its start") && said.contains(self.remedy), "{said}");
        }
        assert_eq!(project.steps_that_counted(), ["Up"; 3], "{}", self.drift);
        project.undrift(&["retry", &project.name]).expect(0);
        project.apply().expect(0);
        assert_eq!(project.steps_that_counted().len(), 4, "a person asked for another one");
    }
}

#[test]
fn a_service_that_rewrites_its_files_is_given_up_after_three_repairs() {
    FILES.is_given_up_after_three_repairs();
}

#[test]
fn a_service_that_removes_its_module_is_given_up_after_three_repairs() {
    REMOVES.is_given_up_after_three_repairs();
}

#[test]
fn a_service_that_updates_itself_is_given_up_after_three_repairs() {
    UPDATES.is_given_up_after_three_repairs();
}
