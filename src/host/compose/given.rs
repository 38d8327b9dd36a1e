//! The undeclared variables that programs give a service's containers, as Compose hashes them: the variables of its providers,
//! and those of the language models that it uses.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Model, Provided, declared::dense};

/// A service's reference to a model that it uses: the names of its variables, if they are not the default ones.
#[derive(Deserialize, Default)]
#[serde(default)]
struct UsedModel {
    endpoint_var: Option<String>,
    model_var: Option<String>,
}

#[derive(Deserialize)]
struct UsedModels {
    #[serde(default)]
    models: BTreeMap<String, Option<UsedModel>>,
}

/// Variables, by name.
#[derive(Default)]
pub(super) struct Given<'a>(BTreeMap<String, &'a str>);

impl<'a> Given<'a> {
    /// The variables of one service, whose JSON this is, as its container has them. A model that the project (`models`) does
    /// not have is left out. Compose does not report which key of the project belongs to which model, so undrift cannot see
    /// that two were exchanged.
    pub(super) fn of(
        service: &str,
        json: &str,
        models: &BTreeSet<String>,
        project: &Model,
        provided: &'a Provided,
    ) -> Self {
        let of_providers =
            provided.undeclared(project, service).map(|all| all.of_providers).unwrap_or_default();
        let mut given: BTreeMap<String, &str> =
            of_providers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let used = serde_json::from_str::<UsedModels>(json).map(|used| used.models).unwrap_or_default();
        for (key, used) in used {
            // As Compose names them (2.38 on): its key in capitals, with an underscore for each hyphen.
            let prefix = key.to_uppercase().replace('-', "_");
            let used = used.unwrap_or_default();
            let endpoint = used.endpoint_var.unwrap_or_else(|| format!("{prefix}_URL"));
            let name = used.model_var.unwrap_or_else(|| format!("{prefix}_MODEL"));
            let answers_at = provided.variable(service, &endpoint);
            let model = provided.variable(service, &name).filter(|model| models.contains(*model));
            given.extend(model.map(|model| (name, model)));
            given.extend(answers_at.map(|url| (endpoint, url)));
        }
        Self(given)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The variables of a service, as Compose prints them, plus these, as Compose hashes them: sorted by name.
    pub(super) fn added_to(&self, environment: Option<&str>) -> String {
        let declared =
            environment.and_then(|json| serde_json::from_str::<BTreeMap<String, &RawValue>>(json).ok());
        let mut all: BTreeMap<String, String> = declared
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, dense(value.get())))
            .collect();
        all.extend(self.0.iter().map(|(name, value)| (name.clone(), as_go_writes(value))));
        let members = all.into_iter().map(|(name, value)| format!("{}:{value}", as_go_writes(&name)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// A string as Go's `encoding/json` writes it: with HTML characters escaped, and the two line separators of Unicode.
fn as_go_writes(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut written = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                written.extend(format!("\\u{:04x}", u32::from(c)).chars());
            }
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_models_are_named_as_compose_names_them_and_sorted_among_the_declared() {
        let service = r#"{"image": "x", "models": {"my-llm": null, "other": {"endpoint_var": "AT", "model_var": "WHICH"}}}"#;
        let json = format!(r#"{{"name": "p", "services": {{"api": {service}}}}}"#);
        let project = Model::parse(json.as_bytes()).unwrap();
        let models = ["ai/a", "ai/b<c"].map(str::to_owned).into();
        let mut provided = Provided::default();
        let variables = [
            ("MY_LLM_URL", "http://x/?a&b"),
            ("MY_LLM_MODEL", "ai/older"),
            ("WHICH", "ai/b<c"),
            ("AT", "http://y/"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        provided.insert("api", variables.into(), BTreeSet::new());
        let given = Given::of("api", service, &models, &project, &provided);
        assert_eq!(
            given.added_to(Some(r#"{ "Z": "$$1", "A": null }"#)),
            r#"{"A":null,"AT":"http://y/","MY_LLM_URL":"http://x/?a\u0026b","WHICH":"ai/b\u003cc","Z":"$1"}"#
        );
        assert_eq!(Given::default().added_to(None), "{}");
    }
}
