//! The version of the undrift that runs, as the trail has it.

use std::path::Path;

use super::{error::Result, folder, trail::latest_of_in};
use crate::api::{AuditKind, Event, RecordedEvent};

/// The version that a daemon recorded at its start; `None` if none has begun since the last end, or that cannot be read. The
/// schema may be another one, which [`Store`](super::Store) does not open.
#[must_use]
pub(crate) fn running_version(dir: &Path) -> Option<String> {
    read(dir).unwrap_or_else(|error| {
        tracing::debug!(%error, "the trail does not name the version that runs");
        None
    })
}

fn read(dir: &Path) -> Result<Option<String>> {
    let Some(db) = folder::connect_read_only(dir)? else { return Ok(None) };
    let Some(record) = latest_of_in(&db, &[AuditKind::Started, AuditKind::Stopped])? else { return Ok(None) };
    Ok(match RecordedEvent::try_from(&record)?.event {
        Event::Started { version, .. } => Some(version).filter(|version| !version.is_empty()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{NewRecord, StopCause},
        store::testing,
    };

    #[test]
    fn the_version_is_that_of_the_last_start_in_a_state_of_any_schema() {
        let (home, store) = testing::store();
        assert_eq!(running_version(home.path()), None);
        for version in ["0.0.8", "0.0.9"] {
            store.append(&NewRecord::started(version, &[])).unwrap();
        }
        assert_eq!(running_version(home.path()).as_deref(), Some("0.0.9"));
        for schema in [1, 99] {
            testing::raw(home.path()).pragma_update(None, "user_version", schema).unwrap();
            assert_eq!(running_version(home.path()).as_deref(), Some("0.0.9"), "schema {schema}");
        }
        store.append(&NewRecord::stopped(&StopCause::Signal("SIGTERM".into()))).unwrap();
        assert_eq!(running_version(home.path()), None, "it has ended");
        assert_eq!(running_version(&home.path().join("none")), None);
    }
}
