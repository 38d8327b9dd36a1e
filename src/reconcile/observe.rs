//! One observation of an object, with what each `each` of it gives at that moment.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    api::{
        Desired, EachQuery, Entries, Expansion, Fact, ModuleSpec, Presence, ProjectObservation, ServiceSpec,
    },
    host::{Host, HostError},
};

/// How many observations in a row may be of entries that changed meanwhile. What changes during each further one is given up.
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
/// keeps still nothing is known; the other folders are observed as ever.
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
    let mut given_up: BTreeSet<EachQuery> = BTreeSet::new();
    let mut listed = host.entries(desired, queries.clone()).await;
    // It ends: each round beyond the limit gives up at least one more query.
    for round in 1.. {
        let expanded = desired.expanded_by(&listed);
        let observed = host.observe(&expanded).await?;
        let after = without(&given_up, host.entries(desired, queries.clone()).await);
        let mut unsettled = changed(&listed, &after);
        unsettled.extend(with_an_entry_away(desired, &listed, &expanded, &observed));
        if unsettled.is_empty() {
            return Ok((Cow::Owned(expanded), observed));
        }
        tracing::debug!(object = desired.name(), "entries of an `each` changed during the observation");
        if round >= MOST_UNSETTLED {
            given_up.extend(unsettled);
        }
        listed = without(&given_up, after);
    }
    unreachable!("the rounds have no end of their own")
}

/// The queries that have another listing after the observation.
fn changed(before: &Listing, after: &Listing) -> BTreeSet<EachQuery> {
    let queries = before.keys().chain(after.keys());
    queries.filter(|query| before.get(query) != after.get(query)).cloned().collect()
}

/// The queries with an entry for which the source had no such module when the observation looked for it.
fn with_an_entry_away(
    desired: &Desired,
    listed: &Listing,
    expanded: &Desired,
    observed: &ProjectObservation,
) -> Vec<EachQuery> {
    let mut queries = Vec::new();
    for (declared, spec) in desired.object.spec.services.iter().zip(expanded.services()) {
        let seen =
            observed.service(&spec.name).map(|seen| seen.source.modules.as_slice()).unwrap_or_default();
        let is_away = |presence: &Option<Fact<Presence>>| {
            matches!(presence, Some(Fact::Known(Presence::Missing | Presence::WrongType)))
        };
        let away = spec.modules.iter().zip(seen).filter(|(_, presence)| is_away(presence));
        let away: Vec<&ModuleSpec> =
            away.map(|(module, _)| module).filter(|module| !declared.modules.contains(module)).collect();
        if !away.is_empty() {
            let of_query = |query: &&EachQuery| gives_one_of(&away, declared, query, &listed[*query]);
            queries.extend(listed.keys().filter(of_query).cloned());
        }
    }
    queries
}

/// Whether the query gives one of these modules.
fn gives_one_of(
    modules: &[&ModuleSpec],
    declared: &ServiceSpec,
    query: &EachQuery,
    listed: &Expansion,
) -> bool {
    let own = declared.expanded(|other| if other == query { listed.entries.found() } else { &[] });
    let is_at = |one: &ModuleSpec, path: &str| one.path == path;
    own.modules.iter().any(|given| {
        !declared.modules.contains(given) && modules.iter().any(|module| is_at(module, &given.path))
    })
}

/// The listing in which nothing is known of these queries.
fn without(given_up: &BTreeSet<EachQuery>, listed: Listing) -> Listing {
    let known = listed.into_iter().map(|(query, expansion)| {
        if !given_up.contains(&query) {
            return (query, expansion);
        }
        let Expansion { each, ignored, .. } = expansion;
        let why = format!(
            "the entries of `each: {each}` changed during {MOST_UNSETTLED} observations in a row: something writes there all the time"
        );
        (query, Expansion { each, entries: Entries::Unknown(why), ignored })
    });
    known.collect()
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
    async fn of_a_folder_that_keeps_still_all_is_known_whatever_another_one_does() {
        let mut desired = with_each();
        let second = ModuleSpec {
            each: Some("api/more/*".into()),
            path: "/app/more/{name}".into(),
            ..desired.object.spec.services[0].modules[0].clone()
        };
        desired.object.spec.services[0].modules.push(second);
        let listing = |names: &[&str]| {
            let of = |query: EachQuery| {
                let names = if query.each == "api/more/*" { names } else { &["still"] };
                let entries = Entries::Found(names.iter().map(|name| (*name).to_owned()).collect());
                let expansion = Expansion { each: query.each.clone(), entries, ignored: Vec::new() };
                (query, expansion)
            };
            desired.each_queries().into_iter().map(of).collect::<Listing>()
        };
        let host = FakeHost::new(World::incident());
        // The last one: the folder changes also during the observation after which it is given up.
        let listings = [&["a"][..], &["b"], &["c"], &["d"], &["e"]];
        *host.listings.lock().unwrap() = listings.into_iter().map(listing).collect();
        let (expanded, _) = observe(&host, &desired).await.unwrap();
        let names = expanded.services()[0].modules.iter().map(|module| module.display_name().to_owned());
        assert_eq!(names.collect::<Vec<_>>(), ["still"]);
        let known = expanded.expansions("api").iter().map(|e| matches!(e.entries, Entries::Found(_)));
        assert_eq!(known.collect::<Vec<_>>(), [true, false]);
    }

    #[tokio::test]
    async fn an_entry_that_is_away_while_it_is_looked_for_is_not_known_to_be_missing() {
        let world = World { module_in_source: false, ..World::incident() };
        let (_, entries, _) = observed(world, &[&["a"]]).await;
        assert!(matches!(&entries, Entries::Unknown(_)), "{entries:?}");
    }
}
