//! The Helm charts below `deployment/helm`: their examples, what Helm makes of them, and the
//! files that are made from them.
//!
//! A chart has `examples/` (values that its pages show), `snapshots/` (what Helm renders from
//! each example) and `bad/` (values that are refused, each with the words that say why).

mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::place::Place;
use crate::process::{output, run};

/// Where the charts are.
const FOLDER: &str = "deployment/helm";
/// The release and the namespace of all snapshots.
const RELEASE: [&str; 3] = ["car", "--namespace", "car"];
/// How long Helm may take for one call.
const LIMIT: Duration = Duration::from_secs(60);

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its name, which is its folder's.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// The charts in a folder of their own, with the charts that they depend on.
pub struct Staged {
    folder: TempDir,
    helm: PathBuf,
}

/// A file that is made from a chart, and what it should hold.
#[derive(Debug)]
pub struct Made {
    /// The file.
    pub path: PathBuf,
    /// What it should hold.
    pub text: String,
}

/// Finds the charts, by name.
///
/// # Errors
///
/// When the folder cannot be read, or has none.
pub fn charts(root: &Path) -> Result<Vec<Chart>> {
    let mut found = Vec::new();
    for folder in entries(&root.join(FOLDER))? {
        if folder.join("Chart.yaml").is_file() {
            let name = file_name(&folder);
            found.push(Chart { name, folder });
        }
    }
    ensure!(!found.is_empty(), "{FOLDER} has no chart");
    Ok(found)
}

impl Chart {
    /// Files with values that its pages show.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn examples(&self) -> Result<Vec<PathBuf>> {
        entries(&self.folder.join("examples"))
    }

    /// Files with values that are refused, each with the words that the refusal has.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or does not begin with `# says: WORDS`.
    pub fn bad(&self) -> Result<Vec<(PathBuf, String)>> {
        let folder = self.folder.join("bad");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for path in entries(&folder)? {
            let text = read(&path)?;
            let first = text.lines().next().unwrap_or_default();
            let Some(words) = first.strip_prefix("# says: ") else {
                bail!("{} does not begin with `# says: WORDS`", path.display());
            };
            found.push((path, words.to_owned()));
        }
        Ok(found)
    }

    /// The file with what Helm renders from an example.
    #[must_use]
    pub fn snapshot(&self, example: &Path) -> PathBuf {
        self.folder.join("snapshots").join(file_name(example))
    }

    /// The chart's page, with the table of values that belongs to its values today.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, a value has no description, or the page no place for them.
    pub fn page(&self) -> Result<Made> {
        let path = self.folder.join("README.md");
        let table = table::of(
            &read(&self.folder.join("values.yaml"))?,
            &read(&self.folder.join("values.schema.json"))?,
        )
        .with_context(|| format!("the values of {}", self.name))?;
        let text = table::put_in(&read(&path)?, &table)
            .with_context(|| format!("{} is no page of a chart", path.display()))?;
        Ok(Made { path, text })
    }
}

impl Staged {
    /// Copies the charts and puts those into each that it depends on.
    ///
    /// # Errors
    ///
    /// When they cannot be copied, or Helm cannot resolve a dependency.
    pub fn new(place: &Place, helm: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for the charts")?;
        let mut copy = place.command("cp");
        copy.arg("-R")
            .arg(place.root.join(FOLDER).join("."))
            .arg(folder.path());
        run(&mut copy, LIMIT)?;
        let staged = Self { folder, helm };
        for chart in charts(&place.root)? {
            if read(&chart.folder.join("Chart.yaml"))?.contains("\ndependencies:") {
                staged.call(place, &["dependency", "update", &chart.name])?;
            }
        }
        Ok(staged)
    }

    /// Runs Helm in the folder of the charts and returns what it wrote.
    ///
    /// # Errors
    ///
    /// When it fails; the error has what it said.
    pub fn call(&self, place: &Place, arguments: &[&str]) -> Result<String> {
        let mut command = place.command(&self.helm);
        // Nothing of a person's own repositories and plugins.
        for setting in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
            command.env(setting, self.folder.path().join(".helm"));
        }
        output(
            command.args(arguments).current_dir(self.folder.path()),
            LIMIT,
        )
    }

    /// Renders a chart with a file of values.
    ///
    /// # Errors
    ///
    /// As [`Staged::call`].
    pub fn render(&self, place: &Place, chart: &Chart, values: &Path) -> Result<String> {
        let values = values.display().to_string();
        let [release, flag, namespace] = RELEASE;
        self.call(
            place,
            &[
                "template",
                release,
                &chart.name,
                flag,
                namespace,
                "--values",
                &values,
            ],
        )
    }
}

/// Returns what is made from the charts: a snapshot for each example, a table for each page.
///
/// # Errors
///
/// When a chart cannot be rendered.
pub fn made(place: &Place, staged: &Staged) -> Result<Vec<Made>> {
    let mut files = Vec::new();
    for chart in charts(&place.root)? {
        files.push(chart.page()?);
        for example in chart.examples()? {
            let text = staged
                .render(place, &chart, &example)
                .with_context(|| format!("{} does not render", example.display()))?;
            files.push(Made {
                path: chart.snapshot(&example),
                text,
            });
        }
    }
    Ok(files)
}

/// Writes the snapshots and the tables of values anew.
///
/// # Errors
///
/// When a chart cannot be rendered, or a file not written.
pub fn write_made(place: &Place, helm: PathBuf) -> Result<()> {
    let staged = Staged::new(place, helm)?;
    for chart in charts(&place.root)? {
        let folder = chart.folder.join("snapshots");
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    for Made { path, text } in made(place, &staged)? {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Splits what Helm rendered into its objects.
pub fn objects(rendered: &str) -> impl Iterator<Item = &str> {
    rendered
        .split("\n---\n")
        .map(|object| object.trim_start_matches("---\n"))
        .filter(|object| field(object, "kind: ").is_some())
}

/// The value of a field that stands at the beginning of a line, such as `kind: `.
#[must_use]
pub fn field<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    object.lines().find_map(|line| line.strip_prefix(name))
}

/// The entries of a folder, in order.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        found.push(entry.with_context(cannot)?.path());
    }
    found.sort();
    Ok(found)
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
