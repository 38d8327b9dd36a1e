//! A report, for whoever prints one.

use super::{Check, DoctorReport};

/// A check of each kind.
pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::failed("EngineReachable", "there is no socket", "sudo systemctl start docker"),
        Check::unknown("EngineApi", "no engine answered"),
        Check::ok("ComposeInstalled", "Compose 2.40.3"),
        Check::warning("StateFileSystem", "\u{1b}[2J/run/undrift is on tmpfs", "--state-dir DIR"),
        Check::unknown("TrailWhole", "it takes too long").with_help("undrift audit verify"),
    ]
}

/// The report of these.
pub(crate) fn report() -> DoctorReport {
    DoctorReport::of(checks())
}
