//! undrift's own messages about a project: Compose substitutes variables in `image: app:${TOKEN}` or
//! `container_name: x-${TOKEN}`, and messages and records would contain such a name. So an observation leaves the host without
//! known secrets in its texts.

use serde_json::Value;

use super::{Redactor, known::SearchedText, replaced};
use crate::{
    api::{Pointed, ProjectObservation, RevisionFact, RevisionObservation, is_revision},
    host::HostError,
    secret::{STARS, url},
};

/// Identifying fields, in which no variable can be substituted: the names of services are keys of the files, IDs and digests
/// come from the engine or undrift. The project's name is the one by which containers are found.
const KEYS: [&str; 8] =
    ["project", "engine", "service", "id", "imageId", "configHash", "digest", "builtFrom"];

impl Redactor {
    /// A text of undrift's own without known values, and without the secrets of a URL. A value next to a secret's name stays:
    /// only undrift has written it.
    pub(in crate::host) fn own(&self, text: &str) -> String {
        // A name is not encoded, and an ID that looks like base64 is none.
        let mut shown = replaced(text, self.places_of(text, SearchedText::Own(&self.words), 0));
        for range in url::secrets_in(&shown).into_iter().rev() {
            shown.replace_range(range, STARS);
        }
        shown
    }

    /// An observation, without known values in its texts.
    pub(in crate::host) fn observation(&self, observed: ProjectObservation) -> ProjectObservation {
        let Ok(mut json) = serde_json::to_value(&observed) else { return observed };
        if !self.hide_in(&mut json) {
            return observed;
        }
        let Ok(mut shown) = serde_json::from_value::<ProjectObservation>(json) else { return observed };
        // The JSON lacks fields that are not recorded.
        shown.resolved_from = observed.resolved_from;
        for (shown, service) in shown.services.iter_mut().zip(&observed.services) {
            shown.artifact.is_kept = service.artifact.is_kept;
            // Stars are no revision, and must not look like another one.
            let facts = shown.revision.iter_mut().flat_map(RevisionObservation::facts_mut);
            for fact in facts.filter(|fact| fact.known().is_some_and(|known| !is_revision(known))) {
                *fact = RevisionFact::NotARevision("it may be a secret, and is not kept".into());
            }
        }
        shown
    }

    /// Whether something was hidden.
    fn hide_in(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let shown = self.own(text);
                let is_changed = shown != *text;
                *text = shown;
                is_changed
            }
            Value::Array(list) => self.hide_in_each(list.iter_mut()),
            Value::Object(map) => {
                let others = map.iter_mut().filter(|(key, _)| !KEYS.contains(&key.as_str()));
                self.hide_in_each(others.map(|(_, value)| value))
            }
            _ => false,
        }
    }

    /// Whether something was hidden in one of them. All are processed.
    fn hide_in_each<'v>(&self, values: impl Iterator<Item = &'v mut Value>) -> bool {
        values.map(|value| self.hide_in(value)).filter(|hidden| *hidden).count() > 0
    }

    /// An error without known values: it names images and services, and quotes the engine.
    pub(in crate::host) fn error(&self, error: HostError) -> HostError {
        let own = |text: String| self.own(&text);
        let pointed = |all: Vec<Pointed>| {
            all.into_iter().map(|one| Pointed { message: self.own(&one.message), ..one }).collect()
        };
        match error {
            HostError::EngineUnavailable { endpoint, cause } => {
                HostError::EngineUnavailable { endpoint, cause: own(cause) }
            }
            HostError::FileHangs(why) => HostError::FileHangs(own(why)),
            HostError::FileUnusable { directory, cause } => {
                HostError::FileUnusable { directory, cause: own(cause) }
            }
            HostError::ComposeRefused { directory, cause } => {
                HostError::ComposeRefused { directory, cause: own(cause) }
            }
            HostError::RevisionUnknown { directory, service, variable, cause } => {
                HostError::RevisionUnknown { directory, service, variable, cause: own(cause) }
            }
            HostError::NoSuchService { manifest, unknown } => {
                HostError::NoSuchService { manifest, unknown: pointed(unknown) }
            }
            HostError::SharedImage { first, second, image } => {
                HostError::SharedImage { first, second, image: own(image) }
            }
            HostError::Engine { action, cause } => HostError::Engine { action, cause: own(cause) },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::ResolvedFrom, testing::fixtures};

    #[test]
    fn names_that_a_variable_filled_in_are_hidden_and_plain_ones_stay() {
        let redactor = Redactor::default().with_secrets([
            "hunter2-long".to_owned(),
            "hunter2".into(),
            "postgres".into(),
        ]);
        for (text, shown) in [
            ("registry/app:hunter2-long", "registry/app:********"),
            ("x-hunter2-long-1 is missing", "x-********-1 is missing"),
            ("app:hunter2", "app:********"),
            ("a git repository: https://ops:x@h/y.git", "a git repository: https://********@h/y.git"),
        ] {
            assert_eq!(redactor.own(text), shown);
        }
        for text in ["hunter2", "postgres", "docker.io/library/postgres:16", "image: postgres", "TOKEN=x"] {
            assert_eq!(redactor.own(text), text);
        }
    }

    #[test]
    fn a_look_has_no_known_value_in_its_texts_and_keeps_all_else() {
        let redactor = Redactor::default().with_secrets(["filled-in-77".to_owned()]);
        let seen = |filled_in: &str| {
            let mut seen = fixtures::healthy();
            let reference = format!("registry/app:{filled_in}");
            let service = &mut seen.services[0];
            service.artifact.reference = reference;
            service.artifact.is_kept = true;
            fixtures::container_mut(service).name = format!("x-{filled_in}-1");
            seen.external_activity = Some(format!("`docker compose up` of x-{filled_in}-1"));
            seen.resolved_from = Some(ResolvedFrom::new([].into(), [].into(), "model".into()));
            seen
        };
        assert_eq!(redactor.observation(seen("filled-in-77")), seen(STARS));
        assert_eq!(redactor.observation(seen("1")), seen("1"));
        let mut with_revision = seen("1");
        let carried = |text: &str| RevisionFact::Known(text.into());
        let of = |image| crate::api::RevisionObservation { image: Some(image), ..fixtures::revision() };
        with_revision.services[0].revision = Some(of(carried("filled-in-77")));
        let shown = redactor.observation(with_revision).services[0].revision.clone().unwrap();
        assert!(matches!(shown.image, Some(RevisionFact::NotARevision(_))), "{shown:?}");
        assert_eq!(shown.expected, fixtures::revision().expected);
        let error = HostError::SharedImage {
            first: "api".into(),
            second: "worker".into(),
            image: "app:filled-in-77".into(),
        };
        assert!(redactor.error(error).to_string().contains("the image app:********"));
    }
}
