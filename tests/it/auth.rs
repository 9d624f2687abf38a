//! Who asks: what a good token becomes. Attacks: `attacks.rs`, `forged_claims.rs`; an issuer's keys: `published_keys.rs`,
//! `rotation.rs`.

mod attacks;
mod forged_claims;
mod issuer;
mod key_places;
mod published_keys;
mod rotation;
mod setup;

use serde_json::{Value, json};
use tabletalk::auth::{AuthConfig, AuthError, NEVER, Role, SUBJECT_NAMESPACE, Subject};
use uuid::Uuid;

use self::issuer::{
    ALICE, SECRET, Signer, alice, alice_with, alice_without, believing, claims_of, hs256, judged, now, with_secret,
};

const SERVICE_KEY: &str = "an-opaque-service-key-of-the-tests";

#[tokio::test]
async fn a_good_token_is_its_user() {
    let exp = now() + 3600;
    let identity = judged(alice_with(json!({ "exp": exp }))).await.expect("a good token");
    assert_eq!(identity.role, Role::Authenticated);
    assert_eq!(identity.subject, Some(ALICE.parse().expect("a UUID")));
    assert_eq!(identity.expires_at.unix_timestamp(), exp);
}

#[tokio::test]
async fn all_three_hmac_algorithms_are_accepted_by_the_secret() {
    let authenticator = believing(with_secret()).await;
    for alg in ["HS256", "HS384", "HS512"] {
        let token = Signer::secret(SECRET).alice(alg, "a kid that Supabase adds");
        assert_eq!(authenticator.verify(&token).await.map(|identity| identity.role), Ok(Role::Authenticated), "{alg}");
    }
}

#[tokio::test]
async fn claims_reach_postgres_as_they_were() {
    let others = json!({
        "email": "alice@example.org", "session_id": "5e551011", "app_metadata": { "role": "admin" },
        "user_metadata": { "name": "Älice 🦀", "deep": [1, 2.5, null, true] }, "request.jwt.claims": "data", "n": 1e300
    });
    let identity = judged(alice_with(others.clone())).await.expect("a good token");
    let claims = claims_of(&identity);
    for (name, value) in others.as_object().expect("an object") {
        assert_eq!(&claims[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_subject_reaches_postgres_in_lower_case_with_hyphens() {
    for sub in [ALICE.to_uppercase(), ALICE.replace('-', ""), format!("urn:uuid:{ALICE}")] {
        let identity = judged(alice_with(json!({ "sub": sub }))).await.expect("a UUID");
        assert_eq!(claims_of(&identity)["sub"], ALICE);
    }
}

#[tokio::test]
async fn anon_and_service_tokens_are_nobody_in_particular() {
    for (name, role) in [("anon", Role::Anon), ("service_role", Role::ServiceRole)] {
        let identity = judged(json!({ "role": name, "exp": now() + 60 })).await.expect("a good token");
        assert_eq!((identity.role, identity.subject), (role, None));
        // A sub that came along would be the user in every policy, and one that is no UUID would break each statement.
        let identity = judged(json!({ "role": name, "exp": now() + 60, "sub": "service" })).await.expect("a good token");
        assert_eq!(claims_of(&identity).get("sub"), None);
        assert_eq!(claims_of(&identity)["role"], name);
    }
}

#[tokio::test]
async fn a_token_without_a_role_is_a_users() {
    let identity = judged(alice_without("role")).await.expect("a good token");
    assert_eq!(identity.role, Role::Authenticated);
    assert_eq!(claims_of(&identity)["role"], "authenticated");
    assert_eq!(judged(json!({ "exp": now() + 60 })).await, Err(AuthError::SubjectIsMissing));
}

#[tokio::test]
async fn clocks_may_differ_by_half_a_minute() {
    assert!(judged(alice_with(json!({ "exp": now() - 20, "nbf": now() + 20 }))).await.is_ok());
    assert_eq!(judged(alice_with(json!({ "exp": now() - 31 }))).await, Err(AuthError::TokenExpired));
    assert_eq!(judged(alice_with(json!({ "nbf": now() + 40 }))).await, Err(AuthError::TokenNotYetValid));
}

#[tokio::test]
async fn times_may_be_fractions_or_out_of_all_range() {
    assert!(
        judged(alice_with(json!({ "exp": f64::from(i32::try_from(now()).expect("before 2038")) + 60.5, "nbf": 0.5 })))
            .await
            .is_ok()
    );
    for exp in [json!(u64::MAX), json!(1e300), json!(i64::MAX)] {
        assert_eq!(judged(alice_with(json!({ "exp": exp }))).await.expect("a good token").expires_at, NEVER);
    }
    for exp in [json!(0), json!(-1), json!(-1e300), json!(i64::MIN)] {
        assert_eq!(judged(alice_with(json!({ "exp": exp }))).await, Err(AuthError::TokenExpired));
    }
}

#[tokio::test]
async fn a_configured_audience_is_demanded() {
    let authenticator = believing(AuthConfig { audience: Some("chat".to_owned()), ..with_secret() }).await;
    for aud in [json!("chat"), json!(["shop", "chat"])] {
        assert!(authenticator.verify(&hs256(alice_with(json!({ "aud": aud })))).await.is_ok());
    }
    for aud in [json!("shop"), json!([]), json!(["shop", 1]), json!({ "chat": true }), json!(null), json!("chat ")] {
        let token = hs256(alice_with(json!({ "aud": aud })));
        assert_eq!(authenticator.verify(&token).await, Err(AuthError::AudienceIsWrong), "{aud}");
    }
    assert_eq!(authenticator.verify(&hs256(alice())).await, Err(AuthError::AudienceIsWrong));
}

#[tokio::test]
async fn a_configured_issuer_is_demanded() {
    let authenticator = believing(AuthConfig { issuer: Some("https://id".to_owned()), ..with_secret() }).await;
    assert!(authenticator.verify(&hs256(alice_with(json!({ "iss": "https://id" })))).await.is_ok());
    for iss in [json!("https://id/"), json!("https://evil"), json!(["https://id"]), json!(null)] {
        let token = hs256(alice_with(json!({ "iss": iss })));
        assert_eq!(authenticator.verify(&token).await, Err(AuthError::IssuerIsWrong), "{iss}");
    }
    assert_eq!(authenticator.verify(&hs256(alice())).await, Err(AuthError::IssuerIsWrong));
}

#[tokio::test]
async fn any_string_can_become_a_user() {
    let authenticator = believing(AuthConfig { subject: Subject::Derived, ..with_secret() }).await;
    let user = async |iss: Value, sub: &str| {
        let token = hs256(alice_with(json!({ "iss": iss, "sub": sub })));
        authenticator.verify(&token).await.map(|identity| identity.subject.expect("a user"))
    };
    // The bytes that sql/README tells a DBA to hash: they can never change.
    let expected = Uuid::new_v5(&SUBJECT_NAMESPACE, "10:https://id:auth0|ä".as_bytes());
    assert_eq!(user(json!("https://id"), "auth0|ä").await, Ok(expected));
    assert_eq!(user(json!("https://id"), "auth0|ä").await, Ok(expected));
    // No two pairs meet by moving text from one to the other.
    assert_ne!(user(json!("a"), "b:c").await, user(json!("a:b"), "c").await);
    assert_ne!(user(json!("a"), "bc").await, user(json!("ab"), "c").await);
    assert_ne!(user(json!(""), "1:a:b").await, user(json!("a"), "b").await);
    assert_ne!(user(json!("https://id"), ALICE).await, Ok(ALICE.parse().expect("a UUID")));

    assert_eq!(user(json!("https://id"), "").await, Err(AuthError::SubjectIsMissing));
    assert_eq!(user(json!(["a"]), "b").await, Err(AuthError::IssuerIsWrong));

    let token = hs256(alice_with(json!({ "sub": "auth0|1", "original_sub": "somebody else" })));
    let identity = authenticator.verify(&token).await.expect("a good token");
    assert_eq!(claims_of(&identity)["original_sub"], "auth0|1");
    assert_eq!(claims_of(&identity)["sub"], identity.subject.expect("a user").to_string());
}

#[tokio::test]
async fn the_service_key_is_the_service() {
    let authenticator = believing(AuthConfig { service_key: Some(SERVICE_KEY.to_owned()), ..with_secret() }).await;
    let identity = authenticator.verify(SERVICE_KEY).await.expect("the service key");
    assert_eq!((identity.role, identity.subject, identity.expires_at), (Role::ServiceRole, None, NEVER));
    assert_eq!(claims_of(&identity), json!({ "role": "service_role" }));

    for wrong in [&SERVICE_KEY[1..], &SERVICE_KEY.to_uppercase(), &format!("{SERVICE_KEY}\0"), &format!(" {SERVICE_KEY}")] {
        assert_eq!(authenticator.verify(wrong).await, Err(AuthError::TokenMalformed));
    }
    assert!(authenticator.verify(&hs256(alice())).await.is_ok());
}
