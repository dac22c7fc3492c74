//! A replica that follows deltas equals a fresh full read, whatever happened in between.

use proptest::prelude::*;
use reference_server::model::COLLECTIONS;
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::support::{Api, Running};

/// One step of a history. Numbers are taken modulo what is there.
#[derive(Debug, Clone)]
enum Step {
    /// Creates, or replaces under a small pk (so that keys and pks come back).
    Put {
        collection: usize,
        pk: u8,
        key: u8,
        links: u32,
    },
    Create {
        collection: usize,
        key: u8,
        links: u32,
    },
    Patch {
        collection: usize,
        pk: u8,
        links: u32,
    },
    Rename {
        collection: usize,
        pk: u8,
        key: u8,
    },
    Delete {
        collection: usize,
        pk: u8,
    },
    Follow {
        limit: Option<u32>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let collection = || 0..COLLECTIONS.len();
    let small = || 0..5_u8;
    let step = prop_oneof![
        3 => (collection(), small(), small(), any::<u32>())
            .prop_map(|(collection, pk, key, links)| Step::Put { collection, pk, key, links }),
        3 => (collection(), small(), any::<u32>())
            .prop_map(|(collection, key, links)| Step::Create { collection, key, links }),
        3 => (collection(), small(), any::<u32>())
            .prop_map(|(collection, pk, links)| Step::Patch { collection, pk, links }),
        2 => (collection(), small(), small())
            .prop_map(|(collection, pk, key)| Step::Rename { collection, pk, key }),
        2 => (collection(), small()).prop_map(|(collection, pk)| Step::Delete { collection, pk }),
        1 => prop::option::of(1..6_u32).prop_map(|limit| Step::Follow { limit }),
    ];
    prop::collection::vec(step, 10..60)
}

/// A whole object whose key is `key` and whose links are the bits of `links`.
async fn object(api: &Api, at: usize, key: u8, links: u32) -> Value {
    let mut body = json!({});
    for field in COLLECTIONS[at].fields.iter().filter(|f| f.required) {
        body[field.name] = match field.name {
            "port_number" => json!(key),
            _ => json!(format!("{} {key}", field.name)),
        };
    }
    add_links(api, at, links, &mut body).await;
    body
}

async fn add_links(api: &Api, at: usize, mut links: u32, body: &mut Value) {
    for relation in COLLECTIONS[at].relations {
        let all = api.get(&format!("/{}/", relation.target)).await;
        let mut chosen: Vec<Value> = Vec::new();
        for target in all.as_array().unwrap().iter().take(6) {
            if links & 1 == 1 {
                chosen.push(target["url"].clone());
            }
            links = links.rotate_right(1);
        }
        body[relation.name] = if relation.single {
            chosen.first().cloned().unwrap_or(Value::Null)
        } else {
            Value::from(chosen)
        };
    }
}

/// Address of the object at place `pk` of its collection, or of one that may not exist.
async fn address(api: &Api, at: usize, pk: u8) -> String {
    let name = COLLECTIONS[at].name;
    let all = api.get(&format!("/{name}/")).await;
    let all = all.as_array().unwrap();
    match all.get(usize::from(pk)) {
        Some(object) => object["url"].as_str().unwrap().to_owned(),
        None => format!("/{name}/{}/", pk + 1),
    }
}

async fn play(api: &Api, steps: Vec<Step>) {
    let mut replica = Replica::full(api).await;
    for step in steps {
        // A refused step (duplicate key, missing object) is part of the history too: it must
        // change nothing.
        let (method, path, body) = match step {
            Step::Put {
                collection,
                pk,
                key,
                links,
            } => {
                let path = format!("/{}/{}/", COLLECTIONS[collection].name, pk + 1);
                ("PUT", path, Some(object(api, collection, key, links).await))
            }
            Step::Create {
                collection,
                key,
                links,
            } => {
                let path = format!("/{}/", COLLECTIONS[collection].name);
                (
                    "POST",
                    path,
                    Some(object(api, collection, key, links).await),
                )
            }
            Step::Patch {
                collection,
                pk,
                links,
            } => {
                let mut body = json!({});
                add_links(api, collection, links, &mut body).await;
                ("PATCH", address(api, collection, pk).await, Some(body))
            }
            Step::Rename {
                collection,
                pk,
                key,
            } => {
                let mut body = object(api, collection, key, 0).await;
                for relation in COLLECTIONS[collection].relations {
                    body.as_object_mut().unwrap().remove(relation.name);
                }
                ("PATCH", address(api, collection, pk).await, Some(body))
            }
            Step::Delete { collection, pk } => ("DELETE", address(api, collection, pk).await, None),
            Step::Follow { limit } => {
                replica.follow(api, limit).await;
                assert_eq!(replica, Replica::full(api).await);
                continue;
            }
        };
        let before = api.state().await;
        let (status, answer) = api.call(method, &path, body).await;
        assert!(
            status.is_success() || [404, 409].contains(&status.as_u16()),
            "{method} {path}: {status} {answer}"
        );
        if !status.is_success() {
            assert_eq!(
                api.state().await,
                before,
                "a refused write changed the state"
            );
        }
    }
    replica.follow(api, Some(3)).await;
    assert_eq!(replica, Replica::full(api).await);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn following_deltas_equals_reading_everything(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let running = Running::start().await;
            play(&running, steps).await;
            running.server.stop().await.unwrap();
        });
    }
}

#[tokio::test]
async fn an_unchanged_model_has_one_state_and_an_empty_delta() {
    let running = Running::start().await;
    let asset = running
        .post("/assets/", json!({"name": "a", "risk": 1}))
        .await;
    let state = running.state().await;
    let path = asset["url"].as_str().unwrap();
    // Writing what is there already is no change.
    let (status, _) = running.call("PUT", path, Some(asset.clone())).await;
    assert_eq!(status, 200);
    let (status, _) = running
        .call("PATCH", path, Some(json!({"risk": 1.0})))
        .await;
    assert_eq!(status, 200);
    assert_eq!(running.state().await, state);
    let delta = running.get(&format!("/delta/?from={state}")).await;
    assert_eq!(
        delta,
        json!({"from": state, "to": state, "collections": {}, "removed_links": []})
    );
}

#[tokio::test]
async fn made_and_deleted_in_between_is_neither_and_remade_is_an_update() {
    let running = Running::start().await;
    running.post("/hosts/", json!({"host_name": "stays"})).await;
    let state = running.state().await;
    running.post("/hosts/", json!({"host_name": "brief"})).await;
    for pk in [1, 2] {
        let (status, _) = running.call("DELETE", &format!("/hosts/{pk}/"), None).await;
        assert_eq!(status, 204);
    }
    let again = running.post("/hosts/", json!({"host_name": "stays"})).await;
    assert_eq!(again["pk"], 3, "a pk is given out once");
    let delta = running.get(&format!("/delta/?from={state}")).await;
    assert_eq!(
        delta["collections"],
        json!({"hosts": {"updates": [again], "deletions": []}})
    );
}

#[tokio::test]
async fn a_deletion_carries_the_key_and_touches_the_lists_that_named_the_object() {
    let running = Running::start().await;
    let asset = running.post("/assets/", json!({"name": "a"})).await;
    let ip = json!({"address": "192.0.2.1", "assets": [asset["url"]]});
    let ip = running.post("/ip_addresses/", ip).await;
    let host = json!({"host_name": "h", "ip_addresses": [ip["url"]], "assets": [asset["url"]]});
    let host = running.post("/hosts/", host).await;
    let state = running.state().await;
    let (status, _) = running
        .call("DELETE", ip["url"].as_str().unwrap(), None)
        .await;
    assert_eq!(status, 204);
    let delta = running.get(&format!("/delta/?from={state}")).await;
    let mut left = host.clone();
    left["ip_addresses"] = json!([]);
    assert_eq!(
        delta["collections"],
        json!({
            "ip_addresses": {"updates": [], "deletions": [{"pk": 1, "key": "192.0.2.1"}]},
            "hosts": {"updates": [left], "deletions": []},
        })
    );
    assert_eq!(
        delta["removed_links"],
        json!([]),
        "the edge went with its end"
    );
    let (_, host) = running
        .call("GET", host["url"].as_str().unwrap(), None)
        .await;
    assert_eq!(host, left);
}

#[tokio::test]
async fn a_link_that_ends_is_reported_with_both_keys() {
    let running = Running::start().await;
    let port = running
        .post("/ports/", json!({"port_number": 22, "protocol": "tcp"}))
        .await;
    let ip = json!({"address": "::1", "ports": [port["url"]]});
    let ip = running.post("/ip_addresses/", ip).await;
    let state = running.state().await;
    let path = ip["url"].as_str().unwrap();
    let (status, _) = running
        .call("PATCH", path, Some(json!({"ports": []})))
        .await;
    assert_eq!(status, 200);
    let delta = running.get(&format!("/delta/?from={state}")).await;
    assert_eq!(
        delta["removed_links"],
        json!([{
            "collection": "ip_addresses", "pk": 1, "key": "::1", "url": ip["url"],
            "field": "ports", "target_collection": "ports", "target_pk": 1, "target_key": "1",
            "target": port["url"],
        }])
    );
}

#[tokio::test]
async fn a_changed_cross_reference_changes_its_vulnerabilities_too() {
    let running = Running::start().await;
    for value in ["CWE-79", "CWE-89"] {
        let body = json!({"name": "CWE", "value": value});
        running.post("/xrefproperties/", body).await;
    }
    for (id, links) in [("CVE-1", json!([1])), ("CVE-2", json!([2]))] {
        let body = json!({"external_id": id, "name": id, "xref_properties": links});
        running.post("/vulnerabilities/", body).await;
    }
    let state = running.state().await;
    let body = json!({"value": "CWE-80"});
    let (status, _) = running
        .call("PATCH", "/xrefproperties/1/", Some(body))
        .await;
    assert_eq!(status, 200);
    let delta = running.get(&format!("/delta/?from={state}")).await;
    let changed = &delta["collections"]["vulnerabilities"]["updates"];
    assert_eq!(changed, &json!([running.get("/vulnerabilities/1/").await]));
}

#[tokio::test]
async fn states_that_give_no_delta_are_refused_with_a_reason() {
    let running = Running::start_with(|options| options.keep_changes = 3).await;
    let first = running.state().await;
    for n in 0..5 {
        running
            .post("/sites/", json!({"name": format!("s{n}")}))
            .await;
    }
    let now = running.state().await;
    let (instance, seq) = now.rsplit_once('-').unwrap();
    assert_eq!(seq, "5");
    let state = |n: u32| format!("{instance}-{n}");
    let delta = |from: &str, to: &str| format!("/delta/?from={from}&to={to}");
    let other = "0".repeat(32);
    for (path, status, code) in [
        (delta(&first, &now), 410, "state_too_old"),
        (delta(&state(1), &now), 410, "state_too_old"),
        (delta(&state(6), &now), 409, "future_state"),
        (delta(&now, &state(6)), 409, "future_state"),
        (delta(&now, &state(4)), 400, "from_after_to"),
        (delta(&format!("{other}-1"), &now), 409, "foreign_state"),
        (delta("None", &now), 400, "bad_state"),
        (delta("", &now), 400, "bad_state"),
        (delta(&format!("{instance}--1"), &now), 400, "bad_state"),
        (
            delta(&format!("{now}0000000000000000000000"), &now),
            400,
            "bad_state",
        ),
        ("/delta/".to_owned(), 400, "bad_parameter"),
        (delta(&state(3), &now) + "&limit=0", 400, "bad_parameter"),
        (delta(&state(3), &now) + "&after=1", 400, "bad_parameter"),
        (delta(&state(3), &now) + "&after=9", 400, "bad_parameter"),
    ] {
        let refused = running.refused("GET", &path, None).await;
        assert_eq!(refused, (status, code.to_owned()), "{path}");
    }
    // The oldest state that can be followed: the three rows after it are kept.
    let delta = running.get(&delta(&state(2), &now)).await;
    let updates = &delta["collections"]["sites"]["updates"];
    assert_eq!(updates.as_array().unwrap().len(), 3);
}
