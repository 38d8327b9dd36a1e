//! What `check --build` finds: how a build of a service's source as it is now compares with the image behind its reference.

use serde::{Deserialize, Serialize};

use super::{ContentComparison, Fact, MOST_NAMED, SourceComparison, Time, compare_sources};

/// The answer about one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildCheck {
    /// When the build ended.
    pub at: Time,
    /// The digest of the source that was built; `None` if no digest covers it. Such an answer holds for its own run only.
    pub digest: Option<String>,
    /// Other services, of profiles that are not enabled, whose builds write the same reference and are others. Which of them an
    /// image is of changes with each build, so that the answer holds for its own run only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_built_by: Vec<String>,
    /// What came of it.
    pub result: BuildResult,
}

/// How a build compares with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildResult {
    /// The two are the same.
    Same(SameBy),
    /// They differ.
    Differs(BuildDifference),
    /// There are more files than are compared; which, in words. It holds for its own run only, like the next one.
    TooLarge(String),
    /// That is not known; why, as a sentence fragment.
    Unknown(String),
}

/// By what two images are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SameBy {
    /// Both have one ID.
    Id,
    /// The configuration, and every file.
    Files,
    /// The configuration, and every file of the declared modules. Nothing is known of the other files.
    Modules,
}

impl SameBy {
    /// Whether the two are the same as a whole. Only then the image is as good as built from that source.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Id | Self::Files)
    }
}

/// In what an image differs from the one that was built. No value is in it, and no content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDifference {
    /// How many settings of the configuration differ.
    pub settings: usize,
    /// The first [`MOST_NAMED`] of them, by name: `environment MODE`, `label a`, `command`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// How its files compare with those of the build; the paths are those in the image.
    pub files: ContentComparison,
}

impl BuildCheck {
    /// Whether the answer is about the source as it is now.
    #[must_use]
    pub fn is_of(&self, now: &Fact<Option<String>>) -> bool {
        match (&self.digest, now) {
            (None, _) => true,
            (Some(then), Fact::Known(Some(now))) => compare_sources(then, now) == SourceComparison::Same,
            _ => false,
        }
    }

    /// Whether it holds after its own run.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        let is_answer = matches!(self.result, BuildResult::Same(_) | BuildResult::Differs(_));
        is_answer && self.digest.is_some() && self.also_built_by.is_empty()
    }

    /// The answer about this reference in a sentence.
    #[must_use]
    pub fn in_words(&self, reference: &str) -> String {
        let result = self.result_in_words(reference);
        match &self.also_built_by[..] {
            [] => result,
            others => format!(
                "{result}; the builds of {} write {reference}, too, and are others, so that this is not remembered",
                others.join(", ")
            ),
        }
    }

    fn result_in_words(&self, reference: &str) -> String {
        let at = self.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let how = format!("(check --build, at {at})");
        match &self.result {
            BuildResult::Same(SameBy::Modules) => format!(
                "a build of the source as it is now gives the same as {reference}, as far as they were compared {how}: the same \
                 configuration, and the same files in the declared modules"
            ),
            BuildResult::Same(by) => {
                let by = if *by == SameBy::Id { "the same ID" } else { "the same configuration and files" };
                format!("a build of the source as it is now gives the same image as {reference} {how}: {by}")
            }
            BuildResult::Differs(difference) => format!(
                "a build of the source as it is now gives another image than {reference} {how}: {}",
                difference.in_words()
            ),
            BuildResult::TooLarge(why) | BuildResult::Unknown(why) => format!(
                "whether a build of the source as it is now gives the image {reference} is not known {how}: {why}"
            ),
        }
    }
}

impl BuildDifference {
    /// Whether there is none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.settings == 0 && self.files.is_same()
    }

    fn in_words(&self) -> String {
        let more = self.settings.saturating_sub(self.named.len().min(MOST_NAMED));
        let mut named: Vec<String> = self.named.iter().take(MOST_NAMED).cloned().collect();
        named.extend((more > 0).then(|| format!("{more} more")));
        let settings =
            (self.settings > 0).then(|| format!("its configuration differs ({})", named.join(", ")));
        let files = (!self.files.is_same()).then(|| format!("of its files {}", self.files.in_words()));
        settings.into_iter().chain(files).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: BuildResult) -> BuildCheck {
        let at = chrono::DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        BuildCheck { at, digest: Some("v1:sha256:1".into()), also_built_by: vec![], result }
    }

    #[test]
    fn a_difference_names_three_settings_and_three_files_at_most() {
        let named = ["command", "environment A", "label b"].map(str::to_owned).to_vec();
        let files = ContentComparison {
            differing: 2,
            named: vec!["/app/a".into(), "/app/b".into()],
            ..ContentComparison::default()
        };
        let difference = BuildDifference { settings: 5, named, files };
        assert_eq!(
            check(BuildResult::Differs(difference)).in_words("shop-api"),
            "a build of the source as it is now gives another image than shop-api (check --build, at 2026-01-01T00:00:00Z): its \
             configuration differs (command, environment A, label b, 2 more); of its files 2 differ (/app/a, /app/b)"
        );
        let one = BuildDifference { settings: 1, named: vec!["user".into()], ..BuildDifference::default() };
        assert_eq!(one.in_words(), "its configuration differs (user)");
        assert!(!one.is_none() && BuildDifference::default().is_none());
    }

    #[test]
    fn only_what_was_compared_is_the_same() {
        let words = |by| check(BuildResult::Same(by)).in_words("shop-api");
        assert!(words(SameBy::Files).contains("gives the same image as shop-api"));
        let modules = words(SameBy::Modules);
        assert!(
            !modules.contains("the same image") && modules.contains("as far as they were compared"),
            "{modules}"
        );
        assert!(SameBy::Id.is_whole() && SameBy::Files.is_whole() && !SameBy::Modules.is_whole());
    }

    #[test]
    fn an_answer_about_a_reference_that_other_builds_write_too_says_so_and_does_not_last() {
        let one = check(BuildResult::Same(SameBy::Id));
        assert!(one.is_lasting() && !one.in_words("shop").contains("too"));
        let shared = BuildCheck { also_built_by: vec!["jobs".into(), "web".into()], ..one };
        assert!(!shared.is_lasting());
        let words = shared.in_words("shop");
        assert!(words.contains("the builds of jobs, web write shop, too"), "{words}");
    }

    #[test]
    fn an_answer_holds_while_the_source_is_what_was_built() {
        let check = check(BuildResult::Same(SameBy::Id));
        let known = |digest: &str| Fact::Known(Some(digest.to_owned()));
        assert!(check.is_of(&known("v1:sha256:1")));
        for other in [known("v1:sha256:2"), known("v2:sha256:1"), Fact::Known(None), Fact::unknown("x")] {
            assert!(!check.is_of(&other), "{other:?}");
        }
        assert!(BuildCheck { digest: None, ..check }.is_of(&Fact::Known(None)), "in its own run");
    }
}
