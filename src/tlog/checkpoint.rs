//! Checkpoints, by [tlog-checkpoint](https://c2sp.org/tlog-checkpoint): a note that states the size and the root of a tree.
//!
//! Who keeps one, where its writer cannot reach it, can prove later whether the trail still begins with the same records.

use super::{
    encoding::from_decimal,
    hash::Hash,
    key::{SigningKey, VerifierKey},
    note::{NoteError, SignedNote},
    tree::TreeHead,
};

/// Why a note is no checkpoint of a trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note itself is not valid, or not signed by the key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text has fewer than three lines, an empty one, or no line break at its end.
    #[error("a checkpoint has at least three lines, none of them empty")]
    Lines,
    /// The size is not a number without leading zeros.
    #[error("the second line of a checkpoint is the size of the tree")]
    Size,
    /// The root is not a hash in base64.
    #[error("the third line of a checkpoint is the root of the tree in base64")]
    Root,
    /// It states a root of an empty tree that an empty tree does not have.
    #[error("an empty tree has another root")]
    NotTheEmptyRoot,
    /// Its origin is another trail than the key's.
    #[error("the checkpoint is of {0}, not of the trail that the key belongs to")]
    Origin(String),
}

/// What a checkpoint states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log that it is about.
    pub origin: String,
    /// The tree at that time.
    pub head: TreeHead,
}

impl Checkpoint {
    /// The checkpoint of a tree, signed. Its origin is the key's name, and it has no extension lines.
    #[must_use]
    pub fn sign(head: TreeHead, key: &SigningKey) -> SignedNote {
        let origin = key.verifier().name().to_string();
        SignedNote::sign_lines(Self { origin, head }.text(), key)
    }

    /// The tree of a checkpoint that this key has signed about its own trail. Extension lines are signed with it, and ignored.
    ///
    /// # Errors
    /// Every [`CheckpointError`].
    pub fn open(note: &SignedNote, key: &VerifierKey) -> Result<TreeHead, CheckpointError> {
        let checkpoint = Self::parse(note.verify(key)?)?;
        if checkpoint.origin == key.name().as_str() {
            Ok(checkpoint.head)
        } else {
            Err(CheckpointError::Origin(checkpoint.origin))
        }
    }

    /// What a note states, whoever has signed it.
    ///
    /// # Errors
    /// Every [`CheckpointError`] about the text.
    pub fn stated(note: &SignedNote) -> Result<Self, CheckpointError> {
        Self::parse(note.unverified())
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n').collect();
        let [origin, size, root, ..] = lines.as_slice() else { return Err(CheckpointError::Lines) };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Lines);
        }
        let size = from_decimal(size).ok_or(CheckpointError::Size)?;
        let root = Hash::from_base64(root).ok_or(CheckpointError::Root)?;
        if size == 0 && root != Hash::EMPTY_ROOT {
            return Err(CheckpointError::NotTheEmptyRoot);
        }
        Ok(Self { origin: (*origin).to_owned(), head: TreeHead { size, root } })
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.size, self.head.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed("undrift/host/A".parse().unwrap(), &[seed; 32]).unwrap()
    }

    fn head(size: u64) -> TreeHead {
        TreeHead { size, root: Hash::of_leaf(b"") }
    }

    /// A text that the key signed, whatever it is.
    fn opened(text: &str) -> Result<TreeHead, CheckpointError> {
        Checkpoint::open(&SignedNote::sign(text, &key(1)).unwrap(), key(1).verifier())
    }

    /// The body of the specification's example.
    #[test]
    fn reads_the_example_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse(text).unwrap();
        assert_eq!((&*checkpoint.origin, checkpoint.head.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.text(), text);
    }

    #[test]
    fn states_origin_size_and_root_and_nothing_else() {
        let note = Checkpoint::sign(head(7), &key(1));
        let text = "undrift/host/A\n7\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n";
        assert_eq!(note.verify(key(1).verifier()), Ok(text));
        assert_eq!(Checkpoint::open(&note, key(1).verifier()), Ok(head(7)));
        assert!(matches!(Checkpoint::open(&note, key(2).verifier()), Err(CheckpointError::Note(_))));
    }

    #[test]
    fn extension_lines_are_read_over() {
        let text = Checkpoint { origin: "undrift/host/A".into(), head: head(7) }.text();
        assert_eq!(opened(&format!("{text}an extension\nand another\n")), Ok(head(7)));
        assert_eq!(opened(&format!("{text}\nand another\n")), Err(CheckpointError::Lines));
    }

    #[test]
    fn what_is_no_checkpoint_of_this_trail_is_refused_even_if_signed() {
        let root = Hash::of_leaf(b"");
        let cases = [
            ("\n".to_owned(), CheckpointError::Lines),
            ("undrift/host/A\n7\n".into(), CheckpointError::Lines),
            (format!("\n7\n{root}\n"), CheckpointError::Lines),
            (format!("undrift/host/A\n07\n{root}\n"), CheckpointError::Size),
            (format!("undrift/host/A\n+7\n{root}\n"), CheckpointError::Size),
            (format!("undrift/host/A\n7 \n{root}\n"), CheckpointError::Size),
            (format!("undrift/host/A\n18446744073709551616\n{root}\n"), CheckpointError::Size),
            (format!("undrift/host/A\n7\n{root} \n"), CheckpointError::Root),
            (format!("undrift/host/A\n7\n{}\n", root.to_hex()), CheckpointError::Root),
            (
                "undrift/host/A\n7\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB1=\n".into(),
                CheckpointError::Root,
            ),
            (format!("undrift/host/A\n0\n{root}\n"), CheckpointError::NotTheEmptyRoot),
            (format!("undrift/host/B\n7\n{root}\n"), CheckpointError::Origin("undrift/host/B".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(opened(&text), Err(expected), "{text:?}");
        }
        assert_eq!(opened(&format!("undrift/host/A\n0\n{}\n", Hash::EMPTY_ROOT)), Ok(TreeHead::EMPTY));
    }
}
