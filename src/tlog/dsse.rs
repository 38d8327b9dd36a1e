//! Envelopes around a signed payload, by [DSSE](https://github.com/secure-systems-lab/dsse) 1.0, in their JSON form.

use serde::{Deserialize, Serialize};

use super::{
    encoding::{from_base64, to_base64},
    key::{SigningKey, VerifierKey},
};

/// Why an envelope counts for nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is no envelope in JSON.
    #[error("the text is no DSSE envelope")]
    Json(#[source] serde_json::Error),
    /// The payload or a signature is not in base64.
    #[error("the {0} of the envelope is no base64")]
    Base64(&'static str),
    /// Its payload is of another type than the wanted one.
    #[error("the envelope's payload is of type {0}")]
    PayloadType(String),
    /// No signature in it is by the given key, or not of this payload.
    #[error("the envelope is not signed by this key")]
    NotSigned,
}

/// A signed payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// In base64.
    payload: String,
    /// A media type, signed with the payload.
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    /// Selects a key; is not signed.
    keyid: String,
    /// In base64.
    sig: String,
}

impl Envelope {
    /// Signs a payload of this type.
    #[must_use]
    pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Self {
        let sig = to_base64(&key.sign(&pre_authentication_encoding(payload_type, payload)));
        let keyid = key.verifier().envelope_id();
        Self {
            payload: to_base64(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature { keyid, sig }],
        }
    }

    /// The payload, if it is of this type and the key signed it. Signatures of other keys are ignored.
    ///
    /// # Errors
    /// Every [`EnvelopeError`] but [`EnvelopeError::Json`].
    pub fn open(&self, payload_type: &str, key: &VerifierKey) -> Result<Vec<u8>, EnvelopeError> {
        let payload = from_base64(&self.payload).ok_or(EnvelopeError::Base64("payload"))?;
        let signed = pre_authentication_encoding(&self.payload_type, &payload);
        let keyid = key.envelope_id();
        let mut is_signed = false;
        for signature in self.signatures.iter().filter(|signature| signature.keyid == keyid) {
            let sig = from_base64(&signature.sig).ok_or(EnvelopeError::Base64("signature"))?;
            is_signed |= key.has_signed(&signed, &sig);
        }
        if !is_signed {
            return Err(EnvelopeError::NotSigned);
        }
        if self.payload_type == payload_type {
            Ok(payload)
        } else {
            Err(EnvelopeError::PayloadType(self.payload_type.clone()))
        }
    }

    /// The envelope in this text. Unlike the specification it needs the standard base64 and no further fields: it is for
    /// envelopes that undrift wrote.
    ///
    /// # Errors
    /// [`EnvelopeError::Json`].
    pub fn from_json(text: &str) -> Result<Self, EnvelopeError> {
        serde_json::from_str(text).map_err(EnvelopeError::Json)
    }

    /// As JSON in one line, without a line break.
    ///
    /// # Errors
    /// [`EnvelopeError::Json`], which no envelope causes.
    pub fn to_json(&self) -> Result<String, EnvelopeError> {
        serde_json::to_string(self).map_err(EnvelopeError::Json)
    }
}

/// What is signed: the lengths keep type and payload apart.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "http://example.com/HelloWorld";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed("k".parse().unwrap(), &[seed; 32]).unwrap()
    }

    /// The example of DSSE's protocol.
    #[test]
    fn what_is_signed_is_what_the_specification_says() {
        let encoded = pre_authentication_encoding(TYPE, b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pre_authentication_encoding("\u{e9}", b""), "DSSEv1 2 \u{e9} 0 ".as_bytes());
    }

    #[test]
    fn an_envelope_opens_with_its_key_and_type_alone() {
        let envelope = Envelope::sign(TYPE, b"hello world", &key(1));
        let json = envelope.to_json().unwrap();
        assert!(
            json.starts_with(&format!(r#"{{"payload":"aGVsbG8gd29ybGQ=","payloadType":"{TYPE}","#)),
            "{json}"
        );
        let read = Envelope::from_json(&json).unwrap();
        assert_eq!(read, envelope);
        assert_eq!(read.open(TYPE, key(1).verifier()).unwrap(), b"hello world");
        assert!(matches!(read.open(TYPE, key(2).verifier()), Err(EnvelopeError::NotSigned)));
        assert!(matches!(read.open("other", key(1).verifier()), Err(EnvelopeError::PayloadType(_))));
    }

    #[test]
    fn a_signature_covers_payload_and_type() {
        let mut envelope = Envelope::sign(TYPE, b"hello world", &key(1));
        envelope.payload_type = "other".into();
        assert!(matches!(envelope.open("other", key(1).verifier()), Err(EnvelopeError::NotSigned)));
        let mut envelope = Envelope::sign(TYPE, b"hello world", &key(1));
        envelope.payload = to_base64(b"hello there");
        assert!(matches!(envelope.open(TYPE, key(1).verifier()), Err(EnvelopeError::NotSigned)));
        envelope.signatures.clear();
        assert!(matches!(envelope.open(TYPE, key(1).verifier()), Err(EnvelopeError::NotSigned)));
    }

    /// The specification lets anybody add a signature; it must not spoil those that are there.
    #[test]
    fn signatures_of_others_are_ignored() {
        let mut envelope = Envelope::sign(TYPE, b"hello world", &key(2));
        envelope.signatures.extend(Envelope::sign(TYPE, b"hello world", &key(1)).signatures);
        assert!(envelope.open(TYPE, key(1).verifier()).is_ok());
        assert!(envelope.open(TYPE, key(3).verifier()).is_err());
    }
}
