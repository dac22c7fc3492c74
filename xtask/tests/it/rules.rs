//! Each rule notices what breaks it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use xtask::rules::{Member, Need, Workspace, dependencies, files, layout, links};

fn member(name: &str, folder: &str, needs: &[(&str, bool)]) -> Member {
    let need = |(name, only_tests): &(&str, bool)| Need {
        name: (*name).to_owned(),
        only_tests: *only_tests,
    };
    Member {
        name: name.to_owned(),
        folder: folder.to_owned(),
        needs: needs.iter().map(need).collect(),
        programs: Vec::new(),
    }
}

fn workspace(extra: Member) -> Workspace {
    let mut members = vec![
        member("car-schema", "schema", &[]),
        member(
            "car-core",
            "core",
            &[("car-schema", false), ("car-testkit", true)],
        ),
        member("car-service", "service", &[("car-schema", false)]),
        member(
            "car-testkit",
            "testkit",
            &[("car-core", false), ("car-service", false)],
        ),
        member(
            "a-connector",
            "connectors/a",
            &[("car-core", false), ("car-testkit", true)],
        ),
        member("a-server", "connectors/a/server", &[]),
        member(
            "car-bench",
            "bench",
            &[("a-connector", false), ("car-testkit", false)],
        ),
        member("xtask", "xtask", &[]),
    ];
    members.retain(|member| member.name != extra.name);
    members.push(extra);
    Workspace {
        root: PathBuf::from("/nowhere"),
        members,
    }
}

#[test]
fn right_directions_are_accepted() {
    let tested = member(
        "b-connector",
        "connectors/b",
        &[("car-schema", false), ("a-server", true)],
    );
    assert_eq!(dependencies::violations(&workspace(tested)), [""; 0]);
}

#[test]
fn wrong_directions_are_named() {
    let wrong = [
        ("car-schema", "schema", "car-core", false),
        ("car-schema", "schema", "car-testkit", true),
        ("car-core", "core", "car-service", false),
        ("car-core", "core", "a-connector", true),
        ("car-core", "core", "car-testkit", false),
        ("car-service", "service", "car-core", false),
        ("car-service", "service", "a-connector", true),
        ("b-connector", "connectors/b", "a-connector", false),
        ("b-connector", "connectors/b", "a-connector", true),
        ("b-connector", "connectors/b", "car-service", true),
        ("b-connector", "connectors/b", "car-testkit", false),
        ("b-connector", "connectors/b", "a-server", false),
        ("a-server", "connectors/a/server", "car-core", false),
        ("car-testkit", "testkit", "a-connector", false),
        ("car-testkit", "testkit", "xtask", false),
        ("xtask", "xtask", "car-bench", false),
        ("car-bench", "bench", "xtask", true),
    ];
    for (name, folder, other, only_tests) in wrong {
        let found =
            dependencies::violations(&workspace(member(name, folder, &[(other, only_tests)])));
        let how = if only_tests {
            "in its tests"
        } else {
            "in its program"
        };
        assert_eq!(found, [format!("{name} must not depend on {other} {how}")]);
    }
}

#[test]
fn a_crate_in_an_unknown_folder_is_named() {
    for folder in ["helpers", "connectors/a/more", "connectors"] {
        let found = dependencies::violations(&workspace(member("stray", folder, &[])));
        assert!(
            found.len() == 1 && found[0].starts_with("stray in "),
            "{folder}: {found:?}"
        );
    }
}

#[test]
fn metadata_is_read_with_kinds_and_without_outside_crates() {
    let package = |name: &str, path: &str, dependencies: serde_json::Value| {
        serde_json::json!({
            "name": name, "manifest_path": path, "dependencies": dependencies,
            "targets": [{"name": name, "kind": ["bin"]}, {"name": "it", "kind": ["test"]}],
        })
    };
    let facts = serde_json::json!({"packages": [
        package("a", "/w/connectors/a/Cargo.toml", serde_json::json!([
            {"name": "b", "kind": null}, {"name": "serde", "kind": null}, {"name": "b", "kind": "dev"},
        ])),
        package("b", "/w/schema/Cargo.toml", serde_json::json!([])),
    ]});
    let read = Workspace::from_metadata(PathBuf::from("/w"), &facts).unwrap();
    let expected = member("a", "connectors/a", &[("b", false), ("b", true)]);
    assert_eq!(read.members[0].needs, expected.needs);
    assert_eq!(read.members[0].folder, expected.folder);
    assert_eq!(read.members[0].programs, ["a"]);

    let outside =
        serde_json::json!({"packages": [package("c", "/x/Cargo.toml", serde_json::json!([]))]});
    assert!(Workspace::from_metadata(PathBuf::from("/w"), &outside).is_err());
}

#[test]
fn missing_lints_and_connector_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let connector = folder.path().join("connectors/a");
    fs::create_dir_all(connector.join("src")).unwrap();
    fs::create_dir_all(connector.join("configurations")).unwrap();
    fs::write(
        connector.join("Cargo.toml"),
        "[lints.rust]\nworkspace = true\n",
    )
    .unwrap();
    fs::write(connector.join("src/map.rs"), "").unwrap();
    let members = vec![member("a-connector", "connectors/a", &[])];
    let found = layout::violations(&Workspace {
        root: folder.path().to_owned(),
        members,
    })
    .unwrap();
    let named = |text: &str| found.iter().any(|line| line.contains(text));
    assert!(named("`[lints]`") && named("lacks README.md") && named("lacks tests/it/main.rs"));
    assert!(
        named("lacks configurations/"),
        "an empty folder is not in a clone: {found:?}"
    );
    assert!(!named("map.rs"), "{found:?}");
}

#[test]
fn lints_are_recognised_in_both_spellings() {
    assert!(layout::has_shared_lints(
        "[package]\nname = 'a'\n\n[lints]\nworkspace = true\n"
    ));
    assert!(layout::has_shared_lints(
        "lints.workspace = true\n[package]\n"
    ));
    assert!(!layout::has_shared_lints(
        "[dependencies]\nworkspace = true\n"
    ));
    assert!(!layout::has_shared_lints("[lints]\nworkspace = false\n"));
}

#[test]
fn long_large_and_outward_looking_files_are_named() {
    let long = "//\n".repeat(501);
    assert_eq!(files::of_file("core/src/a.rs", long.as_bytes()).len(), 1);
    assert_eq!(
        files::of_file("core/tests/it/a.rs", long.as_bytes()),
        [""; 0]
    );
    assert_eq!(
        files::of_file("core/tests/it/a.rs", "//\n".repeat(801).as_bytes()).len(),
        1
    );
    assert_eq!(files::of_file("data.json", long.as_bytes()), [""; 0]);
    assert_eq!(
        files::of_file("picture.png", &vec![0xff; 1024 * 1024 + 1]).len(),
        1
    );

    let outward = format!("# A page\nsee {}{}\n", "../", "shared/page.md");
    let found = files::of_file("README.md", outward.as_bytes());
    assert!(
        found.len() == 1 && found[0].starts_with("README.md:2 mentions"),
        "{found:?}"
    );
}

#[test]
fn links_are_read_outside_of_code() {
    let page = "[a](a.md) and `[no](no.md)` ![b](<b.png> \"B\") [`c`](c/#d)\n\
        ```text\n[no](no.md)\n```\n[web](https://example.org/x) [mail](mailto:a@b) [self](#top)\n\
        [ref]: e.md\n";
    let found: Vec<_> = links::links(page).into_iter().collect();
    let expected = [
        (1, "a.md"),
        (1, "b.png"),
        (1, "c/#d"),
        (5, "#top"),
        (6, "e.md"),
    ];
    assert_eq!(found, expected.map(|(line, link)| (line, link.to_owned())));
}

#[test]
fn targets_are_resolved_inside_the_workspace_only() {
    let resolve = |page, target| links::resolve(page, target);
    assert_eq!(
        resolve("README.md", "docs/a.md").as_deref(),
        Some("docs/a.md")
    );
    assert_eq!(
        resolve("docs/a.md", "../README.md").as_deref(),
        Some("README.md")
    );
    assert_eq!(
        resolve("docs/x/a.md", "./b.md").as_deref(),
        Some("docs/x/b.md")
    );
    assert_eq!(
        resolve("docs/a.md", "/README.md").as_deref(),
        Some("README.md")
    );
    assert_eq!(resolve("docs/a.md", "../../README.md"), None);
}

#[test]
fn anchors_are_made_as_code_hosts_make_them() {
    let page =
        "# The `one` job, end to end\n## Twice\n## Twice\n```\n# not a heading\n```\n#no heading\n";
    let expected = ["the-one-job-end-to-end", "twice", "twice-1"].map(str::to_owned);
    assert_eq!(links::anchors(page), BTreeSet::from(expected));
}

#[test]
fn dead_links_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .args(arguments)
            .current_dir(folder.path())
            .status();
        assert!(status.unwrap().success());
    };
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(
        folder.path().join("docs/b.md"),
        "# B\n[up](../a.md#a) [folder](../docs)\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("a.md"),
        "# A\n[b](docs/b.md#b) [lost](docs/c.md)\n[no heading](docs/b.md#c)\n[secret](untracked.md)\n",
    )
    .unwrap();
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    fs::write(folder.path().join("untracked.md"), "").unwrap();
    assert_eq!(
        links::violations(folder.path()).unwrap(),
        [
            "a.md:2 links to docs/c.md, which is not there",
            "a.md:3 links to docs/b.md#c: no such heading",
            "a.md:4 links to untracked.md, which is not there",
        ]
    );
}
