//! The commands that the project's pages show, run as they stand there, so that no page promises
//! what does not work.
//!
//! Every fenced `sh` block carries a mark on the line before it:
//!
//! - `<!-- run -->` runs it. `<!-- run, up to 10 min -->` gives it more than the two minutes, or
//!   half an hour where it calls `cargo`, which may have to compile.
//! - `<!-- not run: REASON -->` does not.
//!
//! All blocks of a page run in one shell, in their order. A `text` block after
//! `<!-- output -->` shows lines that the block before it printed; numbers in it may differ, but
//! not in a line with `exit code`. A block after `<!-- from FILE -->` stands in that file of the
//! workspace, but for white space.

mod session;

use std::time::Duration;

pub use session::{Programs, run_page};

/// How long a block may take that does not say.
const USUAL_LIMIT: Duration = Duration::from_secs(120);
/// How long one may take that calls `cargo` and does not say.
const CARGO_LIMIT: Duration = Duration::from_secs(30 * 60);

/// A fenced block that has a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Line of the page where it begins, from 1.
    pub line: usize,
    /// Its text, each line with a line end.
    pub text: String,
    /// What is done with it.
    pub mark: Mark,
}

/// What is done with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Its commands are run.
    Run {
        /// How long they may take.
        limit: Duration,
    },
    /// Its commands are not run, for a reason that the page states.
    NotRun,
    /// It shows what the commands before it print.
    Output,
    /// It shows a part of a file of the workspace.
    From {
        /// The file, relative to the workspace's folder.
        file: String,
    },
}

/// Finds the commands of a page, and what it shows of their output and of files.
///
/// # Errors
///
/// One line for each block whose mark is missing or not understood.
pub fn blocks(page: &str) -> Result<Vec<Block>, Vec<String>> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    let mut before = "";
    let mut lines = (1..).zip(page.lines());
    while let Some((line, text)) = lines.next() {
        let Some(fence) = fence(text) else {
            if !text.trim().is_empty() {
                before = text.trim();
            }
            continue;
        };
        let language = text.trim().trim_start_matches(['`', '~']);
        let indent = text.len() - text.trim_start().len();
        let mut body = String::new();
        for (_, text) in lines.by_ref() {
            if text.trim_end().trim_start() == fence {
                break;
            }
            body.push_str(text.get(indent..).unwrap_or(text.trim_start()));
            body.push('\n');
        }
        match mark(language, &body, std::mem::take(&mut before)) {
            Ok(None) => {}
            Ok(Some(mark)) => found.push(Block {
                line,
                text: body,
                mark,
            }),
            Err(reason) => wrong.push(format!("line {line}: {reason}")),
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

/// Returns the characters that close a block which this line opens.
fn fence(line: &str) -> Option<String> {
    let line = line.trim_start();
    let mark = line
        .chars()
        .next()
        .filter(|mark| matches!(mark, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    (length >= 3).then(|| mark.to_string().repeat(length))
}

/// Understands the line before a block, as far as the block is one of commands or output.
fn mark(language: &str, body: &str, before: &str) -> Result<Option<Mark>, String> {
    let comment = before
        .strip_prefix("<!--")
        .and_then(|rest| rest.strip_suffix("-->"))
        .map(str::trim);
    match language {
        "bash" | "shell" | "console" | "zsh" => {
            Err(format!("write commands as ```sh, not ```{language}"))
        }
        "sh" => match comment {
            Some("run") => {
                let cargo = body.lines().any(|line| line.trim().starts_with("cargo "));
                let limit = if cargo { CARGO_LIMIT } else { USUAL_LIMIT };
                Ok(Some(Mark::Run { limit }))
            }
            Some(comment) if comment.starts_with("run, up to ") => {
                limit(comment).map(|limit| Some(Mark::Run { limit }))
            }
            Some(comment) => match comment.strip_prefix("not run:") {
                Some(reason) if !reason.trim().is_empty() => Ok(Some(Mark::NotRun)),
                _ => Err(format!("`<!-- {comment} -->` is not a mark: {MARKS}")),
            },
            None => Err(format!("the commands have no mark: {MARKS}")),
        },
        "text" if comment == Some("output") => Ok(Some(Mark::Output)),
        _ => Ok(comment
            .and_then(|comment| comment.strip_prefix("from "))
            .map(|file| Mark::From {
                file: file.trim().to_owned(),
            })),
    }
}

/// What a page can say about a block of commands.
const MARKS: &str =
    "write `<!-- run -->`, `<!-- run, up to N min -->` or `<!-- not run: REASON -->` before it";

fn limit(comment: &str) -> Result<Duration, String> {
    let minutes = comment
        .strip_prefix("run, up to ")
        .and_then(|rest| rest.strip_suffix(" min"))
        .and_then(|number| number.parse().ok())
        .filter(|minutes| (1..=60).contains(minutes));
    minutes
        .map(|minutes: u64| Duration::from_secs(minutes * 60))
        .ok_or_else(|| format!("`{comment}` is not understood: {MARKS}"))
}

/// Names the lines that a page shows and that were not printed. Units of time, widths, lines of
/// nothing but `…`, and numbers other than an `exit code` do not count.
#[must_use]
pub fn not_printed<'a>(shown: &'a str, printed: &str) -> Vec<&'a str> {
    let printed: Vec<String> = printed.lines().map(blurred).collect();
    shown
        .lines()
        .filter(|line| !matches!(line.trim(), "" | "…"))
        .filter(|line| !printed.contains(&blurred(line)))
        .collect()
}

/// Whether a text stands in another, but for white space. A line of just `// …` leaves out any.
#[must_use]
pub fn stands_in(part: &str, whole: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let whole = words(whole);
    let mut rest = whole.as_str();
    let chunks = part.split("// …").map(words);
    chunks.filter(|chunk| !chunk.is_empty()).all(|chunk| {
        rest.find(&chunk)
            .and_then(|at| rest.get(at + chunk.len()..))
            .map(|after| rest = after)
            .is_some()
    })
}

/// A line without what differs from run to run.
fn blurred(line: &str) -> String {
    if line.contains("exit code") {
        return line.trim().to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let mut text = String::new();
        for c in word.chars() {
            let c = if c.is_ascii_digit() { '0' } else { c };
            // A number of any length, a line of any length.
            let repeats = matches!(c, '0' | '─') && text.ends_with(c);
            if !repeats {
                text.push(c);
            }
        }
        let text = text.replace("0.0", "0");
        let after_number = words.last().is_some_and(|last| last.ends_with('0'));
        let (unit, end) = text.split_at(text.trim_end_matches(['.', ',', ':', ')']).len());
        match unit {
            // Thousands stand apart.
            "0" if after_number && end.is_empty() => {}
            "ms" | "min" if after_number => words.push(format!("s{end}")),
            _ => words.push(text),
        }
    }
    words.join(" ")
}
