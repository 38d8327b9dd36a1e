//! The variables that a service's providers gave its container.
//!
//! A provider is a program that Compose runs at each `up`. What it prints as `setenv` becomes a variable of each service
//! that depends on it, under the provider's name in capitals (`DATABASE_URL`), and a part of that service's config hash. No
//! look runs such a program, so what it gave is read from the container that was made with it.

use std::collections::BTreeMap;

use super::Model;

/// The variables of one container of each service that has a provider, without those of its image. No `Debug`: values may
/// be secrets.
#[derive(Clone, Default)]
pub struct Provided(BTreeMap<String, Vec<(String, String)>>);

/// The variables of a container that its service does not declare.
pub(super) struct Undeclared<'a> {
    /// Those that begin with the name of one of its providers.
    pub(super) of_providers: Vec<(&'a str, &'a str)>,
    /// All others: of a provider that sets them under names of its choice, or declared once and no more.
    pub(super) others: Vec<(&'a str, &'a str)>,
}

impl Provided {
    /// Takes the variables of a container of the service.
    pub fn insert(&mut self, service: &str, variables: Vec<(String, String)>) {
        self.0.insert(service.to_owned(), variables);
    }

    /// What nobody declares of them; `None` where they are not known.
    pub(super) fn undeclared(&self, model: &Model, service: &str) -> Option<Undeclared<'_>> {
        let declared = &model.services.get(service)?.environment;
        let prefixes: Vec<String> =
            model.providers_of(service).iter().map(|name| format!("{}_", name.to_uppercase())).collect();
        let all = self.0.get(service)?.iter().filter(|(name, _)| !declared.contains(name));
        let (of_providers, others) = all
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .partition(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        Some(Undeclared { of_providers, others })
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
        provided.insert("api", variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let found = provided.undeclared(&model, "api").unwrap();
        assert_eq!(found.of_providers, [("DB_URL", "x")]);
        assert_eq!(found.others, [("dB_z", "x"), ("RAW", "y")]);
    }
}
