//! The variables that programs gave a service's container: its providers, and `docker model`.
//!
//! A provider is a program that Compose runs at each `up`. What it prints as `setenv` becomes a variable of each service that
//! depends on it, under the provider's name in capitals (`DATABASE_URL`), and a part of that service's config hash. An
//! observation never runs such a program, so undrift reads the variables from the container that was created with them.

use std::collections::{BTreeMap, BTreeSet};

use super::Model;

/// The variables of one container of each service that gets some from programs, without those of its image. No `Debug`: values
/// may be secrets.
#[derive(Clone, Default)]
pub struct Provided(BTreeMap<String, ProvidedVariables>);

#[derive(Clone, Default)]
struct ProvidedVariables {
    variables: Vec<(String, String)>,
    /// The names that its service declared when it was last as declared.
    once_declared: BTreeSet<String>,
}

/// The variables of a container that its service does not declare.
pub(super) struct Undeclared<'a> {
    /// Those that begin with the name of one of its providers.
    pub(super) of_providers: Vec<(&'a str, &'a str)>,
    /// All others: set by a provider under names of its choice, or formerly declared.
    pub(super) others: Vec<(&'a str, &'a str)>,
    /// Whether one of these others is known to be formerly declared.
    pub(super) is_one_removed: bool,
}

impl Provided {
    /// Takes the variables of a container of the service, and the names that the service declared when this container was last
    /// as declared; empty if that was never observed.
    pub fn insert(
        &mut self,
        service: &str,
        variables: Vec<(String, String)>,
        once_declared: BTreeSet<String>,
    ) {
        self.0.insert(service.to_owned(), ProvidedVariables { variables, once_declared });
    }

    /// Whether the variables of the service's container are known.
    pub(super) fn is_known(&self, service: &str) -> bool {
        self.0.contains_key(service)
    }

    /// One variable of the container of a service.
    pub(super) fn variable(&self, service: &str, name: &str) -> Option<&str> {
        let all = &self.0.get(service)?.variables;
        all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The undeclared ones; `None` if the variables are not known.
    pub(super) fn undeclared(&self, model: &Model, service: &str) -> Option<Undeclared<'_>> {
        let declared = &model.services.get(service)?.environment;
        let prefixes: Vec<String> =
            model.providers_of(service).iter().map(|name| format!("{}_", name.to_uppercase())).collect();
        let ProvidedVariables { variables, once_declared } = self.0.get(service)?;
        let all = variables.iter().filter(|(name, _)| !declared.contains(name));
        let (of_providers, others): (Vec<_>, Vec<_>) =
            all.map(|(name, value)| (name.as_str(), value.as_str())).partition(|(name, _)| {
                !once_declared.contains(*name) && prefixes.iter().any(|prefix| name.starts_with(prefix))
            });
        let is_one_removed = others.iter().any(|(name, _)| once_declared.contains(*name));
        Some(Undeclared { of_providers, others, is_one_removed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_nobodys_gift() {
        let json = serde_json::json!({"name": "p", "services": {"db": {"provider": {"type": "x"}},
            "api": {"depends_on": {"db": {}}, "environment": {"A": "1", "DB_NAME": "declared"}}}});
        let model = Model::parse(json.to_string().as_bytes()).unwrap();
        let mut provided = Provided::default();
        assert!(provided.undeclared(&model, "api").is_none());
        let variables = [("A", "1"), ("DB_NAME", "old"), ("DB_URL", "x"), ("dB_z", "x"), ("RAW", "y")];
        let variables = || variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        provided.insert("api", variables(), BTreeSet::new());
        let found = provided.undeclared(&model, "api").unwrap();
        assert_eq!(found.of_providers, [("DB_URL", "x")]);
        assert_eq!(found.others, [("dB_z", "x"), ("RAW", "y")]);
        assert!(!found.is_one_removed, "who gave them nobody knows");
        // Formerly declared: not the provider's, whatever its name is.
        provided.insert("api", variables(), BTreeSet::from(["A".into(), "DB_URL".into()]));
        let found = provided.undeclared(&model, "api").unwrap();
        assert_eq!((found.of_providers.len(), found.is_one_removed), (0, true));
    }
}
