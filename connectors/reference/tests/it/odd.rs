//! Odd but legal data: names with characters that mean something elsewhere, sizes, emptiness.

use car_core::report::Outcome;
use car_testkit::Service;
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::expected;
use crate::fake::{Behaviour, Fake, inventory};
use crate::support::{Pair, SOURCE, reading};

/// Names that break what is not escaped. Some are parts of others when split at commas.
const NAMES: [&str; 19] = [
    "a#b",
    "a&b=c",
    "100%",
    "%2C",
    "x,y",
    "x",
    "y",
    "a/b/",
    "..",
    "a b",
    "a+b",
    "what?",
    "\"quoted\"",
    "back\\slash",
    "naïve",
    "日本語",
    "𝕏",
    "a -> b",
    "'; DROP TABLE assets; --",
];

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_imported_updated_and_deleted() {
    let pair = Pair::start(0).await;
    let asset = pair
        .source
        .add("assets", &json!({ "name": "𝕏 & Söhne, \"GmbH\" #1" }))
        .await;
    let (mut vulnerabilities, mut hosts) = (Vec::new(), Vec::new());
    for name in NAMES {
        let object = json!({ "external_id": name, "name": name, "assets": [asset] });
        vulnerabilities.push(pair.source.add("vulnerabilities", &object).await);
        hosts.push(
            pair.source
                .add("hosts", &json!({ "host_name": name, "assets": [asset] }))
                .await,
        );
    }
    pair.import().await;
    pair.assert_in_step("after a full import").await;

    for pk in &vulnerabilities {
        pair.source
            .change(
                "vulnerabilities",
                *pk,
                &json!({ "description": "changed", "assets": [] }),
            )
            .await;
    }
    for pk in &hosts {
        pair.source
            .change("hosts", *pk, &json!({ "assets": [] }))
            .await;
    }
    pair.import().await;
    pair.assert_in_step("after updates and removed links").await;

    // Each alone first where another name is a part of it.
    for (position, name) in NAMES
        .iter()
        .enumerate()
        .filter(|(_, name)| name.contains(','))
    {
        pair.source
            .delete("vulnerabilities", vulnerabilities[position])
            .await;
        pair.source.delete("hosts", hosts[position]).await;
        pair.import().await;
        pair.assert_in_step(&format!("without {name}")).await;
    }
    for (position, _) in NAMES
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.contains(','))
    {
        pair.source
            .delete("vulnerabilities", vulnerabilities[position])
            .await;
        pair.source.delete("hosts", hosts[position]).await;
    }
    let ended = pair.import().await;
    assert_eq!(ended.report().collections["vulnerability"].retired, 18);
    assert_eq!(ended.report().collections["hostname"].retired, 18);
    pair.assert_in_step("without all of them").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_10_mb_are_imported() {
    let mut objects = inventory();
    let large = "ä".repeat(5 << 20);
    for asset in objects.get_mut("assets").unwrap() {
        asset["description"] = json!(large);
    }
    let expected = expected::graph_of(&objects);
    let source = Fake::start(Behaviour {
        objects,
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    let connector = reading(&source.url()).into_service(&service.url(), SOURCE);
    drop(connector.run().await.with_code(0));
    let differences = service.graph(SOURCE).await.differences(&expected).len();
    assert_eq!(differences, 0, "too large to show");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_is_imported_once_and_held_when_it_was_not_empty_before() {
    let service = Service::start().await;
    // A run that failed leaves its report, and a source that is known by that.
    let source = Fake::start(Behaviour {
        first: vec![("/model_state_id/", u32::MAX, ResponseTemplate::new(403))],
        ..Behaviour::default()
    })
    .await;
    let connector = reading(&source.url()).into_service(&service.url(), SOURCE);
    drop(connector.run().await.with_code(53));
    source.change(|behaviour| behaviour.first.clear());
    let ended = connector.run().await.with_code(0);
    assert_eq!(ended.report().outcome, Outcome::Complete);
    assert!(service.graph(SOURCE).await.is_empty());
    let runs = service.runs(SOURCE).await;
    let outcomes: Vec<_> = runs.iter().map(|run| &run["outcome"]).collect();
    assert_eq!(outcomes, ["complete", "failed"]);
    assert_eq!(runs[1]["exit_code"], 53);

    source.change(|behaviour| behaviour.objects = inventory());
    drop(connector.run().await.with_code(0));
    let before = service.graph(SOURCE).await;
    source.change(|behaviour| behaviour.objects.clear());
    for _ in 0..2 {
        let ended = connector
            .run()
            .await
            .with_code(12)
            .saying("--approve-deletions");
        assert_eq!(ended.report().outcome, Outcome::Held);
        service.graph(SOURCE).await.assert_is(&before, "held");
    }
    drop(
        connector
            .clone()
            .args(&["--approve-deletions"])
            .run()
            .await
            .with_code(0),
    );
    assert!(service.graph(SOURCE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_import_that_would_retire_too_much_is_held_until_it_is_approved() {
    let pair = Pair::start(80).await;
    pair.import().await;
    let before = pair.graph().await;
    for pk in 1..=110 {
        pair.source.delete("apps", pk).await;
    }
    let full = pair.connector().args(&["--full"]);
    for _ in 0..2 {
        let ended = full.run().await.with_code(12).saying("--approve-deletions");
        assert_eq!(ended.report().outcome, Outcome::Held);
        assert!(
            pair.graph().await.get("application", "1").is_some(),
            "nothing is retired"
        );
    }
    let ended = full
        .clone()
        .args(&["--approve-deletions"])
        .run()
        .await
        .with_code(0);
    assert_eq!(ended.report().outcome, Outcome::Complete);
    pair.assert_in_step("after the approval").await;
    assert!(pair.graph().await.len() < before.len());
}
