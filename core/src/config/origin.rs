//! Where a value came from, as errors say it.

use std::fmt;
use std::path::PathBuf;

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag {
        /// The long flag without dashes.
        flag: String,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// An encrypted file in the folder of secrets.
    SecretFile {
        /// The file.
        file: PathBuf,
    },
    /// The YAML file.
    File {
        /// The file.
        file: PathBuf,
        /// The key as it stands there.
        key: String,
        /// Its line, from 1, where it could be found.
        line: Option<usize>,
    },
    /// Nobody gave a value.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag { flag } => write!(f, "flag --{flag}"),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::SecretFile { file } => write!(f, "secret file {}", file.display()),
            Self::File {
                file,
                key,
                line: Some(line),
            } => {
                write!(f, "key `{key}` in line {line} of {}", file.display())
            }
            Self::File {
                file,
                key,
                line: None,
            } => write!(f, "key `{key}` of {}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}
