//! Tokens that no honest sender makes, sealed here by hand, and arbitrary bytes.
//! Tokens of a real sender are among the integration tests.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const KEY: [u8; 32] = [7; 32];
const IV: [u8; 12] = [9; 12];

fn key() -> Key {
    let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(KEY) });
    Key::from_jwk(&jwk.to_string()).unwrap()
}

/// Seals with `dir` and `A256GCM`, whatever the header says.
fn sealed(header: &str, content: &[u8]) -> [String; 5] {
    let header = URL_SAFE_NO_PAD.encode(header);
    let (ciphertext, tag) = encrypt(header.as_bytes(), content);
    [
        header,
        String::new(),
        URL_SAFE_NO_PAD.encode(IV),
        ciphertext,
        tag,
    ]
}

fn encrypt(aad: &[u8], content: &[u8]) -> (String, String) {
    let mut buffer = content.to_vec();
    let tag = Aes256Gcm::new_from_slice(&KEY)
        .unwrap()
        .encrypt_inout_detached(&Nonce::<U12>::from(IV), aad, buffer.as_mut_slice().into())
        .unwrap();
    (URL_SAFE_NO_PAD.encode(buffer), URL_SAFE_NO_PAD.encode(tag))
}

fn opened(token: &str) -> Result<String, TokenError> {
    decrypt(&key(), token).map(|content| String::from_utf8(content.to_vec()).unwrap())
}

fn opened_with(header: &str) -> Result<String, TokenError> {
    opened(&sealed(header, b"content").join("."))
}

#[test]
fn the_helper_seals_what_opens() {
    assert_eq!(
        opened_with(r#"{"alg":"dir","enc":"A256GCM"}"#).unwrap(),
        "content"
    );
    assert_eq!(
        opened_with(r#"{"alg":"dir","enc":"A256GCM","new":[1]}"#).unwrap(),
        "content"
    );
}

#[test]
fn headers_that_ask_for_more_are_refused() {
    let unsupported = |member, value: &str| TokenError::Unsupported {
        member,
        value: value.into(),
    };
    let size = |part| TokenError::PartSize { part };
    for (header, expected) in [
        (
            r#"{"alg":"dir","enc":"A256GCM","crit":["exp"],"exp":1}"#,
            TokenError::Critical,
        ),
        (
            r#"{"alg":"dir","enc":"A256GCM","zip":"GZIP"}"#,
            unsupported("zip", "GZIP"),
        ),
        (
            r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#,
            TokenError::Inflate,
        ),
        (r#"{"alg":"dir","enc":"none"}"#, unsupported("enc", "none")),
        (
            r#"{"alg":"none","enc":"A256GCM"}"#,
            unsupported("alg", "none"),
        ),
        (
            r#"{"alg":"RSA1_5","enc":"A256GCM"}"#,
            unsupported("alg", "RSA1_5"),
        ),
        (
            r#"{"alg":"a\u001b[31m red","enc":"A256GCM"}"#,
            unsupported("alg", "?"),
        ),
        (
            r#"{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":4000000000,"p2s":"AA"}"#,
            TokenError::PasswordBased {
                alg: "PBES2-HS512+A256KW".into(),
            },
        ),
        (
            r#"{"alg":"dir","enc":"A256CBC-HS512"}"#,
            TokenError::KeySize {
                name: "A256CBC-HS512".into(),
                needs: 512,
                found: 256,
            },
        ),
        (
            r#"{"alg":"dir","enc":"A128CBC-HS256"}"#,
            size("initialization vector"),
        ),
        (r#"{"alg":"A256KW","enc":"A256GCM"}"#, size("encrypted key")),
        (
            r#"{"alg":"A256GCMKW","enc":"A256GCM"}"#,
            size("header member `iv`"),
        ),
        (
            r#"{"alg":"A256GCMKW","enc":"A256GCM","iv":"AA","tag":"AA"}"#,
            size("initialization vector"),
        ),
        (r#"{"enc":"A256GCM"}"#, TokenError::Header),
        (r#"{"alg":"dir"}"#, TokenError::Header),
        (r#"{"alg":"dir","enc":7}"#, TokenError::Header),
        (r#"["dir","A256GCM"]"#, TokenError::Header),
        ("", TokenError::Header),
    ] {
        assert_eq!(opened_with(header), Err(expected), "{header}");
    }
}

#[test]
fn an_encrypted_key_where_none_belongs_is_refused() {
    let mut parts = sealed(r#"{"alg":"dir","enc":"A256GCM"}"#, b"content");
    parts[1] = "AAAA".into();
    assert_eq!(
        opened(&parts.join(".")),
        Err(TokenError::PartSize {
            part: "encrypted key"
        })
    );
}

#[test]
fn tags_and_nonces_of_another_length_are_refused() {
    let parts = sealed(r#"{"alg":"dir","enc":"A256GCM"}"#, b"content");
    for (index, part) in [(2, "initialization vector"), (4, "authentication tag")] {
        for short in ["", "AAAA", &"A".repeat(40)] {
            let mut parts = parts.clone();
            parts[index] = short.into();
            assert_eq!(opened(&parts.join(".")), Err(TokenError::PartSize { part }));
        }
    }
}

#[test]
fn packed_content_is_bounded() {
    let header = r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#;
    let pack = |bytes: usize| miniz_oxide::deflate::compress_to_vec(&vec![b'a'; bytes], 6);
    let most = opened(&sealed(header, &pack(MAX_PLAINTEXT_BYTES)).join(".")).unwrap();
    assert_eq!(most.len(), MAX_PLAINTEXT_BYTES);
    let over = opened(&sealed(header, &pack(MAX_PLAINTEXT_BYTES + 1)).join("."));
    assert_eq!(
        over,
        Err(TokenError::TooLarge {
            most: MAX_PLAINTEXT_BYTES
        })
    );
}

#[test]
fn a_member_in_two_headers_is_refused() {
    let [protected, _, iv, ciphertext, tag] =
        sealed(r#"{"alg":"dir","enc":"A256GCM"}"#, b"content");
    let token = |extra: Value| {
        let mut token = json!({
            "protected": protected, "iv": iv, "ciphertext": ciphertext, "tag": tag,
        });
        token
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        opened(&token.to_string())
    };
    assert_eq!(token(json!({})).unwrap(), "content");
    assert_eq!(
        token(json!({ "unprotected": { "kid": "x" } })).unwrap(),
        "content"
    );
    assert_eq!(
        token(json!({ "unprotected": { "alg": "dir" } })),
        Err(TokenError::Header)
    );
    assert_eq!(
        token(json!({ "header": { "enc": "A256GCM" } })),
        Err(TokenError::Header)
    );
    assert_eq!(
        token(json!({ "header": {}, "recipients": [{}] })),
        Err(TokenError::NotAToken),
        "both JSON forms at once"
    );
    let many = vec![json!({}); MAX_RECIPIENTS + 1];
    assert_eq!(
        token(json!({ "recipients": many })),
        Err(TokenError::Recipients {
            found: MAX_RECIPIENTS + 1,
            most: MAX_RECIPIENTS
        })
    );
    assert_eq!(token(json!({ "aad": "AAAA" })), Err(TokenError::Altered));
}

#[test]
fn one_time_keys_off_the_curve_are_refused() {
    let one = URL_SAFE_NO_PAD.encode([1; 32]);
    let private = json!({ "kty": "EC", "crv": "P-256", "d": one }).to_string();
    let private = Key::from_jwk(&private).unwrap();
    let open = |epk: Value| {
        let header = json!({ "alg": "ECDH-ES", "enc": "A256GCM", "epk": epk }).to_string();
        decrypt(&private, &sealed(&header, b"content").join("."))
            .map(drop)
            .unwrap_err()
    };
    let wrong = TokenError::PartSize {
        part: "header member `epk`",
    };
    assert_eq!(open(Value::Null), wrong);
    assert_eq!(
        open(json!({ "kty": "EC", "crv": "P-256", "x": one })),
        wrong
    );
    assert_eq!(
        open(json!({ "kty": "EC", "crv": "P-256", "x": one, "y": one })),
        wrong
    );
    assert_eq!(
        open(json!({ "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" })),
        wrong
    );
    let curve = TokenError::Unsupported {
        member: "epk.crv",
        value: "P-521".into(),
    };
    assert_eq!(
        open(json!({ "kty": "EC", "crv": "P-521", "x": one, "y": one })),
        curve
    );
    let kind = TokenError::Unsupported {
        member: "epk.kty",
        value: "OKP".into(),
    };
    assert_eq!(
        open(json!({ "kty": "OKP", "crv": "X25519", "x": one })),
        kind
    );
}

const ALGS: &str = "(dir|A128KW|A256KW|A192GCMKW|A256GCMKW|RSA-OAEP|RSA-OAEP-256|ECDH-ES|ECDH-ES\\+A256KW|PBES2-HS256\\+A128KW|[A-Z]{0,3})";
const ENCS: &str = "(A128CBC-HS256|A192CBC-HS384|A256CBC-HS512|A128GCM|A192GCM|A256GCM|x)";

/// An RSA key of these numbers, big-endian; without primes when there are none.
fn rsa_key(n: &[u8], e: &[u8], d: &[u8], primes: Option<[&[u8]; 2]>) -> Result<Key, KeyError> {
    let number = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    let mut jwk = json!({ "kty": "RSA", "n": number(n), "e": number(e), "d": number(d) });
    if let Some([p, q]) = primes {
        jwk["p"] = number(p);
        jwk["q"] = number(q);
    }
    Key::from_jwk(&jwk.to_string())
}

#[test]
fn rsa_numbers_that_almost_fit_are_refused() {
    const E: &[u8] = &[1, 0, 1];
    // (2^1024 - 1)^2 = 2^2048 - 2^1025 + 1
    let square_root = [0xff; 128];
    let square = [[0xff; 127].as_slice(), &[0xfe], &[0; 127], &[1]].concat();
    let [one, two, zero] = [[1_u8], [2], [0]];
    for d in [&zero[..], &one, &two, E, &square_root, &square] {
        for e in [&zero[..], &one, &two, &[3], E, &square_root] {
            for primes in [
                None,
                Some([&square_root[..], &square_root[..]]),
                Some([&square[..], &one[..]]),
                Some([&one[..], &square[..]]),
                Some([&zero[..], &zero[..]]),
            ] {
                assert!(rsa_key(&square, e, d, primes).is_err(), "e {e:?}, d {d:?}");
            }
        }
    }
}

/// Multiplies two big-endian numbers.
fn product(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut digits = vec![0_u32; left.len() + right.len()];
    for (i, l) in left.iter().rev().enumerate() {
        for (j, r) in right.iter().rev().enumerate() {
            digits[i + j] += u32::from(*l) * u32::from(*r);
            digits[i + j + 1] += digits[i + j] >> 8;
            digits[i + j] &= 0xff;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| u8::try_from(*digit).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rsa_keys_of_random_numbers_are_refused(
        p in proptest::collection::vec(any::<u8>(), 120..140),
        q in proptest::collection::vec(any::<u8>(), 120..140),
        e in prop_oneof![Just(vec![1, 0, 1]), proptest::collection::vec(any::<u8>(), 0..9)],
        d in proptest::collection::vec(any::<u8>(), 0..300),
        odd in any::<bool>(),
    ) {
        let [mut p, mut q] = [p, q];
        if odd {
            *p.last_mut().unwrap() |= 1;
            *q.last_mut().unwrap() |= 1;
        }
        let n = product(&p, &q);
        prop_assert!(rsa_key(&n, &e, &d, Some([&p, &q])).is_err());
        prop_assert!(rsa_key(&n, &e, &d, Some([&q, &e])).is_err());
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused(text in any::<String>()) {
        prop_assert!(decrypt(&key(), &text).is_err());
        prop_assert!(Key::from_jwk(&text).is_err());
    }

    #[test]
    fn five_parts_of_anything_are_refused(
        alg in ALGS,
        enc in ENCS,
        size in 0..80_usize,
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 4),
    ) {
        let key_of_size = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(vec![7; size]) });
        let key_of_size = Key::from_jwk(&key_of_size.to_string()).unwrap();
        let member = |index: usize| URL_SAFE_NO_PAD.encode(&parts[index]);
        let header = json!({ "alg": alg, "enc": enc, "iv": member(0), "tag": member(1) });
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        for index in 0..4 {
            token = format!("{token}.{}", member(index));
        }
        prop_assert!(decrypt(&key_of_size, &token).is_err());
    }

    #[test]
    fn keys_of_any_numbers_do_not_panic(
        kty in "(oct|RSA|EC)",
        numbers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..280), 6),
    ) {
        let number = |index: usize| URL_SAFE_NO_PAD.encode(&numbers[index]);
        let jwk = json!({
            "kty": kty, "crv": "P-256", "k": number(0), "n": number(0), "e": number(1),
            "d": number(2), "p": number(3), "q": number(4),
        });
        let key = Key::from_jwk(&jwk.to_string());
        prop_assert!(kty != "RSA" || key.is_err());
    }

    #[test]
    fn whatever_is_sealed_opens(content in any::<String>()) {
        let token = sealed(r#"{"alg":"dir","enc":"A256GCM"}"#, content.as_bytes()).join(".");
        prop_assert_eq!(opened(&token), Ok(content));
    }
}
