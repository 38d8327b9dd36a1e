//! Signed checkpoints of the trail: what somebody elsewhere keeps to find a rewrite later.
//!
//! A checkpoint states the size and the root of the tree over the records, signed with the folder's key (see
//! [`tlog`](crate::tlog)). There is a new one with the record that ends an incident, and with the first record after an hour
//! without one.

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, params};
use ulid::Ulid;

use super::{
    DigestKey, Store, StoreError,
    checkpoint_keys::{keys_in, last_key_in, record_key_in},
    error::{Result, failed},
    steps::signed,
    time::stamp,
    trail::{head as trail_head, number},
    tree::{Forms, StoredNodes, grow_in, origin_in, size_in},
};
use crate::{
    api::{AuditKind, Time},
    tlog::{
        checkpoint::Checkpoint,
        key::{KeyName, SigningKey, VerifierKey},
        note::SignedNote,
        proof::RecordProof,
        tree::{LeafPosition, TreeHead, head, inclusion_proof},
    },
};

/// How old the last checkpoint is at most when a record is written.
const HOUR: TimeDelta = TimeDelta::hours(1);

const ACTION: &str = "sign a checkpoint of the audit trail";

/// The key that signs for the trail with this origin. It is derived from the folder's own, so that there is one file to keep
/// secret and to back up.
fn signing_key(key: &DigestKey, origin: &str) -> Result<SigningKey> {
    let name: KeyName = origin.parse().map_err(|_| StoreError::Unsigned("its origin is no name"))?;
    SigningKey::from_seed(name, &key.signing_seed())
        .map_err(|_| StoreError::Unsigned("the folder's key is none"))
}

/// A record with the proof that it is in the trail.
#[derive(Debug, Clone)]
pub struct ProvenRecord {
    /// Its number.
    pub seq: u64,
    /// Its canonical form: the leaf of the tree.
    pub form: String,
    /// The proof.
    pub proof: RecordProof,
}

/// How far the tree over the trail has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeGrowth {
    /// How many records it has.
    pub size: u64,
    /// How many the trail has.
    pub records: u64,
}

impl TreeGrowth {
    /// Whether the tree has all records, so that a checkpoint can be signed.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.size >= self.records
    }
}

/// The newest checkpoint, as this undrift or an earlier one stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The size and the root that it states.
    pub head: TreeHead,
    /// The signed note.
    pub note: SignedNote,
}

impl Store {
    /// Takes the newest records into the tree, the last of which is this one, written now, and signs a checkpoint if one is due
    /// after it. A tree that somebody damaged takes nothing from the record: that is written without it, and `audit verify` names
    /// the damage.
    pub(super) fn checkpoint_in(
        &self,
        change: &Transaction<'_>,
        of: (u64, AuditKind),
        now: Time,
    ) -> Result<()> {
        let run = |sql: &str| change.execute_batch(sql).map_err(failed(ACTION));
        run("SAVEPOINT tree")?;
        match self.sign_in(change, of, now) {
            Ok(()) => run("RELEASE tree"),
            Err(error) if is_of_the_tree(&error) => {
                if !self.is_unsignable.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "no checkpoint covers further records: `undrift audit verify`");
                }
                run("ROLLBACK TO tree; RELEASE tree")
            }
            Err(error) => Err(error),
        }
    }

    fn sign_in(&self, change: &Transaction<'_>, (seq, kind): (u64, AuditKind), now: Time) -> Result<()> {
        let size = grow_in(change, seq).map_err(failed(ACTION))?;
        // The record of a delivery is none that a checkpoint is made for: an idle undrift would deliver for ever.
        let is_of_a_delivery = matches!(kind, AuditKind::Anchored | AuditKind::AnchorFailed);
        if size != seq || is_of_a_delivery {
            return Ok(());
        }
        let ends = matches!(kind, AuditKind::Reconciled | AuditKind::Stalled);
        if ends || is_due(change, now).map_err(failed(ACTION))? || self.has_another_key(change)? {
            self.sign_tree(change, size, now)?;
        }
        Ok(())
    }

    /// Whether the newest checkpoint is by another key than this folder's. The answer no holds for as long as the state is open.
    fn has_another_key(&self, change: &Connection) -> Result<bool> {
        if self.is_key_recorded.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let Some(own) = self.signing_key_in(change)? else { return Ok(false) };
        let is_recorded = last_key_in(change).map_err(failed(READ))?.as_ref() == Some(own.verifier());
        self.is_key_recorded.store(is_recorded, Ordering::Relaxed);
        Ok(!is_recorded)
    }

    /// Signs a checkpoint of the whole tree, which has this size.
    fn sign_tree(&self, change: &Transaction<'_>, size: u64, now: Time) -> Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let key = signing_key(key, &Self::name_in(change, now)?)?;
        record_key_in(change, size, key.verifier()).map_err(failed(ACTION))?;
        let tree = head(&StoredNodes(change), size).map_err(failed(ACTION))?;
        let note = Checkpoint::sign(tree, &key).to_string();
        change
            .execute("INSERT INTO checkpoints VALUES (?1, ?2, ?3)", params![signed(size), stamp(now), note])
            .map(drop)
            .map_err(failed(ACTION))
    }

    /// Takes a portion of the records that the tree lacks into it. Signs a checkpoint once it has all of them, if one is due.
    ///
    /// # Errors
    /// SQLite's error, also of a damaged tree.
    pub fn grow_tree(&self) -> Result<TreeGrowth> {
        self.write(ACTION, |change| {
            let records = number(trail_head(change).map_err(failed(ACTION))?.0);
            let size = grow_in(change, records).map_err(failed(ACTION))?;
            if size == records && records > 0 && newest_in(change).map_err(failed(READ))?.is_none() {
                self.sign_tree(change, size, self.now())?;
            }
            Ok(TreeGrowth { size, records })
        })
    }

    /// How many of the records the tree has.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn tree_growth(&self) -> Result<TreeGrowth> {
        let db = self.db();
        let records = number(trail_head(&db).map_err(failed(READ))?.0);
        Ok(TreeGrowth { size: size_in(&db).map_err(failed(READ))?, records })
    }

    /// The name of the trail in its checkpoints: made with the first of them.
    fn name_in(change: &Transaction<'_>, now: Time) -> Result<String> {
        if let Some(origin) = origin_in(change).map_err(failed(ACTION))? {
            return Ok(origin);
        }
        let origin = format!("undrift/{}/{}", host_name(), Ulid::from_datetime(now.into()));
        change
            .execute("INSERT INTO trail_origin VALUES (1, ?1)", [&origin])
            .map_err(failed("name the audit trail"))?;
        Ok(origin)
    }

    /// The newest checkpoint, as a signed note; `None` if there is none yet.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn newest_checkpoint(&self) -> Result<Option<String>> {
        Ok(newest_in(&self.db()).map_err(failed(READ))?.map(|(_, note)| note))
    }

    /// The name of this trail, `undrift/HOST/ID`, which its first checkpoint gives it.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn origin(&self) -> Result<Option<String>> {
        origin_in(&self.db()).map_err(failed(READ))
    }

    /// The same with what it states; `None` also for one that is damaged.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn stored_checkpoint(&self) -> Result<Option<StoredCheckpoint>> {
        let note = self.newest_checkpoint()?;
        Ok(note.and_then(|note| {
            let note: SignedNote = note.parse().ok()?;
            let head = Checkpoint::stated(&note).ok()?.head;
            Some(StoredCheckpoint { head, note })
        }))
    }

    /// The oldest checkpoint that covers this record and is by the newest checkpoint's key, as a signed note; `None` if there is
    /// none yet.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn checkpoint_over(&self, seq: u64) -> Result<Option<String>> {
        let select = "SELECT note FROM checkpoints
            WHERE size >= max(?1, coalesce((SELECT max(since) FROM checkpoint_keys), 0)) ORDER BY size LIMIT 1";
        let found = self.db().query_row(select, [signed(seq)], |row| row.get(0)).optional();
        found.map_err(failed(READ))
    }

    /// The public half of the key that signs this trail's checkpoints: of the folder's key or, if this user may not read that,
    /// the last one on record. `None` if there is none yet.
    ///
    /// # Errors
    /// SQLite's error, or that of the key's file.
    pub fn checkpoint_key(&self) -> Result<Option<VerifierKey>> {
        let db = self.db();
        match self.signing_key_in(&db)? {
            Some(own) => Ok(Some(own.verifier().clone())),
            None => last_key_in(&db).map_err(failed(READ)),
        }
    }

    /// The public key that signed the newest checkpoint; `None` if there is none yet, or it is by no key of this trail.
    ///
    /// # Errors
    /// SQLite's error, or that of the key's file.
    pub fn newest_checkpoints_key(&self) -> Result<Option<VerifierKey>> {
        let Some(newest) = self.stored_checkpoint()? else { return Ok(None) };
        let db = self.db();
        Ok(self.verifiers_in(&db)?.into_iter().find(|key| newest.note.verify(key).is_ok()))
    }

    /// The public keys of this trail: the folder's, if this user may read it, and the earlier ones on record, newest first.
    pub(super) fn verifiers_in(&self, db: &Connection) -> Result<Vec<VerifierKey>> {
        let own = self.signing_key_in(db)?.map(|key| key.verifier().clone());
        let mut keys: Vec<VerifierKey> = own.into_iter().collect();
        for recorded in keys_in(db).map_err(failed(READ))?.into_iter().rev() {
            if !keys.contains(&recorded.key) {
                keys.push(recorded.key);
            }
        }
        Ok(keys)
    }

    /// The key itself, for statements about what was verified; `None` also if the newest checkpoint is by another one.
    ///
    /// # Errors
    /// As [`checkpoint_key`](Self::checkpoint_key).
    pub fn signing_key(&self) -> Result<Option<SigningKey>> {
        let newest = self.newest_checkpoints_key()?;
        let own = self.signing_key_in(&self.db())?;
        Ok(own.filter(|own| newest.as_ref() == Some(own.verifier())))
    }

    fn signing_key_in(&self, db: &Connection) -> Result<Option<SigningKey>> {
        let origin = origin_in(db).map_err(failed(READ))?;
        origin.zip(self.key.as_ref()).map(|(origin, key)| signing_key(key, &origin)).transpose()
    }

    /// Whether undrift wrote this incident as it is; true if the folder's key cannot be read.
    ///
    /// # Errors
    /// [`StoreError::Altered`], or SQLite's error.
    pub fn require_unaltered(&self, incident: &str) -> Result<()> {
        self.require_sealed_in(&self.db(), incident)
    }

    /// These records, each with a proof under the newest checkpoint; those after it have none yet.
    ///
    /// # Errors
    /// SQLite's error; [`StoreError::Unsigned`] if the checkpoint cannot be read, or a record is not the one that was signed.
    pub fn proven(&self, seqs: impl IntoIterator<Item = u64>) -> Result<Vec<ProvenRecord>> {
        let db = self.db();
        let moment = db.unchecked_transaction().map_err(failed(READ))?;
        let Some((size, note)) = newest_in(&moment).map_err(failed(READ))? else { return Ok(Vec::new()) };
        let checkpoint: SignedNote =
            note.parse().map_err(|_| StoreError::Unsigned("its newest checkpoint is damaged"))?;
        let keys = self.verifiers_in(&moment)?;
        let key = keys.iter().find(|key| checkpoint.verify(key).is_ok());
        if key.is_none() && !keys.is_empty() {
            return Err(StoreError::Unsigned("its newest checkpoint is by no key of this trail"));
        }
        let (mut forms, mut proven) = (Forms::of(&moment), Vec::new());
        for seq in seqs {
            let Some(position) = seq.checked_sub(1).and_then(|index| LeafPosition::new(index, size)) else {
                continue;
            };
            let Some(form) = forms.get(seq).map_err(failed(READ))? else { continue };
            let path = inclusion_proof(&StoredNodes(&moment), position).map_err(failed(READ))?;
            let proof = RecordProof { index: seq - 1, path, checkpoint: checkpoint.clone() };
            // What somebody altered beside the tree is not handed out as proven.
            if let Some(key) = key
                && proof.verify(form.as_bytes(), seq - 1, key).is_err()
            {
                return Err(StoreError::Unsigned(
                    "a record is not the one that was signed: `undrift audit verify`",
                ));
            }
            proven.push(ProvenRecord { seq, form, proof });
        }
        Ok(proven)
    }
}

/// Whether the stored tree, a segment or the origin is at fault, and not the disk or another process.
fn is_of_the_tree(error: &StoreError) -> bool {
    match error {
        StoreError::Unsigned(_) => true,
        StoreError::Database { source, .. } => match source.sqlite_error_code() {
            // A node that is missing, or is none.
            None => true,
            Some(code) => matches!(
                code,
                ErrorCode::ConstraintViolation | ErrorCode::DatabaseCorrupt | ErrorCode::TypeMismatch
            ),
        },
        _ => false,
    }
}

const READ: &str = "read the checkpoints of the audit trail";

/// Whether the newest checkpoint is an hour old, or there is none, or the clock was set back since.
fn is_due(db: &Connection, now: Time) -> rusqlite::Result<bool> {
    let mut query = db.prepare_cached("SELECT time FROM checkpoints ORDER BY size DESC LIMIT 1")?;
    let last: Option<String> = query.query_row([], |row| row.get(0)).optional()?;
    let last = last.and_then(|last| last.parse::<Time>().ok());
    Ok(last.is_none_or(|last| now - last >= HOUR || now < last))
}

fn newest_in(db: &Connection) -> rusqlite::Result<Option<(u64, String)>> {
    let mut query = db.prepare_cached("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1")?;
    query.query_row([], |row| Ok((number(row.get(0)?), row.get(1)?))).optional()
}

/// All checkpoints, by size.
pub(super) fn checkpoints_in(db: &Connection) -> rusqlite::Result<Vec<(u64, String)>> {
    let mut query = db.prepare_cached("SELECT size, note FROM checkpoints ORDER BY size")?;
    let rows = query.query_map([], |row| Ok((number(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

/// This host's name, as a key's name may have it.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let named: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' }).collect();
    if named.is_empty() { "host".to_owned() } else { named }
}

#[cfg(test)]
#[path = "checkpoints_tests.rs"]
mod tests;
