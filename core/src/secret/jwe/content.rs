//! Opens the content of a token: the `enc` algorithms of RFC 7518 section 5.

use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, Nonce, Tag};
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::TokenError;
use super::error::shown;

/// A content encryption algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    A128CbcHs256,
    A192CbcHs384,
    A256CbcHs512,
    A128Gcm,
    A192Gcm,
    A256Gcm,
}

impl Encryption {
    pub(super) fn named(name: &str) -> Result<Self, TokenError> {
        Ok(match name {
            "A128CBC-HS256" => Self::A128CbcHs256,
            "A192CBC-HS384" => Self::A192CbcHs384,
            "A256CBC-HS512" => Self::A256CbcHs512,
            "A128GCM" => Self::A128Gcm,
            "A192GCM" => Self::A192Gcm,
            "A256GCM" => Self::A256Gcm,
            other => {
                return Err(TokenError::Unsupported {
                    member: "enc",
                    value: shown(other),
                });
            }
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A192CbcHs384 => "A192CBC-HS384",
            Self::A256CbcHs512 => "A256CBC-HS512",
            Self::A128Gcm => "A128GCM",
            Self::A192Gcm => "A192GCM",
            Self::A256Gcm => "A256GCM",
        }
    }

    /// Bytes of its key. The CBC kinds need two keys, one after the other.
    pub(super) fn key_bytes(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A192Gcm => 24,
            Self::A128CbcHs256 | Self::A256Gcm => 32,
            Self::A192CbcHs384 => 48,
            Self::A256CbcHs512 => 64,
        }
    }

    /// Checks `tag` over everything, in constant time, and then decrypts.
    pub(super) fn open(
        self,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        if key.len() != self.key_bytes() {
            // The key was inside the token: whoever sealed it made a mistake,
            // or it opened with a wrong key by chance.
            return Err(TokenError::WrongKey);
        }
        let cbc = CbcParts {
            key,
            iv,
            aad,
            ciphertext,
            tag,
        };
        match self {
            Self::A128CbcHs256 => cbc.open::<Hmac<Sha256>, cbc::Decryptor<Aes128>>(),
            Self::A192CbcHs384 => cbc.open::<Hmac<Sha384>, cbc::Decryptor<Aes192>>(),
            Self::A256CbcHs512 => cbc.open::<Hmac<Sha512>, cbc::Decryptor<Aes256>>(),
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm => {
                open_gcm(key, iv, aad, ciphertext, tag)?.ok_or(TokenError::Altered)
            }
        }
    }
}

/// Opens AES-GCM with the AES of the key's length; `Ok(None)` when the tag does
/// not match.
///
/// Also serves the key wrapping with AES-GCM.
pub(super) fn open_gcm(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, TokenError> {
    let iv = Nonce::<U12>::try_from(iv).map_err(|_| TokenError::PartSize {
        part: "initialization vector",
    })?;
    let tag = Tag::try_from(tag).map_err(|_| TokenError::PartSize {
        part: "authentication tag",
    })?;
    let mut content = Zeroizing::new(ciphertext.to_vec());
    let size = || TokenError::PartSize {
        part: "content key",
    };
    let opened = match key.len() {
        16 => AesGcm::<Aes128, U12>::new_from_slice(key)
            .map_err(|_| size())?
            .decrypt_inout_detached(&iv, aad, content.as_mut_slice().into(), &tag),
        24 => AesGcm::<Aes192, U12>::new_from_slice(key)
            .map_err(|_| size())?
            .decrypt_inout_detached(&iv, aad, content.as_mut_slice().into(), &tag),
        32 => AesGcm::<Aes256, U12>::new_from_slice(key)
            .map_err(|_| size())?
            .decrypt_inout_detached(&iv, aad, content.as_mut_slice().into(), &tag),
        _ => return Err(size()),
    };
    Ok(opened.is_ok().then_some(content))
}

/// What the CBC kinds work on.
struct CbcParts<'a> {
    key: &'a [u8],
    iv: &'a [u8],
    aad: &'a [u8],
    ciphertext: &'a [u8],
    tag: &'a [u8],
}

impl CbcParts<'_> {
    fn open<M, C>(&self) -> Result<Zeroizing<Vec<u8>>, TokenError>
    where
        M: Mac + hmac::digest::KeyInit,
        C: BlockModeDecrypt + KeyIvInit,
    {
        let (mac_key, cipher_key) = self.key.split_at(self.key.len() / 2);
        // The tag is the first half of the MAC, as long as the MAC's key.
        if self.tag.len() != mac_key.len() {
            return Err(TokenError::PartSize {
                part: "authentication tag",
            });
        }
        let cipher = C::new_from_slices(cipher_key, self.iv).map_err(|_| TokenError::PartSize {
            part: "initialization vector",
        })?;
        let mut mac = <M as hmac::digest::KeyInit>::new_from_slice(mac_key).map_err(|_| {
            TokenError::PartSize {
                part: "content key",
            }
        })?;
        mac.update(self.aad);
        mac.update(self.iv);
        mac.update(self.ciphertext);
        mac.update(&(self.aad.len() as u64 * 8).to_be_bytes());
        mac.verify_truncated_left(self.tag)
            .map_err(|_| TokenError::Altered)?;
        cipher
            .decrypt_padded_vec::<Pkcs7>(self.ciphertext)
            .map(Zeroizing::new)
            .map_err(|_| TokenError::PartSize { part: "ciphertext" })
    }
}
