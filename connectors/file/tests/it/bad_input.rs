//! Files and directories that are not as they should be fail alone, and say where.

use std::io::Write as _;

use crate::support::{Pair, asset, assets, bad_beside_good, program};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_line_is_told_with_its_place() {
    let text = asset("a") + "{\"collection\": \"asset\", \"external_id\": ";
    bad_beside_good(
        "bad.jsonl",
        text.as_bytes(),
        &["bad.jsonl", "line 2", "column"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xml_with_entities_and_depth_is_refused() {
    let bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE nmaprun [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\n\
                <nmaprun><host><status state=\"up\"/><address addr=\"&b;\" addrtype=\"ipv4\"/></host></nmaprun>";
    bad_beside_good("bomb.xml", bomb.as_bytes(), &["bomb.xml", "line 3"]).await;
    let deep = format!("<nmaprun>{}", "<a>".repeat(100));
    bad_beside_good("deep.xml", deep.as_bytes(), &["deep.xml", "nested deeper"]).await;
    bad_beside_good("cut.xml", b"<nmaprun>\n<host>", &["cut.xml", "line 2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_that_expand_without_end_are_refused() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b'\n'; 1 << 20];
    for _ in 0..64 {
        packed.write_all(&zeros).unwrap();
    }
    let packed = packed.finish().unwrap();
    bad_beside_good(
        "bomb.jsonl.gz",
        &packed,
        &["bomb.jsonl.gz", "expands to more than 250 times"],
    )
    .await;
    bad_beside_good(
        "cut.jsonl.gz",
        &packed[..packed.len() / 2],
        &["cut.jsonl.gz"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_breaks_keeps_what_it_reported_and_loses_it_when_it_is_deleted() {
    let pair = Pair::start().await;
    pair.files.write("a.jsonl", &asset("a"));
    pair.files.write("b.jsonl", &asset("b"));
    pair.import().await;
    pair.files.write("a.jsonl", "<html>");
    pair.files.write("c.jsonl", &asset("c"));
    let ended = pair.connector().run().await.with_code(11);
    assert!(ended.stderr.contains("a.jsonl"), "{}", ended.stderr);
    assert_eq!(assets(&pair.graph().await), ["a", "b", "c"]);
    std::fs::remove_file(pair.files.file("a.jsonl")).unwrap();
    pair.import().await;
    assert_eq!(assets(&pair.graph().await), ["b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_vanishes_retires_nothing() {
    let pair = Pair::start().await;
    pair.files.write("a.jsonl", &asset("a"));
    pair.import().await;
    let away = pair.files.path().with_extension("away");
    std::fs::rename(pair.files.path(), &away).unwrap();
    let ended = pair.connector().run().await.with_code(51);
    assert!(
        ended.stderr.contains("cannot be listed"),
        "{}",
        ended.stderr
    );
    assert_eq!(assets(&pair.graph().await), ["a"]);
    std::fs::rename(&away, pair.files.path()).unwrap();
    pair.import().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loops_of_links_and_odd_names_are_no_trouble() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    let pair = Pair::start().await;
    let inner = pair.files.file("inner");
    std::fs::create_dir(&inner).unwrap();
    symlink(pair.files.path(), inner.join("up")).unwrap();
    symlink("self.jsonl", pair.files.file("self.jsonl")).unwrap();
    symlink("nowhere", pair.files.file("nothing.jsonl")).unwrap();
    let odd = inner.join(OsStr::from_bytes(b"odd \xFF\n.jsonl"));
    std::fs::write(&odd, asset("odd")).unwrap();
    std::fs::write(inner.join("note.txt"), "not for us").unwrap();
    std::fs::write(inner.join(".hidden.jsonl"), "not for us").unwrap();
    pair.import().await;
    assert_eq!(assets(&pair.graph().await), ["odd"]);
    std::fs::remove_file(odd).unwrap();
    std::fs::write(inner.join("even.jsonl"), asset("even")).unwrap();
    pair.import().await;
    assert_eq!(assets(&pair.graph().await), ["even"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapping_that_is_wrong_is_told_with_its_line() {
    let pair = Pair::start().await;
    let mapping = pair.memory.write(
        "mapping.yaml",
        "mappings:\n- files: '*.csv'\n  vertices:\n  - collection: assets\n    id: '{id}'\n",
    );
    let wrong = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_MAPPING", mapping.to_str().unwrap());
    let ended = wrong.run().await.with_code(2);
    assert!(ended.stderr.contains("line 4"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no vertex collection `assets`"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapping_can_be_tried_without_a_service() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let (table, mapping) = (
        format!("{examples}/inventory/machines.csv"),
        format!("{examples}/mapping.yaml"),
    );
    let tried = program().args(&["map", "--try", &table, "--mapping", &mapping]);
    let ended = tried.run().await.with_code(0);
    assert!(
        ended.stdout.contains(
            "asset_ipaddress {\"_from_external_id\":\"m-2\",\"_to\":\"ipaddress/192.0.2.21\"}"
        ),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.ends_with("0 rejected\n"), "{}", ended.stdout);
}
