//! One observation of an object, with what each `each` of it gives at that moment.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    api::{Desired, EachQuery, Entries, Expansion, Fact, ModuleSpec, Presence, ProjectObservation},
    host::{Host, HostError},
};

/// How many observations in a row may be of entries that changed meanwhile.
const MOST_UNSETTLED: usize = 3;

/// What was listed for each query.
type Listing = BTreeMap<EachQuery, Expansion>;

/// The object with what each `each` of it gives now.
pub(super) async fn expanded<'d, H: Host>(host: &H, desired: &'d Desired) -> Cow<'d, Desired> {
    let queries = desired.each_queries();
    if queries.is_empty() {
        return Cow::Borrowed(desired);
    }
    Cow::Owned(desired.expanded_by(&host.entries(desired, queries).await))
}

/// Observes the object, expanded.
///
/// An entry of an `each` that goes during the observation would look like a module that is missing in the source. So the entries are
/// listed again after it. If they are others, or if one was away in between, the observation is made again. Of a folder that never
/// keeps still nothing is known.
///
/// # Errors
/// If the host cannot be observed.
pub(super) async fn observe<'d, H: Host>(
    host: &H,
    desired: &'d Desired,
) -> Result<(Cow<'d, Desired>, ProjectObservation), HostError> {
    let queries = desired.each_queries();
    if queries.is_empty() {
        return Ok((Cow::Borrowed(desired), host.observe(desired).await?));
    }
    let mut listed = host.entries(desired, queries.clone()).await;
    let mut settled = listed.clone();
    for _ in 0..MOST_UNSETTLED {
        let expanded = desired.expanded_by(&listed);
        let observed = host.observe(&expanded).await?;
        let after = host.entries(desired, queries.clone()).await;
        if after == listed && !lacks_an_entry(desired, &expanded, &observed) {
            return Ok((Cow::Owned(expanded), observed));
        }
        tracing::debug!(object = desired.name(), "entries of an `each` changed during the observation");
        settled = only_settled(&listed, after.clone());
        listed = after;
    }
    let expanded = desired.expanded_by(&settled);
    let observed = host.observe(&expanded).await?;
    Ok((Cow::Owned(expanded), observed))
}

/// Whether the source had no such module when the observation looked for an entry.
fn lacks_an_entry(desired: &Desired, expanded: &Desired, observed: &ProjectObservation) -> bool {
    let services = desired.object.spec.services.iter().zip(expanded.services());
    let mut found =
        services.filter_map(|(declared, spec)| Some((declared, spec, observed.service(&spec.name)?)));
    found.any(|(declared, spec, seen)| {
        let is_declared = |module: &ModuleSpec| declared.modules.contains(module);
        let mut modules = spec.modules.iter().zip(&seen.source.modules);
        modules.any(|(module, presence)| {
            let is_away = matches!(presence, Some(Fact::Known(Presence::Missing | Presence::WrongType)));
            is_away && !is_declared(module)
        })
    })
}

/// The listing after an observation, without what was another one before it; nothing, if an entry was away in between.
fn only_settled(before: &Listing, after: Listing) -> Listing {
    let is_equal = *before == after;
    let settled = after.into_iter().map(|(query, expansion)| {
        if !is_equal && before.get(&query) == Some(&expansion) {
            return (query, expansion);
        }
        let Expansion { each, ignored, .. } = expansion;
        let why = format!(
            "the entries of `each: {each}` changed during {MOST_UNSETTLED} observations in a row: something writes there all the time"
        );
        (query, Expansion { each, entries: Entries::Unknown(why), ignored })
    });
    settled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        fake::{FakeHost, World},
        fixtures::desired,
    };

    fn with_each() -> Desired {
        let mut desired = desired();
        let module = &mut desired.object.spec.services[0].modules[0];
        (module.each, module.name, module.source) = (Some("api/src/*".into()), None, None);
        module.path = "/app/dist/{name}".into();
        desired
    }

    /// Observes while the folder holds these entries, one listing after the other; returns the modules and the listing.
    async fn observed(world: World, listings: &[&[&str]]) -> (Vec<String>, Entries, usize) {
        let desired = with_each();
        let query = desired.each_queries().pop_first().unwrap();
        let listing = |names: &&[&str]| {
            let entries = Entries::Found(names.iter().map(|name| (*name).to_owned()).collect());
            let expansion = Expansion { each: query.each.clone(), entries, ignored: Vec::new() };
            BTreeMap::from([(query.clone(), expansion)])
        };
        let host = FakeHost::new(world);
        *host.listings.lock().unwrap() = listings.iter().map(listing).collect();
        let (expanded, _) = observe(&host, &desired).await.unwrap();
        let api = &expanded.services()[0];
        let modules = api.modules.iter().map(|module| module.display_name().to_owned()).collect();
        let left = host.listings.lock().unwrap().len();
        (modules, expanded.expansions("api")[0].entries.clone(), left)
    }

    #[tokio::test]
    async fn an_entry_that_goes_during_the_observation_is_no_module_of_it() {
        let found = |names: &[&str]| Entries::Found(names.iter().map(|name| (*name).to_owned()).collect());
        for listings in [[&["a"][..], &["a"], &["a"]], [&["a", "b"], &["a"], &["a"]], [&[], &["a"], &["a"]]] {
            let (modules, entries, _) = observed(World::incident(), &listings).await;
            assert_eq!((modules, entries), (vec!["a".to_owned()], found(&["a"])), "{listings:?}");
        }
        let (_, _, left) = observed(World::incident(), &[&["a"], &["a"], &["never asked for"]]).await;
        assert_eq!(left, 1, "what keeps still is observed once");
    }

    #[tokio::test]
    async fn a_folder_that_never_keeps_still_is_not_known() {
        let (modules, entries, _) =
            observed(World::incident(), &[&["a"], &["b"], &["c"], &["d"], &["e"]]).await;
        assert_eq!(modules, [""; 0]);
        assert!(matches!(&entries, Entries::Unknown(why) if why.contains("api/src/*")), "{entries:?}");
    }

    #[tokio::test]
    async fn an_entry_that_is_away_while_it_is_looked_for_is_not_known_to_be_missing() {
        let world = World { module_in_source: false, ..World::incident() };
        let (_, entries, _) = observed(world, &[&["a"]]).await;
        assert!(matches!(&entries, Entries::Unknown(_)), "{entries:?}");
    }
}
