//! The objects of the models: alike but for what they declare of mounted files.

use std::sync::OnceLock;

use serde_json::json;

use crate::{
    api::{Desired, MountPolicy, Reload},
    testing::fixtures::desired_with,
};

/// What an object declares of a mounted file that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FilePolicy {
    /// It is a note.
    Report,
    /// The service is restarted.
    Restart,
    /// The service is sent a signal.
    Reload,
}

impl FilePolicy {
    pub(super) fn desired(self) -> &'static Desired {
        static ALL: OnceLock<[Desired; 3]> = OnceLock::new();
        &ALL.get_or_init(|| [Self::Report, Self::Restart, Self::Reload].map(Self::declared))[self as usize]
    }

    fn declared(self) -> Desired {
        let mut desired = desired_with(&json!({
            "verify": { "timeout": "1s", "stableFor": "400ms" },
            "backoff": { "initial": "10s", "max": "10m" },
            "attempts": 3,
        }));
        let api = &mut desired.object.spec.services[0];
        api.mounts = if self == Self::Report { MountPolicy::Report } else { MountPolicy::Enforce };
        api.reload = (self == Self::Reload).then(|| Reload { signal: "HUP".into() });
        desired
    }
}
