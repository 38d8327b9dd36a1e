//! undrift's knowledge of an image, by its ID: it writes nothing into the image itself, because a label would change that ID.

use rusqlite::{OptionalExtension, Row, params};

use super::{
    Store,
    error::{Result, failed},
    seals::{SealedTable, if_sealed},
    time::{read_option, stamp},
};
use crate::api::Time;

/// undrift's knowledge of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageKnowledge {
    /// The image's ID, `sha256:…`.
    pub id: String,
    /// The reference at which it was last seen.
    pub reference: String,
    /// The digest of the build context that it was built from, if undrift knows it.
    pub source_digest: Option<String>,
    /// Whether undrift built it.
    pub built_by_undrift: bool,
    /// When a service that runs it last stayed as declared for the whole stability window.
    pub last_good_at: Option<Time>,
}

impl Store {
    /// The knowledge of the image with this ID. A row that somebody else wrote counts as missing.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn image(&self, id: &str) -> Result<Option<ImageKnowledge>> {
        let action = "read what is known of an image";
        let db = self.db();
        // Read the row and its seal in one transaction: another process may write both.
        let moment = db.unchecked_transaction().map_err(failed(action))?;
        let select = "SELECT * FROM images WHERE id = ?1";
        let found = moment.query_row(select, [id], read_row).optional().map_err(failed(action))?;
        if_sealed(&moment, self.key.as_ref(), SealedTable::Image, id, found)
    }

    /// The knowledge of all images, by ID.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn images(&self) -> Result<Vec<ImageKnowledge>> {
        let action = "read what is known of images";
        let db = self.db();
        let mut query = db.prepare("SELECT * FROM images ORDER BY id").map_err(failed(action))?;
        let rows = query.query_map([], read_row).map_err(failed(action))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed(action))
    }

    /// Remembers an image; replaces what was known of it.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn save_image(&self, image: &ImageKnowledge) -> Result<()> {
        let action = "remember an image";
        let row = params![
            image.id,
            image.reference,
            image.source_digest,
            image.built_by_undrift,
            image.last_good_at.map(stamp)
        ];
        self.write(action, |change| {
            change
                .execute("INSERT OR REPLACE INTO images VALUES (?1, ?2, ?3, ?4, ?5)", row)
                .map_err(failed(action))?;
            self.seal_in(change, SealedTable::Image, &image.id)
        })
    }

    /// Forgets an image that is gone.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn forget_image(&self, id: &str) -> Result<()> {
        self.write("forget an image", |change| {
            change.execute("DELETE FROM images WHERE id = ?1", [id]).map_err(failed("forget an image"))?;
            self.seal_in(change, SealedTable::Image, id)
        })
    }
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<ImageKnowledge> {
    Ok(ImageKnowledge {
        id: row.get("id")?,
        reference: row.get("reference")?,
        source_digest: row.get("source_digest")?,
        built_by_undrift: row.get("built_by_undrift")?,
        last_good_at: read_option(row.get::<_, Option<String>>("last_good_at")?.as_deref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn what_is_known_of_an_image_is_kept_by_its_id() {
        let (home, store) = testing::store();
        let built = ImageKnowledge {
            id: "sha256:a".into(),
            reference: "shop-api".into(),
            source_digest: Some("sha256:1".into()),
            built_by_undrift: true,
            last_good_at: None,
        };
        let pulled = ImageKnowledge {
            id: "sha256:b".into(),
            source_digest: None,
            built_by_undrift: false,
            ..built.clone()
        };
        store.save_image(&built).unwrap();
        store.save_image(&pulled).unwrap();
        let good = ImageKnowledge { last_good_at: Some(testing::start()), ..built };
        store.save_image(&good).unwrap();
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.image("sha256:a").unwrap(), Some(good.clone()));
        assert_eq!(store.images().unwrap(), [good.clone(), pulled]);
        assert_eq!(store.image("sha256:c").unwrap(), None);
        store.forget_image("sha256:b").unwrap();
        assert_eq!(store.images().unwrap(), [good]);
    }
}
