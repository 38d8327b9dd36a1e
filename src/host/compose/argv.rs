//! The commands as argument vectors.
//!
//! They run in the project directory. Without files in the spec, no `--file` is passed: an explicit one would drop
//! `compose.override.yaml` and the `COMPOSE_FILE` of `.env`. `--project-directory` is not passed either: it would move the
//! files' own relative paths.

use std::collections::BTreeSet;

use super::model::Model;
use crate::api::Desired;

/// `docker compose` with the project options of the spec.
fn compose(desired: &Desired) -> Vec<String> {
    let project = &desired.object.spec.project;
    let mut argv = words(&["docker", "compose"]);
    let name = project.name.iter().map(|name| ("--project-name", name));
    let files = project.files.iter().map(|file| ("--file", file));
    let profiles = project.profiles.iter().map(|profile| ("--profile", profile));
    let env_files = project.env_files.iter().map(|file| ("--env-file", file));
    for (option, value) in name.chain(files).chain(profiles).chain(env_files) {
        argv.extend([option.to_owned(), value.clone()]);
    }
    argv
}

/// The same command, at another engine than the one in the environment: the docker CLI hands its own options on to its plugins,
/// and `--host` wins over every variable and context.
pub(super) fn at(argv: &[String], engine: &str) -> Vec<String> {
    let (docker, words) = argv.split_at(argv.len().min(1));
    let host = ["--host".to_owned(), engine.to_owned()];
    docker.iter().cloned().chain(host).chain(words.iter().cloned()).collect()
}

/// `config --format json`: the project as Compose resolves it.
#[must_use]
pub fn config_json(desired: &Desired) -> Vec<String> {
    with(compose(desired), &["config", "--format", "json"], &[])
}

/// The same with variables as they stand in the files.
#[must_use]
pub fn config_as_written(desired: &Desired) -> Vec<String> {
    with(compose(desired), &["config", "--no-interpolate", "--format", "json"], &[])
}

/// The same with the services of every profile.
#[must_use]
pub fn config_json_of_all_profiles(desired: &Desired) -> Vec<String> {
    with(compose(desired), &["--profile", "*", "config", "--format", "json"], &[])
}

/// `config --hash '*'`: a line per service, its name and its config hash.
#[must_use]
pub fn config_hashes(desired: &Desired) -> Vec<String> {
    with(compose(desired), &["config", "--hash", "*"], &[])
}

/// `config --models`: a line per language model of the project.
#[must_use]
pub fn config_models(desired: &Desired) -> Vec<String> {
    with(compose(desired), &["config", "--models"], &[])
}

/// `version --short`: Compose's own version.
#[must_use]
pub fn version(desired: &Desired) -> Vec<String> {
    with(compose(desired), &["version", "--short"], &[])
}

/// `build`, without the build cache if requested.
#[must_use]
pub fn build(desired: &Desired, services: &[String], no_cache: bool) -> Vec<String> {
    let words: &[&str] = if no_cache { &["build", "--no-cache"] } else { &["build"] };
    with(compose(desired), words, services)
}

/// Which images an `up` may fetch, whatever the value of `pull_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// None: the containers are made of the images that were examined.
    Never,
    /// Those that the engine does not have.
    Missing,
}

/// Options of an `up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpOptions {
    /// Recreate containers that do not differ, too.
    pub force_recreate: bool,
    /// Leave the services' dependencies alone. [`up_command`](super::up_command) explains when this is needed.
    pub no_deps: bool,
    /// Which images it may fetch.
    pub pull: Pull,
}

/// `up --detach --no-build`, without the removal of orphans that `COMPOSE_REMOVE_ORPHANS` would turn on.
///
/// `--pull` is always given. Without it, `pull_policy: always` makes Compose replace the image that was just built with the
/// registry's release (docker/compose#9730).
#[must_use]
pub fn up(desired: &Desired, services: &[String], options: UpOptions) -> Vec<String> {
    with(compose(desired), &up_words(options), services)
}

/// `start`: starts the existing containers as they are. Unlike an `up`, it needs no image behind their references.
#[must_use]
pub fn start(desired: &Desired, services: &[String]) -> Vec<String> {
    with(compose(desired), &["start"], services)
}

/// `up --no-recreate --no-deps`: starts existing containers as they are and creates missing ones, on which `start` fails.
#[must_use]
pub fn up_as_it_is(desired: &Desired, services: &[String]) -> Vec<String> {
    let mut words = up_words(UpOptions { force_recreate: false, no_deps: true, pull: Pull::Never });
    words.push("--no-recreate");
    with(compose(desired), &words, services)
}

/// `restart --no-deps`: Compose would restart dependents too.
#[must_use]
pub fn restart(desired: &Desired, services: &[String]) -> Vec<String> {
    with(compose(desired), &["restart", "--no-deps"], services)
}

/// `docker kill`: sends a signal, by its name without `SIG`, to these containers.
///
/// Not `docker compose kill`: Compose (2.26.1) signals one-off containers of `docker compose run` as well, and those end.
#[must_use]
pub fn signal(signal: &str, containers: &[String]) -> Vec<String> {
    let mut argv = words(&["docker", "kill"]);
    argv.push(format!("--signal={signal}"));
    argv.extend_from_slice(containers);
    argv
}

/// The same [`up`] as a dry run, which prints what it would do and changes nothing.
///
/// It never uses the option that may fetch an image: with `pull_policy: always`, Compose 2.26.1 asks the registry in a dry run,
/// too, and fails if no registry answers (measured).
#[must_use]
pub fn up_dry_run(
    desired: &Desired,
    services: &[String],
    force_recreate: bool,
    no_deps: bool,
) -> Vec<String> {
    let mut words = vec!["--dry-run"];
    words.extend(up_words(UpOptions { force_recreate, no_deps, pull: Pull::Never }));
    with(compose(desired), &words, services)
}

fn up_words(options: UpOptions) -> Vec<&'static str> {
    let pull = match options.pull {
        Pull::Never => "never",
        Pull::Missing => "missing",
    };
    let mut words = vec!["up", "--detach", "--no-build", "--remove-orphans=false", "--pull", pull];
    words.extend(options.no_deps.then_some("--no-deps"));
    words.extend(options.force_recreate.then_some("--force-recreate"));
    words
}

/// Whether the services depend, directly or not, on one that is not among `known`.
#[must_use]
pub fn depend_on_others(model: &Model, services: &[String], known: &BTreeSet<&str>) -> bool {
    !model.dependencies(services).is_subset(known)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn with(mut argv: Vec<String>, verb: &[&str], services: &[String]) -> Vec<String> {
    argv.extend(words(verb));
    // Compose allows names that begin with a dash; they must not be read as options.
    if services.iter().any(|service| service.starts_with('-')) {
        argv.push("--".to_owned());
    }
    argv.extend_from_slice(services);
    argv
}

#[cfg(test)]
mod tests {
    use super::{super::test_support::desired, *};

    fn api() -> Vec<String> {
        vec!["api".to_owned()]
    }

    #[test]
    fn the_command_line_has_what_the_spec_declares_and_no_more() {
        let mut object = desired("/srv/app", &["api"]);
        assert_eq!(config_json(&object).join(" "), "docker compose config --format json");
        object.object.spec.project.name = Some("shop".into());
        object.object.spec.project.files = vec!["a.yaml".into(), "b c.yaml".into()];
        object.object.spec.project.profiles = vec!["debug".into()];
        object.object.spec.project.env_files = vec!["prod.env".into()];
        assert_eq!(
            build(&object, &api(), true),
            [
                "docker",
                "compose",
                "--project-name",
                "shop",
                "--file",
                "a.yaml",
                "--file",
                "b c.yaml",
                "--profile",
                "debug",
                "--env-file",
                "prod.env",
                "build",
                "--no-cache",
                "api"
            ]
        );
    }

    #[test]
    fn dependencies_outside_the_named_services_are_found_at_any_depth() {
        let json = serde_json::json!({"name": "p", "services": {
            "api": {"image": "x", "depends_on": {"cache": {}}},
            "cache": {"image": "x", "depends_on": {"db": {}}},
            "db": {"image": "x"},
        }});
        let model = Model::parse(json.to_string().as_bytes()).unwrap();
        let outside = |known: &[&str]| depend_on_others(&model, &api(), &known.iter().copied().collect());
        assert!(!outside(&["api", "cache", "db"]));
        // The dependency of a dependency counts too.
        assert!(outside(&["api", "cache"]));
    }

    #[test]
    fn never_restarts_dependents_and_never_reads_a_name_as_an_option() {
        let object = desired("/srv", &["api"]);
        assert_eq!(restart(&object, &api()).join(" "), "docker compose restart --no-deps api");
        let dashed = build(&object, &["-x".to_owned()], false).join(" ");
        assert_eq!(dashed, "docker compose build -- -x");
        let dry = up_dry_run(&object, &api(), true, true).join(" ");
        let words =
            "up --detach --no-build --remove-orphans=false --pull never --no-deps --force-recreate api";
        assert_eq!(dry, format!("docker compose --dry-run {words}"));
        let options = UpOptions { force_recreate: true, no_deps: true, pull: Pull::Never };
        assert_eq!(up(&object, &api(), options).join(" "), format!("docker compose {words}"));
        let gated = at(&config_json(&object), "unix:///s");
        assert_eq!(gated.join(" "), "docker --host unix:///s compose config --format json");
        let fetching = up(&object, &api(), UpOptions { pull: Pull::Missing, ..options }).join(" ");
        assert!(fetching.contains(" --pull missing "), "{fetching}");
    }
}
