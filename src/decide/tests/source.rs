//! What it means that the source has changed since the build, by policy.

use super::*;
use crate::api::SourceDrift;

/// What the artifact layer says of `api`, whose image was built from another source, or from one that nobody knows.
fn artifact(policy: SourceDrift, now: Fact<Option<String>>) -> LayerVerdict {
    let (mut desired, mut seen) = (desired(), healthy());
    desired.object.spec.source.drift = policy;
    seen.services[0].source.digest = now;
    seen.services[0].artifact.built_from = Some("sha256:source-1".into());
    with_history(&desired, &seen, &history()).services[0].layer(Layer::Artifact).clone()
}

#[test]
fn a_changed_source_is_ignored_reported_or_drift_as_declared() {
    let changed = |policy| artifact(policy, Fact::Known(Some("sha256:source-2".into())));
    assert_eq!(changed(SourceDrift::Ignore), LayerVerdict::AsDeclared(None), "not even said");
    let reported = changed(SourceDrift::Report);
    assert!(matches!(&reported, LayerVerdict::AsDeclared(Some(_))), "{reported:?}");
    let enforced = changed(SourceDrift::Enforce);
    assert!(matches!(&enforced, LayerVerdict::Broken(Reason::SourceChanged, _)), "{enforced:?}");
}

#[test]
fn a_source_that_cannot_be_read_is_unknown_only_where_it_is_enforced() {
    let unread = |policy| artifact(policy, Fact::unknown("no such folder"));
    assert_eq!(unread(SourceDrift::Ignore), LayerVerdict::AsDeclared(None));
    assert_eq!(unread(SourceDrift::Report), LayerVerdict::AsDeclared(None));
    let enforced = unread(SourceDrift::Enforce);
    assert!(matches!(&enforced, LayerVerdict::Unknown(_)), "{enforced:?}");
}
