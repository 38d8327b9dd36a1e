//! The images that `check --build` builds: their names, what is compared of them, and their removal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::{
    models::{ImageConfig, ImageInspect},
    query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder},
};
use serde_json::Value;

use super::{
    Engine, EngineError,
    owner::{self, Liveness, Owner},
    request::EngineRequest,
    tags::{CHECK, is_unknown_image, own_reference},
};

/// The labels that Compose puts on every image that it builds. They tell who built it, and not what it is.
const OF_COMPOSE: [&str; 3] =
    ["com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.version"];

/// The name of a build that is only compared: which process made it, and when it is surely over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct CheckName(String);

impl CheckName {
    /// The name for builds of this process, which are over at that time (in seconds since 1970).
    pub(in crate::host) fn own(until: i64) -> Self {
        Self(format!("{}.{until}", Owner::own().tag()))
    }

    /// One that another process may have written.
    pub(in crate::host) fn parse(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(in crate::host) fn as_str(&self) -> &str {
        &self.0
    }

    /// The reference of a service's image: `undrift-check/PROJECT/SERVICE:NAME`.
    pub(in crate::host) fn reference(&self, project: &str, service: &str) -> String {
        own_reference(CHECK, project, service, &self.0)
    }

    /// Whether nobody will remove what has this name. Of a process on another host only the time is known.
    pub(in crate::host) fn is_abandoned(&self, now: i64) -> bool {
        let Some((owner, until)) = self.0.rsplit_once('.') else { return false };
        match owner::liveness_of_tag(owner) {
            Liveness::Lives => false,
            Liveness::Dead => true,
            Liveness::Elsewhere => until.parse::<i64>().is_ok_and(|until| until < now),
        }
    }
}

/// What is compared of an image before its files are.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::host) struct ImageDetails {
    /// Its ID (`sha256:…`).
    pub(in crate::host) id: String,
    /// Each setting by its name in words. The values may be secrets: they are compared, and never shown.
    pub(in crate::host) settings: BTreeMap<String, String>,
    /// The digests of its layers; empty if the engine does not report them. Equal layers are equal files.
    pub(in crate::host) layers: Vec<String>,
}

impl Engine {
    /// What is compared of the image behind a reference; `None` if the engine has nothing of that name.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(in crate::host) async fn image_details(
        &self,
        reference: &str,
    ) -> Result<Option<ImageDetails>, EngineError> {
        let request = EngineRequest::image(reference);
        match self.ask(&request, async |docker| docker.inspect_image(reference).await).await {
            Ok(image) => {
                let id = request.required_text("Id", image.id.clone())?;
                let layers = image.root_fs.as_ref().and_then(|root| root.layers.clone()).unwrap_or_default();
                Ok(Some(ImageDetails { id, settings: settings(image), layers }))
            }
            Err(error) if is_unknown_image(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The IDs of the images without any name.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(in crate::host) async fn nameless_images(&self) -> Result<BTreeSet<String>, EngineError> {
        let filters = HashMap::from([("dangling".to_owned(), vec!["true".to_owned()])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.call(async |docker| docker.list_images(Some(options)).await).await?;
        Ok(images.into_iter().map(|image| image.id).collect())
    }

    /// Takes the name of a build away, and the image with it, unless that has another name or a container, or is among those
    /// to spare: these were there before. An image goes with its last name, so that goes to `holder` first, which has others.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(in crate::host) async fn remove_check_image(
        &self,
        reference: &str,
        spared: &BTreeSet<String>,
        holder: Option<&str>,
    ) -> Result<(), EngineError> {
        let Some(image) = self.tagged_image(reference).await? else { return Ok(()) };
        let is_last_name = image.tags.len() <= 1;
        if is_last_name && (spared.contains(&image.id) || self.has_containers(&image.id).await?) {
            match holder {
                Some(holder) => self.tag(holder, reference).await?,
                None => return Ok(()),
            }
        }
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
        match self.call(async |docker| docker.remove_image(reference, Some(options), None).await).await {
            Ok(_) | Err(EngineError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes the builds of `check --build` whose process is dead. Returns how many names are gone.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn sweep_check_images(&self) -> Result<usize, EngineError> {
        let patterns = ["", "docker.io/", "localhost/"].map(|registry| format!("{registry}{CHECK}*/*"));
        let filters = HashMap::from([("reference".to_owned(), patterns.to_vec())]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.call(async |docker| docker.list_images(Some(options)).await).await?;
        let now = chrono::Utc::now().timestamp();
        let names = images.into_iter().flat_map(|image| image.repo_tags);
        let abandoned: Vec<String> = names.filter(|name| is_abandoned(name, now)).collect();
        if abandoned.is_empty() {
            return Ok(0);
        }
        let holder = self.any_named_image().await?;
        for name in &abandoned {
            self.remove_check_image(name, &BTreeSet::new(), holder.as_deref()).await?;
        }
        tracing::info!(removed = abandoned.len(), "removed builds of a `check --build` that was killed");
        Ok(abandoned.len())
    }

    /// A name of any image that is not one of a build to compare.
    async fn any_named_image(&self) -> Result<Option<String>, EngineError> {
        let options = ListImagesOptionsBuilder::default().build();
        let images = self.call(async |docker| docker.list_images(Some(options)).await).await?;
        let mut names = images.into_iter().flat_map(|image| image.repo_tags);
        Ok(names.find(|name| check_name(name).is_none() && !name.starts_with('<')))
    }
}

/// The name in a reference, as the engine writes it, if it is that of a build to compare.
fn check_name(reference: &str) -> Option<CheckName> {
    let (registry, rest) = reference.split_once(CHECK)?;
    let is_ours = matches!(registry, "" | "docker.io/" | "localhost/") && rest.split('/').count() == 2;
    let (_, name) = rest.rsplit_once(':').filter(|_| is_ours)?;
    Some(CheckName::parse(name))
}

fn is_abandoned(reference: &str, now: i64) -> bool {
    check_name(reference).is_some_and(|name| name.is_abandoned(now))
}

/// The settings of an image by name; those that are not set are left out, however the engine writes that.
fn settings(image: ImageInspect) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            found.insert(name.to_owned(), value);
        }
    };
    add("operating system", image.os);
    add("architecture", image.architecture);
    add("architecture's variant", image.variant);
    let Some(config) = image.config else { return found };
    let ImageConfig { user, working_dir, stop_signal, .. } = &config;
    add("user", user.clone());
    add("working directory", working_dir.clone());
    add("stop signal", stop_signal.clone());
    let lists = [
        ("command", &config.cmd),
        ("entrypoint", &config.entrypoint),
        ("shell", &config.shell),
        ("triggers", &config.on_build),
    ];
    for (name, list) in lists {
        add(name, list.as_ref().filter(|list| !list.is_empty()).map(|list| format!("{list:?}")));
    }
    let health = config.healthcheck.and_then(|health| serde_json::to_value(health).ok());
    add("health check", health.filter(|health| *health != Value::Null).map(|health| health.to_string()));
    for entry in config.env.unwrap_or_default() {
        let (name, value) = entry.split_once('=').unwrap_or((&entry, ""));
        found.insert(format!("environment {name}"), value.to_owned());
    }
    let labels = config.labels.unwrap_or_default().into_iter();
    let labels = labels.filter(|(name, _)| !OF_COMPOSE.contains(&name.as_str()));
    found.extend(labels.map(|(name, value)| (format!("label {name}"), value)));
    for (kind, paths) in [("exposed port", config.exposed_ports), ("volume", config.volumes)] {
        found.extend(paths.into_iter().flatten().map(|path| (format!("{kind} {path}"), String::new())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_a_tag_and_only_the_dead_and_the_old_are_swept() {
        let own = CheckName::own(9_999_999_999);
        let reference = own.reference("shop", "Api");
        let (_, tag) = reference.rsplit_once(':').unwrap();
        assert!(reference.starts_with("undrift-check/shop/api.u") && tag.len() <= 128, "{reference}");
        assert!(!is_abandoned(&reference, 99_999_999_999), "its process lives");
        let (owner, _) = tag.rsplit_once('.').unwrap();
        let (before, _) = owner.rsplit_once('.').unwrap();
        for (name, abandoned) in [
            (format!("undrift-check/shop/api:{before}.1.9999999999"), true),
            (format!("docker.io/undrift-check/shop/api:{before}.1.9999999999"), true),
            ("undrift-check/shop/api:elsewhere.1.1.99".into(), true),
            ("undrift-check/shop/api:elsewhere.1.1.101".into(), false),
            ("undrift-check/shop/api:latest".into(), false),
            (format!("example.org/undrift-check/shop/api:{before}.1.1"), false),
            (format!("undrift-check/shop:{before}.1.1"), false),
            (format!("undrift-keep/shop/api:{before}.1.1"), false),
        ] {
            assert_eq!(is_abandoned(&name, 100), abandoned, "{name}");
        }
    }

    #[test]
    fn what_is_not_set_is_equal_however_it_is_written_and_composes_own_labels_do_not_count() {
        let bare: ImageInspect = serde_json::from_value(serde_json::json!({
            "Os": "linux", "Variant": "", "Config": { "User": "", "Cmd": null, "Labels": null, "Env": null },
        }))
        .unwrap();
        let other: ImageInspect = serde_json::from_value(serde_json::json!({
            "Os": "linux", "Config": { "Cmd": [], "Entrypoint": [], "Labels": {
                "com.docker.compose.version": "2.26.1", "com.docker.compose.project": "x", "com.docker.compose.service": "y" } },
        }))
        .unwrap();
        assert_eq!(settings(bare), settings(other));
    }

    #[test]
    fn each_setting_has_its_own_name() {
        let image: ImageInspect = serde_json::from_value(serde_json::json!({
            "Architecture": "amd64",
            "Config": {
                "Env": ["A=1=2", "B", "PATH=/bin"], "Cmd": ["/bin/sh"], "Labels": { "a": "b" }, "Volumes": { "/v": {} },
                "ExposedPorts": { "80/tcp": {} }, "Healthcheck": { "Test": ["NONE"] }, "OnBuild": ["RUN x"],
            },
        }))
        .unwrap();
        let names: Vec<String> = settings(image).into_keys().collect();
        let expected = [
            "architecture",
            "command",
            "environment A",
            "environment B",
            "environment PATH",
            "exposed port 80/tcp",
            "health check",
            "label a",
            "triggers",
            "volume /v",
        ];
        assert_eq!(names, expected);
    }
}
