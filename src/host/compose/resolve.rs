//! A project as Compose resolves it, remembered until something that Compose read changes.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    Environment, Model, argv,
    command::{self, Finished, GRACE, Invocation},
    inputs::Inputs,
    refusal,
};
use crate::{
    api::Desired,
    host::{Cache, HostError, endpoint::Endpoint},
};

/// The cache's space.
const SPACE: &str = "compose";

/// How long Compose may take to resolve a project. It takes 60 ms; a machine under load, seconds.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A project as Compose resolves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The project.
    pub model: Model,
    /// Compose's config hash by service.
    pub hashes: BTreeMap<String, String>,
}

/// What is remembered of a project: an answer, and everything that it rests on.
#[derive(Serialize, Deserialize)]
struct Remembered {
    inputs: Inputs,
    fingerprint: String,
    resolved: Resolved,
}

/// Resolves a project with this process's environment.
///
/// # Errors
/// [`HostError`]: Compose is missing or refuses the project, a variable is not set, a declared service does
/// not exist, or two declared services build one image.
pub async fn resolve(
    desired: &Desired,
    endpoint: &Endpoint,
    cache: &dyn Cache,
) -> Result<Resolved, HostError> {
    resolve_in(desired, endpoint, cache, Environment::of_this_process()).await
}

/// The same with another environment, which Compose's children get, too.
///
/// # Errors
/// As [`resolve`].
pub async fn resolve_in(
    desired: &Desired,
    endpoint: &Endpoint,
    cache: &dyn Cache,
    env: Environment,
) -> Result<Resolved, HostError> {
    let env = env.for_docker(endpoint);
    let key = key(desired);
    let resolved = match recall(desired, &env, cache.get(SPACE, &key)) {
        Some(resolved) => resolved,
        None => ask_and_remember(desired, &env, cache, &key).await?,
    };
    check(desired, &resolved.model)?;
    Ok(resolved)
}

/// Where an object's answer is remembered: one entry per project and way to load it, so that the cache does not
/// grow with each change of a file.
fn key(desired: &Desired) -> String {
    let parts = (&desired.directory, &desired.object.spec.project);
    hex::encode(Sha256::digest(format!("{parts:?}")))
}

/// What is remembered, where nothing that it rests on has changed.
fn recall(desired: &Desired, env: &Environment, text: Option<String>) -> Option<Resolved> {
    let remembered: Remembered = serde_json::from_str(&text?).ok()?;
    let now = remembered.inputs.fingerprint(desired, env)?;
    (now == remembered.fingerprint).then_some(remembered.resolved)
}

async fn ask_and_remember(
    desired: &Desired,
    env: &Environment,
    cache: &dyn Cache,
    key: &str,
) -> Result<Resolved, HostError> {
    // The fingerprint from before Compose read anything: what changes meanwhile is not remembered.
    let inputs = Inputs::find(desired, env);
    let fingerprint = || inputs.as_ref().and_then(|inputs| inputs.fingerprint(desired, env));
    let before = fingerprint();
    let resolved = ask(desired, env).await?;
    let after = fingerprint();
    if let (Some(inputs), Some(fingerprint)) = (inputs, after.filter(|after| Some(after) == before.as_ref()))
    {
        let remembered = Remembered { inputs, fingerprint, resolved: resolved.clone() };
        if let Ok(text) = serde_json::to_string(&remembered) {
            cache.put(SPACE, key, &text);
        }
    }
    Ok(resolved)
}

/// Asks Compose, for the project and for its hashes at once.
async fn ask(desired: &Desired, env: &Environment) -> Result<Resolved, HostError> {
    let (json, hashes) = (argv::config_json(desired), argv::config_hashes(desired));
    let (json, hashes) = tokio::join!(question(desired, env, &json), question(desired, env, &hashes));
    let (json, hashes) = (json?, hashes?);
    let model = Model::parse(&json.stdout).map_err(|error| HostError::ComposeRefused {
        directory: desired.directory.display().to_string(),
        cause: format!("its JSON is not understood: {error}"),
    })?;
    let hashes = String::from_utf8_lossy(&hashes.stdout);
    let hashes = hashes.lines().filter_map(|line| line.trim().split_once(' '));
    let hashes = hashes.map(|(name, hash)| (name.to_owned(), hash.trim().to_owned())).collect();
    Ok(Resolved { model, hashes })
}

async fn question(desired: &Desired, env: &Environment, argv: &[String]) -> Result<Finished, HostError> {
    let finished = run_quietly(desired, env, argv).await.map_err(|e| refusal::not_started(desired, &e))?;
    refusal::check(desired, &finished)?;
    Ok(finished)
}

/// Runs a command that only answers a question.
pub(super) async fn run_quietly(
    desired: &Desired,
    env: &Environment,
    argv: &[String],
) -> std::io::Result<Finished> {
    command::run(Invocation {
        argv,
        directory: &desired.directory,
        env,
        limit: LIMIT,
        grace: GRACE,
        cancel: &CancellationToken::new(),
        progress: &|_| {},
        hold: None,
        keep_stdout: true,
    })
    .await
}

/// What the object asks of the project.
fn check(desired: &Desired, model: &Model) -> Result<(), HostError> {
    let mut builds: BTreeMap<&str, &str> = BTreeMap::new();
    for (index, declared) in desired.services().iter().enumerate() {
        let Some(service) = model.services.get(&declared.name) else {
            return Err(no_such_service(desired, model, index, &declared.name));
        };
        if service.build.is_some()
            && let Some(first) = builds.insert(&service.image, &declared.name)
        {
            return Err(HostError::SharedImage {
                first: first.to_owned(),
                second: declared.name.clone(),
                image: service.image.clone(),
            });
        }
    }
    Ok(())
}

fn no_such_service(desired: &Desired, model: &Model, index: usize, name: &str) -> HostError {
    let (line, column) = desired.service_positions.get(index).copied().unwrap_or((1, 1));
    let mut known: Vec<String> = model.services.keys().cloned().collect();
    known.sort_by_key(|service| strsim::damerau_levenshtein(service, name));
    HostError::NoSuchService {
        manifest: desired.manifest.clone(),
        line,
        column,
        project: model.name.clone(),
        service: name.to_owned(),
        known,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::test_support::desired, *};

    fn model() -> Model {
        let json = serde_json::json!({"name": "shop", "services": {
            "api": {"build": "/a", "image": "same"}, "worker": {"build": "/b", "image": "same"},
            "web": {"image": "same"}, "dashboard": {"build": "/d"}
        }});
        Model::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_service_that_is_not_there_is_said_with_its_place_and_the_nearest_first() {
        let error = check(&desired("/", &["api", "dashbord"]), &model()).unwrap_err();
        let HostError::NoSuchService { line, column, ref known, .. } = error else { panic!("{error}") };
        assert_eq!((line, column, known[0].as_str()), (2, 7, "dashboard"));
    }

    #[test]
    fn two_named_services_may_not_build_one_image() {
        let error = check(&desired("/", &["api", "worker"]), &model()).unwrap_err();
        assert!(matches!(error, HostError::SharedImage { .. }), "{error}");
        // One that only uses the image, and one that is not named, do no harm.
        check(&desired("/", &["api", "web"]), &model()).unwrap();
        check(&desired("/", &["worker", "dashboard"]), &model()).unwrap();
    }
}
