//! An issuer for the tests: makes its keys at run time and signs whatever it is told to.
//! It signs with aws-lc-rs itself, so that the code under test does not check its own work.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, RsaPublicKeyComponents},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tabletalk::auth::{AuthConfig, AuthError, Authenticator, Identity, Pace};
use time::OffsetDateTime;

pub const SECRET: &str = "a-secret-of-the-tests-that-is-long-enough";
pub const ALICE: &str = "a11ce000-0000-4000-8000-000000000001";

/// A private key, or the shared secret.
#[derive(Clone)]
pub enum Signer {
    Rsa(Arc<RsaKeyPair>),
    P256(Arc<EcdsaKeyPair>),
    P384(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
    Secret(Vec<u8>),
}

static RSA: LazyLock<Arc<RsaKeyPair>> = LazyLock::new(|| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key")));

impl Signer {
    /// The same one for all tests: making one takes long.
    pub fn rsa() -> Self {
        Self::Rsa(RSA.clone())
    }

    pub fn p256() -> Self {
        Self::P256(Arc::new(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key")))
    }

    pub fn p384() -> Self {
        Self::P384(Arc::new(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).expect("a P-384 key")))
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Arc::new(Ed25519KeyPair::generate().expect("an Ed25519 key")))
    }

    pub fn secret(secret: impl Into<Vec<u8>>) -> Self {
        Self::Secret(secret.into())
    }

    /// The public half as a JWK, without `alg`.
    pub fn jwk(&self, kid: &str) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = |crv: &str, key: &EcdsaKeyPair| {
            let (x, y) = key.public_key().as_ref()[1..].split_at((key.public_key().as_ref().len() - 1) / 2);
            json!({ "kty": "EC", "crv": crv, "kid": kid, "x": b64(x), "y": b64(y) })
        };
        match self {
            Self::Rsa(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({ "kty": "RSA", "kid": kid, "n": b64(&public.n), "e": b64(&public.e) })
            }
            Self::P256(key) => point("P-256", key),
            Self::P384(key) => point("P-384", key),
            Self::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(key.public_key().as_ref()) })
            }
            Self::Secret(secret) => json!({ "kty": "oct", "kid": kid, "k": b64(secret) }),
        }
    }

    /// SubjectPublicKeyInfo, what a PEM file holds.
    pub fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(key) => key.public_key().as_der(),
            Self::P256(key) | Self::P384(key) => key.public_key().as_der(),
            Self::Ed25519(key) => key.public_key().as_der(),
            Self::Secret(_) => panic!("a secret has no public half"),
        }
        .expect("a public key in DER");
        der.as_ref().to_vec()
    }

    pub fn public_pem(&self) -> String {
        let text = STANDARD.encode(self.public_der());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// Signs by `alg` where the key can, else as the key can: a lie in the header is part of many attacks.
    fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = match alg {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &SystemRandom::new(), message, &mut signature).expect("a signature");
                signature
            }
            Self::P256(key) | Self::P384(key) => key.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let digest = match alg {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(digest, secret), message).as_ref().to_vec()
            }
        }
    }

    pub fn token(&self, header: Value, claims: Value) -> String {
        self.token_of_text(header, &claims.to_string())
    }

    /// Claims as text, for what no JSON library would write.
    pub fn token_of_text(&self, header: Value, claims: &str) -> String {
        let alg = header["alg"].as_str().unwrap_or_default().to_owned();
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&alg, message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Alice's good token under this header.
    pub fn alice(&self, alg: &str, kid: &str) -> String {
        self.token(json!({ "alg": alg, "kid": kid, "typ": "JWT" }), alice())
    }
}

pub async fn refused(authenticator: &Authenticator, token: &str) -> AuthError {
    authenticator.verify(token).await.expect_err("a token to refuse")
}

pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Alice's claims, good for an hour.
pub fn alice() -> Value {
    json!({ "sub": ALICE, "role": "authenticated", "exp": now() + 3600 })
}

/// Alice's claims with others added or put in their place.
pub fn alice_with(others: Value) -> Value {
    let mut claims = alice();
    for (name, value) in others.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

pub fn alice_without(name: &str) -> Value {
    let mut claims = alice();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

/// Signed with the tests' secret.
pub fn hs256(claims: Value) -> String {
    Signer::secret(SECRET).token(json!({ "alg": "HS256", "typ": "JWT" }), claims)
}

pub fn with_secret() -> AuthConfig {
    AuthConfig { secret: Some(SECRET.to_owned()), ..AuthConfig::default() }
}

pub async fn believing(config: AuthConfig) -> Authenticator {
    Authenticator::new(&config).await.expect("a good configuration")
}

/// What the tests' secret alone says of these claims.
pub async fn judged(claims: Value) -> Result<Identity, AuthError> {
    believing(with_secret()).await.verify(&hs256(claims)).await
}

pub fn claims_of(identity: &Identity) -> Value {
    serde_json::from_str(&identity.claims).expect("claims are JSON")
}

pub fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// No pause between reads that a test would have to wait for, nor any refresh by age.
pub fn hasty() -> Pace {
    Pace { between_reads: Duration::ZERO, after_failure: Duration::ZERO, ..Pace::default() }
}

pub async fn believing_at(location: &str, pace: Pace) -> Authenticator {
    let config = AuthConfig { jwks: Some(location.to_owned()), ..AuthConfig::default() };
    Authenticator::with_pace(&config, pace).await.expect("a good configuration")
}

pub async fn code(authenticator: &Authenticator, token: &str) -> &'static str {
    authenticator.verify(token).await.map_or_else(AuthError::code, |_| "ok")
}
