//! What an incident's verification states of the images that run since: for the signed statement that a bundle has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;

use crate::{
    api::{
        AuditKind, AuditRecord, ConditionStatus, ConditionType, Incident, IncidentOutcome, ModulePresence,
        ObjectStatus, RecordReader, RevisionStatus, Sameness, ServiceStatus, Time, is_same_revision,
    },
    tlog::{
        hash::Hash,
        statement::{Policy, Property, Verification, VerifiedImage},
    },
};

/// The verification that ended the incident; `None` if it was not repaired, or if nothing that a statement has a word for was
/// verified. `spec_digest` is that of the spec that it was verified by.
pub(super) fn verification(
    incident: &Incident,
    records: &[AuditRecord],
    spec_digest: &str,
) -> Option<Verification> {
    if incident.outcome != Some(IncidentOutcome::Reconciled) {
        return None;
    }
    let after = ObjectStatus::deserialize(incident.after.as_ref()?).ok()?;
    let verified = records
        .iter()
        .filter(|record| record.seq > incident.since_seq && record.kind == AuditKind::Verified.as_str());
    // What the end was verified of is the last verification of each service: it may have drifted again in between.
    let mut of_services: BTreeMap<String, &AuditRecord> = BTreeMap::new();
    for record in verified {
        of_services.insert(RecordReader::new(record).service().ok()?, record);
    }
    let (mut images, mut properties, mut last) = (Vec::new(), None::<BTreeSet<Property>>, None);
    for (service, record) in of_services {
        let (read, time) = (RecordReader::new(record), record.time.parse::<Time>().ok()?);
        let (status, image) = (after.service(&service)?, read.image().ok()??);
        if status.image.as_ref().and_then(|image| image.id.as_ref()) != Some(&image) {
            return None;
        }
        let id = Hash::from_hex(image.strip_prefix("sha256:")?)?;
        let reference = status.image.as_ref().map(|image| image.reference.clone()).unwrap_or_default();
        images.push(VerifiedImage { reference, id });
        let of_service = properties_of(status);
        properties = Some(properties.map_or_else(|| of_service.clone(), |all| &all & &of_service));
        last = last.max(Some(time));
    }
    let policy = Policy {
        uri: format!("urn:undrift:object:{}:generation:{}", incident.object, after.observed_generation),
        digest: Hash::from_hex(spec_digest.rsplit(':').next()?)?,
    };
    let properties = properties.filter(|properties| !properties.is_empty())?;
    Some(Verification { images, time: last?, properties, policy })
}

/// What was verified of a service.
fn properties_of(service: &ServiceStatus) -> BTreeSet<Property> {
    let holds = |kind| {
        let mut conditions = service.conditions.iter();
        conditions.any(|condition| condition.kind == kind && condition.status == ConditionStatus::True)
    };
    let runs = holds(ConditionType::ContainerCurrent);
    let modules = &service.modules;
    let contents: Vec<_> = modules.iter().filter_map(|module| module.content).collect();
    let all = [
        (
            Property::ModulePresent,
            runs && !modules.is_empty()
                && modules.iter().all(|module| module.container == ModulePresence::Present),
        ),
        (
            Property::ContentSame,
            runs && !contents.is_empty()
                && contents.iter().all(|content| content.container == Sameness::Same),
        ),
        (Property::RevisionEqual, service.revision.as_ref().is_some_and(is_carried)),
        (Property::RouteVerified, holds(ConditionType::RouteExposed)),
        (Property::AuthVerified, holds(ConditionType::AuthVerified)),
    ];
    all.into_iter().filter(|(_, holds)| *holds).map(|(property, _)| property).collect()
}

/// Whether every replica carries the expected revision.
fn is_carried(revision: &RevisionStatus) -> bool {
    let Some(expected) = &revision.expected else { return false };
    let mut seen = revision.containers.iter().chain(&revision.routes).peekable();
    seen.peek().is_some() && seen.all(|one| one.as_ref().is_some_and(|one| is_same_revision(expected, one)))
}
