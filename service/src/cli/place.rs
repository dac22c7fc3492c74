//! Where the data is: a folder, or a server whose address may hold a password.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use thiserror::Error;

use crate::admin::Place;

/// The address of a database server; never shown, since it may hold a password.
#[derive(Clone)]
struct Address(String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

impl FromStr for Address {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// Why the address of the database cannot be used.
#[derive(Debug, Error)]
pub(super) enum AddressError {
    /// Its file cannot be read.
    #[error("cannot read {}; name another file with --database-url-file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everybody on the machine could read it.
    #[error(
        "the address in --database-url holds a password, which every user of this machine can \
         see in the list of processes; give it with the environment variable \
         CAR_SERVICE_DATABASE_URL or with --database-url-file"
    )]
    Exposed,
}

#[derive(Debug, Clone, Args)]
pub(super) struct PlaceArgs {
    /// Folder with the data
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present_any = ["database_url", "database_url_file"]
    )]
    data: Option<PathBuf>,

    /// PostgreSQL server to keep the data on, instead of a folder; with a password only from
    /// the environment
    #[arg(
        long,
        value_name = "URL",
        env = "CAR_SERVICE_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<Address>,

    /// File with the address of the PostgreSQL server
    #[arg(
        long,
        value_name = "FILE",
        env = "CAR_SERVICE_DATABASE_URL_FILE",
        conflicts_with = "database_url"
    )]
    database_url_file: Option<PathBuf>,
}

impl PlaceArgs {
    /// Returns where the data is.
    ///
    /// # Errors
    ///
    /// When the address cannot be read, or a password stands on the command line.
    pub(super) fn place(self) -> Result<Place, AddressError> {
        if let Some(path) = self.database_url_file {
            return match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Place::Server(text.trim().to_owned())),
                Err(source) => Err(AddressError::File { path, source }),
            };
        }
        let Some(Address(url)) = self.database_url else {
            return Ok(Place::Folder(self.data.unwrap_or_default()));
        };
        let typed = std::env::args_os().any(|word| word.to_string_lossy().contains(&url));
        if typed && has_password(&url) {
            return Err(AddressError::Exposed);
        }
        Ok(Place::Server(url))
    }
}

/// Tells whether an address holds a password, before its host or among its parameters.
fn has_password(url: &str) -> bool {
    let (rest, parameters) = url.split_once('?').unwrap_or((url, ""));
    let (_, rest) = rest.split_once("://").unwrap_or(("", rest));
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    let after_user = user.split_once(':').map_or("", |(_, password)| password);
    !after_user.is_empty()
        || parameters
            .split('&')
            .any(|parameter| parameter.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_wherever_it_stands() {
        for (url, has) in [
            ("postgres://u:p@h/d", true),
            ("postgres://u:p%40@h:5432/d?sslmode=require", true),
            ("postgres://u@h/d?sslmode=require&password=p", true),
            ("postgres://:p@/d?host=/run", true),
            ("postgres://u@h:5432/d", false),
            ("postgres://u:@h/d", false),
            ("postgres://h/d?host=/run/a:b@c", false),
        ] {
            assert_eq!(has_password(url), has, "{url}");
        }
        let shown = format!("{:?}", Address("postgres://u:secret@h/d".to_owned()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
