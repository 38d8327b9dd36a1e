//! The codes of the kinds of record: what others cite.

use super::AuditKind;

impl AuditKind {
    /// Its code, which stays whatever the name and the words become, and is never given to another kind: `R` and three digits.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DriftDetected => "R001",
            Self::StepIntended => "R002",
            Self::StepFinished => "R003",
            Self::StepInterrupted => "R004",
            Self::Verified => "R005",
            Self::Reconciled => "R006",
            Self::RolledBack => "R007",
            Self::Stalled => "R008",
            Self::Suspended => "R009",
            Self::Resumed => "R010",
            Self::Retried => "R011",
            Self::ManifestChanged => "R012",
            Self::Started => "R013",
            Self::Stopped => "R014",
            Self::TrailLost => "R015",
            Self::Anchored => "R016",
            Self::AnchorFailed => "R017",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_kinds_have_one_code() {
        let codes: BTreeSet<&str> = AuditKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), AuditKind::ALL.len());
        // They are cited outside of this project: a new kind gets a new one, and none is used again.
        let pinned = codes.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(
            pinned,
            "R001 R002 R003 R004 R005 R006 R007 R008 R009 R010 R011 R012 R013 R014 R015 R016 R017"
        );
    }
}
