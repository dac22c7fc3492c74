//! A made graph: per asset ten vertices and ten edges, in imports of so many assets each.

use std::fmt::Write as _;
use std::ops::Range;

/// Vertices per asset, which is what is counted as entities.
pub(super) const PER_ASSET: u64 = 10;

/// Name of the source that reports everything.
const SOURCE: &str = "bench";

/// Writes the import of a range of assets.
pub(super) fn envelope(assets: Range<u64>) -> Vec<u8> {
    let mut lists: [(&str, String); 11] = [
        "asset",
        "vulnerability",
        "ipaddress",
        "macaddress",
        "hostname",
        "application",
        "asset_vulnerability",
        "asset_ipaddress",
        "ipaddress_macaddress",
        "asset_hostname",
        "asset_application",
    ]
    .map(|name| (name, String::new()));
    let mut linked = String::new();
    for n in assets {
        let rows = of_asset(n);
        for ((_, list), row) in lists.iter_mut().zip(rows) {
            list.push_str(&row);
        }
        put(
            &mut linked,
            format_args!(
                r#"{{"_from_external_id":"p{}","_to_external_id":"v{}"}},"#,
                n * 4,
                n * 2
            ),
        );
    }
    let mut out = format!(
        r#"{{"source":{{"_key":"{SOURCE}"}},"report":{{"_key":"r","timestamp":1700000000000,"type":"bench"}}"#
    );
    let linked = ("application_vulnerability", linked);
    for (name, list) in lists.into_iter().chain([linked]) {
        put(
            &mut out,
            format_args!(r#","{name}":[{}]"#, list.trim_end_matches(',')),
        );
    }
    out.push('}');
    out.into_bytes()
}

/// Writes the rows of one asset, by collection, in the order of the lists.
fn of_asset(n: u64) -> [String; 11] {
    let (ip, mac) = (ip(n), mac(n));
    let each = |count: u64, row: &dyn Fn(u64) -> String| -> String {
        (n * count..(n + 1) * count).map(row).collect()
    };
    [
        format!(
            r#"{{"external_id":"a{n}","name":"asset-{n}.example.com","description":"Made asset number {n}","asset_type":"server","business_value":{},"risk":{}.5}},"#,
            n % 10,
            n % 9
        ),
        each(2, &|v| {
            format!(
                r#"{{"external_id":"v{v}","name":"CVE-2024-{v:07}","description":"A weakness that was made for measuring, number {v}","base_score":{}.1,"disclosed_on":1700000000000,"published_on":1700000100000}},"#,
                v % 10
            )
        }),
        format!(r#"{{"_key":"{ip}","name":"{ip}"}},"#),
        format!(r#"{{"_key":"{mac}","interface":"eth0"}},"#),
        format!(r#"{{"_key":"host-{n}.example.com","host_name":"host-{n}.example.com"}},"#),
        each(4, &|p| {
            format!(
                r#"{{"external_id":"p{p}","name":"application-{p}","description":"Made application {p}","cpe":"cpe:2.3:a:example:application:{p}","owner":"team-{}","is_os":false}},"#,
                p % 50
            )
        }),
        each(2, &|v| {
            format!(
                r#"{{"_from_external_id":"a{n}","_to_external_id":"v{v}","risk_score":{}.5}},"#,
                v % 10
            )
        }),
        format!(r#"{{"_from_external_id":"a{n}","_to":"ipaddress/{ip}"}},"#),
        format!(r#"{{"_from":"ipaddress/{ip}","_to":"macaddress/{mac}"}},"#),
        format!(r#"{{"_from_external_id":"a{n}","_to":"hostname/host-{n}.example.com"}},"#),
        each(4, &|p| {
            format!(r#"{{"_from_external_id":"a{n}","_to_external_id":"p{p}"}},"#)
        }),
    ]
}

fn ip(n: u64) -> String {
    format!("240.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

fn mac(n: u64) -> String {
    format!(
        "ae:00:{:02x}:{:02x}:{:02x}:{:02x}",
        n >> 24 & 255,
        n >> 16 & 255,
        n >> 8 & 255,
        n & 255
    )
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    out.write_fmt(text).unwrap_or_default();
}
