//! What reading files costs:
//! `cargo run --release -p file-connector --example speed -- FOLDER [ROWS] [FILES]`.
//!
//! Makes a CSV file and a JSON Lines file in the folder, reads each through the connector with a
//! mapping, and throws the rows away; then makes small files, and lists them when none of them
//! changed. Three million rows and 100 000 files, unless told otherwise. Prints megabytes per second of wall-clock and of processor time, and seconds.

#![expect(clippy::print_stdout, reason = "what it measures is what it is for")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use car_core::config::{ByteSize, Span};
use car_core::connector::{Connector, Context, FullImport, IncrementalImport};
use car_core::{Failure, FailureKind};
use file_connector::FileConnector;
use file_connector::config::Settings;

/// Rows in each of the two large files, when nobody says.
const ROWS: usize = 3_000_000;
/// Small files, when nobody says.
const FILES: usize = 100_000;

const MAPPING: &str = "mappings:
- files: '*'
  vertices:
  - collection: asset
    id: '{id}'
    fields: { name: '{name}', description: '{description}', risk: '{risk}' }
  - collection: ipaddress
    id: '{address}'
  edges:
  - collection: asset_ipaddress
    from: '{id}'
    to: '{address}'
";

fn broken(error: std::io::Error) -> Failure {
    Failure::new(FailureKind::General, "the folder cannot be used").because(error)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "speed".to_owned());
    let folder = PathBuf::from(folder);
    let number = |at: usize, usual: usize| {
        let told = std::env::args().nth(at);
        told.and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let (rows, files) = (number(2, ROWS), number(3, FILES));
    fs::create_dir_all(&folder).map_err(broken)?;
    let mapping = folder.join("mapping.yaml");
    fs::write(&mapping, MAPPING).map_err(broken)?;
    for ending in ["csv", "jsonl"] {
        let directory = folder.join(ending);
        let size = table(&directory, ending, rows).map_err(broken)?;
        let (began, used) = (Instant::now(), processor_time());
        let rows = read(&directory, Some(&mapping), None).await?;
        let (wall, used) = (began.elapsed().as_secs_f64(), processor_time() - used);
        let megabytes = size as f64 / 1e6;
        println!(
            "{ending}: {megabytes:.0} MB, {rows} rows in {wall:.2} s: {:.0} MB/s, {:.0} MB per second of one processor, at most {} MiB in memory",
            megabytes / wall,
            megabytes / used,
            peak_memory()
        );
    }
    let (directory, memory) = (folder.join("many"), folder.join("memory"));
    many(&directory, files).map_err(broken)?;
    // Hashes count once files are older than the clock of the file system can blur.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for what in ["listed and read", "listed and skipped as unchanged"] {
        let began = Instant::now();
        let connector = open(&directory, None, Some(&memory)).await?;
        let state = connector.model_state().await?;
        println!(
            "{files} files {what} in {:.2} s ({}), at most {} MiB in memory",
            began.elapsed().as_secs_f64(),
            state.map_or_else(String::new, |state| state.0),
            peak_memory()
        );
    }
    Ok(())
}

async fn open(
    directory: &Path,
    mapping: Option<&Path>,
    memory: Option<&Path>,
) -> Result<FileConnector, Failure> {
    let settings = Settings {
        directory: directory.into(),
        username: None,
        password: None,
        token: None,
        endpoint: None,
        region: None,
        server_timeout: Span(Duration::from_secs(60)),
        mapping: mapping.map(Path::to_owned),
        settle: Span(Duration::ZERO),
        page_size: 2000,
        memory: Some(memory.unwrap_or(Path::new("none")).to_owned()),
        largest_document: ByteSize(256 << 20),
        largest_file: ByteSize(64 << 30),
        most_expansion: 250,
    };
    let context = Context {
        source: "speed".to_owned(),
        cancel: Default::default(),
    };
    FileConnector::open(settings, context).await
}

/// Reads everything, and returns the number of rows.
async fn read(
    directory: &Path,
    mapping: Option<&Path>,
    memory: Option<&Path>,
) -> Result<usize, Failure> {
    let connector = open(directory, mapping, memory).await?;
    let mut rows = 0;
    for scope in connector.scopes().await? {
        let mut cursor = None;
        loop {
            let page = connector.fetch(&scope, cursor.as_ref()).await?;
            rows += page.records.len();
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    Ok(rows)
}

/// Writes a table, and returns its size.
fn table(directory: &Path, ending: &str, rows: usize) -> std::io::Result<u64> {
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("table.{ending}"));
    let mut file = BufWriter::new(File::create(&path)?);
    if ending == "csv" {
        writeln!(file, "id,name,description,risk,address,site,contact,seen")?;
    }
    for row in 0..rows {
        let (a, b, c) = (row >> 16 & 255, row >> 8 & 255, row & 255);
        if ending == "csv" {
            writeln!(
                file,
                "machine-{row},host{row}.example.org,\"A machine, in rack {c}\",{},10.{a}.{b}.{c},site-{b},owner{a}@example.org,2026-11-22T10:00:00Z",
                row % 10
            )?;
        } else {
            writeln!(
                file,
                "{{\"id\":\"machine-{row}\",\"name\":\"host{row}.example.org\",\"description\":\"A machine, in rack {c}\",\"risk\":{},\"address\":\"10.{a}.{b}.{c}\",\"site\":\"site-{b}\",\"contact\":\"owner{a}@example.org\",\"seen\":\"2026-11-22T10:00:00Z\"}}",
                row % 10
            )?;
        }
    }
    file.flush()?;
    fs::metadata(path).map(|metadata| metadata.len())
}

fn many(directory: &Path, files: usize) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    for number in 0..files {
        let text =
            format!("{{\"collection\":\"asset\",\"external_id\":\"{number}\",\"name\":\"n\"}}\n");
        fs::write(directory.join(format!("{number}.jsonl")), text)?;
    }
    Ok(())
}

/// Returns the processor time of this process in seconds.
fn processor_time() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

/// Returns the largest resident memory so far, in MiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() / 1024
}
