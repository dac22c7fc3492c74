//! Links between the project's pages lead somewhere: to a tracked file, and to a heading in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::tracked_files;

/// Names the relative links in tracked Markdown files that lead nowhere.
///
/// # Errors
///
/// When git or a file cannot be read.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let files: BTreeSet<String> = tracked_files(root)?.into_iter().collect();
    let read = |name: &str| {
        let path = root.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut found = Vec::new();
    for page in files.iter().filter(|name| name.ends_with(".md")) {
        for (number, link) in links(&read(page)?) {
            let (target, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if target.is_empty() {
                Some(page.clone())
            } else {
                resolve(page, target)
            };
            let there = target
                .as_ref()
                .is_some_and(|target| is_there(&files, target));
            let Some(target) = target.filter(|_| there) else {
                found.push(format!(
                    "{page}:{number} links to {link}, which is not there"
                ));
                continue;
            };
            if !heading.is_empty()
                && target.ends_with(".md")
                && !anchors(&read(&target)?).contains(heading)
            {
                found.push(format!("{page}:{number} links to {link}: no such heading"));
            }
        }
    }
    Ok(found)
}

/// The links of a page that stay inside the project, with their line numbers.
#[must_use]
pub fn links(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(page) {
        let line = without_code(line);
        // `[text](target)` and `![text](target "title")`
        for part in line.split("](").skip(1) {
            found.extend(
                part.split([')', ' '])
                    .next()
                    .map(|link| (number, link.to_owned())),
            );
        }
        // `[name]: target`
        if let Some((_, target)) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            found.extend(
                target
                    .split_whitespace()
                    .next()
                    .map(|link| (number, link.to_owned())),
            );
        }
    }
    for (_, link) in &mut found {
        *link = link.trim_matches(['<', '>']).to_owned();
    }
    found.retain(|(_, link)| !link.is_empty() && !leads_outside(link));
    found
}

/// The anchors of a page's headings, as code hosts make them.
#[must_use]
pub fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, line) in prose(page) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let base = slug(title.trim());
        let mut anchor = base.clone();
        let mut again = 0;
        while !found.insert(anchor) {
            again += 1;
            anchor = format!("{base}-{again}");
        }
    }
    found
}

/// The path of a link's target inside the workspace; `None` when it leaves it.
#[must_use]
pub fn resolve(page: &str, target: &str) -> Option<String> {
    let from = if target.starts_with('/') { "" } else { page };
    let mut parts: Vec<&str> = match from.rsplit_once('/') {
        Some((folder, _)) => folder.split('/').collect(),
        None => Vec::new(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn is_there(files: &BTreeSet<String>, target: &str) -> bool {
    let folder = format!("{target}/");
    target.is_empty()
        || files.contains(target)
        || files
            .range(folder.clone()..)
            .next()
            .is_some_and(|name| name.starts_with(&folder))
}

fn leads_outside(link: &str) -> bool {
    link.starts_with("//")
        || link.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric())
        })
}

/// The lines outside of fenced code, with their numbers.
fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence = None;
    (1..).zip(page.lines()).filter(move |(_, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(close)) if open == close => fence = None,
            _ => return fence.is_none(),
        }
        false
    })
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

fn slug(title: &str) -> String {
    let kept = title
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
