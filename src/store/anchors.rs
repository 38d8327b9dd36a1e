//! What the trail knows of the anchors: the checkpoints that they have. A restart goes on from there.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{RecordFilter, Store, error::Result, reader::Order};
use crate::{
    api::{AuditKind, Event, RecordedEvent},
    tlog::{hash::Hash, tree::TreeHead},
};

/// What the last records say of an anchor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnchorState {
    /// The last checkpoint that it has.
    pub delivered: Option<TreeHead>,
    /// Whether a later delivery failed.
    pub is_failing: bool,
}

impl Store {
    /// The state of each of these anchors, by their names.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn anchor_states(&self, names: &[String]) -> Result<BTreeMap<String, AnchorState>> {
        let mut open: BTreeMap<String, AnchorState> =
            names.iter().map(|name| (name.clone(), AnchorState::default())).collect();
        let mut states = BTreeMap::new();
        let kinds = [AuditKind::Anchored, AuditKind::AnchorFailed];
        self.read_as(&RecordFilter::default(), &kinds, Order::NewestFirst, |stored| {
            match RecordedEvent::try_from(&stored.into_record()).map(|recorded| recorded.event) {
                Ok(Event::AnchorFailed { anchor, .. }) => {
                    if let Some(state) = open.get_mut(&anchor) {
                        state.is_failing = true;
                    }
                }
                Ok(Event::Anchored(anchored)) => {
                    if let Some(mut state) = open.remove(&anchored.anchor) {
                        let root = Hash::from_base64(&anchored.root);
                        state.delivered = root.map(|root| TreeHead { size: anchored.size, root });
                        states.insert(anchored.anchor, state);
                    }
                }
                _ => {}
            }
            if open.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        states.append(&mut open);
        Ok(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{Anchored, NewRecord},
        store::testing,
    };

    #[test]
    fn the_state_of_an_anchor_is_that_of_its_last_records() {
        let (_home, store) = testing::store();
        let root = Hash::of_leaf(b"");
        let anchored = |anchor: &str, size| {
            let anchored = Anchored { anchor: anchor.into(), size, root: root.to_base64() };
            store.append(&NewRecord::anchored(&anchored)).unwrap();
        };
        let failed = |anchor: &str, size| {
            store.append(&NewRecord::anchor_failed(anchor, size, "it is full")).unwrap();
        };
        anchored("journal", 1);
        anchored("file:/a", 1);
        failed("journal", 2);
        failed("file:/b", 2);
        anchored("file:/a", 2);
        let names = ["journal", "file:/a", "file:/b", "file:/c"].map(str::to_owned);
        let states = store.anchor_states(&names).unwrap();
        let state = |size: Option<u64>, is_failing| AnchorState {
            delivered: size.map(|size| TreeHead { size, root }),
            is_failing,
        };
        let expected = [state(Some(1), true), state(Some(2), false), state(None, true), state(None, false)];
        assert_eq!(names.clone().map(|name| states[&name]), expected);
        assert_eq!(store.anchor_states(&[]).unwrap(), BTreeMap::new());
    }
}
