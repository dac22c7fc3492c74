//! Logging in and out, and forms of other sites.

use reqwest::Method;
use serde_json::json;

use super::{Browser, form, hidden};
use crate::support::{Harness, KEY, Kind, PASSWORD, store_suite};

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

store_suite! {
    a_session_begins_with_the_key_and_ends_with_the_log_out,
    forms_of_other_sites_are_refused,
}
