//! Proofs that a record is in the trail, by [tlog-proof](https://c2sp.org/tlog-proof): one text with the record's place, the
//! inclusion proof and the checkpoint. Whoever has the record and the log's key verifies it offline.

use std::{fmt, str::FromStr};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    encoding::{from_base64, from_decimal},
    hash::Hash,
    key::VerifierKey,
    note::{NoteError, SignedNote},
    tree::{LeafPosition, ProofError, TreeHead, verify_inclusion},
};

/// The first line.
const VERSION: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes that a proof can have: one per level of the largest tree.
const MOST_HASHES: usize = 64;

/// Why a text proves nothing of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordProofError {
    /// It does not begin with the line of this version.
    #[error("the first line of a proof is {VERSION}")]
    Version,
    /// Its extra data are empty or no base64.
    #[error("the extra data are no base64")]
    Extra,
    /// It has no line with the index.
    #[error("a proof states the index of its record, a number without leading zeros")]
    Index,
    /// A line of the proof is no hash in base64, or there are too many.
    #[error("hash {0} of the proof is none")]
    Hash(usize),
    /// The checkpoint is missing, or no note.
    #[error("the proof's checkpoint cannot be read")]
    Note(#[source] NoteError),
    /// The checkpoint is not one by the key.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It is about another record's place.
    #[error("the proof is of index {found}, not of {wanted}")]
    OtherIndex {
        /// The index that it should prove.
        wanted: u64,
        /// The index that it states.
        found: u64,
    },
    /// The checkpoint is of a tree without such a leaf.
    #[error("the checkpoint's tree has {size} leaves, and none of index {index}")]
    BeyondTheTree {
        /// The index that it states.
        index: u64,
        /// The size of the checkpoint's tree.
        size: u64,
    },
    /// The hashes do not lead from the record to the checkpoint's root.
    #[error("the record is not in the checkpoint's tree")]
    Path(#[from] ProofError),
}

/// A proof that a record is in the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProof {
    /// The place of the record's leaf, from 0 on: a record's `seq` - 1.
    pub index: u64,
    /// The [inclusion proof](super::tree::inclusion_proof) in the checkpoint's tree.
    pub path: Vec<Hash>,
    /// The checkpoint, signed.
    pub checkpoint: SignedNote,
}

impl RecordProof {
    /// Verifies that the trail of this key has the record in this place, and returns the tree that has it.
    ///
    /// # Errors
    /// [`RecordProofError`].
    pub fn verify(&self, record: &[u8], index: u64, key: &VerifierKey) -> Result<TreeHead, RecordProofError> {
        if self.index != index {
            return Err(RecordProofError::OtherIndex { wanted: index, found: self.index });
        }
        let head = Checkpoint::open(&self.checkpoint, key)?;
        let position = LeafPosition::new(index, head.size)
            .ok_or(RecordProofError::BeyondTheTree { index, size: head.size })?;
        verify_inclusion(Hash::of_leaf(record), position, &self.path, head.root)?;
        Ok(head)
    }
}

impl fmt::Display for RecordProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{VERSION}\nindex {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Extra data are read over: nothing authenticates them.
impl FromStr for RecordProof {
    type Err = RecordProofError;

    fn from_str(text: &str) -> Result<Self, RecordProofError> {
        let (version, rest) = text.split_once('\n').ok_or(RecordProofError::Version)?;
        if version != VERSION {
            return Err(RecordProofError::Version);
        }
        let rest = without_extra(rest)?;
        let (index, rest) = rest.split_once('\n').ok_or(RecordProofError::Index)?;
        let index = index.strip_prefix("index ").and_then(from_decimal).ok_or(RecordProofError::Index)?;
        let (path, checkpoint) = read_path(rest)?;
        let checkpoint = checkpoint.parse().map_err(RecordProofError::Note)?;
        Ok(Self { index, path, checkpoint })
    }
}

fn without_extra(text: &str) -> Result<&str, RecordProofError> {
    let Some(rest) = text.strip_prefix("extra ") else { return Ok(text) };
    let (extra, rest) = rest.split_once('\n').ok_or(RecordProofError::Extra)?;
    let is_data = from_base64(extra).is_some_and(|data| !data.is_empty());
    if is_data { Ok(rest) } else { Err(RecordProofError::Extra) }
}

/// The hashes up to the first empty line, and what follows it.
fn read_path(text: &str) -> Result<(Vec<Hash>, &str), RecordProofError> {
    let (mut path, mut rest) = (Vec::new(), text);
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if line.is_empty() {
            break;
        }
        let hash = Hash::from_base64(line).filter(|_| path.len() < MOST_HASHES);
        path.push(hash.ok_or(RecordProofError::Hash(path.len() + 1))?);
    }
    Ok((path, rest))
}

#[cfg(test)]
mod tests;
