//! The inputs that a Compose project was resolved from, as far as they may be remembered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The form of the digests. Digests of another form do not indicate a change.
const FORM: u32 = 2;

/// Variables with this prefix control Compose, whatever the files contain.
const STEERS: &str = "COMPOSE_";

/// The files and the environment that a Compose project was resolved from, and the result: digests under a key that only the
/// state folder has, and never a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedFrom {
    /// The form of the digests.
    pub form: u32,
    /// Each file that Compose reads, by path, and the programs that read them; possible files that do not exist are
    /// included.
    pub files: BTreeMap<String, String>,
    /// Each environment variable that the files use or that controls Compose, by name; null if it is not set.
    pub variables: BTreeMap<String, Option<String>>,
    /// The model that Compose resolved.
    pub model: String,
}

impl ResolvedFrom {
    /// Of these digests.
    #[must_use]
    pub const fn new(
        files: BTreeMap<String, String>,
        variables: BTreeMap<String, Option<String>>,
        model: String,
    ) -> Self {
        Self { form: FORM, files, variables, model }
    }

    /// The variables that differ from those of `before`, if they alone make Compose resolve the project differently: it does,
    /// and no file that was read then has changed. Empty otherwise.
    #[must_use]
    pub fn differs_by_environment_from(&self, before: &Self) -> Vec<String> {
        if self.form != before.form || self.model == before.model {
            return Vec::new();
        }
        // Another `COMPOSE_FILE` selects other files: those that are not read now have not changed by that.
        let changed =
            |(path, digest): (&String, &String)| self.files.get(path).is_some_and(|now| now != digest);
        if before.files.iter().any(changed) {
            return Vec::new();
        }
        let of = |all: &Self, name: &str| all.variables.get(name).cloned().flatten();
        // The same files look up the same variables. Otherwise a variable that only one of the two has read was not looked up in
        // the other, except those that always control Compose.
        let of_the_same = self.files == before.files;
        let known = |name: &&String| {
            of_the_same
                || name.starts_with(STEERS)
                || (self.variables.contains_key(*name) && before.variables.contains_key(*name))
        };
        let mut names: Vec<String> = self
            .variables
            .keys()
            .chain(before.variables.keys())
            .filter(known)
            .filter(|name| of(self, name) != of(before, name))
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(files: &[(&str, &str)], variables: &[(&str, Option<&str>)], model: &str) -> ResolvedFrom {
        let files = files.iter().map(|(path, digest)| ((*path).to_owned(), (*digest).to_owned()));
        let variables =
            variables.iter().map(|(name, digest)| ((*name).to_owned(), digest.map(str::to_owned)));
        ResolvedFrom::new(files.collect(), variables.collect(), model.to_owned())
    }

    #[test]
    fn only_an_environment_that_alone_makes_another_project_differs() {
        let files = [("compose.yaml", "f1"), (".env", "absent")];
        let before = from(&files, &[("PASSWORD", Some("p1")), ("TAG", None)], "m1");
        let differing = |files: &[(&str, &str)], variables: &[(&str, Option<&str>)], model: &str| {
            from(files, variables, model).differs_by_environment_from(&before)
        };
        let other = [("PASSWORD", Some("p2")), ("TAG", Some("t"))];
        assert_eq!(differing(&files, &other, "m2"), ["PASSWORD", "TAG"]);
        assert_eq!(
            differing(&files, &[("PASSWORD", None), ("TAG", None)], "m2"),
            ["PASSWORD"],
            "it is not set now"
        );
        assert_eq!(differing(&files, &other, "m1"), [""; 0], "nothing comes of it");
        assert_eq!(differing(&files, &[("PASSWORD", Some("p1")), ("TAG", None)], "m2"), [""; 0]);
        for changed in
            [[("compose.yaml", "f2"), (".env", "absent")], [("compose.yaml", "f1"), (".env", "f3")]]
        {
            assert_eq!(differing(&changed, &other, "m2"), [""; 0], "a file has changed, too: {changed:?}");
        }
        let older = ResolvedFrom { form: 0, ..before.clone() };
        assert_eq!(from(&files, &other, "m2").differs_by_environment_from(&older), [""; 0]);
    }

    #[test]
    fn another_choice_of_files_is_the_environments() {
        let before = from(&[("compose.yaml", "f1")], &[("COMPOSE_FILE", None), ("TAG", Some("t"))], "m1");
        let now = from(&[("other.yaml", "f2")], &[("COMPOSE_FILE", Some("c")), ("NEW", Some("n"))], "m2");
        assert_eq!(
            now.differs_by_environment_from(&before),
            ["COMPOSE_FILE"],
            "and TAG and NEW are not known"
        );
    }
}
