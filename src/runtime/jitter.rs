//! Waits that do not line up.

use std::time::Duration;

/// An interval between 90 % and 110 % of `interval`, the same for the same `seed`.
///
/// Objects that begin together, as all do when undrift starts, would otherwise be observed together for ever, and the engine
/// would have a storm at every interval and nothing between. Drawing each wait anew makes them drift apart.
///
/// The caller chooses the seed, so that results can be repeated: a hash of the key with the time, or a counter. Neighbouring
/// seeds give waits that are far apart.
#[must_use]
pub fn jittered(interval: Duration, seed: u64) -> Duration {
    const STEPS: u32 = 1_000;
    let (tenth, step) = (interval / 10, mixed(seed) % u64::from(STEPS + 1));
    // Divided before it is multiplied: nothing overflows, and the loss is less than a microsecond.
    let above = (tenth * 2 / STEPS) * u32::try_from(step).unwrap_or(STEPS);
    (tenth * 9).saturating_add(above)
}

/// The output function of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): every bit of the seed matters to every bit.
const fn mixed(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_jittered_wait_is_within_a_tenth_of_the_interval(nanos in 0..=u64::MAX, seed: u64) {
            let interval = Duration::from_nanos(nanos);
            let wait = jittered(interval, seed);
            let slack = Duration::from_micros(1);
            prop_assert!(wait + slack >= interval / 10 * 9 && wait <= interval / 10 * 11 + slack, "{wait:?}");
            prop_assert_eq!(wait, jittered(interval, seed));
        }
    }

    #[test]
    fn seeds_next_to_each_other_spread_over_the_whole_width() {
        let interval = Duration::from_secs(1_000);
        let waits: BTreeSet<Duration> = (0..100).map(|seed| jittered(interval, seed)).collect();
        assert!(waits.len() > 90, "{} different waits of 100", waits.len());
        assert!(waits.first() < Some(&Duration::from_secs(910)), "{:?}", waits.first());
        assert!(waits.last() > Some(&Duration::from_secs(1_090)), "{:?}", waits.last());
    }

    #[test]
    fn the_longest_interval_does_not_overflow() {
        assert!(jittered(Duration::MAX, 3) >= Duration::MAX / 10 * 9);
    }
}
