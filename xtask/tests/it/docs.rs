//! The commands in the project's pages work, and the test that says so notices when they do not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use xtask::docs::{Mark, Programs, blocks, not_printed, run_page, stands_in};
use xtask::place::{Place, workspace_root};
use xtask::process::run;
use xtask::rules::tracked_files;

/// How long building all programs may take, from nothing and on two cores.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The folder that this test was built into: that of the programs.
fn programs() -> Programs {
    let own = std::env::current_exe().unwrap();
    let programs = own.parent().unwrap().parent().unwrap();
    Programs {
        workspace: workspace_root(),
        programs: programs.to_owned(),
    }
}

fn page(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    run_page(text, folder.path(), &programs()).map_err(|error| format!("{error:#}"))
}

#[test]
fn commands_in_the_pages_work() {
    let place = Place::find().unwrap();
    let build = [
        "build",
        "--workspace",
        "--all-features",
        "--examples",
        "--bins",
        "--locked",
    ];
    run(place.cargo().args(build), BUILD_LIMIT).unwrap();

    let root = workspace_root();
    let pages = tracked_files(&root).unwrap().into_iter();
    let pages: Vec<_> = pages.filter(|name| name.ends_with(".md")).collect();
    let (mut ran, mut failed) = (0, Vec::new());
    for name in &pages {
        let text = fs::read_to_string(root.join(name)).unwrap();
        ran += blocks(&text).map_or(0, |all| {
            let run = |block: &&xtask::docs::Block| matches!(block.mark, Mark::Run { .. });
            all.iter().filter(run).count()
        });
        if let Err(reason) = page(&text) {
            failed.push(format!("{name}: {reason}"));
        }
    }
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n\n"));
    assert!(ran > 0, "no command ran in any of {pages:?}");
}

#[test]
fn every_block_of_commands_says_whether_it_is_run() {
    let reason = page("Text.\n\n```sh\ntrue\n```\n").unwrap_err();
    assert!(
        reason.starts_with("line 3: the commands have no mark"),
        "{reason}"
    );
    let reason = page("<!-- not run: -->\n```sh\ntrue\n```\n").unwrap_err();
    assert!(reason.contains("is not a mark"), "{reason}");
    let reason = page("<!-- run, up to 90 min -->\n```sh\ntrue\n```\n").unwrap_err();
    assert!(reason.contains("is not understood"), "{reason}");
    let reason = page("<!-- run -->\n```bash\ntrue\n```\n").unwrap_err();
    assert!(reason.contains("write commands as ```sh"), "{reason}");
    // A mark is good for one block.
    assert!(page("<!-- run -->\n```sh\ntrue\n```\n```sh\ntrue\n```\n").is_err());

    let text = "<!-- run, up to 10 min -->\n~~~sh\na\n```\n~~~\n<!-- not run: takes a day -->\n\n  ```sh\n  b\n  ```\n```rust\n```\n";
    let found = blocks(text).unwrap();
    let limit = Duration::from_secs(600);
    assert_eq!(found[0].mark, Mark::Run { limit });
    assert_eq!(found[0].text, "a\n```\n");
    assert_eq!((found[1].line, &found[1].mark), (8, &Mark::NotRun));
    assert_eq!(found[1].text, "b\n");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_command_that_fails_fails_its_page() {
    let text = "<!-- run -->\n```sh\necho before\nfalse\necho after\n```\n";
    let reason = page(text).unwrap_err();
    assert!(
        reason.contains("commands at line 2 failed (exit status: 1)"),
        "{reason}"
    );
    assert!(
        reason.contains("before") && !reason.contains("after"),
        "{reason}"
    );
    // What is not run cannot fail.
    page(&text.replace("<!-- run -->", "<!-- not run: it fails -->")).unwrap();
}

#[test]
fn all_blocks_of_a_page_share_one_shell_in_a_folder_like_the_workspace() {
    page(
        "<!-- run -->\n```sh\nNAME=value\ncd xtask\n```\n\
         <!-- run -->\n```sh\ntest $NAME = value\ngrep -q xtask Cargo.toml\ncd ..\n\
         test -x target/debug/xtask\ncommand -v xtask\necho x > /tmp/own\n```\n",
    )
    .unwrap();
    assert!(!Path::new("/tmp/own").exists());
}

#[test]
fn a_server_in_the_background_is_waited_for_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let serve = "python3 -c 'import sys, time; from http.server import *; time.sleep(0.3); \
                 HTTPServer((\"127.0.0.1\", int(sys.argv[2].split(\":\")[1])), BaseHTTPRequestHandler).serve_forever()'";
    let text = format!(
        "<!-- run -->\n```sh\n{serve} \\\n  --listen 127.0.0.1:8000 &\necho $! > pid\n\
         echo >/dev/tcp/127.0.0.1/$(echo 127.0.0.1:8000 | cut -d: -f2)\n```\n"
    );
    run_page(&text, folder.path(), &programs()).unwrap();
    let id = fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(
        !Path::new("/proc").join(id.trim()).exists(),
        "{id} still runs"
    );
}

#[test]
fn output_that_a_page_shows_was_printed() {
    let shows = |text: &str| {
        page(&format!(
            "<!-- run -->\n```sh\necho 'imported 2 503 objects in 657 ms: full'\n```\n\
             <!-- output -->\n```text\n{text}\n```\n"
        ))
    };
    shows("imported 7 objects in 1.2 s: full").unwrap();
    shows("…\n").unwrap();
    let reason = shows("exported 7 objects").unwrap_err();
    assert!(
        reason.contains("line 6 shows `exported 7 objects`"),
        "{reason}"
    );
    assert_eq!(not_printed("asset  100\nport", "asset 7\n"), ["port"]);
    assert_eq!(
        not_printed("exit code 51", "exit code 52"),
        ["exit code 51"]
    );
}

#[test]
fn code_that_a_page_shows_stands_in_its_file() {
    let shows = |text: &str| {
        page(&format!(
            "<!-- from xtask/src/main.rs -->\n```rust\n{text}\n```\n"
        ))
    };
    shows("fn main()\n    -> std::process::ExitCode {").unwrap();
    let reason = shows("fn other()").unwrap_err();
    assert_eq!(reason, "line 2 shows what is not in xtask/src/main.rs");
    assert!(stands_in("a {\n// …\n  d\n}", "a { b c d }"));
    assert!(!stands_in("d\n// …\na", "a { b c d }"));
}
