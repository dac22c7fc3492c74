//! The edge log: what is written comes back, what is damaged is found.

use std::ops::Range;
use std::path::Path;

use car_core::state::{EdgeLog, EdgeLogError, Entry, RunId};
use car_core::{Failure, FailureKind};
use proptest::prelude::*;

const RUN: RunId = RunId(5);

/// Entries with what they borrow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owned {
    Edge(String, [bool; 4], u64, u64, Vec<u8>),
    Scope(String),
    Vertex(u64, bool),
}

impl Owned {
    fn entry(&self) -> Entry<'_> {
        match self {
            Self::Edge(collection, has, from, to, json) => Entry::Edge {
                collection,
                has: *has,
                from: *from,
                to: *to,
                json,
            },
            Self::Scope(name) => Entry::Scope { name },
            Self::Vertex(id, rejected) => Entry::Vertex {
                id: *id,
                rejected: *rejected,
            },
        }
    }
}

pub(super) struct List(Vec<Owned>);

impl List {
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.0.iter().map(Owned::entry)
    }

    pub(super) fn into_owned(self) -> Vec<Owned> {
        self.0
    }
}

/// Edges of three collections, with a rejected vertex here and there.
pub(super) fn edges(numbers: Range<u64>) -> List {
    let edge = |n: u64| match n % 5 {
        4 => Owned::Vertex(n, n.is_multiple_of(2)),
        _ => Owned::Edge(
            ["asset_vulnerability", "ipaddress_port", "größe"][usize::try_from(n % 3).unwrap()]
                .to_owned(),
            [n.is_multiple_of(2), false, true, n.is_multiple_of(3)],
            n,
            n + 1,
            format!("{{\"n\":{n}}}").into_bytes(),
        ),
    };
    List(numbers.map(edge).collect())
}

pub(super) fn content(log: &EdgeLog) -> Result<Vec<Owned>, EdgeLogError> {
    let mut reader = log.read()?;
    let mut all = Vec::new();
    while let Some(entry) = reader.next()? {
        all.push(match entry {
            Entry::Edge {
                collection,
                has,
                from,
                to,
                json,
            } => Owned::Edge(collection.to_owned(), has, from, to, json.to_vec()),
            Entry::Scope { name } => Owned::Scope(name.to_owned()),
            Entry::Vertex { id, rejected } => Owned::Vertex(id, rejected),
        });
    }
    Ok(all)
}

#[tokio::test]
async fn entries_come_back_in_order_and_what_is_behind_the_checkpoint_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = EdgeLog::open(&path, RUN, 0).unwrap();
    let first = log.append(edges(0..100).entries()).unwrap();
    log.sync().await.unwrap();
    let second = log.append(edges(100..150).entries()).unwrap();
    assert!(second > first);
    assert_eq!(content(&log).unwrap(), edges(0..150).0);
    drop(log);

    let mut log = EdgeLog::open(&path, RUN, first).unwrap();
    assert_eq!(log.len(), first);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), first);
    assert_eq!(content(&log).unwrap(), edges(0..100).0);
    // The names are known from the file.
    assert_eq!(log.append(edges(100..150).entries()).unwrap(), second);
    assert_eq!(content(&log).unwrap(), edges(0..150).0);
    // While one reads, another writes.
    let mut reader = log.read().unwrap();
    log.append(edges(150..200).entries()).unwrap();
    let mut count = 0;
    while reader.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 150);
}

#[test]
fn large_appends_are_written_in_parts_and_large_edges_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = EdgeLog::open(&folder.path().join("log"), RUN, 0).unwrap();
    let mut list = edges(0..40_000);
    let large = vec![b'x'; 5_000_000];
    list.0
        .push(Owned::Edge("large".to_owned(), [false; 4], 1, 2, large));
    list.0.extend(edges(0..10).0);
    log.append(list.entries()).unwrap();
    assert!(content(&log).unwrap() == list.0);
}

#[test]
fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let _log = EdgeLog::open(&path, RUN, 0).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_log_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut zombie = EdgeLog::open(&path, RUN, 0).unwrap();
    let len = zombie.append(edges(0..3).entries()).unwrap();
    let error = EdgeLog::open(&path, RUN, len).unwrap_err();
    assert!(matches!(error, EdgeLogError::InUse { .. }) && error.starts_anew());
    drop(zombie);
    EdgeLog::open(&path, RUN, len).unwrap();
}

#[test]
fn a_log_of_another_run_is_not_taken_for_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = EdgeLog::open(&path, RunId(6), 0).unwrap();
    let len = log.append(edges(0..3).entries()).unwrap();
    drop(log);
    let error = EdgeLog::open(&path, RUN, len).unwrap_err();
    assert!(
        error.to_string().contains("not the log of this run"),
        "{error}"
    );
    // A new run writes over it.
    let log = EdgeLog::open(&path, RUN, 0).unwrap();
    assert_eq!(content(&log).unwrap(), []);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("log");
    let error = EdgeLog::open(&path, RUN, 0).unwrap_err();
    assert!(!error.starts_anew());
    let failure = Failure::from(error);
    assert!(failure.to_string().contains("missing"), "{failure}");
    assert_eq!(failure.kind(), FailureKind::General);
}

fn write(path: &Path, list: &List) -> u64 {
    let mut log = EdgeLog::open(path, RUN, 0).unwrap();
    log.append(list.entries()).unwrap()
}

#[test]
fn a_changed_bit_is_found_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let len = write(&path, &edges(0..6));
    let sound = std::fs::read(&path).unwrap();
    for place in 0..sound.len() {
        // Each bit of the lengths and checksums of the first records, then some bit of each byte.
        let bits = if place < 64 {
            0..8
        } else {
            place % 8..place % 8 + 1
        };
        for bit in bits {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            let error = EdgeLog::open(&path, RUN, len).unwrap_err();
            assert!(error.starts_anew(), "byte {place}, bit {bit}: {error}");
        }
    }
}

#[test]
fn every_wrong_length_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut ends = vec![24];
    let mut log = EdgeLog::open(&path, RUN, 0).unwrap();
    // Without names, each entry is one record.
    for n in 0..5 {
        ends.push(
            log.append([Entry::Vertex {
                id: n,
                rejected: true,
            }])
            .unwrap(),
        );
    }
    drop(log);
    let sound = std::fs::read(&path).unwrap();
    for len in 1..=sound.len() as u64 + 1 {
        std::fs::write(&path, &sound).unwrap();
        let opened = EdgeLog::open(&path, RUN, len);
        assert_eq!(opened.is_ok(), ends.contains(&len), "length {len}");
    }
}

fn entry() -> impl Strategy<Value = Owned> {
    prop_oneof![
        (
            "[a-c]{1,2}",
            any::<[bool; 4]>(),
            any::<u64>(),
            any::<u64>(),
            proptest::collection::vec(any::<u8>(), 0..400)
        )
            .prop_map(|(name, has, from, to, json)| Owned::Edge(name, has, from, to, json)),
        (any::<u64>(), any::<bool>()).prop_map(|(id, rejected)| Owned::Vertex(id, rejected)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Whatever is appended, and wherever the process dies, the checkpointed entries come back.
    #[test]
    fn any_crash_leaves_what_was_checkpointed(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(entry(), 0..12), any::<bool>(), any::<u8>()), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut checkpoint, mut kept) = (0, Vec::new());
        for (entries, crash, torn) in rounds {
            let mut log = EdgeLog::open(&path, RUN, checkpoint).unwrap();
            prop_assert_eq!(&content(&log).unwrap(), &kept);
            let len = log.append(entries.iter().map(Owned::entry)).unwrap();
            if crash {
                // Some of the last bytes are not on the disk.
                let missing = u64::from(torn).min(len - checkpoint.max(24));
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(len - missing).unwrap();
            } else {
                checkpoint = len;
                kept.extend(entries);
            }
        }
    }

    /// A file of any bytes is refused or read, without a panic.
    #[test]
    fn no_file_makes_it_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        header in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        if header {
            write(&path, &List(Vec::new()));
            bytes.splice(0..0, std::fs::read(&path).unwrap());
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Err(error) = EdgeLog::open(&path, RUN, bytes.len().max(1) as u64) {
            prop_assert!(error.starts_anew());
        }
    }
}
