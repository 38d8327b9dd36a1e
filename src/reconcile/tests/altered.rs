//! A state that a stranger has altered: undrift neither acts on nor reports anything that it did not write.

use rusqlite::Connection;

use super::*;
use crate::{
    api::{ConditionType, ResolvedFrom},
    store::{VerifiedFrom, testing},
};

fn alter(fixture: &ReconcilerFixture, sql: &str) {
    let db = Connection::open(fixture.dir.path().join("state.db")).unwrap();
    assert!(db.execute(sql, []).unwrap() > 0, "{sql}");
}

fn differs(fixture: &ReconcilerFixture) -> bool {
    matches!(fixture.store.verify().unwrap(), Verification::Differs { .. })
}

/// Reconciled, and observed once more, so that the first observation has something to find.
fn reconciled() -> ReconcilerFixture {
    let fixture = ReconcilerFixture::new(World::incident());
    assert!(fixture.apply().reconciled);
    fixture
}

#[test]
fn an_object_altered_to_reconciled_is_verified_before_it_is_reported_so() {
    let fixture = reconciled();
    // Somebody else's container of the very image, which no window has observed.
    fixture.host.world(|world| {
        world.by_hand(Hand::Remove);
        world.take(Step::Up { force_recreate: false }, None);
    });
    let id = fixture.host.world(|world| world.container.unwrap().id);
    let started = fixture
        .host
        .world(|world| crate::testing::fixtures::at(world.container.unwrap().starts + 100 * i64::from(id)));
    let container = format!("container-{id}");
    alter(
        &fixture,
        &format!(
            "UPDATE objects SET object = json_set(object, '$.status.services[0].containers[0].id', '{container}',
             '$.status.services[0].containers[0].startedAt', '{}')",
            started.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        ),
    );
    assert!(differs(&fixture));
    let began = fixture.host.clock.now();
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled);
    let took = fixture.host.clock.now() - began;
    assert!(took >= chrono::TimeDelta::seconds(1), "it was watched for the whole window: {took}");
    assert!(!differs(&fixture));
}

/// Image 2 has been brought up in place of image 1, and verified.
fn replaced() -> ReconcilerFixture {
    let mut world = World::new();
    world.by_hand(Hand::GainModule);
    world.take(Step::Build { no_cache: false }, None);
    world.take(Step::Up { force_recreate: false }, None);
    world.by_hand(Hand::Edit);
    world.take(Step::Build { no_cache: false }, None);
    world.log.clear();
    let fixture = ReconcilerFixture::new(world);
    assert!(fixture.apply().reconciled);
    fixture
}

#[test]
fn nothing_is_rolled_back_to_an_image_that_a_stranger_wrote_into_an_incident_that_is_over() {
    for altered in [false, true] {
        let fixture = replaced();
        if altered {
            // The same image, in other bytes: undrift does not trust a row that it did not write, even if it is right.
            testing::unpack_evidence(fixture.dir.path());
            alter(&fixture, "UPDATE incidents SET before = replace(before, '\"running\"', '\"running\" ')");
        }
        assert_eq!(differs(&fixture), altered);
        fixture.host.world(|world| {
            world.faults.new_crashes = true;
            world.container.iter_mut().for_each(|container| container.crashes += 1);
        });
        assert!(fixture.apply().error.is_none());
        let rolled_back = fixture.host.world(|world| world.log.contains(&Step::Rollback));
        let image = fixture.host.world(|world| world.container.unwrap().image.id);
        if altered {
            assert!(!rolled_back && image != 1, "{:?}", fixture.kinds());
        } else {
            assert!(rolled_back && image == 1, "{:?}", fixture.kinds());
        }
    }
}

#[test]
fn an_altered_source_digest_of_an_image_is_no_reason_to_build() {
    let enforced = || {
        let mut desired = desired();
        desired.object.spec.source.drift = crate::api::SourceDrift::Enforce;
        desired
    };
    let fixture = ReconcilerFixture::new(World::incident());
    assert!(fixture.apply_as(&enforced()).reconciled);
    let before = fixture.host.world(|world| world.log.len());
    alter(&fixture, "UPDATE images SET source_digest = 'sha256:another'");
    assert!(differs(&fixture));
    let applied = fixture.apply_as(&enforced());
    fixture.assert_honest(&applied);
    assert_eq!(fixture.host.world(|world| world.log.len()), before, "no build");
    assert!(!differs(&fixture));
}

#[test]
fn without_what_was_verified_from_a_caller_takes_no_step_until_a_person_accepts_the_environment() {
    for sql in ["DELETE FROM verified_from", "UPDATE verified_from SET digests = 'null'"] {
        let fixture = reconciled();
        let from = ResolvedFrom::new([].into(), [].into(), "1".into());
        fixture.store.save_verified_from("backoffice", &from).unwrap();
        alter(&fixture, sql);
        assert!(differs(&fixture), "{sql}");
        fixture.host.world(|world| world.by_hand(Hand::Stop));
        let before = fixture.host.world(|world| world.log.len());
        let applied = fixture.apply();
        assert!(!applied.reconciled);
        let mut conditions = applied.object.status.conditions.iter();
        let reconciling = conditions.find(|c| c.kind == ConditionType::Reconciling).unwrap();
        assert_eq!(reconciling.reason, "EnvironmentDiffers", "{sql}");
        assert!(reconciling.message.contains("--accept-environment"), "{}", reconciling.message);
        assert_eq!(fixture.host.world(|world| world.log.len()), before, "{sql}");
        assert_eq!(fixture.store.verified_from("backoffice").unwrap(), VerifiedFrom::Altered);

        let accepted = fixture.run(|reconciler| async move {
            let reconciler = Reconciler { environment: EnvironmentTrust::Declared, ..reconciler };
            reconciler.apply(&desired()).await
        });
        assert!(accepted.reconciled, "{sql}: {:?}", fixture.kinds());
    }
}
