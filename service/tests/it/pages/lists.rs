//! The overview and the lists of collections.

use serde_json::json;

use super::{Browser, links};
use crate::support::{Harness, Kind, store_suite};

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
    // What a source has is one step away from it, and from the list of sources.
    let assets = "/ui/browse?collection=asset&source=s1";
    assert!(links(&browser.see("/ui/").await).contains(&assets.to_owned()));
    let html = browser.see("/ui/source?key=s1").await;
    assert!(links(&html).contains(&assets.to_owned()), "{html}");
    assert!(
        html.contains(">asset</a></th><td class=\"number\">2</td>"),
        "{html}"
    );
    assert_eq!(walk(&browser, assets).await, ["b", "a"]);
    let html = browser.see("/ui/source?key=s2").await;
    assert!(html.contains("It has none"), "{html}");
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
        ("source=t&sort=oldest", 1),
        ("source=t&sort=_key", 1),
        ("source=s", 130),
        ("source=s&field=name&op=contains&value=Name+1", 43),
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

store_suite! {
    the_overview_tells_sources_and_counts,
    a_collection_is_paged_sorted_and_filtered,
    a_filter_without_an_index_stops_and_goes_on,
}
