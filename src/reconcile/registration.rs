//! Objects that are no longer declared, and objects that are declared again.

use super::ReconcileError;
use crate::{
    api::{
        ConditionType, Incident, IncidentOutcome, ManifestChange, NewRecord, Object, StandingReason, Time,
    },
    decide::failed_status,
    store::Store,
};

/// Records in the trail and the status that the object is no longer managed, and why. Touches no container. Writes nothing
/// if the object's status has that already.
///
/// # Errors
/// If the state folder fails.
pub fn deregister(store: &Store, name: &str, why: &str, now: Time) -> Result<(), ReconcileError> {
    // A row without a valid seal would be skipped, and its incident would never end.
    store.agree_with_trail(name, now)?;
    store.keep_manifest_fault(name, None)?;
    store.forget_declaration(name)?;
    let recorded = store.object(name)?;
    if recorded.as_ref().is_some_and(is_not_managed) {
        return Ok(());
    }
    let removed = ManifestChange::Removed { why: why.to_owned() };
    store.append(&NewRecord::manifest_changed(name, &removed))?;
    if let Some(Incident { id, .. }) = store.current_incident(name)? {
        let stalled = NewRecord::stalled(&StandingReason::NotManaged.into(), why);
        let record = NewRecord { object: Some(name.into()), incident: Some(id.clone()), ..stalled };
        store.end_incident(&id, now, IncidentOutcome::Stalled, None, &record)?;
    }
    if let Some(mut object) = recorded {
        clear_status(&mut object, StandingReason::NotManaged, why, now);
        store.save_object(&object)?;
    }
    Ok(())
}

/// Records in the status that the object is not managed for now: an invalid manifest may declare it. Nothing ends: an
/// incident stays open, and continues once the manifest is fixed. An object that was not managed before stays so.
///
/// # Errors
/// If the state folder fails.
pub fn hold_registration(store: &Store, name: &str, why: &str, now: Time) -> Result<(), ReconcileError> {
    let Some(mut object) = store.object(name)?.filter(|object| !is_not_managed(object)) else {
        return Ok(());
    };
    store.keep_manifest_fault(name, Some(why))?;
    clear_status(&mut object, StandingReason::ManifestInvalid, why, now);
    store.save_object(&object)?;
    Ok(())
}

fn clear_status(object: &mut Object, reason: StandingReason, why: &str, now: Time) {
    let (services, before) = (&object.declared.spec.services, &object.status);
    object.status =
        failed_status(services, Some(before), before.observed_generation, &reason.into(), why, now);
}

/// Records that an object is managed again: otherwise the trail would have steps for an object that it records as gone.
/// Writes nothing for any other object.
///
/// # Errors
/// If the state folder fails.
pub fn register(store: &Store, name: &str, manifest: &str) -> Result<(), ReconcileError> {
    if store.object(name)?.as_ref().is_some_and(is_not_managed) {
        let restored = ManifestChange::Restored { manifest: manifest.to_owned() };
        store.append(&NewRecord::manifest_changed(name, &restored))?;
    }
    Ok(())
}

fn is_not_managed(object: &Object) -> bool {
    let conditions = &object.status.conditions;
    conditions.iter().any(|condition| {
        condition.kind == ConditionType::Ready && condition.reason.is(StandingReason::NotManaged)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::ConditionStatus,
        store::{RecordFilter, testing},
    };

    fn kinds(store: &Store) -> Vec<String> {
        store.records(&RecordFilter::default()).unwrap().into_iter().map(|record| record.kind).collect()
    }

    #[test]
    fn nothing_of_what_nobody_looks_at_is_called_fine_and_its_incident_ends() {
        let (_home, store) = testing::store();
        let object = testing::object();
        let name = object.declared.metadata.name.as_str();
        store.save_object(&object).unwrap();
        testing::incident(&store, name, testing::start(), &json!({}), &json!({}));
        for _ in 0..2 {
            deregister(&store, name, "its manifest is gone", testing::start()).unwrap();
        }
        assert_eq!(kinds(&store), ["ManifestChanged", "Stalled"], "said once");
        assert!(store.current_incident(name).unwrap().is_none());
        let recorded = store.object(name).unwrap().unwrap();
        let services = recorded.status.services.iter().flat_map(|service| &service.conditions);
        for condition in recorded.status.conditions.iter().chain(services) {
            assert_ne!(condition.status, ConditionStatus::True, "{:?}", condition.kind);
            assert_eq!(condition.reason, "NotWatched");
        }
        assert!(object.status.services.iter().any(|service| service.drift.is_some()), "the fixture drifts");
        assert!(recorded.status.services.iter().all(|service| service.drift.is_none()));
        assert!(recorded.status.services.iter().all(|service| service.containers.is_empty()));
    }

    #[test]
    fn nothing_of_what_is_held_is_called_fine_and_its_incident_stays_open() {
        let (_home, store) = testing::store();
        let object = testing::object();
        let name = object.declared.metadata.name.as_str();
        store.save_object(&object).unwrap();
        testing::incident(&store, name, testing::start(), &json!({}), &json!({}));
        hold_registration(&store, name, "a.yaml:1:1: not valid", testing::start()).unwrap();
        assert!(kinds(&store).is_empty());
        assert!(store.current_incident(name).unwrap().is_some());
        let recorded = store.object(name).unwrap().unwrap();
        let ready = recorded.status.conditions.iter().find(|c| c.kind == ConditionType::Ready).unwrap();
        let shown = (ready.status, ready.reason.as_str(), ready.message.as_str());
        assert_eq!(shown, (ConditionStatus::Unknown, "ManifestInvalid", "a.yaml:1:1: not valid"));
        let services = recorded.status.services.iter().flat_map(|service| &service.conditions);
        assert!(
            services.clone().count() > 0 && services.clone().all(|c| c.status == ConditionStatus::Unknown)
        );
        // An object that was not managed before stays so.
        deregister(&store, name, "its manifest is gone", testing::start()).unwrap();
        hold_registration(&store, name, "a.yaml:1:1: not valid", testing::start()).unwrap();
        assert!(is_not_managed(&store.object(name).unwrap().unwrap()));
    }

    #[test]
    fn only_a_registration_after_a_deregistration_is_recorded() {
        let (_home, store) = testing::store();
        let object = testing::object();
        let name = object.declared.metadata.name.as_str();
        register(&store, name, "a.yaml").unwrap();
        store.save_object(&object).unwrap();
        register(&store, name, "a.yaml").unwrap();
        assert!(kinds(&store).is_empty());
        deregister(&store, name, "its manifest is gone", testing::start()).unwrap();
        register(&store, name, "a.yaml").unwrap();
        assert_eq!(kinds(&store), ["ManifestChanged", "ManifestChanged"]);
    }
}
