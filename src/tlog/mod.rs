//! The formats in which strangers verify the audit trail: a Merkle tree over the records, signed checkpoints of it, proofs that
//! travel with a record, and signed statements about what was verified. Pure: no I/O, no clock, no randomness.
//!
//! | part | holds | by the rules of |
//! | --- | --- | --- |
//! | [`hash`] | the hashes of leaves and nodes | RFC 6962, section 2.1 |
//! | [`tree`] | appending, roots, proofs and their verification | RFC 9162, section 2.1 |
//! | [`key`] | Ed25519 keys and their texts | [signed-note](https://c2sp.org/signed-note), RFC 8410 |
//! | [`note`] | a text with signatures | [signed-note](https://c2sp.org/signed-note) |
//! | [`collected`] | notes that were appended to one file | [signed-note](https://c2sp.org/signed-note) |
//! | [`checkpoint`] | the signed size and root of a tree | [tlog-checkpoint](https://c2sp.org/tlog-checkpoint) |
//! | [`proof`] | a proof that a record is in the trail, in one file | [tlog-proof](https://c2sp.org/tlog-proof) |
//! | [`dsse`] | an envelope around a signed payload | [DSSE](https://github.com/secure-systems-lab/dsse) 1.0 |
//! | [`statement`] | what was verified of an image | [in-toto](https://in-toto.io) Statement v1, SVR v0.1 |
//!
//! The parsers accept exactly one text per value. A changed byte is therefore either a parse error or a failed signature, and
//! never the same value in other clothes.

pub mod checkpoint;
pub mod collected;
pub mod dsse;
mod encoding;
pub mod hash;
pub mod key;
pub mod note;
pub mod proof;
pub mod statement;
#[cfg(test)]
mod tampering;
pub mod tree;
