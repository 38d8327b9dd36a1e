//! The verification of proofs. It needs no tree, and shares nothing with the code that makes proofs but the hashes.

use super::{LeafPosition, TreeHead};
use crate::tlog::hash::Hash;

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A tree without leaves has one root only.
    #[error("an empty tree has another root")]
    NotTheEmptyRoot,
    /// The older tree is the larger one.
    #[error("a tree of {older} leaves is not the beginning of one of {newer}")]
    NotOlder {
        /// The size of the tree that should be the older one.
        older: u64,
        /// The size of the other.
        newer: u64,
    },
    /// The proof has more or fewer hashes than one for these sizes.
    #[error("the proof does not have as many hashes as one of this position has")]
    WrongLength,
    /// The hashes lead to another root than that of the tree.
    #[error("the proof leads to another root")]
    OtherRoot,
    /// The hashes lead to another root than that of the older tree.
    #[error("the proof leads to another root of the older tree")]
    OtherOlderRoot,
}

/// Verifies that the tree has this leaf in this place (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`ProofError::WrongLength`], [`ProofError::OtherRoot`].
pub fn verify_inclusion(
    leaf: Hash,
    position: LeafPosition,
    proof: &[Hash],
    root: Hash,
) -> Result<(), ProofError> {
    let (mut node, mut last) = (position.index, position.size - 1);
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node % 2 == 1 || node == last {
            hash = Hash::of_node(sibling, &hash);
            skip_levels_without_sibling(&mut node, &mut last);
        } else {
            hash = Hash::of_node(&hash, sibling);
        }
        (node, last) = (node / 2, last / 2);
    }
    ends_at(last, hash, root, ProofError::OtherRoot)
}

/// Verifies that the newer tree begins with the leaves of the older one (RFC 9162, section 2.1.4.2). The proof is empty if the
/// sizes are equal, and if the older tree is empty.
///
/// # Errors
/// Every [`ProofError`].
pub fn verify_consistency(older: TreeHead, newer: TreeHead, proof: &[Hash]) -> Result<(), ProofError> {
    for tree in [older, newer] {
        if tree.size == 0 && tree.root != Hash::EMPTY_ROOT {
            return Err(ProofError::NotTheEmptyRoot);
        }
    }
    if older.size > newer.size {
        return Err(ProofError::NotOlder { older: older.size, newer: newer.size });
    }
    if older.size == 0 || older.size == newer.size {
        let same_root = older.size == 0 || older.root == newer.root;
        return match (proof, same_root) {
            ([], true) => Ok(()),
            ([], false) => Err(ProofError::OtherRoot),
            _ => Err(ProofError::WrongLength),
        };
    }
    // A complete older tree is a node of the newer one, so that its proof does not repeat its root.
    let (start, rest) = if older.size.is_power_of_two() {
        (older.root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::WrongLength)?;
        (*first, rest)
    };
    grow(older, newer, start, rest)
}

/// From the largest subtree at the older tree's right edge that both trees have, to both roots.
fn grow(older: TreeHead, newer: TreeHead, start: Hash, rest: &[Hash]) -> Result<(), ProofError> {
    let complete = (older.size - 1).trailing_ones();
    let (mut node, mut last) = ((older.size - 1) >> complete, (newer.size - 1) >> complete);
    let (mut old_hash, mut new_hash) = (start, start);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node % 2 == 1 || node == last {
            old_hash = Hash::of_node(sibling, &old_hash);
            new_hash = Hash::of_node(sibling, &new_hash);
            skip_levels_without_sibling(&mut node, &mut last);
        } else {
            new_hash = Hash::of_node(&new_hash, sibling);
        }
        (node, last) = (node / 2, last / 2);
    }
    ends_at(last, old_hash, older.root, ProofError::OtherOlderRoot)?;
    ends_at(last, new_hash, newer.root, ProofError::OtherRoot)
}

/// A node at the right edge without a sibling is its own parent: the proof has no hash for such a level.
const fn skip_levels_without_sibling(node: &mut u64, last: &mut u64) {
    while node.is_multiple_of(2) && *node != 0 {
        (*node, *last) = (*node / 2, *last / 2);
    }
}

/// `last` is the number of the last node of the level that was reached: 0 at the root.
fn ends_at(last: u64, hash: Hash, root: Hash, otherwise: ProofError) -> Result<(), ProofError> {
    match (last == 0, hash == root) {
        (true, true) => Ok(()),
        (true, false) => Err(otherwise),
        (false, _) => Err(ProofError::WrongLength),
    }
}
