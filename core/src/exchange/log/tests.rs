use std::sync::Mutex;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::exchange::{HttpContainer, HttpOptions};
use crate::secret::Secret;
use crate::telemetry::{LineFormat, Sink};

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Sink for Lines {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// Lets lines come, forwards them to a platform that answers so, and returns what it was sent:
/// route, message and context, and what went elsewhere.
async fn forwarded(status: u16, act: impl FnOnce()) -> (Vec<(String, Value)>, Vec<String>) {
    let platform = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(status))
        .mount(&platform)
        .await;
    let lines = Arc::new(Lines::default());
    let redactor = Arc::new(Redactor::new(&[Secret::from("hush-hush")]));
    let fallback = LineWriter::new(
        LineFormat::Text { colour: false },
        Arc::clone(&redactor),
        Arc::clone(&lines) as Arc<dyn Sink>,
    );
    let (layer, forwarder) = forwarding(LevelFilter::INFO, redactor, fallback);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
    let cancel = CancellationToken::new();
    let api = HttpContainer::new(HttpOptions::new(platform.uri()), cancel.clone()).unwrap();
    // It ends by itself: nobody is left who could send a line.
    forwarder.run(Arc::new(api), cancel).await;
    let requests = platform.received_requests().await.unwrap();
    let sent = requests.iter().map(|request| {
        let body = serde_json::from_slice(&request.body).unwrap();
        (request.url.path().to_owned(), body)
    });
    let elsewhere = lines.0.lock().unwrap().clone();
    (sent.collect(), elsewhere)
}

fn messages(body: &Value) -> Vec<&str> {
    body["message"].as_str().unwrap().split('\n').collect()
}

#[tokio::test]
async fn lines_of_one_level_go_together_and_in_order() {
    let (sent, elsewhere) = forwarded(200, || {
        tracing::info!(rows = 1, "first of hush-hush");
        tracing::info!(rows = 2, "second");
        tracing::debug!("below the level");
        tracing::warn!(key = "hush-hush", "third");
        tracing::info!("fourth");
    })
    .await;
    let told: Vec<_> = sent
        .iter()
        .map(|(route, body)| (route.as_str(), messages(body)))
        .collect();
    assert_eq!(
        told,
        [
            ("/logs/info", vec!["first of [secret]", "second"]),
            ("/logs/warning", vec!["third"]),
            ("/logs/info", vec!["fourth"]),
        ]
    );
    assert_eq!(sent[0].1["context"]["events"][1]["rows"], 2);
    assert_eq!(sent[1].1["context"]["key"], "[secret]");
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[tokio::test]
async fn lines_that_come_too_fast_are_counted_and_the_rest_goes_in_batches() {
    let (sent, elsewhere) = forwarded(201, || {
        for number in 0..WAITING + 7 {
            tracing::info!("line {number}");
        }
    })
    .await;
    let (lost, kept): (Vec<_>, Vec<_>) =
        sent.iter().partition(|(route, _)| route == "/logs/warning");
    let kept: Vec<&str> = kept.iter().flat_map(|(_, body)| messages(body)).collect();
    assert_eq!(kept.len(), WAITING);
    assert_eq!(kept.first(), Some(&"line 0"));
    assert_eq!(kept.last(), Some(&format!("line {}", WAITING - 1).as_str()));
    let lost: Vec<&str> = lost.iter().flat_map(|(_, body)| messages(body)).collect();
    assert_eq!(
        lost,
        ["7 lines of the log were left out: they came too fast"]
    );
    assert_eq!(sent.len(), WAITING / BATCH + 1);
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[tokio::test]
async fn a_platform_that_takes_no_lines_is_left_alone_and_none_is_lost() {
    let (sent, elsewhere) = forwarded(400, || {
        for number in 0..BATCH * 3 {
            tracing::info!("line {number} of hush-hush");
        }
    })
    .await;
    assert_eq!(sent.len(), 1);
    assert_eq!(elsewhere.len(), BATCH * 3);
    for (number, line) in elsewhere.iter().enumerate() {
        assert!(
            line.contains(&format!("line {number} of [secret]")),
            "{line}"
        );
    }
}
