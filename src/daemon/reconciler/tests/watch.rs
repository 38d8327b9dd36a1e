//! Watches that begin, end and cannot be recorded.

use futures_util::stream;

use super::*;
use crate::{causes::with_causes, store::RecordFilter};

/// A bench whose objects have a status each.
async fn bench() -> Bench {
    let bench = Bench::new(healthy());
    for object in ["backoffice", "other"] {
        bench.turn(object).await;
    }
    bench
}

impl Bench {
    fn sql(&self, statement: &str) {
        rusqlite::Connection::open(self.dir.path().join("state.db"))
            .unwrap()
            .execute_batch(statement)
            .unwrap();
    }

    /// From now on nothing can be written into this table.
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

    fn ready_reason(&self) -> String {
        let object = self.shared.store.object("backoffice").unwrap().unwrap();
        let mut conditions = object.status.conditions.into_iter();
        conditions.find(|condition| condition.kind == ConditionType::Ready).unwrap().reason
    }

    /// What the trail says of manifests that came and went.
    fn manifests_changed(&self) -> Vec<&'static str> {
        let records = self.shared.store.records(&RecordFilter::default()).unwrap();
        let changes = records.iter().filter(|record| record.kind == "ManifestChanged");
        let of = |key: &str, evidence: &serde_json::Value| evidence[key] == true;
        let said = changes.filter_map(|record| match &record.evidence {
            evidence if of("removed", evidence) => Some("removed"),
            evidence if of("restored", evidence) => Some("restored"),
            _ => None,
        });
        said.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_watch_that_could_not_be_recorded_is_tried_again() {
    let bench = bench().await;
    fs::remove_file(bench.manifest()).unwrap();
    bench.shared.reload().await;
    for table in ["trail", "objects"] {
        bench.is_full(table);
        assert_eq!(bench.wait_after_turn().await, UNSAID);
        assert_ne!(bench.ready_reason(), "NotWatched");
        bench.has_room();
    }
    assert_eq!(bench.turn("backoffice").await, Requeue::Never);
    assert_eq!(bench.ready_reason(), "NotWatched");
    let said = bench.manifests_changed().len();
    assert_eq!(bench.turn("backoffice").await, Requeue::Never);
    assert_eq!(bench.manifests_changed().len(), said, "it is said once");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_not_looked_at_before_its_new_watch_is_recorded() {
    let bench = bench().await;
    let declared = fs::read(bench.manifest()).unwrap();
    fs::remove_file(bench.manifest()).unwrap();
    bench.shared.reload().await;
    bench.turn("backoffice").await;
    fs::write(bench.manifest(), declared).unwrap();
    bench.shared.reload().await;
    let looks = || bench.shared.host.world(|world| world.container.unwrap().looks);
    let before = looks();
    bench.is_full("trail");
    let mut waiting = bench.shared.waiters.wait_for("backoffice", false);
    assert_eq!(bench.wait_after_turn().await, UNSAID);
    assert_eq!((looks(), bench.ready_reason().as_str()), (before, "NotWatched"));
    let session = bench.shared.memory.take("backoffice").expect("what is remembered is not lost over it");
    bench.shared.memory.put("backoffice", session);
    let heard = waiting.recv().await;
    let Some(crate::daemon::Reply::Outcome(outcome)) = heard else { panic!("no outcome: {heard:?}") };
    assert!(outcome.error.unwrap().contains("the disk is full"), "a person is not left to wait");
    bench.has_room();
    bench.wait_at_rest().await;
    assert_eq!(bench.manifests_changed(), ["removed", "restored"]);
    assert_ne!(bench.ready_reason(), "NotWatched");
    assert!(looks() > before);
}

#[tokio::test(start_paused = true)]
async fn what_nothing_declares_is_said_later_where_it_could_not_be_said() {
    let bench = bench().await;
    bench.shared.objects.leave_undecided("gone");
    bench.is_full("trail");
    bench.shared.reload().await;
    bench.has_room();
    assert_eq!(bench.manifests_changed(), [""; 0]);
    let _reading = tokio::spawn(Arc::clone(&bench.shared).read_again(stream::pending()));
    let said = async {
        while bench.manifests_changed().is_empty() {
            tokio::time::sleep(SECOND).await;
        }
    };
    tokio::time::timeout(60 * SECOND, said).await.unwrap();
    assert_eq!(bench.manifests_changed(), ["removed"]);
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(bench.manifests_changed(), ["removed"], "once");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_an_object_that_was_just_removed_does_not_wait_for_ever() {
    let bench = bench().await;
    fs::remove_file(bench.manifest()).unwrap();
    bench.shared.reload().await;
    let mut waiting = bench.shared.waiters.wait_for("backoffice", false);
    bench.turn("backoffice").await;
    assert_eq!(tokio::time::timeout(SECOND, waiting.recv()).await, Ok(None), "the connection ends");
}

#[tokio::test(start_paused = true)]
async fn the_trail_has_its_end_where_a_status_cannot_be_written() {
    let bench = Bench::new(World::incident());
    assert_eq!(bench.turn("backoffice").await, Requeue::Now);
    bench.is_full("objects");
    let error = bench.shared.record_end(&End::Signal("SIGTERM")).unwrap_err();
    assert!(
        error.to_string().contains("the disk is full") || with_causes(&error).contains("full"),
        "{error}"
    );
    let last = bench.shared.store.records(&RecordFilter::default()).unwrap().pop().unwrap();
    assert_eq!(last.kind, "Stopped");
}
