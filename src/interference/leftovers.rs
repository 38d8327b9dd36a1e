//! The leftovers of a killed recreate.
//!
//! Compose 2 recreates in this order (measured with 2.26.1 by killing it): it creates `<12 hex>_NAME`, where the hex digits
//! are the prefix of the old container's ID; it stops and removes the old one; it renames the new one to `NAME`; it starts it.
//! The new one has the label [`REPLACES`]: in 2.26 it holds the whole of the old one's ID, from 2.40 on `SERVICE-NUMBER`, or
//! the service's `container_name`. So the temporary name marks a replacement, and the label identifies the replaced container.
//! A kill leaves one of these:
//!
//! | old one | new one | meaning | before the next `up` |
//! | --- | --- | --- | --- |
//! | running or exited | created, `<12 hex>_NAME` | superfluous: not a replica | removed, or `up` runs into a name conflict in half the cases |
//! | gone | created, `<12 hex>_NAME` | unfinished: the only container, a replica that does not run | given its name; `up` starts it |
//! | gone | created, `NAME` | an ordinary replica that does not run | nothing: `up` starts it |
//!
//! The label stays on the new container for good, so by itself it proves nothing.

use super::ContainerRow;

/// Compose's label for the container that this one replaces.
pub(crate) const REPLACES: &str = "com.docker.compose.replace";

/// A leftover container of a killed recreate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// Never started, while the container that it should replace still exists.
    Superfluous {
        /// The engine's ID.
        id: String,
        /// The name.
        name: String,
        /// The Compose service.
        service: String,
    },
    /// Never started, the only one left, and still under its temporary name.
    Unfinished {
        /// The engine's ID.
        id: String,
        /// The name.
        name: String,
        /// The Compose service.
        service: String,
        /// The name that Compose would have given it.
        final_name: String,
    },
}

impl Leftover {
    pub(crate) const fn id(&self) -> &String {
        match self {
            Self::Superfluous { id, .. } | Self::Unfinished { id, .. } => id,
        }
    }

    pub(crate) const fn service(&self) -> &String {
        match self {
            Self::Superfluous { service, .. } | Self::Unfinished { service, .. } => service,
        }
    }
}

/// Finds them among all containers of a project.
pub(crate) fn find(rows: &[ContainerRow]) -> Vec<Leftover> {
    rows.iter().filter(|row| row.never_started()).filter_map(|row| one(row, rows)).collect()
}

fn one(row: &ContainerRow, rows: &[ContainerRow]) -> Option<Leftover> {
    let (id, name, service) = (row.id.clone(), row.name.clone(), row.service.clone());
    if replaced(row, rows).is_some() {
        return Some(Leftover::Superfluous { id, name, service });
    }
    let (digits, final_name) = temporary_name(row)?;
    let is_free = !rows.iter().any(|other| other.name == final_name);
    let is_of_its_label = !is_id(row.replaces.as_deref()?) || row.replaces.as_deref()?.starts_with(digits);
    let final_name = final_name.to_owned();
    (is_free && is_of_its_label).then_some(Leftover::Unfinished { id, name, service, final_name })
}

/// The container that this one was created to replace, if that still exists.
pub(crate) fn replaced<'a>(row: &ContainerRow, rows: &'a [ContainerRow]) -> Option<&'a ContainerRow> {
    let label = row.replaces.as_deref()?;
    let mut others = rows.iter().filter(|other| other.id != row.id);
    if is_id(label) {
        return others.find(|other| other.id == label);
    }
    let (digits, _) = temporary_name(row)?;
    others.find(|other| other.service == row.service && other.id.starts_with(digits))
}

/// The digits of the old container's ID and the final name, of a replacement that still has its temporary name.
fn temporary_name(row: &ContainerRow) -> Option<(&str, &str)> {
    row.replaces.as_ref()?;
    let (digits, name) = row.name.split_once('_')?;
    (digits.len() == 12 && is_hexadecimal(digits) && !name.is_empty()).then_some((digits, name))
}

fn is_id(label: &str) -> bool {
    label.len() == 64 && is_hexadecimal(label)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ContainerState;

    const OLD: &str = "b0f66bcfef3d2726908a1683762adfdd37d77678041dd4cf1e039be141c919e6";
    const NEW: &str = "0424f5f72edd508d55cac16da92cdf44da87e0d465f8d9d2bca56a42f7e81245";

    fn row(id: &str, name: &str, never_started: bool, replaces: Option<&str>) -> ContainerRow {
        ContainerRow {
            id: id.into(),
            name: name.into(),
            service: "a".into(),
            state: never_started.then_some(ContainerState::Created),
            replaces: replaces.map(Into::into),
            ..ContainerRow::default()
        }
    }

    #[test]
    fn a_replacement_beside_the_old_one_is_superfluous() {
        let rows = [row(OLD, "p-a-1", false, None), row(NEW, "b0f66bcfef3d_p-a-1", true, Some(OLD))];
        let found = find(&rows);
        assert!(matches!(&found[..], [Leftover::Superfluous { id, .. }] if id == NEW), "{found:?}");
    }

    /// Compose's label from 2.40 on: for a service without and with a `container_name`.
    #[test]
    fn a_label_with_the_old_name_identifies_a_leftover_as_the_id_does() {
        for (label, name) in [("a-1", "p-a-1"), ("my_db", "my_db")] {
            let temporary = format!("b0f66bcfef3d_{name}");
            let new = row(NEW, &temporary, true, Some(label));
            let found = find(&[row(OLD, name, false, None), new.clone()]);
            assert!(matches!(&found[..], [Leftover::Superfluous { id, .. }] if id == NEW), "{found:?}");
            let found = find(std::slice::from_ref(&new));
            let [Leftover::Unfinished { final_name, .. }] = &found[..] else { panic!("{found:?}") };
            assert_eq!(final_name, name);
            let renamed = row(NEW, name, true, Some(label));
            let started = row(NEW, &temporary, false, Some(label));
            let unlabelled = row(NEW, &temporary, true, None);
            let of_another = ContainerRow { service: "b".into(), ..row(OLD, "p-b-1", false, None) };
            for rows in [vec![renamed], vec![row(OLD, name, true, None), started], vec![unlabelled]] {
                assert_eq!(find(&rows), [], "{rows:?}");
            }
            let found = find(&[of_another, new]);
            assert!(matches!(&found[..], [Leftover::Unfinished { .. }]), "another service's: {found:?}");
        }
    }

    #[test]
    fn the_only_container_is_given_its_name_and_kept() {
        let found = find(&[row(NEW, "b0f66bcfef3d_p-a-1", true, Some(OLD))]);
        assert!(
            matches!(&found[..], [Leftover::Unfinished { final_name, .. }] if final_name == "p-a-1"),
            "{found:?}"
        );
    }

    #[test]
    fn a_name_that_is_taken_is_left_alone() {
        let rows = [row("1", "p-a-1", false, None), row(NEW, "b0f66bcfef3d_p-a-1", true, Some(OLD))];
        assert_eq!(find(&rows), []);
    }

    #[test]
    fn started_renamed_and_ordinary_containers_are_no_leftovers() {
        let started = row(NEW, "p-a-1", false, Some(OLD));
        let renamed = row(NEW, "p-a-1", true, Some(OLD));
        let ordinary = row(NEW, "p-a-1", true, None);
        for rows in [[started], [renamed], [ordinary]] {
            assert_eq!(find(&rows), []);
        }
        let old = row(OLD, "p-a-1", true, None);
        let running = row(NEW, "b0f66bcfef3d_p-a-1", false, Some(OLD));
        assert_eq!(find(&[old, running]), [], "a container that ran is never a leftover");
    }

    #[test]
    fn labels_of_any_content_are_harmless() {
        for replaces in ["", "x", "ééééééééé", NEW] {
            assert_eq!(find(&[row(NEW, "p-a-1", true, Some(replaces))]), [], "{replaces}");
        }
    }
}
