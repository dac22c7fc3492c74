//! The queries of alerts and dashboards that the charts render: each can be read, and asks for
//! numbers that there are.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_yaml::Value;

use crate::charts::{charts, entries, objects, read};
use crate::place::Place;
use crate::process::output;
use crate::tools::test_python;

/// How long reading all queries may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Numbers of kube-state-metrics, which runs on the cluster, that the alerts ask for.
const OF_KUBERNETES: [&str; 6] = [
    "kube_cronjob_created",
    "kube_cronjob_status_last_successful_time",
    "kube_deployment_created",
    "kube_deployment_status_replicas_unavailable",
    "kube_job_created",
    "kube_job_failed",
];
/// Reads queries with the parser, and tells the numbers that each asks for.
const SCRIPT: &str = "
import json, sys, promql_parser

def walk(part, names):
    if isinstance(part, promql_parser.VectorSelector):
        names.add(part.name or '')
    for field in ('expr', 'param', 'lhs', 'rhs', 'vector_selector', 'args'):
        value = getattr(part, field, None)
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                walk(one, names)

def told(text):
    names = set()
    try:
        walk(promql_parser.parse(text), names)
    except ValueError as error:
        return [], str(error)
    return sorted(names), None

print(json.dumps([told(text) for text in json.loads(sys.argv[1])]))
";

/// Checks the queries of rendered objects, and returns the names of our own numbers that they ask
/// for.
///
/// # Errors
///
/// When one cannot be read, or asks for a number that nobody has, with the query.
pub(crate) fn check(place: &Place, rendered: &str) -> Result<BTreeSet<String>> {
    let mut queries = BTreeSet::new();
    for object in objects(rendered) {
        collect(&serde_yaml::from_str(object)?, &mut queries)?;
    }
    ensure!(!queries.is_empty(), "no alert and no dashboard is rendered");
    let queries: Vec<String> = queries.into_iter().collect();
    let mut parser = place.command(test_python(place));
    parser.args(["-c", SCRIPT, &serde_json::to_string(&queries)?]);
    // What each asks for, or why it cannot be read.
    let told: Vec<(Vec<String>, Option<String>)> =
        serde_json::from_str(&output(&mut parser, LIMIT)?)?;
    let mut ours = BTreeSet::new();
    for (query, (names, error)) in queries.iter().zip(told) {
        if let Some(error) = error {
            bail!("`{query}` cannot be read: {error}");
        }
        for name in names {
            if name.starts_with("car_") || name.starts_with("connector_") {
                ours.insert(name);
            } else if !OF_KUBERNETES.contains(&name.as_str()) {
                bail!("`{query}` asks for `{name}`, which nobody is known to have");
            }
        }
    }
    Ok(ours)
}

/// The names of our own numbers that the recorded charts ask for.
///
/// # Errors
///
/// As [`check`].
pub(crate) fn recorded(place: &Place) -> Result<BTreeSet<String>> {
    let mut rendered = String::new();
    for chart in charts(&place.root)? {
        for path in entries(&chart.folder.join("snapshots"))? {
            rendered.push_str(&read(&path)?);
        }
    }
    check(place, &rendered)
}

/// The names that a query can use, of numbers in the text form of OpenMetrics.
pub(crate) fn offered(numbers: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in numbers.lines() {
        let mut words = line.strip_prefix("# TYPE ").unwrap_or_default().split(' ');
        let (Some(name), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        let ends: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        names.extend(ends.iter().map(|end| format!("{name}{end}")));
    }
    names
}

/// Adds what stands under `expr`, also in the JSON files of a ConfigMap.
fn collect(value: &Value, queries: &mut BTreeSet<String>) -> Result<()> {
    match value {
        Value::Sequence(list) => list.iter().try_for_each(|one| collect(one, queries)),
        Value::Mapping(mapping) => mapping.iter().try_for_each(|(key, one)| {
            let key = key.as_str().unwrap_or_default();
            match one.as_str() {
                Some(text) if key == "expr" => {
                    queries.insert(text.to_owned());
                    Ok(())
                }
                Some(text) if key.ends_with(".json") => {
                    let file = serde_yaml::from_str(text);
                    collect(&file.with_context(|| format!("{key} is no JSON"))?, queries)
                }
                _ => collect(one, queries),
            }
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{collect, offered};

    #[test]
    fn queries_are_found_in_rules_and_in_files_of_dashboards() {
        let object = r#"
spec: {groups: [{rules: [{alert: A, expr: "a > 0"}]}]}
data:
  board.json: '{"panels": [{"targets": [{"expr": "b"}]}]}'
  other: "expr: c"
"#;
        let mut queries = std::collections::BTreeSet::new();
        collect(&serde_yaml::from_str(object).unwrap(), &mut queries).unwrap();
        assert_eq!(queries.into_iter().collect::<Vec<_>>(), ["a > 0", "b"]);
    }

    #[test]
    fn names_end_as_queries_use_them() {
        let numbers =
            "# HELP a A\n# TYPE a counter\na_total 1\n# TYPE b gauge\n# TYPE c histogram\n# EOF\n";
        let names: Vec<_> = offered(numbers).into_iter().collect();
        assert_eq!(names, ["a_total", "b", "c_bucket", "c_count", "c_sum"]);
    }
}
