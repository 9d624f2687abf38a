//! Who asks: a bearer token becomes a verified [`Identity`].
//!
//! Owns what is believed (secret, published keys, service key) and the checks of a token: form, signature, time, issuer,
//! audience, role, subject. It must not know HTTP frameworks, nor decide who may do what: rules are SQL, and the claims
//! of [`Identity`] are what SQL sees as `request.jwt.claims`.
//!
//! ```text
//! token ─► signed.rs ─► keys.rs ◄─ jwks.rs (URL or file) ─► claims.rs ─► Identity ─► db.rs
//!          (three parts) (signature)  (fetched, paced)       (what it says)
//! ```
//!
//! **Invariant: the key's type decides the algorithm.** The token's `alg` only picks among what a key accepts, so
//! `none`, or HS256 "signed" with a public key, finds no key. Keys a token brings along (`jwk`, `jku`, `x5u`) are not read.

mod claims;
mod errors;
mod jwks;
mod keys;
mod mint;
mod signed;

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::AlgorithmFamily;
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use self::{
    claims::Expected,
    jwks::Source,
    keys::{ServiceKey, Verdict, VerifyingKey},
    signed::Signed,
};
pub use self::{
    claims::SUBJECT_NAMESPACE,
    errors::{AuthError, KeysError, MintError, SetupError},
    jwks::Pace,
    mint::{NewToken, mint},
};

/// Longest bearer token looked at, in bytes; a longer one is refused before any parsing.
pub const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// Shortest secret or service key, in bytes: HS256 is as strong as its key up to 32 (RFC 7518, 3.2).
pub const SECRET_MIN_BYTES: usize = 32;
/// How far the clocks of issuer and server may be apart, in seconds, at `exp` and `nbf`.
pub const CLOCK_SKEW_SECONDS: i64 = 30;
/// The expiry of what does not expire (the service key), and the latest that any token can have.
pub const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What to believe: `JWT_SECRET`, `JWT_JWKS`, `JWT_AUDIENCE`, `JWT_ISSUER`, `JWT_SUBJECT`, `SERVICE_KEY`.
#[derive(Clone, Default)]
pub struct AuthConfig {
    /// HS256/384/512; at least [`SECRET_MIN_BYTES`].
    pub secret: Option<String>,
    /// `https://…` (`http://` to loopback only) or the path of a file; RS*, PS*, ES*, EdDSA, and from a file HS*.
    pub jwks: Option<String>,
    /// When set, the token's `aud` must be it or hold it.
    pub audience: Option<String>,
    /// When set, the token's `iss` must be it.
    pub issuer: Option<String>,
    pub subject: Subject,
    /// An opaque bearer that is the service role.
    pub service_key: Option<String>,
}

/// How `sub` becomes the user's UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// `sub` is a UUID.
    #[default]
    Uuid,
    /// `sub` is any string, mapped by UUIDv5 of `iss` and `sub`; see [`SUBJECT_NAMESPACE`].
    Derived,
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "[hidden]");
        f.debug_struct("AuthConfig")
            .field("secret", &hidden(&self.secret))
            .field("jwks", &self.jwks.as_deref().map(jwks::shown))
            .field("audience", &self.audience)
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("service_key", &hidden(&self.service_key))
            .finish()
    }
}

/// The database role a token asks for. Nothing else becomes a role: a token that names `postgres` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Anon,
    Authenticated,
    ServiceRole,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Anon => "anon",
            Role::Authenticated => "authenticated",
            Role::ServiceRole => "service_role",
        }
    }
}

/// Who asks, verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub role: Role,
    /// The user; always there for [`Role::Authenticated`], never for the other two.
    pub subject: Option<Uuid>,
    /// JSON text for `request.jwt.claims`: the token's claims with `sub` and `role` as they count here. Never holds NUL.
    pub claims: Arc<str>,
    /// The token's `exp`; up to [`CLOCK_SKEW_SECONDS`] in the past already. [`NEVER`] for the service key.
    pub expires_at: OffsetDateTime,
    /// The request they ask in, which the audit names: given by who took the token from it.
    pub request: Option<Uuid>,
}

impl Identity {
    /// How long the token still lasts; ten years at most, which is longer than any process.
    pub fn time_left(&self) -> Duration {
        let left = self.expires_at - OffsetDateTime::now_utc() + time::Duration::seconds(CLOCK_SKEW_SECONDS);
        Duration::try_from(left).unwrap_or_default().min(TEN_YEARS)
    }
}

/// Without the claims: they hold names and e-mail addresses, which are not for logs.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("role", &self.role)
            .field("subject", &self.subject)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What [`Authenticator::probe`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    pub secret: bool,
    pub service_key: bool,
    pub jwks: Option<BelievedKeys>,
}

/// The published keys as they are now. `usable` 0 refuses every token signed with a private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BelievedKeys {
    /// The URL (without credentials and query) or the path.
    pub location: String,
    pub usable: usize,
    /// Not for verifying, of an unknown or too weak kind, or secret where all can read it.
    pub ignored: usize,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    secret: Option<VerifyingKey>,
    service_key: Option<ServiceKey>,
    jwks: Option<Source>,
    expected: Expected,
    /// The bearer that stands for nobody, within this process: and how it is known again.
    nobody: (String, ServiceKey),
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Checks the configuration and loads the published keys. A file must be readable and hold a key; an unreachable URL
    /// is only logged (the issuer may start later) and asked again when a token needs it: until then such tokens get
    /// [`AuthError::KeysUnavailable`]. [`probe`](Self::probe) tells.
    ///
    /// # Errors
    /// When the configuration does not fit, or a file of keys cannot be read.
    pub async fn new(config: &AuthConfig) -> Result<Self, SetupError> {
        Self::with_pace(config, Pace::default()).await
    }

    /// As [`new`](Self::new), with other timings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn with_pace(config: &AuthConfig, pace: Pace) -> Result<Self, SetupError> {
        if config.secret.is_none() && config.jwks.is_none() && config.service_key.is_none() {
            return Err(SetupError::NothingToBelieve);
        }
        let secret = match config.secret.as_deref() {
            Some(secret) if secret.len() < SECRET_MIN_BYTES => {
                return Err(SetupError::SecretIsShort);
            }
            secret => secret.map(VerifyingKey::from_secret),
        };
        let service_key = match config.service_key.as_deref() {
            Some(key) if key.len() < SECRET_MIN_BYTES => return Err(SetupError::ServiceKeyIsShort),
            Some(key) if key.len() > TOKEN_MAX_BYTES => return Err(SetupError::ServiceKeyIsLong),
            key => key.map(ServiceKey::new).transpose()?,
        };
        let jwks = match config.jwks.as_deref() {
            Some(location) => Some(Source::open(location, pace).await?),
            None => None,
        };
        if jwks.is_some() && config.audience.is_none() {
            tracing::warn!("JWT_AUDIENCE is not set: tokens that the issuer made for other applications are accepted too");
        }
        let expected = Expected { audience: config.audience.clone(), issuer: config.issuer.clone(), subject: config.subject };
        let nobody = [Uuid::new_v4(), Uuid::new_v4()].map(|half| half.simple().to_string()).concat();
        let nobody = (nobody.clone(), ServiceKey::new(&nobody)?);
        Ok(Self(Arc::new(Inner { secret, service_key, jwks, expected, nobody })))
    }

    /// Reads the published keys now, whatever was read before: for `tabletalk check`, never on a request path.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn probe(&self) -> Result<Believed, KeysError> {
        let jwks = match &self.0.jwks {
            Some(source) => {
                let keys = source.probe().await?;
                let location = source.location().to_owned();
                Some(BelievedKeys { location, usable: keys.usable(), ignored: keys.ignored() })
            }
            None => None,
        };
        Ok(Believed { secret: self.0.secret.is_some(), service_key: self.0.service_key.is_some(), jwks })
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// When it is nobody's, or not any more.
    pub async fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        if token.is_empty() {
            return Err(AuthError::TokenMissing);
        }
        if token.len() > TOKEN_MAX_BYTES {
            return Err(AuthError::TokenTooLong);
        }
        if self.0.service_key.as_ref().is_some_and(|key| key.is(token)) {
            return Ok(Identity {
                role: Role::ServiceRole,
                subject: None,
                claims: Arc::from(r#"{"role":"service_role"}"#),
                expires_at: NEVER,
                request: None,
            });
        }
        if !token.contains('.') && self.0.nobody.1.is(token) {
            return Ok(self.nobody().0);
        }
        let signed = Signed::parse(token)?;
        self.check_signature(&signed).await?;
        claims::identify(signed.claims()?, &self.0.expected, OffsetDateTime::now_utc())
    }

    /// Who has no account and no token, and a bearer by which this process knows them: for protocols whose clients need neither. It is never
    /// to leave the process.
    pub fn nobody(&self) -> (Identity, String) {
        let claims = Arc::from(r#"{"role":"anon"}"#);
        let identity = Identity { role: Role::Anon, subject: None, claims, expires_at: NEVER, request: None };
        (identity, self.0.nobody.0.clone())
    }

    async fn check_signature(&self, signed: &Signed<'_>) -> Result<(), AuthError> {
        let symmetric = signed.algorithm.family() == AlgorithmFamily::Hmac;
        // The secret has no `kid`, but issuers (Supabase) put one into tokens signed with it.
        let by_secret = match &self.0.secret {
            Some(secret) if symmetric => Some(secret.verifies(signed)),
            _ => None,
        };
        if by_secret == Some(true) {
            return Ok(());
        }
        let source = self.0.jwks.as_ref().filter(|source| !symmetric || source.may_hold_secrets());
        let verdict = match source {
            Some(source) => by_published_key(source, signed).await?,
            None => Verdict::AlgorithmRefused,
        };
        match verdict {
            Verdict::Genuine => Ok(()),
            _ if by_secret.is_some() => Err(AuthError::SignatureIsWrong),
            Verdict::Forged => Err(AuthError::SignatureIsWrong),
            Verdict::KeyUnknown => Err(AuthError::KeyIsUnknown),
            Verdict::AlgorithmRefused => Err(AuthError::AlgorithmIsNotAccepted),
        }
    }
}

/// Judges by the keys at hand; a token that names none of them makes us read the keys once more, if it is time.
async fn by_published_key(source: &Source, signed: &Signed<'_>) -> Result<Verdict, AuthError> {
    if let Some(keys) = source.current() {
        let verdict = keys.judge(signed);
        if verdict == Verdict::Genuine || keys.names(signed.kid.as_deref()) {
            return Ok(verdict);
        }
    }
    source.refresh().await;
    let keys = source.current().ok_or(AuthError::KeysUnavailable)?;
    Ok(keys.judge(signed))
}
