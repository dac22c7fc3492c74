//! What a program is made of, as a CycloneDX document: its crates with versions, licences and
//! the sums that the registry gave.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Makes the document of a package from what `cargo metadata` and `Cargo.lock` tell.
///
/// # Errors
///
/// When the package is not in there.
pub(super) fn of(package: &str, metadata: &Value, lock: &str) -> Result<Value> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages")
        .filter_map(|one| Some((text(one, "id")?, one)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata
        .get("resolve")
        .into_iter()
        .flat_map(|resolve| list(resolve, "nodes"))
        .filter_map(|one| Some((text(one, "id")?, one)))
        .collect();
    let (root, program) = packages
        .iter()
        .find(|(_, one)| {
            text(one, "name") == Some(package) && one.get("source").is_some_and(Value::is_null)
        })
        .with_context(|| format!("the workspace has no package {package}"))?;
    let mut needed = BTreeSet::new();
    let mut open = vec![*root];
    while let Some(id) = open.pop() {
        if needed.insert(id)
            && let Some(node) = nodes.get(id)
        {
            open.extend(
                list(node, "deps")
                    .filter(|one| is_linked(one))
                    .filter_map(|one| text(one, "pkg")),
            );
        }
    }
    needed.remove(root);
    let sums = sums(lock);
    let components: Vec<Value> = needed
        .iter()
        .filter_map(|id| component(packages.get(id)?, &sums))
        .collect();
    let (name, version) = (text(program, "name"), text(program, "version"));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application",
            "name": name,
            "version": version,
            "licenses": [{ "expression": text(program, "license") }],
        } },
        "components": components,
    }))
}

/// Whether a dependency becomes part of the program; those of builds and tests do not.
fn is_linked(dependency: &Value) -> bool {
    list(dependency, "dep_kinds").any(|one| one.get("kind").is_some_and(Value::is_null))
}

fn component(package: &Value, sums: &BTreeMap<(String, String), String>) -> Option<Value> {
    let (name, version) = (text(package, "name")?, text(package, "version")?);
    let purl = format!("pkg:cargo/{name}@{version}");
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    });
    let more = component.as_object_mut()?;
    if let Some(licence) = text(package, "license") {
        // An older way to write "or".
        let licence = licence.replace('/', " OR ");
        more.insert("licenses".to_owned(), json!([{ "expression": licence }]));
    }
    if let Some(sum) = sums.get(&(name.to_owned(), version.to_owned())) {
        let hash = json!([{ "alg": "SHA-256", "content": sum }]);
        more.insert("hashes".to_owned(), hash);
    }
    Some(component)
}

/// The sums of a lock file, by name and version.
fn sums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut sums = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(sum)) =
            (field("name = "), field("version = "), field("checksum = "))
        {
            sums.insert((name, version), sum);
        }
    }
    sums
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::of;

    #[test]
    fn a_program_is_told_with_what_is_linked_into_it() {
        let linked =
            |id: &str, kind: Option<&str>| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                { "id": "a", "name": "a", "version": "1.0.0", "license": "Apache-2.0", "source": null },
                { "id": "b", "name": "b", "version": "2.0.0", "license": "MIT/Apache-2.0", "source": "r" },
                { "id": "c", "name": "c", "version": "3.0.0", "license": null, "source": "r" },
                { "id": "d", "name": "d", "version": "4.0.0", "license": "MIT", "source": "r" },
            ],
            "resolve": { "nodes": [
                { "id": "a", "deps": [linked("b", None), linked("d", Some("build"))] },
                { "id": "b", "deps": [linked("c", None), linked("a", Some("dev"))] },
            ] },
        });
        let lock = "[[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"0f\"\n";
        let made = of("a", &metadata, lock).unwrap();
        assert_eq!(made["metadata"]["component"]["name"], "a");
        assert_eq!(
            made["components"],
            json!([
                { "type": "library", "bom-ref": "pkg:cargo/b@2.0.0", "name": "b", "version": "2.0.0",
                  "purl": "pkg:cargo/b@2.0.0", "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                  "hashes": [{ "alg": "SHA-256", "content": "0f" }] },
                { "type": "library", "bom-ref": "pkg:cargo/c@3.0.0", "name": "c", "version": "3.0.0",
                  "purl": "pkg:cargo/c@3.0.0" },
            ])
        );
        assert!(of("nothing", &metadata, lock).is_err());
    }
}
