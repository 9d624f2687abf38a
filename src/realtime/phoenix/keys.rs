//! As whom a client of this protocol asks: an API key when it connects, and for each channel a token.
//!
//! A key that is a user's token is that user. The configured key, any key that begins with `sb_publishable_` and, where no key is configured,
//! anything is nobody, the role anon: keys of this kind are public, they stand in web pages. One that begins with `sb_secret_` is no such key:
//! it is the server's own, or refused.

use std::sync::Arc;

use crate::auth::{AuthError, Authenticator};
use crate::realtime::somebody::Somebody;

/// With which keys of the newer kind begin, and those that nobody else is to know.
const PUBLISHABLE: &str = "sb_publishable_";
const SECRET: &str = "sb_secret_";

/// What tells who somebody is.
#[derive(Clone)]
pub struct Keys {
    authenticator: Authenticator,
    anon_key: Option<Arc<str>>,
}

impl Keys {
    /// Believes what the authenticator does; `anon_key` is the key that is configured.
    pub fn new(authenticator: Authenticator, anon_key: Option<&str>) -> Self {
        Self { authenticator, anon_key: anon_key.map(Into::into) }
    }

    /// Who connects with a key.
    ///
    /// # Errors
    /// When the key is none, or a token that is not believed.
    pub async fn of_key(&self, key: &str) -> Result<Somebody, AuthError> {
        if key.is_empty() {
            return Err(AuthError::TokenMissing);
        }
        if self.is_nobodys(key) {
            return Ok(self.nobody());
        }
        match Somebody::of_token(&self.authenticator, key).await {
            Err(_) if self.anon_key.is_none() && !key.starts_with(SECRET) => Ok(self.nobody()),
            somebody => somebody,
        }
    }

    /// Who bears a token, on a socket that was opened with `key`: without a session the client library sends the key itself.
    ///
    /// # Errors
    /// When the token is not believed.
    pub async fn of_token(&self, token: &str, key: &str) -> Result<Somebody, AuthError> {
        if token == key {
            return self.of_key(key).await;
        }
        if self.is_nobodys(token) {
            return Ok(self.nobody());
        }
        Somebody::of_token(&self.authenticator, token).await
    }

    /// Whether a token says nothing about who bears it: the client library sends such a key where it has no token at hand.
    pub fn is_publishable(token: &str) -> bool {
        token.starts_with(PUBLISHABLE)
    }

    fn is_nobodys(&self, key: &str) -> bool {
        Self::is_publishable(key) || self.anon_key.as_deref() == Some(key)
    }

    fn nobody(&self) -> Somebody {
        Somebody::nobody(&self.authenticator)
    }
}

/// Why a token is refused, in the words of this protocol, and the code that stands before them in a channel's answer.
pub fn refusal(error: AuthError) -> (&'static str, String) {
    match error {
        AuthError::TokenMissing => ("InvalidJWTToken", "API key is missing".to_owned()),
        AuthError::TokenExpired => ("InvalidJWTToken", "Token has expired".to_owned()),
        AuthError::ExpiryIsMissing => ("InvalidJWTToken", "Fields `role` and `exp` are required in JWT".to_owned()),
        AuthError::TokenMalformed => ("MalformedJWT", "The token provided is not a valid JWT".to_owned()),
        AuthError::SignatureIsWrong | AuthError::KeyIsUnknown | AuthError::AlgorithmIsNotAccepted => {
            ("JwtSignatureError", "Failed to validate JWT signature".to_owned())
        }
        AuthError::KeysUnavailable => {
            ("JwtSignerError", "Failed to generate JWT signer: the issuer's keys cannot be read".to_owned())
        }
        other => ("InvalidJWTToken", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AuthConfig, NewToken, Role, mint};

    const JWT_SECRET: &str = "a secret of the tests, long enough for HS256";
    const SERVICE_KEY: &str = "sb_secret_of_the_tests_long_enough_not_to_be_guessed";

    async fn keys(anon_key: Option<&str>) -> Keys {
        let config = AuthConfig {
            secret: Some(JWT_SECRET.to_owned()),
            service_key: Some(SERVICE_KEY.to_owned()),
            ..AuthConfig::default()
        };
        Keys::new(Authenticator::new(&config).await.expect("it starts"), anon_key)
    }

    fn role(who: Result<Somebody, AuthError>) -> Result<Role, AuthError> {
        who.map(|who| who.identity.role)
    }

    #[tokio::test]
    async fn a_key_is_nobodys_but_where_it_is_a_token() {
        let user = mint(JWT_SECRET, &NewToken::of_user("5f9e5e6c-0000-4000-8000-000000000001")).expect("a token");
        let open = keys(None).await;
        assert_eq!(role(open.of_key(&user).await), Ok(Role::Authenticated));
        for key in ["sb_publishable_x", "whatever", "a.b.c"] {
            assert_eq!(role(open.of_key(key).await), Ok(Role::Anon), "{key}");
        }
        assert_eq!(role(open.of_key("").await), Err(AuthError::TokenMissing));
        let closed = keys(Some("the key")).await;
        assert_eq!(role(closed.of_key("the key").await), Ok(Role::Anon));
        assert_eq!(role(closed.of_key("sb_publishable_x").await), Ok(Role::Anon));
        assert_eq!(role(closed.of_key(&user).await), Ok(Role::Authenticated));
        assert_eq!(role(closed.of_key("whatever").await), Err(AuthError::TokenMalformed));
    }

    #[tokio::test]
    async fn a_secret_key_is_the_host_application_or_nobodys_but_never_a_key_of_web_pages() {
        assert!(Keys::is_publishable("sb_publishable_x") && !Keys::is_publishable(SERVICE_KEY));
        for keys in [keys(None).await, keys(Some("the key")).await] {
            assert_eq!(role(keys.of_key(SERVICE_KEY).await), Ok(Role::ServiceRole));
            assert_eq!(role(keys.of_token(SERVICE_KEY, "x").await), Ok(Role::ServiceRole));
            for another in ["sb_secret_of_somebody_else", "sb_secret_"] {
                assert_eq!(role(keys.of_key(another).await), Err(AuthError::TokenMalformed));
                assert_eq!(role(keys.of_token(another, another).await), Err(AuthError::TokenMalformed));
            }
        }
    }

    #[tokio::test]
    async fn a_token_is_believed_or_refused_and_the_sockets_own_key_is_what_it_was() {
        let keys = keys(None).await;
        assert_eq!(role(keys.of_token("whatever", "whatever").await), Ok(Role::Anon));
        assert_eq!(role(keys.of_token("sb_publishable_x", "whatever").await), Ok(Role::Anon));
        assert_eq!(role(keys.of_token("a.b.c", "whatever").await), Err(AuthError::TokenMalformed));
        let (_, bearer) = keys.authenticator.nobody();
        assert_eq!(role(keys.of_token(&bearer, "x").await), Ok(Role::Anon), "as the API hears it");
    }
}
