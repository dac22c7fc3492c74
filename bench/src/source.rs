//! A source that has every answer ready: the reference server's interface over bytes in memory.
//!
//! Per asset 2 vulnerabilities, 1 IP address, 1 MAC address, 1 host name and 3 applications; all
//! on one port, two sites.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Objects of one collection as JSON, one after the other with commas between.
struct Collection {
    json: Bytes,
    /// Where each object begins in `json`; object `pk` is at `pk - 1`.
    starts: Vec<usize>,
}

impl Collection {
    fn make(count: u64, mut object: impl FnMut(&mut String, u64)) -> Self {
        let mut json = String::new();
        let mut starts = Vec::new();
        for pk in 1..=count {
            starts.push(json.len());
            object(&mut json, pk);
            json.push(',');
        }
        Self {
            json: json.into(),
            starts,
        }
    }

    fn len(&self) -> u64 {
        self.starts.len() as u64
    }

    /// Returns objects by position, without the last comma.
    fn slice(&self, from: u64, to: u64) -> Bytes {
        let place = |position: u64| {
            let position = usize::try_from(position).unwrap_or(usize::MAX);
            self.starts
                .get(position)
                .copied()
                .unwrap_or(self.json.len())
        };
        let (start, end) = (place(from), place(to));
        if end <= start {
            Bytes::new()
        } else {
            self.json.slice(start..end - 1)
        }
    }
}

struct Inventory {
    collections: HashMap<&'static str, Collection>,
}

impl Inventory {
    fn make(assets: u64) -> Self {
        let link =
            |collection: &str, pk: u64| format!("\"http://127.0.0.1:8000/{collection}/{pk}/\"");
        let ip = |n: u64| format!("240.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
        let mac = |n: u64| {
            format!(
                "ae:00:{:02x}:{:02x}:{:02x}:{:02x}",
                n >> 24 & 255,
                n >> 16 & 255,
                n >> 8 & 255,
                n & 255
            )
        };
        // Writing to a string cannot fail.
        macro_rules! put { ($out:expr, $($rest:tt)*) => { $out.write_fmt(format_args!($($rest)*)).unwrap_or_default() }; }
        let collections = HashMap::from([
            (
                "sites",
                Collection::make(2, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"name":"Site {pk}","address":"Street {pk}","description":null}}"#,
                        link("sites", pk)
                    )
                }),
            ),
            (
                "ports",
                Collection::make(1, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"port_number":443,"protocol":"tcp","status":"open","description":null}}"#,
                        link("ports", pk)
                    )
                }),
            ),
            (
                "xrefproperties",
                Collection::make(20, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"name":"catalogue-{pk}","value":"{pk}"}}"#,
                        link("xrefproperties", pk)
                    )
                }),
            ),
            (
                "assets",
                Collection::make(assets, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"name":"asset-{pk}.example.com","description":"Made asset number {pk}","asset_type":"server","initial_value":{},"business_value":{},"risk":{}.5,"site":{}}}"#,
                        link("assets", pk),
                        pk % 100,
                        pk % 10,
                        pk % 9,
                        link("sites", pk % 2 + 1)
                    )
                }),
            ),
            (
                "vulnerabilities",
                Collection::make(assets * 2, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"external_id":"CVE-2024-{pk:07}","name":"Made weakness {pk}","description":"A weakness that was made for measuring, number {pk}","base_score":{}.1,"disclosed_on":1700000000000,"published_on":1700000100000,"xref_properties":[{},{}],"assets":[{}]}}"#,
                        link("vulnerabilities", pk),
                        pk % 10,
                        link("xrefproperties", pk % 20 + 1),
                        link("xrefproperties", (pk + 7) % 20 + 1),
                        link("assets", pk.div_ceil(2))
                    )
                }),
            ),
            (
                "mac_addresses",
                Collection::make(assets, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"address":"{}","interface":"eth0","assets":[{}]}}"#,
                        link("mac_addresses", pk),
                        mac(pk),
                        link("assets", pk)
                    )
                }),
            ),
            (
                "ip_addresses",
                Collection::make(assets, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"address":"{}","assets":[{}],"mac_addresses":[{}],"ports":[{}]}}"#,
                        link("ip_addresses", pk),
                        ip(pk),
                        link("assets", pk),
                        link("mac_addresses", pk),
                        link("ports", 1)
                    )
                }),
            ),
            (
                "hosts",
                Collection::make(assets, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"host_name":"host-{pk}.example.com","assets":[{}],"ip_addresses":[{}]}}"#,
                        link("hosts", pk),
                        link("assets", pk),
                        link("ip_addresses", pk)
                    )
                }),
            ),
            (
                "apps",
                Collection::make(assets * 3, |out, pk| {
                    put!(
                        out,
                        r#"{{"pk":{pk},"url":{},"name":"application-{pk}","version":"1.{}","description":"Made application {pk}","cpe":"cpe:2.3:a:example:application:{pk}","owner":"team-{}","is_os":false,"assets":[{}],"ports":[{}],"vulnerabilities":[]}}"#,
                        link("apps", pk),
                        pk % 20,
                        pk % 50,
                        link("assets", pk.div_ceil(3)),
                        link("ports", 1)
                    )
                }),
            ),
        ]);
        Self { collections }
    }
}

async fn collection(
    State(inventory): State<Arc<Inventory>>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(collection) = inventory.collections.get(name.as_str()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let number = |name: &str, default| {
        query
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let mut body = vec![b'['];
    let mut next = None;
    if let Some(pks) = query.get("pk") {
        for pk in pks.split(',').filter_map(|pk| pk.parse::<u64>().ok()) {
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(&collection.slice(pk.saturating_sub(1), pk));
        }
    } else {
        let after: u64 = number("after", 0);
        let end = after
            .saturating_add(number("limit", u64::MAX))
            .min(collection.len());
        body.extend_from_slice(&collection.slice(after, end));
        next = (end < collection.len()).then(|| {
            format!(
                "<http://127.0.0.1/{name}/?limit={}&after={end}>; rel=\"next\"",
                number("limit", 2000)
            )
        });
    }
    body.push(b']');
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(next) = next.and_then(|next| next.parse().ok()) {
        response.headers_mut().insert(header::LINK, next);
    }
    response
}

/// Serves until the process is ended; prints its port first.
pub(crate) fn serve(assets: u64) -> anyhow::Result<()> {
    let inventory = Arc::new(Inventory::make(assets));
    let router = Router::new()
        .route(
            "/model_state_id/",
            get(async || r#"{"model_state_id":"made-1"}"#),
        )
        .route("/{collection}/", get(collection))
        .with_state(inventory);
    crate::measure::serve(router)
}
