//! A service in a real framework, from examples/fastapi, through undrift's binary: what a module, its content and its revision are
//! there, is not what a test server makes of them.
//!
//! `make test-frameworks` runs it: its base image takes minutes to make, so it is no part of `cargo test`.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

use serde_json::Value;

#[path = "support/mod.rs"]
mod support;

use support::Project;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fastapi");
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/fastapi.yaml");

/// A copy of the example in a git work tree of its own, built from its first commit and running.
struct Shop {
    project: Project,
    outside: tempfile::TempDir,
}

/// What a verb printed, and its exit code.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    status: Value,
    stderr: String,
}

impl Shop {
    fn new() -> Self {
        let base =
            Command::new("docker").args(["image", "inspect", "undrift-example-fastapi"]).output().unwrap();
        assert!(
            base.status.success(),
            "no base image of the example: run scripts/host fastapi, which makes it"
        );
        let compose = fs::read_to_string(Path::new(EXAMPLE).join("compose.yaml")).unwrap();
        let project = Project::new("fastapi", &compose.replace("name: fastapi\n", ""));
        for file in ["Dockerfile", ".dockerignore", "app"] {
            let from = Path::new(EXAMPLE).join(file);
            assert!(
                Command::new("cp").arg("-R").arg(from).arg(project.directory()).status().unwrap().success()
            );
        }
        let shop = Self { project, outside: tempfile::tempdir().unwrap() };
        let manifest = fs::read_to_string(MANIFEST).unwrap();
        let manifest = manifest.replace("../examples/fastapi", shop.project.directory().to_str().unwrap());
        let quick = "  reconcile:\n    verify: { timeout: 60s, stableFor: 1s }\n    backoff: { initial: 200ms, max: 1s }\n";
        fs::write(shop.manifest(), format!("{manifest}{quick}")).unwrap();
        shop.git(&["init", "--quiet"]);
        shop.commit("first");
        let mut up = shop.project.command(&["up", "--detach", "--build"]);
        assert!(up.env("GIT_SHA", shop.git(&["rev-parse", "HEAD"])).output().unwrap().status.success());
        shop
    }

    fn manifest(&self) -> std::path::PathBuf {
        self.outside.path().join("fastapi.yaml")
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(args);
        let out = git.current_dir(self.project.directory()).output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    fn undrift(&self, verb: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undrift"));
        command.arg("--state-dir").arg(self.outside.path().join("state")).args([verb, "-o", "json", "-f"]);
        command.arg(self.manifest()).env("API_PASSWORD", "demo").env_remove("UNDRIFT_LOG");
        command.env("XDG_CACHE_HOME", self.outside.path().join("cache"));
        let out = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        let json: Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        Run { code: out.status.code(), status: json["items"][0]["status"].clone(), stderr }
    }

    fn container(&self) -> String {
        self.project.container("api")
    }
}

impl Run {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{:#}", self.stderr, self.status);
        self
    }

    fn drift(&self) -> &str {
        self.status["services"][0]["drift"]["reason"].as_str().unwrap_or_default()
    }
}

#[test]
fn healthy_service_is_adopted_without_a_step() {
    let shop = Shop::new();
    let before = shop.container();
    for _ in 0..3 {
        let apply = shop.undrift("apply").expect(0);
        let modules = apply.status["services"][0]["modules"].as_array().unwrap().len();
        assert_eq!((apply.drift(), modules), ("", 2));
    }
    assert_eq!(shop.container(), before);
}

#[test]
fn new_router_is_served_after_a_build_and_its_route_goes_from_404_to_401() {
    let shop = Shop::new();
    let customers = fs::read_to_string(shop.project.directory().join("app/modules/customers.py")).unwrap();
    shop.project.write("app/modules/invoices.py", &customers.replace("customers", "invoices"));
    shop.commit("invoices");
    assert_eq!(shop.undrift("check").expect(1).drift(), "ModuleMissing");
    let apply = shop.undrift("apply").expect(0);
    let routes = apply.status["services"][0]["routes"].as_array().unwrap();
    let invoices = routes.iter().find(|route| route["name"] == "/api/invoices").unwrap();
    assert_eq!(
        (&invoices["transition"]["before"], &invoices["transition"]["after"]),
        (&404.into(), &401.into())
    );
    assert_eq!(invoices["auth"]["observed"], 200);
}

#[test]
fn router_that_is_edited_is_there_and_old_until_it_is_built() {
    let shop = Shop::new();
    shop.undrift("apply").expect(0);
    let path = "app/modules/orders.py";
    let orders = fs::read_to_string(shop.project.directory().join(path)).unwrap();
    shop.project.write(path, &orders.replace("return []", "return [\"first\"]"));
    shop.commit("orders");
    assert_eq!(shop.undrift("check").expect(1).drift(), "ContentDiffers");
    let apply = shop.undrift("apply").expect(0);
    let revision = &apply.status["services"][0]["revision"];
    assert_eq!(revision["routes"][0].as_str().unwrap(), shop.git(&["rev-parse", "HEAD"]), "{revision}");
}

#[test]
fn commit_that_changes_no_module_is_carried_by_the_running_service() {
    let shop = Shop::new();
    shop.undrift("apply").expect(0);
    shop.project.write("app/__init__.py", "\"\"\"The shop.\"\"\"\n");
    shop.commit("a docstring");
    assert_eq!(shop.undrift("check").expect(1).drift(), "RevisionDiffers");
    shop.undrift("apply").expect(0);
    shop.undrift("check").expect(0);
}
