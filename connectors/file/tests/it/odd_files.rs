//! Files that are being written, empty, in another encoding, too many, too large, or not readable;
//! and a place where files were.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use car_core::report::Mode;

use crate::support::{Pair, asset, assets, bad_beside_good, bad_with};

/// A mapping for tables with a column `id`.
const MAPPING: &str = "mappings:\n- files: '*'\n  vertices:\n  - collection: asset\n    id: '{id}'\n    fields: { name: '{id}' }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_being_written_is_left_alone_until_it_is_still() {
    let pair = Pair::start().await;
    pair.files.write("whole.jsonl", &asset("whole"));
    let path = pair.files.file("growing.jsonl");
    let done = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        let (path, done) = (&path, &done);
        scope.spawn(move || {
            let mut file = std::fs::File::create(path).unwrap();
            while !done.load(Ordering::Relaxed) {
                file.write_all(asset("part").as_bytes()).unwrap();
                // Not to have too much to import later.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            file.write_all(asset("rest").as_bytes()).unwrap();
        });
        let connector = pair.connector();
        let connector = connector.env("CONFIGURATION_PARAMETER_SETTLE", "1s");
        let ended = futures(connector.run());
        done.store(true, Ordering::Relaxed);
        ended
    });
    let ended = ended.with_code(11).saying("growing.jsonl");
    assert!(ended.stderr.contains("being written"), "{}", ended.stderr);
    assert_eq!(assets(&pair.graph().await), ["whole"]);
    pair.import().await;
    assert_eq!(assets(&pair.graph().await), ["part", "rest", "whole"]);
}

/// Waits for something from a thread of the runtime.
fn futures<F: Future>(future: F) -> F::Output {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_empty_all_at_once_retires_nothing() {
    let pair = Pair::start().await;
    pair.files.write("a.jsonl", &asset("a"));
    pair.files.write("b.jsonl", &asset("b"));
    pair.import().await;
    // What a mount leaves when it is gone.
    let away = pair.files.path().with_extension("away");
    std::fs::rename(pair.files.path(), &away).unwrap();
    std::fs::create_dir(pair.files.path()).unwrap();
    for _ in 0..2 {
        let ended = pair.connector().run().await.with_code(12);
        assert!(
            ended.stderr.contains("approve-deletions"),
            "{}",
            ended.stderr
        );
        assert_eq!(assets(&pair.graph().await), ["a", "b"]);
    }
    std::fs::remove_dir(pair.files.path()).unwrap();
    std::fs::rename(&away, pair.files.path()).unwrap();
    pair.import().await;
    assert_eq!(assets(&pair.graph().await), ["a", "b"]);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_read_fails_alone() {
    let pair = Pair::start().await;
    pair.files.write("bad.jsonl", &asset("bad"));
    pair.files.write("good.jsonl", &asset("good"));
    pair.import().await;
    // A file that fails to be read even as root: the start of a process's own memory.
    std::fs::remove_file(pair.files.file("bad.jsonl")).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", pair.files.file("bad.jsonl")).unwrap();
    pair.files.write("later.jsonl", &asset("later"));
    let ended = pair.connector().run().await.with_code(11);
    let ended = ended.saying("bad.jsonl").saying("the file cannot be read");
    assert_eq!(ended.report().mode, Some(Mode::Full));
    assert_eq!(assets(&pair.graph().await), ["bad", "good", "later"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_files_are_tables_without_rows_and_broken_documents() {
    let pair = Pair::start().await;
    pair.files.write("a.jsonl", &asset("a"));
    pair.files.write("empty.jsonl", "");
    let mapping = pair
        .memory
        .write("mapping.yaml", MAPPING.replace('*', "*.csv").as_str());
    pair.files.write("empty.csv", "");
    let connector = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_MAPPING", mapping.to_str().unwrap());
    drop(connector.run().await.with_code(0));
    assert_eq!(assets(&pair.graph().await), ["a"]);
    for name in ["empty.json", "empty.xml", "empty.sarif"] {
        bad_beside_good(name, b"", &[name, "line 1", "the file is empty"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_documents_are_told_with_line_and_column() {
    let bom = b"{\"bomFormat\": \"CycloneDX\",\n \"components\": [{\"name\": }]}";
    bad_beside_good("bom.json", bom, &["bom.json", "line 2", "column 26"]).await;
    let sarif = b"{\"version\": \"2.1.0\",\n\"runs\": [\n{\"tool\": {}}}";
    bad_beside_good("a.sarif", sarif, &["a.sarif", "line 3", "column"]).await;
    let nul = b"{\"collection\": \"asset\",\n\0";
    bad_beside_good("nul.jsonl", nul, &["nul.jsonl", "line 1", "column"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_encodings_are_told_and_never_guessed() {
    let pair = Pair::start().await;
    let mapping = pair.memory.write("mapping.yaml", MAPPING);
    let mapping = mapping.to_str().unwrap().to_owned();
    let utf16: Vec<u8> = "\u{feff}id\na\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bad, says) in [
        (
            "latin.csv",
            b"id\nok\ngr\xfcn\n".to_vec(),
            ["line 3", "column 1", "UTF-8"],
        ),
        (
            "latin.jsonl",
            b"{\"id\": \"ok\"}\n{\"id\": \"gr\xfcn\"}\n".to_vec(),
            ["line 2", "column", "unicode"],
        ),
        (
            "latin.json",
            b"[{\"id\": \"ok\"},\n{\"id\": \"gr\xfcn\"}]".to_vec(),
            ["line 2", "column", "unicode"],
        ),
        ("wide.csv", utf16, ["line 1", "column 1", "UTF-16"]),
    ] {
        let set = |connector: car_testkit::Program| {
            let connector = connector.env("CONFIGURATION_PARAMETER_MAPPING", mapping.as_str());
            connector.args(&["--full"])
        };
        let mapped = MAPPING.replace("'*'", &format!("'{name}'"));
        pair.memory.write("mapping.yaml", &mapped);
        bad_with(&pair, set, name, &bad, &[name, says[0], says[1], says[2]]).await;
        std::fs::remove_file(pair.files.file(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_that_are_cut_short_are_told() {
    let text: String = (0..20_000)
        .map(|number| asset(&number.to_string()))
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let says = ["cut.jsonl.gz", "cannot be unpacked"];
    bad_beside_good("cut.jsonl.gz", &gzip[..gzip.len() - 20], &says).await;
    // One frame with one raw block of 5 bytes, of which one is missing.
    let zstd = [
        0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50, 0x29, 0x00, 0x00, b'{', b'}', b'\n', b' ',
    ];
    let says = ["cut.jsonl.zst", "cannot be unpacked"];
    bad_beside_good("cut.jsonl.zst", &zstd, &says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_streams() {
    const LINES: usize = 160;
    let pair = Pair::start().await;
    let mapping = pair.memory.write("mapping.yaml", MAPPING);
    // A megabyte a line, of which next to nothing becomes a row.
    let noise: String = (0..4096_u32)
        .map(|number| format!("{:08x}", number.wrapping_mul(2_654_435_761)))
        .collect();
    let packed = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let rest = packed(&format!("{}\"}}\n", noise.repeat((1 << 20) / noise.len())));
    let mut file = std::fs::File::create(pair.files.file("large.jsonl.gz")).unwrap();
    for number in 0..LINES {
        let begin = packed(&format!("{{\"id\": \"{number}\", \"noise\": \""));
        file.write_all(&begin).unwrap();
        file.write_all(&rest).unwrap();
    }
    let connector = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_MAPPING", mapping.to_str().unwrap());
    let ended = connector.run().await.with_code(0);
    assert_eq!(assets(&pair.graph().await).len(), LINES);
    let peak = ended.report().peak_memory_bytes.unwrap();
    assert!(peak < (LINES as u64) << 19, "{} MiB", peak >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_that_is_never_closed_is_no_row_without_end() {
    let pair = Pair::start().await;
    let mapping = pair
        .memory
        .write("mapping.yaml", MAPPING.replace("'*'", "'open*'").as_str());
    let mapping = mapping.to_str().unwrap().to_owned();
    let lines = "a,b,c\n".repeat(500_000);
    for (name, begin) in [("open.csv", "id\n\""), ("open.json", "[{\"id\": \"")] {
        let bad = format!(
            "{begin}{}",
            lines.replace('\n', if name == "open.csv" { "\n" } else { " " })
        );
        let set = |connector: car_testkit::Program| {
            let connector = connector.env("CONFIGURATION_PARAMETER_MAPPING", mapping.as_str());
            connector.args(&["--full", "--largest-document", "1MiB"])
        };
        let says = [
            name,
            "a row has more than 1048576 bytes",
            "--largest-document",
        ];
        bad_with(&pair, set, name, bad.as_bytes(), &says).await;
        std::fs::remove_file(pair.files.file(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_files_are_listed_and_read_once() {
    const FILES: usize = 10_000;
    let pair = Pair::start().await;
    for folder in 0..10 {
        let folder = pair.files.file(&format!("folder-{folder}"));
        std::fs::create_dir(&folder).unwrap();
        for file in 0..FILES / 10 {
            std::fs::write(folder.join(format!("{file}.jsonl")), "").unwrap();
        }
    }
    pair.files.write("one.jsonl", &asset("one"));
    pair.import().await;
    assert_eq!(assets(&pair.graph().await), ["one"]);
    pair.files.write("two.jsonl", &asset("two"));
    let second = pair.import().await;
    assert_eq!(second.report().mode, Some(Mode::Incremental));
    assert_eq!(second.report().totals().sent, 1);
    let peak = second.report().peak_memory_bytes.unwrap();
    assert!(peak < 128 << 20, "{} MiB", peak >> 20);
}
