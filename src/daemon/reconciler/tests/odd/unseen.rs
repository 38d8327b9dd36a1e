//! What holds readiness up, and what is said of an object that cannot be seen.

use super::*;

#[tokio::test(start_paused = true)]
async fn only_what_is_wrong_with_every_object_holds_readiness_up() {
    for (look, is_ready) in [(Look::TimesOut, true), (Look::EngineIsAway, false)] {
        let bench = bench(look);
        bench.turn("backoffice").await;
        assert_eq!(bench.shared.readiness.is_ready(), is_ready, "{look:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_wedged_container_holds_readiness_up_only_until_another_object_was_seen() {
    let bench = bench(Look::EngineIsAway);
    bench.shared.readiness.expect(vec!["backoffice".into(), "other".into()]);
    bench.turn("backoffice").await;
    bench.turn("other").await;
    assert!(!bench.shared.readiness.is_ready(), "the engine may have been away then");
    bench.turn("backoffice").await;
    assert!(bench.shared.readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_of_one_object_and_cannot_be_read_holds_no_readiness_up() {
    let bench = bench(Look::Sees);
    bench.turn("backoffice").await;
    bench.shared.readiness.expect(vec!["backoffice".into()]);
    let state = rusqlite::Connection::open(bench.dir.path().join("state.db")).unwrap();
    state.execute_batch("UPDATE objects SET object = '['").unwrap();
    bench.turn("backoffice").await;
    assert!(bench.shared.readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn while_nothing_is_seen_a_manifest_that_is_not_in_effect_is_told_of_too() {
    let bench = bench(Look::EngineIsAway);
    fs::write(bench.dir.path().join("manifests/backoffice.yaml"), "[").unwrap();
    bench.shared.reload().await;
    bench.turn("backoffice").await;
    let object = bench.shared.store.object("backoffice").unwrap().unwrap();
    let message = &object.status.conditions[0].message;
    assert!(message.starts_with("no engine answers") && message.contains("backoffice.yaml"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_first_turn_that_fails_in_the_state_is_no_look() {
    let bench = bench(Look::Sees);
    let state = rusqlite::Connection::open(bench.dir.path().join("state.db")).unwrap();
    let fails =
        "CREATE TRIGGER full BEFORE INSERT ON objects BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
    state.execute_batch(fails).unwrap();
    bench.turn("backoffice").await;
    assert!(!bench.shared.readiness.is_ready());
    state.execute_batch("DROP TRIGGER full").unwrap();
    bench.turn("backoffice").await;
    assert!(bench.shared.readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_person_hears_what_an_error_comes_from() {
    let bench = bench(Look::Sees);
    let mut waiting = bench.shared.waiters.wait_for("backoffice", false);
    bench.shared.waiters.begin("backoffice");
    let cause = rusqlite::Error::InvalidParameterName("of this".into());
    let error = ReconcileError::Store(StoreError::Full(cause));
    bench.shared.failed(&bench.shared.objects.get("backoffice").unwrap(), &error);
    let Some(Reply::Outcome(outcome)) = waiting.recv().await else { panic!("no outcome") };
    let said = outcome.error.unwrap();
    assert!(said.contains("the disk is full") && said.contains("of this"), "{said}");
}
