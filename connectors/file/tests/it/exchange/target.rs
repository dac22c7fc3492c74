//! Exports: to a directory and to an address, of everything and of what changed.

use car_testkit::TestFolder;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{in_folder, names, numbered, read, text};

#[tokio::test]
async fn everything_goes_into_a_file() {
    let (exchange, target) = (TestFolder::new(), TestFolder::new());
    exchange.write(
        "input.jsonl",
        "{\"id\":\"1\",\"a\":\"x\"}\n{\"id\":\"2\",\"b\":\"y\"}\n",
    );
    let ended = in_folder("export", &exchange)
        .env("TO_DIRECTORY", text(target.path()))
        .args(&[
            "--to-format",
            "csv",
            "--feedback",
            "all",
            "--log-format",
            "text",
        ])
        .run()
        .await
        .with_code(0);
    assert_eq!(read(&target, "export.csv"), "id,a,b\n1,x,\n2,,y\n");
    assert_eq!(names(&target), ["export.csv"]);
    let feedback = read(&exchange, "feedback.jsonl");
    assert_eq!(
        feedback.matches("\"feedback_status\":\"success\"").count(),
        2
    );
    assert!(
        ended.stdout.contains("read 2 rows and sent 2"),
        "{}",
        ended.stdout
    );
}

/// What changed between two snapshots; run again, it does no harm.
#[tokio::test]
async fn changes_go_into_files_named_by_key() {
    let (exchange, target) = (TestFolder::new(), TestFolder::new());
    let send = || {
        in_folder("export-delta", &exchange).args(&[
            "--delta-key",
            "id",
            "--key-column",
            "id",
            "--to-directory",
            &text(target.path()),
        ])
    };
    exchange.write("input.csv", "id,v\na/b,1\n..,2\nc-d,3\n");
    drop(send().run().await.with_code(0));
    assert_eq!(names(&target), ["%2E%2E.json", "a%2Fb.json", "c-d.json"]);
    std::fs::rename(exchange.file("input.csv"), exchange.file("before.csv")).unwrap();
    exchange.write("input.csv", "id,v\na/b,1\n..,20\ne,5\n");
    for _ in 0..2 {
        drop(send().run().await.with_code(0));
        assert_eq!(names(&target), ["%2E%2E.json", "a%2Fb.json", "e.json"]);
        assert_eq!(
            read(&target, "%2E%2E.json"),
            "{\"id\":\"..\",\"v\":\"20\"}\n"
        );
    }
    assert_eq!(
        read(&exchange, "deleted.jsonl"),
        "{\"id\":\"c-d\",\"v\":\"3\"}\n"
    );
}

/// Rows that an address refuses are found among those that it takes.
#[tokio::test]
async fn refused_rows_become_feedback() {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let rows: Vec<serde_json::Value> = request.body_json().unwrap();
        let is_bad = |row: &serde_json::Value| row["id"] == "5";
        if rows.iter().any(is_bad) {
            return ResponseTemplate::new(422).set_body_string("the price is missing");
        }
        // This one it takes, but for one row.
        let errors: Vec<_> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row["id"] == "8")
            .map(|(index, _)| serde_json::json!({"index": index, "message": "it is known"}))
            .collect();
        ResponseTemplate::new(200).set_body_json(serde_json::json!({"errors": errors}))
    };
    Mock::given(method("POST"))
        .and(path("/rows"))
        .and(header("authorization", "Bearer hush-hush"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let exchange = TestFolder::new();
    exchange.write("input.jsonl", &numbered(10));
    let url = format!("{}/rows", server.uri());
    drop(
        in_folder("export", &exchange)
            .env("TO_URL", url)
            .env("PUP_AUTH_TOKEN", "hush-hush")
            .args(&["--feedback-columns", "id", "--max-failures", "20%"])
            .run()
            .await
            .with_code(0),
    );
    let mut feedback: Vec<String> = read(&exchange, "feedback.jsonl")
        .lines()
        .map(str::to_owned)
        .collect();
    feedback.sort_unstable();
    assert_eq!(
        feedback,
        [
            "{\"id\":\"5\",\"feedback_status\":\"failed\",\"feedback_message\":\"422 the price is missing\"}",
            "{\"id\":\"8\",\"feedback_status\":\"failed\",\"feedback_message\":\"it is known\"}",
        ]
    );
}

/// After a 500 nobody knows: the rows are not sent again, and told as unknown.
#[tokio::test]
async fn rows_of_which_nobody_knows_are_told() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(500))
        .expect(1)
        .mount(&server)
        .await;
    let exchange = TestFolder::new();
    exchange.write("input.jsonl", &numbered(3));
    drop(
        in_folder("export", &exchange)
            .env("TO_URL", server.uri())
            .run()
            .await
            .with_code(51),
    );
    let feedback = read(&exchange, "feedback.jsonl");
    assert_eq!(
        feedback.matches("\"feedback_status\":\"unknown\"").count(),
        3
    );
}

/// Putting and deleting are the same when they are done twice, so they are tried again.
#[tokio::test]
async fn changes_go_below_an_address() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path("/rows/x%2Fy"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .respond_with(ResponseTemplate::new(204))
        .mount(&server)
        .await;
    Mock::given(method("DELETE"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    let exchange = TestFolder::new();
    exchange.write("new.jsonl", "{\"id\":\"x/y\"}\n");
    exchange.write("modified.jsonl", "{\"id\":\"m\"}\n{\"other\":\"no key\"}\n");
    exchange.write("deleted.jsonl", "{\"id\":\"d\"}\n");
    exchange.write("unchanged.jsonl", "{\"id\":\"u\"}\n");
    drop(
        in_folder("export-delta", &exchange)
            .env("TO_URL", format!("{}/rows", server.uri()))
            .env("KEY_COLUMN", "id")
            .args(&["--max-failures", "1"])
            .run()
            .await
            .with_code(0),
    );
    let requests = server.received_requests().await.unwrap();
    let calls: Vec<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.url.path()))
        .collect();
    assert_eq!(
        calls,
        [
            "PUT /rows/x%2Fy",
            "PUT /rows/x%2Fy",
            "PUT /rows/m",
            "DELETE /rows/d"
        ]
    );
    let feedback = read(&exchange, "feedback.jsonl");
    assert!(
        feedback.contains("\"feedback_change\":\"modified\""),
        "{feedback}"
    );
}
