//! The page of the keys.

use serde_json::json;

use super::{Browser, hidden};
use crate::support::{Harness, KEY, Kind, PASSWORD, store_suite};

/// Returns key and password from the page that shows them.
fn shown(html: &str) -> (String, String) {
    let mut codes = html.split("<dd><code>").skip(1);
    let mut next = || codes.next().unwrap().split('<').next().unwrap().to_owned();
    (next(), next())
}

async fn keys_are_made_shown_once_and_taken_away(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let browser = Browser::logged_in(&harness).await;
    let html = browser.see("/ui/keys").await;
    assert!(html.contains("No key is stored"), "{html}");
    let token = hidden(&html, "token");

    let make = async |role: &str, sources: &str| {
        let fields = [
            ("token", token.as_str()),
            ("role", role),
            ("sources", sources),
        ];
        browser.post("/ui/keys", &fields).await
    };
    for (role, sources, code) in [
        ("connector", "", "missing_source"),
        ("connector", "a/b", "invalid_source"),
        ("consumer", "s", "unexpected_source"),
        ("<b>", "", "unknown_role"),
    ] {
        let html = make(role, sources).await.expect(400);
        assert!(html.contains(&format!("<code>{code}</code>")), "{html}");
        assert!(!html.contains("<b>"), "{html}");
    }
    let html = make("connector", " s1  s2 ").await.expect(200);
    let (connector, password) = shown(&html);
    assert!(html.contains("<td>s1, s2</td>"), "{html}");
    assert!(!browser.see("/ui/keys").await.contains(&password));
    let (consumer, consumer_password) = shown(&make("consumer", "").await.expect(200));

    // Each does what it may.
    let query = json!({ "query": "{ asset { name } }" });
    for (key, password) in [(&connector, &password), (&consumer, &consumer_password)] {
        let request = harness
            .client
            .request(reqwest::Method::POST, "v3/query")
            .basic_auth(key, Some(password))
            .json(&query);
        harness.client.send(request).await.expect(200);
    }
    // The page is for admins.
    let mut other = Browser::new(&harness);
    other.log_in(&consumer, &consumer_password, "").await;
    let overview = other.see("/ui/").await;
    assert!(!overview.contains("/ui/keys"), "{overview}");
    let html = other.get("/ui/keys").await.expect(403);
    assert!(html.contains("<code>forbidden</code>"), "{html}");
    let own = hidden(&overview, "token");
    for (path, fields) in [
        ("/ui/keys", vec![("token", own.as_str()), ("role", "admin")]),
        (
            "/ui/keys/revoke",
            vec![("token", own.as_str()), ("key", connector.as_str())],
        ),
    ] {
        other.post(path, &fields).await.expect(403);
    }
    // A form of elsewhere does nothing.
    browser
        .post("/ui/keys", &[("token", "x"), ("role", "admin")])
        .await
        .expect(403);

    // Taking away asks first, then ends the sessions of the key at once.
    let question = browser
        .see(&format!("/ui/keys/revoke?key={consumer}"))
        .await;
    assert!(question.contains("Take it away"), "{question}");
    other.see("/ui/").await;
    let fields = [("token", token.as_str()), ("key", consumer.as_str())];
    let html = browser.post("/ui/keys/revoke", &fields).await.expect(200);
    assert!(html.contains("was taken away"), "{html}");
    assert_eq!(other.get("/ui/").await.leads_to(), "/ui/login");
    let html = browser.post("/ui/keys/revoke", &fields).await.expect(404);
    assert!(html.contains("<code>unknown_key</code>"), "{html}");
    browser.get("/ui/keys/revoke?key=%3Cb%3E").await.expect(404);

    // A key cannot take itself away.
    let (admin, admin_password) = shown(&make("admin", "").await.expect(200));
    let mut other = Browser::new(&harness);
    other.log_in(&admin, &admin_password, "").await;
    let token = hidden(&other.see("/ui/keys").await, "token");
    let fields = [("token", token.as_str()), ("key", admin.as_str())];
    let html = other.post("/ui/keys/revoke", &fields).await.expect(409);
    assert!(html.contains("<code>own_key</code>"), "{html}");
    other.log_in(KEY, PASSWORD, "").await;
}

async fn many_keys_are_shown_in_pages(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let browser = Browser::logged_in(&harness).await;
    let token = hidden(&browser.see("/ui/keys").await, "token");
    for _ in 0..101 {
        let fields = [("token", token.as_str()), ("role", "consumer")];
        browser.post("/ui/keys", &fields).await.expect(200);
    }
    let first = browser.see("/ui/keys").await;
    let more = super::links(&first)
        .into_iter()
        .find(|link| link.contains("after="))
        .unwrap();
    let second = browser.see(&more).await;
    let count = |html: &str| html.matches("Take away</a>").count();
    assert_eq!((count(&first), count(&second)), (100, 1));
}

store_suite! {
    keys_are_made_shown_once_and_taken_away,
    many_keys_are_shown_in_pages,
}
