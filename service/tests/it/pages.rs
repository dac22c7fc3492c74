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

store_suite! {
    a_session_begins_with_the_key_and_ends_with_the_log_out,
    forms_of_other_sites_are_refused,
    the_overview_tells_sources_and_counts,
}
