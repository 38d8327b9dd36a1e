use std::cell::Cell;

use super::*;

mod properties;

/// The leaves of the test vectors of Certificate Transparency's reference implementation, and the roots above the first of
/// them.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn leaf(n: u64) -> Hash {
    Hash::of_leaf(&n.to_be_bytes())
}

fn tree_of(leaves: &[Hash]) -> MemoryNodes {
    let mut nodes = MemoryNodes::new();
    for (size, leaf) in leaves.iter().enumerate() {
        let added = append(&nodes, size as u64, *leaf).unwrap();
        nodes.extend(added);
    }
    nodes
}

fn tree(size: u64) -> MemoryNodes {
    tree_of(&(0..size).map(leaf).collect::<Vec<_>>())
}

fn at(index: u64, size: u64) -> LeafPosition {
    LeafPosition::new(index, size).unwrap()
}

/// RFC 6962, section 2.1, word by word: what the nodes are compared with.
fn root_by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Hash::of_node(&root_by_definition(left), &root_by_definition(right))
        }
    }
}

#[test]
fn roots_are_those_of_the_reference_implementation() {
    let leaves = LEAVES.map(|hex| Hash::of_leaf(&hex::decode(hex).unwrap()));
    let nodes = tree_of(&leaves);
    for (size, root) in (1..).zip(ROOTS) {
        assert_eq!(head(&nodes, size).unwrap().root.to_hex(), root, "{size}");
    }
    assert_eq!(head(&nodes, 0), Ok(TreeHead::EMPTY));
}

/// RFC 6962, section 2.1.3: the tree of seven leaves d0 to d6, with the nodes a to l as named there.
#[test]
#[expect(clippy::many_single_char_names, reason = "the names of the RFC")]
fn proofs_are_those_of_the_rfc() {
    let nodes = tree(7);
    let [a, b, c, d, e, f, j] = [0, 1, 2, 3, 4, 5, 6].map(leaf);
    let (g, h, i) = (Hash::of_node(&a, &b), Hash::of_node(&c, &d), Hash::of_node(&e, &f));
    let (k, l) = (Hash::of_node(&g, &h), Hash::of_node(&i, &j));
    let inclusion = |index| inclusion_proof(&nodes, at(index, 7)).unwrap();
    assert_eq!(inclusion(0), [b, h, l]);
    assert_eq!(inclusion(3), [c, g, l]);
    assert_eq!(inclusion(4), [f, j, k]);
    assert_eq!(inclusion(6), [i, k]);
    let consistency = |older| consistency_proof(&nodes, Growth::new(older, 7).unwrap()).unwrap();
    assert_eq!(consistency(3), [c, d, g, l]);
    assert_eq!(consistency(4), [l]);
    assert_eq!(consistency(6), [i, j, k]);
    assert_eq!(consistency(7), []);
    assert_eq!(consistency(0), []);
}

#[test]
fn every_proof_of_every_small_tree_is_accepted() {
    let nodes = tree(40);
    let heads: Vec<TreeHead> = (0..=40).map(|size| head(&nodes, size).unwrap()).collect();
    for newer in &heads {
        for index in 0..newer.size {
            let proof = inclusion_proof(&nodes, at(index, newer.size)).unwrap();
            assert_eq!(verify_inclusion(leaf(index), at(index, newer.size), &proof, newer.root), Ok(()));
        }
        for older in &heads[..=usize::try_from(newer.size).unwrap()] {
            let growth = Growth::new(older.size, newer.size).unwrap();
            let proof = consistency_proof(&nodes, growth).unwrap();
            assert_eq!(verify_consistency(*older, *newer, &proof), Ok(()), "{older:?} {newer:?}");
        }
    }
}

#[test]
fn there_is_no_proof_beyond_a_tree() {
    assert_eq!(LeafPosition::new(7, 7), None);
    assert_eq!(LeafPosition::new(0, 0), None);
    assert_eq!(Growth::new(8, 7), None);
    let newer = head(&tree(7), 7).unwrap();
    let older = TreeHead { size: 8, ..newer };
    assert_eq!(verify_consistency(older, newer, &[]), Err(ProofError::NotOlder { older: 8, newer: 7 }));
}

/// The roots would be reached: only the number of hashes is wrong for these sizes.
#[test]
fn a_proof_of_another_length_is_refused_though_it_leads_to_the_root() {
    let nodes = tree(8);
    let proof = |index, size| inclusion_proof(&nodes, at(index, size)).unwrap();
    let root = |size| head(&nodes, size).unwrap().root;
    let verify = |size, claimed| verify_inclusion(leaf(0), at(0, claimed), &proof(0, size), root(size));
    assert_eq!(verify(2, 2), Ok(()));
    assert_eq!(verify(2, 3), Err(ProofError::WrongLength), "too short");
    assert_eq!(verify(3, 2), Err(ProofError::WrongLength), "too long");
    let grown = |newer, claimed| {
        let proof = consistency_proof(&nodes, Growth::new(2, newer).unwrap()).unwrap();
        let newer = TreeHead { size: claimed, root: root(newer) };
        verify_consistency(head(&nodes, 2).unwrap(), newer, &proof)
    };
    assert_eq!(grown(4, 4), Ok(()));
    assert_eq!(grown(4, 5), Err(ProofError::WrongLength), "too short");
    assert_eq!(grown(5, 4), Err(ProofError::WrongLength), "too long");
    let without = verify_consistency(head(&nodes, 3).unwrap(), head(&nodes, 5).unwrap(), &[]);
    assert_eq!(without, Err(ProofError::WrongLength));
}

#[test]
fn an_empty_tree_has_one_root() {
    let newer = head(&tree(7), 7).unwrap();
    let forged = TreeHead { size: 0, root: newer.root };
    assert_eq!(verify_consistency(TreeHead::EMPTY, newer, &[]), Ok(()));
    assert_eq!(verify_consistency(TreeHead::EMPTY, TreeHead::EMPTY, &[]), Ok(()));
    assert_eq!(verify_consistency(forged, newer, &[]), Err(ProofError::NotTheEmptyRoot));
    assert_eq!(verify_consistency(forged, forged, &[]), Err(ProofError::NotTheEmptyRoot));
    assert_eq!(verify_consistency(TreeHead::EMPTY, newer, &[newer.root]), Err(ProofError::WrongLength));
}

#[test]
fn the_error_of_a_store_passes_through() {
    let mut nodes = tree(7);
    let lost = NodeId { level: 2, index: 0 };
    nodes.remove(&lost);
    assert_eq!(head(&nodes, 7), Err(MissingNode(lost)));
    assert_eq!(inclusion_proof(&nodes, at(6, 7)), Err(MissingNode(lost)));
    assert_eq!(consistency_proof(&nodes, Growth::new(6, 7).unwrap()), Err(MissingNode(lost)));
    assert_eq!(Frontier::at(&nodes, 7), Err(MissingNode(lost)));
    assert_eq!(append(&nodes, 7, leaf(7)), Err(MissingNode(lost)));
    assert_eq!(MissingNode(lost).to_string(), "the tree has no node 0 at level 2");
}

/// Nodes that count how many were read.
struct Counted<'a>(&'a MemoryNodes, Cell<u32>);

impl Nodes for Counted<'_> {
    type Error = MissingNode;

    fn node(&self, id: NodeId) -> Result<Hash, MissingNode> {
        self.1.set(self.1.get() + 1);
        self.0.node(id)
    }
}

#[test]
fn the_cost_of_each_operation_is_logarithmic() {
    const SIZE: u64 = 1 << 12;
    let nodes = tree(SIZE);
    assert_eq!(nodes.len() as u64, 2 * SIZE - 1, "two nodes a leaf, on average");
    for size in [1, 2, 3, 1000, 2047, 2048, 4095, SIZE] {
        let counted = Counted(&nodes, Cell::new(0));
        let reads = |work: &dyn Fn()| {
            counted.1.set(0);
            work();
            counted.1.get()
        };
        let levels = size.ilog2() + 1;
        assert_eq!(reads(&|| assert_eq!(head(&counted, size).unwrap().size, size)), size.count_ones());
        assert!(reads(&|| drop(append(&counted, size - 1, leaf(size - 1)).unwrap())) <= levels);
        assert!(append(&nodes, size - 1, leaf(size - 1)).unwrap().len() <= levels as usize);
        for index in [0, size / 2, size - 1] {
            assert!(reads(&|| drop(inclusion_proof(&counted, at(index, size)).unwrap())) <= 2 * levels);
            let growth = Growth::new(index, size).unwrap();
            assert!(reads(&|| drop(consistency_proof(&counted, growth).unwrap())) <= 2 * levels);
        }
    }
}
