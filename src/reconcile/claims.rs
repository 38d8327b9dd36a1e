//! Two objects that declare one service of one Compose project: each would repair the result of the other.
//!
//! The later one is refused entirely; the earlier one continues. *Later* is by manifest, then by line, so that every verb
//! and every start agree.

use std::collections::BTreeMap;

use crate::{
    api::{Desired, Pointed},
    host::{Host, HostError},
};

/// Of these objects those that must not be reconciled because another object has one of their services, with the error of
/// each. A project that Compose rejects claims no services; its own observation reports the error.
pub async fn taken<H: Host>(host: &H, all: &[Desired]) -> BTreeMap<String, HostError> {
    let may_clash = all.iter().filter(|desired| all.iter().any(|other| share_a_service(desired, other)));
    let projects = may_clash.map(async |desired| (desired, host.project(desired).await.ok()));
    let projects = futures_util::future::join_all(projects).await;
    let known: Vec<(&Desired, &str)> =
        projects.iter().filter_map(|(desired, project)| Some((*desired, project.as_deref()?))).collect();
    let fault = |(desired, project): &(&Desired, &str)| {
        let others = known.iter().filter(|(_, other)| other == project).map(|(other, _)| *other);
        Some((desired.name().to_owned(), service_taken(desired, project, others)?))
    };
    known.iter().filter_map(fault).collect()
}

/// Whether two objects declare a service of the same name; whether it is the same service depends on their projects.
#[must_use]
pub fn share_a_service(one: &Desired, other: &Desired) -> bool {
    one.name() != other.name() && one.services().iter().any(|s| other.service(&s.name).is_some())
}

/// Whether this one is declared before the other: objects from standard input are last.
#[must_use]
pub fn is_before(one: &Desired, other: &Desired) -> bool {
    let place = |desired: &Desired| {
        let first = desired.service_positions.first().copied().unwrap_or_default();
        (desired.manifest == "<stdin>", desired.manifest.clone(), first)
    };
    place(one) < place(other)
}

/// The error of an object of this Compose project if others of the same project are declared before it.
#[must_use]
pub fn service_taken<'a>(
    desired: &Desired,
    project: &str,
    others: impl IntoIterator<Item = &'a Desired>,
) -> Option<HostError> {
    let before: Vec<&Desired> = others.into_iter().filter(|other| is_before(other, desired)).collect();
    let taken: Vec<Pointed> = desired
        .services()
        .iter()
        .filter_map(|service| {
            let other = before.iter().find(|other| other.service(&service.name).is_some())?;
            let ((line, column), there) = (position(desired, &service.name), position(other, &service.name));
            let message = format!(
                "the service {} of the Compose project {project} is declared already: {}:{}:{} has it, in the object {}",
                service.name,
                other.manifest,
                there.0,
                there.1,
                other.name()
            );
            let help = Some("declare all of a service in one object".to_owned());
            Some(Pointed { line, column, text: service.name.clone(), message, help })
        })
        .collect();
    (!taken.is_empty()).then(|| HostError::ServiceTaken { manifest: desired.manifest.clone(), taken })
}

fn position(desired: &Desired, service: &str) -> (u64, u64) {
    let index = desired.services().iter().position(|s| s.name == service);
    index.and_then(|index| desired.service_positions.get(index)).copied().unwrap_or((1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    /// An object of this name, in this manifest, that declares these services from this line on.
    fn desired(name: &str, manifest: &str, line: u64, services: &[&str]) -> Desired {
        let mut desired = fixtures::desired();
        desired.object.metadata.name = name.into();
        desired.manifest = manifest.into();
        let declared = &mut desired.object.spec.services;
        declared.truncate(1);
        let one = declared.remove(0);
        declared.extend(
            services.iter().map(|service| crate::api::ServiceSpec { name: (*service).into(), ..one.clone() }),
        );
        desired.service_positions = (line..).map(|line| (line, 7)).take(services.len()).collect();
        desired
    }

    #[test]
    fn every_taken_service_is_reported_for_the_later_object_with_both_places() {
        let first = desired("a", "a.yaml", 9, &["api", "db"]);
        let later = desired("b", "b.yaml", 20, &["web", "db", "api"]);
        let error = service_taken(&later, "shop", [&first]).unwrap().to_string();
        for part in [
            "b.yaml:21:7: the service db of the Compose project shop",
            "a.yaml:10:7 has it, in the object a",
            "b.yaml:22:7: ",
            "a.yaml:9:7 has it",
        ] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        assert!(service_taken(&first, "shop", [&later]).is_none(), "the one before goes on");
        assert!(service_taken(&desired("c", "c.yaml", 1, &["web"]), "shop", [&first]).is_none());
    }

    #[test]
    fn later_is_by_manifest_then_by_line_and_standard_input_is_the_last() {
        let (a, b) = (desired("z", "a.yaml", 9, &["api"]), desired("a", "a.yaml", 30, &["api"]));
        let (other, stdin) = (desired("m", "b.yaml", 1, &["api"]), desired("b", "<stdin>", 1, &["api"]));
        let all = [&a, &b, &other, &stdin];
        for (index, one) in all.iter().enumerate() {
            for (number, two) in all.iter().enumerate() {
                assert_eq!(is_before(one, two), index < number, "{} {}", one.name(), two.name());
            }
        }
    }
}
