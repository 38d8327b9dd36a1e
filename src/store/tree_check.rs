//! Whether the stored tree and the checkpoints agree with the records, along a walk of them.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{
    checkpoints::checkpoints_in,
    ledger::Check,
    segment::Segment,
    trail::StoredRecord,
    tree::{StoredNodes, form_of, origin_in, size_in},
};
use crate::tlog::{
    checkpoint::Checkpoint,
    hash::Hash,
    key::VerifierKey,
    note::{NoteError, SignedNote},
    tree::{Frontier, NodeId, Nodes as _, TreeHead},
};

/// How many differences to report: one is enough to act on.
const MOST: usize = 10;

/// The check of the tree along a walk.
pub(super) struct TreeCheck<'d> {
    db: &'d Connection,
    frontier: Frontier,
    /// The keys of this trail, newest first; none if this user may read none.
    keys: Vec<VerifierKey>,
    /// How many records the stored tree has.
    stored: u64,
    /// Whether it has ever had all records: it then grows with each further one.
    is_complete: bool,
    /// What somebody states about the trail, by its size: who states it, and the root.
    stated: BTreeMap<u64, Vec<(String, Hash)>>,
    /// Whether a stored checkpoint was compared.
    has_stored: bool,
    what: Vec<String>,
    /// See [`incomparable`](Self::incomparable).
    incomparable: Option<String>,
}

impl<'d> TreeCheck<'d> {
    /// Of the stored checkpoints and of the ones that were kept elsewhere, under the keys of this trail, newest first.
    pub(super) fn of(
        db: &'d Connection,
        keys: Vec<VerifierKey>,
        kept: &[KeptCheckpoint],
    ) -> rusqlite::Result<Self> {
        let checkpoints = checkpoints_in(db)?;
        let mut check = Self {
            db,
            keys,
            frontier: Frontier::default(),
            stored: size_in(db)?,
            is_complete: !checkpoints.is_empty(),
            stated: BTreeMap::new(),
            has_stored: false,
            what: Vec::new(),
            incomparable: None,
        };
        check.take_stored(checkpoints);
        let is_signed = origin_in(db)?.is_some();
        for kept in kept {
            check.take_kept(kept, is_signed);
        }
        let size_zero = check.frontier.head();
        check.compare(size_zero);
        Ok(check)
    }

    fn take_stored(&mut self, checkpoints: Vec<(u64, String)>) {
        for (size, note) in checkpoints {
            let name = format!("the stored checkpoint of {size} records");
            if !self.keys.is_empty() && self.state(&name, note.parse()).is_some_and(|stated| stated != size) {
                self.what.push(format!("{name} is one of another number of records"));
            }
        }
    }

    /// `is_signed`: whether the trail has ever had a checkpoint.
    fn take_kept(&mut self, kept: &KeptCheckpoint, is_signed: bool) {
        if !is_signed {
            self.what.push(format!("{}: this trail has never had a checkpoint", kept.name));
        } else if self.keys.is_empty() {
            self.incomparable.get_or_insert_with(|| kept.name.clone());
        } else {
            self.state(&kept.name, kept.note.clone());
        }
    }

    /// Keeps what a checkpoint states, and returns of how many records; `None` if it is none of this trail.
    fn state(&mut self, name: &str, note: Result<SignedNote, NoteError>) -> Option<u64> {
        match self.opened(note) {
            Ok((TreeHead { size, root }, is_by_newest)) => {
                let by = if is_by_newest { "" } else { ", signed by an earlier key of this trail," };
                self.stated.entry(size).or_default().push((format!("{name}{by}"), root));
                Some(size)
            }
            Err(why) => {
                self.what.push(format!("{name} is none of this trail: {why}"));
                None
            }
        }
    }

    /// What a checkpoint states, and whether it is by the newest key; in words why it is none of this trail.
    fn opened(&self, note: Result<SignedNote, NoteError>) -> Result<(TreeHead, bool), String> {
        let note = note.map_err(|error| format!("it is no signed note: {error}"))?;
        let not_by = |key: &VerifierKey| matches!(note.verify(key), Err(NoteError::NotSigned(_)));
        let place = self.keys.iter().position(|key| !not_by(key)).unwrap_or_default();
        let head = Checkpoint::open(&note, &self.keys[place]).map_err(|error| error.to_string())?;
        Ok((head, place == 0))
    }

    /// The first checkpoint that was kept elsewhere and cannot be compared, because no key of the trail is at hand.
    pub(super) fn incomparable(&self) -> Option<&str> {
        self.incomparable.as_deref()
    }

    /// What differs, each as a sentence without its full stop.
    pub(super) fn differences(mut self) -> Vec<String> {
        let records = self.frontier.size();
        if self.is_complete && self.stored < records {
            self.what
                .push(format!("the tree over the trail ends at record {}, and cannot grow", self.stored));
        }
        if self.stored > records {
            self.what.push(format!(
                "the tree over the trail has {} records more than the trail",
                self.stored - records
            ));
        }
        for (size, stated) in std::mem::take(&mut self.stated) {
            for (name, _) in stated {
                self.what.push(format!(
                    "{name} covers {size} records, and the trail has {records}: its end was cut off"
                ));
            }
        }
        self.what.truncate(MOST);
        self.what
    }

    /// Compares what is stated about a trail of this size.
    fn compare(&mut self, head: TreeHead) {
        for (name, root) in self.stated.remove(&head.size).unwrap_or_default() {
            if root != head.root {
                let size = head.size;
                self.what.push(format!(
                    "{name} does not fit: one of the first {size} records was another when it was signed"
                ));
            }
        }
    }

    /// Compares the time of the stored checkpoint that ends here with that of its last record, with which it was signed. Only the
    /// first one of a trail may be later: an earlier undrift signed none.
    fn compare_time(&mut self, time: &str) {
        let select = "SELECT time FROM checkpoints WHERE size = ?1";
        let size = i64::try_from(self.frontier.size()).unwrap_or(i64::MAX);
        let read =
            |db: &Connection| db.prepare_cached(select)?.query_row([size], |row| row.get::<_, String>(0));
        // One that was kept elsewhere has no row.
        let Ok(shown) = read(self.db) else { return };
        let is_first = !std::mem::replace(&mut self.has_stored, true);
        let is_same = shown == time || is_first && *shown > *time;
        if !is_same && self.what.len() < MOST {
            let shown = shown.escape_debug();
            self.what.push(format!(
                "the table checkpoints shows time {shown} for the stored checkpoint of {size} records, and by record {size} it is {time}"
            ));
        }
    }

    fn push(&mut self, form: &str, time: &str) {
        let (db, is_stored) = (self.db, self.frontier.size() < self.stored);
        let mut added: Vec<(NodeId, Hash)> = Vec::new();
        self.frontier.push(Hash::of_leaf(form.as_bytes()), |id, hash| added.push((id, hash)));
        for (id, hash) in added.into_iter().filter(|_| is_stored) {
            let found = StoredNodes(db).node(id);
            if found.ok() != Some(hash) && self.what.len() < MOST {
                let first = (id.index << id.level) + 1;
                self.what.push(format!(
                    "the tree over the trail differs from its records, from record {first} on"
                ));
            }
        }
        if self.stated.contains_key(&self.frontier.size()) {
            self.compare(self.frontier.head());
            self.compare_time(time);
        }
    }
}

/// A checkpoint that was kept elsewhere.
#[derive(Debug, Clone)]
pub struct KeptCheckpoint {
    /// How to name it in a sentence.
    pub name: String,
    /// The signed note, or why the text is none.
    pub note: Result<SignedNote, NoteError>,
}

impl Check for TreeCheck<'_> {
    fn record(&mut self, stored: &StoredRecord) -> Option<&'static str> {
        self.push(&form_of(stored), &stored.record.time);
        None
    }

    fn segment(&mut self, _: &Segment) -> rusqlite::Result<()> {
        Ok(())
    }
}

/// Two checks along one walk.
impl<A: Check, B: Check> Check for (A, B) {
    fn record(&mut self, stored: &StoredRecord) -> Option<&'static str> {
        let (first, second) = (self.0.record(stored), self.1.record(stored));
        first.or(second)
    }

    fn segment(&mut self, segment: &Segment) -> rusqlite::Result<()> {
        self.0.segment(segment)?;
        self.1.segment(segment)
    }
}
