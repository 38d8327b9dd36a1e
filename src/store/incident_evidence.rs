//! The evidence of an incident that is over: packed, because a year has a hundred thousand of them, and each holds the status of an
//! object from before and from after, which differ little.

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::{Deserialize, de::Error as _};
use serde_json::{Value, value::RawValue};

use super::segment::unpack;
use crate::api::Earlier;

/// How hard to compress: 3 is zstd's default.
const LEVEL: i32 = 3;

/// How many bytes evidence may have, unpacked: what is more is not undrift's.
const MOST_BYTES: u64 = 1 << 28;

/// The evidence of an incident as its columns have it: JSON texts.
pub(super) struct EvidenceTexts {
    pub(super) before: String,
    pub(super) after: Option<String>,
    pub(super) earlier: Option<String>,
}

/// The evidence of an incident.
pub(super) struct IncidentEvidence {
    pub(super) before: Value,
    pub(super) after: Option<Value>,
    pub(super) earlier: Option<Earlier>,
}

impl EvidenceTexts {
    /// As one JSON object, with every text as it is.
    pub(super) fn to_json(&self) -> String {
        let or_null = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
        let (after, earlier) = (or_null(&self.after), or_null(&self.earlier));
        format!(r#"{{"after":{after},"before":{},"earlier":{earlier}}}"#, self.before)
    }

    /// As one zstd frame; `None` if it cannot be packed, and then it stays as it is.
    pub(super) fn pack(&self) -> Option<Vec<u8>> {
        let text = self.to_json();
        // What is no JSON would not be read again.
        serde_json::from_str::<Packed<'_>>(&text).ok()?;
        zstd::bulk::compress(text.as_bytes(), LEVEL).ok()
    }

    /// The texts of the packed evidence.
    ///
    /// # Errors
    /// If it was damaged, or is no JSON.
    pub(super) fn unpack(packed: &[u8]) -> serde_json::Result<Self> {
        let text = unpack(packed, MOST_BYTES).map_err(serde_json::Error::custom)?;
        let Packed { before, after, earlier } = serde_json::from_str(&text)?;
        let owned = |text: &RawValue| text.get().to_owned();
        Ok(Self { before: owned(before), after: after.map(owned), earlier: earlier.map(owned) })
    }

    pub(super) fn parse(&self) -> serde_json::Result<IncidentEvidence> {
        Ok(IncidentEvidence {
            before: serde_json::from_str(&self.before)?,
            after: self.after.as_deref().map(serde_json::from_str).transpose()?,
            earlier: self.earlier.as_deref().map(serde_json::from_str).transpose()?,
        })
    }
}

#[derive(Deserialize)]
struct Packed<'t> {
    #[serde(borrow)]
    before: &'t RawValue,
    #[serde(borrow)]
    after: Option<&'t RawValue>,
    #[serde(borrow)]
    earlier: Option<&'t RawValue>,
}

/// The columns with the evidence of an incident, packed or not.
pub(super) const COLUMNS: &str = "before, after, earlier, evidence";

/// Reads these columns, from the given one on.
pub(super) fn read_evidence(row: &Row<'_>, at: usize) -> rusqlite::Result<serde_json::Result<EvidenceTexts>> {
    let packed: Option<Vec<u8>> = row.get(at + 3)?;
    Ok(match packed {
        Some(packed) => EvidenceTexts::unpack(&packed),
        None => {
            Ok(EvidenceTexts { before: row.get(at)?, after: row.get(at + 1)?, earlier: row.get(at + 2)? })
        }
    })
}

/// The evidence of the incident with this ID, if there is one.
pub(super) fn evidence_in(
    db: &Connection,
    id: &str,
) -> rusqlite::Result<Option<serde_json::Result<EvidenceTexts>>> {
    let select = format!("SELECT {COLUMNS} FROM incidents WHERE id = ?1");
    db.query_row(&select, [id], |row| read_evidence(row, 0)).optional()
}
