//! Each format comes to the vertices and edges that its meaning is.

use std::io::Write as _;

use crate::support::Pair;

const CYCLONEDX: &str = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6",
  "components": [
    {"type": "library", "bom-ref": "one", "name": "one", "version": "1.0", "purl": "pkg:cargo/one@1.0",
     "components": [{"type": "library", "name": "inner", "version": "2"}]}],
  "metadata": {"component": {"type": "application", "bom-ref": "root", "group": "g", "name": "app", "version": "3"}},
  "vulnerabilities": [{"id": "CVE-2026-1", "ratings": [{"score": 5.0}, {"score": 7.5}], "cwes": [79],
    "published": "2026-01-01T00:00:00Z", "affects": [{"ref": "one"}, {"ref": "root"}]}]}"#;

const SPDX: &str = r#"{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "doc",
  "packages": [
    {"SPDXID": "SPDXRef-a", "name": "image", "versionInfo": "1", "primaryPackagePurpose": "CONTAINER"},
    {"SPDXID": "SPDXRef-b", "name": "lib", "versionInfo": "2", "supplier": "Organization: Acme",
     "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:npm/lib@2", "referenceCategory": "x"},
                      {"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:lib", "referenceCategory": "x"}]}],
  "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-a"}]}"#;

const OSV: &str = r#"[{"schema_version": "1.6.0", "id": "RUSTSEC-2026-0001", "modified": "2026-02-01T00:00:00Z",
  "aliases": ["CVE-2026-2"], "summary": "Bad.", "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}],
  "affected": [{"package": {"ecosystem": "crates.io", "name": "one", "purl": "pkg:cargo/one"}}]},
  {"id": "RUSTSEC-2026-0002", "modified": "2026-02-01T00:00:00Z", "withdrawn": "2026-02-02T00:00:00Z", "affected": []}]"#;

const SARIF: &str = r#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "scan", "rules": [
    {"id": "R1", "name": "Rule", "shortDescription": {"text": "Wrong."}, "properties": {"security-severity": "8.1"}}]}},
  "versionControlProvenance": [{"repositoryUri": "https://example.org/repo"}],
  "results": [{"ruleId": "R1", "message": {"text": "here"}}, {"ruleId": "R1", "message": {"text": "there"}},
    {"ruleId": "CVE-2026-3", "message": {"text": "old"}}, {"ruleId": "R2", "kind": "pass", "message": {"text": ""}}]}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_become_assets_applications_and_vulnerabilities() {
    let pair = Pair::start().await;
    pair.files.write("bom.json", CYCLONEDX);
    pair.files.write("image.spdx.json", SPDX);
    pair.files.write("advisories.json", OSV);
    pair.files.write("code.sarif", SARIF);
    pair.import().await;
    let graph = pair.graph().await;
    let of = |collection: &str| -> Vec<String> {
        graph.identities(collection).map(str::to_owned).collect()
    };
    assert_eq!(of("asset"), ["g/app", "https://example.org/repo", "image"]);
    assert_eq!(
        of("application"),
        [
            "inner@2",
            "pkg:cargo/one",
            "pkg:cargo/one@1.0",
            "pkg:npm/lib@2"
        ]
    );
    assert_eq!(
        of("vulnerability"),
        ["CVE-2026-1", "CVE-2026-3", "RUSTSEC-2026-0001", "scan/R1"]
    );
    assert!(graph.has_edge("asset_application", "g/app", "inner@2"));
    assert!(graph.has_edge("asset_application", "image", "pkg:npm/lib@2"));
    assert!(graph.has_edge("asset_vulnerability", "g/app", "CVE-2026-1"));
    assert!(graph.has_edge(
        "application_vulnerability",
        "pkg:cargo/one@1.0",
        "CVE-2026-1"
    ));
    assert!(graph.has_edge(
        "application_vulnerability",
        "pkg:cargo/one",
        "RUSTSEC-2026-0001"
    ));
    assert!(graph.has_edge("asset_vulnerability", "https://example.org/repo", "scan/R1"));
    let field =
        |collection: &str, id: &str, field: &str| graph.get(collection, id).unwrap()[field].clone();
    assert_eq!(field("vulnerability", "CVE-2026-1", "base_score"), 7.5);
    assert_eq!(field("vulnerability", "scan/R1", "base_score"), 8.1);
    assert_eq!(field("application", "pkg:npm/lib@2", "owner"), "Acme");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_a_table_and_an_sbom_meet_in_one_graph() {
    let pair = Pair::start().await;
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let program = pair
        .connector()
        .env(
            "CONFIGURATION_PARAMETER_DIRECTORY",
            format!("{examples}/inventory"),
        )
        .env(
            "CONFIGURATION_PARAMETER_MAPPING",
            format!("{examples}/mapping.yaml"),
        );
    drop(program.run().await.with_code(0));
    let graph = pair.graph().await;
    for (collection, from, to) in [
        ("asset_ipaddress", "192.0.2.10", "192.0.2.10"),
        ("asset_ipaddress", "m-2", "192.0.2.21"),
        ("asset_hostname", "m-1", "web.example.org"),
        ("asset_macaddress", "192.0.2.10", "02:00:5e:10:00:0a"),
        ("ipaddress_port", "192.0.2.10", "192.0.2.10/tcp/443"),
        ("application_port", "OpenSSH 9.9p1", "192.0.2.10/tcp/22"),
    ] {
        assert!(
            graph.has_edge(collection, from, to),
            "{collection} {from} {to}"
        );
    }
    assert!(graph.get("asset", "192.0.2.12").is_none(), "it is down");
    assert!(
        graph.get("port", "192.0.2.10/tcp/8080").is_none(),
        "it is closed"
    );
    assert_eq!(graph.get("asset", "m-2").unwrap()["business_value"], 9.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_files_and_json_with_a_mapping_are_read() {
    let pair = Pair::start().await;
    let lines = |id: &str| {
        format!("{{\"collection\": \"asset\", \"external_id\": \"{id}\", \"name\": \"n\"}}\n")
    };
    let gzip = |text: String| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    // Two members, as some tools append.
    let packed = [gzip(lines("gz1")), gzip(lines("gz2"))].concat();
    std::fs::write(pair.files.file("a.jsonl.gz"), packed).unwrap();
    let zstd = |text: String| {
        ruzstd::encoding::compress_to_vec(
            text.as_bytes(),
            ruzstd::encoding::CompressionLevel::Fastest,
        )
    };
    let packed = [zstd(lines("zst1")), zstd(lines("zst2"))].concat();
    std::fs::write(pair.files.file("b.jsonl.zst"), packed).unwrap();
    pair.files.write(
        "c.json",
        r#"{"skip": [1], "data": {"hosts": [{"id": 7, "labels": ["x", "y"], "os": {"name": "L"}}]}}"#,
    );
    let mapping = pair.memory.write(
        "mapping.yaml",
        "mappings:\n- files: c.json\n  rows: data.hosts\n  vertices:\n  - collection: asset\n    id: 'h-{id}'\n    fields:\n      name: '{os.name}'\n      tag: '{labels}'\n",
    );
    let program = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_MAPPING", mapping.to_str().unwrap());
    drop(program.run().await.with_code(0));
    let graph = pair.graph().await;
    let assets: Vec<&str> = graph.identities("asset").collect();
    assert_eq!(assets, ["gz1", "gz2", "h-7", "zst1", "zst2"]);
    assert_eq!(graph.get("asset", "h-7").unwrap()["name"], "L");
}
