//! Finds the key of a token's content: the `alg` algorithms of RFC 7518
//! section 4.

use aes::{Aes128, Aes192, Aes256};
use aes_kw::{AesKw, cipher::KeyInit};
use p256::PublicKey;
use rsa::{Oaep, RsaPrivateKey};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::content::{Encryption, open_gcm};
use super::error::shown;
use super::key::Key;
use super::{Header, PublicPoint, TokenError, base64url};

type Bytes = Zeroizing<Vec<u8>>;

/// Gives the key that opens the content.
pub(super) fn content_key(
    key: &Key,
    header: &Header,
    encrypted: &[u8],
    encryption: Encryption,
) -> Result<Bytes, TokenError> {
    let alg = header.alg.as_str();
    match alg {
        "dir" => {
            let shared = shared(key, alg)?;
            sized(shared, encryption.key_bytes(), encryption.name())?;
            nothing_encrypted(encrypted)?;
            Ok(shared.clone())
        }
        "A128KW" => unwrap_aes(sized(shared(key, alg)?, 16, alg)?, encrypted),
        "A192KW" => unwrap_aes(sized(shared(key, alg)?, 24, alg)?, encrypted),
        "A256KW" => unwrap_aes(sized(shared(key, alg)?, 32, alg)?, encrypted),
        "A128GCMKW" => unwrap_gcm(sized(shared(key, alg)?, 16, alg)?, header, encrypted),
        "A192GCMKW" => unwrap_gcm(sized(shared(key, alg)?, 24, alg)?, header, encrypted),
        "A256GCMKW" => unwrap_gcm(sized(shared(key, alg)?, 32, alg)?, header, encrypted),
        "RSA-OAEP" => unwrap_rsa(rsa(key, alg)?, Oaep::<Sha1>::new(), encrypted),
        "RSA-OAEP-256" => unwrap_rsa(rsa(key, alg)?, Oaep::<Sha256>::new(), encrypted),
        "ECDH-ES" => {
            nothing_encrypted(encrypted)?;
            agree(key, header, encryption.name(), encryption.key_bytes())
        }
        "ECDH-ES+A128KW" => unwrap_aes(&agree(key, header, alg, 16)?, encrypted),
        "ECDH-ES+A192KW" => unwrap_aes(&agree(key, header, alg, 24)?, encrypted),
        "ECDH-ES+A256KW" => unwrap_aes(&agree(key, header, alg, 32)?, encrypted),
        password if password.starts_with("PBES2-") => Err(TokenError::PasswordBased {
            alg: shown(password),
        }),
        other => Err(TokenError::Unsupported {
            member: "alg",
            value: shown(other),
        }),
    }
}

fn shared<'a>(key: &'a Key, alg: &str) -> Result<&'a Bytes, TokenError> {
    match key {
        Key::Shared(bytes) => Ok(bytes),
        Key::Rsa(_) | Key::P256(_) => Err(wrong_kind(alg, "oct", key)),
    }
}

fn rsa<'a>(key: &'a Key, alg: &str) -> Result<&'a RsaPrivateKey, TokenError> {
    match key {
        Key::Rsa(private) => Ok(private),
        Key::Shared(_) | Key::P256(_) => Err(wrong_kind(alg, "RSA", key)),
    }
}

fn wrong_kind(alg: &str, needs: &'static str, key: &Key) -> TokenError {
    TokenError::KeyKind {
        alg: shown(alg),
        needs,
        found: key.kind(),
    }
}

fn sized<'a>(key: &'a Bytes, bytes: usize, name: &str) -> Result<&'a Bytes, TokenError> {
    if key.len() == bytes {
        Ok(key)
    } else {
        Err(TokenError::KeySize {
            name: shown(name),
            needs: bytes * 8,
            found: key.len() * 8,
        })
    }
}

fn nothing_encrypted(encrypted: &[u8]) -> Result<(), TokenError> {
    if encrypted.is_empty() {
        Ok(())
    } else {
        Err(TokenError::PartSize {
            part: "encrypted key",
        })
    }
}

/// AES key wrap (RFC 3394); the length of `key` chooses the AES.
fn unwrap_aes(key: &[u8], encrypted: &[u8]) -> Result<Bytes, TokenError> {
    let size = || TokenError::PartSize {
        part: "encrypted key",
    };
    let mut plain = Zeroizing::new(vec![0; encrypted.len().checked_sub(8).ok_or_else(size)?]);
    let unwrapped = match key.len() {
        16 => AesKw::<Aes128>::new_from_slice(key)
            .map(|kw| kw.unwrap_key(encrypted, &mut plain).map(drop)),
        24 => AesKw::<Aes192>::new_from_slice(key)
            .map(|kw| kw.unwrap_key(encrypted, &mut plain).map(drop)),
        _ => AesKw::<Aes256>::new_from_slice(key)
            .map(|kw| kw.unwrap_key(encrypted, &mut plain).map(drop)),
    };
    match unwrapped {
        Ok(Ok(())) => Ok(plain),
        Ok(Err(aes_kw::Error::IntegrityCheckFailed)) => Err(TokenError::WrongKey),
        Ok(Err(_)) | Err(_) => Err(size()),
    }
}

fn unwrap_gcm(key: &[u8], header: &Header, encrypted: &[u8]) -> Result<Bytes, TokenError> {
    let iv = header_part("header member `iv`", header.iv.as_deref())?;
    let tag = header_part("header member `tag`", header.tag.as_deref())?;
    open_gcm(key, &iv, &[], encrypted, &tag)?.ok_or(TokenError::WrongKey)
}

fn unwrap_rsa<P: rsa::traits::PaddingScheme>(
    key: &RsaPrivateKey,
    padding: P,
    encrypted: &[u8],
) -> Result<Bytes, TokenError> {
    key.decrypt(padding, encrypted)
        .map(Zeroizing::new)
        .map_err(|_| TokenError::WrongKey)
}

/// Elliptic-curve key agreement with the sender's one-time key, then the single
/// step key derivation of NIST SP 800-56A over SHA-256.
fn agree(key: &Key, header: &Header, name: &str, bytes: usize) -> Result<Bytes, TokenError> {
    let Key::P256(private) = key else {
        return Err(wrong_kind(&header.alg, "EC P-256", key));
    };
    let epk = header.epk.as_ref().ok_or(TokenError::PartSize {
        part: "header member `epk`",
    })?;
    let agreed = private.diffie_hellman(&public_point(epk)?);
    let apu = optional_header_part("header member `apu`", header.apu.as_deref())?;
    let apv = optional_header_part("header member `apv`", header.apv.as_deref())?;

    let mut derived = Zeroizing::new(Vec::with_capacity(bytes + 32));
    let mut round = 0_u32;
    while derived.len() < bytes {
        round += 1;
        let mut hash = Sha256::new();
        hash.update(round.to_be_bytes());
        hash.update(agreed.raw_secret_bytes());
        for field in [name.as_bytes(), &apu, &apv] {
            hash.update(length(field.len()).to_be_bytes());
            hash.update(field);
        }
        hash.update(length(bytes * 8).to_be_bytes());
        derived.extend_from_slice(&hash.finalize());
    }
    derived.truncate(bytes);
    Ok(derived)
}

/// Tokens are at most a few megabytes, so the fallback is never met; a wrong
/// length only derives a key that does not open the token.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn public_point(epk: &PublicPoint) -> Result<PublicKey, TokenError> {
    const PART: &str = "header member `epk`";
    if epk.kty != "EC" {
        return Err(TokenError::Unsupported {
            member: "epk.kty",
            value: shown(&epk.kty),
        });
    }
    if epk.crv != "P-256" {
        return Err(TokenError::Unsupported {
            member: "epk.crv",
            value: shown(&epk.crv),
        });
    }
    let x = header_part(PART, Some(&epk.x))?;
    let y = header_part(PART, epk.y.as_deref())?;
    if x.len() != 32 || y.len() != 32 {
        return Err(TokenError::PartSize { part: PART });
    }
    // Refuses points that are not on the curve: agreeing with them would give
    // bits of the private key away.
    PublicKey::from_sec1_bytes(&[&[4], x.as_slice(), y.as_slice()].concat())
        .map_err(|_| TokenError::PartSize { part: PART })
}

fn header_part(part: &'static str, text: Option<&str>) -> Result<Bytes, TokenError> {
    base64url(text.ok_or(TokenError::PartSize { part })?).ok_or(TokenError::Base64 { part })
}

fn optional_header_part(part: &'static str, text: Option<&str>) -> Result<Bytes, TokenError> {
    text.map_or_else(
        || Ok(Bytes::default()),
        |text| header_part(part, Some(text)),
    )
}
