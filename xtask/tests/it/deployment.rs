//! The scripts for the existing platform do what they say, against a `kubectl` that keeps its
//! objects in files, and refuse what cannot work before anything is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use xtask::place::workspace_root;

/// Keeps one object, in the file `object`; refuses what the files `forbidden` and `refused` name.
const KUBECTL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
echo "$@" >> "$FAKE/calls"
if [ "$1" = --namespace ]; then shift 2; fi
case $1 in
    auth) grep -qx "$3" "$FAKE/forbidden" 2>/dev/null && { echo no; exit 1; }; echo yes ;;
    get) [ ! -e "$FAKE/object" ] || cat "$FAKE/object" ;;
    apply)
        [ ! -e "$FAKE/refused" ] || { echo "the object is not valid" >&2; exit 1; }
        [ "$2" = --dry-run=server ] || cp "$3" "$FAKE/object" ;;
    delete) rm -f "$FAKE/object" ;;
    *) echo "unknown: $*" >&2; exit 1 ;;
esac
"#;

const IMAGE: &str = "registry.example.com/car/aws-connector:0.1.0";

struct Platform {
    folder: tempfile::TempDir,
}

impl Platform {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubectl = folder.path().join("kubectl");
        fs::write(&kubectl, KUBECTL).unwrap();
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(name)).ok()
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let folder = self.folder.path();
        Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("FAKE", folder)
            .env("SKIP_IMAGE_CHECK", "1")
            .output()
            .unwrap()
    }

    fn deploy(&self, arguments: &[&str]) -> Output {
        self.run(&workspace_root().join("deployment/deploy.sh"), arguments)
    }

    /// The script of the only back-up.
    fn restore(&self) -> PathBuf {
        let backups = fs::read_dir(self.folder.path().join("backup")).unwrap();
        let folders: Vec<_> = backups.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(folders.len(), 1);
        folders[0].join("restore.sh")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_connector_is_deployed_and_taken_back() {
    let platform = Platform::new();
    let output = platform.deploy(&["aws", IMAGE, "1.2.0.0", "-n", "cp4s"]);
    assert!(output.status.success(), "{}", said(&output));
    let object = platform.read("object").unwrap();
    for line in [
        "apiVersion: connector.isc.ibm.com/v1",
        "kind: Connector",
        "  name: car-aws",
        "  type: \"CAR\"",
        "  version: \"1.2.0.0\"",
        "  image: \"registry.example.com/car/aws-connector:0.1.0\"",
    ] {
        assert!(
            object.lines().any(|other| other == line),
            "{line} in {object}"
        );
    }
    let calls = platform.read("calls").unwrap();
    assert!(
        calls
            .lines()
            .all(|call| call.starts_with("--namespace cp4s ")),
        "{calls}"
    );

    let output = platform.run(&platform.restore(), &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(platform.read("object"), None);
}

#[test]
fn the_connector_before_is_brought_back() {
    let platform = Platform::new();
    let before = "apiVersion: connector.isc.ibm.com/v1\nkind: Connector\nmetadata:\n  name: \
                  car-aws\n  resourceVersion: \"7\"\n  uid: 1-2\nspec:\n  version: \"1\"\nstatus:\n  \
                  phase: Running\n";
    platform.write("object", before);
    let output = platform.deploy(&["aws", IMAGE, "2.0.0.0", "cp4s"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        platform
            .read("object")
            .unwrap()
            .contains("version: \"2.0.0.0\"")
    );

    let output = platform.run(&platform.restore(), &[]);
    assert!(output.status.success(), "{}", said(&output));
    let now = platform.read("object").unwrap();
    assert!(now.ends_with("spec:\n  version: \"1\"\n"), "{now}");
    assert!(
        !now.contains("resourceVersion") && !now.contains("uid"),
        "{now}"
    );
}

#[test]
fn what_cannot_work_is_refused_before_anything_changes() {
    let cases: [(&[&str], &str); 6] = [
        (&["aws", IMAGE], "needs CONNECTOR, IMAGE and VERSION"),
        (&["AWS", IMAGE, "1"], "CONNECTOR is AWS"),
        (
            &["aws", "aws-connector:0.1.0", "1"],
            "it needs registry, path and tag",
        ),
        (
            &["aws", "registry.example.com/aws", "1"],
            "neither tag nor digest",
        ),
        (&["aws", IMAGE, "newest"], "VERSION is newest"),
        (&["aws", IMAGE, "1", "-x"], "unknown option -x"),
    ];
    for (arguments, words) in cases {
        let platform = Platform::new();
        let output = platform.deploy(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
        assert_eq!(platform.read("calls"), None, "{arguments:?}");
    }
}

#[test]
fn a_cluster_that_refuses_is_told_before_anything_changes() {
    let platform = Platform::new();
    platform.write("forbidden", "patch\n");
    let output = platform.deploy(&["aws", IMAGE, "1", "-n", "cp4s"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("you may not patch"),
        "{}",
        said(&output)
    );

    let platform = Platform::new();
    platform.write("refused", "");
    let output = platform.deploy(&["aws", IMAGE, "1", "-n", "cp4s"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("nothing was changed"),
        "{}",
        said(&output)
    );
    assert_eq!(platform.read("object"), None);
}

#[test]
fn build_refuses_what_cannot_work() {
    let cases: [(&[&str], &str); 9] = [
        (&["local"], "needs MODE and CONNECTOR"),
        (&["both", "aws"], "MODE is both"),
        (&["local", "nothing"], "there is no connector nothing"),
        (&["local", "aws", "-t", "a b"], "is no tag"),
        (&["local", "aws", "-d"], "are for MODE remote"),
        (
            &["local", "aws", "-b", "make"],
            "not docker, podman or buildah",
        ),
        (&["local", "aws", "-t"], "-t needs a value"),
        (&["local", "aws", "-f", "a b"], "-f is a b"),
        (
            &["local", "aws", "-f", "temporal", "-p", "."],
            "have their features already",
        ),
    ];
    let platform = Platform::new();
    for (arguments, words) in cases {
        let output = platform.run(&workspace_root().join("deployment/build.sh"), arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            said(&output)
        );
        assert!(
            said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

/// A builder that writes its arguments to a file, and whose registry refuses.
const DOCKER: &str =
    "#!/usr/bin/env bash\necho \"$@\" >> \"$FAKE/docker-calls\"\n[ \"$1\" != push ]\n";

#[test]
fn an_image_that_the_registry_refuses_is_told() {
    let platform = Platform::new();
    platform.write("docker", DOCKER);
    let docker = platform.folder.path().join("docker");
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let build = workspace_root().join("deployment/build.sh");
    let output = platform.run(
        &build,
        &[
            "remote",
            "aws",
            "-r=registry.example.com/car",
            "-t=7",
            "-f=x,y",
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output)
            .contains("the registry refused it: log in with `docker login registry.example.com`")
    );
    let calls = platform.read("docker-calls").unwrap();
    assert!(
        calls.contains("--build-arg CONNECTOR=aws-connector"),
        "{calls}"
    );
    assert!(calls.contains("--build-arg FEATURES=x,y"), "{calls}");
    assert!(
        calls.contains("--tag registry.example.com/car/aws-connector:7"),
        "{calls}"
    );
}
