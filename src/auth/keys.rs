//! Keys: what each may verify, and which of them fits a token. Pure. Where they come from is jwks.rs.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, crypto, jwk::ThumbprintHash};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use uuid::Uuid;

use super::{
    SECRET_MIN_BYTES, SetupError,
    signed::{Signed, algorithm},
};

/// Most keys in a set; a larger one is no set of keys to verify with.
const KEYS_MAX: usize = 100;
/// Most signatures checked for one token, where its `kid` does not single a key out.
const KEYS_TRIED_MAX: usize = 8;
/// Most tokens whose signature a set remembers: a quarter of a megabyte.
const GENUINE_MAX: usize = 4_096;
/// RSA moduli, in bytes: 2,048 to 8,192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key and the algorithms it accepts: by its type, and only the one it names if it names one.
pub(super) struct VerifyingKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl VerifyingKey {
    pub fn from_secret(secret: &str) -> Self {
        Self {
            kid: None,
            algorithms: AlgorithmFamily::Hmac.algorithms().to_vec(),
            key: DecodingKey::from_secret(secret.as_bytes()),
        }
    }

    pub fn verifies(&self, signed: &Signed<'_>) -> bool {
        self.accepts(signed.algorithm)
            && (crypto::aws_lc::DEFAULT_PROVIDER.verifier_factory)(&signed.algorithm, &self.key)
                .is_ok_and(|verifier| verifier.verify(signed.message, &signed.signature).is_ok())
    }

    fn accepts(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

/// What a set of keys says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Genuine,
    Forged,
    KeyUnknown,
    AlgorithmRefused,
}

/// Who can read, and write, the place a set comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A URL: all the world reads it. A symmetric or private key in it is one that everybody has, so it is ignored.
    Published,
    /// A file of the operator's: may hold secrets.
    Local,
}

pub(super) struct KeySet {
    keys: Vec<VerifyingKey>,
    ignored: usize,
    genuine: Mutex<Genuine>,
}

/// Digests of tokens that this set has found genuine: an ES256 signature costs 56 µs, this 1. Only the signature is
/// remembered, the claims are read anew each time; it goes with the set, so that a withdrawn key takes its tokens along.
#[derive(Default)]
struct Genuine {
    recent: HashSet<Vec<u8>>,
    older: HashSet<Vec<u8>>,
}

impl Genuine {
    fn holds(&self, digest: &[u8]) -> bool {
        self.recent.contains(digest) || self.older.contains(digest)
    }

    fn remember(&mut self, digest: Vec<u8>) {
        if self.recent.len() >= GENUINE_MAX / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(digest);
    }
}

impl KeySet {
    /// A key that is no use is ignored, so that an issuer may publish kinds we don't know beside the ones we do.
    pub fn parse(json: &[u8], origin: Origin) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct JwkSet {
            keys: Vec<Value>,
        }
        let set: JwkSet = serde_json::from_slice(json).map_err(|_| "it is not JSON with an array of keys")?;
        if set.keys.len() > KEYS_MAX {
            return Err("it has more than 100 keys");
        }
        let all = set.keys.len();
        let keys: Vec<_> =
            set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.into_verifying_key(origin)).collect();
        Ok(Self { ignored: all - keys.len(), keys, genuine: Mutex::default() })
    }

    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// Whether a key has this very name.
    pub fn names(&self, kid: Option<&str>) -> bool {
        kid.is_some() && self.keys.iter().any(|key| key.kid.as_deref() == kid)
    }

    /// What this set says of the token, from memory if it has found it genuine before.
    pub fn judge(&self, signed: &Signed<'_>) -> Verdict {
        let genuine = || self.genuine.lock().unwrap_or_else(PoisonError::into_inner);
        let sha256 = crypto::aws_lc::DEFAULT_PROVIDER.key_utils.compute_digest;
        let Ok(digest) = sha256(signed.token.as_bytes(), ThumbprintHash::SHA256) else {
            return self.check(signed);
        };
        if genuine().holds(&digest) {
            return Verdict::Genuine;
        }
        let verdict = self.check(signed);
        if verdict == Verdict::Genuine {
            genuine().remember(digest);
        }
        verdict
    }

    /// By the key that the token names; where it names none, or none of ours, by those that may be meant.
    fn check(&self, signed: &Signed<'_>) -> Verdict {
        let kid = signed.kid.as_deref();
        let named = self.names(kid);
        let candidates: Vec<_> = self
            .keys
            .iter()
            .filter(|key| kid.is_none() || key.kid.as_deref() == if named { kid } else { None })
            .filter(|key| key.accepts(signed.algorithm))
            .take(KEYS_TRIED_MAX)
            .collect();
        if candidates.is_empty() {
            let unknown = kid.is_some() && !named;
            return if unknown { Verdict::KeyUnknown } else { Verdict::AlgorithmRefused };
        }
        let genuine = candidates.iter().any(|key| key.verifies(signed));
        if genuine { Verdict::Genuine } else { Verdict::Forged }
    }
}

/// One member of a JSON Web Key Set (RFC 7517).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<IgnoredAny>,
}

impl Jwk {
    fn into_verifying_key(self, origin: Origin) -> Option<VerifyingKey> {
        let for_verifying = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let secret = self.d.is_some() || self.kty == "oct";
        if !for_verifying || (secret && origin == Origin::Published) {
            return None;
        }
        let (key, mut algorithms) = self.material()?;
        if let Some(name) = &self.alg {
            let only = algorithm(name)?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        (!algorithms.is_empty()).then_some(VerifyingKey { kid: self.kid, algorithms, key })
    }

    /// The key with all that its type, and curve, can verify.
    fn material(&self) -> Option<(DecodingKey, Vec<Algorithm>)> {
        let all = |family: AlgorithmFamily| family.algorithms().to_vec();
        Some(match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(self.n.as_ref())?, bytes(self.e.as_ref())?);
                let n = &n[n.iter().position(|byte| *byte != 0)?..];
                if !RSA_MODULUS_BYTES.contains(&n.len()) {
                    return None;
                }
                (DecodingKey::from_rsa_raw_components(n, &e), all(AlgorithmFamily::Rsa))
            }
            ("EC", Some("P-256")) => (self.point(32)?, vec![Algorithm::ES256]),
            ("EC", Some("P-384")) => (self.point(48)?, vec![Algorithm::ES384]),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(self.x.as_ref()).filter(|x| x.len() == 32)?;
                (DecodingKey::from_ed_der(&x), all(AlgorithmFamily::Ed))
            }
            ("oct", _) => {
                let k = bytes(self.k.as_ref()).filter(|k| k.len() >= SECRET_MIN_BYTES)?;
                (DecodingKey::from_secret(&k), all(AlgorithmFamily::Hmac))
            }
            _ => return None,
        })
    }

    fn point(&self, coordinate_bytes: usize) -> Option<DecodingKey> {
        let (x, y) = (bytes(self.x.as_ref())?, bytes(self.y.as_ref())?);
        if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
            return None;
        }
        // Uncompressed point (SEC 1, 2.3.3).
        Some(DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
    }
}

fn bytes(member: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(member?).ok()
}

/// The opaque service key, kept as a digest under a key that only this process knows: comparing digests takes the same
/// time wherever the first difference is, and the key itself is not in memory.
pub(super) struct ServiceKey {
    pepper: DecodingKey,
    digest: Vec<u8>,
}

impl ServiceKey {
    pub fn new(service_key: &str) -> Result<Self, SetupError> {
        let pepper = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
        let digest = crypto::sign(service_key.as_bytes(), &EncodingKey::from_secret(&pepper), Algorithm::HS256)
            .ok()
            .and_then(|digest| URL_SAFE_NO_PAD.decode(digest).ok())
            .ok_or(SetupError::Crypto)?;
        Ok(Self { pepper: DecodingKey::from_secret(&pepper), digest })
    }

    pub fn is(&self, token: &str) -> bool {
        (crypto::aws_lc::DEFAULT_PROVIDER.verifier_factory)(&Algorithm::HS256, &self.pepper)
            .is_ok_and(|verifier| verifier.verify(token.as_bytes(), &self.digest).is_ok())
    }
}
