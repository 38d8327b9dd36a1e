//! What the verifiers are given: small trails, and a statement.

use std::{collections::BTreeSet, iter};

use undrift::tlog::{
    checkpoint::Checkpoint,
    dsse::Envelope,
    hash::Hash,
    key::SigningKey,
    note::SignedNote,
    proof::RecordProof,
    statement::{Policy, Property, Verification, VerifiedImage},
    tree::{self, Growth, LeafPosition, MemoryNodes, TreeHead, append},
};

use crate::cases::Case;

pub(crate) const ORIGIN: &str = "undrift/host/01KJM0K6G0ZZZZZZZZZZZZZZZZ";

pub(crate) fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name.parse().unwrap(), &[seed; 32]).unwrap()
}

/// The key of all that is good.
pub(crate) fn good_key() -> SigningKey {
    key(ORIGIN, 1)
}

pub(crate) fn signed(head: TreeHead) -> SignedNote {
    Checkpoint::sign(head, &good_key())
}

/// A trail, with its records as bytes.
#[derive(Clone)]
pub(crate) struct Trail {
    pub(crate) records: Vec<Vec<u8>>,
    nodes: MemoryNodes,
}

impl Trail {
    /// Of this many records.
    pub(crate) fn of(size: u64) -> Self {
        let record =
            |n| format!("{{\"actor\":\"root\",\"kind\":\"Verified\",\"seq\":{}}}", n + 1).into_bytes();
        Self::with((0..size).map(record).collect())
    }

    fn with(records: Vec<Vec<u8>>) -> Self {
        let mut nodes = MemoryNodes::new();
        for (size, record) in (0..).zip(&records) {
            let added = append(&nodes, size, Hash::of_leaf(record)).unwrap();
            nodes.extend(added);
        }
        Self { records, nodes }
    }

    pub(crate) fn size(&self) -> u64 {
        self.records.len() as u64
    }

    pub(crate) fn record(&self, index: u64) -> &[u8] {
        &self.records[usize::try_from(index).unwrap()]
    }

    pub(crate) fn head(&self, size: u64) -> TreeHead {
        tree::head(&self.nodes, size).unwrap()
    }

    pub(crate) fn checkpoint(&self, size: u64) -> String {
        signed(self.head(size)).to_string()
    }

    /// The text of a proof that the trail of `size` records has that of `index`.
    pub(crate) fn proof(&self, index: u64, size: u64) -> String {
        let path = tree::inclusion_proof(&self.nodes, LeafPosition::new(index, size).unwrap()).unwrap();
        RecordProof { index, path, checkpoint: signed(self.head(size)) }.to_string()
    }

    /// The claim that this trail, at a size, began with the one that a kept checkpoint is of. No proof can be made for a trail
    /// that has become smaller.
    pub(crate) fn consistency(&self, kept: &str, older: u64, newer: u64) -> Case {
        let growth = Growth::new(older, newer);
        let hashes = growth.map(|growth| tree::consistency_proof(&self.nodes, growth).unwrap());
        let hashes = hashes.unwrap_or_default().iter().map(Hash::to_base64).collect();
        Case::Consistency { older: kept.into(), newer: self.checkpoint(newer).into(), hashes }
    }

    /// This trail with each record altered, removed, doubled or swapped with the next, and from which index on it differs.
    pub(crate) fn every_rewrite(&self) -> Vec<(Self, u64)> {
        let mut rewritten = Vec::new();
        for (at, index) in (0..self.records.len()).zip(0..) {
            let mut with = |from, replaced: &[Vec<u8>], taken: usize| {
                let (before, after) = (&self.records[..at], &self.records[at + taken..]);
                rewritten.push((Self::with([before, replaced, after].concat()), from));
            };
            let record = self.records[at].clone();
            with(index, &[b"altered".to_vec()], 1);
            with(index, &[], 1);
            with(index + 1, &iter::repeat_n(record.clone(), 2).collect::<Vec<_>>(), 1);
            if let Some(next) = self.records.get(at + 1) {
                with(index, &[next.clone(), record], 2);
            }
        }
        rewritten
    }
}

/// What a statement's image is said to be: the bytes whose SHA-256 is its subject.
pub(crate) const IMAGE: &[u8] = b"{\"architecture\":\"amd64\",\"config\":{},\"os\":\"linux\",\"rootfs\":{}}";

/// The SHA-256 of [`IMAGE`].
const IMAGE_ID: &str = "6d60c0c508a2dc0e7cf70888e118f81baa204d9286b9d2e304a31274847cae27";

pub(crate) fn statement(seed: u8) -> Envelope {
    let verification = Verification {
        images: vec![VerifiedImage {
            reference: "shop-api:latest".into(),
            id: Hash::from_hex(IMAGE_ID).unwrap(),
        }],
        time: "2026-03-01T10:00:00Z".parse().unwrap(),
        properties: BTreeSet::from([Property::ModulePresent, Property::RouteVerified]),
        policy: Policy { uri: "file:///etc/undrift/manifests/shop.yaml".into(), digest: Hash::of_leaf(b"") },
    };
    verification.sign(&key(ORIGIN, seed)).unwrap()
}
