//! What a genuine token says, and what of it counts. Pure.
//!
//! Nothing is read of `user_metadata`, which users of some issuers write themselves: it passes through as data.

use std::sync::Arc;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::{Uuid, uuid};

use super::{AuthError, CLOCK_SKEW_SECONDS, Identity, NEVER, Role, Subject};

/// With [`Subject::Derived`] a user's UUID is `uuid_v5(SUBJECT_NAMESPACE, "<bytes of iss>:<iss>:<sub>")`, a missing `iss`
/// counting as empty. The length in front keeps the two apart: `a` + `b:c` and `a:b` + `c` are two people. Never change it:
/// everybody would become somebody else. (Itself the UUIDv5 of `subjects.tabletalk` in the DNS namespace.)
pub const SUBJECT_NAMESPACE: Uuid = uuid!("010a6a6a-c853-53c7-9675-e2d1ce982b92");

/// What the configuration demands of the claims.
pub(super) struct Expected {
    pub audience: Option<String>,
    pub issuer: Option<String>,
    pub subject: Subject,
}

pub(super) fn identify(mut claims: Map<String, Value>, expected: &Expected, now: OffsetDateTime) -> Result<Identity, AuthError> {
    let expires_at = check_times(&claims, now.unix_timestamp())?;
    check_origin(&claims, expected)?;
    let role = role(&claims)?;
    let subject = match role {
        Role::Authenticated => Some(subject(&mut claims, expected.subject)?),
        // They are nobody in particular: a `sub` left here would be somebody to every policy that asks who the user is.
        Role::Anon | Role::ServiceRole => {
            claims.remove("sub");
            None
        }
    };
    if let Some(subject) = subject {
        claims.insert("sub".to_owned(), subject.to_string().into());
    }
    claims.insert("role".to_owned(), role.as_str().into());
    if claims.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)) {
        return Err(AuthError::ClaimsHoldNul);
    }
    let claims = Value::Object(claims).to_string();
    Ok(Identity { role, subject, claims: Arc::from(claims), expires_at, request: None })
}

fn check_times(claims: &Map<String, Value>, now: i64) -> Result<OffsetDateTime, AuthError> {
    let expires = claims.get("exp").and_then(seconds).ok_or(AuthError::ExpiryIsMissing)?;
    if expires.saturating_add(CLOCK_SKEW_SECONDS) <= now {
        return Err(AuthError::TokenExpired);
    }
    if let Some(not_before) = claims.get("nbf") {
        let not_before = seconds(not_before).ok_or(AuthError::TokenMalformed)?;
        if not_before > now.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(AuthError::TokenNotYetValid);
        }
    }
    Ok(OffsetDateTime::from_unix_timestamp(expires.min(NEVER.unix_timestamp())).unwrap_or(NEVER))
}

/// A NumericDate (RFC 7519, 2): whole seconds or with a fraction; beyond what fits it saturates.
fn seconds(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond i64 is as far away as the last one within")]
    value.as_i64().or_else(|| value.as_f64().filter(|seconds| seconds.is_finite()).map(|seconds| seconds.floor() as i64))
}

fn check_origin(claims: &Map<String, Value>, expected: &Expected) -> Result<(), AuthError> {
    if let Some(issuer) = &expected.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(AuthError::IssuerIsWrong);
    }
    if let Some(audience) = &expected.audience {
        let meant = match claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if !meant {
            return Err(AuthError::AudienceIsWrong);
        }
    }
    Ok(())
}

/// Issuers other than Supabase send no role: without one, a token is a user's, and so needs a `sub`.
fn role(claims: &Map<String, Value>) -> Result<Role, AuthError> {
    let Some(role) = claims.get("role") else {
        return Ok(Role::Authenticated);
    };
    [Role::Anon, Role::Authenticated, Role::ServiceRole]
        .into_iter()
        .find(|known| role.as_str() == Some(known.as_str()))
        .ok_or(AuthError::RoleIsUnknown)
}

fn subject(claims: &mut Map<String, Value>, how: Subject) -> Result<Uuid, AuthError> {
    let sub = match claims.get("sub") {
        None | Some(Value::Null) => return Err(AuthError::SubjectIsMissing),
        Some(sub) => sub.as_str().ok_or(AuthError::SubjectIsNotAUuid)?,
    };
    match how {
        Subject::Uuid => Uuid::parse_str(sub).ok().filter(|id| !id.is_nil()).ok_or(AuthError::SubjectIsNotAUuid),
        Subject::Derived if sub.is_empty() => Err(AuthError::SubjectIsMissing),
        Subject::Derived => {
            let issuer = match claims.get("iss") {
                None => "",
                Some(issuer) => issuer.as_str().ok_or(AuthError::IssuerIsWrong)?,
            };
            let id = Uuid::new_v5(&SUBJECT_NAMESPACE, format!("{}:{issuer}:{sub}", issuer.len()).as_bytes());
            // Who reads the audit wants to find the person at the issuer.
            let original = sub.to_owned();
            claims.insert("original_sub".to_owned(), original.into());
            Ok(id)
        }
    }
}

/// Postgres' jsonb can't hold NUL: the cast of the claims would fail in every statement. Deep nesting can't overflow here,
/// the JSON parser ends at 128.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
