//! What `check --build` found of images, remembered as if undrift had built those that are the same as a whole.

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        BuildCheck, BuildResult, Cache, Desired, Fact, ProjectObservation, SourceComparison, compare_sources,
        knows_less,
    },
    host::CheckedBuild,
    store::Store,
};

/// The cache's space for [`KeptChecks`]. In the first one (`build-check`) an image that was the same in its modules alone counted as
/// the same.
const CHECKS: &str = "build-check-2";

/// The cache's key of a service's image. By directory and service, too: two services may have one image and two contexts.
pub(super) fn key(desired: &Desired, service: &str, image: &str) -> String {
    format!("{}\n{service}\n{image}", desired.directory.display())
}

/// What `check --build` found of an image, as the cache keeps it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct KeptChecks {
    /// The digest of the source whose build was the same image: the image is as good as built from it.
    pub(super) same_as: Option<String>,
    /// The last answer that was another: it differs, or is the same only in what was compared.
    pub(super) other: Option<BuildCheck>,
}

/// What the cache has of an image.
pub(super) fn kept_checks(cache: &dyn Cache, key: &str) -> KeptChecks {
    cache.get(CHECKS, key).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// The source that an image was built from, of the two that are known: the present one if it is among them, else the one that
/// was compared.
pub(super) fn built_from(
    own: Option<String>,
    same_as: Option<String>,
    now: &Fact<Option<String>>,
) -> Option<String> {
    let is_present = |then: &String| {
        let now = now.known().and_then(Option::as_deref);
        now.is_some_and(|now| compare_sources(then, now) == SourceComparison::Same && !knows_less(then, now))
    };
    own.clone().filter(is_present).or(same_as).or(own)
}

/// Remembers what `check --build` found, as if undrift had built the image where it is the same as a whole. If only the declared
/// modules were compared, that is what is remembered: nothing is known of the source of the other files. Returns whether every
/// answer is remembered that can be.
///
/// It is kept in the cache and not with the images that undrift built: a running undrift writes those.
pub fn remember_checks(store: &Store, desired: &Desired, checked: &[CheckedBuild]) -> bool {
    let mut is_all = true;
    for CheckedBuild { service, image, check } in checked {
        let Some(digest) = check.digest.as_ref().filter(|_| check.is_lasting()) else { continue };
        let key = key(desired, service, image);
        let known = kept_checks(store, &key);
        let is_other = |then: &String| compare_sources(then, digest) != SourceComparison::Same;
        let next = match &check.result {
            BuildResult::Same(by) if by.is_whole() => KeptChecks {
                same_as: Some(digest.clone()),
                other: known.other.filter(|other| other.digest.as_ref().is_some_and(is_other)),
            },
            // It takes nothing from an earlier comparison of the whole.
            BuildResult::Same(_) if !known.same_as.as_ref().is_none_or(is_other) => {
                KeptChecks { other: None, ..known }
            }
            BuildResult::Same(_) => KeptChecks { other: Some(check.clone()), ..known },
            _ => KeptChecks { same_as: known.same_as.filter(is_other), other: Some(check.clone()) },
        };
        if let Ok(text) = serde_json::to_string(&next) {
            store.put(CHECKS, &key, &text);
        }
        is_all &= kept_checks(store, &key) == next;
    }
    is_all
}

/// Adds the answers of this run to the observation, whether they are remembered or not.
pub(super) fn add_checks(observed: &mut ProjectObservation, checked: &[CheckedBuild]) {
    for service in &mut observed.services {
        let image = service.artifact.image.known().and_then(Option::as_ref);
        let of_it = |one: &&CheckedBuild| one.service == service.name && Some(&one.image) == image;
        let Some(CheckedBuild { check, .. }) = checked.iter().find(of_it) else { continue };
        if let (BuildResult::Same(by), Some(digest)) = (&check.result, &check.digest)
            && by.is_whole()
        {
            service.artifact.built_from = Some(digest.clone());
            service.artifact.first_sight = None;
        }
        service.artifact.build_check = Some(check.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            image_knowledge::{add_image_knowledge, learn_from_builds},
            session::{PendingBuild, Session},
        },
        *,
    };
    use crate::{
        api::SourceDrift,
        testing::fixtures::{OLD, at, healthy},
    };

    /// `api` as it is seen, and remembered, where its source has this digest.
    fn seen_of(store: &Store, desired: &Desired, digest: &str) -> crate::api::ArtifactObservation {
        let mut seen = healthy();
        seen.services[0].source.digest = Fact::Known(Some(digest.to_owned()));
        add_image_knowledge(store, desired, &mut seen, at(0)).unwrap();
        seen.services.remove(0).artifact
    }

    fn answer(digest: Option<&str>, result: BuildResult) -> Vec<CheckedBuild> {
        let check =
            BuildCheck { at: at(7), digest: digest.map(str::to_owned), also_built_by: vec![], result };
        vec![CheckedBuild { service: "api".into(), image: crate::testing::fixtures::NEW.into(), check }]
    }

    #[test]
    fn an_image_that_a_build_gave_again_is_known_as_if_undrift_had_built_it() {
        use crate::{api::SameBy, testing::fixtures::desired};
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let (one, two) = ("v1:sha256:1", "v1:sha256:2");
        assert_eq!(seen_of(&store, &desired(), one).built_from, None);
        let same = answer(Some(one), BuildResult::Same(SameBy::Id));
        assert!(remember_checks(&store, &desired(), &same));
        // Also for an undrift that runs meanwhile, and that holds another connection.
        let reader = Store::open(dir.path(), "test".into()).unwrap();
        for digest in [one, two] {
            let seen = seen_of(&reader, &desired(), digest);
            assert_eq!(
                (seen.built_from.as_deref(), seen.first_sight, seen.build_check),
                (Some(one), None, None)
            );
        }
        assert!(store.images().unwrap().is_empty(), "undrift has not built it");
        let mut elsewhere = desired();
        elsewhere.directory = "/srv/elsewhere".into();
        assert_eq!(seen_of(&store, &elsewhere, one).built_from, None);
        // What undrift built itself counts, too, while that is the source.
        let mut session = Session::new(at(0));
        session.builds.push(PendingBuild {
            service: "api".into(),
            digest: two.into(),
            image_before: Some(OLD.into()),
            succeeded: true,
        });
        learn_from_builds(&store, &mut session, &healthy()).unwrap();
        for (digest, from) in [(one, one), (two, two), ("v1:sha256:3", one)] {
            assert_eq!(seen_of(&store, &desired(), digest).built_from.as_deref(), Some(from), "{digest}");
        }
    }

    #[test]
    fn an_image_that_differs_is_remembered_until_it_is_found_to_be_the_same() {
        use crate::{
            api::{BuildDifference, SameBy},
            testing::fixtures::desired,
        };
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let digest = "v1:sha256:1";
        let differs = || answer(Some(digest), BuildResult::Differs(BuildDifference::default()));
        assert!(remember_checks(&store, &desired(), &answer(Some(digest), BuildResult::Same(SameBy::Files))));
        assert!(remember_checks(&store, &desired(), &differs()));
        let seen = seen_of(&store, &desired(), digest);
        assert_eq!((seen.built_from, seen.build_check), (None, Some(differs().remove(0).check)));
        let mut ignoring = desired();
        ignoring.object.spec.source.drift = SourceDrift::Ignore;
        assert_eq!(seen_of(&store, &ignoring, digest).build_check, None);
        // Neither is remembered.
        for result in [BuildResult::Unknown("x".into()), BuildResult::TooLarge("x".into())] {
            assert!(remember_checks(&store, &desired(), &answer(Some(digest), result)));
        }
        assert!(remember_checks(&store, &desired(), &answer(None, BuildResult::Same(SameBy::Id))));
        assert!(seen_of(&store, &desired(), digest).build_check.is_some());
        remember_checks(&store, &desired(), &answer(Some(digest), BuildResult::Same(SameBy::Files)));
        let seen = seen_of(&store, &desired(), digest);
        assert_eq!((seen.built_from.as_deref(), seen.build_check), (Some(digest), None));
        let reader = Store::open_read_only(dir.path()).unwrap().unwrap();
        assert!(!remember_checks(&reader, &desired(), &differs()), "it cannot be written");
    }

    #[test]
    fn an_image_that_is_the_same_in_its_modules_is_not_as_good_as_built_from_that_source() {
        use crate::{
            api::{BuildDifference, SameBy},
            testing::fixtures::desired,
        };
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let (one, two) = ("v1:sha256:1", "v1:sha256:2");
        let modules = |digest| answer(Some(digest), BuildResult::Same(SameBy::Modules));
        let first = seen_of(&store, &desired(), one).first_sight;
        assert!(remember_checks(&store, &desired(), &modules(one)));
        let seen = seen_of(&store, &desired(), one);
        assert_eq!((seen.built_from, seen.build_check), (None, Some(modules(one).remove(0).check)));
        assert_eq!(seen.first_sight, first, "since when it has been there is all that is known of the rest");
        let mut in_its_run = healthy();
        add_checks(&mut in_its_run, &modules(one));
        assert_eq!(in_its_run.services[0].artifact.built_from, healthy().services[0].artifact.built_from);
        assert_eq!(in_its_run.services[0].artifact.first_sight, healthy().services[0].artifact.first_sight);
        // A difference is forgotten for the newer answer, and a comparison of the whole is not.
        let differs = || answer(Some(one), BuildResult::Differs(BuildDifference::default()));
        remember_checks(&store, &desired(), &differs());
        remember_checks(&store, &desired(), &modules(one));
        assert_eq!(seen_of(&store, &desired(), one).build_check, Some(modules(one).remove(0).check));
        remember_checks(&store, &desired(), &answer(Some(one), BuildResult::Same(SameBy::Files)));
        for (digest, other) in [(one, None), (two, Some(modules(two).remove(0).check))] {
            remember_checks(&store, &desired(), &modules(digest));
            let seen = seen_of(&store, &desired(), digest);
            assert_eq!((seen.built_from.as_deref(), seen.build_check), (Some(one), other), "{digest}");
        }
    }

    #[test]
    fn the_answers_of_a_run_are_of_the_image_that_was_compared() {
        use crate::api::SameBy;
        let mut seen = healthy();
        let mut checked = answer(Some("v1:sha256:1"), BuildResult::Same(SameBy::Id));
        add_checks(&mut seen, &checked);
        assert_eq!(seen.services[0].artifact.built_from.as_deref(), Some("v1:sha256:1"));
        assert_eq!(seen.services[0].artifact.build_check, Some(checked[0].check.clone()));
        checked[0].image = OLD.into();
        let mut other = healthy();
        add_checks(&mut other, &checked);
        assert_eq!(other, healthy(), "somebody has built meanwhile");
    }
}
