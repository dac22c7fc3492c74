//! A quick hash for small maps with short keys that no attacker chooses: names of collections
//! and fields.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A map with the quick hash.
pub(super) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Hashes bytes, each write seeded with what came before.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, end: u8) {
        // What `str` writes at its end; one multiplication keeps it apart.
        self.0 = (self.0 ^ u64::from(end)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
