//! The pages for people, as a browser meets them.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{Harness, KEY, Kind, PASSWORD, encode, store_suite};

/// A browser without scripts: it keeps the cookie and follows nothing by itself.
struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: Option<String>,
}

struct Page {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    html: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    #[track_caller]
    fn expect(self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.html);
        self.html
    }

    #[track_caller]
    fn leads_to(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.html);
        self.header("location")
    }
}

impl Browser {
    fn new(harness: &Harness) -> Self {
        Self {
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(std::time::Duration::from_secs(60))
                .build()
                .unwrap(),
            base: format!("http://{}", harness.server.addr()),
            cookie: None,
        }
    }

    async fn logged_in(harness: &Harness) -> Self {
        let mut browser = Self::new(harness);
        let page = browser.log_in(KEY, PASSWORD, "").await;
        assert_eq!(page.leads_to(), "/ui/");
        browser
    }

    async fn log_in(&mut self, key: &str, password: &str, next: &str) -> Page {
        let page = self
            .post(
                "/ui/login",
                &[("key", key), ("password", password), ("next", next)],
            )
            .await;
        let cookie = page.header("set-cookie");
        if let Some((pair, _)) = cookie.split_once(';') {
            self.cookie = Some(pair.to_owned());
        }
        page
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        let page = Page {
            status: response.status(),
            headers: response.headers().clone(),
            html: response.text().await.unwrap(),
        };
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(!page.html.contains("<script"), "{}", page.html);
        page
    }

    async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path)).await
    }

    /// Gets a page that must be there.
    async fn see(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-store");
        page.expect(200)
    }

    /// Sends a form as a browser on a page of the service does.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self
            .request(Method::POST, path)
            .header("origin", &self.base)
            .header("sec-fetch-site", "same-origin");
        self.send(form(request, fields)).await
    }
}

fn form(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.join("&"))
}

/// Returns the value of a hidden field.
#[track_caller]
fn hidden(html: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = html.split_once(&start).expect("the page has the field");
    rest.split('"').next().unwrap().to_owned()
}

/// Returns the addresses of all links of a page, as a browser reads them.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"))
        .filter(|address| !address.starts_with('#'))
        .collect()
}

async fn a_session_begins_with_the_key_and_ends_with_the_log_out(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let mut browser = Browser::new(&harness);
    let page = browser.get("/").await;
    assert_eq!(page.leads_to(), "/ui/");
    let page = browser.get("/ui/").await;
    assert_eq!(page.leads_to(), "/ui/login");
    let page = browser.get("/ui/browse?collection=asset").await;
    let login = page.leads_to().to_owned();
    assert_eq!(login, "/ui/login?next=%2Fui%2Fbrowse%3Fcollection%3Dasset");
    let asked = browser.see(&login).await;
    assert_eq!(hidden(&asked, "next"), "/ui/browse?collection=asset");

    for (key, password) in [
        (KEY, "wrong"),
        ("wrong", PASSWORD),
        ("", ""),
        ("a:b", "\"<"),
    ] {
        let page = browser.log_in(key, password, "").await;
        assert!(!page.headers.contains_key("set-cookie"));
        let html = page.expect(401);
        assert!(html.contains("<code>unauthorized</code>"), "{html}");
        assert!(html.contains("role=\"alert\""));
    }
    let page = browser
        .log_in(KEY, PASSWORD, "/ui/browse?collection=asset")
        .await;
    assert_eq!(page.leads_to(), "/ui/browse?collection=asset");
    let cookie = page.header("set-cookie");
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/ui", "Max-Age="] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(
        !cookie.contains(KEY) && !cookie.contains("Secure"),
        "{cookie}"
    );
    let overview = browser.see("/ui/").await;
    assert!(overview.contains(&format!("{KEY} (admin)")), "{overview}");

    // Only a form of this session logs out.
    for token in ["", "wrong"] {
        let page = browser.post("/ui/logout", &[("token", token)]).await;
        assert!(page.expect(403).contains("<code>foreign_form</code>"));
    }
    browser.see("/ui/").await;
    let token = hidden(&overview, "token");
    let page = browser.post("/ui/logout", &[("token", &token)]).await;
    assert_eq!(page.leads_to(), "/ui/login");
    assert!(page.header("set-cookie").contains("Max-Age=0"));
    // The cookie is worth nothing any more, even when it is kept.
    assert_eq!(browser.get("/ui/").await.leads_to(), "/ui/login");
    browser.cookie = Some("car_session=guess".into());
    assert_eq!(browser.get("/ui/").await.leads_to(), "/ui/login");
}

async fn forms_of_other_sites_are_refused(kind: Kind) {
    let harness = Harness::empty(kind).await;
    let mut browser = Browser::new(&harness);
    let fields = [("key", KEY), ("password", PASSWORD)];
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let request = browser
            .request(Method::POST, "/ui/login")
            .header(name, value);
        let page = browser.send(form(request, &fields)).await;
        assert!(!page.headers.contains_key("set-cookie"));
        assert!(page.expect(403).contains("<code>foreign_form</code>"));
    }
    let request = browser
        .request(Method::POST, "/ui/login")
        .json(&json!({ "key": KEY }));
    assert!(
        browser
            .send(request)
            .await
            .expect(415)
            .contains("not_a_form")
    );
    let large = "x".repeat(300 << 10);
    let page = browser.log_in(KEY, &large, "").await;
    assert!(page.expect(413).contains("body_too_large"));
    // Behind a proxy that speaks TLS, the cookie never goes without.
    let request = browser
        .request(Method::POST, "/ui/login")
        .header("x-forwarded-proto", "https");
    let page = browser.send(form(request, &fields)).await;
    assert!(page.header("set-cookie").ends_with("; Secure"));

    let page = browser.log_in(KEY, PASSWORD, "//evil.example/ui/").await;
    assert_eq!(page.leads_to(), "/ui/");

    // Errors are pages with a stable code; this tenant has no database yet.
    let html = browser.get("/ui/").await.expect(400);
    assert!(html.contains("<code>database_not_created</code>"), "{html}");
    let html = browser.get("/ui/nothing").await.expect(404);
    assert!(html.contains("<code>unknown_page</code>"), "{html}");
    let html = browser.get("/ui/?after=%FF").await.expect(400);
    assert!(html.contains("<code>invalid_query</code>"), "{html}");
}

async fn the_overview_tells_sources_and_counts(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let browser = Browser::logged_in(&harness).await;
    let html = browser.see("/ui/").await;
    assert!(
        html.contains("No source has reported anything yet"),
        "{html}"
    );

    let client = &harness.client;
    let rows = json!({ "asset": [
        { "external_id": "a", "name": "a" }, { "external_id": "b", "name": "b" },
    ] });
    client.import("s1", rows.clone()).await;
    client.open("s2").await;
    client
        .patch(
            "source/s1",
            json!({ "model_state_id": "<b>state", "name": "<script>x</script>" }),
        )
        .await
        .expect(200);
    let html = browser.see("/ui/").await;
    assert!(html.contains("&lt;script&gt;x&lt;/script&gt;"), "{html}");
    assert!(html.contains("<code>&lt;b&gt;state</code>"), "{html}");
    assert!(
        html.contains("days ago") && html.contains("2023-11-14 22:13:20 UTC"),
        "{html}"
    );
    assert!(html.contains("in progress, began just now"), "{html}");
    assert!(
        html.contains(">asset</a></th><td class=\"number\">2</td>"),
        "{html}"
    );
    for number in 0..110 {
        client.import(&format!("t{number:03}"), json!({})).await;
    }
    let html = browser.see("/ui/").await;
    assert!(!html.contains(">t109<"));
    let more = links(&html)
        .into_iter()
        .find(|link| link.contains("after="))
        .unwrap();
    assert!(browser.see(&more).await.contains(">t109<"));
}

/// Walks a list from page to page and returns the ids in their order.
async fn walk(browser: &Browser, first: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(path) = next {
        let html = browser.see(&path).await;
        ids.extend(
            html.split("<tr><th scope=\"row\"><a ")
                .skip(1)
                .map(|row| row.split('>').nth(1).unwrap())
                .map(|text| text.split('<').next().unwrap().to_owned()),
        );
        next = links(&html).into_iter().find(|link| {
            let marked = html.replace("&amp;", "&");
            ["Next page", "Search on"]
                .iter()
                .any(|text| marked.contains(&format!("href=\"{link}\">{text}")))
        });
        assert!(ids.len() <= 1_000, "the list does not end");
    }
    ids
}

async fn a_collection_is_paged_sorted_and_filtered(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let assets: Vec<_> = (0..130)
        .map(|n| json!({ "external_id": format!("a{n:03}"), "name": format!("Name {}", n % 3), "risk": n % 10 }))
        .collect();
    client
        .import(
            "s",
            json!({ "asset": assets, "vulnerability": [
            { "external_id": "v", "name": "v", "base_score": 5 },
        ], "asset_vulnerability": [{ "_from_external_id": "a001", "_to_external_id": "v" }] }),
        )
        .await;
    client
        .import(
            "t",
            json!({ "asset": [{ "external_id": "a000", "name": "100%_\\" }] }),
        )
        .await;
    let browser = Browser::logged_in(&harness).await;
    let list = "/ui/browse?collection=asset";
    let ids = walk(&browser, &format!("{list}&sort=_key")).await;
    let mut expected: Vec<String> = (0..130).map(|n| format!("a{n:03}")).collect();
    expected.insert(0, "a000".into());
    assert_eq!(ids, expected);
    let newest = walk(&browser, list).await;
    let mut oldest = walk(&browser, &format!("{list}&sort=oldest")).await;
    oldest.reverse();
    assert_eq!(newest, oldest);
    assert_eq!(newest.len(), 131);
    assert_eq!(newest[0], "a000");
    if kind == Kind::Sqlite {
        let up = walk(&browser, &format!("{list}&sort=name")).await;
        let mut down = walk(&browser, &format!("{list}&sort=-name")).await;
        down.reverse();
        assert_eq!(up, down);
        assert_eq!((up.len(), up[0].as_str()), (131, "a000"));
    }
    for (filter, count) in [
        ("field=_key&value=a007", 1),
        ("field=_key&op=contains&value=A00", 11),
        ("field=name&op=is&value=Name+1", 43),
        ("field=name&op=is&value=Name+1&sort=_key", 43),
        ("field=name&op=contains&value=name", 130),
        ("field=name&op=contains&value=%25_%5C", 1),
        ("field=risk&op=is&value=3", 13),
        ("field=risk&op=least&value=8", 26),
        ("field=risk&op=most&value=0.5&source=s", 13),
        ("source=t", 1),
        ("field=name&value=", 131),
        ("field=name&value=%27+OR+1%3D1+--", 0),
    ] {
        let ids = walk(&browser, &format!("{list}&{filter}")).await;
        assert_eq!(ids.len(), count, "{filter}");
    }
    let html = browser
        .see("/ui/browse?collection=asset_vulnerability")
        .await;
    assert!(
        html.contains("id=a001\">a001</a>") && html.contains("id=v\">v</a>"),
        "{html}"
    );
    for (query, status, code) in [
        ("collection=nothing", 404, "unknown_collection"),
        ("collection=asset&sort=risk", 400, "invalid_sort"),
        (
            "collection=asset&after=%5B%22x%22%5D",
            400,
            "invalid_cursor",
        ),
        (
            "collection=asset&field=nothing&value=1",
            400,
            "unknown_field",
        ),
        (
            "collection=asset&field=risk&value=high",
            400,
            "invalid_filter",
        ),
        (
            "collection=asset&field=risk&op=contains&value=1",
            400,
            "invalid_filter",
        ),
        ("collection=asset&source=nobody", 404, "unknown_source"),
    ] {
        let html = browser
            .get(&format!("/ui/browse?{query}"))
            .await
            .expect(status);
        assert!(
            html.contains(&format!("<code>{code}</code>")),
            "{query}: {html}"
        );
    }
}

async fn a_filter_without_an_index_stops_and_goes_on(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let assets: Vec<_> = (0..20_100)
        .map(|n| {
            let risk = if n % 20_000 == 20 { 9 } else { 1 };
            json!({ "external_id": format!("a{n:05}"), "name": "n", "risk": risk })
        })
        .collect();
    harness.client.import("s", json!({ "asset": assets })).await;
    let browser = Browser::logged_in(&harness).await;
    let first = "/ui/browse?collection=asset&sort=_key&field=risk&value=9";
    let html = browser.see(first).await;
    assert!(
        html.contains("Search on") && html.contains(">a00020<"),
        "{html}"
    );
    assert!(!html.contains(">a20020<"));
    assert_eq!(walk(&browser, first).await, ["a00020", "a20020"]);
    // Counts stop early too.
    let html = browser.see("/ui/").await;
    assert!(
        html.contains(">asset</a></th><td class=\"number\">more than 10000</td>"),
        "{html}"
    );
}

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
    the_riskiest_assets_are_found_on_every_way,
    imports_are_listed_with_failed_jobs,
    queries_are_asked_in_a_form,
    every_page_can_be_reached_from_the_first,
    a_collection_is_paged_sorted_and_filtered,
    a_filter_without_an_index_stops_and_goes_on,
    an_entity_shows_fields_neighbours_history_and_who_knows_it,
    a_session_begins_with_the_key_and_ends_with_the_log_out,
    forms_of_other_sites_are_refused,
    the_overview_tells_sources_and_counts,
}
