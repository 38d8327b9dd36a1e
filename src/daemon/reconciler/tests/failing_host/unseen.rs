//! What delays readiness, and the report on an object that cannot be observed.

use super::*;

#[tokio::test(start_paused = true)]
async fn only_what_is_wrong_with_every_object_holds_readiness_up() {
    for (look, is_ready) in [(ObserveResult::TimesOut, true), (ObserveResult::EngineIsAway, false)] {
        let fixture = fixture(look);
        fixture.reconcile("backoffice").await;
        assert_eq!(fixture.shared.readiness.is_ready(), is_ready, "{look:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_wedged_container_holds_readiness_up_only_until_another_object_was_seen() {
    let fixture = fixture(ObserveResult::EngineIsAway);
    fixture.shared.readiness.expect(vec!["backoffice".into(), "other".into()]);
    fixture.reconcile("backoffice").await;
    fixture.reconcile("other").await;
    assert!(!fixture.shared.readiness.is_ready(), "the engine may have been away then");
    fixture.reconcile("backoffice").await;
    assert!(fixture.shared.readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_of_one_object_and_cannot_be_read_holds_no_readiness_up() {
    let fixture = fixture(ObserveResult::Sees);
    fixture.reconcile("backoffice").await;
    fixture.shared.readiness.expect(vec!["backoffice".into()]);
    let state = rusqlite::Connection::open(fixture.dir.path().join("state.db")).unwrap();
    state.execute_batch("UPDATE objects SET object = '['").unwrap();
    fixture.reconcile("backoffice").await;
    assert!(fixture.shared.readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn without_an_engine_a_manifest_that_is_not_in_effect_is_reported_too() {
    let fixture = fixture(ObserveResult::EngineIsAway);
    fs::write(fixture.dir.path().join("manifests/backoffice.yaml"), "[").unwrap();
    fixture.shared.reload().await;
    fixture.reconcile("backoffice").await;
    let object = fixture.shared.store.object("backoffice").unwrap().unwrap();
    let message = &object.status.conditions[0].message;
    assert!(message.starts_with("no engine answers") && message.contains("backoffice.yaml"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_first_turn_that_fails_in_the_state_is_no_look() {
    let fixture = fixture(ObserveResult::Sees);
    let state = rusqlite::Connection::open(fixture.dir.path().join("state.db")).unwrap();
    let fails =
        "CREATE TRIGGER full BEFORE INSERT ON objects BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
    state.execute_batch(fails).unwrap();
    fixture.reconcile("backoffice").await;
    assert!(!fixture.shared.readiness.is_ready());
    state.execute_batch("DROP TRIGGER full").unwrap();
    fixture.reconcile("backoffice").await;
    assert!(fixture.shared.readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_sent_to_subscribers_with_its_cause() {
    let fixture = fixture(ObserveResult::Sees);
    let mut waiting = fixture.shared.subscribers.subscribe("backoffice");
    fixture.shared.subscribers.begin("backoffice");
    let cause = rusqlite::Error::InvalidParameterName("of this".into());
    let error = ReconcileError::Store(StoreError::Full(cause));
    fixture.shared.failed(&fixture.shared.objects.get("backoffice").unwrap(), &error);
    let Some(Reply::Result(outcome)) = waiting.recv().await else { panic!("no outcome") };
    let message = outcome.error.unwrap();
    assert!(message.contains("the disk is full") && message.contains("of this"), "{message}");
}
