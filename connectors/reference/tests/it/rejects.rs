//! Records that are not as they should be: quarantined by themselves, up to a share.

use car_testkit::{Program, Service};
use serde_json::{Value, json};

use crate::expected;
use crate::fake::{Behaviour, Fake, inventory};
use crate::support::{SOURCE, reading};

fn import(source: &Fake, service: &Service) -> Program {
    reading(&source.url()).into_service(&service.url(), SOURCE)
}

/// Spoils the second asset, to which a vulnerability and an application lead.
fn spoil(object: &mut Value, how: &str) {
    match how {
        "a missing field" => {
            object.as_object_mut().unwrap().remove("name");
        }
        "a wrong type" => object["name"] = json!(7),
        "a value out of range" => object["risk"] = json!(11),
        "a link that is none" => object["site"] = json!("nowhere"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_bad_record_is_quarantined_and_edges_to_it_are_withheld() {
    for how in [
        "a missing field",
        "a wrong type",
        "a value out of range",
        "a link that is none",
    ] {
        let mut objects = inventory();
        let mut good = inventory();
        spoil(&mut objects.get_mut("assets").unwrap()[1], how);
        let source = Fake::start(Behaviour {
            objects,
            ..Behaviour::default()
        })
        .await;
        let service = Service::start().await;
        let ended = import(&source, &service)
            .args(&["--max-rejects", "0.5"])
            .run()
            .await
            .with_code(0);

        // What is left when the asset and the links to it are not there.
        good.get_mut("assets").unwrap().remove(1);
        good.get_mut("vulnerabilities").unwrap()[0]["assets"]
            .as_array_mut()
            .unwrap()
            .remove(1);
        good.get_mut("apps").unwrap()[0]["assets"] = json!([]);
        service
            .graph(SOURCE)
            .await
            .assert_is(&expected::graph_of(&good), how);

        let counts = &ended.report().collections;
        assert_eq!(counts["asset"].rejected, 1, "{how}");
        assert_eq!(counts["asset_vulnerability"].withheld, 1, "{how}");
        assert_eq!(counts["asset_application"].withheld, 1, "{how}");
        let quarantine = ended.file("quarantine-reference.jsonl").unwrap();
        let lines: Vec<Value> = quarantine
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let withheld: Vec<&Value> = lines[1..].iter().map(|line| &line["collection"]).collect();
        assert_eq!(
            withheld,
            ["asset_vulnerability", "asset_application"],
            "{how}"
        );
        assert_eq!(lines[0]["collection"], "asset", "{how}");
        assert_eq!(lines[0]["scope"], "assets", "{how}");
        assert!(
            lines[0]["reason"].as_str().unwrap().len() > 5,
            "{how}: {quarantine}"
        );
        assert!(quarantine.contains('2'), "{how}: {quarantine}");
    }
}

#[tokio::test]
async fn a_record_that_turned_bad_keeps_what_the_graph_has_of_it() {
    for how in ["a missing field", "a value out of range"] {
        let source = Fake::start(Behaviour {
            objects: inventory(),
            ..Behaviour::default()
        })
        .await;
        let service = Service::start().await;
        let connector = import(&source, &service).args(&["--max-rejects", "0.5"]);
        drop(connector.run().await.with_code(0));

        // The hosts are gone, which is to be seen in the graph; the asset only cannot be read.
        source.change(|behaviour| {
            spoil(&mut behaviour.objects.get_mut("assets").unwrap()[1], how);
            behaviour.objects.get_mut("hosts").unwrap().clear();
        });
        let ended = connector.run().await.with_code(0);
        assert_eq!(ended.report().collections["asset"].rejected, 1, "{how}");
        assert!(!ended.report().session_open, "{how}");
        let mut left = inventory();
        left.get_mut("hosts").unwrap().clear();
        service
            .graph(SOURCE)
            .await
            .assert_is(&expected::graph_of(&left), how);
    }
}

#[tokio::test]
async fn too_many_bad_records_fail_the_run_with_55() {
    let mut objects = inventory();
    for asset in objects.get_mut("assets").unwrap() {
        spoil(asset, "a wrong type");
    }
    let source = Fake::start(Behaviour {
        objects,
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    let connector = import(&source, &service);
    let ended = connector.run().await.with_code(55).saying("--max-rejects");
    assert!(ended.report().session_open, "nothing was retired");
    assert_eq!(ended.report().collections["asset"].rejected, 3);
    assert!(ended.file("quarantine-reference.jsonl").is_some());
    let strict = connector.clone().args(&["--max-rejects", "2"]);
    drop(strict.run().await.with_code(55));
    drop(
        connector
            .args(&["--max-rejects", "3"])
            .run()
            .await
            .with_code(0),
    );
}

#[tokio::test]
async fn a_page_that_is_no_list_fails_only_its_scope() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    source.change(|behaviour| {
        let object = wiremock::ResponseTemplate::new(200).set_body_json(json!({ "detail": "no" }));
        behaviour.first = vec![("/sites/", u32::MAX, object)];
    });
    drop(
        import(&source, &service)
            .run()
            .await
            .with_code(11)
            .saying("sites"),
    );
    assert!(service.graph(SOURCE).await.get("asset", "1").is_some());
}
