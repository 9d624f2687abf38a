//! Who asks, on sockets whose channels have tokens of their own.

use crate::auth::{AuthError, Authenticator, Identity};

/// Somebody, and the bearer by which the API knows them. It is not printed.
#[derive(Clone)]
pub struct Somebody {
    pub identity: Identity,
    pub bearer: String,
}

impl Somebody {
    /// Whose token it is.
    ///
    /// # Errors
    /// When it is not believed.
    pub async fn of_token(authenticator: &Authenticator, token: &str) -> Result<Self, AuthError> {
        let identity = authenticator.verify(token).await?;
        Ok(Self { identity, bearer: token.to_owned() })
    }

    /// Who has no account and shows no token.
    pub fn nobody(authenticator: &Authenticator) -> Self {
        let (identity, bearer) = authenticator.nobody();
        Self { identity, bearer }
    }

    /// Whether both are the same person, in the same role.
    pub fn is(&self, other: &Identity) -> bool {
        (self.identity.role, self.identity.subject) == (other.role, other.subject)
    }
}
