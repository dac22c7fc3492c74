//! Tells repeated rows: by hash, in constant time, at ten to twenty bytes a row.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::record::KeyHash;

/// Parts of the set; each grows on its own, so that growing never doubles the whole.
const SHARDS: usize = 64;

/// Rows of which the content is remembered, too.
const RECENT: usize = 1 << 14;

/// What is known of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Its identity was not seen before.
    New,
    /// It is exactly as it was before.
    Same,
    /// Its identity was seen before; its content is other, or no longer remembered.
    Again,
}

/// The identities of the rows seen so far, and the content of some of them.
///
/// Two rows whose 64-bit hashes collide count as one identity: the second is then sent later
/// than others, but it is sent, and only the counts are off by one.
#[derive(Debug)]
pub(super) struct Seen {
    shards: Vec<HashSet<u64, BuildHasherDefault<Ready>>>,
    recent: Vec<(u64, u64)>,
}

/// Takes hashes as they are.
#[derive(Debug, Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashSet::default()).collect(),
            recent: vec![(0, 0); RECENT],
        }
    }

    /// Looks a row up and remembers it. A row that comes again from another scope counts as
    /// changed: the service has to learn of both.
    pub(super) fn look(&mut self, identity: u64, scope: u16, json: &[u8]) -> Repeat {
        let content = xxh3_64_with_seed(json, u64::from(scope));
        let slot = usize::try_from(identity).unwrap_or(usize::MAX) % RECENT;
        let remembered = self.recent.get_mut(slot).is_some_and(|slot| {
            std::mem::replace(slot, (identity, content)) == (identity, content)
        });
        if remembered {
            return Repeat::Same;
        }
        // The low bits choose the slot above and the bucket in the set, so the high ones choose
        // the shard. The set's control bytes use the very highest seven.
        let shard = usize::try_from(identity >> 40).unwrap_or(usize::MAX) % SHARDS;
        let new = self
            .shards
            .get_mut(shard)
            .is_some_and(|shard| shard.insert(identity));
        if new { Repeat::New } else { Repeat::Again }
    }

    /// Returns whether an identity was seen.
    pub(super) fn contains(&self, identity: u64) -> bool {
        let shard = usize::try_from(identity >> 40).unwrap_or(usize::MAX) % SHARDS;
        self.shards
            .get(shard)
            .is_some_and(|shard| shard.contains(&identity))
    }
}

/// Returns the hash that identifies a row among all rows of a run.
pub(super) fn identity(collection: u64, key: KeyHash) -> u64 {
    let (first, second) = match key {
        KeyHash::Vertex(id) => (id, 0),
        KeyHash::Edge { from, to } => (from, to),
    };
    let mut bytes = [0; 24];
    let (head, rest) = bytes.split_at_mut(8);
    let (middle, tail) = rest.split_at_mut(8);
    head.copy_from_slice(&collection.to_le_bytes());
    middle.copy_from_slice(&first.to_le_bytes());
    tail.copy_from_slice(&second.to_le_bytes());
    xxh3_64(&bytes)
}

/// Returns the hash of a collection's name, for [`identity`].
pub(super) fn collection_hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_told_from_changes() {
        let mut seen = Seen::new();
        let first = identity(collection_hash("asset"), KeyHash::Vertex(1));
        assert_eq!(seen.look(first, 0, b"a"), Repeat::New);
        assert_eq!(seen.look(first, 0, b"a"), Repeat::Same);
        assert_eq!(seen.look(first, 0, b"b"), Repeat::Again);
        assert_eq!(seen.look(first, 0, b"b"), Repeat::Same);
        assert_eq!(seen.look(first, 0, b"a"), Repeat::Again);
        assert_eq!(seen.look(first, 1, b"a"), Repeat::Again);
    }

    #[test]
    fn collections_and_directions_are_apart() {
        let (asset, user) = (collection_hash("asset"), collection_hash("user"));
        assert_ne!(
            identity(asset, KeyHash::Vertex(1)),
            identity(user, KeyHash::Vertex(1))
        );
        assert_ne!(
            identity(asset, KeyHash::Edge { from: 1, to: 2 }),
            identity(asset, KeyHash::Edge { from: 2, to: 1 })
        );
    }

    #[test]
    fn many_rows_stay_apart() {
        let mut seen = Seen::new();
        let asset = collection_hash("asset");
        for n in 0..100_000_u64 {
            let id = identity(asset, KeyHash::Vertex(xxh3_64(&n.to_le_bytes())));
            assert_eq!(seen.look(id, 0, b"x"), Repeat::New, "{n}");
            assert!(seen.contains(id));
        }
    }
}
