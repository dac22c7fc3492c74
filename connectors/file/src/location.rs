//! Where the files are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// Where the files are: a directory of this machine, a folder of a web server, or a part of a
/// bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine.
    Folder(PathBuf),
    /// A folder of a web server that lists it (WebDAV): `https://HOST/PATH`.
    Web(Url),
    /// Objects of an S3-compatible store: `s3://BUCKET/PREFIX`.
    Bucket {
        /// Name of the bucket.
        bucket: String,
        /// What the names of the objects begin with, without a slash at either end; empty for
        /// the whole bucket.
        prefix: String,
    },
    /// An address with something in it that must not be shown, and why it is refused.
    Unusable(&'static str),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.is_empty() {
                true => Err("a directory or an address is expected".to_owned()),
                false => Ok(Self::Folder(text.into())),
            };
        };
        match scheme {
            "http" | "https" => web(text),
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(
                        "the name of the bucket is missing: `s3://BUCKET/PREFIX`".to_owned()
                    );
                }
                Ok(Self::Bucket {
                    bucket: bucket.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                })
            }
            _ => Err(format!(
                "nothing is known of `{scheme}://`; there are directories, `https://`, `http://` and `s3://`"
            )),
        }
    }
}

fn web(text: &str) -> Result<Location, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        // What is refused while settings are read is shown.
        return Ok(Location::Unusable(
            "credentials do not belong into an address; `--username`, `--password` and `--token` take them",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Ok(Location::Unusable(
            "the address of a folder has no `?` and no `#`",
        ));
    }
    Ok(Location::Web(url))
}

impl From<&Path> for Location {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Web(url) => write!(f, "{url}"),
            Self::Unusable(_) => f.write_str("an address that cannot be used"),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_how_they_begin() {
        for (text, shown) in [
            ("/var/scans", Some("/var/scans")),
            ("scans", Some("scans")),
            (
                "https://dav.example.org/scans/",
                Some("https://dav.example.org/scans/"),
            ),
            ("s3://bucket", Some("s3://bucket")),
            ("s3://bucket/a/b/", Some("s3://bucket/a/b")),
            ("", None),
            ("s3:///a", None),
            ("ftp://example.org/a", None),
            ("https://", None),
            (
                "https://user:word@example.org/a",
                Some("an address that cannot be used"),
            ),
            (
                "https://example.org/a?b=word",
                Some("an address that cannot be used"),
            ),
        ] {
            let location = text
                .parse::<Location>()
                .map(|location| location.to_string());
            assert_eq!(location.ok().as_deref(), shown, "{text}");
        }
    }
}
