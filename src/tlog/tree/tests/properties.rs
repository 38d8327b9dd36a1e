//! Trees of random sizes, and proofs with random changes.

use proptest::{collection::vec, prelude::*};

use super::*;

/// A change to a proof: which hash, and what becomes of it.
#[derive(Debug, Clone)]
enum Change {
    Flip(usize, usize),
    Remove(usize),
    Double(usize),
    Swap(usize),
    Add(Hash),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<usize>(), 0..256_usize).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => any::<usize>().prop_map(Change::Remove),
        1 => any::<usize>().prop_map(Change::Double),
        1 => any::<usize>().prop_map(Change::Swap),
        1 => any::<[u8; 32]>().prop_map(|bytes| Change::Add(bytes.into())),
    ]
}

fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes.into()
}

/// The changed proof; `None` if the change leaves it as it is.
fn changed(proof: &[Hash], change: &Change) -> Option<Vec<Hash>> {
    let mut it = proof.to_vec();
    let place = |n: &usize| n.checked_rem(proof.len());
    match change {
        Change::Flip(n, bit) => it[place(n)?] = flipped(it[place(n)?], *bit),
        Change::Remove(n) => drop(it.remove(place(n)?)),
        Change::Double(n) => it.insert(place(n)?, proof[place(n)?]),
        Change::Swap(n) => it.swap(place(n)?, (place(n)? + 1) % proof.len()),
        Change::Add(hash) => it.push(*hash),
    }
    (it != proof).then_some(it)
}

proptest! {
    #[test]
    fn nodes_make_the_root_that_the_definition_makes(leaves in vec(any::<[u8; 32]>(), 0..200)) {
        let leaves: Vec<Hash> = leaves.into_iter().map(Hash::from).collect();
        let (nodes, size) = (tree_of(&leaves), leaves.len() as u64);
        let root = root_by_definition(&leaves);
        prop_assert_eq!(head(&nodes, size).unwrap(), TreeHead { size, root });
    }

    #[test]
    fn a_frontier_walks_as_appends_do(size in 0..300_u64, rest in 0..40_u64) {
        let nodes = tree(size);
        let mut frontier = Frontier::at(&nodes, size).unwrap();
        let mut walked = nodes.clone();
        for n in size..size + rest {
            let expected = append(&walked, n, leaf(n)).unwrap();
            let mut added = Vec::new();
            frontier.push(leaf(n), |id, hash| added.push((id, hash)));
            prop_assert_eq!(&added, &expected);
            walked.extend(added);
        }
        prop_assert_eq!(frontier.head(), head(&walked, size + rest).unwrap());
        prop_assert_eq!(frontier.size(), size + rest);
        prop_assert_eq!(Frontier::at(&walked, size + rest).unwrap(), frontier);
    }

    #[test]
    fn an_inclusion_proof_proves_its_leaf_and_no_other(
        (index, size) in (1..500_u64).prop_flat_map(|size| (0..size, Just(size))),
        other in 0..500_u64,
        bit in 0..256_usize,
        change in change(),
    ) {
        let nodes = tree(size);
        let root = head(&nodes, size).unwrap().root;
        let proof = inclusion_proof(&nodes, at(index, size)).unwrap();
        let verify = |leaf, position, proof: &[Hash], root| verify_inclusion(leaf, position, proof, root);
        prop_assert_eq!(verify(leaf(index), at(index, size), &proof, root), Ok(()));
        prop_assert!(verify(flipped(leaf(index), bit), at(index, size), &proof, root).is_err());
        prop_assert!(verify(leaf(index), at(index, size), &proof, flipped(root, bit)).is_err());
        if other != index {
            prop_assert!(verify(leaf(other), at(index, size), &proof, root).is_err());
            if let Some(position) = LeafPosition::new(other, size) {
                prop_assert!(verify(leaf(index), position, &proof, root).is_err());
            }
        }
        if let Some(forged) = changed(&proof, &change) {
            prop_assert!(verify(leaf(index), at(index, size), &forged, root).is_err());
        }
    }

    #[test]
    fn a_consistency_proof_proves_its_two_trees_and_no_others(
        (older, newer) in (1..500_u64).prop_flat_map(|newer| (1..=newer, Just(newer))),
        bit in 0..256_usize,
        change in change(),
    ) {
        let nodes = tree(newer);
        let (old, new) = (head(&nodes, older).unwrap(), head(&nodes, newer).unwrap());
        let proof = consistency_proof(&nodes, Growth::new(older, newer).unwrap()).unwrap();
        prop_assert_eq!(verify_consistency(old, new, &proof), Ok(()));
        let with_root = |head: TreeHead| TreeHead { root: flipped(head.root, bit), ..head };
        prop_assert!(verify_consistency(with_root(old), new, &proof).is_err());
        prop_assert!(verify_consistency(old, with_root(new), &proof).is_err());
        if let Some(forged) = changed(&proof, &change) {
            prop_assert!(verify_consistency(old, new, &forged).is_err());
        }
    }

    #[test]
    fn a_rewritten_record_is_consistent_with_no_older_tree(
        (older, newer, rewritten) in (1..200_u64)
            .prop_flat_map(|newer| (1..=newer, Just(newer)))
            .prop_flat_map(|(older, newer)| (Just(older), Just(newer), 0..older)),
    ) {
        let old = head(&tree(older), older).unwrap();
        let leaves = (0..newer).map(|n| if n == rewritten { leaf(u64::MAX) } else { leaf(n) });
        let forged = tree_of(&leaves.collect::<Vec<_>>());
        let new = head(&forged, newer).unwrap();
        let proof = consistency_proof(&forged, Growth::new(older, newer).unwrap()).unwrap();
        prop_assert!(verify_consistency(old, new, &proof).is_err());
    }
}
