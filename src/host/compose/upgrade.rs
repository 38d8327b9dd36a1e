//! Whether another version of Compose made a container from the current model.
//!
//! The input of Compose's config hash has changed from version to version: `depends_on` and `profiles` are in it before 2.30,
//! and 5.x writes `bind` of a short mount differently. So the same Compose files have another hash after an upgrade. A hash
//! also proves the reverse: if some version's form of the current model has the very hash that the container bears, the
//! container was made from this model.

use std::collections::{BTreeMap, BTreeSet};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Model, Program, Provided, Resolved, argv, declared::dense, digest, given::Given, question::Questions,
    resolve::QUERY_TIMEOUT,
};
use crate::{
    api::{Desired, Joined, Shared, StepOutcome},
    host::{
        endpoint::Endpoint,
        process::{Environment, Finished},
    },
};

/// The keys of a service in the order in which Compose hashes them (compose-go 2.0.2, whose order later versions keep; keys of
/// up to 2.9.1 among them). `use_api_socket` is none of them: Compose hashes its expansion, and does not print it.
const ORDER: &str = "profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup cpu_count \
    cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares command configs container_name \
    credential_spec depends_on deploy device_cgroup_rules devices dns dns_opt dns_search dockerfile domainname entrypoint \
    provider environment env_file expose extends external_links extra_hosts group_add gpus hostname healthcheck image init \
    ipc isolation labels label_file links logging log_driver log_opt mem_limit mem_reservation memswap_limit mem_swappiness \
    mac_address models net \
    network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports privileged pull_policy read_only \
    restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs \
    tty ulimits user userns_mode uts volume_driver volumes volumes_from working_dir \
    pre_start post_start pre_stop";

/// Keys in no version's hash.
const NEVER: [&str; 3] = ["build", "pull_policy", "scale"];

/// Keys in the hash of some versions.
const SOMETIMES: [&[&str]; 4] = [&[], &["depends_on"], &["profiles"], &["depends_on", "profiles"]];

/// The two ways to write a mount whose folder is created if it is missing.
const BINDS: [&str; 2] = ["\"bind\":{}", "\"bind\":{\"create_host_path\":true}"];

/// A container that another version of Compose made.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// The container's ID.
    pub container: &'a str,
    /// Its service.
    pub service: &'a str,
    /// The config hash that it bears.
    pub hash: &'a str,
    /// The namespaces and volumes that it was created to share.
    pub joined: &'a [Joined],
}

/// The first version whose hash leaves `depends_on` and `profiles` out.
const LEAVES_OUT_SINCE: (u32, u32) = (2, 30);

/// This Compose version's hash of each service, computed from Compose's output. `None` if a service has a key that is unknown
/// here: then only Compose can compute it.
///
/// `config --hash` prints the same (2.26.1, measured), except for services with an `env_file`: there only the hash computed
/// here matches the container's. A service that shares something of another's has no known hash: it contains the other's ID.
pub(super) fn hashes(project: &[u8], version: Option<&str>) -> Option<BTreeMap<String, String>> {
    let project: ConfigDocument = serde_json::from_slice(project).ok()?;
    let of = |(name, service): (String, Box<RawValue>)| {
        let form = write(&known_members(service.get())?, left_out_by(version), &[], &Given::default());
        Some((name, hex::encode(digest(form.as_bytes()))))
    };
    project.services.0.into_iter().map(of).collect()
}

/// The keys that this version leaves out; an unknown version counts as a new one.
fn left_out_by(version: Option<&str>) -> &'static [&'static str] {
    let mut numbers = version.unwrap_or_default().split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) < LEAVES_OUT_SINCE => &[],
        _ => &["depends_on", "profiles"],
    }
}

/// The members of a service; `None` if one of them has an unknown name.
fn known_members(service: &str) -> Option<Vec<(String, Box<RawValue>)>> {
    let members = serde_json::from_str::<Members>(service).ok()?.0;
    members.iter().all(|(key, _)| ORDER.split_whitespace().any(|known| known == key)).then_some(members)
}

/// The containers that were made from the current model. None if Compose does not print the model: then they count as made from
/// another one.
pub async fn made_from_this_model<'a>(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    containers: &[Made<'a>],
    provided: &Provided,
) -> Vec<&'a str> {
    if containers.is_empty() {
        return Vec::new();
    }
    let Some(project) = document(desired, endpoint, resolved).await else { return Vec::new() };
    let is_of = |made: &&Made<'_>| project.is_made_of(made, &resolved.model, provided) == Some(true);
    containers.iter().filter(is_of).map(|made| made.container).collect()
}

/// For containers that programs gave variables, by ID, whether the current model with these variables has their hash: a dry run
/// would run those programs. Unknown ones are left out. A difference is known if this Compose prints the very hash (`printed`,
/// by service) that the model has without the variables.
pub async fn judge_by_hash<'a>(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    printed: &BTreeMap<String, String>,
    containers: &[Made<'a>],
    provided: &Provided,
) -> BTreeMap<&'a str, bool> {
    if containers.is_empty() {
        return BTreeMap::new();
    }
    let Some(project) = document(desired, endpoint, resolved).await else { return BTreeMap::new() };
    let judge = |made: &Made<'a>| {
        // Without the variables that programs gave, every container would seem to differ.
        let is_same = provided
            .is_known(made.service)
            .then(|| project.is_made_of(made, &resolved.model, provided))??;
        let plain = || project.hash(made.service, resolved.version.as_deref());
        (is_same || plain().as_ref() == printed.get(made.service)).then_some((made.container, is_same))
    };
    containers.iter().filter_map(judge).collect()
}

/// Compose's output for the files. Asked anew, because it holds the environment of services, which is never stored.
async fn document(desired: &Desired, endpoint: &Endpoint, resolved: &Resolved) -> Option<ConfigDocument> {
    let env = Environment::of_this_process().for_project(endpoint, desired);
    let questions = Questions { desired, endpoint, env: &env, name_engine: resolved.names_engine };
    let answer = questions.ask(&argv::config_json(desired), QUERY_TIMEOUT).await;
    let mut document: ConfigDocument = serde_json::from_slice(&answer.ok()?.stdout).ok()?;
    let mut services = resolved.model.services.values();
    if services.any(|service| service.program == Some(Program::ModelRunner)) {
        let printed = questions.ask(&argv::config_models(desired), QUERY_TIMEOUT).await.ok()?;
        document.models = language_models(&printed)?;
    }
    Some(document)
}

/// The models that Compose prints; `None` if it refuses to, for example because it does not know the option.
fn language_models(printed: &Finished) -> Option<BTreeSet<String>> {
    let lines = String::from_utf8_lossy(&printed.stdout);
    let names = lines.lines().map(|line| line.trim().to_owned());
    (printed.outcome == StepOutcome::Succeeded).then(|| names.collect())
}

fn is_hash(form: &str, hash: &str) -> bool {
    hex::encode(digest(form.as_bytes())) == hash
}

#[derive(Deserialize)]
struct ConfigDocument {
    services: Members,
    /// The language models of the project.
    #[serde(skip)]
    models: BTreeSet<String>,
}

impl ConfigDocument {
    fn service(&self, name: &str) -> Option<&str> {
        self.services.0.iter().find(|(known, _)| known == name).map(|(_, json)| json.get())
    }

    /// The hash of a service in this version, without variables from programs.
    fn hash(&self, service: &str, version: Option<&str>) -> Option<String> {
        let members = known_members(self.service(service)?)?;
        let form = write(&members, left_out_by(version), &[], &Given::default());
        Some(hex::encode(digest(form.as_bytes())))
    }

    /// Whether some version computes that container's hash from this; `None` if the service has a key that is unknown here.
    fn is_made_of(&self, made: &Made<'_>, model: &Model, provided: &Provided) -> Option<bool> {
        let service = self.service(made.service)?;
        let members = known_members(service)?;
        let given = Given::of(made.service, service, &self.models, model, provided);
        Some(forms(&members, made.joined, &given).any(|form| is_hash(&form, made.hash)))
    }
}

/// The members of a JSON object as they are written.
pub(super) struct Members(pub(super) Vec<(String, Box<RawValue>)>);

/// The forms in which versions of Compose write a service to hash it.
fn forms(
    members: &[(String, Box<RawValue>)],
    joined: &[Joined],
    given: &Given<'_>,
) -> impl Iterator<Item = String> {
    let forms = SOMETIMES.iter().flat_map(move |left_out| {
        let whole = write(members, left_out, joined, given);
        let filled = whole.replace(BINDS[0], BINDS[1]);
        let emptied = whole.replace(BINDS[1], BINDS[0]);
        [whole, filled, emptied]
    });
    forms.collect::<Vec<_>>().into_iter()
}

fn write(
    members: &[(String, Box<RawValue>)],
    left_out: &[&str],
    joined: &[Joined],
    given: &Given<'_>,
) -> String {
    let kept = ORDER.split_whitespace().filter(|key| !NEVER.contains(key) && !left_out.contains(key));
    let written = kept.filter_map(|key| {
        let value = members.iter().find(|(name, _)| name == key).map(|(_, value)| value.get());
        let value = match (key, value) {
            ("environment", value) if !given.is_empty() => given.added_to(value),
            ("deploy", Some(value)) => without_replicas(value),
            (_, value) => shared(key, value?, joined).unwrap_or_else(|| dense(value.unwrap_or_default())),
        };
        Some(format!("\"{key}\":{value}"))
    });
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

/// A shared service is hashed with its container's ID in place of its name; a volume with the ID only.
fn shared(key: &str, value: &str, joined: &[Joined]) -> Option<String> {
    let ids = |what| joined.iter().filter(move |joined| joined.what == what).map(|joined| &joined.id);
    let what = match key {
        "network_mode" => Shared::Network,
        "ipc" => Shared::Ipc,
        "pid" => Shared::Pid,
        "volumes_from" => {
            return serde_json::to_string(&ids(Shared::Volumes).collect::<Vec<_>>()).ok();
        }
        _ => return None,
    };
    let id = ids(what).next().filter(|_| value.starts_with("\"service:"))?;
    Some(format!("\"container:{id}\""))
}

fn without_replicas(deploy: &str) -> String {
    let members = serde_json::from_str::<Members>(deploy).map(|members| members.0).unwrap_or_default();
    let kept = members.iter().filter(|(key, _)| key != "replicas");
    let kept = kept.map(|(key, value)| format!("\"{key}\":{}", dense(value.get())));
    format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = r#"{ "command": ["sleep", "1 000"], "image": "x", "network_mode": "service:a", "pull_policy": "never",
        "volumes": [{"type": "bind", "source": "/b", "bind": {}}], "deploy": {"replicas": 2, "mode": "x"},
        "environment": {"A": "$$1"}, "depends_on": {"a": {"condition": "service_started"}} }"#;

    fn all_forms(service: &str, joined: &[Joined]) -> Vec<String> {
        forms(&known_members(service).unwrap(), joined, &Given::default()).collect()
    }

    fn joined(what: Shared, id: &str) -> Joined {
        Joined { what, id: id.into(), other: crate::api::Fact::unknown("not looked up") }
    }

    #[test]
    fn what_is_shared_is_hashed_by_the_others_id() {
        let all =
            [(Shared::Volumes, "aa"), (Shared::Ipc, "bb"), (Shared::Pid, "cc"), (Shared::Volumes, "dd")];
        let all = all.map(|(what, id)| joined(what, id));
        let service =
            r#"{"image": "x", "ipc": "service:a", "pid": "service:b", "volumes_from": ["a:ro", "b"]}"#;
        let form = r#"{"image":"x","ipc":"container:bb","pid":"container:cc","volumes_from":["aa","dd"]}"#;
        assert!(all_forms(service, &all).iter().any(|found| found == form));
        // Sharing without a service is written as it is.
        let host = r#"{"ipc":"shareable","network_mode":"host","pid":"host"}"#;
        assert!(all_forms(host, &all).iter().any(|found| found == host));
    }

    #[test]
    fn models_are_unknown_where_the_command_fails() {
        let printed = |outcome| Finished {
            outcome,
            exit_code: None,
            output: String::new(),
            stdout: b"ai/one\nai/two\n".to_vec(),
            duration: std::time::Duration::ZERO,
        };
        let known = language_models(&printed(StepOutcome::Succeeded)).unwrap();
        assert_eq!(known.into_iter().collect::<Vec<_>>(), ["ai/one", "ai/two"]);
        for outcome in [StepOutcome::Failed, StepOutcome::TimedOut] {
            assert_eq!(language_models(&printed(outcome)), None);
        }
    }

    #[test]
    fn forms_are_those_of_every_version() {
        let forms = all_forms(SERVICE, &[joined(Shared::Network, "0123")]);
        let (depends, bind) =
            (r#""depends_on":{"a":{"condition":"service_started"}},"#, "{\"create_host_path\":true}");
        for (depends, bind) in [(depends, "{}"), (depends, bind), ("", "{}"), ("", bind)] {
            let form = format!(
                r#"{{"command":["sleep","1 000"],{depends}"deploy":{{"mode":"x"}},"environment":{{"A":"$1"}},"image":"x","network_mode":"container:0123","volumes":[{{"type":"bind","source":"/b","bind":{bind}}}]}}"#
            );
            assert!(forms.contains(&form), "no {form} in {forms:#?}");
        }
    }

    #[test]
    fn the_hash_is_that_of_this_version() {
        let project = format!(r#"{{"name": "p", "services": {{"api": {SERVICE}, "db": {{"image": "x"}}}}}}"#);
        let of = |version| hashes(project.as_bytes(), version).unwrap();
        let hash = |form: &str| hex::encode(digest(form.as_bytes()));
        assert_eq!(of(Some("2.26.1"))["db"], hash(r#"{"image":"x"}"#));
        let (old, new) = (of(Some("2.26.1")), of(Some("2.40.3")));
        assert_ne!(old["api"], new["api"], "depends_on is in one of them");
        assert_eq!(of(None)["api"], new["api"]);
        let future = br#"{"name": "p", "services": {"api": {"image": "x", "teleport": true}}}"#;
        assert_eq!(hashes(future, None), None);
    }

    #[test]
    fn a_service_with_an_unknown_key_has_no_known_members() {
        assert!(known_members(r#"{"image": "x", "teleport": true}"#).is_none());
    }
}
