//! The three parts of a token, still unbelieved. Pure.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::AuthError;

/// What is read of the header. Keys that a token brings along (`jwk`, `jku`, `x5c`, `x5u`) are not: whoever forges a token
/// would name their own. A member given twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

pub(super) struct Signed<'a> {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    /// What the signature is over: header and claims as sent.
    pub message: &'a [u8],
    pub signature: Vec<u8>,
    /// All of it.
    pub token: &'a str,
    payload: &'a str,
}

impl<'a> Signed<'a> {
    pub fn parse(token: &'a str) -> Result<Self, AuthError> {
        let malformed = AuthError::TokenMalformed;
        let (message, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) = message.split_once('.').ok_or(malformed)?;
        if payload.contains('.') {
            return Err(malformed);
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| malformed)?;
        // RFC 7515, 4.1.11: extensions that must be understood, of which we understand none.
        if header.crit.is_some() {
            return Err(malformed);
        }
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(AuthError::TypeIsNotAccepted);
        }
        Ok(Self {
            algorithm: algorithm(&header.alg).ok_or(AuthError::AlgorithmIsNotAccepted)?,
            kid: header.kid,
            message: message.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed)?,
            token,
            payload,
        })
    }

    /// The claims; call it once the signature has been checked. Of a claim given twice the last counts, and as the claims
    /// are written anew from this map, Postgres sees no other.
    pub fn claims(&self) -> Result<Map<String, Value>, AuthError> {
        let payload = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| AuthError::TokenMalformed)?;
        serde_json::from_slice(&payload).map_err(|_| AuthError::TokenMalformed)
    }
}

/// By its exact name; `Ed25519` is what RFC 9864 calls EdDSA with the one curve we have.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => Algorithm::from_str(name).ok(),
    }
}

/// An issuer signs other things with the same keys: a `logout+jwt` names a user too and must not open their chats.
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}
