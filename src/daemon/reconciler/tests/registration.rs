//! Registrations that begin, end and cannot be recorded.

use futures_util::stream;

use super::*;
use crate::{api::Reason, causes::with_causes, store::RecordFilter};

/// A bench whose objects have a status each.
async fn fixture() -> DaemonFixture {
    let fixture = DaemonFixture::new(healthy());
    for object in ["backoffice", "other"] {
        fixture.reconcile(object).await;
    }
    fixture
}

impl DaemonFixture {
    fn sql(&self, statement: &str) {
        rusqlite::Connection::open(self.dir.path().join("state.db"))
            .unwrap()
            .execute_batch(statement)
            .unwrap();
    }

    /// From now on this table rejects writes.
    fn is_full(&self, table: &str) {
        self.sql(&format!(
            "CREATE TRIGGER full_insert BEFORE INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'the disk is full'); END;
             CREATE TRIGGER full_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(FAIL, 'the disk is full'); END"
        ));
    }

    fn has_room(&self) {
        self.sql("DROP TRIGGER full_insert; DROP TRIGGER full_update");
    }

    fn manifest(&self) -> std::path::PathBuf {
        self.dir.path().join("manifests/backoffice.yaml")
    }

    fn ready_reason(&self) -> Reason {
        let object = self.shared.store.object("backoffice").unwrap().unwrap();
        let mut conditions = object.status.conditions.into_iter();
        conditions.find(|condition| condition.kind == ConditionType::Ready).unwrap().reason
    }

    /// The trail's records of manifests that came and went.
    fn manifests_changed(&self) -> Vec<&'static str> {
        let records = self.shared.store.records(&RecordFilter::default()).unwrap();
        let changes = records.iter().filter(|record| record.kind == "ManifestChanged");
        let of = |key: &str, evidence: &serde_json::Value| evidence[key] == true;
        let recorded = changes.filter_map(|record| match &record.evidence {
            evidence if of("removed", evidence) => Some("removed"),
            evidence if of("restored", evidence) => Some("restored"),
            _ => None,
        });
        recorded.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_watch_that_could_not_be_recorded_is_tried_again() {
    let fixture = fixture().await;
    fs::remove_file(fixture.manifest()).unwrap();
    fixture.shared.reload().await;
    for table in ["trail", "objects"] {
        fixture.is_full(table);
        assert_eq!(fixture.wait_after_reconcile().await, RECORD_RETRY);
        assert_ne!(fixture.ready_reason(), "NotWatched");
        fixture.has_room();
    }
    assert_eq!(fixture.reconcile("backoffice").await, Requeue::Never);
    assert_eq!(fixture.ready_reason(), "NotWatched");
    let recorded = fixture.manifests_changed().len();
    assert_eq!(fixture.reconcile("backoffice").await, Requeue::Never);
    assert_eq!(fixture.manifests_changed().len(), recorded, "it is said once");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_not_looked_at_before_its_new_watch_is_recorded() {
    let fixture = fixture().await;
    let declared = fs::read(fixture.manifest()).unwrap();
    fs::remove_file(fixture.manifest()).unwrap();
    fixture.shared.reload().await;
    fixture.reconcile("backoffice").await;
    fs::write(fixture.manifest(), declared).unwrap();
    fixture.shared.reload().await;
    let looks = || fixture.shared.host.world(|world| world.container.unwrap().looks);
    let before = looks();
    fixture.is_full("trail");
    let mut waiting = fixture.shared.subscribers.subscribe("backoffice");
    assert_eq!(fixture.wait_after_reconcile().await, RECORD_RETRY);
    assert_eq!((looks(), fixture.ready_reason().as_str()), (before, "NotWatched"));
    let session = fixture
        .shared
        .sessions
        .take("backoffice", crate::reconcile::now())
        .expect("what is remembered is not lost over it");
    fixture.shared.sessions.put("backoffice", session);
    let reply = waiting.recv().await;
    let Some(crate::daemon::Reply::Result(outcome)) = reply else { panic!("no outcome: {reply:?}") };
    assert!(outcome.error.unwrap().contains("the disk is full"), "a person is not left to wait");
    fixture.has_room();
    fixture.wait_at_rest().await;
    assert_eq!(fixture.manifests_changed(), ["removed", "restored"]);
    assert_ne!(fixture.ready_reason(), "NotWatched");
    assert!(looks() > before);
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_object_is_recorded_as_removed_once_the_trail_has_room() {
    let fixture = fixture().await;
    fixture.shared.objects.add_undecided("gone");
    fixture.is_full("trail");
    fixture.shared.reload().await;
    fixture.has_room();
    assert_eq!(fixture.manifests_changed(), [""; 0]);
    let _reading = tokio::spawn(Arc::clone(&fixture.shared).read_again(stream::pending()));
    let recorded = async {
        while fixture.manifests_changed().is_empty() {
            tokio::time::sleep(SECOND).await;
        }
    };
    tokio::time::timeout(60 * SECOND, recorded).await.unwrap();
    assert_eq!(fixture.manifests_changed(), ["removed"]);
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(fixture.manifests_changed(), ["removed"], "once");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_an_object_that_was_just_removed_does_not_wait_for_ever() {
    let fixture = fixture().await;
    fs::remove_file(fixture.manifest()).unwrap();
    fixture.shared.reload().await;
    let mut waiting = fixture.shared.subscribers.subscribe("backoffice");
    fixture.reconcile("backoffice").await;
    assert_eq!(tokio::time::timeout(SECOND, waiting.recv()).await, Ok(None), "the connection ends");
}

#[tokio::test(start_paused = true)]
async fn the_trail_has_its_end_where_a_status_cannot_be_written() {
    let fixture = DaemonFixture::new(World::incident());
    assert_eq!(fixture.reconcile("backoffice").await, Requeue::Now);
    fixture.is_full("objects");
    let error = fixture.shared.record_end(&End::Signal("SIGTERM")).unwrap_err();
    assert!(
        error.to_string().contains("the disk is full") || with_causes(&error).contains("full"),
        "{error}"
    );
    let last = fixture.shared.store.records(&RecordFilter::default()).unwrap().pop().unwrap();
    assert_eq!(last.kind, "Stopped");
}
