//! The verbs `plan` and `quarantine show` as users meet them.

use serde_json::Value;
use tempfile::TempDir;

use super::Probe;
use super::import::service;

#[tokio::test]
async fn a_plan_is_printed_and_nothing_is_written() {
    let server = service().await;
    let plan = |more: &str| {
        let line = format!("plan --regions eu,us --assets 3 --log-format text {more}");
        Probe::new(&line).source().car(&server.uri()).run()
    };
    let text = plan("").await;
    assert_eq!(text.code, 0, "{}", text.stderr);
    insta::assert_snapshot!(text.stdout, @r"
    collection   send
    ─────────────────
    asset           6

    note: the graph does not know the source yet, so everything is new
    note: this CAR service cannot compare rows with the graph: which are new, changed or gone is not known
    an import would make 4 calls and send 806 bytes
    plan of a full import: 6 to send, because the connector has no incremental import
    ");
    let json = plan("--output json").await;
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["collections"]["asset"]["sent"], 6);
    assert_eq!(json["compared"], false);
    let refused = plan("--out /tmp/never.plan").await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    for request in server.received_requests().await.unwrap() {
        assert_eq!(request.method.as_str(), "GET", "{}", request.url);
    }
}

#[tokio::test]
async fn a_plan_that_is_none_is_refused_before_anything_is_asked() {
    let (server, folder) = (service().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("plan");
    std::fs::write(&file, "no plan").unwrap();
    for (name, reason) in [("plan", "not a plan"), ("nowhere", "No such file")] {
        let line = format!(
            "import --plan {} --log-format text",
            folder.path().join(name).display()
        );
        let refused = Probe::new(&line).source().car(&server.uri()).run().await;
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

fn quarantine(folder: &TempDir) -> String {
    let file = folder.path().join("quarantine.jsonl");
    let lines = [
        r#"{"scope":"eu","collection":"asset","reason":"`risk` is above 10","row":{"external_id":"7","risk":11}}"#,
        r#"{"scope":"us","collection":"asset","reason":"`risk` is above 10","row":{"external_id":"8","risk":12}}"#,
        r#"{"scope":"us","collection":"asset_user","reason":"`_to` is missing","row":{"_from_external_id":"7"}}"#,
        r#"{"scope":"us","collection":"asset","reason":"the record has no name\u001b[2J"}"#,
    ];
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn a_quarantine_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = quarantine(&folder);
    let show = |more: &str| Probe::new(&format!("quarantine show {file} {more}")).run();
    let all = show("").await;
    assert_eq!(all.code, 0, "{}", all.stderr);
    insta::assert_snapshot!(all.stdout, @r"
    scope   collection   row   reason
    ─────────────────────────────────────────────────────
    eu      asset        7     `risk` is above 10
    us      asset        8     `risk` is above 10
    us      asset_user   ?     `_to` is missing
    us      asset        ?     the record has no name�[2J

    reason                              rows
    ────────────────────────────────────────
    asset: `risk` is above 10              2
    asset: the record has no name�[2J      1
    asset_user: `_to` is missing           1
    ");
    let some = show("--in-scope us --reason risk --output json").await;
    let rows: Vec<Value> = some
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["row"]["external_id"], "8");
    let few = show("--collection asset --limit 1").await;
    assert!(few.stdout.contains("1 of 3 rows shown"), "{}", few.stdout);
    let none = show("--collection user").await;
    assert_eq!((none.code, none.stdout.as_str()), (0, "no row\n"));
    let missing = Probe::new("quarantine show /nowhere --log-format text")
        .run()
        .await;
    assert_eq!(missing.code, 2);
}
