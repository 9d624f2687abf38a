//! Genuine signatures over claims that must not count.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tabletalk::auth::{AuthError, Role};

use super::issuer::{
    ALICE, SECRET, Signer, alice, alice_with, alice_without, believing, claims_of, hs256, judged, now, refused, with_secret,
};

#[tokio::test]
async fn claims_that_are_no_object_are_refused() {
    let authenticator = believing(with_secret()).await;
    let nested = format!("{{\"exp\":9999999999,\"a\":{}{}}}", "[".repeat(3_000), "]".repeat(3_000));
    let exp = now() + 60;
    for text in [
        "",
        "null",
        "[]",
        "\"exp\"",
        "{",
        "{\"exp\":9999999999}x",
        "\u{feff}{}",
        &nested,
        &format!("{{\"exp\":{exp},\"n\":1e999}}"),
        &format!("{{\"exp\":{exp},\"s\":\"\\ud800\"}}"),
    ] {
        let token = Signer::secret(SECRET).token_of_text(json!({ "alg": "HS256" }), text);
        assert_eq!(refused(&authenticator, &token).await, AuthError::TokenMalformed, "{text}");
    }
    assert_eq!(judged(alice_with(json!({ "nbf": "tomorrow" }))).await, Err(AuthError::TokenMalformed));
}

#[tokio::test]
async fn a_token_that_never_ends_is_refused() {
    assert_eq!(judged(alice_without("exp")).await, Err(AuthError::ExpiryIsMissing));
    for exp in [json!(null), json!("9999999999"), json!([9_999_999_999_u64]), json!(true), json!({})] {
        assert_eq!(judged(alice_with(json!({ "exp": exp }))).await, Err(AuthError::ExpiryIsMissing), "{exp}");
    }
}

#[tokio::test]
async fn a_role_that_is_not_ours_is_refused() {
    for role in [
        json!("postgres"),
        json!("chat_owner"),
        json!("chat_api"),
        json!("chat_relay"),
        json!("chat_auditor"),
        json!("supabase_admin"),
        json!("none"),
        json!(""),
        json!("Anon"),
        json!("service_role "),
        json!("authenticated\u{0}"),
        json!("anon; set role postgres"),
        json!(["service_role"]),
        json!({ "role": "service_role" }),
        json!(1),
        json!(true),
        json!(null),
    ] {
        assert_eq!(judged(alice_with(json!({ "role": role }))).await, Err(AuthError::RoleIsUnknown), "{role}");
    }
}

#[tokio::test]
async fn a_subject_that_is_no_user_is_refused() {
    for sub in [
        json!("alice"),
        json!(""),
        json!("00000000-0000-0000-0000-000000000000"),
        json!(format!("{ALICE} ")),
        json!(format!("{ALICE}'; drop table chat.messages; --")),
        json!([ALICE]),
        json!({ "id": ALICE }),
        json!(7),
    ] {
        assert_eq!(judged(alice_with(json!({ "sub": sub }))).await, Err(AuthError::SubjectIsNotAUuid), "{sub}");
    }
    assert_eq!(judged(alice_without("sub")).await, Err(AuthError::SubjectIsMissing));
    assert_eq!(judged(alice_with(json!({ "sub": null }))).await, Err(AuthError::SubjectIsMissing));
}

#[tokio::test]
async fn what_users_say_of_themselves_authorises_nothing() {
    let metadata = json!({ "role": "service_role", "app_metadata": { "role": "admin" }, "sub": "mallory" });
    let identity = judged(alice_with(json!({ "user_metadata": metadata }))).await.expect("a good token");
    assert_eq!(identity.role, Role::Authenticated);
    let claims = claims_of(&identity);
    assert_eq!((&claims["role"], &claims["sub"]), (&json!("authenticated"), &json!(ALICE)));
    assert_eq!((claims.get("app_metadata"), &claims["user_metadata"]), (None, &metadata));
}

#[tokio::test]
async fn a_claim_given_twice_is_to_postgres_what_it_is_to_us() {
    let authenticator = believing(with_secret()).await;
    let verify = async |first: &str, second: &str| {
        let text = format!(
            r#"{{"role":"{first}","sub":"{ALICE}","exp":1,"role":"{second}","exp":{},"\u0072ole":"{second}"}}"#,
            now() + 60
        );
        authenticator.verify(&Signer::secret(SECRET).token_of_text(json!({ "alg": "HS256" }), &text)).await
    };
    let identity = verify("service_role", "anon").await.expect("a good token");
    assert_eq!(identity.role, Role::Anon);
    assert_eq!(identity.claims.matches("role").count(), 1);
    assert_eq!(claims_of(&identity)["role"], "anon");
    assert_eq!(verify("anon", "postgres").await, Err(AuthError::RoleIsUnknown));

    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"HS256"}"#);
    let forged = format!("{header}.{}", hs256(alice()).split_once('.').expect("three parts").1);
    assert_eq!(refused(&authenticator, &forged).await, AuthError::TokenMalformed);
}

#[tokio::test]
async fn nul_does_not_reach_postgres() {
    for others in [
        json!({ "name": "a\u{0}b" }),
        json!({ "na\u{0}me": "a" }),
        json!({ "user_metadata": { "list": [1, { "x": "\u{0}" }] } }),
        json!({ "user_metadata": { "list": [{ "\u{0}": 1 }] } }),
    ] {
        assert_eq!(judged(alice_with(others.clone())).await, Err(AuthError::ClaimsHoldNul), "{others}");
    }
    // Six characters that only look like it.
    let identity = judged(alice_with(json!({ "name": r"\u0000" }))).await.expect("a good token");
    assert_eq!(claims_of(&identity)["name"], r"\u0000");
}
