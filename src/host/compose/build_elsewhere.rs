//! A build whose image has another name than the service's, so that no reference moves.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{
    Resolved, argv, model::Model, overlay::with_images, question::Questions, refusal, resolve::QUERY_TIMEOUT,
};
use crate::{
    api::Desired,
    host::{endpoint::Endpoint, process::Environment},
};

/// The Compose project in which some services have other image names.
pub(in crate::host) struct BuildElsewhere {
    desired: Desired,
    /// The environment of its builds.
    pub(in crate::host) env: Environment,
}

#[derive(Deserialize)]
struct RawBuiltProject {
    services: BTreeMap<String, RawBuiltService>,
}

#[derive(Deserialize)]
struct RawBuiltService {
    image: Option<String>,
    #[serde(default)]
    build: Option<RawTags>,
}

#[derive(Deserialize)]
struct RawTags {
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    cache_to: Vec<serde_json::Value>,
}

impl BuildElsewhere {
    /// Gives these services other image names, in an extra file in this folder, and has Compose confirm that a build would set
    /// no other name. An older Compose does not know how to take away what the files say.
    ///
    /// # Errors
    /// In words: the files are not known, or Compose would build otherwise.
    pub(in crate::host) async fn prepare(
        desired: &Desired,
        endpoint: &Endpoint,
        resolved: &Resolved,
        env: Environment,
        (folder, images): (&Path, &BTreeMap<String, String>),
    ) -> Result<Self, String> {
        let desired = with_images(desired, &env, folder, images)?;
        let questions =
            Questions { desired: &desired, endpoint, env: &env, name_engine: resolved.names_engine };
        let is_enabled = |service: &String| resolved.model.services.contains_key(service);
        let json = config(questions, images.keys().all(is_enabled)).await?;
        confirm(&json, images)?;
        Ok(Self { desired, env })
    }

    /// The command that builds one of the services.
    pub(in crate::host) fn argv(&self, service: &str) -> Vec<String> {
        argv::build(&self.desired, &[service.to_owned()], false)
    }

    /// The image reference of each service, those of profiles that are not enabled as well.
    ///
    /// # Errors
    /// In words: Compose refuses.
    pub(in crate::host) async fn references(
        desired: &Desired,
        endpoint: &Endpoint,
        resolved: &Resolved,
        env: &Environment,
    ) -> Result<BTreeMap<String, String>, String> {
        let questions = Questions { desired, endpoint, env, name_engine: resolved.names_engine };
        let json = config(questions, false).await?;
        let model = Model::parse(&json).map_err(|_| NOT_UNDERSTOOD)?;
        Ok(model.services.into_iter().map(|(name, service)| (name, service.image)).collect())
    }
}

const NOT_UNDERSTOOD: &str = "the JSON of `docker compose config` is not understood";

/// The project with the services of the enabled profiles, or of all.
async fn config(questions: Questions<'_>, is_enabled: bool) -> Result<Vec<u8>, String> {
    let desired = questions.desired;
    let argv =
        if is_enabled { argv::config_json(desired) } else { argv::config_json_of_all_profiles(desired) };
    let finished = questions.ask(&argv, QUERY_TIMEOUT).await.map_err(|error| error.to_string())?;
    refusal::check(questions.desired, questions.env, &finished).map_err(|error| error.to_string())?;
    Ok(finished.stdout)
}

/// Whether each of these services would be built under its name, and under no other one.
fn confirm(json: &[u8], images: &BTreeMap<String, String>) -> Result<(), String> {
    let project: RawBuiltProject = serde_json::from_slice(json).map_err(|_| NOT_UNDERSTOOD)?;
    for (name, image) in images {
        let service = project.services.get(name);
        let is_so = service.is_some_and(|service| {
            let build = service.build.as_ref();
            service.image.as_ref() == Some(image)
                && build.is_none_or(|build| build.tags.is_empty() && build.cache_to.is_empty())
        });
        if !is_so {
            return Err(format!(
                "this version of Compose would give the build of {name} other names, too (`build.tags`), or write a cache \
                 (`build.cache_to`); so it is not built"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_build_that_would_set_another_name_is_not_made() {
        let images = BTreeMap::from([("api".to_owned(), "check:1".to_owned())]);
        let confirmed = |api: serde_json::Value| {
            confirm(json!({ "services": { "api": api, "web": {} } }).to_string().as_bytes(), &images).is_ok()
        };
        assert!(confirmed(json!({ "image": "check:1", "build": { "context": "/a" } })));
        for api in [
            json!({ "image": "shop-api", "build": { "context": "/a" } }),
            json!({ "image": "check:1", "build": { "context": "/a", "tags": ["x:1"] } }),
            json!({ "image": "check:1", "build": { "context": "/a", "cache_to": ["type=local,dest=/x"] } }),
            json!({ "build": { "context": "/a" } }),
        ] {
            assert!(!confirmed(api.clone()), "{api}");
        }
        assert!(confirm(b"{}", &images).is_err() && confirm(br#"{"services":{}}"#, &images).is_err());
    }
}
