//! Routes that are asked again after their verification: `verify.watchFor`.

use chrono::TimeDelta;

use super::*;

const UP: Step = Step::Up { force_recreate: false };

/// The same declaration with a watch of so long.
fn watching(watch_for: &str) -> Desired {
    desired_with(&json!({
        "verify": { "timeout": "10s", "stableFor": "1s", "watchFor": watch_for },
        "backoff": { "initial": "10s", "max": "10m" },
        "attempts": 3,
        "interval": "24h",
    }))
}

/// As declared on image 1, and somebody has built image 2 by hand.
fn with_a_new_image() -> ReconcilerFixture {
    let mut world = World::new();
    world.by_hand(Hand::GainModule);
    world.compose_up_build();
    world.by_hand(Hand::Edit);
    world.take(Step::Build { no_cache: false }, None);
    world.log.clear();
    ReconcilerFixture::new(world)
}

/// Reconciles as a daemon does that only these times wake, until none is left or undrift gave up. Returns how many seconds
/// after the first rest each look was, and whether it was reconciled at its end. `meanwhile` is called before each wait, with
/// the seconds until its end.
fn as_a_daemon(
    fixture: &ReconcilerFixture,
    desired: &Desired,
    meanwhile: impl Fn(&mut World, i64),
) -> (Vec<i64>, bool) {
    fixture.run(|reconciler| async move {
        let mut session = Session::new((reconciler.clock)());
        let (mut looks, mut first): (Vec<i64>, Option<Time>) = (Vec::new(), None);
        loop {
            let now = (reconciler.clock)();
            looks.extend(first.map(|first| (now - first).num_seconds()));
            let outcome = Box::pin(reconciler.reconcile_once(desired, &mut session)).await.unwrap();
            let next = match outcome.action {
                Action::Again => continue,
                Action::At(at) => at,
                Action::Stalled => return (looks, outcome.reconciled),
                _ => match outcome.latest {
                    Some(at) => at,
                    None => return (looks, outcome.reconciled),
                },
            };
            let first = *first.get_or_insert(now);
            reconciler.host.world(|world| meanwhile(world, (next - first).num_seconds()));
            reconciler.wait_until(next).await;
        }
    })
}

fn steps(fixture: &ReconcilerFixture) -> Vec<Step> {
    fixture.host.world(|world| world.log.clone())
}

#[test]
fn routes_are_asked_again_ever_less_often_until_the_watch_is_over() {
    for (watch_for, expected) in [("0s", vec![]), ("5s", vec![5]), ("10m", vec![30, 120, 480, 600])] {
        let fixture = with_a_new_image();
        let (looks, reconciled) = as_a_daemon(&fixture, &watching(watch_for), |_, _| {});
        // The verification ends a moment before the rest begins.
        let near = |(look, expected): (&i64, &i64)| (look - expected).abs() <= 1;
        assert!(
            looks.len() == expected.len() && looks.iter().zip(&expected).all(near),
            "{watch_for}: {looks:?}"
        );
        assert!(reconciled && steps(&fixture) == [UP], "{watch_for}");
    }
}

#[test]
fn a_new_undrift_goes_on_with_the_watch() {
    let mut fixture = with_a_new_image();
    assert!(fixture.apply_as(&watching("10m")).reconciled);
    fixture.restart();
    fixture.host.clock.advance(TimeDelta::seconds(300));
    let (looks, _) = as_a_daemon(&fixture, &watching("10m"), |_, _| {});
    assert!(matches!(looks[..], [179..=180, 299..=300]), "of the verification 480 and 600: {looks:?}");
}

#[test]
fn apply_waits_for_no_watch() {
    let fixture = with_a_new_image();
    let began = fixture.host.clock.now();
    assert!(fixture.apply_as(&watching("10m")).reconciled);
    assert!(fixture.host.clock.now() - began < TimeDelta::seconds(30));
}

#[test]
fn a_route_that_fails_within_the_watch_has_the_previous_image_back() {
    for (watch_for, fails_before, is_rolled_back) in
        [("10m", 120, true), ("10m", 600, true), ("0s", 0, false)]
    {
        let fixture = with_a_new_image();
        let desired = watching(watch_for);
        let (looks, _) = as_a_daemon(&fixture, &desired, |world, until| {
            if until >= fails_before - 1 {
                world.newest_with_route = Some(1);
            }
        });
        if !is_rolled_back {
            fixture.host.world(|world| world.newest_with_route = Some(1));
            fixture.apply_as(&desired);
            assert!(!steps(&fixture).contains(&Step::Rollback), "{:?}", steps(&fixture));
            continue;
        }
        assert_eq!(steps(&fixture), [UP, Step::Rollback], "{looks:?}");
        assert_eq!(fixture.host.world(|world| world.container.unwrap().image.id), 1);
        let incidents = fixture.store.incidents(None).unwrap().into_iter();
        let outcomes: Vec<_> = incidents.map(|incident| incident.outcome).collect();
        assert_eq!(outcomes, [Some(IncidentOutcome::Stalled), Some(IncidentOutcome::Reconciled)]);
        assert_eq!(fixture.count(AuditKind::RolledBack), 1);
    }
}

#[test]
fn a_route_that_fails_without_a_repair_before_it_is_a_drift_like_any_other() {
    let mut world = World::new();
    world.by_hand(Hand::GainModule);
    world.compose_up_build();
    world.log.clear();
    let fixture = ReconcilerFixture::new(world);
    as_a_daemon(&fixture, &watching("10m"), |world, until| world.faults.route_lost = until >= 119);
    assert!(
        !steps(&fixture).is_empty() && !steps(&fixture).contains(&Step::Rollback),
        "{:?}",
        steps(&fixture)
    );
}
