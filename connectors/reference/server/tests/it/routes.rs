//! Every route with good input, for every collection.

use reference_server::model::{COLLECTIONS, Collection, Kind};
use serde_json::{Value, json};

use crate::support::Running;

/// A body with every field set and a link in every relation to object 1 of the target.
fn full_body(collection: &Collection, variant: i64) -> Value {
    let mut body = json!({});
    for field in collection.fields {
        body[field.name] = match field.kind {
            Kind::Text => json!(format!("{} {variant} \"<&'\\ ü 漢 😀\n", field.name)),
            Kind::Integer { .. } => json!(100 + variant),
            Kind::Number => json!(0.5 + variant as f64),
            Kind::Boolean => json!(variant % 2 == 0),
        };
    }
    for relation in collection.relations {
        let link = format!("/{}/1/", relation.target);
        body[relation.name] = if relation.single {
            json!(link)
        } else {
            json!([link])
        };
    }
    body
}

/// What the server shows for `body`.
fn shown(running: &Running, collection: &Collection, pk: i64, body: &Value) -> Value {
    let mut object = body.clone();
    object["pk"] = json!(pk);
    object["url"] = json!(format!("{}/{}/{pk}/", running.url, collection.name));
    for relation in collection.relations {
        let absolute = json!(format!("{}/{}/1/", running.url, relation.target));
        object[relation.name] = if relation.single {
            absolute
        } else {
            json!([absolute])
        };
    }
    object
}

#[tokio::test]
async fn objects_are_created_read_replaced_patched_and_deleted() {
    let running = Running::start().await;
    for collection in &COLLECTIONS {
        let list = format!("/{}/", collection.name);
        assert_eq!(running.get(&list).await, json!([]));

        let body = full_body(collection, 1);
        let response = running.send("POST", &list, Some(body.clone())).await;
        assert_eq!(response.status(), 201, "{list}");
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let created: Value = response.json().await.unwrap();
        let wanted = shown(&running, collection, 1, &body);
        assert_eq!(created, wanted);
        assert_eq!(location, wanted["url"].as_str().unwrap());
        assert_eq!(running.get(&location).await, wanted);
        assert_eq!(running.get(&list).await, json!([wanted]));

        // PUT of another pk adds, PUT of the same replaces, and takes what GET gave.
        let other = format!("{list}9/");
        let body = full_body(collection, 2);
        let (status, object) = running.call("PUT", &other, Some(body.clone())).await;
        assert_eq!(status, 201);
        assert_eq!(object, shown(&running, collection, 9, &body));
        let (status, again) = running.call("PUT", &other, Some(object.clone())).await;
        assert_eq!((status.as_u16(), &again), (200, &object));

        // PUT empties what it does not give; PATCH leaves it.
        let mut required = json!({});
        for field in collection.fields.iter().filter(|f| f.required) {
            required[field.name] = body[field.name].clone();
        }
        let (_, replaced) = running.call("PUT", &other, Some(required.clone())).await;
        for relation in collection.relations {
            let empty = if relation.single {
                json!(null)
            } else {
                json!([])
            };
            assert_eq!(replaced[relation.name], empty);
        }
        for field in collection.fields.iter().filter(|f| !f.required) {
            assert_eq!(replaced[field.name], Value::Null);
            let one = json!({field.name: object[field.name]});
            let (status, _) = running.call("PATCH", &other, Some(one)).await;
            assert_eq!(status, 200);
        }
        for relation in collection.relations {
            let one = json!({relation.name: object[relation.name]});
            let (status, _) = running.call("PATCH", &other, Some(one)).await;
            assert_eq!(status, 200);
        }
        assert_eq!(running.get(&other).await, object);

        let (status, body) = running.call("DELETE", &other, None).await;
        assert_eq!((status.as_u16(), body), (204, Value::Null));
        assert_eq!(running.refused("GET", &other, None).await.0, 404);
    }
}

#[tokio::test]
async fn the_address_without_the_last_slash_is_redirected() {
    let running = Running::start().await;
    running.post("/assets/", json!({"name": "a"})).await;
    for (method, path, status, location) in [
        ("GET", "/assets", 301, "/assets/"),
        ("HEAD", "/assets", 301, "/assets/"),
        ("GET", "/assets?limit=1", 301, "/assets/?limit=1"),
        ("GET", "/assets/1", 301, "/assets/1/"),
        ("GET", "/model_state_id", 301, "/model_state_id/"),
        ("GET", "/delta?from=x", 301, "/delta/?from=x"),
        ("DELETE", "/assets/1", 308, "/assets/1/"),
        ("POST", "/assets", 308, "/assets/"),
    ] {
        let response = running.send(method, path, None).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers()["location"], location);
    }
    assert_eq!(running.refused("GET", "/nothing", None).await.0, 404);
    assert_eq!(running.refused("GET", "/assets/x", None).await.0, 404);
    assert_eq!(running.get("/assets/").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn links_are_built_from_the_host_that_was_asked() {
    let running = Running::start().await;
    running.post("/sites/", json!({"name": "s"})).await;
    running
        .post("/assets/", json!({"name": "a", "site": 1}))
        .await;
    let request = running.request("GET".parse().unwrap(), "/assets/1/");
    let response = request
        .header("host", "inventory.example:81")
        .send()
        .await
        .unwrap();
    let object: Value = response.json().await.unwrap();
    assert_eq!(object["url"], "http://inventory.example:81/assets/1/");
    assert_eq!(object["site"], "http://inventory.example:81/sites/1/");
}

#[tokio::test]
async fn a_patched_list_of_links_replaces_the_list() {
    let running = Running::start().await;
    for n in 1..=4 {
        running
            .post("/assets/", json!({"name": format!("a{n}")}))
            .await;
    }
    let host = json!({"host_name": "h", "assets": ["/assets/3/", 1, "/assets/1/"]});
    let host = running.post("/hosts/", host).await;
    let link = |pk: i64| format!("{}/assets/{pk}/", running.url);
    assert_eq!(host["assets"], json!([link(1), link(3)]));
    let (_, host) = running
        .call("PATCH", "/hosts/1/", Some(json!({"assets": [4, 3]})))
        .await;
    assert_eq!(host["assets"], json!([link(3), link(4)]));
    let site = running.post("/sites/", json!({"name": "s"})).await;
    let other = running.post("/sites/", json!({"name": "t"})).await;
    for site in [&site, &other] {
        let body = json!({"site": site["url"]});
        let (_, asset) = running.call("PATCH", "/assets/1/", Some(body)).await;
        assert_eq!(asset["site"], site["url"]);
    }
}

#[tokio::test]
async fn numbers_keep_15_digits() {
    let running = Running::start().await;
    for risk in [
        7.1,
        80.0,
        0.123_456_789_012_345,
        1e-300,
        1.5e308,
        -5.5,
        -0.0,
    ] {
        let asset = running
            .post("/assets/", json!({"name": "a", "risk": risk}))
            .await;
        assert_eq!(asset["risk"].as_f64(), Some(risk));
    }
}

#[tokio::test]
async fn the_greatest_pk_does_not_stop_later_objects() {
    let running = Running::start().await;
    let greatest = reference_server::model::MAX_PK;
    let path = format!("/sites/{greatest}/");
    let (status, _) = running.call("PUT", &path, Some(json!({"name": "s"}))).await;
    assert_eq!(status, 201);
    let next = running.post("/sites/", json!({"name": "t"})).await;
    assert_eq!(next["pk"], greatest + 1);
    assert_eq!(running.get(next["url"].as_str().unwrap()).await, next);
    assert_eq!(running.get("/sites/").await.as_array().unwrap().len(), 2);
}
