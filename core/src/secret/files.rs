//! Secrets as files: one encrypted file per environment variable, as platforms
//! mount them into a container.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::Secret;
use super::jwe::{self, Key, KeyError, TokenError};

/// Most bytes that a secret file or its key file may have.
pub const MAX_SECRET_FILE_BYTES: u64 = 1 << 20;

/// Where the key is, within the folder of secrets.
const KEY_FILE: &str = ".jwk/key.jwk";

/// The folder of secret files, usually `/etc/secrets`.
///
/// Each file is named after the environment variable that it stands for and
/// holds one encrypted token (JWE, compact or JSON), which the private key in
/// `.jwk/key.jwk` (a JWK) opens. Names that start with a dot are not settings:
/// a cluster keeps its own links there. Folders are not settings either.
#[derive(Debug, Clone, Copy)]
pub struct SecretFiles;

impl SecretFiles {
    /// Reads all secrets of the folder `dir`, by the name of their file.
    ///
    /// A folder that does not exist holds no secrets, and one without settings
    /// needs no key. A value is the exact content of its token: space around
    /// the token does not count, space within the content does.
    ///
    /// # Errors
    /// The first thing that cannot be read or opened, by name of the file: one
    /// secret that silently is missing would make the run fail later and
    /// further away. No error holds any of the content.
    pub fn read(dir: &Path) -> Result<BTreeMap<String, Secret>, SecretFileError> {
        let settings = settings(dir)?;
        if settings.is_empty() {
            return Ok(BTreeMap::new());
        }
        let key = read_key(dir.join(KEY_FILE))?;
        settings
            .into_iter()
            .map(|(name, file)| {
                let secret = read_secret(&key, file)?;
                Ok((name, secret))
            })
            .collect()
    }
}

/// Lists the files that are settings, by name.
fn settings(dir: &Path) -> Result<BTreeMap<String, PathBuf>, SecretFileError> {
    let unlisted = |source| SecretFileError::Folder {
        folder: dir.to_owned(),
        source,
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unlisted(error)),
    };
    let mut settings = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(unlisted)?;
        let file = entry.path();
        let raw_name = entry.file_name();
        if raw_name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let Some(name) = raw_name.to_str() else {
            return Err(SecretFileError::Name { file });
        };
        // Follows links: in a cluster every entry is one.
        let metadata = fs::metadata(&file).map_err(|source| SecretFileError::Unreadable {
            file: file.clone(),
            source,
        })?;
        if metadata.is_dir() {
            continue;
        }
        if !metadata.is_file() {
            return Err(SecretFileError::NotAFile { file });
        }
        settings.insert(name.to_owned(), file);
    }
    Ok(settings)
}

fn read_key(file: PathBuf) -> Result<Key, SecretFileError> {
    let not_there = |file: &Path| match fs::symlink_metadata(file) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(_) => false,
    };
    if not_there(&file) {
        return Err(SecretFileError::NoKey { file });
    }
    match fs::metadata(&file) {
        Ok(metadata) if !metadata.is_file() => return Err(SecretFileError::NotAFile { file }),
        Ok(_) => {}
        Err(source) => return Err(SecretFileError::Unreadable { file, source }),
    }
    let Some(text) = text(read_file(&file)?) else {
        return Err(SecretFileError::Key {
            file,
            source: KeyError::NotAKey,
        });
    };
    Key::from_jwk(&text).map_err(|source| SecretFileError::Key { file, source })
}

fn read_secret(key: &Key, file: PathBuf) -> Result<Secret, SecretFileError> {
    let opened = text(read_file(&file)?)
        .ok_or(TokenError::NotAToken)
        .and_then(|token| jwe::decrypt(key, &token))
        .and_then(|content| text(content).ok_or(TokenError::NotText));
    match opened {
        Ok(content) => Ok(Secret::from(content.as_str())),
        Err(source) => Err(SecretFileError::Token { file, source }),
    }
}

fn read_file(file: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let mut content = Zeroizing::new(Vec::new());
    File::open(file)
        .and_then(|opened| {
            opened
                .take(MAX_SECRET_FILE_BYTES + 1)
                .read_to_end(&mut content)
        })
        .map_err(|source| SecretFileError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
    if content.len() as u64 > MAX_SECRET_FILE_BYTES {
        return Err(SecretFileError::TooLarge {
            file: file.to_owned(),
        });
    }
    Ok(content)
}

/// Gives the bytes as text, `None` when they are not UTF-8.
fn text(bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    std::str::from_utf8(&bytes)
        .ok()
        .map(|text| Zeroizing::new(text.to_owned()))
}

/// Why the secret files could not be read. Each names the file; none holds any
/// of its content.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// The folder cannot be listed.
    #[error("cannot list the folder of secret files `{}`", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file name is not UTF-8 text.
    #[error("the name of the secret file `{}` is not UTF-8 text", file.display())]
    Name {
        /// The file.
        file: PathBuf,
    },
    /// An entry is neither a file nor a folder, a pipe for example.
    #[error("`{}` is not a regular file", file.display())]
    NotAFile {
        /// The entry.
        file: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read the secret file `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than [`MAX_SECRET_FILE_BYTES`].
    #[error("the secret file `{}` has more than {MAX_SECRET_FILE_BYTES} bytes", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// There are secret files but no key to open them.
    #[error("the key of the secret files, `{}`, does not exist", file.display())]
    NoKey {
        /// Where the key should be.
        file: PathBuf,
    },
    /// The key file holds no usable key.
    #[error("cannot use the key of the secret files, `{}`", file.display())]
    Key {
        /// The key file.
        file: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A token does not open.
    #[error("cannot decrypt the secret file `{}`", file.display())]
    Token {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: TokenError,
    },
}

impl SecretFileError {
    /// Gives the file or folder that it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder { folder: path, .. }
            | Self::Name { file: path }
            | Self::NotAFile { file: path }
            | Self::Unreadable { file: path, .. }
            | Self::TooLarge { file: path }
            | Self::NoKey { file: path }
            | Self::Key { file: path, .. }
            | Self::Token { file: path, .. } => path,
        }
    }

    /// Says what to do about it, as one sentence for a hint line.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Folder { .. } | Self::Unreadable { .. } => {
                "let the user of this process read it, and check that the link it may be has a target"
            }
            Self::Name { .. } => "name the file after the environment variable that it stands for",
            Self::NotAFile { .. } => {
                "keep only encrypted files in this folder, each named after its environment variable"
            }
            Self::TooLarge { .. } => "check that the file is an encrypted secret, they are small",
            Self::NoKey { .. } => {
                "mount the private key (a JWK) there, or remove the secret files and set the \
                 environment variables"
            }
            Self::Key { .. } => {
                "put there the private key (one JWK of type `oct`, `RSA` or `EC` P-256) that the \
                 secrets were encrypted for"
            }
            Self::Token { source, .. } => token_hint(source),
        }
    }
}

fn token_hint(error: &TokenError) -> &'static str {
    match error {
        TokenError::Empty
        | TokenError::NotAToken
        | TokenError::Base64 { .. }
        | TokenError::Header => {
            "write the file again: it must hold one encrypted JWE token, not the plain value"
        }
        TokenError::Critical
        | TokenError::Unsupported { .. }
        | TokenError::PasswordBased { .. }
        | TokenError::Recipients { .. } => {
            "encrypt the secret with `alg` A256KW (or dir, A256GCMKW, RSA-OAEP-256, \
             ECDH-ES+A256KW) and `enc` A256CBC-HS512 or A256GCM, for one recipient"
        }
        TokenError::NotText => "encrypt the secret as UTF-8 text",
        TokenError::Inflate | TokenError::TooLarge { .. } => {
            "encrypt the secret again, without `zip`"
        }
        TokenError::KeyKind { .. }
        | TokenError::KeySize { .. }
        | TokenError::PartSize { .. }
        | TokenError::WrongKey
        | TokenError::Altered => {
            "encrypt the secret again for the key in `.jwk/key.jwk`: one of them was replaced \
             without the other"
        }
    }
}
