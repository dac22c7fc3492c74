//! Files behind a web server, and in a bucket.

use car_core::report::Mode;
use car_testkit::{At, Deed, HttpProxy, Program, within};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Pair, asset, assets};
use crate::web::{PASSWORD, USER, WebFolder};

/// Returns the connector, reading the files of a pair from a web server.
fn over_web(pair: &Pair, address: &str) -> Program {
    pair.connector()
        .env(
            "CONFIGURATION_PARAMETER_DIRECTORY",
            format!("http://{address}/files/"),
        )
        .env("CONFIGURATION_AUTH_USERNAME", USER)
        .env("CONFIGURATION_AUTH_PASSWORD", PASSWORD)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_changed_is_fetched_from_a_web_server() {
    let pair = Pair::start().await;
    std::fs::create_dir_all(pair.files.file("grün/in it")).unwrap();
    pair.files.write("a.jsonl", &asset("a"));
    pair.files.write("grün/in it/b c.jsonl", &asset("b"));
    pair.files.write("note.txt", "not for us");
    pair.files.write(".hidden.jsonl", "not for us");
    let server = WebFolder::start(pair.files.path()).await;
    let proxy = HttpProxy::start(server.address()).await;
    let connector = over_web(&pair, proxy.address());
    drop(connector.run().await.with_code(0));
    assert_eq!(assets(&pair.graph().await), ["a", "b"]);
    let gets = || -> Vec<String> {
        let requests = proxy.requests().into_iter();
        requests
            .filter(|request| request.starts_with("GET"))
            .collect()
    };
    assert_eq!(gets().len(), 2, "{:?}", gets());

    proxy.clear();
    std::fs::remove_file(pair.files.file("a.jsonl")).unwrap();
    pair.files.write("c.jsonl", &asset("c"));
    let ended = connector.run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Incremental));
    assert_eq!(gets(), ["GET /files/c.jsonl"]);
    assert_eq!(assets(&pair.graph().await), ["b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_breaks_goes_on_where_it_was() {
    let pair = Pair::start().await;
    // So much that half of it is on its way before the connection ends.
    let noise = "noise ".repeat(4000);
    let line = |number| {
        let id = format!("\"collection\": \"asset\", \"external_id\": \"{number}\"");
        format!("{{{id}, \"name\": \"n\", \"description\": \"{noise}\"}}\n")
    };
    let lines: String = (0..100).map(line).collect();
    pair.files.write("a.jsonl", &lines);
    let server = WebFolder::start(pair.files.path()).await;
    let proxy = HttpProxy::start(server.address()).await;
    // The listing, the file, and the rest of the file.
    proxy.on(At::Nth(2), Deed::Truncate);
    let connector = over_web(&pair, proxy.address()).args(&["--source-retry-for", "1ms"]);
    drop(connector.run().await.with_code(0));
    assert_eq!(assets(&pair.graph().await).len(), 100);
    assert_eq!(proxy.requests().len(), 3, "{:?}", proxy.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_gone_from_a_web_server_retires_nothing() {
    let pair = Pair::start().await;
    pair.files.write("a.jsonl", &asset("a"));
    let server = WebFolder::start(pair.files.path()).await;
    let connector = over_web(&pair, server.address());
    drop(connector.run().await.with_code(0));
    let away = pair.files.path().with_extension("away");
    std::fs::rename(pair.files.path(), &away).unwrap();
    let ended = connector.run().await.with_code(51);
    drop(ended.saying("the server answered 404"));
    let full = connector.args(&["--full"]).run().await;
    drop(full.with_code(51));
    assert_eq!(assets(&pair.graph().await), ["a"]);
    std::fs::rename(&away, pair.files.path()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_and_credentials_that_cannot_be_are_refused() {
    let pair = Pair::start().await;
    let place = "CONFIGURATION_PARAMETER_DIRECTORY";
    for (connector, says) in [
        (pair.connector().env(place, "ftp://example.org/a"), "ftp://"),
        (
            pair.connector()
                .env(place, "https://u:a-secret@example.org/"),
            "--username",
        ),
        (
            over_web(&pair, "127.0.0.1:9").without("CONFIGURATION_AUTH_PASSWORD"),
            "do not fit together",
        ),
        (
            pair.connector()
                .env(place, "s3://bucket")
                .env("CONFIGURATION_AUTH_USERNAME", "id"),
            "do not fit together",
        ),
    ] {
        let ended = connector.run().await.with_code(2).saying(says);
        assert!(!ended.stderr.contains("a-secret"), "{}", ended.stderr);
    }
}

/// An S3 on a loopback port. Dropping it ends it.
struct Moto {
    url: String,
    http: reqwest::Client,
    _process: Child,
}

const MOTO: &str = "import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print('http://%s:%d' % server.get_host_and_port(), flush=True)
sys.stdin.read()
";

/// Whose requests it takes: it looks at the form of signatures alone.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

impl Moto {
    async fn start() -> Option<Self> {
        let python = car_testkit::python(&["moto", "flask"])?;
        let mut process = Command::new(python)
            .args(["-W", "ignore", "-c", MOTO])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = within("starting moto", lines.next_line()).await.unwrap();
        Some(Self {
            url: url.unwrap(),
            http: car_core::http::client_builder().build().unwrap(),
            _process: process,
        })
    }

    async fn put(&self, key: &str, content: &str) {
        let request = self.http.put(format!("{}/{key}", self.url));
        let request = request.header("authorization", SIGNED);
        let answer = request.body(content.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{key}: {}", answer.status());
    }

    async fn delete(&self, key: &str) {
        let request = self.http.delete(format!("{}/{key}", self.url));
        let answer = request
            .header("authorization", SIGNED)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{key}: {}", answer.status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_read_and_what_changed_in_it() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let pair = Pair::start().await;
    let connector = |place: &str| {
        pair.connector()
            .env("CONFIGURATION_PARAMETER_DIRECTORY", place)
            .env("CONFIGURATION_PARAMETER_ENDPOINT", moto.url.as_str())
            .env("CONFIGURATION_AUTH_USERNAME", "AKIAIOSFODNN7EXAMPLE")
            .env("CONFIGURATION_AUTH_PASSWORD", "a-secret-key-of-tests")
    };
    moto.put("scans", "").await;
    // More than a page of a listing.
    for number in 0..1100 {
        moto.put(&format!("scans/other/{number}.txt"), "").await;
    }
    moto.put("scans/daily/a.jsonl", &asset("a")).await;
    moto.put("scans/daily/deep/b.jsonl", &asset("b")).await;
    moto.put("scans/daily-not/x.jsonl", &asset("x")).await;
    let daily = connector("s3://scans/daily/");
    let ended = daily.run().await.with_code(0);
    assert!(!ended.stderr.contains("a-secret-key"), "{}", ended.stderr);
    assert_eq!(assets(&pair.graph().await), ["a", "b"]);

    moto.delete("scans/daily/a.jsonl").await;
    moto.put("scans/daily/c.jsonl", &asset("c")).await;
    let ended = daily.run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Incremental));
    assert_eq!(assets(&pair.graph().await), ["b", "c"]);
    let unchanged = daily.run().await.with_code(0);
    assert_eq!(unchanged.report().totals().sent, 0);

    let whole = connector("s3://scans").args(&["--full"]);
    drop(whole.run().await.with_code(0));
    assert_eq!(assets(&pair.graph().await), ["b", "c", "x"]);

    let missing = connector("s3://nothing").args(&["--full"]).run().await;
    drop(missing.with_code(51).saying("NoSuchBucket"));
    assert_eq!(assets(&pair.graph().await), ["b", "c", "x"]);
}
