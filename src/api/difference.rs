//! How a container differs from the present Compose files.

use serde::{Deserialize, Serialize};

/// A key of a service in the Compose files whose value differs from the container's. Without the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigDifference {
    /// The key as in the files: `image`, `command`, `ports`; with a name if it holds several things:
    /// `environment.DB_PASSWORD`, `labels.tier`, `volumes./data`.
    pub key: String,
    /// The environment variables in its value that no file sets: the caller's environment decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
}

impl ConfigDifference {
    /// In words: `environment.DB_PASSWORD (SHOP_PASSWORD of the environment)`.
    #[must_use]
    pub fn in_words(&self) -> String {
        if self.variables.is_empty() {
            return self.key.clone();
        }
        format!("{} ({} of the environment)", self.key, self.variables.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_variable_where_the_environment_decides() {
        let of = |key: &str, variables: &[&str]| {
            let variables = variables.iter().map(|name| (*name).to_owned()).collect();
            ConfigDifference { key: key.to_owned(), variables }.in_words()
        };
        assert_eq!(of("image", &[]), "image");
        assert_eq!(
            of("environment.URL", &["HOST", "PORT"]),
            "environment.URL (HOST, PORT of the environment)"
        );
    }
}
