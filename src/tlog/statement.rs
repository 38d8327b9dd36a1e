//! Statements about what undrift verified of an image: an [in-toto](https://in-toto.io) Statement v1 with a
//! [Simple Verification Result](https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md) v0.1, in an envelope.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    dsse::{Envelope, EnvelopeError},
    hash::Hash,
    key::{SigningKey, VerifierKey},
};
use crate::api::Time;

/// The payload type of every in-toto statement in JSON.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The type of the statement's predicate: `cosign verify-blob-attestation --type` takes it.
pub const PREDICATE_TYPE: &str = "https://in-toto.io/attestation/svr/v0.1";

/// Who verified: undrift, by rules of this version. It changes where a [`Property`] comes to mean something else. Which undrift
/// it was is known by the key.
pub const VERIFIER_ID: &str = "https://undrift.dev/verifier/v1";

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Why an envelope states nothing.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The envelope is not valid, or not signed by the key.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The payload is no statement of this kind.
    #[error("the payload is no statement about a verification")]
    Json(#[source] serde_json::Error),
    /// It is about no image.
    #[error("the statement is about no image")]
    NoSubject,
    /// The statement, or its predicate, is of another type.
    #[error("the statement is of type {0}")]
    Type(String),
}

/// What was verified of an image, as it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Property {
    /// Each declared module exists inside the running containers.
    #[serde(rename = "UNDRIFT_MODULE_PRESENT")]
    ModulePresent,
    /// The declared files are in the containers as they are in the source.
    #[serde(rename = "UNDRIFT_CONTENT_SAME")]
    ContentSame,
    /// The running revision is the declared one.
    #[serde(rename = "UNDRIFT_REVISION_EQUAL")]
    RevisionEqual,
    /// Each declared route answered with a declared status.
    #[serde(rename = "UNDRIFT_ROUTE_VERIFIED")]
    RouteVerified,
    /// Each declared request with credentials answered as declared.
    #[serde(rename = "UNDRIFT_AUTH_VERIFIED")]
    AuthVerified,
}

/// The manifest by which undrift verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where it is: a URI.
    pub uri: String,
    /// The SHA-256 of its bytes.
    pub digest: Hash,
}

/// An image that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedImage {
    /// The reference by which the image was run: the name of the subject.
    pub reference: String,
    /// The image's ID without `sha256:`. With Docker's classic image store it is the SHA-256 of the image's configuration, with
    /// containerd's that of its manifest.
    pub id: Hash,
}

/// That undrift verified some properties of images, of each of them the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The images; at least one.
    pub images: Vec<VerifiedImage>,
    /// When.
    pub time: Time,
    /// What.
    pub properties: BTreeSet<Property>,
    /// By which manifest.
    pub policy: Policy,
}

impl Verification {
    /// States it under this key.
    ///
    /// # Errors
    /// [`StatementError::Json`], which no verification causes.
    pub fn sign(&self, key: &SigningKey) -> Result<Envelope, StatementError> {
        let payload = serde_json::to_vec(&Statement::of(self)).map_err(StatementError::Json)?;
        Ok(Envelope::sign(PAYLOAD_TYPE, &payload, key))
    }

    /// What an envelope states that this key signed.
    ///
    /// # Errors
    /// Every [`StatementError`].
    pub fn open(envelope: &Envelope, key: &VerifierKey) -> Result<Self, StatementError> {
        let payload = envelope.open(PAYLOAD_TYPE, key)?;
        let statement: Statement = serde_json::from_slice(&payload).map_err(StatementError::Json)?;
        statement.read()
    }
}

/// The statement as JSON has it. Fields that are not here are ignored, as in-toto demands.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Descriptor>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Descriptor {
    name: String,
    digest: Sha256Digest,
}

#[derive(Serialize, Deserialize)]
struct Sha256Digest {
    #[serde(with = "hexadecimal")]
    sha256: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    verifier: Verifier,
    time_created: Time,
    properties: BTreeSet<Property>,
}

/// The policy is an extension field of the verifier: so SVR v0.1 shows it.
#[derive(Serialize, Deserialize)]
struct Verifier {
    id: String,
    policy: PolicyDescriptor,
}

#[derive(Serialize, Deserialize)]
struct PolicyDescriptor {
    uri: String,
    digest: Sha256Digest,
}

impl From<Hash> for Sha256Digest {
    fn from(sha256: Hash) -> Self {
        Self { sha256 }
    }
}

impl Statement {
    fn of(verification: &Verification) -> Self {
        let Verification { images, time, properties, policy } = verification.clone();
        let of_image = |image: VerifiedImage| Descriptor { name: image.reference, digest: image.id.into() };
        let policy = PolicyDescriptor { uri: policy.uri, digest: policy.digest.into() };
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject: images.into_iter().map(of_image).collect(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate {
                verifier: Verifier { id: VERIFIER_ID.to_owned(), policy },
                time_created: time,
                properties,
            },
        }
    }

    fn read(self) -> Result<Verification, StatementError> {
        let Self { kind, subject, predicate_type, predicate } = self;
        let types = [(kind, STATEMENT_TYPE), (predicate_type, PREDICATE_TYPE)];
        if let Some((other, _)) = types.into_iter().find(|(found, wanted)| found != wanted) {
            return Err(StatementError::Type(other));
        }
        let policy = predicate.verifier.policy;
        if subject.is_empty() {
            return Err(StatementError::NoSubject);
        }
        let of_subject = |of: Descriptor| VerifiedImage { reference: of.name, id: of.digest.sha256 };
        Ok(Verification {
            images: subject.into_iter().map(of_subject).collect(),
            time: predicate.time_created,
            properties: predicate.properties,
            policy: Policy { uri: policy.uri, digest: policy.digest.sha256 },
        })
    }
}

/// A hash as in-toto writes it.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::tlog::hash::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hash.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(from)?;
        Hash::from_hex(&text).ok_or_else(|| D::Error::custom("not a SHA-256 in lower-case hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tlog::tampering::{signing_key, verification};

    #[test]
    fn a_statement_says_what_in_toto_specifies() {
        let payload =
            verification().sign(&signing_key()).unwrap().open(PAYLOAD_TYPE, signing_key().verifier());
        let statement: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
        let expected = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "shop-api:latest", "digest": {"sha256": "11".repeat(32)}}],
            "predicateType": "https://in-toto.io/attestation/svr/v0.1",
            "predicate": {
                "verifier": {
                    "id": "https://undrift.dev/verifier/v1",
                    "policy": {
                        "uri": "file:///etc/undrift/manifests/shop.yaml",
                        "digest": {"sha256": "22".repeat(32)},
                    },
                },
                "timeCreated": "2026-03-01T10:00:00Z",
                "properties": ["UNDRIFT_MODULE_PRESENT", "UNDRIFT_ROUTE_VERIFIED"],
            },
        });
        assert_eq!(statement, expected);
    }

    #[test]
    fn a_statement_reads_back_and_its_order_is_fixed() {
        let envelope = verification().sign(&signing_key()).unwrap();
        assert_eq!(Verification::open(&envelope, signing_key().verifier()).unwrap(), verification());
        assert_eq!(verification().sign(&signing_key()).unwrap(), envelope);
    }

    #[test]
    fn each_property_has_its_name() {
        use Property::{AuthVerified, ContentSame, ModulePresent, RevisionEqual, RouteVerified};
        let all = [ModulePresent, ContentSame, RevisionEqual, RouteVerified, AuthVerified];
        let names = json!([
            "UNDRIFT_MODULE_PRESENT",
            "UNDRIFT_CONTENT_SAME",
            "UNDRIFT_REVISION_EQUAL",
            "UNDRIFT_ROUTE_VERIFIED",
            "UNDRIFT_AUTH_VERIFIED",
        ]);
        assert_eq!(json!(all), names);
    }

    #[test]
    fn another_statement_is_refused_though_it_is_signed() {
        let good = serde_json::to_value(Statement::of(&verification())).unwrap();
        let opened = |change: &dyn Fn(&mut Value)| {
            let mut statement = good.clone();
            change(&mut statement);
            let envelope = Envelope::sign(PAYLOAD_TYPE, statement.to_string().as_bytes(), &signing_key());
            Verification::open(&envelope, signing_key().verifier())
        };
        assert_eq!(opened(&|_| ()).unwrap(), verification());
        assert_eq!(opened(&|it| it["predicate"]["more"] = json!(1)).unwrap(), verification());
        let refused: [&dyn Fn(&mut Value); 5] = [
            &|it| it["_type"] = json!("https://in-toto.io/Statement/v0.1"),
            &|it| it["predicateType"] = json!("https://in-toto.io/attestation/svr/v0.2"),
            &|it| it["subject"] = json!([]),
            &|it| it["subject"][0]["digest"]["sha256"] = json!("AA".repeat(32)),
            &|it| it["predicate"]["properties"] = json!(["UNDRIFT_ALL_WELL"]),
        ];
        for (n, change) in refused.iter().enumerate() {
            assert!(opened(change).is_err(), "{n}");
        }
        let envelope = Envelope::sign("application/json", good.to_string().as_bytes(), &signing_key());
        assert!(Verification::open(&envelope, signing_key().verifier()).is_err());
    }
}
