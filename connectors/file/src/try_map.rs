//! `map --try FILE`: shows what a file would come to, without a service.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use car_core::Failure;
use car_core::config::ByteSize;
use car_core::connector::OwnVerb;
use car_core::record::Records;
use clap::{Arg, ArgMatches, Command, ValueHint};
use tokio_util::sync::CancellationToken;

use crate::client::Directory;
use crate::error::{self, Broken};
use crate::map::Maps;
use crate::read::{Reading, parse};
use crate::rows::Sink;
use crate::unpack::{Limits, unpack};

/// Rows that are shown.
const USUAL: u64 = 100;

/// Describes the verb.
pub(crate) fn verb() -> OwnVerb {
    OwnVerb {
        command: Command::new("map")
            .about("Show what a file comes to, without importing it")
            .arg(
                Arg::new("try")
                    .long("try")
                    .value_name("FILE")
                    .required(true)
                    .value_hint(ValueHint::FilePath)
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("The file; `--mapping` names the mapping"),
            )
            .arg(
                Arg::new("rows")
                    .long("rows")
                    .value_name("N")
                    .default_value("100")
                    .value_parser(clap::value_parser!(u64))
                    .help("Most rows to show"),
            ),
        run,
    }
}

fn run(arguments: &ArgMatches) -> Result<String, Failure> {
    let path = arguments
        .get_one::<PathBuf>("try")
        .cloned()
        .unwrap_or_default();
    let own = match arguments.get_one::<PathBuf>("mapping") {
        Some(mapping) => crate::read_mapping(mapping)?.1,
        None => crate::map::MappingFile::default(),
    };
    let size = |name: &str, usual| {
        arguments
            .get_one::<ByteSize>(name)
            .map_or(usual, |size| size.0)
    };
    let reading = Reading {
        files: Arc::new(Directory::new(Path::new("."))),
        limits: Limits {
            file: size("largest_file", 64 << 30),
            document: size("largest_document", 256 << 20),
            expansion: arguments
                .get_one::<u32>("most_expansion")
                .copied()
                .unwrap_or(250)
                .into(),
        },
        page_size: 1000,
        memory: None,
        maps: Arc::new(Maps { own }),
        cancel: CancellationToken::new(),
    };
    let name = path.to_string_lossy().replace('\\', "/");
    let mut shown = Shown {
        text: String::new(),
        rows: 0,
        rejected: 0,
        most: arguments.get_one::<u64>("rows").copied().unwrap_or(USUAL),
    };
    let file = std::fs::File::open(&path).map_err(|error| error::unreadable_file(&name, error))?;
    let file: Box<dyn Read + Send> = Box::new(file);
    let read = unpack(file, reading.limits)
        .and_then(|(mut content, _)| parse(&reading, &name, 0, &mut *content, &mut shown));
    read.map_err(|broken| broken.failure(&name))?;
    let Shown {
        mut text,
        rows,
        rejected,
        most,
    } = shown;
    if rows > most {
        text.push_str("…\n");
    }
    text.push_str(&format!("{rows} rows, {rejected} rejected\n"));
    Ok(text)
}

/// Shows rows instead of sending them.
struct Shown {
    text: String,
    rows: u64,
    rejected: u64,
    most: u64,
}

impl Sink for Shown {
    fn page(&mut self, records: Records, _: u64) -> Result<(), Broken> {
        for row in records.rows() {
            self.rows = self.rows.saturating_add(1);
            if self.rows <= self.most {
                let json = String::from_utf8_lossy(row.json);
                self.text.push_str(&format!("{} {json}\n", row.collection));
            }
        }
        for reject in records.rejects() {
            self.rejected = self.rejected.saturating_add(1);
            if self.rejected <= self.most {
                self.text.push_str(&format!(
                    "rejected: {} {}\n",
                    reject.collection, reject.reason
                ));
            }
        }
        Ok(())
    }

    fn keys(&mut self, _: &[u8]) -> Result<(), Broken> {
        Ok(())
    }

    fn wants_keys(&self) -> bool {
        false
    }
}
