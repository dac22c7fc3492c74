//! What the connector remembers between imports: which files it read, and which rows were in
//! each.
//!
//! A directory tells what is there, not what was: to know what a changed or a deleted file no
//! longer reports, the keys of its rows are kept, in a file named by the hash of its content. A
//! listing is kept under its name, which is the model state. Without this memory, or with a part
//! of it missing, an import is full.
//!
//! Imports that did not come to their end may have brought in what was there at the time. So each
//! listing is noted before anything of it is read, and what it had counts as read until an import
//! that knew of it has come to its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use car_core::Failure;
use car_core::connector::ModelState;
use car_core::record::{Deletion, Records};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error;
use crate::listing::{Before, Content, Known, Listing};

/// Version of the files and of what mappings make of content: keys of another one do not count.
const VERSION: &str = "1";

/// Most keys that are weighed for deletion in one delta; for more, an import is full.
const MOST_GONE: usize = 4_000_000;

/// Most listings that are remembered.
const MOST_TRIED: usize = 32;

/// What ends a file of keys, so that one that is cut short is not taken for whole.
const END: &[u8] = b"\0\0\0";

/// Name of the file with the listings that were read.
const TRIED: &str = "tried";

/// The memory of one source.
pub(crate) struct Memory {
    folder: PathBuf,
    /// Hash of what besides the content decides about rows: the mapping.
    salt: u64,
}

/// A listing as it is kept: a line of JSON for each file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    name: String,
    hash: String,
    known: Known,
}

/// Files by name, with the hashes of their contents.
pub(crate) type Contents = BTreeMap<String, u128>;

impl Memory {
    /// Opens a memory, or makes it.
    pub(crate) fn open(folder: &Path, mapping: &[u8]) -> Result<Self, Failure> {
        for part in ["keys", "listings"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(|error| error::memory(&path, error))?;
        }
        let mut salt = Xxh3::new();
        salt.update(VERSION.as_bytes());
        salt.update(env!("CARGO_PKG_VERSION").as_bytes());
        salt.update(mapping);
        Ok(Self {
            folder: folder.to_owned(),
            salt: salt.digest(),
        })
    }

    /// Returns what the last listing knew.
    pub(crate) fn before(&self) -> Before {
        let last = self.tried().pop();
        last.and_then(|name| self.lines(&name).ok())
            .map(|lines| {
                let known = |line: Line| {
                    let hash = u128::from_str_radix(&line.hash, 16).ok()?;
                    Some((line.name, (hash, line.known)))
                };
                lines
                    .into_iter()
                    .filter_map(known)
                    .collect::<HashMap<_, _>>()
            })
            .unwrap_or_default()
    }

    /// Keeps a listing, and returns its name.
    pub(crate) fn keep(&self, listing: &Listing) -> Result<ModelState, Failure> {
        let mut digest = Xxh3::new();
        let mut text = Vec::new();
        for entry in &listing.entries {
            let Content::Hash(hash) = entry.content else {
                continue;
            };
            digest.update(entry.file.name.as_bytes());
            digest.update(&[0]);
            digest.update(&hash.to_le_bytes());
            let line = Line {
                name: entry.file.name.clone(),
                hash: format!("{hash:032x}"),
                known: listing.known(entry),
            };
            serde_json::to_writer(&mut text, &line)
                .map_err(|error| error::memory(&self.folder, io::Error::other(error)))?;
            text.push(b'\n');
        }
        let digest = format!("{:016x}{:032x}", self.salt, digest.digest128());
        let mut tried = self.tried();
        // The same files again, after others that may have been read in part, are another state:
        // what the others had has to go.
        let last = tried.last().map(String::as_str);
        let name = match last {
            Some(last) if plain(last) == digest => last.to_owned(),
            Some(_) if tried.iter().any(|name| plain(name) == digest) => {
                format!("{digest}.{:x}", listing.time)
            }
            _ => digest,
        };
        self.write(&self.listing(&name), &text)?;
        if last != Some(name.as_str()) {
            tried.push(name.clone());
            // A state that is older than these is not known any more.
            let old = tried.len().saturating_sub(MOST_TRIED);
            tried.drain(..old);
            self.note(&tried)?;
        }
        Ok(ModelState(name))
    }

    /// Returns what a listing had; nothing when it is not known.
    pub(crate) fn contents(&self, state: &ModelState) -> Option<Contents> {
        let lines = self.lines(&state.0).ok()?;
        lines
            .into_iter()
            .map(|line| Some((line.name, u128::from_str_radix(&line.hash, 16).ok()?)))
            .collect()
    }

    /// Returns the contents that may be in the graph besides those of a state, and are not part
    /// of it any more; nothing when that is not known.
    pub(crate) fn others(
        &self,
        since: &ModelState,
        until: &Contents,
    ) -> Option<BTreeSet<(String, u128)>> {
        if !since.0.starts_with(&format!("{:016x}", self.salt)) {
            return None;
        }
        let mut tried = self.tried();
        let at = tried.iter().position(|name| *name == since.0)?;
        // An import that ended well was the last to read before the present one.
        if at.saturating_add(2) >= tried.len() {
            tried.drain(..at);
            self.note(&tried).ok()?;
        }
        let mut others = BTreeSet::new();
        for name in tried {
            let contents = self.contents(&ModelState(name))?;
            others.extend(
                contents
                    .into_iter()
                    .filter(|(name, hash)| until.get(name) != Some(hash)),
            );
        }
        Some(others)
    }

    /// Forgets what makes changes possible: the next import is full.
    pub(crate) fn distrust(&self) {
        drop(fs::remove_file(self.folder.join(TRIED)));
    }

    /// Begins to keep the keys of a content; nothing when they are kept already.
    pub(crate) fn key_file(&self, name: &str, hash: u128) -> Result<Option<KeyFile>, Failure> {
        let path = self.keys(name, hash);
        if path.exists() {
            return Ok(None);
        }
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let part = path.with_extension(format!("part{}-{number}", std::process::id()));
        let file = File::create(&part).map_err(|error| error::memory(&part, error))?;
        Ok(Some(KeyFile {
            file: Some(BufWriter::new(file)),
            part,
            path,
        }))
    }

    /// Names the present files that have a row in common with contents that are gone: what the
    /// graph has of it may be what those said.
    pub(crate) fn sharing(
        &self,
        gone: &BTreeSet<(String, u128)>,
        present: &Contents,
    ) -> Option<BTreeSet<String>> {
        let weighed = self.weighed(gone)?;
        let mut sharing = BTreeSet::new();
        if weighed.is_empty() {
            return Some(sharing);
        }
        for (name, hash) in present {
            let path = self.keys(name, *hash);
            // The keys of one that was not read yet are not there; it is read anyway.
            if path.exists() && !each_key(&path, |key| !weighed.contains_key(&xxh3_64(key))).ok()? {
                sharing.insert(name.clone());
            }
        }
        Some(sharing)
    }

    /// Reads the keys of contents, by their hashes; nothing when they are not known or too many.
    fn weighed(&self, gone: &BTreeSet<(String, u128)>) -> Option<HashMap<u64, Vec<u8>>> {
        let mut weighed: HashMap<u64, Vec<u8>> = HashMap::new();
        for (name, hash) in gone {
            let path = self.keys(name, *hash);
            let whole = each_key(&path, |key| {
                weighed.insert(xxh3_64(key), key.to_vec());
                weighed.len() <= MOST_GONE
            });
            if !whole.ok()? {
                return None;
            }
        }
        Some(weighed)
    }

    /// Deletes what contents had that are gone, except for what the present ones have, too.
    ///
    /// Returns nothing when the keys of a content are not known, or are too many.
    pub(crate) fn deletions(
        &self,
        gone: &BTreeSet<(String, u128)>,
        present: &Contents,
    ) -> Option<Records> {
        let mut weighed = self.weighed(gone)?;
        let mut left = present.iter();
        while !weighed.is_empty()
            && let Some((name, hash)) = left.next()
        {
            each_key(&self.keys(name, *hash), |key| {
                weighed.remove(&xxh3_64(key));
                true
            })
            .ok()?;
        }
        let mut records = Records::new();
        for key in weighed.into_values() {
            let text = String::from_utf8(key).ok()?;
            let parts: Vec<&str> = text.split_terminator('\0').collect();
            records.delete(match parts.as_slice() {
                [collection, key] | [collection, key, ""] => Deletion::vertex(*collection, *key),
                [collection, from, to] => Deletion::edge(*collection, *from, *to),
                _ => return None,
            });
        }
        Some(records)
    }

    /// Removes keys and listings that no state refers to.
    pub(crate) fn tidy(&self) {
        let tried = self.tried();
        let mut keep = BTreeSet::new();
        for name in &tried {
            let Some(contents) = self.contents(&ModelState(name.clone())) else {
                continue;
            };
            keep.extend(contents.iter().map(|(name, hash)| self.keys(name, *hash)));
            keep.insert(self.listing(name));
        }
        for part in ["keys", "listings"] {
            for entry in fs::read_dir(self.folder.join(part))
                .into_iter()
                .flatten()
                .flatten()
            {
                if !keep.contains(&entry.path()) {
                    drop(fs::remove_file(entry.path()));
                }
            }
        }
    }

    fn keys(&self, name: &str, hash: u128) -> PathBuf {
        let mut own = Xxh3::new();
        own.update(&self.salt.to_le_bytes());
        own.update(name.as_bytes());
        own.update(&hash.to_le_bytes());
        self.folder
            .join("keys")
            .join(format!("{:032x}", own.digest128()))
    }

    fn listing(&self, name: &str) -> PathBuf {
        self.folder.join("listings").join(name)
    }

    fn tried(&self) -> Vec<String> {
        fs::read_to_string(self.folder.join(TRIED))
            .map(|text| text.lines().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    fn note(&self, tried: &[String]) -> Result<(), Failure> {
        let text: String = tried.iter().map(|name| format!("{name}\n")).collect();
        self.write(&self.folder.join(TRIED), text.as_bytes())
    }

    fn lines(&self, name: &str) -> io::Result<Vec<Line>> {
        // Names come from outside: the service keeps them.
        if !name.chars().all(|c| c.is_ascii_hexdigit() || c == '.') {
            return Err(io::ErrorKind::NotFound.into());
        }
        BufReader::new(File::open(self.listing(name))?)
            .lines()
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect()
    }

    /// Writes a file so that it is there as a whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let failed = |error| error::memory(path, error);
        let part = path.with_extension(format!("part{}", std::process::id()));
        let mut file = File::create(&part).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&part, path).map_err(failed)
    }
}

/// Returns a listing's name without the number that tells it from an earlier one.
fn plain(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Calls with each key until told to stop; returns whether it was not.
fn each_key(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
    let mut file = BufReader::new(File::open(path)?);
    let mut key = Vec::new();
    loop {
        key.clear();
        for _ in 0..3 {
            if file.read_until(0, &mut key)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if key == END {
            return Ok(true);
        }
        if !take(&key) {
            return Ok(false);
        }
    }
}

/// Keys of a content that is being read.
pub(crate) struct KeyFile {
    file: Option<BufWriter<File>>,
    part: PathBuf,
    path: PathBuf,
}

impl KeyFile {
    pub(crate) fn write(&mut self, keys: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(keys),
            None => Ok(()),
        }
    }

    /// Keeps them: the content was read to its end.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let failed = |error| error::memory(&self.path, error);
        if let Some(mut file) = self.file.take() {
            file.write_all(END).map_err(failed)?;
            file.flush().map_err(failed)?;
        }
        fs::rename(&self.part, &self.path).map_err(failed)
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            drop(fs::remove_file(&self.part));
        }
    }
}
