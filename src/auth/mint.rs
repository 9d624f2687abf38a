//! Tokens for development and tests, signed with the shared secret. Sessions of our own issuer are not made here.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::{MintError, NEVER, Role, SECRET_MIN_BYTES};

/// What the new token says. `NewToken::of(Role::Anon)` and then what differs.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub role: Role,
    /// `sub`: a UUID, or with [`Subject::Derived`](super::Subject::Derived) any string. Needed by [`Role::Authenticated`].
    pub subject: Option<String>,
    pub name: Option<String>,
    pub lifetime: Duration,
    pub audience: Option<String>,
    pub issuer: Option<String>,
    /// `app_metadata.role = "admin"`: an admin of the instance.
    pub admin: bool,
}

impl NewToken {
    /// For an hour.
    pub fn of(role: Role) -> Self {
        Self { role, subject: None, name: None, lifetime: Duration::HOUR, audience: None, issuer: None, admin: false }
    }

    /// A user's, for an hour.
    pub fn of_user(subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..Self::of(Role::Authenticated) }
    }
}

/// A JWT, HS256.
///
/// # Errors
/// When the secret is short, a user's token has no subject, or the lifetime is none.
pub fn mint(secret: &str, new: &NewToken) -> Result<String, MintError> {
    if secret.len() < SECRET_MIN_BYTES {
        return Err(MintError::SecretIsShort);
    }
    if new.role == Role::Authenticated && new.subject.as_deref().is_none_or(str::is_empty) {
        return Err(MintError::SubjectIsMissing);
    }
    let now = OffsetDateTime::now_utc();
    let expires_at = now
        .checked_add(new.lifetime)
        .filter(|expires_at| *expires_at > now && *expires_at <= NEVER)
        .ok_or(MintError::LifetimeIsWrong)?;
    let mut claims = Map::new();
    claims.insert("role".to_owned(), new.role.as_str().into());
    claims.insert("iat".to_owned(), now.unix_timestamp().into());
    claims.insert("exp".to_owned(), expires_at.unix_timestamp().into());
    let texts = [("sub", &new.subject), ("name", &new.name), ("aud", &new.audience), ("iss", &new.issuer)];
    for (claim, text) in texts {
        if let Some(text) = text {
            claims.insert(claim.to_owned(), Value::from(text.as_str()));
        }
    }
    if new.admin {
        claims.insert("app_metadata".to_owned(), json!({ "role": "admin" }));
    }
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).map_err(|_| MintError::Signing)
}
