//! Who asks, as an argument: an operation that takes a [`Caller`] cannot be reached without a valid token.
//!
//! The first sight of a token makes its user, by a function of the database, which refuses who was erased; this file remembers for a few
//! minutes whom it has introduced, so that the others need not be asked.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use poem::Request;
use poem::http::StatusCode;
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer;
use uuid::Uuid;

use crate::auth::{AuthError, Authenticator, Identity};
use crate::db::{Db, DbError};
use crate::error::{ApiError, Problem};
use crate::params;

/// How long nobody is introduced again: the precision of `users.last_active_at`.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many people are remembered at most.
const REMEMBERED_AT_MOST: usize = 100_000;

const INTRODUCE: &str = "select chat.introduce_me()";

/// A bearer token: a JWT of the issuer that the server trusts, or the service key.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", bearer_format = "JWT", checker = "check")]
pub struct Caller(pub Identity);

impl Deref for Caller {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// The same, of whoever it is: also of who was erased, and so is no [`Caller`] any more.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", bearer_format = "JWT", checker = "verify")]
pub struct Bearing(pub Identity);

/// Where a request notes who asked, for the log line written after it.
#[derive(Clone, Default)]
pub struct Subject(pub Arc<OnceLock<Uuid>>);

/// What names a request: in its answer, in the log and in the audit.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// What turns a token into a caller: part of every request's data.
#[derive(Clone)]
pub struct Gate {
    authenticator: Authenticator,
    db: Db,
    /// When, and nothing for those who are to be asked about each time.
    introduced: Arc<Mutex<HashMap<Uuid, Option<Instant>>>>,
}

impl Gate {
    pub fn new(authenticator: Authenticator, db: Db) -> Self {
        Self { authenticator, db, introduced: Arc::default() }
    }

    async fn introduce(&self, who: &Identity) -> Result<(), DbError> {
        let Some(subject) = who.subject else { return Ok(()) };
        {
            let introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
            if introduced.get(&subject).is_some_and(|at| at.is_some_and(|at| at.elapsed() < REMEMBERED)) {
                return Ok(());
            }
        }
        self.db.write(who, INTRODUCE, params![]).await?;
        self.note(subject, Some(Instant::now()));
        Ok(())
    }

    /// Forgets that someone was introduced, and never again remembers it: they are erased.
    pub fn forget(&self, who: &Identity) {
        if let Some(subject) = who.subject {
            self.note(subject, None);
        }
    }

    fn note(&self, subject: Uuid, at: Option<Instant>) {
        let mut introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
        if introduced.len() >= REMEMBERED_AT_MOST {
            introduced.retain(|_, at| at.is_none_or(|at| at.elapsed() < REMEMBERED));
            if introduced.len() >= REMEMBERED_AT_MOST {
                introduced.clear();
            }
        }
        // what was introduced before somebody was forgotten may be noted after it
        let noted = introduced.entry(subject).or_insert(at);
        *noted = noted.and(at);
    }
}

async fn check(request: &Request, bearer: Bearer) -> poem::Result<Identity> {
    let identity = verify(request, bearer).await?;
    gate(request).introduce(&identity).await.map_err(ApiError::from)?;
    Ok(identity)
}

async fn verify(request: &Request, bearer: Bearer) -> poem::Result<Identity> {
    let mut identity = gate(request).authenticator.verify(&bearer.token).await.map_err(refusal)?;
    identity.request = request.data::<RequestId>().map(|id| id.0);
    if let (Some(subject), Some(noted)) = (identity.subject, request.data::<Subject>()) {
        let _ = noted.0.set(subject);
    }
    Ok(identity)
}

fn gate(request: &Request) -> &Gate {
    request.data().expect("invariant: app.rs gives every request its gate")
}

/// The answer to a token that is not believed.
pub fn refusal(error: AuthError) -> ApiError {
    let status = match error {
        AuthError::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNAUTHORIZED,
    };
    Problem::new(status, error.code(), error.to_string()).into()
}
