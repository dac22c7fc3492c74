//! The pages in a real browser: by keyboard, in light and dark, wide and narrow, and as axe sees
//! them. Pictures are kept in `target/tmp/screenshots`.

use car_testkit::{Chromium, Form};
use serde_json::json;

use crate::support::{Client, Harness, KEY, Kind, PASSWORD};

async fn seed(client: &Client) {
    let assets: Vec<_> = (0..60)
        .map(|n| json!({ "external_id": format!("web-{n}"), "name": format!("web-{n}.example"), "asset_type": "server", "risk": n % 10, "business_value": n % 7, "tag": ["prod"] }))
        .collect();
    let vulnerabilities: Vec<_> = (0..12)
        .map(|n| json!({ "external_id": format!("v{n}"), "name": format!("CVE-2026-{n:04}"), "base_score": 10 - n % 8, "description": "What an attacker could do with it, in one sentence." }))
        .collect();
    let found: Vec<_> = (0..60)
        .map(|n| json!({ "_from_external_id": format!("web-{n}"), "_to_external_id": format!("v{}", n % 12), "risk_score": 5 }))
        .collect();
    let apps: Vec<_> = (0..10)
        .map(|n| json!({ "_from_external_id": "web-1", "_to_external_id": format!("app{n}") }))
        .collect();
    client
        .import(
            "inventory",
            json!({
                "asset": assets, "vulnerability": vulnerabilities, "asset_vulnerability": found,
                "application": (0..10).map(|n| json!({ "external_id": format!("app{n}"), "name": format!("Application {n}") })).collect::<Vec<_>>(),
                "asset_application": apps,
                "port": [{ "external_id": "443", "port_number": 443, "protocol": "tcp" }],
                "application_port": [{ "_from_external_id": "app1", "_to_external_id": "443" }],
                "ipaddress": [{ "_key": "10.0.0.1", "name": "10.0.0.1" }],
                "asset_ipaddress": [{ "_from_external_id": "web-1", "_to": "ipaddress/10.0.0.1" }],
                "hostname": [{ "_key": "web-1.example", "host_name": "web-1.example" }],
                "asset_hostname": [{ "_from_external_id": "web-1", "_to": "hostname/web-1.example" }],
            }),
        )
        .await;
    client
        .import(
            "scanner",
            json!({ "hostname": [{ "_key": "web-1.example", "host_name": "WEB-1.example" }] }),
        )
        .await;
    client
        .import("inventory", json!({ "asset": [{ "external_id": "web-1", "name": "web-1.example", "risk": 9, "properties": { "room": "B2" } }] }))
        .await;
    client.open("scanner").await;
    for (number, outcome) in [(1, "complete"), (2, "partial")] {
        let report = json!({
            "connector": "reference-connector", "version": "0.1.0", "source": "inventory",
            "report": format!("r{number}"), "started_at": 1_700_000_000_000_i64 + number,
            "duration_ms": 61_000, "mode": "full", "why": "there is no save point yet",
            "outcome": outcome, "exit_code": 0, "error": ["the source refused one scope"],
            "scopes": [
                { "name": "eu", "complete": true, "pages": 3, "rows": 1_234, "error": [] },
                { "name": "us", "complete": false, "pages": 1, "rows": 5,
                  "error": ["cannot read the list of machines", "the source answered 403"] },
            ],
            "collections": { "asset": { "sent": 25_000, "duplicate": 0, "merged": 0,
                "rejected": 2, "withheld": 1, "retired": 12 } },
        });
        client
            .post("v3/source/inventory/runs", report)
            .await
            .expect(200);
    }
    let wrong = json!({ "asset": [{ "external_id": "web-1", "name": 7 }] });
    client
        .post("imports", crate::support::envelope("inventory", wrong))
        .await
        .expect(400);
    // Closing a session that is not open is a job that fails.
    assert_eq!(client.close("inventory").await["status"], "ERROR");
}

/// Goes from page to page as someone without a mouse does.
async fn walk(browser: &mut Chromium, base: &str) {
    browser.open(&format!("{base}/ui/risk")).await;
    browser.tab_to("e.id === 'key'").await;
    browser.type_in(KEY).await;
    browser.tab_to("e.id === 'password'").await;
    browser.type_in(PASSWORD).await;
    browser.enter().await;
    assert_eq!(browser.compute("location.pathname").await, "/ui/risk");

    // The first step leads past the navigation.
    browser.tab_to("e.className === 'skip'").await;
    for (place, title) in [
        ("/ui/", "Overview"),
        ("/ui/risk", "Riskiest assets"),
        ("/ui/imports", "Imports"),
        ("/ui/query", "Query"),
        ("/ui/keys", "Keys"),
    ] {
        browser
            .tab_to(&format!("e.getAttribute('href') === '{place}'"))
            .await;
        browser.enter().await;
        let heading = browser.compute("document.querySelector('h1').textContent");
        assert_eq!(heading.await, title);
        let here = "document.querySelector('nav [aria-current]').getAttribute('href')";
        assert_eq!(browser.compute(here).await, place);
    }

    // A key is made and taken away.
    browser.tab_to("e.id === 'sources'").await;
    browser.type_in("inventory").await;
    browser.enter().await;
    let key = browser
        .compute("document.querySelector('.done dd code').textContent")
        .await;
    let key = key.as_str().unwrap().to_owned();
    browser
        .tab_to(&format!(
            "e.getAttribute('aria-label') === 'Take away {key}'"
        ))
        .await;
    browser.enter().await;
    browser.tab_to("e.textContent === 'Take it away'").await;
    browser.enter().await;
    let said = browser
        .compute("document.querySelector('[role=status]').textContent")
        .await;
    assert!(said.as_str().unwrap().contains(&key), "{said}");

    // A collection, one of its entities, a neighbour in the drawing.
    browser.tab_to("e.getAttribute('href') === '/ui/'").await;
    browser.enter().await;
    browser.tab_to("e.textContent === 'asset'").await;
    browser.enter().await;
    browser.tab_to("e.textContent === 'web-1'").await;
    browser.enter().await;
    browser.tab_to("e.closest('svg') !== null").await;
    browser.enter().await;
    assert_eq!(browser.compute("location.pathname").await, "/ui/entity");

    // A source, and the report of one of its runs.
    browser.tab_to("e.getAttribute('href') === '/ui/'").await;
    browser.enter().await;
    browser.tab_to("e.textContent === 'inventory'").await;
    browser.enter().await;
    browser.tab_to("e.textContent === 'r2'").await;
    browser.enter().await;
    let heading = browser.compute("document.querySelector('h1').textContent");
    assert_eq!(heading.await, "Run r2");

    // A query is asked.
    browser.open(&format!("{base}/ui/query")).await;
    browser.tab_to("e.textContent === 'Ask'").await;
    browser.enter().await;
    let answer = browser
        .compute("document.querySelector('pre').textContent")
        .await;
    assert!(
        answer.as_str().unwrap().contains("web-0.example"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_by_keyboard_and_look_right_in_every_form() {
    let Some(mut browser) = Chromium::start().await else {
        return;
    };
    let harness = Harness::ready(Kind::Sqlite).await;
    seed(&harness.client).await;
    let base = format!("http://{}", harness.server.addr());
    browser.look(Form::ALL[0]).await;

    let mut wrong = Vec::new();
    for form in Form::ALL {
        browser.look(form).await;
        browser.open(&format!("{base}/ui/login")).await;
        wrong.extend(browser.look_at("login", form).await);
    }
    walk(&mut browser, &base).await;
    for form in Form::ALL {
        browser.look(form).await;
        for (name, path) in [
            ("overview", "/ui/"),
            ("risk", "/ui/risk"),
            ("imports", "/ui/imports"),
            ("browse", "/ui/browse?collection=asset"),
            (
                "entity",
                "/ui/entity?collection=asset&source=inventory&id=web-1",
            ),
            ("source", "/ui/source?key=inventory"),
            ("run", "/ui/source?key=inventory&run=r2"),
            ("error", "/ui/browse?collection=nothing"),
        ] {
            browser.open(&format!("{base}{path}")).await;
            wrong.extend(browser.look_at(name, form).await);
        }
        browser.open(&format!("{base}/ui/query")).await;
        browser.tab_to("e.textContent === 'Ask'").await;
        browser.enter().await;
        wrong.extend(browser.look_at("query", form).await);
        browser.open(&format!("{base}/ui/keys")).await;
        browser.tab_to("e.id === 'sources'").await;
        browser.type_in("inventory scanner").await;
        browser.enter().await;
        wrong.extend(browser.look_at("keys", form).await);
        browser.tab_to("e.textContent === 'Take away'").await;
        browser.enter().await;
        wrong.extend(browser.look_at("revoke", form).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
