//! What the demo shows of the graph, asked as any consumer would.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::web::Web;
use crate::say::{result, talk};

/// The vertex collections that the reference connector fills.
const VERTICES: [&str; 8] = [
    "site",
    "asset",
    "vulnerability",
    "hostname",
    "ipaddress",
    "macaddress",
    "port",
    "application",
];

/// The edge collections that the reference connector fills.
const EDGES: [&str; 11] = [
    "site_asset",
    "asset_vulnerability",
    "asset_hostname",
    "asset_ipaddress",
    "asset_macaddress",
    "asset_application",
    "application_port",
    "application_vulnerability",
    "ipaddress_hostname",
    "ipaddress_macaddress",
    "ipaddress_port",
];

/// An asset with its weaknesses.
const SAMPLE: &str = r#"{ asset(where: {name: {_eq: "renamed by the demo"}}) { name risk vulnerabilities { vulnerability { name base_score } } } }"#;

/// Returns where queries go; `service` is the address that ends in `/v2`.
pub(super) fn query_address(service: &str) -> String {
    format!("{}/v3/query", service.trim_end_matches("/v2"))
}

/// Prints how many entities each collection has, this machine's part, and a query's answer.
pub(super) fn show(web: &Web, service: &str) -> Result<()> {
    let ask = |query: &str| -> Result<Value> {
        let answer = web.call_at("POST", &query_address(service), &json!({ "query": query }))?;
        match (answer.get("errors"), answer.get("data")) {
            (None, Some(data)) => Ok(data.clone()),
            (errors, _) => bail!("the query `{query}` failed: {}", errors.unwrap_or(&answer)),
        }
    };
    let counts = |names: &[&str]| -> String {
        names
            .iter()
            .map(|name| format!("{name}_aggregate {{ aggregate {{ count }} }} "))
            .collect()
    };
    let all = ask(&format!("{{ {} {} }}", counts(&VERTICES), counts(&EDGES)))?;
    for name in VERTICES.iter().chain(&EDGES) {
        let count = all.pointer(&format!("/{name}_aggregate/aggregate/count"));
        let count = count
            .and_then(Value::as_u64)
            .with_context(|| format!("no count of {name}"))?;
        if count == 0 {
            bail!("the graph has no {name}");
        }
        result(format_args!("{name:<28}{count:>10}"));
    }
    talk("\n== this machine, as the graph has it");
    let name = host_name();
    let machine = ask(&format!(
        "{{ hostname(where: {{host_name: {{_eq: {name}}}}}) {{ host_name assets {{ asset {{ name \
         ipaddresses {{ ipaddress {{ external_id }} }} macaddresses {{ macaddress {{ external_id }} }} \
         applications(limit: 3) {{ application {{ name }} }} }} }} }} }}",
        name = json!(name),
    ))?;
    if machine.pointer("/hostname/0/assets/0/asset/0").is_none() {
        bail!("this machine, `{name}`, is not in the graph: {machine}");
    }
    result(format_args!("{machine:#}"));
    talk("\n== a query and its answer");
    talk(SAMPLE);
    let answer = ask(SAMPLE)?;
    if answer.pointer("/asset/0/vulnerabilities/0").is_none() {
        bail!("the change that the demo made is not in the graph: {answer}");
    }
    result(format_args!("{answer:#}"));
    Ok(())
}

/// Returns this machine's name as its inventory has it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name.to_owned()
    }
}
