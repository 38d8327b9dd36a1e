//! Facts about an image that only the store has: the source that it was built from, what `check --build` found of it, or the
//! source at its first sight.

use serde::{Deserialize, Serialize};

use super::{
    remembered_checks::{built_from, kept_checks, key},
    session::{PendingBuild, Session},
};
use crate::{
    api::{
        Cache, Desired, Fact, FirstSight, Presence, ProjectObservation, SourceComparison, SourceDrift,
        SourceObservation, Time, built_between, compare_sources, knows_less,
    },
    store::{ImageKnowledge, Store, StoreError},
};

/// The cache's space for [`FirstSight`]s.
const SIGHTS: &str = "first-sight";

/// Adds to the observation the facts about an image that only the store has: the source that it was built from, or else the
/// source when the image was first seen; and in what it differs from a build of the present source.
pub(super) fn add_image_knowledge(
    store: &Store,
    desired: &Desired,
    observed: &mut ProjectObservation,
    now: Time,
) -> Result<(), StoreError> {
    for service in &mut observed.services {
        let Some(Some(id)) = service.artifact.image.known() else { continue };
        let key = key(desired, &service.name, id);
        let checks = kept_checks(store, &key);
        let own = store.image(id)?.and_then(|image| image.source_digest);
        service.artifact.built_from = built_from(own, checks.same_as, &service.source.digest);
        let is_shown = desired.object.spec.source.drift != SourceDrift::Ignore;
        service.artifact.build_check = checks.other.filter(|_| is_shown);
        // An image that undrift built before it knew of the builds below it is no evidence about those.
        let digest = service.source.digest.known().and_then(Option::as_deref);
        let built_from = service.artifact.built_from.as_deref();
        if built_from.is_none_or(|then| digest.is_some_and(|digest| knows_less(then, digest))) {
            service.artifact.first_sight = first_sight(store, &key, &service.source, now);
        }
    }
    Ok(())
}

/// A first sight as the cache keeps it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptSight {
    #[serde(flatten)]
    sight: FirstSight,
    /// The digest of the context at `changed_at`; `None` from an earlier undrift, which did not keep it.
    changed_to: Option<String>,
}

/// The record of the image's first sight after this observation. Each observation updates it, including that of `check`.
fn first_sight(cache: &dyn Cache, key: &str, source: &SourceObservation, now: Time) -> Option<FirstSight> {
    let known: Option<KeptSight> = cache.get(SIGHTS, key).and_then(|text| serde_json::from_str(&text).ok());
    let digest = match &source.digest {
        Fact::Known(None) => return None,
        // The present source is not known; the image is still older than any later one.
        Fact::Unknown(_) => return known.map(|known| known.sight),
        Fact::Known(Some(digest)) => digest,
    };
    let fresh = || FirstSight { digest: digest.clone(), at: now, changed_at: None };
    let compared = known.as_ref().map(|known| (known, compare_sources(&known.sight.digest, digest)));
    let sight = match compared {
        // From now on the images below it count, too.
        Some((known, SourceComparison::Same)) if knows_less(&known.sight.digest, digest) => fresh(),
        Some((known, SourceComparison::Same)) => FirstSight { changed_at: None, ..known.sight.clone() },
        Some((known, SourceComparison::Changed)) => {
            let is_same = |then: &String| compare_sources(then, digest) == SourceComparison::Same;
            let is_known = known.changed_to.as_ref().is_none_or(is_same);
            let changed_at = known.sight.changed_at.filter(|_| is_known).or(Some(now));
            FirstSight { changed_at, ..known.sight.clone() }
        }
        // A source that lacks something declared is in the middle of an edit; anything that returns was there before.
        _ if !is_whole(source) => return None,
        // Another rule gives other digests of the same source: the earlier source is unknown.
        _ => fresh(),
    };
    let changed_to = sight.changed_at.map(|_| digest.clone());
    let next = KeptSight { sight, changed_to };
    if known.as_ref() != Some(&next)
        && let Ok(text) = serde_json::to_string(&next)
    {
        cache.put(SIGHTS, key, &text);
    }
    Some(next.sight)
}

fn is_whole(source: &SourceObservation) -> bool {
    source.modules.iter().flatten().all(|module| *module == Fact::Known(Presence::Present))
}

/// Remembers the sources of the images whose builds just ended.
///
/// An image comes from a source only if that was the same before and after the build: if it changed meanwhile, nobody knows what
/// the build read, and the build is torn. A service that is not visible now may be next time, and a source that cannot be read
/// may be read then. Of two builds in one command one may fail although the other's tag has moved: an image that differs from
/// before was built.
pub(super) fn learn_from_builds(
    store: &Store,
    session: &mut Session,
    observed: &ProjectObservation,
) -> Result<(), StoreError> {
    for build in &session.builds {
        let Some(seen) = observed.service(&build.service) else { continue };
        let Some(Some(id)) = seen.artifact.image.known() else { continue };
        let Fact::Known(now) = &seen.source.digest else { continue };
        let was_built = build.succeeded || build.image_before.as_ref() != Some(id);
        if was_built {
            let known = store.image(id)?;
            store.save_image(&ImageKnowledge {
                id: id.clone(),
                reference: seen.artifact.reference.clone(),
                source_digest: now.as_deref().map(|now| built_between(&build.digest, now)),
                built_by_undrift: true,
                last_good_at: known.and_then(|image| image.last_good_at),
            })?;
        }
    }
    let is_unknown = |build: &PendingBuild| {
        let seen = observed.service(&build.service);
        seen.is_some_and(|seen| seen.artifact.image.known().is_none() || seen.source.digest.known().is_none())
    };
    session.builds.retain(is_unknown);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::is_torn,
        testing::fixtures::{OLD, at, healthy},
    };

    fn built(digest: &str) -> PendingBuild {
        let (service, image_before) = ("api".to_owned(), Some(OLD.to_owned()));
        PendingBuild { service, digest: digest.to_owned(), image_before, succeeded: true }
    }

    #[test]
    fn an_image_comes_from_a_source_that_was_the_same_before_and_after_its_build() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let mut session = Session::new(at(0));
        session.builds.push(built("sha256:source-2"));
        let mut seen = healthy();
        let image =
            std::mem::replace(&mut seen.services[0].artifact.image, Fact::unknown("the engine is busy"));
        learn_from_builds(&store, &mut session, &seen).unwrap();
        assert!(store.images().unwrap().is_empty());

        // Neither an outage nor a person's request resets it.
        let mut session = session.restart(at(1));
        seen.services[0].artifact.image = image;
        let source = std::mem::replace(&mut seen.services[0].source.digest, Fact::unknown("no right"));
        learn_from_builds(&store, &mut session, &seen).unwrap();
        assert!(store.images().unwrap().is_empty(), "it may have changed");
        seen.services[0].source.digest = source;
        learn_from_builds(&store, &mut session, &seen).unwrap();
        let known = store.images().unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].source_digest.as_deref(), Some("sha256:source-2"));
        assert!(known[0].built_by_undrift && session.builds.is_empty());
    }

    #[test]
    fn an_image_whose_source_changed_during_its_build_comes_from_neither() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let mut session = Session::new(at(0));
        session.builds.push(built("sha256:before"));
        learn_from_builds(&store, &mut session, &healthy()).unwrap();
        let known = store.images().unwrap();
        let torn = known[0].source_digest.as_deref().unwrap();
        assert!(is_torn(torn), "{torn}");
        for source in ["sha256:before", "sha256:source-2"] {
            assert_eq!(compare_sources(torn, source), SourceComparison::Changed, "{source}");
        }
        assert!(known[0].built_by_undrift && session.builds.is_empty());
    }

    #[test]
    fn first_sight_of_an_image_is_kept_and_a_source_that_goes_back_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let source = |digest| SourceObservation {
            modules: vec![],
            digest,
            unreadable: None,
            expansions: vec![],
            git_lock: None,
        };
        let sight = |digest: &str, seconds| {
            let source = source(Fact::Known(Some(digest.to_owned())));
            first_sight(&store, "a", &source, at(seconds)).unwrap()
        };
        let first = |changed_at| FirstSight { digest: "v1:sha256:1".into(), at: at(0), changed_at };
        assert_eq!(sight("v1:sha256:1", 0), first(None));
        assert_eq!(sight("v1:sha256:1", 5), first(None));
        assert_eq!(sight("v1:sha256:2", 10), first(Some(at(10))));
        assert_eq!(sight("v1:sha256:2", 15), first(Some(at(10))), "since when it has been this other one");
        let unknown = first_sight(&store, "a", &source(Fact::unknown("no right")), at(16));
        assert_eq!(unknown, Some(first(Some(at(10)))), "what cannot be read changes nothing");
        assert_eq!(sight("v1:sha256:2", 17), first(Some(at(10))));
        // A fix, and then another edit: the first one is no part of what differs now.
        assert_eq!(sight("v1:sha256:3", 20), first(Some(at(20))));
        assert_eq!(sight("v1:sha256:3", 25), first(Some(at(20))));
        assert_eq!(sight("v1:sha256:1", 30), first(None));
        assert_eq!(sight("v1:sha256:2", 40), first(Some(at(40))));
        // Another version of undrift digests by another rule, and starts again.
        let fresh = FirstSight { digest: "v2:sha256:2".into(), at: at(50), changed_at: None };
        assert_eq!(sight("v2:sha256:2", 50), fresh);
        // The image below it is known for the first time: from now on it counts.
        let on = |bases: &str| crate::api::on_bases("v2:sha256:2", bases);
        let below = FirstSight { digest: on("a"), at: at(52), changed_at: None };
        assert_eq!(sight(&on("a"), 52), below);
        assert_eq!(sight(&on("b"), 54), FirstSight { changed_at: Some(at(54)), ..below.clone() });
        assert_eq!(sight(&on("a"), 56), below);
        assert_eq!(first_sight(&store, "b", &source(Fact::Known(None)), at(60)), None, "nothing to build");
        assert_eq!(first_sight(&store, "b", &source(Fact::unknown("no right")), at(60)), None, "never seen");
        let lacks = SourceObservation {
            modules: vec![None, Some(Fact::Known(Presence::Missing))],
            digest: Fact::Known(Some("v2:sha256:1".into())),
            unreadable: None,
            expansions: vec![],
            git_lock: None,
        };
        assert_eq!(first_sight(&store, "b", &lacks, at(70)), None, "it is not the source that is declared");
    }

    #[test]
    fn services_of_one_image_have_a_first_sight_each_and_what_undrift_built_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let look = |second_source: &str| {
            let mut seen = healthy();
            seen.services[1].source.digest = Fact::Known(Some(second_source.to_owned()));
            add_image_knowledge(&store, &crate::testing::fixtures::desired(), &mut seen, at(0)).unwrap();
            seen.services.into_iter().map(|s| s.artifact.first_sight.map(|s| (s.digest, s.changed_at)))
        };
        let sights: Vec<_> = look("sha256:other").flatten().collect();
        assert_eq!(sights, [("sha256:source-2".into(), None), ("sha256:other".into(), None)]);
        let sights: Vec<_> = look("sha256:new").flatten().collect();
        assert_eq!(sights[1], ("sha256:other".into(), Some(at(0))));
        let mut session = Session::new(at(0));
        session.builds.push(built("sha256:before"));
        learn_from_builds(&store, &mut session, &healthy()).unwrap();
        assert_eq!(look("sha256:new").flatten().count(), 0, "one image, which undrift has built");
    }

    #[test]
    fn a_build_that_the_state_cannot_store_stays_in_the_session() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), "test".into()).unwrap());
        let read_only = Store::open_read_only(dir.path()).unwrap().unwrap();
        let mut session = Session::new(at(0));
        session.builds.push(built("sha256:before"));
        learn_from_builds(&read_only, &mut session, &healthy()).unwrap_err();
        assert_eq!(session.builds.len(), 1);
    }
}
