//! GraphQL: what can be asked and what is answered.

use serde_json::{Value, json};

use crate::support::{Client, Harness, Kind};

async fn graph(kind: Kind) -> Harness {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client
        .import(
            "s",
            json!({
                "asset": [
                    { "external_id": "a1", "name": "Asset1", "risk": 7.5, "business_value": 3, "tag": ["prod", "dmz"], "rack": { "row": [1, 2] } },
                    { "external_id": "a2", "name": "Asset2", "risk": 2, "business_value": 3 },
                    { "external_id": "a3", "name": "other_3%" },
                ],
                "vulnerability": [
                    { "external_id": "v1", "name": "CVE-1", "base_score": 9.8, "published_on": 1_700_000_000_000_i64 },
                    { "external_id": "v2", "name": "CVE-2", "base_score": 5 },
                ],
                "hostname": [{ "_key": "h1.example", "host_name": "H1.example" }],
                "application": [{ "external_id": "app", "name": "App", "is_os": true }],
                "port": [{ "external_id": "p", "port_number": 443, "protocol": "tcp" }],
                "asset_vulnerability": [
                    { "_from_external_id": "a1", "_to_external_id": "v1", "risk_score": 4 },
                    { "_from_external_id": "a1", "_to_external_id": "v2", "active": false },
                    { "_from_external_id": "a2", "_to_external_id": "v2" },
                    { "_from_external_id": "a2", "_to_external_id": "missing" },
                ],
                "asset_hostname": [{ "_from_external_id": "a1", "_to": "hostname/h1.example" }],
                "asset_application": [{ "_from_external_id": "a1", "_to_external_id": "app" }],
                "application_port": [{ "_from_external_id": "app", "_to_external_id": "p" }],
            }),
        )
        .await;
    client
        .import(
            "t",
            json!({ "hostname": [{ "_key": "h1.example", "host_name": "h1.EXAMPLE" }] }),
        )
        .await;
    harness
}

async fn ask(client: &Client, query: &str) -> Value {
    let answer = client
        .post("v3/query", json!({ "query": query }))
        .await
        .expect(200);
    assert_eq!(answer.get("errors"), None, "{query}: {answer}");
    answer["data"].clone()
}

async fn refuse(client: &Client, query: &str) -> String {
    let answer = client
        .post("v3/query", json!({ "query": query }))
        .await
        .expect(200);
    answer["errors"][0]["message"]
        .as_str()
        .unwrap_or_else(|| panic!("{query} was answered: {answer}"))
        .to_owned()
}

async fn the_documented_example_works(kind: Kind) {
    let harness = graph(kind).await;
    let query = r#"{ asset(where: {name: {_eq: "Asset1"}}) { risk vulnerabilities { vulnerability { name base_score } } } }"#;
    assert_eq!(
        ask(&harness.client, query).await,
        json!({ "asset": [{ "risk": 7.5, "vulnerabilities": [
            { "vulnerability": [{ "name": "CVE-1", "base_score": 9.8 }] },
            { "vulnerability": [{ "name": "CVE-2", "base_score": 5 }] },
        ] }] })
    );
}

async fn filters_choose_what_they_say(kind: Kind) {
    let harness = graph(kind).await;
    let cases = [
        ("{}", vec!["a1", "a2", "a3"]),
        (r#"{name: {_eq: "Asset1"}}"#, vec!["a1"]),
        (r#"{name: {_neq: "Asset1"}}"#, vec!["a2", "a3"]),
        (r#"{risk: {_gt: 2}}"#, vec!["a1"]),
        (r#"{risk: {_gte: 2, _lt: 7.5}}"#, vec!["a2"]),
        (r#"{risk: {_is_null: true}}"#, vec!["a3"]),
        (r#"{risk: {_is_null: false}}"#, vec!["a1", "a2"]),
        (r#"{name: {_in: ["Asset1", "Asset2"]}}"#, vec!["a1", "a2"]),
        (r#"{name: {_nin: ["Asset1", "Asset2"]}}"#, vec!["a3"]),
        (r#"{name: {_in: []}}"#, vec![]),
        (r#"{name: {_like: "asset%"}}"#, vec![]),
        (r#"{name: {_like: "Asset_"}}"#, vec!["a1", "a2"]),
        (r#"{name: {_like: "%\\%"}}"#, vec!["a3"]),
        (r#"{name: {_nlike: "Asset%"}}"#, vec!["a3"]),
        (r#"{name: {_ilike: "ASSET%"}}"#, vec!["a1", "a2"]),
        (r#"{name: {_nilike: "ASSET%"}}"#, vec!["a3"]),
        (r#"{name: {_similar: "(Asset|Foo)[0-1]"}}"#, vec!["a1"]),
        (
            r#"{_or: [{name: {_eq: "Asset1"}}, {risk: {_eq: 2}}]}"#,
            vec!["a1", "a2"],
        ),
        (
            r#"{_and: [{name: {_eq: "Asset1"}}, {risk: {_eq: 2}}]}"#,
            vec![],
        ),
        (r#"{_not: {name: {_eq: "Asset1"}}}"#, vec!["a2", "a3"]),
        (r#"{source: {_eq: "s"}}"#, vec!["a1", "a2", "a3"]),
        (r#"{source: {_eq: "t"}}"#, vec![]),
        (r#"{id: {_eq: "s/a2"}}"#, vec!["a2"]),
        (r#"{id: {_like: "s/%1"}}"#, vec!["a1"]),
        (r#"{external_id: {_in: ["a1", "a3"]}}"#, vec!["a1", "a3"]),
        (r#"{vulnerabilities: {}}"#, vec!["a1", "a2"]),
        (r#"{vulnerabilities: {risk_score: {_eq: 4}}}"#, vec!["a1"]),
        (r#"{vulnerabilities: {active: {_eq: false}}}"#, vec!["a1"]),
        (
            r#"{vulnerabilities: {vulnerability: {base_score: {_gt: 9}}}}"#,
            vec!["a1"],
        ),
        (r#"{_not: {vulnerabilities: {}}}"#, vec!["a3"]),
        (
            r#"{applications: {application: {ports: {port: {port_number: {_eq: 443}}}}}}"#,
            vec!["a1"],
        ),
        (r#"{tags: {name: {_eq: "prod"}}}"#, vec!["a1"]),
        (r#"{instances: {name: {_eq: "Asset2"}}}"#, vec!["a2"]),
        (
            r#"{hostnames: {hostname: {source: {_eq: "s"}}}}"#,
            vec!["a1"],
        ),
        (r#"{hostnames: {hostname: {instances: {}}}}"#, vec!["a1"]),
        (
            r#"{hostnames: {hostname: {instances: {host_name: {_eq: "h1.EXAMPLE"}}}}}"#,
            vec!["a1"],
        ),
        (
            r#"{hostnames: {hostname: {instances: {source: {_eq: "t"}}}}}"#,
            vec!["a1"],
        ),
        (
            r#"{reported_at: {_eq: 1700000000000}}"#,
            vec!["a1", "a2", "a3"],
        ),
    ];
    for (filter, expected) in cases {
        let query = format!(
            "{{ asset(where: {filter}, order_by: {{external_id: asc}}) {{ external_id }} }}"
        );
        let data = ask(&harness.client, &query).await;
        let ids: Vec<&str> = data["asset"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["external_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{filter}");
    }
}

async fn lists_are_sorted_paged_and_told_apart(kind: Kind) {
    let harness = graph(kind).await;
    let client = &harness.client;
    let cases = [
        ("order_by: {name: desc}", json!(["a3", "a2", "a1"])),
        ("order_by: {risk: asc}", json!(["a2", "a1", "a3"])),
        ("order_by: {risk: desc}", json!(["a3", "a1", "a2"])),
        (
            "order_by: {risk: desc_nulls_last}",
            json!(["a1", "a2", "a3"]),
        ),
        (
            "order_by: [{business_value: asc}, {name: desc}]",
            json!(["a2", "a1", "a3"]),
        ),
        ("order_by: {name: asc}, limit: 1", json!(["a1"])),
        ("order_by: {name: asc}, limit: 1, offset: 1", json!(["a2"])),
        ("order_by: {name: asc}, limit: 0", json!([])),
        (
            "distinct_on: business_value, order_by: [{business_value: asc}, {name: desc}]",
            json!(["a2", "a3"]),
        ),
        (
            "distinct_on: [business_value], order_by: {name: asc}, offset: 1",
            json!(["a3"]),
        ),
    ];
    for (arguments, expected) in cases {
        let data = ask(
            client,
            &format!("{{ asset({arguments}) {{ external_id }} }}"),
        )
        .await;
        let ids: Value = data["asset"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["external_id"].clone())
            .collect();
        assert_eq!(ids, expected, "{arguments}");
    }
    let data = ask(client, "{ asset(order_by: {name: asc}) { vulnerabilities(order_by: {vulnerability_id: desc}, limit: 1) { vulnerability_id } } }").await;
    assert_eq!(
        data["asset"],
        json!([
            { "vulnerabilities": [{ "vulnerability_id": "s/v2" }] },
            { "vulnerabilities": [{ "vulnerability_id": "s/v2" }] },
            { "vulnerabilities": [] },
        ])
    );
}

async fn every_kind_of_field_is_answered(kind: Kind) {
    let harness = graph(kind).await;
    let client = &harness.client;
    let data = ask(
        client,
        r#"query Q($id: String!, $deep: Boolean = true) {
        one: asset_by_pk(id: $id) {
            ...basic
            tags { name }
            properties(path: "rack.row.1")
            all: properties
            instances { external_id }
            vulnerabilities(where: {active: {_eq: true}}) @include(if: $deep) {
                __typename asset_id vulnerability_id active risk_score
                asset { name }
                vulnerability { published_on }
            }
            vulnerabilities(where: {active: {_eq: true}}) { source }
        }
        none: asset_by_pk(id: "s/none") { name }
        edge: asset_vulnerability_by_pk(from_id: "s/a1", to_id: "s/v2") { active }
    }
    fragment basic on asset { id external_id source name connecting_id reported_at report }"#
            .replace("$id: String!", "$id: String = \"s/a1\"")
            .as_str(),
    )
    .await;
    assert_eq!(
        data,
        json!({
            "one": {
                "id": "s/a1", "external_id": "a1", "source": "s", "name": "Asset1",
                "connecting_id": null, "reported_at": 1_700_000_000_000_i64, "report": "r1",
                "tags": [{ "name": "dmz" }, { "name": "prod" }],
                "properties": 2, "all": { "rack": { "row": [1, 2] } },
                "instances": [{ "external_id": "a1" }],
                "vulnerabilities": [{
                    "__typename": "asset_vulnerability", "asset_id": "s/a1", "vulnerability_id": "s/v1",
                    "active": true, "risk_score": 4, "asset": [{ "name": "Asset1" }],
                    "vulnerability": [{ "published_on": 1_700_000_000_000_i64 }], "source": "s",
                }],
            },
            "none": null,
            "edge": { "active": false },
        })
    );
    let data = ask(client, "{ hostname(where: {source: {_eq: \"s\"}}) { _key connecting_id instances(order_by: {source: asc}) { source host_name } } }").await;
    assert_eq!(
        data["hostname"][0]["instances"],
        json!([
            { "source": "s", "host_name": "H1.example" }, { "source": "t", "host_name": "h1.EXAMPLE" },
        ])
    );
    // An edge without one of its ends is kept, and seen once the end is there.
    let count = "{ asset_vulnerability_aggregate { aggregate { count } } }";
    assert_eq!(
        ask(client, count).await["asset_vulnerability_aggregate"]["aggregate"]["count"],
        3
    );
    client
        .import(
            "s",
            json!({ "vulnerability": [{ "external_id": "missing", "name": "late" }] }),
        )
        .await;
    assert_eq!(
        ask(client, count).await["asset_vulnerability_aggregate"]["aggregate"]["count"],
        4
    );
}

async fn aggregates_are_counted(kind: Kind) {
    let harness = graph(kind).await;
    let data = ask(&harness.client, r#"{ asset_aggregate(where: {name: {_like: "Asset%"}}) {
        aggregate { count n: count(columns: business_value, distinct: true)
            min { risk name } max { risk } sum { risk } avg { risk business_value } }
        nodes { name }
    } page: asset_aggregate(order_by: {name: asc}, limit: 1) { aggregate { count max { name } } } }"#).await;
    assert_eq!(
        data,
        json!({
            "asset_aggregate": {
                "aggregate": {
                    "count": 2, "n": 1, "min": { "risk": 2, "name": "Asset1" }, "max": { "risk": 7.5 },
                    "sum": { "risk": 9.5 }, "avg": { "risk": 4.75, "business_value": 3 },
                },
                "nodes": [{ "name": "Asset1" }, { "name": "Asset2" }],
            },
            "page": { "aggregate": { "count": 1, "max": { "name": "Asset1" } } },
        })
    );
}

async fn tags_are_set_and_taken_off(kind: Kind) {
    let harness = graph(kind).await;
    let client = &harness.client;
    let insert = r#"mutation { insert_tag_asset(objects: [{id: "s/a2", tag: "new"}, {id: "s/a1", tag: "prod"}]) { affected_rows } }"#;
    assert_eq!(
        ask(client, insert).await["insert_tag_asset"]["affected_rows"],
        1
    );
    let tagged = r#"{ asset(where: {tags: {name: {_eq: "new"}}}) { external_id tags { name } } }"#;
    assert_eq!(
        ask(client, tagged).await["asset"],
        json!([{ "external_id": "a2", "tags": [{ "name": "new" }] }])
    );
    let delete =
        r#"mutation { delete_tag_asset(objects: {id: "s/a2", tag: "new"}) { affected_rows } }"#;
    assert_eq!(
        ask(client, delete).await["delete_tag_asset"]["affected_rows"],
        1
    );
    assert_eq!(ask(client, tagged).await["asset"], json!([]));
    let unknown =
        r#"mutation { insert_tag_asset(objects: {id: "s/none", tag: "x"}) { affected_rows } }"#;
    assert!(refuse(client, unknown).await.contains("s/none"));
    client.import("s", json!({ "asset": [{ "external_id": "a1", "name": "Asset1", "risk": 7.5, "business_value": 3, "untag": ["dmz"] }] })).await;
    let left = ask(client, "{ asset_by_pk(id: \"s/a1\") { tags { name } } }").await;
    assert_eq!(left["asset_by_pk"]["tags"], json!([{ "name": "prod" }]));
}

async fn wrong_queries_say_what_is_wrong(kind: Kind) {
    let harness = graph(kind).await;
    let client = &harness.client;
    let cases = [
        ("{ asset { nam } }", "Did you mean \"name\"?"),
        ("{ asset { nmae } }", "Did you mean \"name\"?"),
        (
            "{ asset { vulnerabilites { active } } }",
            "Did you mean \"vulnerabilities\"",
        ),
        (
            "{ vulnerabilty { name } }",
            "Did you mean \"vulnerability\"",
        ),
        ("{ asse { name } }", "Did you mean \"asset\""),
        ("{ asset(where: {name: {_eq: 1}}) { name } }", "name"),
        ("{ asset(where: {name: {_eq: null}}) { name } }", "_is_null"),
        ("{ asset(where: {nothing: {_eq: 1}}) { name } }", "nothing"),
        ("{ asset(limit: -1) { name } }", "0 or more"),
        ("{ asset", "expected"),
        ("", ""),
        (
            "{ asset(where: {name: {_like: \"x\\\\\"}}) { name } }",
            "escape",
        ),
        (
            "{ asset(where: {name: {_similar: \"(\"}}) { name } }",
            "SIMILAR",
        ),
        (
            "{ asset { ...f } } fragment f on asset { ...f }",
            "recursion",
        ),
    ];
    for (query, text) in cases {
        let message = refuse(client, query).await;
        assert!(message.contains(text), "{query}: {message}");
    }
    let deep = format!(
        "{{ asset {}name{} }}",
        "{ instances "
            .repeat(40)
            .trim_start_matches("{ ")
            .to_owned()
            .replacen("instances", "{ instances", 1)
            + "{ ",
        " }".repeat(41)
    );
    assert!(!refuse(client, &deep).await.is_empty());
    let wide = format!(
        "{{ asset {{ {} }} }}",
        (0..3000)
            .map(|n| format!("n{n}: name "))
            .collect::<String>()
    );
    assert!(
        refuse(client, &wide)
            .await
            .contains("more than 2000 fields")
    );
    assert_eq!(
        client.post("v3/query", json!([1])).await.code(400),
        "invalid_body"
    );
}

async fn the_schema_can_be_asked_for(kind: Kind) {
    let harness = graph(kind).await;
    let data = ask(
        &harness.client,
        "{ __schema { types { name } } __type(name: \"asset_bool_exp\") { inputFields { name } } }",
    )
    .await;
    let types = data["__schema"]["types"].as_array().unwrap();
    assert!(types.iter().any(|ty| ty["name"] == "asset_vulnerability"));
    let fields = data["__type"]["inputFields"].as_array().unwrap();
    assert!(
        fields
            .iter()
            .any(|field| field["name"] == "vulnerabilities")
    );
}

async fn a_query_sees_the_graph_as_it_was(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let rows = |name: &str| {
        json!({
            "asset": [{ "external_id": "a", "name": name }],
            "vulnerability": [{ "external_id": "v", "name": "v" }],
            "asset_vulnerability": [{ "_from_external_id": "a", "_to_external_id": "v" }],
        })
    };
    let query = "{ asset { name vulnerabilities { vulnerability { name } } } }";
    let mut moments = Vec::new();
    let moment = async || {
        // Windows are told apart by milliseconds: wait until the clock has moved past the last.
        let start = std::time::SystemTime::now();
        while start.elapsed().unwrap() < std::time::Duration::from_millis(2) {
            tokio::task::yield_now().await;
        }
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis();
        while std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis()
            < now + 2
        {
            tokio::task::yield_now().await;
        }
        iso(i64::try_from(now).unwrap())
    };
    moments.push((moment().await, json!([])));
    client.import("s", rows("one")).await;
    let linked = |name: &str| json!([{ "name": name, "vulnerabilities": [{ "vulnerability": [{ "name": "v" }] }] }]);
    moments.push((moment().await, linked("one")));
    client.import("s", rows("two")).await;
    moments.push((moment().await, linked("two")));
    client
        .delete("source/s/vulnerability?external_ids=v")
        .await
        .expect(200);
    moments.push((
        moment().await,
        json!([{ "name": "two", "vulnerabilities": [] }]),
    ));
    client
        .delete("source/s/asset?external_ids=a")
        .await
        .expect(200);
    moments.push((moment().await, json!([])));
    for (at, expected) in moments {
        let request = client
            .request(reqwest::Method::POST, "v3/query")
            .basic_auth(crate::support::KEY, Some(crate::support::PASSWORD))
            .header("x-hasura-car-timepoint", &at)
            .json(&json!({ "query": query }));
        let answer = client.send(request).await.expect(200);
        assert_eq!(answer["data"]["asset"], expected, "{at}");
    }
    let request = client
        .request(reqwest::Method::POST, "v3/query")
        .basic_auth(crate::support::KEY, Some(crate::support::PASSWORD))
        .header("x-hasura-car-timepoint", "yesterday")
        .json(&json!({ "query": query }));
    assert_eq!(client.send(request).await.code(400), "invalid_timepoint");
}

async fn users_of_one_account_are_one_unless_it_is_shared(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let user = |id: &str| json!({ "external_id": id });
    let account = |id: &str, name: &str| json!({ "external_id": id, "name": name });
    let link = |from: &str, to: &str| json!({ "_from_external_id": from, "_to_external_id": to });
    client
        .import(
            "s",
            json!({
                "user": [user("u1"), user("u2"), user("u3"), user("u4")],
                "account": [account("a1", "Ann"), account("a2", "root"), account("a4", "dan")],
                "user_account": [link("u1", "a1"), link("u2", "a2"), link("u3", "a2"), link("u4", "a4")],
            }),
        )
        .await;
    client
        .import(
            "t",
            json!({
                "user": [user("x1"), user("x2")],
                "account": [account("b1", "ann"), account("b2", "root")],
                "user_account": [link("x1", "b1"), link("x2", "b2")],
            }),
        )
        .await;
    let data = ask(
        client,
        "{ user(order_by: {id: asc}) { id instances(order_by: {id: asc}) { id } } }",
    )
    .await;
    let same: Vec<(String, Vec<String>)> = data["user"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |value: &Value| value["id"].as_str().unwrap().to_owned();
            (
                text(row),
                row["instances"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(text)
                    .collect(),
            )
        })
        .collect();
    let expected = [
        ("s/u1", vec!["s/u1", "t/x1"]),
        ("s/u2", vec!["s/u2"]),
        ("s/u3", vec!["s/u3"]),
        ("s/u4", vec!["s/u4"]),
        ("t/x1", vec!["s/u1", "t/x1"]),
        ("t/x2", vec!["t/x2"]),
    ];
    let expected: Vec<(String, Vec<String>)> = expected
        .into_iter()
        .map(|(id, same)| (id.to_owned(), same.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(same, expected);
    let filter =
        r#"{ user(where: {instances: {source: {_eq: "t"}}}, order_by: {id: asc}) { id } }"#;
    assert_eq!(
        ask(client, filter).await["user"],
        json!([{ "id": "s/u1" }, { "id": "t/x1" }, { "id": "t/x2" }])
    );
}

async fn history_is_erased_when_it_is_over_its_limit(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    for name in ["one", "two", "three"] {
        let row = json!({ "external_id": "a", "name": name, "tag": [name] });
        client.import("s", json!({ "asset": [row] })).await;
    }
    assert_eq!(
        client
            .post(
                "v3/DataRetentionPolicy",
                json!({ "policy_name": "x", "policy_value": 1 })
            )
            .await
            .code(400),
        "unknown_policy"
    );
    assert_eq!(
        client
            .post(
                "v3/DataRetentionPolicy",
                json!({ "policy_name": "Time", "policy_value": -1 })
            )
            .await
            .code(400),
        "invalid_policy"
    );
    let before = now();
    let at = iso(before + 5);
    while now() < before + 10 {
        tokio::task::yield_now().await;
    }
    client
        .import(
            "s",
            json!({ "asset": [{ "external_id": "a", "name": "four" }] }),
        )
        .await;
    let query = async || {
        let request = client
            .request(reqwest::Method::POST, "v3/query")
            .basic_auth(crate::support::KEY, Some(crate::support::PASSWORD))
            .header("x-hasura-car-timepoint", &at)
            .json(&json!({ "query": "{ asset { name } }" }));
        client.send(request).await.expect(200)["data"]["asset"].clone()
    };
    assert_eq!(query().await, json!([{ "name": "three" }]));
    // A version that ended this very millisecond is not older than zero days.
    let ended = now();
    while now() <= ended {
        tokio::task::yield_now().await;
    }
    let set = client
        .post(
            "v3/DataRetentionPolicy",
            json!({ "policy_name": "Time", "policy_value": 0 }),
        )
        .await
        .expect(200);
    assert_eq!(
        set["policies"],
        json!([{ "policy_name": "Time", "policy_value": 0 }])
    );
    // The worker was woken; the runner's limit ends a wait that is in vain.
    while query().await != json!([]) {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.get("asset").await.expect(200)[0]["name"], "four");
}

fn now() -> i64 {
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(time.as_millis()).unwrap()
}

/// Writes a time of the year 2020 or later as ISO 8601, by counting days.
fn iso(millis: i64) -> String {
    let (mut days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let mut year = 1970;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let lengths = [
        31,
        if leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second, milli) = (
        rest / 3_600_000,
        rest / 60_000 % 60,
        rest / 1_000 % 60,
        rest % 1_000,
    );
    format!(
        "{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
        days + 1
    )
}

crate::support::store_suite! {
    the_documented_example_works,
    filters_choose_what_they_say,
    lists_are_sorted_paged_and_told_apart,
    every_kind_of_field_is_answered,
    aggregates_are_counted,
    tags_are_set_and_taken_off,
    wrong_queries_say_what_is_wrong,
    the_schema_can_be_asked_for,
    a_query_sees_the_graph_as_it_was,
    history_is_erased_when_it_is_over_its_limit,
    users_of_one_account_are_one_unless_it_is_shared,
}
