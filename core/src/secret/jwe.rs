//! Opens encrypted tokens (JWE, RFC 7516) with a private key (JWK, RFC 7517).
//!
//! Only the reading half, and only what the files of a platform need: one
//! recipient's key, the compact and the JSON serialisations, the algorithms of
//! RFC 7518 without those that start from a typed password. The primitives come
//! from the RustCrypto crates; here is the glue between them: which part feeds
//! which step, and how large each may be.

mod content;
mod error;
mod key;
#[cfg(test)]
mod tests;
mod unwrap;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use content::Encryption;
pub use error::{KeyError, TokenError};
pub(super) use key::Key;

/// Most bytes that a token may unpack to. Compressed text can grow a
/// thousandfold, so the packed size alone bounds nothing.
pub(super) const MAX_PLAINTEXT_BYTES: usize = 1 << 20;

/// Most recipients of one token that are tried, so that a small file cannot
/// ask for hours of key operations.
const MAX_RECIPIENTS: usize = 16;

const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64url, with or without padding; `None` when it is not that.
fn base64url(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    BASE64URL.decode(text).ok().map(Zeroizing::new)
}

/// Opens a token and gives the length of what is in it.
#[cfg(feature = "fuzzing")]
pub(crate) fn open_token(key: &str, token: &str) -> Result<usize, String> {
    let key = Key::from_jwk(key).map_err(|error| error.to_string())?;
    let content = decrypt(&key, token).map_err(|error| error.to_string())?;
    Ok(content.len())
}

/// Opens `token` with `key` and gives its content.
///
/// Space around the token is ignored: files often end with a newline.
///
/// # Errors
/// When it is not a token, asks for something unsupported, or does not open
/// with this key. No error repeats any of the content.
pub(super) fn decrypt(key: &Key, token: &str) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let token = token.trim();
    if token.is_empty() {
        return Err(TokenError::Empty);
    }
    let sealed = if token.starts_with('{') {
        Sealed::from_json(token)?
    } else {
        Sealed::from_compact(token)?
    };
    sealed.open(key)
}

/// A token taken apart, nothing in it trusted yet.
struct Sealed {
    /// The protected header as it was sent: it is part of what is signed.
    aad: String,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
    recipients: Vec<Recipient>,
}

/// One of the keys that a token was made for.
struct Recipient {
    header: Header,
    encrypted_key: Vec<u8>,
}

/// The header members that decide how a token opens.
#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    zip: Option<String>,
    /// Extensions that a reader must understand; none is understood here.
    crit: Option<Value>,
    /// Nonce and tag of a content key wrapped with AES-GCM.
    iv: Option<String>,
    tag: Option<String>,
    /// The sender's one-time public key and the parties' names (ECDH-ES).
    epk: Option<PublicPoint>,
    apu: Option<String>,
    apv: Option<String>,
}

/// A public key on an elliptic curve.
#[derive(Deserialize)]
struct PublicPoint {
    kty: String,
    crv: String,
    x: String,
    y: Option<String>,
}

/// The JSON serialisation, general (`recipients`) or flattened.
#[derive(Deserialize)]
struct JsonToken {
    protected: Option<String>,
    unprotected: Option<Map<String, Value>>,
    header: Option<Map<String, Value>>,
    encrypted_key: Option<String>,
    recipients: Option<Vec<JsonRecipient>>,
    aad: Option<String>,
    iv: Option<String>,
    ciphertext: String,
    tag: Option<String>,
}

#[derive(Deserialize)]
struct JsonRecipient {
    header: Option<Map<String, Value>>,
    encrypted_key: Option<String>,
}

impl Sealed {
    fn from_compact(token: &str) -> Result<Self, TokenError> {
        let mut parts = token.split('.');
        let (Some(protected), Some(encrypted_key), Some(iv), Some(ciphertext), Some(tag), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(TokenError::NotAToken);
        };
        let header = Header::from_members(protected_members(protected)?)?;
        Ok(Self {
            aad: protected.to_owned(),
            iv: part("initialization vector", iv)?,
            ciphertext: part("ciphertext", ciphertext)?,
            tag: part("authentication tag", tag)?,
            recipients: vec![Recipient {
                header,
                encrypted_key: part("encrypted key", encrypted_key)?,
            }],
        })
    }

    fn from_json(token: &str) -> Result<Self, TokenError> {
        // The parser's own message could quote the file, so it is dropped.
        let token: JsonToken = serde_json::from_str(token).map_err(|_| TokenError::NotAToken)?;
        let protected = token.protected.unwrap_or_default();
        let mut shared = if protected.is_empty() {
            Map::new()
        } else {
            protected_members(&protected)?
        };
        merge(&mut shared, token.unprotected)?;

        let single = JsonRecipient {
            header: token.header,
            encrypted_key: token.encrypted_key,
        };
        let listed = match token.recipients {
            None => vec![single],
            Some(_) if single.header.is_some() || single.encrypted_key.is_some() => {
                return Err(TokenError::NotAToken);
            }
            Some(listed) => listed,
        };
        if listed.is_empty() || listed.len() > MAX_RECIPIENTS {
            return Err(TokenError::Recipients {
                found: listed.len(),
                most: MAX_RECIPIENTS,
            });
        }
        let recipients = listed
            .into_iter()
            .map(|recipient| {
                let mut members = shared.clone();
                merge(&mut members, recipient.header)?;
                Ok(Recipient {
                    header: Header::from_members(members)?,
                    encrypted_key: optional_part("encrypted key", recipient.encrypted_key)?,
                })
            })
            .collect::<Result<_, TokenError>>()?;

        let aad = match token.aad {
            Some(extra) => {
                part("additional data", &extra)?;
                format!("{protected}.{extra}")
            }
            None => protected,
        };
        Ok(Self {
            aad,
            iv: optional_part("initialization vector", token.iv)?,
            ciphertext: part("ciphertext", &token.ciphertext)?,
            tag: optional_part("authentication tag", token.tag)?,
            recipients,
        })
    }

    /// Opens with the first recipient that the key fits. When none does, the
    /// error is the one that got furthest: "wrong key" says more than "made for
    /// another kind of key" about the token that was meant for this key.
    fn open(&self, key: &Key) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let mut best = None;
        for recipient in &self.recipients {
            match self.open_for(recipient, key) {
                Ok(content) => return Ok(content),
                Err(error) => {
                    if best.is_none() || error.is_wrong_key() {
                        best = Some(error);
                    }
                }
            }
        }
        Err(best.unwrap_or(TokenError::NotAToken))
    }

    fn open_for(&self, recipient: &Recipient, key: &Key) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let header = &recipient.header;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let encryption = Encryption::named(&header.enc)?;
        let packed = match header.zip.as_deref() {
            None => false,
            Some("DEF") => true,
            Some(other) => {
                return Err(TokenError::Unsupported {
                    member: "zip",
                    value: error::shown(other),
                });
            }
        };
        let content_key = unwrap::content_key(key, header, &recipient.encrypted_key, encryption)?;
        let content = encryption.open(
            &content_key,
            &self.iv,
            self.aad.as_bytes(),
            &self.ciphertext,
            &self.tag,
        )?;
        if packed {
            inflate(&content)
        } else {
            Ok(content)
        }
    }
}

impl Header {
    fn from_members(members: Map<String, Value>) -> Result<Self, TokenError> {
        serde_json::from_value(Value::Object(members)).map_err(|_| TokenError::Header)
    }
}

fn protected_members(protected: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = base64url(protected).ok_or(TokenError::Base64 {
        part: "protected header",
    })?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Header)
}

/// Joins two headers; a member in both is an attack or a mistake.
fn merge(
    into: &mut Map<String, Value>,
    from: Option<Map<String, Value>>,
) -> Result<(), TokenError> {
    for (name, value) in from.unwrap_or_default() {
        if into.insert(name, value).is_some() {
            return Err(TokenError::Header);
        }
    }
    Ok(())
}

fn part(name: &'static str, text: &str) -> Result<Vec<u8>, TokenError> {
    BASE64URL
        .decode(text)
        .map_err(|_| TokenError::Base64 { part: name })
}

fn optional_part(name: &'static str, text: Option<String>) -> Result<Vec<u8>, TokenError> {
    text.map_or_else(|| Ok(Vec::new()), |text| part(name, &text))
}

fn inflate(packed: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

    match decompress_to_vec_with_limit(packed, MAX_PLAINTEXT_BYTES) {
        Ok(content) => Ok(Zeroizing::new(content)),
        Err(error) => {
            let _partial = Zeroizing::new(error.output);
            if error.status == TINFLStatus::HasMoreOutput {
                Err(TokenError::TooLarge {
                    most: MAX_PLAINTEXT_BYTES,
                })
            } else {
                Err(TokenError::Inflate)
            }
        }
    }
}
