//! Every mode on a folder; settings, exit codes, and what is left when a run ends early.

use car_testkit::{Program, TestFolder};

use super::{in_folder, names, numbered, read, text};
use crate::support::program;

#[tokio::test]
async fn a_directory_becomes_a_dataset() {
    let (files, exchange) = (TestFolder::new(), TestFolder::new());
    files.write("b.jsonl", "{\"id\":3,\"deep\":{\"a\":\"x\"}}\n\n");
    files.write("a/1.csv", "id,name\n1,one\n2,\"two, too\"\n");
    files.write(".hidden.csv", "id\n9\n");
    files.write("notes.txt", "no rows");
    let ended = in_folder("data-source", &exchange)
        .args(&["--directory", &text(files.path()), "--file-column", "file"])
        .args(&["--log-format", "text"])
        .run()
        .await
        .with_code(0);
    assert_eq!(
        read(&exchange, "output.jsonl"),
        "{\"id\":\"1\",\"name\":\"one\",\"file\":\"a/1.csv\"}\n\
         {\"id\":\"2\",\"name\":\"two, too\",\"file\":\"a/1.csv\"}\n\
         {\"id\":3,\"deep-a\":\"x\",\"file\":\"b.jsonl\"}\n"
    );
    assert!(ended.stdout.contains("wrote 3 rows in"), "{}", ended.stdout);
    assert_eq!(names(&exchange), ["output.jsonl"]);
}

/// The sample's two settings, from the environment and as options, by the names of the platform.
#[tokio::test]
async fn a_column_is_copied() {
    let exchange = TestFolder::new();
    exchange.write("input.csv", "id,title\n1,one\n2,\n");
    let expected = "{\"id\":\"1\",\"title\":\"one\",\"copy\":\"one\"}\n{\"id\":\"2\",\"title\":\"\",\"copy\":\"\"}\n";
    let service = || in_folder("data-service", &exchange);
    for program in [
        service()
            .env("NEW_COLUMN_NAME", "copy")
            .env("SOURCE_COLUMN", "title"),
        service().args(&["--NEW_COLUMN_NAME=copy", "--SOURCE_COLUMN=title"]),
        service().args(&["--new-column-name", "copy", "--source-column", "title"]),
    ] {
        drop(program.run().await.with_code(0));
        assert_eq!(read(&exchange, "output.jsonl"), expected);
        std::fs::remove_file(exchange.file("output.jsonl")).unwrap();
    }
}

#[tokio::test]
async fn columns_are_set_renamed_and_dropped() {
    let exchange = TestFolder::new();
    exchange.write(
        "input.jsonl",
        "{\"id\":\"1\",\"brand\":\"acme\",\"model\":\"x\",\"cost\":\"5\"}\n{\"id\":\"2\",\"model\":\"y\"}\n",
    );
    let ended = in_folder("data-service", &exchange)
        .env(
            "SET_COLUMNS",
            "name={brand|required|upper} {model}\nkind=shoe",
        )
        .args(&["--rename", "id=key", "--drop", "cost,model"])
        .args(&["--exchange-format", "csv"])
        .run()
        .await
        .with_code(11)
        .saying("1 of 2 rows failed");
    // The dataset would lose a row, so there is none; the row is told.
    assert_eq!(
        names(&exchange),
        ["feedback.csv", "input.jsonl"],
        "{}",
        ended.stderr
    );
    assert_eq!(
        read(&exchange, "feedback.csv"),
        "id,model,feedback_status,feedback_message\n2,y,failed,column `brand` is empty\n"
    );
    drop(
        in_folder("data-service", &exchange)
            .args(&["--set", "name={brand|upper} {model}", "--set", "kind=shoe"])
            .args(&["--rename", "id=key", "--drop", "cost,model"])
            .args(&["--exchange-format", "csv"])
            .run()
            .await
            .with_code(0),
    );
    assert_eq!(
        read(&exchange, "output.csv"),
        "key,brand,name,kind\n1,acme,ACME x,shoe\n2,, y,shoe\n"
    );
    // What the run before said is not true any more.
    assert_eq!(names(&exchange), ["input.jsonl", "output.csv"]);
}

/// Weakness 5, acceptance check 6: exit codes.
#[tokio::test]
async fn mistakes_are_told_by_code_and_text() {
    let exchange = TestFolder::new();
    exchange.write("input.jsonl", "{\"id\":\"1\"}\n");
    let mode = |mode: &str| in_folder(mode, &exchange);
    for (program, code, says) in [
        (program().args(&["exprot"]), 2, "unknown verb `exprot`"),
        (program(), 2, "missing"),
        (mode("data-source"), 2, "setting `directory` is missing"),
        (mode("data-service"), 2, "nothing says what becomes"),
        (
            mode("data-service").args(&["--source-column", "a"]),
            2,
            "needs `--new-column-name`",
        ),
        (mode("export"), 2, "to a directory or to an address"),
        (mode("export-delta"), 2, "setting `key-column` is missing"),
        (mode("export").args(&["--nonsense"]), 2, "unknown flag"),
        (
            mode("data-service").args(&["--set", "a={b"]),
            2,
            "is not closed",
        ),
        (
            mode("data-source").args(&["--directory", "/nonexistent"]),
            51,
            "cannot be listed",
        ),
        (
            program().args(&[
                "export",
                "--exchange",
                "/nonexistent",
                "--to-directory",
                "/tmp",
            ]),
            2,
            "there is no folder",
        ),
        (
            mode("data-service").args(&["--set", "a=b", "--delta-key", "id"]),
            2,
            "is for `export-delta`",
        ),
    ] {
        let ended = program.run().await;
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
        assert_eq!(ended.code, Some(code), "{says}");
    }
    assert_eq!(names(&exchange), ["input.jsonl"]);
}

/// Acceptance check 5, weakness 9: with neither settings nor a platform.
#[tokio::test]
async fn the_health_check_follows_any_mode() {
    for mode in ["data-source", "data-service", "export", "export-delta"] {
        let limit = std::time::Duration::from_secs(5);
        let program = program().args(&[mode, "--health-check"]);
        let ended = program.start().ended_within(limit).await.with_code(0);
        assert_eq!(ended.stdout + &ended.stderr, "", "{mode}");
        let program = crate::support::program().args(&[mode, "--help"]);
        let help = program.run().await.with_code(0).stdout;
        assert!(help.contains("--container-api"), "{help}");
        assert!(!help.contains("--car-service-url"), "{help}");
    }
}

/// Acceptance check 7: a source without rows empties no dataset.
#[tokio::test]
async fn a_source_without_rows_is_held() {
    let (files, exchange) = (TestFolder::new(), TestFolder::new());
    files.write("a.csv", "id,name\n");
    exchange.write("output.jsonl", "{\"id\":\"before\"}\n");
    let source = in_folder("data-source", &exchange).args(&["--directory", &text(files.path())]);
    drop(source.run().await.with_code(12).saying("would empty"));
    assert_eq!(read(&exchange, "output.jsonl"), "{\"id\":\"before\"}\n");
    drop(source.args(&["--allow-empty"]).run().await.with_code(0));
    assert_eq!(read(&exchange, "output.jsonl"), "");
}

/// A broken line ends the run, and the dataset stays as it was.
#[tokio::test]
async fn a_broken_row_is_named() {
    let exchange = TestFolder::new();
    exchange.write("input.jsonl", "{\"id\":\"1\"}\n{\"id\":\n");
    exchange.write("output.jsonl", "before\n");
    drop(
        in_folder("data-service", &exchange)
            .args(&["--set", "a=b"])
            .run()
            .await
            .with_code(55)
            .saying("line 2"),
    );
    assert_eq!(read(&exchange, "output.jsonl"), "before\n");
}

/// The disk is full: the same, with a hint.
#[tokio::test]
async fn a_full_disk_leaves_the_dataset_as_it_was() {
    let exchange = TestFolder::new();
    exchange.write("input.jsonl", &numbered(20_000));
    exchange.write("output.jsonl", "before\n");
    let binary = env!("CARGO_BIN_EXE_file-connector");
    let folder = text(exchange.path());
    // Files may have a few kilobytes, and a write beyond that fails as on a full disk.
    let line = format!(
        "trap '' XFSZ; ulimit -f 64; exec {binary} data-service --set a=b --exchange {folder}"
    );
    let ended = Program::new("/bin/sh").args(&["-c", &line]).run().await;
    let ended = ended.with_code(1).saying("rows cannot be written");
    assert!(ended.stderr.contains("make room"), "{}", ended.stderr);
    assert_eq!(read(&exchange, "output.jsonl"), "before\n");
    assert_eq!(names(&exchange), ["input.jsonl", "output.jsonl"]);
}

/// Any connector that imports is a data source of its collections.
#[tokio::test]
async fn collections_are_rows() {
    let (files, exchange) = (TestFolder::new(), TestFolder::new());
    files.write(
        "graph.jsonl",
        "{\"collection\":\"asset\",\"external_id\":\"a\",\"name\":\"A\"}\n\
         {\"collection\":\"ipaddress\",\"_key\":\"10.0.0.1\"}\n\
         {\"collection\":\"asset_ipaddress\",\"from\":\"a\",\"to\":\"10.0.0.1\"}\n",
    );
    let source = |collections: &str| {
        in_folder("data-source", &exchange)
            .env("CONFIGURATION_PARAMETER_DIRECTORY", text(files.path()))
            .env("CONFIGURATION_PARAMETER_MEMORY", "none")
            .args(&["--settle", "1ms", "--collection", collections])
    };
    drop(source("asset").run().await.with_code(0));
    let rows = read(&exchange, "output.jsonl");
    assert!(rows.contains("\"external_id\":\"a\""), "{rows}");
    assert_eq!(rows.lines().count(), 1, "{rows}");
    drop(source("ipaddress,asset_ipaddress").run().await.with_code(0));
    let rows = read(&exchange, "output.jsonl");
    assert_eq!(rows.lines().count(), 2, "{rows}");
    assert!(
        rows.contains("\"collection\":\"asset_ipaddress\""),
        "{rows}"
    );
    assert!(!rows.contains("\"_"), "{rows}");
    drop(
        source("nothing")
            .run()
            .await
            .with_code(2)
            .saying("asset, asset_ipaddress, ipaddress"),
    );
}
