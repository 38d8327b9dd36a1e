//! What a person reads of an incident, in each format; what output of a command can do to it; and that only a verified repair is
//! worded as one.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::NewRecord,
    cli::incident::tests::{repaired, settled},
    store::{RecordFilter, Store, testing},
};

fn exported(store: &Store, id: &str) -> (Incident, Vec<AuditRecord>, IncidentReport) {
    let incident = store.incident(id).unwrap().unwrap();
    let filter = RecordFilter { incident: Some(id.to_owned()), ..RecordFilter::default() };
    let records = store.records(&filter).unwrap();
    let now = testing::start() + TimeDelta::minutes(3);
    let report = IncidentReport::new(&incident, &records, None, now);
    (incident, records, report)
}

fn rendered(store: &Store, id: &str, format: ExportFormat) -> String {
    let (incident, records, report) = exported(store, id);
    report.render(format, &incident, &records).unwrap()
}

#[test]
fn the_markdown_reads_like_a_post_mortem() {
    let (_home, store, incident) = repaired();
    let text = settled(&rendered(&store, &incident.id, ExportFormat::Md), &incident);
    insta::with_settings!({ filters => vec![("[0-9a-f]{64}", "SHA-256")] }, {
        insta::assert_snapshot!(text);
    });
}

#[test]
fn the_page_needs_nothing_else_and_has_each_section() {
    let (_home, store, incident) = repaired();
    let page = rendered(&store, &incident.id, ExportFormat::Html);
    for part in [
        "<html lang=\"en\">",
        "<main>",
        "<h2 id=\"impact\">",
        "<h2 id=\"detection\">",
        "<h2 id=\"ladder\">",
        "<h2 id=\"timeline\">",
        "<h2 id=\"steps\">",
        "<h2 id=\"transition\">",
        "<h2 id=\"resolution\">",
        "<h2 id=\"cause\">",
        "<h2 id=\"actions\">",
        "<h2 id=\"trail\">",
        "404 → 401",
        "exit code 17",
    ] {
        assert!(page.contains(part), "the page lacks {part}");
    }
    for part in ["<script", "src=", "@import", "url(", "http://", "https://"] {
        assert!(!page.contains(part), "the page needs something else: {part}");
    }
    let opened = page.matches("<table>").count();
    assert!(opened > 3 && opened == page.matches("</table>").count());
}

#[test]
fn the_json_has_the_records_as_they_are_and_the_report() {
    let (_home, store, incident) = repaired();
    let json: Value = serde_json::from_str(&rendered(&store, &incident.id, ExportFormat::Json)).unwrap();
    let (_, records, _) = exported(&store, &incident.id);
    assert_eq!(json["timeline"], json!(records));
    assert_eq!(json["report"]["steps"].as_array().unwrap().len(), 3);
    assert_eq!(json["report"]["steps"][0]["outcome"], "Failed");
    assert_eq!(json["report"]["transitions"][0]["before"], 404);
    assert_eq!(json["report"]["detection"]["record"], records[0].seq);
}

#[test]
fn what_a_build_prints_is_text_in_every_format() {
    let evil = "</pre><script>alert(1)</script> | a\n``` \u{1b}[2J\u{202e}# *b* [c](http://x) <img src=x>";
    let (_home, store, incident) = repaired();
    let record = NewRecord {
        object: Some("ai-backoffice".into()),
        incident: Some(incident.id.clone()),
        service: Some(evil.into()),
        outcome: Some(evil.into()),
        evidence: json!({ "reason": evil, "message": evil }),
        ..NewRecord::of(AuditKind::Stalled)
    };
    store.append(&record).unwrap();
    let page = rendered(&store, &incident.id, ExportFormat::Html);
    assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
    let text = rendered(&store, &incident.id, ExportFormat::Md);
    for line in text.lines().filter(|line| line.contains("alert")) {
        assert!(!line.contains('<') && !line.contains("[c](") && !line.contains("``` "), "{line}");
        assert_eq!(line.matches(" | ").count(), 4, "it is one row of the timeline: {line}");
    }
    for text in [page, text] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "nothing moves the cursor or turns the direction");
    }
}

#[test]
fn a_fence_is_longer_than_any_in_the_output() {
    let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (output, expected) in
        [(lines(&["plain"]), "```"), (lines(&["a ``` b", "`"]), "````"), (lines(&["`````"]), "``````")]
    {
        assert_eq!(formats::fence(&output), expected, "{output:?}");
    }
}

/// An incident that ends otherwise, with a record of this kind before its end.
fn ended_so(outcome: Option<IncidentOutcome>, kind: Option<AuditKind>) -> String {
    let (home, store) = testing::store();
    let drift = json!({ "api": { "layer": "container", "reason": "NotRunning", "message": "it exited" } });
    let incident = testing::incident(&store, "shop", testing::start(), &drift, &json!({}));
    if let Some(kind) = kind {
        let incident = Some(incident.id.clone());
        store
            .append(&NewRecord {
                incident,
                evidence: json!({ "services": ["api"], "to": {} }),
                ..NewRecord::of(kind)
            })
            .unwrap();
    }
    if let Some(outcome) = outcome {
        let end = testing::start() + TimeDelta::minutes(1);
        store.close_incident(&incident.id, end, outcome, None).unwrap();
    }
    let all = [ExportFormat::Html, ExportFormat::Md].map(|format| rendered(&store, &incident.id, format));
    drop(home);
    all.join("\n")
}

#[test]
fn what_was_not_repaired_is_never_worded_as_success() {
    for (outcome, kind, said) in [
        (None, None, "The incident is open: nothing is resolved."),
        (Some(IncidentOutcome::Stalled), None, "Not resolved: undrift gave up."),
        (Some(IncidentOutcome::Stalled), Some(AuditKind::RolledBack), "The previous images run again."),
    ] {
        let text = ended_so(outcome, kind);
        assert!(text.contains(said), "{said}\n{text}");
        assert!(!text.contains("Reconciled") && !text.contains("as declared for"), "{text}");
    }
    let text = ended_so(Some(IncidentOutcome::Reconciled), None);
    assert!(text.contains("observed as declared for the stability window"), "{text}");
}

#[test]
fn the_checkpoint_can_be_read_back_from_the_page_and_from_the_markdown() {
    let (_home, store, incident) = repaired();
    let exported = ExportedIncident::read(&store, &incident.id, testing::start()).unwrap().unwrap();
    let note = store.checkpoint_over(8).unwrap().unwrap();
    for (format, end) in [(ExportFormat::Html, "</pre>"), (ExportFormat::Md, "```")] {
        let text = exported.render(format).unwrap();
        let shown = &text[text.find("undrift/").unwrap()..];
        assert_eq!(&shown[..shown.find(end).unwrap()], note, "{format:?}");
    }
}

#[test]
fn an_incident_that_was_opened_again_is_worded_by_its_latest_occurrence() {
    let (_home, store, incident) = repaired();
    let api = || Some(incident.id.clone());
    store
        .append(&NewRecord {
            incident: api(),
            evidence: json!({ "services": ["api"], "to": {} }),
            ..NewRecord::of(AuditKind::RolledBack)
        })
        .unwrap();
    let (mut again, records, _) = exported(&store, &incident.id);
    (again.since_seq, again.outcome) = (9, Some(IncidentOutcome::Stalled));
    let report = IncidentReport::new(&again, &records, None, testing::start());
    assert!(!report.resolution.contains("previous images"), "{}", report.resolution);
    assert!(report.transitions.is_empty(), "the transition is one of the first occurrence");
}

/// `api` was verified with one image, drifted again, and was verified with another one.
#[test]
fn a_statement_is_about_the_images_that_the_end_was_verified_with() {
    let (_home, store, incident) = repaired();
    let image = |n: u8| format!("sha256:{}", hex::encode([n; 32]));
    for n in [1, 2] {
        let record = NewRecord::verified("api", Some(&image(n)));
        store.append(&NewRecord { incident: Some(incident.id.clone()), ..record }).unwrap();
    }
    let (mut ended, records, _) = exported(&store, &incident.id);
    let mut stated = |after: &str| {
        let mut status: ObjectStatus = serde_json::from_value(ended.before.clone()).unwrap();
        status.services[0].image.as_mut().unwrap().id = Some(after.to_owned());
        for condition in &mut status.services[0].conditions {
            condition.status = crate::api::ConditionStatus::True;
        }
        ended.after = Some(json!(status));
        let spec = format!("v1:sha256:{}", "ab".repeat(32));
        statement::verification(&ended, &records, &spec).map(|stated| stated.images)
    };
    assert_eq!(stated(&image(3)), None, "an image that was not verified runs");
    let images = stated(&image(2)).unwrap();
    assert_eq!(images.iter().map(|image| image.id.to_hex()).collect::<Vec<_>>(), ["02".repeat(32)]);
}
