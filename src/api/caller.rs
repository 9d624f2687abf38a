//! Who asks, as an argument: an operation that takes a [`Caller`] cannot be reached without a valid token.
//!
//! The first sight of a token makes its user, by a function of the database; this file remembers for a few minutes whom it has
//! introduced, so that the others need not be asked.

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

/// Where a request notes who asked, for the log line written after it.
#[derive(Clone, Default)]
pub struct Subject(pub Arc<OnceLock<Uuid>>);

/// What turns a token into a caller: part of every request's data.
#[derive(Clone)]
pub struct Gate {
    authenticator: Authenticator,
    db: Db,
    introduced: Arc<Mutex<HashMap<Uuid, Instant>>>,
}

impl Gate {
    pub fn new(authenticator: Authenticator, db: Db) -> Self {
        Self { authenticator, db, introduced: Arc::default() }
    }

    async fn introduce(&self, who: &Identity) -> Result<(), DbError> {
        let Some(subject) = who.subject else { return Ok(()) };
        {
            let introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
            if introduced.get(&subject).is_some_and(|at| at.elapsed() < REMEMBERED) {
                return Ok(());
            }
        }
        self.db.write(who, INTRODUCE, params![]).await?;
        let mut introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
        if introduced.len() >= REMEMBERED_AT_MOST {
            introduced.retain(|_, at| at.elapsed() < REMEMBERED);
            if introduced.len() >= REMEMBERED_AT_MOST {
                introduced.clear();
            }
        }
        introduced.insert(subject, Instant::now());
        Ok(())
    }
}

async fn check(request: &Request, bearer: Bearer) -> poem::Result<Identity> {
    let gate: &Gate = request.data().expect("invariant: app.rs gives every request its gate");
    let identity = gate.authenticator.verify(&bearer.token).await.map_err(refusal)?;
    if let (Some(subject), Some(noted)) = (identity.subject, request.data::<Subject>()) {
        let _ = noted.0.set(subject);
    }
    gate.introduce(&identity).await.map_err(ApiError::from)?;
    Ok(identity)
}

fn refusal(error: AuthError) -> ApiError {
    let status = match error {
        AuthError::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNAUTHORIZED,
    };
    Problem::new(status, error.code(), error.to_string()).into()
}
