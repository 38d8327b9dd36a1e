use super::{testing::checks, *};

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
