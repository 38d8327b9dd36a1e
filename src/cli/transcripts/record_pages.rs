//! The documentation's page for each kind of record: its code from the type, its words, and as its example the first such record that the
//! transcripts write. `UNDRIFT_UPDATE_DOCS=1` writes the pages anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{NAMES, Scenario, folder, record_words::reference};
use crate::{
    api::{Anchored, AuditKind, AuditRecord, ManifestChange, NewRecord, StopCause},
    event_words::summary,
    store::{RecordFilter, Store},
};

/// The longest text of an example: a longer one is cut off.
const LONGEST: usize = 160;

/// The most entries of a list in an example.
const MOST: usize = 2;

fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/records")
}

/// The records of all transcripts.
fn recorded() -> Vec<AuditRecord> {
    let mut all = Vec::new();
    for name in NAMES {
        let text = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        let (scenario, _) = Scenario::play(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        if let Some(store) = Store::open_read_only(&scenario.state()).unwrap() {
            all.extend(store.records(&RecordFilter::default()).unwrap());
        }
    }
    all.extend(without_a_transcript());
    all
}

/// What no transcript writes, because it takes another process or another folder.
fn without_a_transcript() -> Vec<AuditRecord> {
    let folder = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(|| "2026-03-01T10:00:00Z".parse().unwrap());
    let store = Store::open_with_clock(folder.path(), "root@node1 undrift[1234] run".into(), clock).unwrap();
    let anchor = "https://anchor.example".to_owned();
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=".to_owned();
    for record in [
        NewRecord::started("0.1.0", &["ai-backoffice".to_owned(), "shop".to_owned()]),
        NewRecord::stopped(&StopCause::Signal("SIGTERM".into())),
        NewRecord::stopped(&StopCause::Fault("its loop has hung".into())),
        NewRecord::manifest_changed("shop", &ManifestChange::Removed { why: "its file is gone".into() }),
        NewRecord::manifest_changed("shop", &ManifestChange::Restored { manifest: "shop.yaml".into() }),
        NewRecord::trail_lost("the statuses of 2 objects are there, and no record is"),
        NewRecord::anchored(&Anchored { anchor: anchor.clone(), size: 51, root }),
        NewRecord::anchor_failed(&anchor, 73, "it answered 503"),
    ] {
        store.append(&record).unwrap();
    }
    store.records(&RecordFilter::default()).unwrap()
}

fn kind_of(record: &AuditRecord) -> AuditKind {
    AuditKind::named(&record.kind).unwrap()
}

/// The same record for a page: short, and without what differs from run to run.
fn example(record: &AuditRecord) -> Value {
    let mut value = serde_json::to_value(record).unwrap();
    value["actor"] = "root@node1 undrift[1234] run".into();
    value["hash"] = "…".into();
    value["prevHash"] = "…".into();
    // They cover paths of a temporary folder.
    for digest in ["specDigest", "beforeDigest", "rowDigest"] {
        if !value["evidence"][digest].is_null() {
            value["evidence"][digest] = "…".into();
        }
    }
    if !value["incident"].is_null() {
        value["incident"] = "01KJM0K6G0ZZZZZZZZZZZZZZZZ".into();
    }
    shorten(&mut value);
    value
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().count() > LONGEST => {
            *text = text.chars().take(LONGEST).chain(['…']).collect();
        }
        Value::Array(list) => {
            let is_longer = list.len() > MOST;
            list.truncate(MOST);
            list.iter_mut().for_each(shorten);
            if is_longer {
                list.push("…".into());
            }
        }
        Value::Object(map) => map.values_mut().for_each(shorten),
        _ => {}
    }
}

/// The observation of a drift is longer than all the rest, and the manifest's page explains it.
fn without_the_observation(mut value: Value) -> Value {
    if !value["evidence"]["observed"].is_null() {
        value["evidence"]["observed"] = "…".into();
    }
    value
}

fn page(kind: AuditKind, record: &AuditRecord) -> String {
    let reference = reference(kind);
    let mut page = format!(
        "# {kind} ({})\n\n**When.** {}\n\n**What it means.** {}\n\n",
        kind.code(),
        reference.when,
        reference.means
    );
    page.push_str("| field of `evidence` | content |\n| --- | --- |\n");
    for (field, content) in reference.evidence {
        writeln!(page, "| `{field}` | {content} |").unwrap();
    }
    let words = summary(record);
    let words = words.lines().next().unwrap_or_default();
    let json = serde_json::to_string_pretty(&without_the_observation(example(record))).unwrap();
    let listed = "`undrift audit list` shows the one below as";
    write!(page, "\n## An example\n\n{listed}: *{words}*\n\n```json\n{json}\n```\n").unwrap();
    page.push_str(
        "\nThe fields beside `evidence` are those of [every record](../audit-trail.md#a-record).\n",
    );
    page
}

fn index() -> String {
    let mut index = String::from(
        "# The kinds of record\n\nA kind keeps its code, whatever becomes of its name. `undrift audit list` shows the name.\n\n\
         | code | kind | when |\n| --- | --- | --- |\n",
    );
    for kind in AuditKind::ALL {
        let when = reference(*kind).when;
        writeln!(index, "| {} | [{kind}]({kind}.md) | {when} |", kind.code()).unwrap();
    }
    index
}

#[test]
fn each_kind_of_record_has_a_page_that_is_as_the_code_has_it() {
    let records = recorded();
    let mut wanted = BTreeMap::from([("README.md".to_owned(), index())]);
    for kind in AuditKind::ALL {
        let of_kind = || records.iter().filter(|record| kind_of(record) == *kind);
        let first = of_kind().next().unwrap_or_else(|| panic!("no transcript writes {kind}"));
        wanted.insert(format!("{kind}.md"), page(*kind, first));
        let described: BTreeSet<&str> = reference(*kind).evidence.iter().map(|(field, _)| *field).collect();
        let found: BTreeSet<&str> = of_kind()
            .filter_map(|record| record.evidence.as_object())
            .flat_map(|evidence| evidence.keys().map(String::as_str))
            .collect();
        let unknown: Vec<_> = found.difference(&described).collect();
        assert!(unknown.is_empty(), "{kind} has fields that its page does not describe: {unknown:?}");
    }
    if env::var_os("UNDRIFT_UPDATE_DOCS").is_some() {
        fs::create_dir_all(pages()).unwrap();
        for (name, text) in &wanted {
            fs::write(pages().join(name), text).unwrap();
        }
    }
    let names = fs::read_dir(pages()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), wanted.keys().cloned().collect(), "docs/records");
    for (name, text) in wanted {
        let held = fs::read_to_string(pages().join(&name)).unwrap();
        let update = "UNDRIFT_UPDATE_DOCS=1 cargo test --lib each_kind_of_record";
        assert!(held == text, "docs/records/{name} is out of date: {update}");
    }
}
