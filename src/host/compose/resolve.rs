//! A project as Compose resolves it, cached until something that Compose read changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Builds, Declared, Model, ServiceModel, argv, configuration::json_fault, env::ENGINE,
    inputs::ComposeInputs, made_of::Whole, question::Questions, refusal, scan, secrets, upgrade,
};
use crate::{
    api::{Desired, Pointed},
    files::{self, LARGEST_TEXT},
    host::{
        Cache, HostError, Sealed, docker_config,
        endpoint::Endpoint,
        process::{Environment, Finished, GRACE},
        redact::Words,
    },
    nearest::nearest,
    reference,
};

/// The cache's space.
const SPACE: &str = "compose";

/// The cache's space for Compose's version, by the identity of its build.
const VERSIONS: &str = "compose-version";

/// The cache's space for the hashes that Compose prints, by their model.
const HASHES: &str = "compose-hashes";

/// How long undrift waits for a command that only answers a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryTimeout {
    /// After this, undrift ends it.
    pub(super) limit: Duration,
    /// How long it may then take to end.
    pub(super) grace: Duration,
}

/// How long Compose may take to resolve a project. It takes 60 ms; a machine under load, seconds.
pub(super) const QUERY_TIMEOUT: QueryTimeout = QueryTimeout { limit: Duration::from_secs(30), grace: GRACE };

/// A project as Compose resolves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The project.
    pub model: Model,
    /// Compose's config hash by service.
    pub hashes: BTreeMap<String, String>,
    /// The settings that these hashes leave out.
    pub declared: Declared,
    /// Compose's version, without a leading `v`; `None` if it does not report it.
    pub version: Option<String>,
    /// The bases of its images.
    pub builds: Builds,
    /// Whether the files use the variable that names the engine, or may do so.
    pub names_engine: bool,
    /// The secrets that this contains all the same, because a variable was substituted in a name: `image: app:${TOKEN}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::host) filled_in: Vec<String>,
    /// Everything that it depends on; `None` if that is not known.
    #[serde(skip)]
    pub(super) inputs: Option<ComposeInputs>,
}

impl Resolved {
    /// The files of this host that Compose resolved it from; empty if they are not known.
    pub(in crate::host) fn input_files(&self) -> BTreeSet<PathBuf> {
        self.inputs.as_ref().map(|inputs| inputs.files().clone()).unwrap_or_default()
    }

    /// Words of the project that are no secrets: the names of its services and their images.
    pub(in crate::host) fn words(&self) -> Words {
        let images = self.model.services.values().flat_map(|service| secrets::words_of_image(&service.image));
        Words::of(self.model.services.keys().cloned().collect(), images.collect())
    }
}

/// The cache entry of a project: an answer, and everything that it depends on. Sealed: some of its words may be passwords.
#[derive(Serialize, Deserialize)]
struct Remembered {
    inputs: ComposeInputs,
    fingerprint: String,
    resolved: Resolved,
}

/// Resolves a project with this process's environment.
///
/// # Errors
/// [`HostError`]: Compose is missing or refuses the project, a variable is not set, a declared service does
/// not exist, or a declared service builds the same image as another one.
pub async fn resolve(
    desired: &Desired,
    endpoint: &Endpoint,
    memory: Sealed<'_>,
) -> Result<Resolved, HostError> {
    resolve_in(desired, endpoint, memory, Environment::of_this_process()).await
}

/// The same with another environment, which Compose's children get, too.
///
/// # Errors
/// As [`resolve`].
pub async fn resolve_in(
    desired: &Desired,
    endpoint: &Endpoint,
    memory: Sealed<'_>,
    env: Environment,
) -> Result<Resolved, HostError> {
    let env = env.for_project(endpoint, desired);
    let key = key(desired);
    let resolved = match recall(desired, &env, memory.get(SPACE, &key)).await? {
        Some(resolved) => resolved,
        None => ask_and_remember(desired, endpoint, &env, memory, &key).await?,
    };
    check(desired, &resolved.model)?;
    Ok(resolved)
}

/// The cache key of an object's answer: one entry per project and way to load it, so that the cache does not grow with each
/// change of a file.
fn key(desired: &Desired) -> String {
    let parts = (&desired.directory, &desired.object.spec.project);
    hex::encode(Sha256::digest(format!("{parts:?}")))
}

/// The cached answer, if nothing that it depends on has changed.
///
/// # Errors
/// If a file that it depends on does not respond.
async fn recall(
    desired: &Desired,
    env: &Environment,
    text: Option<String>,
) -> Result<Option<Resolved>, HostError> {
    let remembered: Option<Remembered> = text.and_then(|text| serde_json::from_str(&text).ok());
    let Some(Remembered { inputs, fingerprint, resolved }) = remembered else { return Ok(None) };
    let (desired, env) = (desired.clone(), env.clone());
    let look = move || (inputs.fingerprint(&desired, &env), inputs);
    let (now, inputs) = files::looked_past(look).await?;
    Ok((now == Some(fingerprint)).then_some(Resolved { inputs: Some(inputs), ..resolved }))
}

async fn ask_and_remember(
    desired: &Desired,
    endpoint: &Endpoint,
    env: &Environment,
    memory: Sealed<'_>,
    key: &str,
) -> Result<Resolved, HostError> {
    let (inputs, before) = find_inputs(desired, env).await?;
    let asked = ask(desired, endpoint, env, memory.cache, inputs.as_ref()).await?;
    let (whose, env) = (desired.clone(), env.clone());
    let read = move || read_dockerfiles(&whose, &env, asked, inputs, before.as_deref());
    let (resolved, rests_on) = files::looked_past(read).await?;
    let resolved = resolved.keyed(memory.digest);
    if let Some((inputs, fingerprint)) = rests_on {
        let remembered = Remembered { inputs, fingerprint, resolved };
        if let Ok(text) = serde_json::to_string(&remembered) {
            memory.put(SPACE, key, &text);
        }
        return Ok(Resolved { inputs: Some(remembered.inputs), ..remembered.resolved });
    }
    Ok(resolved)
}

/// The inputs, and their fingerprint from before Compose read anything: if they change meanwhile, nothing is cached.
async fn find_inputs(
    desired: &Desired,
    env: &Environment,
) -> Result<(Option<ComposeInputs>, Option<String>), HostError> {
    let (whose, env) = (desired.clone(), env.clone());
    let find = move || {
        docker_config::check(&|name| env.get(name).map(OsStr::to_owned))?;
        let inputs =
            ComposeInputs::find(&whose, &env).map_err(|error| HostError::unusable(&whose, &error))?;
        let fingerprint = inputs.as_ref().and_then(|inputs| inputs.fingerprint(&whose, &env));
        Ok((inputs, fingerprint))
    };
    files::looked(find).await.unwrap_or_else(|hangs| Err(hangs.into()))
}

/// Why undrift would not ask Compose about a project, as far as its files show: it would block on one of them, or read
/// gigabytes.
pub(crate) fn unreadable(desired: &Desired) -> Option<HostError> {
    let whose = desired.clone();
    match files::look_past(move || ComposeInputs::trap(&whose, &Environment::of_this_process())) {
        Ok(trap) => trap.map(|error| HostError::unusable(desired, &error)),
        Err(hangs) => Some(hangs.into()),
    }
}

/// The answer with the bases of its images; and everything that it depends on with a fingerprint, if none of it has changed
/// since the earlier one.
fn read_dockerfiles(
    desired: &Desired,
    env: &Environment,
    asked: ComposeAnswer,
    inputs: Option<ComposeInputs>,
    before: Option<&str>,
) -> (Resolved, Option<(ComposeInputs, String)>) {
    let fingerprint = |inputs: &ComposeInputs| inputs.fingerprint(desired, env);
    let inputs = inputs.filter(|inputs| before.is_some() && fingerprint(inputs).as_deref() == before);
    // The same for the Dockerfiles, which are known only now.
    let inputs = inputs.map(|inputs| inputs.with(asked.whole.dockerfiles()));
    let before = inputs.as_ref().and_then(fingerprint);
    let resolved = asked.resolved();
    let after = inputs.as_ref().and_then(fingerprint).filter(|after| Some(after) == before.as_ref());
    (resolved, inputs.zip(after))
}

/// Compose's answer.
#[derive(Clone)]
struct ComposeAnswer {
    model: Model,
    hashes: BTreeMap<String, String>,
    declared: Declared,
    version: Option<String>,
    whole: Whole,
    names_engine: bool,
    /// The secrets in its definitions.
    secrets: Vec<String>,
}

impl ComposeAnswer {
    fn resolved(self) -> Resolved {
        let Self { model, hashes, declared, version, whole, names_engine, secrets } = self;
        let builds = whole.builds();
        let resolved = Resolved {
            model,
            hashes,
            declared,
            version,
            builds,
            names_engine,
            filled_in: Vec::new(),
            inputs: None,
        };
        let text = serde_json::to_string(&resolved).unwrap_or_default();
        let is_filled_in = |secret: &String| {
            // As that text spells it.
            let written = serde_json::to_string(secret).unwrap_or_default();
            text.contains(written.trim_matches('"'))
        };
        Resolved { filled_in: secrets.into_iter().filter(is_filled_in).collect(), ..resolved }
    }
}

/// Asks Compose for the project, and computes the hashes of its answer.
async fn ask(
    desired: &Desired,
    endpoint: &Endpoint,
    env: &Environment,
    cache: &dyn Cache,
    inputs: Option<&ComposeInputs>,
) -> Result<ComposeAnswer, HostError> {
    let names_engine = inputs.is_none_or(|inputs| inputs.use_variable(ENGINE));
    let questions = Questions { desired, endpoint, env, name_engine: names_engine };
    let json = argv::config_json(desired);
    // In parallel if the project is known to have profiles: one after the other would take twice as long.
    let of_all = async { if has_profiles(inputs)? { Some(of_all_profiles(questions).await) } else { None } };
    let (json, version, of_all) =
        tokio::join!(question(questions, &json), version(questions, cache, inputs), of_all);
    let json = json?.stdout;
    let refused =
        |cause| HostError::ComposeRefused { directory: desired.directory.display().to_string(), cause };
    let not_understood =
        |error: serde_json::Error| refused(format!("its JSON is not understood: {}", json_fault(&error)));
    let model = Model::parse(&json).map_err(not_understood)?;
    if let Some(service) = Model::cut_off(&json).map_err(not_understood)? {
        return Err(refused(format!(
            "`docker compose config` printed neither an image nor a build of {service}"
        )));
    }
    let variable = |name: &str| project_variable(desired, env, name);
    let declared = Declared::parse(&json, variable).map_err(not_understood)?;
    let hashes = match upgrade::hashes(&json, version.as_deref()) {
        Some(hashes) => hashes,
        // If a service has an unknown key, only Compose can compute its hash.
        None => ask_for_hashes(questions).await?,
    };
    let is_built = model.services.values().any(|service| service.build.is_some());
    let of_all = match of_all {
        None if is_built && has_profiles(inputs).is_none() => Some(of_all_profiles(questions).await),
        of_all => of_all.filter(|_| is_built),
    };
    let whole = whole(&json, of_all).map_err(not_understood)?;
    let project: serde_json::Value = serde_json::from_slice(&json).map_err(not_understood)?;
    let secrets = secrets::in_definitions(&project).values;
    Ok(ComposeAnswer { model, hashes, declared, version, whole, names_engine, secrets })
}

/// Whether the project has profiles; `None` if that is not known of all of its files.
fn has_profiles(inputs: Option<&ComposeInputs>) -> Option<bool> {
    inputs.map(ComposeInputs::have_profiles)
}

/// The project of all profiles, because a service of another profile may build the base of an image.
async fn of_all_profiles(questions: Questions<'_>) -> Result<Finished, HostError> {
    question(questions, &argv::config_json_of_all_profiles(questions.desired)).await
}

/// The builds of all profiles, if undrift asked for them. If Compose refuses, only the enabled ones are known, with the reason.
fn whole(enabled: &[u8], of_all: Option<Result<Finished, HostError>>) -> Result<Whole, serde_json::Error> {
    match of_all.map(|answer| answer.map(|answer| Whole::parse(&answer.stdout, None))) {
        None => Whole::parse(enabled, None),
        Some(Ok(Ok(whole))) => Ok(whole),
        Some(Ok(Err(error))) => Whole::parse(enabled, Some(json_fault(&error))),
        Some(Err(error)) => Whole::parse(enabled, Some(error.to_string())),
    }
}

/// The hashes that Compose itself prints, for containers that bear none of those computed here; each answer is cached for its
/// model. Empty if Compose does not print them.
pub async fn printed_hashes(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    memory: Sealed<'_>,
) -> BTreeMap<String, String> {
    let key = resolved.digest_under(memory.digest);
    let known = memory.get(HASHES, &key).and_then(|text| serde_json::from_str(&text).ok());
    if let Some(known) = known {
        return known;
    }
    let env = Environment::of_this_process().for_project(endpoint, desired);
    let questions = Questions { desired, endpoint, env: &env, name_engine: resolved.names_engine };
    let printed = ask_for_hashes(questions).await.unwrap_or_default();
    if !printed.is_empty()
        && let Ok(text) = serde_json::to_string(&printed)
    {
        memory.put(HASHES, &key, &text);
    }
    printed
}

async fn ask_for_hashes(questions: Questions<'_>) -> Result<BTreeMap<String, String>, HostError> {
    let printed = question(questions, &argv::config_hashes(questions.desired)).await?;
    let printed = String::from_utf8_lossy(&printed.stdout);
    let lines = printed.lines().filter_map(|line| line.trim().split_once(' '));
    Ok(lines.map(|(name, hash)| (name.to_owned(), hash.trim().to_owned())).collect())
}

/// Compose's version; undrift asks for it once per build of Compose.
async fn version(
    questions: Questions<'_>,
    cache: &dyn Cache,
    inputs: Option<&ComposeInputs>,
) -> Option<String> {
    let programs = || inputs.map(ComposeInputs::programs);
    let before = programs();
    if let Some(known) = before.as_ref().and_then(|programs| cache.get(VERSIONS, programs)) {
        return Some(known);
    }
    let answer = questions.ask(&argv::version(questions.desired), QUERY_TIMEOUT).await;
    let version = answer.ok().and_then(|answer| version_of(&answer));
    if let (Some(version), Some(programs)) = (&version, programs().filter(|now| Some(now) == before.as_ref()))
    {
        cache.put(VERSIONS, &programs, version);
    }
    version
}

/// Parses the output of `version --short`; some builds append a distribution's own number (`2.26.1-4`).
fn version_of(answer: &Finished) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.stdout);
    let version = text.trim().trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

/// A variable as Compose sees it: from the environment, or else a plain assignment of the project's env files.
pub(super) fn project_variable(desired: &Desired, env: &Environment, name: &str) -> Option<String> {
    if let Some(value) = env.get(name) {
        return value.to_str().map(str::to_owned);
    }
    let files = &desired.object.spec.project.env_files;
    let files = if files.is_empty() { vec![".env".to_owned()] } else { files.clone() };
    let assigned = files.iter().rev().find_map(|file| {
        let text = files::read_to_string(&desired.directory.join(file), LARGEST_TEXT).ok()?;
        scan::env_file(&text)?.assigned.remove(name)
    })?;
    // Only Compose can resolve the quotes and references in it.
    (!assigned.contains(['$', '"', '\'', '#', '\\'])).then_some(assigned)
}

async fn question(questions: Questions<'_>, argv: &[String]) -> Result<Finished, HostError> {
    let desired = questions.desired;
    let finished =
        questions.ask(argv, QUERY_TIMEOUT).await.map_err(|error| refusal::not_started(desired, &error))?;
    refusal::check(desired, questions.env, &finished)?;
    Ok(finished)
}

/// Checks the object's requirements on the project.
fn check(desired: &Desired, model: &Model) -> Result<(), HostError> {
    let names = || desired.services().iter().map(|declared| declared.name.as_str());
    let unobservable = |(index, name)| match model.services.get(name) {
        None => Some(no_such_service(desired, model, index, name)),
        Some(_) if model.is_provided(name) => Some(without_container(desired, index, name)),
        Some(_) => None,
    };
    let unknown: Vec<Pointed> = names().enumerate().filter_map(unobservable).collect();
    if !unknown.is_empty() {
        return Err(HostError::NoSuchService { manifest: desired.manifest.clone(), unknown });
    }
    for declared in desired.services() {
        let Some(service) = model.services.get(&declared.name) else { continue };
        if let Some(other) = builds_the_same(model, &declared.name, service) {
            return Err(HostError::SharedImage {
                first: declared.name.clone(),
                second: other.to_owned(),
                image: service.image.clone(),
            });
        }
    }
    Ok(())
}

/// Another service, named in the object or not, that builds the same image differently: the later build takes it away from the
/// other.
fn builds_the_same<'a>(model: &'a Model, name: &str, service: &ServiceModel) -> Option<&'a str> {
    service.build.as_ref()?;
    let image = reference::full(&service.image);
    let mut others = model.services.iter().filter(|(other, _)| *other != name);
    let other = others
        .find(|(_, o)| o.build.is_some() && o.build != service.build && reference::full(&o.image) == image);
    other.map(|(other, _)| other.as_str())
}

/// A service that a program provides: each `up` that names it runs the program, and it has nothing to observe.
fn without_container(desired: &Desired, index: usize, name: &str) -> Pointed {
    let help = "take it out of spec.services: a service that depends on it gets its variables all the same";
    Pointed {
        message: format!(
            "the Compose service {name} has a `provider`, and so no container that could be observed"
        ),
        help: Some(help.to_owned()),
        ..pointed(desired, index, name)
    }
}

fn pointed(desired: &Desired, index: usize, name: &str) -> Pointed {
    let (line, column) = desired.service_positions.get(index).copied().unwrap_or((1, 1));
    Pointed { line, column, text: name.to_owned(), message: String::new(), help: None }
}

fn no_such_service(desired: &Desired, model: &Model, index: usize, name: &str) -> Pointed {
    let known = model.services.keys().map(String::as_str);
    let help = match nearest(name, known.clone()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("it has {}", known.collect::<Vec<_>>().join(", ")),
    };
    Pointed {
        message: format!("the Compose project {} has no service {name}", model.name),
        help: Some(help),
        ..pointed(desired, index, name)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::test_support::desired, *};

    fn model() -> Model {
        let json = serde_json::json!({"name": "shop", "services": {
            "api": {"build": "/a", "image": "same"}, "worker": {"build": "/b", "image": "docker.io/library/same:latest"},
            "web": {"image": "same"}, "dashboard": {"build": "/d"}
        }});
        Model::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn all_missing_services_are_reported_at_once_with_place_and_nearest_name() {
        let error = check(&desired("/", &["web", "dashbord", "mailer"]), &model()).unwrap_err();
        let text = error.to_string();
        let HostError::NoSuchService { unknown, .. } = error else { panic!("{error}") };
        let found: Vec<_> =
            unknown.iter().map(|p| (p.line, p.column, p.text.as_str(), p.help.as_deref())).collect();
        let (near, far) = ("did you mean dashboard?", "it has api, dashboard, web, worker");
        assert_eq!(found, [(2, 7, "dashbord", Some(near)), (3, 7, "mailer", Some(far))]);
        for part in [":2:7: ", "dashbord (did you mean dashboard?)", ":3:7: ", "mailer (it has api, "] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }

    #[test]
    fn a_service_without_containers_of_its_own_cannot_be_observed() {
        let json = serde_json::json!({"name": "shop", "services": {
            "api": {"image": "x", "depends_on": ["database"]}, "database": {"provider": {"type": "cloud"}}}});
        let model = Model::parse(json.to_string().as_bytes()).unwrap();
        let error = check(&desired("/", &["api", "database"]), &model).unwrap_err().to_string();
        assert!(error.contains(":2:7: ") && error.contains("database has a `provider`"), "{error}");
        assert!(check(&desired("/", &["api"]), &model).is_ok());
    }

    #[test]
    fn no_other_service_may_build_the_image_of_a_named_one() {
        let shared = |named: &[&str]| match check(&desired("/", named), &model()) {
            Err(HostError::SharedImage { first, second, .. }) => Some((first, second)),
            other => other.map(|()| None).unwrap(),
        };
        let pair = |first: &str, second: &str| Some((first.to_owned(), second.to_owned()));
        assert_eq!(shared(&["api", "worker"]), pair("api", "worker"));
        // The other one would take the image away although the object does not name it.
        assert_eq!(shared(&["api", "web"]), pair("api", "worker"));
        assert_eq!(shared(&["dashboard", "worker"]), pair("worker", "api"));
        // Using the image does no harm, and other services' sharing does not concern the object.
        assert_eq!(shared(&["web", "dashboard"]), None);
    }
}
