//! What is asked of an image, and the answers that are remembered.

use std::sync::Arc;

use crate::{
    api::{Fact, ModuleType, Presence},
    host::content::{ImageListings, Listing, NoListing, Scope},
};

/// The cache's space. An image ID never changes its content, so entries stay valid.
const CACHE_SPACE: &str = "module";

/// A path to look for in an image.
#[derive(Debug)]
pub(in crate::host) struct ImageQuestion {
    pub(in crate::host) path: String,
    pub(in crate::host) kind: ModuleType,
    /// Which of its files are compared, if any.
    pub(in crate::host) content: Option<ContentQuestion>,
}

/// Which files of a path are compared.
#[derive(Debug, Clone)]
pub(in crate::host) struct ContentQuestion {
    pub(in crate::host) scope: Arc<Scope>,
    /// Whose they are: object and service.
    pub(in crate::host) owner: String,
}

/// What is at a path of an image.
#[derive(Debug, Clone)]
pub(in crate::host) struct ImageModule {
    pub(in crate::host) presence: Fact<Presence>,
    /// Its files, if they were asked for and it is there.
    pub(in crate::host) content: Option<Result<Arc<Listing>, NoListing>>,
}

impl ImageQuestion {
    /// The answer, if all of it is remembered.
    pub(super) fn known(&self, image: &str, listings: &ImageListings) -> Option<ImageModule> {
        let presence = listings.cache.get(CACHE_SPACE, &key(image, &self.path, self.kind));
        let presence = read(&presence?)?;
        let content = match self.content.as_ref().filter(|_| presence == Fact::Known(Presence::Present)) {
            None => None,
            Some(content) => Some(listings.get(image, &self.path, content)?),
        };
        Some(ImageModule { presence, content })
    }

    pub(super) fn remember(&self, image: &str, module: &ImageModule, listings: &ImageListings) {
        if let Fact::Known(presence) = module.presence {
            listings.cache.put(CACHE_SPACE, &key(image, &self.path, self.kind), write(presence));
        }
        if let (Some(content), Some(found)) = (&self.content, &module.content) {
            listings.put(image, &self.path, content, found);
        }
    }
}

fn key(image: &str, path: &str, kind: ModuleType) -> String {
    let kind = match kind {
        ModuleType::File => "file",
        ModuleType::Directory => "directory",
        ModuleType::Any => "any",
    };
    format!("{image}\n{path}\n{kind}")
}

const fn write(presence: Presence) -> &'static str {
    match presence {
        Presence::Present => "present",
        Presence::Missing => "missing",
        Presence::WrongType => "wrongType",
    }
}

/// An unreadable entry is looked up again.
fn read(text: &str) -> Option<Fact<Presence>> {
    [Presence::Present, Presence::Missing, Presence::WrongType]
        .into_iter()
        .find(|presence| write(*presence) == text)
        .map(Fact::Known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_read_as_it_was_written() {
        for presence in [Presence::Present, Presence::Missing, Presence::WrongType] {
            assert_eq!(read(write(presence)), Some(Fact::Known(presence)));
        }
        assert_eq!(read("perhaps"), None);
    }
}
