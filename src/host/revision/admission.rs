//! What of a text at the place of a revision may be kept: what has the form of one, and is no secret.

use crate::{
    api::{RevisionFact, is_revision},
    host::redact::Redactor,
};

/// The text as a revision, as far as these secrets decide. `name` is what it is called where it was found.
pub(super) fn admitted(known: &Redactor, name: &str, text: &str) -> RevisionFact {
    let text = text.trim();
    if text.is_empty() {
        return RevisionFact::Missing(format!("{name} is empty"));
    }
    if !is_revision(text) {
        return RevisionFact::NotARevision(format!(
            "{name} has not the form of a revision (at most 128 letters, digits and `._+/-`), and is not kept"
        ));
    }
    // As programs write it: the name beside it may be a secret's.
    let lines = [text.to_owned(), format!("{name}: {text}"), format!("{name}={text}")];
    if lines.iter().any(|line| known.message(line) != *line) {
        return RevisionFact::NotARevision(format!("{name} may be a secret, and is not kept"));
    }
    RevisionFact::Known(text.to_owned())
}

/// The same for a text that is not the expected revision, while not all secrets are known.
pub(super) fn withheld(name: &str) -> RevisionFact {
    RevisionFact::NotARevision(format!(
        "{name} may be a secret, for not all secrets of the project can be read, and is not kept"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_kept_under_the_names_that_people_give_it() {
        let known = Redactor::default();
        for name in [
            "org.opencontainers.image.revision",
            "org.label-schema.vcs-ref",
            "GIT_SHA",
            "GIT_COMMIT",
            "COMMIT_HASH",
            "SOURCE_VERSION",
            "X-Revision",
            "commit",
            "/app/REVISION",
        ] {
            for text in
                ["4f6d1c0a9b8e7d6c5b4a39281706f5e4d3c2b1a0", "1.4.2", "4f6d1c0-dirty", "v2.0.0-rc.1+5"]
            {
                let found = admitted(&known, name, &format!(" {text}\n"));
                assert_eq!(found, RevisionFact::Known(text.into()), "{name}");
            }
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_kept_in_any_word() {
        let known = Redactor::default().with_secrets(["hunter2-long".to_owned()]);
        for (name, text) in [
            ("commit", "hunter2-long"),
            ("commit", "x.hunter2-long.y"),
            ("API_TOKEN", "s3cr3t-value"),
            ("X-Auth-Token", "s3cr3t-value"),
            ("password", "s3cr3t-value"),
            ("commit", "s3cr3t value"),
            ("commit", "{\"token\":\"s3cr3t\"}"),
            ("commit", &"s3cr3t".repeat(30)),
        ] {
            let found = format!("{:?}", admitted(&known, name, text));
            assert!(found.starts_with("NotARevision"), "{name}: {found}");
            assert!(!found.contains("s3cr3t") && !found.contains("hunter2"), "{found}");
        }
        assert!(matches!(admitted(&known, "GIT_SHA", " \n"), RevisionFact::Missing(_)));
    }
}
