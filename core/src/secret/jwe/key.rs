//! Reads the private key (a JWK of type `oct`, `RSA` or `EC`).

use p256::SecretKey as P256Key;
use rsa::{BoxedUint, RsaPrivateKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::base64url;
use super::error::{KeyError, shown};
use crate::secret::Secret;

/// Sizes of an RSA modulus in bits. RFC 7518 wants at least 2048; more than
/// 8192 only costs time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that opens tokens.
pub(in crate::secret) enum Key {
    /// Bytes that both sides share.
    Shared(Zeroizing<Vec<u8>>),
    /// An RSA private key.
    Rsa(Box<RsaPrivateKey>),
    /// A private key on the curve P-256.
    P256(P256Key),
}

/// Its members as they are in the file.
#[derive(Deserialize)]
struct Jwk {
    kty: Option<String>,
    crv: Option<String>,
    k: Option<Secret>,
    n: Option<Secret>,
    e: Option<Secret>,
    d: Option<Secret>,
    p: Option<Secret>,
    q: Option<Secret>,
    keys: Option<IgnoredAny>,
}

impl Key {
    /// Reads a key from the text of its file.
    ///
    /// # Errors
    /// When it is no private key of a supported kind; never with its content.
    pub(in crate::secret) fn from_jwk(text: &str) -> Result<Self, KeyError> {
        // The parser's own message could quote the key, so it is dropped.
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| KeyError::NotAKey)?;
        if jwk.keys.is_some() {
            return Err(KeyError::Set);
        }
        match jwk.kty.as_deref() {
            None => Err(KeyError::NotAKey),
            Some("oct") => Ok(Self::Shared(member("k", jwk.k.as_ref())?)),
            Some("RSA") => jwk.rsa(),
            Some("EC") => jwk.ec(),
            Some(other) => Err(KeyError::Unsupported {
                member: "kty",
                value: shown(other),
            }),
        }
    }

    /// Its type, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Shared(_) => "oct",
            Self::Rsa(_) => "RSA",
            Self::P256(_) => "EC P-256",
        }
    }
}

impl Jwk {
    fn rsa(&self) -> Result<Key, KeyError> {
        if self.d.is_none() {
            return Err(KeyError::PublicOnly);
        }
        let n = member("n", self.n.as_ref())?;
        let leading_zeros = n.iter().take_while(|byte| **byte == 0).count();
        let bits = n.get(leading_zeros).map_or(0, |top| {
            (n.len() - leading_zeros) * 8 - top.leading_zeros() as usize
        });
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize { bits });
        }
        let number = |name, value: Option<&Secret>| {
            let bytes = member(name, value)?;
            let within = bytes.len() * 8 <= *RSA_BITS.end() + 8;
            within
                .then(|| BoxedUint::from_be_slice_vartime(&bytes))
                .ok_or(KeyError::Invalid { kind: "RSA" })
        };
        // The primes are asked for, though they could be computed from the rest:
        // the computation panics on numbers that do not fit together.
        let primes = vec![number("p", self.p.as_ref())?, number("q", self.q.as_ref())?];
        RsaPrivateKey::from_components(
            BoxedUint::from_be_slice_vartime(&n),
            number("e", self.e.as_ref())?,
            number("d", self.d.as_ref())?,
            primes,
        )
        .map(|key| Key::Rsa(Box::new(key)))
        .map_err(|_| KeyError::Invalid { kind: "RSA" })
    }

    fn ec(&self) -> Result<Key, KeyError> {
        match self.crv.as_deref() {
            None => return Err(KeyError::Missing { member: "crv" }),
            Some("P-256") => {}
            Some(other) => {
                return Err(KeyError::Unsupported {
                    member: "crv",
                    value: shown(other),
                });
            }
        }
        if self.d.is_none() {
            return Err(KeyError::PublicOnly);
        }
        let d = member("d", self.d.as_ref())?;
        P256Key::from_slice(&d)
            .map(Key::P256)
            .map_err(|_| KeyError::Invalid { kind: "EC" })
    }
}

fn member(name: &'static str, value: Option<&Secret>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = value.ok_or(KeyError::Missing { member: name })?;
    base64url(text.expose()).ok_or(KeyError::Base64 { member: name })
}
