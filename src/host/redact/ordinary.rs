//! Values that are words of the project, or common ones: `POSTGRES_PASSWORD=postgres` must not hide the word in
//! `docker.io/library/postgres:16`, and readers of the files know it anyway. Like short ones, they are hidden only if they are
//! a whole value.

use std::{collections::BTreeSet, sync::Arc};

/// Default passwords and users of images, words of every log, and the engine's names of states.
const COMMON: [&str; 24] = [
    "administrator",
    "changeit",
    "changeme",
    "clickhouse",
    "database",
    "development",
    "elasticsearch",
    "guacamole",
    "keycloak",
    "localhost",
    "minioadmin",
    "nextcloud",
    "password",
    "postgres",
    "postgresql",
    "production",
    "rabbitmq",
    "removing",
    "restarting",
    "starting",
    "timescale",
    "unhealthy",
    "username",
    "wordpress",
];

/// Words of one project.
#[derive(Clone, Default)]
pub(in crate::host) struct Words {
    /// The names of services: a variable cannot be part of one.
    services: Arc<BTreeSet<String>>,
    /// Names of images, users and the like. One may contain a variable, so only text that looks like a word counts.
    others: Arc<BTreeSet<String>>,
}

impl Words {
    /// These names.
    pub(in crate::host) fn of(services: BTreeSet<String>, others: BTreeSet<String>) -> Self {
        let others = others.into_iter().filter(|word| is_word(word)).map(|word| word.to_lowercase());
        Self { services: Arc::new(services), others: Arc::new(others.collect()) }
    }

    /// Whether a value is one of these words, a common one, or a part of a service's name.
    pub(in crate::host) fn are_of(&self, value: &str) -> bool {
        let lower = value.to_lowercase();
        self.services.iter().any(|name| name.contains(value))
            || is_word(value) && (COMMON.contains(&lower.as_str()) || self.others.contains(&lower))
    }
}

/// Letters only: a key has digits.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_project_and_common_ones_are_distinguished_from_keys() {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let words = Words::of(set(&["shop-backend-v2"]), set(&["shopowner", "a1b2c3d4e5"]));
        for word in ["postgres", "ChangeMe", "shopowner", "backend-v2"] {
            assert!(words.are_of(word), "{word}");
        }
        for secret in ["a1b2c3d4e5", "postgres1", "shopowner9", "correct horse"] {
            assert!(!words.are_of(secret), "{secret}");
        }
    }
}
