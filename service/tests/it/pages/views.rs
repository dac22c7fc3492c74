//! One entity, the riskiest assets, imports, queries.

use serde_json::json;

use super::{Browser, hidden, links};
use crate::support::{Harness, Kind, encode, store_suite};

async fn an_entity_shows_fields_neighbours_history_and_who_knows_it(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let hostile = "\"><script>alert(1)</script>/&?'";
    let many: Vec<_> = (0..20)
        .map(|n| json!({ "external_id": format!("v{n:02}"), "name": format!("V {n}") }))
        .collect();
    let edges: Vec<_> = (0..20)
        .map(|n| json!({ "_from_external_id": hostile, "_to_external_id": format!("v{n:02}") }))
        .collect();
    client
        .import("s", json!({
            "asset": [{ "external_id": hostile, "name": "old name", "tag": ["<b>tag", "prod"] }],
            "ipaddress": [{ "_key": "10.0.0.1", "region_id": "r" }],
            "vulnerability": many,
            "asset_vulnerability": edges,
            "asset_ipaddress": [{ "_from_external_id": hostile, "_to": "ipaddress/10.0.0.1" }],
        }))
        .await;
    client
        .import(
            "s",
            json!({ "asset": [
            { "external_id": hostile, "name": hostile, "risk": 7, "my own": "<i>" },
        ] }),
        )
        .await;
    client
        .import(
            "t",
            json!({ "ipaddress": [{ "_key": "10.0.0.1", "region_id": "r" }] }),
        )
        .await;
    let browser = Browser::logged_in(&harness).await;
    let list = browser.see("/ui/browse?collection=asset").await;
    let address = links(&list)
        .into_iter()
        .find(|link| link.starts_with("/ui/entity"))
        .unwrap();
    let html = browser.see(&address).await;
    for part in [
        "<h1>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;/&amp;?&#39;</h1>",
        "properties.my own</th><td>&lt;i&gt;</td>",
        "risk</th><td>7</td>",
        "<li>&lt;b&gt;tag</li><li>prod</li>",
        "name: old name → &quot;&gt;",
        "risk: nothing → 7",
        "first known",
        "<svg role=\"group\"",
        "<li class=\"note\">and more</li>",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert_eq!(html.matches("<circle r=").count(), 16);
    let of_ip = links(&html)
        .into_iter()
        .find(|link| link.contains("collection=ipaddress"))
        .unwrap();
    let html = browser.see(&of_ip).await;
    assert!(html.contains("asset_ipaddress from asset<"), "{html}");
    assert!(html.contains("10.0.0.1 (this page)"), "{html}");
    assert!(
        html.contains("source=t&amp;id=10.0.0.1\">10.0.0.1</a>"),
        "{html}"
    );

    // What left the graph can still be looked at.
    let path = format!("source/s/asset?external_ids={}", encode(hostile));
    client.delete(&path).await.expect(200);
    let html = browser.see(&address).await;
    assert!(html.contains("It left the graph just now"), "{html}");
    for (query, code) in [
        ("collection=asset&source=s&id=x", "unknown_entity"),
        ("collection=asset&source=x&id=x", "unknown_source"),
        (
            "collection=asset_vulnerability&source=s&id=x",
            "unknown_collection",
        ),
        ("", "unknown_collection"),
    ] {
        let html = browser
            .get(&format!("/ui/entity?{query}"))
            .await
            .expect(404);
        assert!(
            html.contains(&format!("<code>{code}</code>")),
            "{query}: {html}"
        );
    }
}

async fn the_riskiest_assets_are_found_on_every_way(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let browser = Browser::logged_in(&harness).await;
    let html = browser.see("/ui/risk").await;
    assert!(html.contains("No asset is reached"), "{html}");
    let asset = |id: &str| json!({ "external_id": id, "name": format!("Asset {id}") });
    let edge = |from: &str, to: &str| json!({ "_from_external_id": from, "_to_external_id": to });
    let vulnerability = |id: &str, score: f64| json!({ "external_id": id, "name": format!("<i>{id}"), "base_score": score });
    let assets = ["direct", "app", "db", "ip", "appport", "ipport", "calm"].map(asset);
    let rows = json!({
        "asset": assets,
        "application": [{ "external_id": "p", "name": "p" }, { "external_id": "q", "name": "q" }],
        "database": [{ "external_id": "d", "name": "d" }],
        "ipaddress": [{ "_key": "10.0.0.1" }, { "_key": "10.0.0.2" }],
        "port": [
            { "external_id": "80", "port_number": 80, "protocol": "tcp", "layer7application": "http" },
            { "external_id": "81", "port_number": 81, "protocol": "tcp", "layer7application": "http" },
        ],
        "vulnerability": [
            vulnerability("worst", 9.8), vulnerability("bad", 9.0), vulnerability("mild", 2.5),
            { "external_id": "unknown", "name": "no score" },
        ],
        "asset_vulnerability": [
            edge("direct", "mild"), edge("direct", "worst"), edge("calm", "unknown"), edge("ghost", "worst"),
        ],
        "asset_application": [edge("app", "p"), edge("appport", "q")],
        "application_vulnerability": [edge("p", "bad")],
        "asset_database": [edge("db", "d")],
        "database_vulnerability": [edge("d", "bad")],
        "asset_ipaddress": [
            { "_from_external_id": "ip", "_to": "ipaddress/10.0.0.1" },
            { "_from_external_id": "ipport", "_to": "ipaddress/10.0.0.2" },
        ],
        "ipaddress_vulnerability": [{ "_from": "ipaddress/10.0.0.1", "_to_external_id": "bad" }],
        "application_port": [edge("q", "80")],
        "ipaddress_port": [{ "_from": "ipaddress/10.0.0.2", "_to_external_id": "81" }],
        "port_vulnerability": [edge("80", "mild"), edge("81", "mild")],
    });
    harness.client.import("s", rows).await;
    // What another source calls the same is another asset.
    harness
        .client
        .import("t", json!({ "asset": [asset("direct")] }))
        .await;
    let html = browser.see("/ui/risk").await;
    let found: Vec<&str> = html
        .split("<tr><th scope=\"row\">")
        .skip(1)
        .map(|row| row.split("\">").nth(1).unwrap().split('<').next().unwrap())
        .collect();
    assert_eq!(
        found,
        [
            "Asset direct",
            "Asset app",
            "Asset db",
            "Asset ip",
            "Asset appport",
            "Asset ipport"
        ]
    );
    for part in [
        "&lt;i&gt;worst</a> (9.8), directly",
        "&lt;i&gt;mild</a> (2.5), directly",
        "(9), through an application<",
        "(9), through a database<",
        "(9), through an IP address<",
        "(2.5), through a port of an application<",
        "(2.5), through a port of an IP address<",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    for link in links(&html).iter().filter(|link| link.contains("entity")) {
        browser.see(link).await;
    }
}

async fn imports_are_listed_with_failed_jobs(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let mut ids = Vec::new();
    for number in 0..60 {
        let id = format!("a{number}");
        let rows = json!({ "asset": [{ "external_id": id, "name": id }] });
        ids.push(client.import("s", rows).await);
    }
    assert_eq!(client.close("s").await["status"], "ERROR");
    let browser = Browser::logged_in(&harness).await;
    let html = browser.see("/ui/imports").await;
    assert!(
        html.contains("close session</td><td>source `s` has no full import in progress"),
        "{html}"
    );
    let older = links(&html)
        .into_iter()
        .find(|link| link.contains("after="))
        .unwrap();
    let both = [html, browser.see(&older).await].concat();
    for id in &ids {
        assert!(both.contains(&format!("<code>{id}</code>")), "{id}");
    }
    assert_eq!(both.matches("<td class=\"number\">1</td>").count(), 60);
    let html = browser.get("/ui/imports?after=%5B1%5D").await.expect(400);
    assert!(html.contains("<code>invalid_cursor</code>"), "{html}");
}

async fn refused_imports_are_listed_with_their_error(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client
        .import(
            "s",
            json!({ "asset": [{ "external_id": "a", "name": "a" }] }),
        )
        .await;
    let wrong = json!({ "asset": [{ "external_id": "<b>", "name": 7 }] });
    let refused = client
        .post("imports", crate::support::envelope("s", wrong))
        .await
        .expect(400);
    let browser = Browser::logged_in(&harness).await;
    let all = browser.see("/ui/imports").await;
    let only = browser.see("/ui/imports?only=refused").await;
    for html in [&all, &only] {
        assert!(html.contains("refused</strong>"), "{html}");
        let code = refused["code"].as_str().unwrap();
        assert!(html.contains(&format!("<code>{code}</code>")), "{html}");
        assert!(html.contains("asset") && !html.contains("<b>"), "{html}");
    }
    let applied = "<td>applied</td>";
    assert!(all.contains(applied) && !only.contains(applied), "{only}");
}

async fn a_source_shows_its_runs_and_their_reports(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    client
        .import(
            "s",
            json!({ "asset": [{ "external_id": "a", "name": "a" }] }),
        )
        .await;
    let browser = Browser::logged_in(&harness).await;
    let overview = browser.see("/ui/").await;
    assert!(links(&overview).contains(&"/ui/source?key=s".to_owned()));
    let html = browser.see("/ui/source?key=s").await;
    assert!(html.contains("No run has handed in a report"), "{html}");

    let counts = |sent: u64, rejected: u64| json!({ "sent": sent, "duplicate": 0, "merged": 0, "rejected": rejected, "withheld": 1, "retired": 2 });
    for (number, outcome, code) in [(1, "complete", 0), (2, "partial", 11)] {
        let report = json!({
            "format": 1, "connector": "<i>conn", "version": "1.0", "source": "s",
            "report": format!("run-{number}"), "started_at": 1_700_000_000_000_i64 + number,
            "duration_ms": 61_000, "mode": "full", "why": "there is no save point",
            "outcome": outcome, "exit_code": code, "error": ["outer", "inner <b>"],
            "scopes": [
                { "name": "eu", "complete": true, "pages": 3, "rows": 1_234, "error": [] },
                { "name": "us", "complete": false, "pages": 1, "rows": 5, "error": ["refused", "403"] },
            ],
            "collections": { "asset": counts(25_000, 2), "port": counts(3, 0) },
        });
        client.post("v3/source/s/runs", report).await.expect(200);
    }
    // What is not the report of this framework is shown as far as it goes.
    let odd = json!({ "report": "odd", "started_at": 5, "outcome": "<u>", "exit_code": 3,
        "scopes": 7, "collections": [1], "error": "text" });
    client.post("v3/source/s/runs", odd).await.expect(200);

    let html = browser.see("/ui/source?key=s").await;
    let places = ["run-2", "run-1", "odd"].map(|run| html.find(&format!(">{run}<")).unwrap());
    assert!(places.is_sorted(), "{html}");
    for part in [
        "partial</strong>",
        "25\u{202f}003",
        "1 min 1 s",
        "&lt;u&gt;",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    let html = browser.see("/ui/source?key=s&run=run-2").await;
    for part in [
        "&lt;i&gt;conn 1.0",
        "full: there is no save point",
        "outer: inner &lt;b&gt;",
        "refused: 403",
        "1\u{202f}234",
        "25\u{202f}000",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(html.find(">us<").unwrap() < html.find(">eu<").unwrap());
    browser.see("/ui/source?key=s&run=odd").await;
    for (query, code) in [
        ("key=none", "unknown_source"),
        ("key=s&run=none", "unknown_run"),
    ] {
        let html = browser
            .get(&format!("/ui/source?{query}"))
            .await
            .expect(404);
        assert!(html.contains(&format!("<code>{code}</code>")), "{html}");
    }
}

async fn queries_are_asked_in_a_form(kind: Kind) {
    let harness = Harness::ready(kind).await;
    harness
        .client
        .import(
            "s",
            json!({ "asset": [{ "external_id": "a", "name": "</pre><b>" }] }),
        )
        .await;
    let browser = Browser::logged_in(&harness).await;
    let html = browser.see("/ui/query").await;
    let token = hidden(&html, "token");
    let ask = async |query: &str, at: &str, token: &str| {
        browser
            .post(
                "/ui/query",
                &[("query", query), ("at", at), ("token", token)],
            )
            .await
    };
    let query = "{ asset { name } }";
    let html = ask(query, "", &token).await.expect(200);
    assert!(html.contains("&lt;/pre&gt;&lt;b&gt;"), "{html}");
    let html = ask(query, "2020-01-01T00:00:00Z", &token).await.expect(200);
    assert!(html.contains("&quot;asset&quot;: []"), "{html}");
    let html = ask("{ asset { naem } }<b>", "", &token).await.expect(200);
    assert!(html.contains("&quot;errors&quot;"), "{html}");
    assert!(
        html.contains("{ asset { naem } }&lt;b&gt;</textarea>"),
        "{html}"
    );
    let html = ask(query, "yesterday", &token).await.expect(400);
    assert!(html.contains("<code>invalid_timepoint</code>"), "{html}");
    let html = ask(query, "", "").await.expect(403);
    assert!(html.contains("<code>foreign_form</code>"), "{html}");
}

async fn every_page_can_be_reached_from_the_first(kind: Kind) {
    let harness = Harness::ready(kind).await;
    harness.client.import("a-source", json!({})).await;
    let browser = Browser::logged_in(&harness).await;
    let mut queue = vec!["/ui/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = queue.pop() {
        if seen.insert(path.clone()) && !path.ends_with(".css") {
            queue.extend(links(&browser.see(&path).await));
        }
    }
    for path in [
        "/ui/risk",
        "/ui/imports",
        "/ui/query",
        "/ui/browse?collection=asset_vulnerability",
    ] {
        assert!(seen.contains(path), "{path}");
    }
    let style = browser.get("/ui/style.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(!style.expect(200).contains("http"));
}

store_suite! {
    an_entity_shows_fields_neighbours_history_and_who_knows_it,
    the_riskiest_assets_are_found_on_every_way,
    imports_are_listed_with_failed_jobs,
    refused_imports_are_listed_with_their_error,
    a_source_shows_its_runs_and_their_reports,
    queries_are_asked_in_a_form,
    every_page_can_be_reached_from_the_first,
}
