//! What can be wrong with a token or a key, in words that repeat none of it.

use thiserror::Error;

/// Why an encrypted token could not be opened.
///
/// No variant holds any of the content; the few names it repeats (`alg`,
/// `enc`, `zip`) are public parts of a token's header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is nothing in it.
    #[error("the token is empty")]
    Empty,
    /// Neither five parts with dots between them nor a JSON object of a token.
    #[error("this is not a JWE token: neither five parts joined by dots nor its JSON form")]
    NotAToken,
    /// A part is not base64url.
    #[error("the token's {part} is not base64url")]
    Base64 {
        /// Which part.
        part: &'static str,
    },
    /// The header is not a JSON object with texts `alg` and `enc`, or says
    /// something twice.
    #[error("the token's header is not an object with `alg` and `enc`, or repeats a member")]
    Header,
    /// The header names extensions that a reader must understand.
    #[error("the token's header asks for extensions (`crit`), which are not supported")]
    Critical,
    /// An algorithm that is not supported.
    #[error("the token's `{member}` is `{value}`, which is not supported")]
    Unsupported {
        /// The header member: `alg`, `enc`, `zip` or `epk.crv`.
        member: &'static str,
        /// Its value, shortened, or `?` when it is not a plain name.
        value: String,
    },
    /// A token that opens with a typed password, not with a key.
    #[error("the token's `alg` is `{alg}`: it was made with a password, not with the key")]
    PasswordBased {
        /// The algorithm's name.
        alg: String,
    },
    /// The algorithm needs another kind of key than the one given.
    #[error("the token's `alg` is `{alg}` and needs a key of type `{needs}`, the key is `{found}`")]
    KeyKind {
        /// The algorithm's name.
        alg: String,
        /// The JWK type (and curve) that it needs.
        needs: &'static str,
        /// The JWK type (and curve) of the key.
        found: &'static str,
    },
    /// The key has another length than the algorithm needs.
    #[error("the token's `{name}` needs a key of {needs} bits, the key has {found}")]
    KeySize {
        /// The algorithm's name.
        name: String,
        /// Bits that it needs.
        needs: usize,
        /// Bits that the key has.
        found: usize,
    },
    /// A part is missing, or longer or shorter than its algorithm allows.
    #[error("the token's {part} is missing or has a wrong length")]
    PartSize {
        /// Which part.
        part: &'static str,
    },
    /// The content key inside the token does not open with this key.
    #[error("the token does not open with this key, or was changed")]
    WrongKey,
    /// The content does not match its authentication tag.
    #[error("the token's content does not match its authentication tag: another key, or changed")]
    Altered,
    /// The content is marked as compressed and is not.
    #[error("the token's content does not unpack")]
    Inflate,
    /// The content unpacks to more than is accepted.
    #[error("the token unpacks to more than {most} bytes")]
    TooLarge {
        /// The limit in bytes.
        most: usize,
    },
    /// No recipients, or too many to try.
    #[error("the token names {found} recipients, 1 to {most} are accepted")]
    Recipients {
        /// How many it names.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// The content is not text.
    #[error("the token's content is not UTF-8 text")]
    NotText,
}

impl TokenError {
    /// Tells whether the token is sound as far as can be seen and only did not
    /// open.
    pub(super) fn is_wrong_key(&self) -> bool {
        matches!(self, Self::WrongKey | Self::Altered)
    }
}

/// Why a key file holds no usable key. No variant holds any of the key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a JSON object with a text `kty`.
    #[error("this is not a JSON Web Key: it must be one JSON object with `kty`")]
    NotAKey,
    /// Several keys in one file.
    #[error("this is a set of keys, one key is needed")]
    Set,
    /// A kind of key, or a curve, that is not supported.
    #[error("the key's `{member}` is `{value}`, which is not supported")]
    Unsupported {
        /// `kty` or `crv`.
        member: &'static str,
        /// Its value, shortened, or `?` when it is not a plain name.
        value: String,
    },
    /// A member that this kind of key needs is not there.
    #[error("the key's member `{member}` is missing")]
    Missing {
        /// Which member.
        member: &'static str,
    },
    /// A public key, which cannot open anything.
    #[error("this is a public key, the private key is needed (member `d`)")]
    PublicOnly,
    /// A member is not base64url.
    #[error("the key's member `{member}` is not base64url")]
    Base64 {
        /// Which member.
        member: &'static str,
    },
    /// A modulus outside the accepted sizes.
    #[error("the RSA key has {bits} bits, 2048 to 8192 are accepted")]
    RsaSize {
        /// Bits of the modulus.
        bits: usize,
    },
    /// Its numbers do not make a key of its kind.
    #[error("the key's numbers do not fit together as a private key of type `{kind}`")]
    Invalid {
        /// The kind of key.
        kind: &'static str,
    },
}

/// A name from outside, safe to print: plain characters only, and short.
pub(super) fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '_' | '.');
    if !name.is_empty() && name.len() <= 32 && name.chars().all(plain) {
        name.to_owned()
    } else {
        "?".to_owned()
    }
}
