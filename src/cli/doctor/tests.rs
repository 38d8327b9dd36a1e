use super::*;
use crate::cli::style::Style;

fn checks() -> Vec<Check> {
    vec![
        Check::failed("EngineReachable", "there is no socket", "sudo systemctl start docker"),
        Check::unknown("EngineApi", "no engine answered"),
        Check::ok("ComposeInstalled", "Compose 2.40.3"),
        Check::warning("StateFileSystem", "\u{1b}[2J/run/undrift is on tmpfs", "--state-dir DIR"),
        Check::unknown("TrailWhole", "it takes too long").with_help("undrift audit verify"),
    ]
}

#[test]
fn a_line_per_check_and_one_for_its_help() {
    let mut out = Vec::new();
    screen::write(&mut out, Style::default(), &DoctorReport::of(checks())).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn the_json_is_that_of_the_contract() {
    let json = serde_json::to_value(DoctorReport::of(checks())).unwrap();
    assert_eq!(
        (&json["apiVersion"], &json["kind"], &json["ok"]),
        (&API_VERSION.into(), &"Doctor".into(), &false.into())
    );
    assert_eq!(
        json["checks"][2],
        serde_json::json!({"name": "ComposeInstalled", "status": "ok", "found": "Compose 2.40.3", "help": null})
    );
    let statuses: Vec<_> = json["checks"].as_array().unwrap().iter().map(|check| &check["status"]).collect();
    assert_eq!(statuses, ["failed", "unknown", "ok", "warning", "unknown"]);
}

#[test]
fn only_what_failed_makes_it_fail() {
    assert!(DoctorReport::of(checks().split_off(1)).ok);
    assert!(!DoctorReport::of(checks()).ok);
    assert!(DoctorReport::of(Vec::new()).ok);
}
