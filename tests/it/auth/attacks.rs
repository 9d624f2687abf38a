//! Every attack on a token that we know of, against the public API.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tabletalk::auth::{AuthConfig, AuthError, Authenticator, TOKEN_MAX_BYTES};

use super::{
    issuer::{SECRET, Signer, alice, alice_with, believing, hasty, hs256, refused, with_secret},
    key_places::KeyServer,
};

/// Believes the secret and one published RSA key (`rsa`) and EC key (`ec`): all that could be confused.
async fn believing_all(server: &KeyServer) -> Authenticator {
    Authenticator::with_pace(&AuthConfig { jwks: Some(server.url()), ..with_secret() }, hasty())
        .await
        .expect("a good configuration")
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let authenticator = believing(with_secret()).await;
    for alg in ["none", "None", "nOnE", "NONE", "", "hs256", "HS256 ", "RSA-OAEP", "dir", "HS1"] {
        let token = Signer::secret(SECRET).token(json!({ "alg": alg }), alice());
        assert_eq!(refused(&authenticator, &token).await, AuthError::AlgorithmIsNotAccepted, "{alg}");
        let unsigned = token.rsplit_once('.').expect("three parts").0;
        assert_eq!(refused(&authenticator, &format!("{unsigned}.")).await, AuthError::AlgorithmIsNotAccepted);
    }
    for header in [json!({ "typ": "JWT" }), json!({ "alg": null }), json!({ "alg": ["HS256"] }), json!([]), json!(1)] {
        let token = Signer::secret(SECRET).token(header.clone(), alice());
        assert_eq!(refused(&authenticator, &token).await, AuthError::TokenMalformed, "{header}");
    }
}

#[tokio::test]
async fn a_stripped_or_changed_signature_is_refused() {
    let authenticator = believing(with_secret()).await;
    let token = hs256(alice());
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    for signature in [&[][..], &bytes[..31], &bytes[..1], &[0; 32], &[0; 64]] {
        let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(refused(&authenticator, &forged).await, AuthError::SignatureIsWrong);
    }
    bytes[31] ^= 1;
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(refused(&authenticator, &forged).await, AuthError::SignatureIsWrong);

    let other = hs256(alice_with(json!({ "role": "service_role" })));
    let spliced = format!("{}.{signature}", other.rsplit_once('.').expect("three parts").0);
    assert_eq!(refused(&authenticator, &spliced).await, AuthError::SignatureIsWrong);
    let (header, _) = message.split_once('.').expect("three parts");
    assert_eq!(refused(&authenticator, &format!("{header}..{signature}")).await, AuthError::SignatureIsWrong);
    let foreign = Signer::secret("another secret, just as long as ours").alice("HS256", "");
    assert_eq!(refused(&authenticator, &foreign).await, AuthError::SignatureIsWrong);
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    for (key, alg) in [(Signer::rsa(), "RS256"), (Signer::p256(), "ES256"), (Signer::ed25519(), "EdDSA")] {
        let mut jwk = key.jwk("k");
        let server = KeyServer::start(std::slice::from_ref(&jwk)).await;
        let both = believing_all(&server).await;
        let keys_only = believing(AuthConfig { jwks: Some(server.url()), ..AuthConfig::default() }).await;
        assert!(keys_only.verify(&key.alice(alg, "k")).await.is_ok(), "{alg}");

        let pem = key.public_pem();
        let mut secrets = vec![key.public_der(), pem.trim_end().into(), pem.into(), jwk.to_string().into()];
        secrets.push(super::issuer::jwks(std::slice::from_ref(&jwk)).into());
        for member in ["n", "x"] {
            let text = jwk[member].take();
            let text = text.as_str().unwrap_or_default();
            secrets.push(text.into());
            secrets.push(URL_SAFE_NO_PAD.decode(text).expect("base64"));
        }
        for secret in secrets {
            for hmac in ["HS256", "HS384", "HS512"] {
                let forged = Signer::secret(secret.clone()).alice(hmac, "k");
                assert_eq!(refused(&both, &forged).await, AuthError::SignatureIsWrong);
                assert_eq!(refused(&keys_only, &forged).await, AuthError::AlgorithmIsNotAccepted);
            }
            // The same, with a header that names the key's own algorithm.
            let forged = Signer::secret(secret).alice(alg, "k");
            assert_eq!(refused(&keys_only, &forged).await, AuthError::SignatureIsWrong);
        }
    }
}

#[tokio::test]
async fn a_token_cannot_use_another_kind_of_key() {
    let (rsa, ec) = (Signer::rsa(), Signer::p256());
    let server = KeyServer::start(&[rsa.jwk("rsa"), ec.jwk("ec")]).await;
    let authenticator = believing_all(&server).await;
    for (signer, alg, kid) in [(&rsa, "RS256", "ec"), (&ec, "ES256", "rsa"), (&ec, "ES384", "ec"), (&ec, "EdDSA", "ec")] {
        let token = signer.alice(alg, kid);
        assert_eq!(refused(&authenticator, &token).await, AuthError::AlgorithmIsNotAccepted, "{alg} {kid}");
    }
    // An issuer's name on a token signed with the secret does not help, nor the other way round.
    assert!(authenticator.verify(&Signer::secret(SECRET).alice("HS256", "rsa")).await.is_ok());
    assert_eq!(refused(&authenticator, &Signer::secret(SECRET).alice("RS256", "rsa")).await, AuthError::SignatureIsWrong);
    assert_eq!(refused(&authenticator, &rsa.alice("HS256", "rsa")).await, AuthError::SignatureIsWrong);
    let only_secret = believing(with_secret()).await;
    assert_eq!(refused(&only_secret, &rsa.alice("RS256", "rsa")).await, AuthError::AlgorithmIsNotAccepted);
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_ignored() {
    let ours = Signer::p256();
    let server = KeyServer::start(&[ours.jwk("ours")]).await;
    let evil = Signer::p256();
    let evil_server = KeyServer::start(&[evil.jwk("evil"), evil.jwk("ours")]).await;
    let authenticator = believing_all(&server).await;
    let url = evil_server.url();
    for header in [
        json!({ "alg": "ES256", "jwk": evil.jwk("evil") }),
        json!({ "alg": "ES256", "kid": "ours", "jwk": evil.jwk("ours") }),
        json!({ "alg": "ES256", "kid": "ours", "jku": url }),
        json!({ "alg": "ES256", "kid": "ours", "x5u": url, "x5c": ["MIIB"] }),
    ] {
        let token = evil.token(header.clone(), alice());
        assert_eq!(refused(&authenticator, &token).await, AuthError::SignatureIsWrong, "{header}");
        assert!(authenticator.verify(&ours.token(header, alice())).await.is_ok());
    }
    let by_path = evil.token(json!({ "alg": "ES256", "kid": "../../dev/null", "jku": url }), alice());
    assert_eq!(refused(&authenticator, &by_path).await, AuthError::KeyIsUnknown);
    assert_eq!(evil_server.requests(), 0);
}

#[tokio::test]
async fn what_is_not_three_parts_is_refused() {
    let authenticator = believing(with_secret()).await;
    assert_eq!(refused(&authenticator, "").await, AuthError::TokenMissing);
    let token = hs256(alice());
    let parts: Vec<_> = token.split('.').collect();
    let jwe_header = URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#);
    for wrong in [
        ".",
        "..",
        "...",
        " ",
        "null",
        "Ж.Ж.Ж",
        parts[0],
        &parts[..2].join("."),
        &format!("{token}."),
        &format!(".{token}"),
        &format!("{token}.{}", parts[2]),
        &format!("{jwe_header}..iv.text.tag"),
        &format!(" {token}"),
        &format!("{token}\n"),
        &format!("{token}="),
        &token[..token.len() - 2],
        &token.replacen('.', "+.", 1),
        &token[1..],
        &format!("{token}\0"),
    ] {
        assert_eq!(refused(&authenticator, wrong).await, AuthError::TokenMalformed, "{wrong:?}");
    }
}

#[tokio::test]
async fn no_prefix_of_a_token_and_no_flipped_character_is_believed() {
    let authenticator = believing(with_secret()).await;
    let token = hs256(alice());
    for end in 0..token.len() {
        assert!(authenticator.verify(&token[..end]).await.is_err());
        let mut flipped = token.clone().into_bytes();
        flipped[end] ^= 1;
        let flipped = String::from_utf8(flipped).expect("ASCII");
        assert!(authenticator.verify(&flipped).await.is_err(), "{flipped}");
    }
}

#[tokio::test]
async fn a_huge_token_is_refused_before_it_is_read() {
    let authenticator = believing(with_secret()).await;
    let token = hs256(alice_with(json!({ "junk": "x".repeat(10 * 1024 * 1024) })));
    let started = std::time::Instant::now();
    for _ in 0..1_000 {
        assert_eq!(refused(&authenticator, &token).await, AuthError::TokenTooLong);
    }
    assert!(started.elapsed().as_secs() < 1, "reading 10 GB takes longer");
    assert_eq!(refused(&authenticator, &"x".repeat(TOKEN_MAX_BYTES + 1)).await, AuthError::TokenTooLong);
    assert!(authenticator.verify(&hs256(alice_with(json!({ "groups": "x".repeat(8_000) })))).await.is_ok());
}

#[tokio::test]
async fn a_token_of_another_type_is_refused() {
    let authenticator = believing(with_secret()).await;
    let typed = |typ: Value| Signer::secret(SECRET).token(json!({ "alg": "HS256", "typ": typ }), alice());
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        assert!(authenticator.verify(&typed(json!(typ))).await.is_ok(), "{typ}");
    }
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", ""] {
        assert_eq!(refused(&authenticator, &typed(json!(typ))).await, AuthError::TypeIsNotAccepted, "{typ}");
    }
    for crit in [json!(["b64"]), json!(["exp"]), json!([])] {
        let header = json!({ "alg": "HS256", "crit": crit, "b64": false });
        let token = Signer::secret(SECRET).token(header, alice());
        assert_eq!(refused(&authenticator, &token).await, AuthError::TokenMalformed);
    }
}
