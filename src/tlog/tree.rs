//! A Merkle tree that only grows: which nodes a leaf adds, the root at any size, and proofs from stored nodes.
//!
//! Only nodes above complete subtrees are stored, because these never change. What stands above an incomplete one is computed
//! when it is needed, from at most one node a level.

use std::collections::HashMap;

use super::hash::Hash;

mod verify;

pub use verify::{ProofError, verify_consistency, verify_inclusion};

/// A node above a complete subtree: that of the 2^`level` leaves from leaf `index` · 2^`level` on. Level 0 are the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    /// How many levels above the leaves; at most 63.
    pub level: u32,
    /// Which one of its level, from 0 on.
    pub index: u64,
}

/// Where the nodes above complete subtrees are stored.
pub trait Nodes {
    /// Why a node cannot be read.
    type Error;

    /// The hash of a node that an earlier [`append`] returned.
    ///
    /// # Errors
    /// If it is missing or cannot be read.
    fn node(&self, id: NodeId) -> Result<Hash, Self::Error>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    type Error = N::Error;

    fn node(&self, id: NodeId) -> Result<Hash, Self::Error> {
        (**self).node(id)
    }
}

/// Nodes in memory.
pub type MemoryNodes = HashMap<NodeId, Hash>;

/// A node that was asked for and is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree has no node {index} at level {level}", index = .0.index, level = .0.level)]
pub struct MissingNode(pub NodeId);

impl Nodes for MemoryNodes {
    type Error = MissingNode;

    fn node(&self, id: NodeId) -> Result<Hash, MissingNode> {
        self.get(&id).copied().ok_or(MissingNode(id))
    }
}

/// The size of a tree and its root: all that a checkpoint states of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The root above them; [`Hash::EMPTY_ROOT`] if there are none.
    pub root: Hash,
}

impl TreeHead {
    /// The head of a tree without leaves.
    pub const EMPTY: Self = Self { size: 0, root: Hash::EMPTY_ROOT };
}

/// The nodes that a leaf with this hash adds to a tree of `size` leaves: the leaf itself, then the subtrees that it completes,
/// upwards. At most 1 + log₂(`size` + 1), on average two.
///
/// # Errors
/// That of the stored nodes. It reads one per subtree that the leaf completes.
pub fn append<N: Nodes>(nodes: &N, size: u64, leaf: Hash) -> Result<Vec<(NodeId, Hash)>, N::Error> {
    let mut added = vec![(NodeId { level: 0, index: size }, leaf)];
    let (mut id, mut hash) = (NodeId { level: 0, index: size }, leaf);
    while id.index % 2 == 1 {
        let left = nodes.node(NodeId { index: id.index - 1, ..id })?;
        hash = Hash::of_node(&left, &hash);
        id = NodeId { level: id.level + 1, index: id.index / 2 };
        added.push((id, hash));
    }
    Ok(added)
}

/// The head of the tree when it had `size` leaves.
///
/// # Errors
/// That of the stored nodes. It reads one per bit that is set in `size`.
pub fn head<N: Nodes>(nodes: &N, size: u64) -> Result<TreeHead, N::Error> {
    if size == 0 {
        return Ok(TreeHead::EMPTY);
    }
    Ok(TreeHead { size, root: root_between(nodes, 0, size)? })
}

/// A leaf of a tree of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafPosition {
    index: u64,
    size: u64,
}

impl LeafPosition {
    /// Leaf `index`, from 0 on, of a tree of `size` leaves, if that has so many.
    #[must_use]
    pub const fn new(index: u64, size: u64) -> Option<Self> {
        if index < size { Some(Self { index, size }) } else { None }
    }
}

/// The inclusion proof of a leaf (RFC 9162, section 2.1.3.1): the siblings on the way from the leaf to the root.
///
/// # Errors
/// That of the stored nodes. It reads at most 2 log₂(size) of them.
pub fn inclusion_proof<N: Nodes>(nodes: &N, leaf: LeafPosition) -> Result<Vec<Hash>, N::Error> {
    let (mut from, mut to) = (0, leaf.size);
    let mut siblings = Vec::new();
    while to - from > 1 {
        let middle = from + left_width(to - from);
        if leaf.index < middle {
            siblings.push(root_between(nodes, middle, to)?);
            to = middle;
        } else {
            siblings.push(root_between(nodes, from, middle)?);
            from = middle;
        }
    }
    siblings.reverse();
    Ok(siblings)
}

/// A tree and the same one at a smaller or equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    older: u64,
    newer: u64,
}

impl Growth {
    /// From `older` leaves to `newer`, if those are no fewer.
    #[must_use]
    pub const fn new(older: u64, newer: u64) -> Option<Self> {
        if older <= newer { Some(Self { older, newer }) } else { None }
    }
}

/// The consistency proof that the newer tree begins with the leaves of the older one (RFC 9162, section 2.1.4.1). It is empty if
/// the sizes are equal, and if the older tree is empty.
///
/// # Errors
/// That of the stored nodes. It reads at most 2 log₂(size) of them.
pub fn consistency_proof<N: Nodes>(nodes: &N, growth: Growth) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, growth.newer);
    if growth.older == 0 {
        return Ok(proof);
    }
    while growth.older != to {
        let middle = from + left_width(to - from);
        if growth.older <= middle {
            proof.push(root_between(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(root_between(nodes, from, middle)?);
            from = middle;
        }
    }
    // The whole older tree is its root, which whoever verifies has.
    if from > 0 {
        proof.push(root_between(nodes, from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root above the leaves from `from` to before `to`: a whole subtree, which is complete but for its right edge.
fn root_between<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let mut peaks = Vec::new();
    let mut start = from;
    while start < to {
        let level = (to - start).ilog2();
        peaks.push(nodes.node(NodeId { level, index: start >> level })?);
        start += 1 << level;
    }
    Ok(above(&peaks))
}

/// The root above complete subtrees, the largest first.
fn above(peaks: &[Hash]) -> Hash {
    let joined = peaks.iter().rev().copied().reduce(|right, left| Hash::of_node(&left, &right));
    joined.unwrap_or(Hash::EMPTY_ROOT)
}

/// How many of `width` leaves are left of the root: the largest power of two that is less. `width` is at least 2.
const fn left_width(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The right edge of a tree: all that its root, and everything after it, needs. A walk over a long trail makes the root with it
/// in one pass and no memory to speak of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete subtrees, the largest first: one per bit that is set in `size`.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The edge of the stored tree at this size.
    ///
    /// # Errors
    /// That of the stored nodes. It reads one per bit that is set in `size`.
    pub fn at<N: Nodes>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        let id = |level| NodeId { level, index: (size >> level) - 1 };
        let peaks = levels.map(|level| nodes.node(id(level))).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// Adds a leaf, and hands each node that it adds to `added`, the leaf first: those that [`append`] returns.
    pub fn push(&mut self, leaf: Hash, mut added: impl FnMut(NodeId, Hash)) {
        let (mut id, mut hash) = (NodeId { level: 0, index: self.size }, leaf);
        added(id, hash);
        while id.index % 2 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = Hash::of_node(&left, &hash);
            id = NodeId { level: id.level + 1, index: id.index / 2 };
            added(id, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// How many leaves it is the edge of.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The head of the tree that it is the edge of.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: above(&self.peaks) }
    }
}

#[cfg(test)]
mod tests;
