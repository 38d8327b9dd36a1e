//! The sum of the trail, stored: a process that acts continues from there and need not walk a year of records.
//!
//! The row is sealed under the folder's key, and names the record that it goes up to by number and hash: a sum that somebody
//! else wrote, or one of another trail, counts as missing. `audit verify` does not use it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    DigestKey, Store,
    error::{Result, failed, unreadable},
    ledger::Ledger,
    seals::{SealedTable, is_sealed_in},
    segment::hash_in,
    steps::signed,
    trail::number,
};

/// After how many records the sum is stored anew.
const EVERY: u64 = 1024;

/// The key of its row.
const LATEST: &str = "latest";

const ACTION: &str = "store the sum of the trail";

impl Ledger {
    /// Goes on from the stored sum, if there is one of this trail. For a ledger that has not begun.
    pub(super) fn resume(&mut self, db: &Connection, key: Option<&DigestKey>) -> Result<()> {
        let Some(key) = key else { return Ok(()) };
        let select = "SELECT seq, hash, ledger FROM ledgers WHERE id = ?1";
        let row = |row: &rusqlite::Row<'_>| {
            Ok((number(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        };
        let found = db.query_row(select, [LATEST], row).optional().map_err(failed(ACTION))?;
        let Some((seq, hash, text)) = found else { return Ok(()) };
        let is_of_this_trail = is_sealed_in(db, key, SealedTable::Ledger, LATEST)? == Some(true)
            && hash_in(db, seq).map_err(failed(ACTION))?.as_ref() == Some(&hash);
        let stored = serde_json::from_str(&text).ok().filter(|stored: &Self| {
            is_of_this_trail && (stored.chain.records, &stored.chain.head) == (seq, &hash)
        });
        if let Some(stored) = stored {
            *self = Self { stored_until: seq, ..stored };
        } else {
            tracing::warn!("the stored sum of the trail is not of this trail: every record is read");
        }
        Ok(())
    }

    /// Whether so many records came since it was stored that it should be again. One with a fault in it never is.
    fn is_due(&self) -> bool {
        self.is_reliable() && !self.is_cut && self.chain.records >= self.stored_until + EVERY
    }
}

impl Store {
    /// Stores the sum if that is due. Without it the next process reads more, so a failure is logged and stops nothing.
    pub(super) fn store_ledger(&self, ledger: &mut Ledger) {
        if self.key.is_none() || !ledger.is_due() {
            return;
        }
        let stored = self.write(ACTION, |change| {
            let text = serde_json::to_string(ledger).map_err(unreadable("sum of the trail"))?;
            let row = params![LATEST, signed(ledger.chain.records), ledger.chain.head, text];
            change
                .execute("INSERT OR REPLACE INTO ledgers VALUES (?1, ?2, ?3, ?4)", row)
                .map_err(failed(ACTION))?;
            self.seal_in(change, SealedTable::Ledger, LATEST)
        });
        match stored {
            Ok(()) => ledger.stored_until = ledger.chain.records,
            Err(error) => tracing::warn!(%error, "the next start reads more of the trail"),
        }
    }
}

#[cfg(test)]
#[path = "stored_ledger_tests.rs"]
mod tests;
