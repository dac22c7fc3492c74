//! `populate` and `inventory`, alone and on the file of a running server.

use std::collections::BTreeMap;

use reference_server::{inventory, populate};
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::support::Running;

#[tokio::test]
async fn populate_makes_the_shape_that_is_promised() {
    let running = Running::start().await;
    let done = populate(&running.data(), 50, 1).await.unwrap();
    assert!(done.logged);
    let counts: BTreeMap<&str, u64> = done.objects.into_iter().collect();
    let wanted = [
        ("xrefproperties", 20),
        ("sites", 2),
        ("assets", 50),
        ("vulnerabilities", 100),
        ("ports", 1),
        ("mac_addresses", 50),
        ("ip_addresses", 50),
        ("hosts", 50),
        ("apps", 150),
    ];
    assert_eq!(counts, wanted.into());
    let graph = Replica::full(&running).await;
    assert_eq!(graph.edges.len(), 16 * 50);
    let vertices = graph.vertices.keys().filter(|(c, _)| c != "xrefproperties");
    assert_eq!(vertices.count() + graph.edges.len(), 25 * 50 + 3);
    for ((collection, key), object) in &graph.vertices {
        if collection == "vulnerabilities" {
            let references = object["xref_properties"].as_array().unwrap();
            assert_eq!(references.len(), 2, "{key}");
        }
    }
}

#[tokio::test]
async fn populate_repeats_itself_varies_with_the_seed_and_adds() {
    let (one, two, other) = (
        Running::start().await,
        Running::start().await,
        Running::start().await,
    );
    populate(&one.data(), 30, 1).await.unwrap();
    populate(&two.data(), 30, 1).await.unwrap();
    populate(&other.data(), 30, 2).await.unwrap();
    let path = "/assets/?limit=3";
    let plain = |assets: Value| {
        let mut assets = assets.as_array().unwrap().clone();
        for asset in &mut assets {
            asset["url"] = json!(null);
            asset["site"] = json!(null);
        }
        assets
    };
    let first = plain(one.get(path).await);
    assert_eq!(first, plain(two.get(path).await));
    assert_ne!(first, plain(other.get(path).await));

    let mut replica = Replica::full(&one).await;
    populate(&one.data(), 20, 1).await.unwrap();
    replica.follow(&one, None).await;
    assert_eq!(replica, Replica::full(&one).await);
    assert_eq!(one.get("/assets/").await.as_array().unwrap().len(), 50);
    assert_eq!(one.get("/sites/").await.as_array().unwrap().len(), 2);
    assert_eq!(one.get("/ports/").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_large_load_asks_clients_for_a_full_import_and_logs_what_follows() {
    let running = Running::start().await;
    let before = running.state().await;
    let done = populate(&running.data(), 10_001, 1).await.unwrap();
    assert!(!done.logged);
    let refused = running
        .refused("GET", &format!("/delta/?from={before}"), None)
        .await;
    assert_eq!(refused, (410, "state_too_old".to_owned()));
    let loaded = running.state().await;
    assert_ne!(loaded, before);
    let (status, _) = running.call("DELETE", "/hosts/10001/", None).await;
    assert_eq!(status, 204);
    let delta = running.get(&format!("/delta/?from={loaded}")).await;
    let gone =
        json!({"hosts": {"updates": [], "deletions": [{"pk": 10001, "key": "host10001.example"}]}});
    assert_eq!(delta["collections"], gone);
    let (status, _) = running.call("DELETE", "/assets/7/", None).await;
    assert_eq!(status, 204);
    let ip = running.get("/ip_addresses/7/").await;
    assert_eq!(ip["assets"], json!([]));
}

#[tokio::test]
async fn inventory_loads_this_machine_and_a_second_run_changes_nothing_of_it() {
    let running = Running::start().await;
    let done = inventory(&running.data()).await.unwrap();
    let counts: BTreeMap<&str, u64> = done.objects.into_iter().collect();
    assert_eq!((counts["assets"], counts["hosts"]), (1, 1));
    let hosts = running.get("/hosts/").await;
    assert_eq!(hosts[0]["host_name"], done.host_name);
    let apps = running.get("/apps/").await;
    let systems = apps
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["is_os"] == true);
    assert_eq!(systems.count(), 1);
    let asset = running.get("/assets/1/").await;
    for collection in ["apps", "hosts", "ip_addresses", "mac_addresses"] {
        let objects = running.get(&format!("/{collection}/")).await;
        assert_eq!(objects.as_array().unwrap().len() as u64, counts[collection]);
        for object in objects.as_array().unwrap() {
            assert_eq!(object["assets"], json!([asset["url"]]), "{object}");
        }
    }
    #[cfg(target_os = "linux")]
    {
        // This test's own server listens on a port of this machine.
        let ports = running.get("/ports/").await;
        let own = running.server.address().port();
        let found = ports
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["port_number"] == own);
        assert!(found, "port {own} is missing: {ports}");
    }

    // Tests beside this one open and close ports, so those may differ between the runs.
    let mut replica = Replica::full(&running).await;
    inventory(&running.data()).await.unwrap();
    replica.follow(&running, None).await;
    let now = Replica::full(&running).await;
    assert_eq!(replica, now);
    let others = |r: &Replica| {
        let mut vertices = r.vertices.clone();
        vertices.retain(|(collection, _), _| collection != "ports");
        vertices
    };
    assert_eq!(others(&replica), others(&now));
}

#[tokio::test]
async fn inventory_brings_back_what_was_edited_and_deletes_what_is_gone() {
    let running = Running::start().await;
    inventory(&running.data()).await.unwrap();
    let count = running.get("/apps/").await.as_array().unwrap().len();
    let note = json!({"risk": 3.5, "name": "renamed"});
    running.call("PATCH", "/assets/1/", Some(note)).await;
    running.call("DELETE", "/apps/1/", None).await;
    let mine = json!({"name": "made by hand", "assets": [1]});
    let mine = running.post("/apps/", mine).await;
    // An application that is not installed, as if it had been when the last run looked.
    let gone = running
        .post("/apps/", json!({"name": "uninstalled", "assets": [1]}))
        .await;
    sql(
        &running.data(),
        &format!(
            "INSERT INTO inventory SELECT machine, 'apps', {} FROM inventory LIMIT 1",
            gone["pk"]
        ),
    )
    .await;

    let state = running.state().await;
    let done = inventory(&running.data()).await.unwrap();
    assert!(done.deleted >= 1, "{done:?}");
    let asset = running.get("/assets/1/").await;
    assert_eq!(
        (&asset["risk"], &asset["name"]),
        (&json!(3.5), &json!(done.host_name))
    );
    assert_eq!(running.get(mine["url"].as_str().unwrap()).await, mine);
    assert_eq!(
        running
            .refused("GET", gone["url"].as_str().unwrap(), None)
            .await
            .0,
        404
    );
    assert_eq!(
        running.get("/apps/").await.as_array().unwrap().len(),
        count + 1
    );
    let delta = running.get(&format!("/delta/?from={state}")).await;
    let deletions = &delta["collections"]["apps"]["deletions"];
    assert_eq!(
        deletions,
        &json!([{"pk": gone["pk"], "key": gone["pk"].to_string()}])
    );
}

#[tokio::test]
async fn inventory_shares_an_address_with_another_asset() {
    let running = Running::start().await;
    inventory(&running.data()).await.unwrap();
    let hosts = running.get("/hosts/").await;
    let other = running.post("/assets/", json!({"name": "other"})).await;
    let both = json!([hosts[0]["assets"][0], other["url"]]);
    let path = hosts[0]["url"].as_str().unwrap();
    running
        .call("PATCH", path, Some(json!({"assets": both})))
        .await;
    inventory(&running.data()).await.unwrap();
    assert_eq!(running.get(path).await["assets"], both);
}

/// Changes the file behind the server's back.
async fn sql(data: &std::path::Path, statement: &str) {
    use sqlx::Connection as _;
    let address = format!("sqlite://{}", data.display());
    let mut connection = sqlx::SqliteConnection::connect(&address).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
