//! The listings between observations. Losing them costs time, and nothing else.
//!
//! Within a process they are kept as they are, up to a number of entries. Between processes the cache has those of images, and
//! the digests of source files: sealed, because a file may hold a secret that its digest gives away.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::{
    Listing, NoListing, Scope,
    listing::FileDigest,
    stored::{read, written},
};
use crate::{
    api::Cache,
    host::{
        KeyedDigest, Sealed,
        engine::ContentQuestion,
        source::{Stamp, remember_digests},
    },
};

/// The cache's space: by owner and path, the listing in the last image, with the image's ID and the rules. One for each module,
/// and not for each image: it may be large.
const IMAGES: &str = "content-of-image";

/// The cache's space: the digests of the files of a source, by its path.
const FILES: &str = "content-of-source";

/// How many entries all listings of a process have. One is some hundred bytes.
const MOST_ENTRIES: usize = 500_000;

/// What a listing costs beside its entries.
const COST: usize = 16;

/// The largest value that is put into the cache.
const LARGEST: usize = 8 << 20;

/// A listing, or that there is too much for one.
pub(super) type Kept = Result<Arc<Listing>, NoListing>;

/// The listings of one host.
#[derive(Default)]
pub(in crate::host) struct ContentMemory {
    images: Mutex<Shelf<Kept>>,
    containers: Mutex<Shelf<ContainerListing>>,
    /// The sources, each with the state of its build context that it is of.
    sources: Mutex<Shelf<(String, Kept)>>,
    /// The sources whose digests were taken from the cache.
    loaded: Mutex<HashSet<String>>,
}

/// The files of a container, as of some moment.
#[derive(Debug, Clone)]
struct ContainerListing {
    kept: Kept,
    read_at: Instant,
    /// How often the container had been touched from outside by then.
    touched: u64,
}

/// The place of listings of images: what a task of its own can hold.
#[derive(Clone)]
pub(in crate::host) struct ImageListings {
    pub(in crate::host) memory: Arc<ContentMemory>,
    pub(in crate::host) cache: Arc<dyn Cache>,
    pub(in crate::host) digests: KeyedDigest,
}

impl ImageListings {
    /// The key of a path in an image, of which this is compared.
    pub(in crate::host) fn key(image: &str, path: &str, scope: &Scope) -> String {
        format!("{image}\n{path}\n{}", scope.key())
    }

    fn sealed(&self) -> Sealed<'_> {
        Sealed { cache: &*self.cache, digest: &self.digests }
    }

    /// The listing of a path in an image; `None` if it is to be read.
    pub(in crate::host) fn get(
        &self,
        image: &str,
        path: &str,
        of: &ContentQuestion,
    ) -> Option<Result<Arc<Listing>, NoListing>> {
        let key = Self::key(image, path, &of.scope);
        if let Some(kept) = lock(&self.memory.images).get(&key) {
            return Some(kept);
        }
        let cached = self.sealed().get(IMAGES, &cache_key(path, of))?;
        let listing = cached.strip_prefix(&key)?.strip_prefix('\n')?;
        let kept = read(&decoded(listing)?)?;
        lock(&self.memory.images).put(&key, kept.clone(), weight(&kept));
        Some(kept)
    }

    /// Remembers what an image has: its ID names its content for ever. A failure is not remembered.
    pub(in crate::host) fn put(
        &self,
        image: &str,
        path: &str,
        of: &ContentQuestion,
        kept: &Result<Arc<Listing>, NoListing>,
    ) {
        if matches!(kept, Err(NoListing::Unknown(_))) {
            return;
        }
        let key = Self::key(image, path, &of.scope);
        lock(&self.memory.images).put(&key, kept.clone(), weight(kept));
        let bytes = written(kept);
        if bytes.len() <= LARGEST {
            let value = format!("{key}\n{}", STANDARD_NO_PAD.encode(bytes));
            self.sealed().put(IMAGES, &cache_key(path, of), &value);
        }
    }

    /// Takes the digests of a source's files from the cache, once.
    pub(super) fn load_source(&self, key: &str) {
        if !lock(&self.memory.loaded).insert(key.to_owned()) {
            return;
        }
        let Some(bytes) = self.sealed().get(FILES, key).and_then(|text| decoded(&text)) else { return };
        let (files, []) = bytes.as_chunks::<{ Stamp::LENGTH + 32 }>() else { return };
        let files = files.iter().filter_map(|file| {
            let (stamp, digest) = file.split_first_chunk()?;
            Some((Stamp::read(stamp), digest.try_into().ok()?))
        });
        remember_digests(files);
    }

    /// Puts the digests of a source's files into the cache.
    pub(super) fn save_source(&self, key: &str, files: &[(Stamp, FileDigest)]) {
        let bytes: Vec<u8> = files.iter().flat_map(|(stamp, digest)| stamp.bytes().chain(*digest)).collect();
        if bytes.len() <= LARGEST {
            self.sealed().put(FILES, key, &STANDARD_NO_PAD.encode(bytes));
        }
    }
}

impl ContentMemory {
    /// The files of a source, if they are of this state of its build context.
    pub(super) fn source(&self, key: &str, settled: &str) -> Option<Kept> {
        lock(&self.sources).get(key).and_then(|(then, kept)| (then == settled).then_some(kept))
    }

    /// Remembers the files of a source. That it cannot be read is not remembered.
    pub(super) fn put_source(&self, key: &str, settled: &str, kept: &Kept) {
        if !matches!(kept, Err(NoListing::Unknown(_))) {
            lock(&self.sources).put(key, (settled.to_owned(), kept.clone()), weight(kept));
        }
    }

    /// The files of a container, unless they were read longer ago than this, or it was touched since.
    pub(super) fn container(&self, key: &str, touched: u64, within: Duration) -> Option<Kept> {
        let known = lock(&self.containers).get(key)?;
        (known.touched == touched && known.read_at.elapsed() < within).then_some(known.kept)
    }

    /// Remembers the files of a container, that had been touched so often when they were read at that time. One that has what
    /// its image has shares the listing of that.
    pub(super) fn put_container(
        &self,
        key: &str,
        kept: &Kept,
        image: Option<&Arc<Listing>>,
        of: (u64, Instant),
    ) {
        let shared = image.filter(|image| kept.as_ref().is_ok_and(|listing| listing == *image));
        let (kept, weight) = match shared {
            Some(image) => (Ok(Arc::clone(image)), COST),
            None => (kept.clone(), weight(kept)),
        };
        let (touched, read_at) = of;
        lock(&self.containers).put(key, ContainerListing { kept, read_at, touched }, weight);
    }

    /// The listing of a path in an image, if it is at hand.
    pub(super) fn image(&self, key: &str) -> Option<Arc<Listing>> {
        lock(&self.images).get(key)?.ok()
    }

    /// Forgets the files of an object's containers: a step may have changed them.
    pub(in crate::host) fn forget_containers(&self, object: &str) {
        lock(&self.containers).forget(&format!("{object}\n"));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cache_key(path: &str, of: &ContentQuestion) -> String {
    format!("{}\n{path}", of.owner)
}

fn weight(kept: &Kept) -> usize {
    COST + kept.as_ref().map_or(0, |listing| listing.entries().len())
}

/// Values up to a total weight; then the ones go that were not used for longest.
struct Shelf<T> {
    values: HashMap<String, (u64, usize, T)>,
    weight: usize,
    uses: u64,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), weight: 0, uses: 0 }
    }
}

impl<T: Clone> Shelf<T> {
    fn get(&mut self, key: &str) -> Option<T> {
        self.uses += 1;
        let (used, _, value) = self.values.get_mut(key)?;
        *used = self.uses;
        Some(value.clone())
    }

    /// Forgets the values whose keys begin so.
    fn forget(&mut self, prefix: &str) {
        let gone = self.values.extract_if(|key, _| key.starts_with(prefix));
        self.weight -= gone.map(|(_, (_, weight, _))| weight).sum::<usize>();
    }

    fn put(&mut self, key: &str, value: T, weight: usize) {
        self.uses += 1;
        self.weight += weight;
        if let Some((_, before, _)) = self.values.insert(key.to_owned(), (self.uses, weight, value)) {
            self.weight -= before;
        }
        while self.weight > MOST_ENTRIES && self.values.len() > 1 {
            let oldest = self.values.iter().min_by_key(|(_, (used, ..))| *used).map(|(key, _)| key.clone());
            let gone = oldest.and_then(|key| self.values.remove(&key));
            self.weight -= gone.map_or(0, |(_, weight, _)| weight);
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{listing::Entry, scope::tests::scope},
        *,
    };
    use crate::host::{keyed_by_this_process, sealed::tests::PlainCache};

    fn listing(count: usize) -> Arc<Listing> {
        let path = |n: usize| n.to_string().into_bytes().into_boxed_slice();
        Arc::new(Listing::of((0..count).map(|n| (path(n), Entry::Folder)).collect()))
    }

    #[test]
    fn what_fills_the_memory_goes_oldest_first() {
        let mut shelf = Shelf::default();
        for n in 0..5 {
            shelf.put(&n.to_string(), n, MOST_ENTRIES / 5);
        }
        assert_eq!(shelf.get("0"), Some(0), "it is used");
        shelf.put("5", 5, MOST_ENTRIES / 5);
        assert_eq!((shelf.get("0"), shelf.get("1"), shelf.get("5")), (Some(0), None, Some(5)));
        shelf.put("5", 6, 1);
        assert_eq!((shelf.get("5"), shelf.weight), (Some(6), MOST_ENTRIES / 5 * 4 + 1));
        shelf.put("whole", 7, MOST_ENTRIES * 2);
        assert_eq!((shelf.get("whole"), shelf.values.len()), (Some(7), 1));
    }

    #[test]
    fn a_container_is_read_again_after_a_touch_and_after_a_while() {
        let memory = ContentMemory::default();
        let (long, now) = (Duration::from_secs(100), Instant::now());
        for object in ["shop", "shop-2"] {
            memory.put_container(&format!("{object}\na"), &Ok(listing(2)), None, (3, now));
        }
        assert!(memory.container("shop\na", 3, long).is_some());
        assert!(memory.container("shop\na", 4, long).is_none(), "it was touched");
        assert!(memory.container("shop\na", 3, Duration::ZERO).is_none(), "it is too old");
        assert!(memory.container("shop\nb", 3, long).is_none());
        memory.forget_containers("shop");
        assert!(memory.container("shop\na", 3, long).is_none());
        assert!(memory.container("shop-2\na", 3, long).is_some());
        assert_eq!(lock(&memory.containers).weight, COST + 2);
    }

    #[test]
    fn containers_share_the_listing_of_their_image() {
        let (memory, image) = (ContentMemory::default(), listing(3));
        memory.put_container("a", &Ok(listing(3)), Some(&image), (0, Instant::now()));
        memory.put_container("b", &Ok(listing(4)), Some(&image), (0, Instant::now()));
        let of = |key| memory.container(key, 0, Duration::from_secs(100)).unwrap().unwrap();
        assert!(Arc::ptr_eq(&of("a"), &image) && of("b") == listing(4));
    }

    #[test]
    fn an_image_that_could_not_be_read_is_read_again_and_one_that_was_is_not() {
        let digests = keyed_by_this_process();
        let cache: Arc<dyn Cache> = Arc::new(PlainCache::default());
        let images =
            |memory| ImageListings { memory, cache: Arc::clone(&cache), digests: Arc::clone(&digests) };
        let of = |ignore: &[&str]| ContentQuestion {
            scope: Arc::new(scope("", None, ignore)),
            owner: "shop".into(),
        };
        let memory: Arc<ContentMemory> = Arc::default();
        images(Arc::clone(&memory)).put("a", "/x", &of(&[]), &Err(NoListing::Unknown("busy".into())));
        assert_eq!(images(Arc::clone(&memory)).get("a", "/x", &of(&[])), None);
        let large = Err(NoListing::TooLarge("large".into()));
        for found in [large, Ok(listing(3))] {
            images(Arc::clone(&memory)).put("a", "/x", &of(&[]), &found);
            // By this process, and by the next one.
            for memory in [Arc::clone(&memory), Arc::default()] {
                assert_eq!(images(Arc::clone(&memory)).get("a", "/x", &of(&[])), Some(found.clone()));
                assert_eq!(images(Arc::clone(&memory)).get("b", "/x", &of(&[])), None, "another image");
                assert_eq!(images(memory).get("a", "/x", &of(&["y"])), None, "other rules");
            }
        }
    }

    #[test]
    fn the_digests_of_a_source_outlive_the_process_that_made_them() {
        let stamp = Stamp::read(&[9; Stamp::LENGTH]);
        let images = ImageListings {
            memory: Arc::default(),
            cache: Arc::new(PlainCache::default()),
            digests: keyed_by_this_process(),
        };
        images.save_source("/x", &[(stamp, [7; 32])]);
        images.load_source("/x");
        assert_eq!(crate::host::source::remembered_digest(&stamp), Some([7; 32]));
        let kept = images.cache.get(FILES, "/x").unwrap();
        assert!(!kept.contains(&STANDARD_NO_PAD.encode([7; 32])), "a digest may give a secret away: {kept}");
    }
}
