//! Pages by primary key, also while objects come and go.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Running, next_link};

fn pks(objects: &Value) -> Vec<i64> {
    let objects = objects.as_array().unwrap();
    objects.iter().map(|o| o["pk"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn pages_join_to_the_whole_collection() {
    let running = Running::start().await;
    for n in 0..7 {
        running
            .post("/sites/", json!({"name": format!("s{n}")}))
            .await;
    }
    let whole = running.get("/sites/").await;
    assert_eq!(pks(&whole), [1, 2, 3, 4, 5, 6, 7]);
    for (limit, sizes) in [
        (3, vec![3, 3, 1]),
        (7, vec![7]),
        (8, vec![7]),
        (1, vec![1; 7]),
    ] {
        let pages = running.pages(&format!("/sites/?limit={limit}")).await;
        let found: Vec<usize> = pages.iter().map(|p| p.as_array().unwrap().len()).collect();
        assert_eq!(found, sizes, "limit {limit}");
        let joined: Vec<Value> = pages
            .iter()
            .flat_map(|p| p.as_array().unwrap().clone())
            .collect();
        assert_eq!(Value::from(joined), whole);
    }
    assert_eq!(running.get("/sites/?after=5").await[1]["pk"], 7);
    assert_eq!(running.get("/sites/?after=7&limit=2").await, json!([]));
}

#[tokio::test]
async fn objects_that_stay_come_once_while_others_come_and_go() {
    let running = Running::start().await;
    for n in 0..20 {
        running
            .post("/sites/", json!({"name": format!("s{n}")}))
            .await;
    }
    let mut seen: Vec<i64> = Vec::new();
    let mut next = Some("/sites/?limit=4".to_owned());
    let mut round = 0;
    while let Some(path) = next {
        let response = running.send("GET", &path, None).await;
        next = next_link(&response);
        let page: Value = response.json().await.unwrap();
        seen.extend(pks(&page));
        if round < 4 {
            // Delete one that was read, one that was not, and add one.
            for gone in [round * 4 + 2, 20 - round] {
                running
                    .send("DELETE", &format!("/sites/{gone}/"), None)
                    .await;
            }
            running
                .post("/sites/", json!({"name": format!("new {round}")}))
                .await;
        }
        round += 1;
    }
    let once: BTreeSet<i64> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "an object came twice: {seen:?}");
    let deleted: BTreeSet<i64> = [2, 6, 10, 14, 20, 19, 18, 17].into();
    for pk in (1..=20).filter(|pk| !deleted.contains(pk)) {
        assert!(once.contains(&pk), "{pk} was skipped: {seen:?}");
    }
    let now: BTreeSet<i64> = pks(&running.get("/sites/").await).into_iter().collect();
    assert!(now.iter().all(|pk| once.contains(pk) || *pk > 20));
}

#[tokio::test]
async fn chosen_objects_come_once_each_and_missing_ones_not() {
    let running = Running::start().await;
    for n in 0..5 {
        running
            .post("/sites/", json!({"name": format!("s{n}")}))
            .await;
    }
    assert_eq!(pks(&running.get("/sites/?pk=4,2,99,2").await), [2, 4]);
    assert_eq!(running.get("/sites/?pk=").await, json!([]));
    let many: Vec<String> = (1..=2001).map(|n| n.to_string()).collect();
    for query in [
        "pk=a",
        "pk=1;2",
        "pk=-1",
        "pk=1&limit=1",
        &format!("pk={}", many.join(",")),
    ] {
        let refused = running
            .refused("GET", &format!("/sites/?{query}"), None)
            .await;
        assert_eq!(refused, (400, "bad_parameter".to_owned()), "{query:.20}");
    }
}

#[tokio::test]
async fn a_collection_of_many_chunks_streams_whole_and_in_order() {
    let running = Running::start().await;
    reference_server::populate(&running.data(), 1200, 1)
        .await
        .unwrap();
    let apps = running.get("/apps/").await;
    assert_eq!(pks(&apps), (1..=3600).collect::<Vec<i64>>());
    let page = running.get("/apps/?limit=2000&after=100").await;
    assert_eq!(pks(&page), (101..=2100).collect::<Vec<i64>>());
}
