//! The digest of the inputs of an image's build, and the comparison of two of them.
//!
//! It is one text, because it is kept in the state and in attempts: `FORM:OWN`, or `FORM:OWN+BASES` for an image that is built on
//! those of other services. `FORM` is the rule of the digests (`v1:sha256`), `OWN` the digest of the service's own build, `BASES`
//! that of the builds below it. `FORM:FIRST..LAST` is that of a torn build: its inputs had one digest before it and another one
//! after it, so nobody knows what it read, and it equals no digest.

/// How the present source compares with an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceComparison {
    /// No change is known.
    Same,
    /// It has changed.
    Changed,
    /// The two were made by different rules, which give different digests for the same source: otherwise an upgrade of
    /// undrift would rebuild everything.
    OtherRule,
}

/// A digest with that of the builds below it.
#[must_use]
pub fn on_bases(own: &str, bases: &str) -> String {
    format!("{own}+{bases}")
}

/// Compares the earlier source with the present one. If only one of them covers builds below it, these are not compared:
/// their earlier state is unknown, or their present one does not matter.
#[must_use]
pub fn compare_sources(then: &str, now: &str) -> SourceComparison {
    let ((form, own, bases), (form_now, own_now, bases_now)) = (parts(then), parts(now));
    if form != form_now {
        return SourceComparison::OtherRule;
    }
    let bases_differ = bases.zip(bases_now).is_some_and(|(then, now)| then != now);
    if own != own_now || bases_differ { SourceComparison::Changed } else { SourceComparison::Same }
}

/// Whether the present digest covers builds below it and the earlier one does not.
#[must_use]
pub fn knows_less(then: &str, now: &str) -> bool {
    parts(then).2.is_none() && parts(now).2.is_some()
}

/// Between the two digests of a torn build.
const TORN: &str = "..";

/// The digest of an image whose inputs had these digests before and after its build.
#[must_use]
pub fn built_between(before: &str, after: &str) -> String {
    if compare_sources(before, after) != SourceComparison::Changed {
        return before.to_owned();
    }
    let ((form, first, _), (_, last, _)) = (parts(before), parts(after));
    let form = if form.is_empty() { String::new() } else { format!("{form}:") };
    format!("{form}{first}{TORN}{last}")
}

/// Whether it is that of a torn build.
#[must_use]
pub fn is_torn(digest: &str) -> bool {
    digest.contains(TORN)
}

fn parts(digest: &str) -> (&str, &str, Option<&str>) {
    let (form, rest) = digest.rsplit_once(':').unwrap_or(("", digest));
    match rest.split_once('+') {
        Some((own, bases)) => (form, own, Some(bases)),
        None => (form, rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_build_equals_no_source_and_a_whole_one_the_source_that_it_had() {
        let (one, two) = ("v1:sha256:1", "v1:sha256:2");
        assert_eq!(built_between(one, one), one);
        assert_eq!(built_between(one, &on_bases(one, "b")), one, "bases that were not known before");
        assert_eq!(built_between(one, "v2:sha256:9"), one, "another rule says nothing");
        let on = |bases| on_bases(one, bases);
        for (before, after) in
            [(one.to_owned(), two.to_owned()), (on("a"), on("b")), (on("a"), on_bases(two, "a"))]
        {
            let torn = built_between(&before, &after);
            assert!(is_torn(&torn) && !is_torn(&before), "{torn}");
            for now in [&before, &after, &torn.replace(TORN, "")] {
                assert_eq!(compare_sources(&torn, now), SourceComparison::Changed, "{torn} {now}");
            }
        }
    }

    #[test]
    fn a_change_is_one_of_the_build_or_of_what_is_below_it() {
        use SourceComparison::{Changed, OtherRule, Same};
        let on = |bases| on_bases("v1:sha256:1", bases);
        for (then, now, expected) in [
            ("v1:sha256:1".to_owned(), "v1:sha256:1".to_owned(), Same),
            ("v1:sha256:1".into(), "v1:sha256:2".into(), Changed),
            ("v1:sha256:1".into(), "v2:sha256:1".into(), OtherRule),
            (on("a"), on("a"), Same),
            (on("a"), on("b"), Changed),
            (on("a"), on_bases("v1:sha256:2", "a"), Changed),
            ("v1:sha256:1".into(), on("a"), Same),
            (on("a"), "v1:sha256:1".into(), Same),
            ("v1:sha256:2".into(), on("a"), Changed),
        ] {
            assert_eq!(compare_sources(&then, &now), expected, "{then} {now}");
        }
        assert!(knows_less("v1:sha256:1", &on("a")) && !knows_less(&on("a"), &on("b")));
        assert!(!knows_less("v1:sha256:1", "v1:sha256:1"));
    }
}
