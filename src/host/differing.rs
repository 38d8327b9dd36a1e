//! The keys in which the containers differ that Compose would recreate.

use std::collections::BTreeSet;

use super::{
    LocalHost,
    compose::{Configuration, Resolved},
    difference,
};
use crate::api::{ConfigDifference, ContainerObservation, Desired, Fact};

/// The cache's space: keys by container and model. Neither changes, so a drift that stays unrepaired is compared only once.
const SPACE: &str = "differences";

impl LocalHost {
    /// Adds to each of these containers the keys in which it differs. If none differs, undrift asks nothing.
    pub(super) async fn add_differences(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        containers: Vec<(&str, &mut ContainerObservation)>,
    ) {
        let differing = containers
            .into_iter()
            .filter(|(_, seen)| seen.config_changed == Fact::Known(true) && !seen.only_upgraded);
        let (mut model, mut configuration) = (None, None);
        for (service, seen) in differing {
            let model = model.get_or_insert_with(|| resolved.digest_under(&self.digests));
            let key = format!("{} {model}", seen.id);
            let known = self.cache.get(SPACE, &key).and_then(|text| serde_json::from_str(&text).ok());
            if let Some(known) = known {
                seen.differences = Fact::Known(known);
                continue;
            }
            if configuration.is_none() {
                configuration = Some(Configuration::ask(desired, self.engine.endpoint(), resolved).await);
            }
            seen.differences = match &configuration {
                Some(Ok(configuration)) => self.differences(configuration, service, &seen.id).await,
                Some(Err(why)) => Fact::unknown(why),
                None => Fact::unknown("Compose was not asked"),
            };
            if let Fact::Known(differences) = &seen.differences
                && let Ok(text) = serde_json::to_string(differences)
            {
                self.cache.put(SPACE, &key, &text);
            }
        }
    }

    async fn differences(
        &self,
        configuration: &Configuration<'_>,
        service: &str,
        id: &str,
    ) -> Fact<Vec<ConfigDifference>> {
        let (container, image) = match self.engine.inspected(id).await {
            Ok(inspected) => inspected,
            Err(error) => return Fact::unknown(error.to_string()),
        };
        let keys: BTreeSet<String> = difference::keys(&configuration.project, service, &container, &image);
        let named = keys.into_iter().map(|key| {
            let variables = configuration.variables_of(service, &key);
            ConfigDifference { key, variables }
        });
        Fact::Known(named.collect())
    }
}
