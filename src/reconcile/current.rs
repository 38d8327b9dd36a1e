//! A recorded object with the changes known since its last observation.

use crate::{
    api::{Condition, ConditionStatus, ConditionType, Object, StandingReason, Suspension, Time},
    decide::{AS_DECLARED, with_fault},
    store::{ManifestFault, Store, StoreError},
};

/// A recorded object with the changes known since its last observation.
#[derive(Debug, Clone)]
pub struct CurrentObject {
    /// The object.
    pub object: Object,
    /// The fault of its manifest on disk, if that one is not in effect.
    pub fault: Option<ManifestFault>,
}

/// The recorded objects, by name, with their suspensions and the faults of their manifests at this time.
///
/// # Errors
/// If the state cannot be read.
pub fn current_objects(store: &Store, now: Time) -> Result<Vec<CurrentObject>, StoreError> {
    let mut faults = store.manifest_faults()?;
    let objects = store.objects()?.into_iter();
    let objects = objects.map(|object| {
        let name = &object.declared.metadata.name;
        let suspension = store.suspension(name)?.filter(|suspension| !suspension.has_passed(now));
        let fault = faults.remove(name);
        Ok(current(object, suspension, fault))
    });
    objects.collect()
}

fn current(
    mut object: Object,
    suspension: Option<Suspension>,
    fault: Option<ManifestFault>,
) -> CurrentObject {
    apply_suspension(&mut object, suspension);
    apply_fault(&mut object, fault.as_ref());
    CurrentObject { object, fault }
}

/// A person's instruction holds from when it was given, not from the next observation.
fn apply_suspension(object: &mut Object, suspension: Option<Suspension>) {
    let by_spec = object.declared.spec.reconcile.suspend;
    let reconciling = condition(object, ConditionType::Reconciling);
    match (&suspension, reconciling) {
        (Some(suspension), Some(reconciling)) => {
            if reconciling.status != ConditionStatus::False {
                reconciling.last_transition_time = suspension.since;
            }
            reconciling.status = ConditionStatus::False;
            reconciling.reason = StandingReason::Suspended.into();
            reconciling.message = suspension.in_words();
        }
        (None, Some(reconciling)) if reconciling.reason.is(StandingReason::Suspended) && !by_spec => {
            reconciling.reason = StandingReason::Idle.into();
            reconciling.message.clear();
        }
        _ => {}
    }
    object.status.suspension = suspension;
}

/// The same goes for a fault of the manifest, and for its end.
fn apply_fault(object: &mut Object, fault: Option<&ManifestFault>) {
    let Some(ready) = condition(object, ConditionType::Ready) else { return };
    let is_true = ready.status == ConditionStatus::True;
    match fault {
        Some(fault) => {
            if is_true {
                ready.reason = StandingReason::ManifestInvalid.into();
            }
            if !ready.message.contains(&fault.fault) {
                ready.message = with_fault(&ready.message, &fault.fault);
            }
        }
        None if is_true && ready.reason.is(StandingReason::ManifestInvalid) => {
            ready.reason = StandingReason::AsDeclared.into();
            AS_DECLARED.clone_into(&mut ready.message);
        }
        None => {}
    }
}

fn condition(object: &mut Object, kind: ConditionType) -> Option<&mut Condition> {
    object.status.conditions.iter_mut().find(|condition| condition.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn a_suspension_or_fault_since_the_last_look_is_in_the_object_at_once() {
        let (mut object, now) = (testing::object(), testing::start());
        let ready = &mut object.status.conditions[0];
        (ready.status, ready.reason, ready.message) =
            (ConditionStatus::True, "AsDeclared".into(), AS_DECLARED.into());
        let suspension =
            Suspension { since: now, until: None, reason: "a migration".into(), actor: "ops".into() };
        let fault = ManifestFault { since: now, fault: "shop.yaml:3:1: no".into() };
        let current = current(object, Some(suspension.clone()), Some(fault));
        let conditions = &current.object.status.conditions;
        let row = |at: usize| {
            (conditions[at].status, conditions[at].reason.as_str(), conditions[at].message.as_str())
        };
        let message = "every layer is as declared; this is of the last valid manifest: the one on disk is not in effect \
                       (shop.yaml:3:1: no)";
        assert_eq!(row(0), (ConditionStatus::True, "ManifestInvalid", message));
        let words = "a migration (ops, until it is resumed)";
        assert_eq!(row(1), (ConditionStatus::False, "Suspended", words));
        assert_eq!(current.object.status.suspension, Some(suspension));

        let after = super::current(current.object, None, None);
        let conditions = &after.object.status.conditions;
        assert_eq!(
            (conditions[0].reason.as_str(), conditions[0].message.as_str()),
            ("AsDeclared", AS_DECLARED)
        );
        assert_eq!((conditions[1].reason.as_str(), conditions[1].message.as_str()), ("Idle", ""));
        assert_eq!(after.object.status.suspension, None);
    }
}
