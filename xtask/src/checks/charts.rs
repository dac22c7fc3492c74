//! The Helm charts: both majors of Helm render every example alike and refuse every bad one in
//! clear words; what they render is as recorded, fits the schemas of Kubernetes and is secure.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Outcome;
use super::steps::program;
use crate::charts::{self, Chart, Made, Staged, charts, entries, field, objects, read};
use crate::place::Place;
use crate::process::{output, run};
use crate::queries;
use crate::say::talk;
use crate::tools::Tool;

/// The majors of Helm, by the name of their tool; the first one makes the recorded files.
pub(super) const HELMS: [&str; 2] = ["helm-4", "helm-3"];
/// Minor versions of Kubernetes whose schemas the objects must fit.
const KUBERNETES: [&str; 6] = ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35"];
/// Objects of others, whose schemas Kubernetes does not have.
const OF_OTHERS: [&str; 3] = [
    "monitoring.coreos.com/",
    "external-secrets.io/",
    "postgresql.cnpg.io/",
];
/// What is not held against the manifests, with the reasons.
const EXCEPTIONS: &str = "deployment/checkov.yaml";
/// How long a check of all manifests may take.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// What to do about a recorded file that is not as it should be.
const HINT: &str = "`cargo xtask snapshots` writes it anew; look at the difference";

/// Checks the charts.
///
/// # Errors
///
/// All that is wrong with them, a line each.
pub(super) fn charts_step(place: &Place) -> Result<Outcome> {
    let mut wrong = Vec::new();
    let mut staged = Vec::new();
    for name in HELMS {
        staged.push(Staged::new(place, helm(place, name)?)?);
    }
    let (mut rendered, mut refused) = (String::new(), 0);
    for chart in charts(&place.root)? {
        rendered.push_str(&examples(place, &staged, &chart, &mut wrong)?);
        refused += bad_values(place, &staged, &chart, &mut wrong)?;
    }
    if let Some(first) = staged.first() {
        recorded(charts::made(place, first)?, &mut wrong);
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    let count = objects(&rendered).count();
    talk(format!(
        "{count} objects rendered, {refused} bad values refused, by each of {HELMS:?}"
    ));
    let numbers = queries::check(place, &rendered)?;
    talk(format!("alerts and dashboards ask for {numbers:?}"));
    let folder = tempfile::tempdir()?;
    let all = folder.path().join("manifests.yaml");
    fs::write(&all, kubernetes_objects(&rendered))?;
    for version in KUBERNETES {
        let mut validate = program(place, "kubernetes-validate")?;
        validate.args(["--quiet", "--strict", "-k", version]);
        run(validate.arg(&all), LIMIT)?;
    }
    let mut secure = program(place, "checkov")?;
    secure.arg("--config-file").arg(place.root.join(EXCEPTIONS));
    output(secure.arg("--file").arg(&all), LIMIT)
        .with_context(|| format!("checkov finds what {EXCEPTIONS} does not except"))?;
    Ok(Outcome::Passed)
}

/// The program of a major of Helm.
pub(crate) fn helm(place: &Place, name: &str) -> Result<PathBuf> {
    let path = Tool::named(name).and_then(|tool| tool.program(place));
    path.with_context(|| format!("{name} is missing: `cargo xtask setup` installs it"))
}

/// Lints and renders the examples of a chart, and returns what was rendered.
fn examples(
    place: &Place,
    staged: &[Staged],
    chart: &Chart,
    wrong: &mut Vec<String>,
) -> Result<String> {
    let mut all = String::new();
    for example in chart.examples()? {
        let name = format!("{} of {}", example.display(), chart.name);
        let mut texts = BTreeSet::new();
        for helm in staged {
            let values = example.display().to_string();
            let lint = ["lint", "--strict", &chart.name, "--values", &values];
            if let Err(error) = helm.call(place, &lint) {
                wrong.push(format!("{name}: {error:#}"));
            }
            match helm.render(place, chart, &example) {
                Ok(text) => drop(texts.insert(text)),
                Err(error) => wrong.push(format!("{name}: {error:#}")),
            }
        }
        if texts.len() > 1 {
            wrong.push(format!("{name}: the majors of Helm render it differently"));
        }
        let Some(text) = texts.pop_first() else {
            continue;
        };
        wrong.extend(twice(&text).map(|object| format!("{name}: {object} is there twice")));
        all.push_str(&text);
    }
    Ok(all)
}

/// The objects of one name and kind that are rendered more than once.
fn twice(rendered: &str) -> impl Iterator<Item = String> {
    let mut seen = BTreeSet::new();
    objects(rendered).filter_map(move |object| {
        let name = format!(
            "{} {}",
            field(object, "kind: ")?,
            field(object, "  name: ")?
        );
        (!seen.insert(name.clone())).then_some(name)
    })
}

/// Checks that bad values are refused in clear words, and returns how many there are.
fn bad_values(
    place: &Place,
    staged: &[Staged],
    chart: &Chart,
    wrong: &mut Vec<String>,
) -> Result<usize> {
    let bad = chart.bad()?;
    for (path, words) in &bad {
        for helm in staged {
            match helm.render(place, chart, path) {
                Ok(_) => wrong.push(format!("{} is not refused", path.display())),
                Err(error) if format!("{error:#}").contains(words) => {}
                Err(error) => wrong.push(format!(
                    "{} is refused without the words `{words}`: {error:#}",
                    path.display()
                )),
            }
        }
    }
    Ok(bad.len())
}

/// Checks that the recorded files are as they are made now, and that there are no others.
fn recorded(made: Vec<Made>, wrong: &mut Vec<String>) {
    let expected: BTreeSet<_> = made.iter().map(|file| file.path.clone()).collect();
    for Made { path, text } in &made {
        match read(path) {
            Ok(there) if there == *text => {}
            Ok(_) => wrong.push(format!("{} is not current; {HINT}", path.display())),
            Err(error) => wrong.push(format!("{error:#}; {HINT}")),
        }
    }
    let folders: BTreeSet<_> = expected
        .iter()
        .filter_map(|path| path.parent())
        .filter(|folder| folder.ends_with("snapshots"))
        .collect();
    for folder in folders {
        for path in entries(folder).unwrap_or_default() {
            if !expected.contains(&path) {
                wrong.push(format!("{} belongs to no example", path.display()));
            }
        }
    }
}

/// The objects whose schemas Kubernetes has.
fn kubernetes_objects(rendered: &str) -> String {
    objects(rendered)
        .filter(|object| {
            let version = field(object, "apiVersion: ").unwrap_or_default();
            !OF_OTHERS.iter().any(|other| version.starts_with(other))
        })
        .fold(String::new(), |text, object| text + "---\n" + object + "\n")
}
