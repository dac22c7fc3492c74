//! What changed between two snapshots.

use std::path::{Path, PathBuf};

use car_core::exchange::{DeltaCounts, DeltaOptions, make_delta};
use car_core::{Failure, FailureKind};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn make(&self, before: Option<&Path>, after: &Path, key: &str) -> Result<DeltaCounts, Failure> {
        let key = key.split(',').map(str::to_owned).collect();
        let before = before.map(Path::to_owned);
        let options = DeltaOptions::new(before, after, key, self.0.path());
        make_delta(&options, &CancellationToken::new())
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }
}

/// Acceptance check 4: a delta over two snapshots.
#[test]
fn rows_go_where_they_belong_in_the_order_of_their_snapshot() {
    let folder = Folder::new();
    let before = folder.write(
        "before.csv",
        "id,name,price\n1,one,10\n2,two,20\n3,three,\n4,four,40\n",
    );
    let after = folder.write(
        "input.jsonl",
        "{\"id\":\"5\",\"name\":\"five\"}\n{\"price\":\"21\",\"id\":2,\"name\":\"two\"}\n\n{\"id\":3,\"name\":\"three\"}\n{\"id\":\"1\",\"price\":10,\"name\":\"one\",\"more\":null}\n{\"id\":\"0\"}\n",
    );
    let counts = folder.make(Some(&before), &after, "id").unwrap();
    let expected = DeltaCounts {
        new: 2,
        modified: 1,
        unchanged: 2,
        deleted: 1,
    };
    assert_eq!(counts, expected);
    assert_eq!(
        folder.read("new.jsonl"),
        "{\"id\":\"5\",\"name\":\"five\"}\n{\"id\":\"0\"}\n"
    );
    assert_eq!(
        folder.read("modified.jsonl"),
        "{\"price\":\"21\",\"id\":2,\"name\":\"two\"}\n"
    );
    assert_eq!(
        folder.read("unchanged.jsonl"),
        "{\"id\":3,\"name\":\"three\"}\n{\"id\":\"1\",\"price\":10,\"name\":\"one\",\"more\":null}\n"
    );
    assert_eq!(
        folder.read("deleted.jsonl"),
        "{\"id\":\"4\",\"name\":\"four\",\"price\":\"40\"}\n"
    );
    // Nothing else is left there.
    assert_eq!(folder.names().len(), 6);
}

#[test]
fn without_an_earlier_snapshot_everything_is_new() {
    let folder = Folder::new();
    let after = folder.write("input.csv", "id\n1\n2\n");
    let counts = folder.make(None, &after, "id").unwrap();
    assert_eq!((counts.new, counts.deleted), (2, 0));
    assert_eq!(folder.read("deleted.jsonl"), "");
}

#[test]
fn keys_of_several_columns_are_not_joined() {
    let folder = Folder::new();
    let before = folder.write("before.csv", "a,b\nx-,y\n");
    let after = folder.write("input.csv", "a,b\nx,-y\n");
    let counts = folder.make(Some(&before), &after, "a,b").unwrap();
    assert_eq!((counts.new, counts.deleted), (1, 1));
}

#[test]
fn rows_without_a_key_of_their_own_are_named_by_their_lines() {
    let folder = Folder::new();
    for (after, lines, reason) in [
        ("id,v\n1,a\n,b\n", "line 3", "a row has no key"),
        (
            "id,v\n1,a\n2,b\n1,c\n",
            "lines 2 and 4",
            "two rows have the same key",
        ),
        ("v\n1\n", "line 2", "a row has no key"),
        ("id,id\n1,2\n", "line 1", "a row cannot be read"),
        ("id,v\n1\n", "line 2", "a row cannot be read"),
    ] {
        let after = folder.write("input.csv", after);
        let failure = folder.make(None, &after, "id").unwrap_err();
        assert_eq!(failure.kind(), FailureKind::SourceData);
        let text = failure.to_string();
        assert!(text.contains(lines) && text.contains(reason), "{text}");
        // Neither half a file nor a temporary one.
        assert_eq!(folder.names(), ["input.csv"]);
    }
    let after = folder.write("input.csv", "id\n1\n");
    let failure = folder.make(None, &after, "").unwrap_err();
    assert_eq!(failure.kind(), FailureKind::InvalidParameter);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_finds_what_a_map_finds(
        before in proptest::collection::btree_map(0_u16..300, 0_u8..3, 0..200),
        after in proptest::collection::btree_map(0_u16..300, 0_u8..3, 0..200),
    ) {
        let folder = Folder::new();
        let csv = |rows: &std::collections::BTreeMap<u16, u8>| {
            rows.iter().fold("k,v\n".to_owned(), |text, (k, v)| format!("{text}{k},v{v}\n"))
        };
        let old = folder.write("before.csv", &csv(&before));
        let new = folder.write("input.csv", &csv(&after));
        let counts = folder.make(Some(&old), &new, "k").unwrap();
        let is = |value: &u8, other: Option<&u8>| other.map(|other| other == value);
        let count = |wanted| after.iter().filter(|(k, v)| is(v, before.get(k)) == wanted).count() as u64;
        prop_assert_eq!(counts.new, count(None));
        prop_assert_eq!(counts.modified, count(Some(false)));
        prop_assert_eq!(counts.unchanged, count(Some(true)));
        let gone = before.keys().filter(|k| !after.contains_key(k)).count() as u64;
        prop_assert_eq!(counts.deleted, gone);
    }
}
