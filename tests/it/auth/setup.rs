//! The configuration, development tokens, and what may be printed.

use serde_json::json;
use tabletalk::auth::{AuthConfig, AuthError, Authenticator, MintError, NewToken, Role, SetupError, TOKEN_MAX_BYTES, mint};
use time::Duration;

use super::{
    SERVICE_KEY,
    issuer::{ALICE, SECRET, alice_with, believing, claims_of, hs256, with_secret},
};

#[tokio::test]
async fn a_minted_token_is_believed() {
    let new = NewToken {
        name: Some("Alice".to_owned()),
        audience: Some("chat".to_owned()),
        issuer: Some("https://id".to_owned()),
        lifetime: Duration::minutes(5),
        admin: true,
        ..NewToken::of_user(ALICE)
    };
    let config = AuthConfig { audience: new.audience.clone(), issuer: new.issuer.clone(), ..with_secret() };
    let token = mint(SECRET, &new).expect("a token");
    let identity = believing(config).await.verify(&token).await.expect("a good token");
    let claims = claims_of(&identity);
    assert_eq!((&claims["sub"], &claims["name"]), (&json!(ALICE), &json!("Alice")));
    assert_eq!(claims["app_metadata"], json!({ "role": "admin" }));
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(300));

    for role in [Role::Anon, Role::ServiceRole] {
        let token = mint(SECRET, &NewToken::of(role)).expect("a token");
        let identity = believing(with_secret()).await.verify(&token).await.expect("a good token");
        assert_eq!((identity.role, claims_of(&identity).get("app_metadata")), (role, None));
    }
}

#[test]
fn what_would_be_refused_is_not_minted() {
    let minted = |secret: &str, new: NewToken| mint(secret, &new);
    assert_eq!(minted("short", NewToken::of_user(ALICE)), Err(MintError::SecretIsShort));
    assert_eq!(minted(SECRET, NewToken::of(Role::Authenticated)), Err(MintError::SubjectIsMissing));
    for lifetime in [Duration::ZERO, Duration::MIN, Duration::MAX, -Duration::SECOND] {
        assert_eq!(minted(SECRET, NewToken { lifetime, ..NewToken::of_user(ALICE) }), Err(MintError::LifetimeIsWrong));
    }
}

#[tokio::test]
async fn a_configuration_that_protects_nothing_is_refused() {
    let setup = async |config: AuthConfig| Authenticator::new(&config).await.expect_err("a bad configuration");
    let nothing = AuthConfig::default();
    assert!(matches!(setup(nothing.clone()).await, SetupError::NothingToBelieve));
    for short in ["", "secret", &"x".repeat(31)] {
        let secret = AuthConfig { secret: Some(short.to_owned()), ..nothing.clone() };
        assert!(matches!(setup(secret).await, SetupError::SecretIsShort));
        let service_key = AuthConfig { service_key: Some(short.to_owned()), ..nothing.clone() };
        assert!(matches!(setup(service_key).await, SetupError::ServiceKeyIsShort));
    }
    let long = AuthConfig { service_key: Some("x".repeat(TOKEN_MAX_BYTES + 1)), ..nothing };
    assert!(matches!(setup(long).await, SetupError::ServiceKeyIsLong));
}

#[tokio::test]
async fn nothing_printed_holds_a_secret() {
    let config = AuthConfig {
        service_key: Some(SERVICE_KEY.to_owned()),
        jwks: Some("https://user:password@id.example/jwks?apikey=hunter2".to_owned()),
        ..with_secret()
    };
    let printed = format!("{config:?}");
    assert!(printed.contains("https://id.example/jwks"), "{printed}");
    let authenticator = believing(AuthConfig { jwks: None, ..config }).await;
    let identity = authenticator.verify(&hs256(alice_with(json!({ "email": "hunter2" })))).await;
    let printed = format!("{printed} {authenticator:?} {identity:?}");
    for secret in [SECRET, SERVICE_KEY, "password", "hunter2"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn every_refusal_has_a_code_of_its_own() {
    let all = [
        AuthError::TokenMissing,
        AuthError::TokenTooLong,
        AuthError::TokenMalformed,
        AuthError::TypeIsNotAccepted,
        AuthError::AlgorithmIsNotAccepted,
        AuthError::KeyIsUnknown,
        AuthError::SignatureIsWrong,
        AuthError::ExpiryIsMissing,
        AuthError::TokenExpired,
        AuthError::TokenNotYetValid,
        AuthError::IssuerIsWrong,
        AuthError::AudienceIsWrong,
        AuthError::RoleIsUnknown,
        AuthError::SubjectIsMissing,
        AuthError::SubjectIsNotAUuid,
        AuthError::ClaimsHoldNul,
        AuthError::KeysUnavailable,
    ];
    let codes: std::collections::HashSet<_> = all.iter().map(|error| error.code()).collect();
    assert_eq!(codes.len(), all.len());
    for error in all {
        assert!(error.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", error.code());
        assert!(error.to_string().ends_with('.'), "{error}");
    }
}
