//! A folder as the other side: what is read, and what is there after a run that failed.

use car_core::FailureKind;
use car_core::exchange::{
    ContainerApi, FileContainer, Format, InputType, Items, OutputType, Read, ReadOptions, Rows,
    Storage, StoreFile,
};

fn container(folder: &tempfile::TempDir, format: Format) -> FileContainer {
    FileContainer::open(folder.path(), format, None).unwrap()
}

fn rows(lines: &[&str]) -> Rows {
    let mut rows = Rows::new();
    for line in lines {
        rows.push_json(line.as_bytes(), "-").unwrap();
    }
    rows
}

async fn all(container: &FileContainer, show_hidden: bool) -> String {
    let options = ReadOptions {
        show_hidden,
        ..ReadOptions::default()
    };
    let mut text = String::new();
    loop {
        match container
            .next_batch(InputType::Input, 2, options)
            .await
            .unwrap()
        {
            Read::Rows(rows) => text.push_str(rows.lines()),
            Read::Empty => return text,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn both_formats_give_the_same_rows() {
    for (name, text) in [
        (
            "input.csv",
            "\u{feff}id,name,_hidden\n1,\"a \"\"b\"\", c\",x\n,,\n\n2,\"two\nlines\",y\n",
        ),
        (
            "input.jsonl",
            "\u{feff}{\"id\":\"1\",\"name\":\"a \\\"b\\\", c\",\"_hidden\":\"x\"}\r\n\n{}\n   \n{\"id\":\"2\",\"name\":\"two\\nlines\",\"_hidden\":\"y\"}",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let container = container(&folder, Format::Lines);
        let plain =
            "{\"id\":\"1\",\"name\":\"a \\\"b\\\", c\"}\n{\"id\":\"2\",\"name\":\"two\\nlines\"}\n";
        assert_eq!(all(&container, false).await, plain, "{name}");
        assert!(container.restart(InputType::Input).await.unwrap());
        assert!(all(&container, true).await.contains("\"_hidden\":\"y\""));
        let count = container.count(Items::Input(InputType::Input)).await;
        assert_eq!(count.unwrap(), Some(2));
        let missing = container
            .next(InputType::New, ReadOptions::default())
            .await
            .unwrap();
        assert_eq!(missing, Read::NotSupplied);
    }
}

#[tokio::test]
async fn broken_rows_are_named_by_file_and_line() {
    for (name, text, line) in [
        ("input.jsonl", "{\"a\":1}\n{\"a\":", "line 2"),
        ("input.jsonl", "[1]\n", "line 1"),
        (
            "input.jsonl",
            "{\"a\":1}\n\n{\"a-b\":1,\"a\":{\"b\":2}}\n",
            "line 3",
        ),
        ("input.csv", "a,b\n1,2\n1\n", "line 3"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let container = container(&folder, Format::Lines);
        let failure = container
            .next_batch(InputType::Input, 100, ReadOptions::default())
            .await
            .unwrap_err();
        assert_eq!(failure.kind(), FailureKind::SourceData, "{text}");
        let message = failure.to_string();
        assert!(
            message.contains(name) && message.contains(line),
            "{message}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["input.csv", "input.jsonl"] {
        std::fs::write(folder.path().join(name), "a\n").unwrap();
    }
    let failure = container(&folder, Format::Lines)
        .restart(InputType::Input)
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), FailureKind::InvalidParameter);
}

#[tokio::test]
async fn csv_output_has_every_column_whenever_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let container = container(&folder, Format::Csv);
    for lines in [
        &[r#"{"a":"1","b":"x,\"y\""}"#, r#"{"b":"2"}"#][..],
        &[r#"{"c":"3","a":null}"#, r#"{"b":"4","a":true}"#],
    ] {
        container
            .append(OutputType::Output, &rows(lines))
            .await
            .unwrap();
    }
    let file = folder.path().join("output.csv");
    assert!(!file.exists(), "it is there before it is whole");
    container.finish(OutputType::Output, true).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "a,b,c\n1,\"x,\"\"y\"\"\",\n,2,\n,,3\ntrue,4,\n"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_was_there_stays_until_there_is_something_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("output.jsonl");
    std::fs::write(&file, "before\n").unwrap();
    // As a run leaves it that was killed.
    std::fs::write(folder.path().join(".output.jsonl.partial"), "half a r").unwrap();
    let container = container(&folder, Format::Lines);
    let new = rows(&[r#"{"a":"1"}"#]);
    container.append(OutputType::Output, &new).await.unwrap();
    container.finish(OutputType::Output, false).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\n");
    container.append(OutputType::Output, &new).await.unwrap();
    container.finish(OutputType::Output, true).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), new.lines());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // Feedback of an earlier run says nothing about this one.
    std::fs::write(folder.path().join("feedback.jsonl"), "old\n").unwrap();
    container.finish(OutputType::Feedback, true).await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn files_are_stored_below_the_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.txt");
    std::fs::write(&source, "x").unwrap();
    let container = container(&folder, Format::Lines);
    let file = |remote: &str| StoreFile {
        source_file: source.display().to_string(),
        remote_file: remote.to_owned(),
    };
    for remote in ["", "../b.txt", "/b.txt", "c/../../b.txt"] {
        let failure = container.store(Storage::Internal, &file(remote)).await;
        assert_eq!(failure.unwrap_err().kind(), FailureKind::PlatformRejected);
    }
    let id = container.store(Storage::Internal, &file("c/b.txt")).await;
    let process = container.process(&id.unwrap()).await.unwrap().unwrap();
    assert!(!process.is_running());
    let stored = folder.path().join("storage/internal/c/b.txt");
    assert_eq!(std::fs::read_to_string(stored).unwrap(), "x");
}
