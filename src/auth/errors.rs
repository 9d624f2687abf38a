//! What can be wrong with a token, with the published keys, with the configuration. No text here ever holds a token or a
//! secret: it goes to strangers and into logs.

use thiserror::Error;

use super::{SECRET_MIN_BYTES, TOKEN_MAX_BYTES};

/// Why a token is refused: a stable [`code`](AuthError::code) and a sentence. All are a 401 but [`AuthError::KeysUnavailable`], a 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    #[error("This needs a bearer token.")]
    TokenMissing,
    #[error("The token is longer than {TOKEN_MAX_BYTES} bytes.")]
    TokenTooLong,
    #[error("The token is not a JSON Web Token: three base64url parts with a JSON header and JSON claims.")]
    TokenMalformed,
    #[error("The token's typ says that it is something other than an access token.")]
    TypeIsNotAccepted,
    #[error("The token's algorithm is not one that the configured keys accept.")]
    AlgorithmIsNotAccepted,
    #[error("The token is signed with a key that the issuer does not publish.")]
    KeyIsUnknown,
    #[error("The token's signature is wrong.")]
    SignatureIsWrong,
    #[error("The token has no exp that is a number: when it ends has to be said.")]
    ExpiryIsMissing,
    #[error("The token has expired.")]
    TokenExpired,
    #[error("The token is not valid yet.")]
    TokenNotYetValid,
    #[error("The token comes from another issuer.")]
    IssuerIsWrong,
    #[error("The token is meant for another audience.")]
    AudienceIsWrong,
    #[error("The token's role is none of anon, authenticated, service_role.")]
    RoleIsUnknown,
    #[error("The token has no sub: whose it is has to be said.")]
    SubjectIsMissing,
    #[error("The token's sub is not the UUID of a user.")]
    SubjectIsNotAUuid,
    #[error("The token's claims hold a NUL character, which Postgres can't store.")]
    ClaimsHoldNul,
    #[error("The issuer's keys can't be read at the moment.")]
    KeysUnavailable,
}

impl AuthError {
    pub const fn code(self) -> &'static str {
        match self {
            AuthError::TokenMissing => "token_missing",
            AuthError::TokenTooLong => "token_too_long",
            AuthError::TokenMalformed => "token_malformed",
            AuthError::TypeIsNotAccepted => "token_type_is_not_accepted",
            AuthError::AlgorithmIsNotAccepted => "token_algorithm_is_not_accepted",
            AuthError::KeyIsUnknown => "token_key_is_unknown",
            AuthError::SignatureIsWrong => "token_signature_is_wrong",
            AuthError::ExpiryIsMissing => "token_expiry_is_missing",
            AuthError::TokenExpired => "token_expired",
            AuthError::TokenNotYetValid => "token_not_yet_valid",
            AuthError::IssuerIsWrong => "token_issuer_is_wrong",
            AuthError::AudienceIsWrong => "token_audience_is_wrong",
            AuthError::RoleIsUnknown => "token_role_is_unknown",
            AuthError::SubjectIsMissing => "token_subject_is_missing",
            AuthError::SubjectIsNotAUuid => "token_subject_is_not_a_uuid",
            AuthError::ClaimsHoldNul => "token_claims_hold_nul",
            AuthError::KeysUnavailable => "keys_unavailable",
        }
    }
}

/// Why the published keys can't be had. `location` is without credentials and query.
#[derive(Debug, Error)]
pub enum KeysError {
    #[error("the keys at {location} can't be read: {reason}")]
    Unreadable { location: String, reason: String },
    #[error("{location} answered {status} instead of keys")]
    Refused { location: String, status: u16 },
    #[error("the keys at {location} are larger than {limit} bytes")]
    TooLarge { location: String, limit: usize },
    #[error("{location} holds no JSON Web Key Set: {reason}")]
    NotAKeySet { location: String, reason: &'static str },
}

/// Why the process can't start with this configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    #[error("there is nothing to believe: set JWT_SECRET, JWT_JWKS or SERVICE_KEY")]
    NothingToBelieve,
    #[error(
        "JWT_SECRET is shorter than {SECRET_MIN_BYTES} bytes and could be guessed; `openssl rand -base64 48` makes a good one"
    )]
    SecretIsShort,
    #[error(
        "SERVICE_KEY is shorter than {SECRET_MIN_BYTES} bytes and could be guessed; `openssl rand -base64 48` makes a good one"
    )]
    ServiceKeyIsShort,
    #[error("SERVICE_KEY is longer than {TOKEN_MAX_BYTES} bytes, the longest bearer token")]
    ServiceKeyIsLong,
    #[error("JWT_JWKS is not a URL that can be read")]
    JwksUrlIsWrong,
    #[error(
        "JWT_JWKS is {0}: who can change what travels there could put in keys of their own; use https, an address on this machine, or a file"
    )]
    JwksUrlIsNotHttps(String),
    #[error("JWT_JWKS holds the keys themselves; write them to a file and give its path")]
    JwksIsInline,
    #[error("JWT_JWKS: {0} holds no key that can verify a token")]
    JwksFileHasNoKeys(String),
    #[error("JWT_JWKS: {0}")]
    Jwks(#[from] KeysError),
    #[error("no HTTPS client can be made to read JWT_JWKS: {0}")]
    HttpClient(String),
    #[error("the service key can't be digested")]
    Crypto,
}

/// Why no development token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MintError {
    #[error("the secret is shorter than {SECRET_MIN_BYTES} bytes")]
    SecretIsShort,
    #[error("a token of role authenticated needs a subject")]
    SubjectIsMissing,
    #[error("the token would not live, or beyond the year 9999")]
    LifetimeIsWrong,
    #[error("the token can't be signed")]
    Signing,
}
