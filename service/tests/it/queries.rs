//! The page `docs/queries.md`: every query on it is asked, and the answer under it is the answer.

use async_graphql::Value;
use reqwest::Method;

use crate::support::{Client, Harness, KEY, Kind, PASSWORD, encode, store_suite};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/queries.md"));

/// Letters that an answer may have on one line.
const LINE: usize = 100;

/// A part of the page: text as it stands, or a fenced block.
enum Part<'p> {
    Text(&'p str),
    Block { kind: &'p str, body: &'p str },
}

fn parts(page: &str) -> Vec<Part<'_>> {
    page.split("\n```")
        .enumerate()
        .map(|(index, part)| {
            if index % 2 == 0 {
                Part::Text(part)
            } else {
                let (kind, body) = part.split_once('\n').unwrap();
                Part::Block { kind, body }
            }
        })
        .collect()
}

/// Writes JSON on one line where it fits, else its members below each other.
fn write(value: &Value, indent: usize, out: &mut String) {
    let line = one_line(value);
    if line.len() + indent <= LINE {
        out.push_str(&line);
        return;
    }
    let pad = " ".repeat(indent + 2);
    let (open, members, close) = match value {
        Value::Object(object) => {
            let members = object
                .iter()
                .map(|(name, value)| (Some(name.as_str()), value));
            ("{", members.collect::<Vec<_>>(), "}")
        }
        Value::List(list) => ("[", list.iter().map(|value| (None, value)).collect(), "]"),
        _ => {
            out.push_str(&line);
            return;
        }
    };
    out.push_str(open);
    for (index, (name, value)) in members.into_iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&pad);
        if let Some(name) = name {
            out.push_str(&format!("\"{name}\": "));
        }
        write(value, indent + 2, out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push_str(close);
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Object(object) if !object.is_empty() => {
            let members: Vec<String> = object
                .iter()
                .map(|(name, value)| format!("\"{name}\": {}", one_line(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::List(list) => {
            let members: Vec<String> = list.iter().map(one_line).collect();
            format!("[{}]", members.join(", "))
        }
        other => other.clone().into_json().unwrap().to_string(),
    }
}

/// Asks, and keeps the fields of the answer in their order.
async fn ask(client: &Client, request: &serde_json::Value) -> Value {
    let request = client
        .request(Method::POST, "v3/query")
        .basic_auth(KEY, Some(PASSWORD))
        .json(request);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn the_documented_queries_are_answered_as_documented(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let mut page = String::new();
    let (mut asked, mut answered) = (0, 0);
    let mut request: Option<serde_json::Value> = None;
    for (index, part) in parts(PAGE).into_iter().enumerate() {
        if index > 0 {
            page.push_str("\n```");
        }
        let (kind, body) = match part {
            Part::Text(text) => {
                page.push_str(text);
                continue;
            }
            Part::Block { kind, body } => (kind, body),
        };
        page.push_str(kind);
        page.push('\n');
        match kind {
            "json import" => {
                let envelope = serde_json::from_str(body).unwrap();
                client.post("imports", envelope).await.expect(200);
            }
            "graphql" => {
                assert!(request.is_none(), "no answer before {body}");
                request = Some(serde_json::json!({ "query": body }));
                asked += 1;
            }
            "json variables" => {
                let request = request.as_mut().expect("variables follow their query");
                request["variables"] = serde_json::from_str(body).unwrap();
            }
            "json" => {
                let request = request.take().expect("an answer follows its query");
                let answer = ask(client, &request).await;
                write(&answer, 0, &mut page);
                answered += 1;
                continue;
            }
            _ => {}
        }
        page.push_str(body);
    }
    assert_eq!(asked, answered);
    assert!(asked >= 100, "{asked} queries");
    if page != PAGE {
        let file = format!("{}/queries-{kind:?}.md", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&file, &page).unwrap();
        let differ: Vec<String> = PAGE
            .lines()
            .zip(page.lines())
            .filter(|(documented, answered)| documented != answered)
            .take(10)
            .map(|(documented, answered)| format!("- {documented}\n+ {answered}"))
            .collect();
        panic!(
            "the answers are not those of docs/queries.md; if they are right, copy {file} over it\n{}",
            differ.join("\n")
        );
    }
}

async fn an_address_may_hold_a_query_that_only_reads(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let rows = serde_json::json!({ "asset": [
        { "external_id": "a b&+", "name": "a", "tag": ["t"] },
        { "external_id": "b", "name": "b" },
    ] });
    client.import("s", rows).await;
    let address = |parameters: &[(&str, &str)]| {
        let parts: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        format!("v3/query?{}", parts.join("&"))
    };
    let query = "query Q($id: String) { asset(where: {external_id: {_eq: $id}}) { name } } \
                 mutation M { insert_tag_asset(objects: {id: \"s/b\", tag: \"x\"}) { affected_rows } }";
    let reads = address(&[
        ("query", query),
        ("operationName", "Q"),
        ("variables", "{\"id\": \"a b&+\"}"),
    ]);
    let answer = client.get(&reads).await.expect(200);
    assert_eq!(answer["data"]["asset"][0]["name"], "a");

    for (parameters, status, code) in [
        (vec![], 400, "missing_parameter"),
        (
            vec![("query", query), ("operationName", "M")],
            405,
            "mutation_over_get",
        ),
        (vec![("query", query)], 405, "mutation_over_get"),
        (
            vec![("query", "{ asset { name } }"), ("variables", "[")],
            400,
            "invalid_query",
        ),
        (
            vec![("query", "{ asset { name } }"), ("variables", "3")],
            400,
            "invalid_query",
        ),
    ] {
        let answer = client.get(&address(&parameters)).await;
        assert_eq!(answer.code(status), code, "{parameters:?}");
    }
    let tags = "{ asset(where: {tags: {}}) { external_id } }";
    let answer = client.get(&address(&[("query", tags)])).await.expect(200);
    assert_eq!(answer["data"]["asset"].as_array().unwrap().len(), 1);
    let broken = client
        .get(&address(&[("query", "{ asset")]))
        .await
        .expect(200);
    assert!(broken["errors"][0]["message"].is_string(), "{broken}");
    let stranger = client.request(Method::GET, &address(&[("query", tags)]));
    client.send(stranger).await.expect(401);
}

/// 330 assets share one vulnerability: out and back there are 108 900 rows.
async fn a_query_that_would_bring_up_everything_is_refused(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let each = |make: &dyn Fn(usize) -> serde_json::Value| (0..330).map(make).collect::<Vec<_>>();
    let rows = serde_json::json!({
        "asset": each(&|n| serde_json::json!({ "external_id": format!("a{n}"), "name": "a" })),
        "vulnerability": [{ "external_id": "v", "name": "v" }],
        "asset_vulnerability": each(&|n| serde_json::json!({
            "_from_external_id": format!("a{n}"), "_to_external_id": "v",
        })),
    });
    client.import("s", rows).await;
    let query = "{ asset { vulnerabilities { vulnerability { assets { active } } } } }";
    let answer = client
        .post("v3/query", serde_json::json!({ "query": query }))
        .await
        .expect(200);
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("more than 100000 rows"), "{message}");
    // Counting them brings up nothing.
    let query = "{ asset { vulnerabilities { vulnerability { assets_aggregate { aggregate { count } } } } } }";
    let answer = client
        .post("v3/query", serde_json::json!({ "query": query }))
        .await
        .expect(200);
    let first = &answer["data"]["asset"][0]["vulnerabilities"][0]["vulnerability"][0];
    assert_eq!(first["assets_aggregate"]["aggregate"]["count"], 330);
}

store_suite! {
    an_address_may_hold_a_query_that_only_reads,
    a_query_that_would_bring_up_everything_is_refused,
    the_documented_queries_are_answered_as_documented,
}
