//! Keys that an issuer publishes: which are believed, and where they may come from.

use serde_json::{Value, json};
use tabletalk::auth::{AuthConfig, Authenticator, KeysError, Pace, SetupError};

use super::{
    issuer::{SECRET, Signer, alice, believing_at, code, hasty, jwks, with_secret},
    key_places::{KeyFile, KeyServer},
};

#[tokio::test]
async fn tokens_of_every_kind_of_key_are_believed() {
    let (rsa, p256, p384, ed) = (Signer::rsa(), Signer::p256(), Signer::p384(), Signer::ed25519());
    let keys = [rsa.jwk("rsa"), p256.jwk("p256"), p384.jwk("p384"), ed.jwk("ed")];
    let server = KeyServer::start(&keys).await;
    let file = KeyFile::new(&jwks(&keys));
    for location in [server.url(), file.path().to_owned()] {
        let authenticator = believing_at(&location, Pace::default()).await;
        for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
            assert_eq!(code(&authenticator, &rsa.alice(alg, "rsa")).await, "ok", "{alg}");
        }
        for (signer, alg, kid) in
            [(&p256, "ES256", "p256"), (&p384, "ES384", "p384"), (&ed, "EdDSA", "ed"), (&ed, "Ed25519", "ed")]
        {
            assert_eq!(code(&authenticator, &signer.alice(alg, kid)).await, "ok", "{alg}");
            // Without a name: whichever fits.
            assert_eq!(code(&authenticator, &signer.token(json!({ "alg": alg }), alice())).await, "ok", "{alg}");
        }
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn secret_and_published_keys_are_believed_side_by_side() {
    let key = Signer::p256();
    let server = KeyServer::start(&[key.jwk("k")]).await;
    let config = AuthConfig { jwks: Some(server.url()), ..with_secret() };
    let authenticator = Authenticator::new(&config).await.expect("a good configuration");
    assert_eq!(code(&authenticator, &key.alice("ES256", "k")).await, "ok");
    assert_eq!(code(&authenticator, &Signer::secret(SECRET).alice("HS256", "k")).await, "ok");
    assert_eq!(code(&authenticator, &Signer::secret(SECRET).alice("HS256", "legacy")).await, "ok");
    assert_eq!(code(&authenticator, &Signer::secret("x".repeat(40)).alice("HS256", "new")).await, "token_signature_is_wrong");
    // What a secret has signed is no reason to ask the issuer.
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_key_serves_only_what_it_says_it_is_for() {
    let (rsa, ec, ed) = (Signer::rsa(), Signer::p256(), Signer::ed25519());
    let with = |mut jwk: Value, member: &str, value: Value| {
        jwk[member] = value;
        jwk
    };
    let server = KeyServer::start(&[
        with(rsa.jwk("pinned"), "alg", json!("RS512")),
        with(ec.jwk("enc"), "use", json!("enc")),
        with(ec.jwk("derive"), "key_ops", json!(["deriveBits"])),
        with(ec.jwk("other alg"), "alg", json!("RS256")),
        with(ec.jwk("no alg of ours"), "alg", json!("ECDH-ES")),
        with(ec.jwk("off the curve"), "crv", json!("P-384")),
        with(ed.jwk("x"), "crv", json!("X25519")),
        with(ed.jwk("private"), "d", json!("leaked")),
        with(rsa.jwk("weak"), "n", json!("AQAB")),
        json!({ "kty": "martian", "kid": "martian" }),
        json!("not even an object"),
        with(ec.jwk("good"), "use", json!("sig")),
        with(ed.jwk("verify"), "key_ops", json!(["sign", "verify"])),
    ])
    .await;
    let authenticator = believing_at(&server.url(), hasty()).await;
    assert_eq!(code(&authenticator, &rsa.alice("RS512", "pinned")).await, "ok");
    for alg in ["RS256", "PS256", "PS512"] {
        assert_eq!(code(&authenticator, &rsa.alice(alg, "pinned")).await, "token_algorithm_is_not_accepted", "{alg}");
    }
    for kid in ["enc", "derive", "other alg", "no alg of ours", "off the curve"] {
        assert_eq!(code(&authenticator, &ec.alice("ES256", kid)).await, "token_key_is_unknown", "{kid}");
    }
    for kid in ["x", "private"] {
        assert_eq!(code(&authenticator, &ed.alice("EdDSA", kid)).await, "token_key_is_unknown", "{kid}");
    }
    assert_eq!(code(&authenticator, &ec.alice("ES256", "good")).await, "ok");
    assert_eq!(code(&authenticator, &ed.alice("EdDSA", "verify")).await, "ok");
    let keys = authenticator.probe().await.expect("keys").jwks.expect("keys");
    assert_eq!((keys.usable, keys.ignored), (3, 10));
}

#[tokio::test]
async fn a_secret_is_believed_from_a_file_but_not_from_a_url() {
    let secret = Signer::secret(SECRET);
    let keys = [secret.jwk("shared"), Signer::secret("short").jwk("short"), Signer::p256().jwk("k")];
    // Whoever can read the page could make tokens for anybody.
    let server = KeyServer::start(&keys).await;
    let by_url = believing_at(&server.url(), hasty()).await;
    assert_eq!(code(&by_url, &secret.alice("HS256", "shared")).await, "token_algorithm_is_not_accepted");
    let file = KeyFile::new(&jwks(&keys));
    let by_file = believing_at(file.path(), hasty()).await;
    assert_eq!(code(&by_file, &secret.alice("HS256", "shared")).await, "ok");
    assert_eq!(code(&by_file, &Signer::secret("short").alice("HS256", "short")).await, "token_key_is_unknown");
    assert_eq!(code(&by_file, &secret.alice("HS256", "k")).await, "token_algorithm_is_not_accepted");
}

#[tokio::test]
async fn a_page_that_is_too_large_is_not_read() {
    let server = KeyServer::start(&[]).await;
    let authenticator = believing_at(&server.url(), hasty()).await;
    server.answer_with("200 OK", "", &"x".repeat(1024 * 1024 + 1));
    assert!(matches!(authenticator.probe().await, Err(KeysError::TooLarge { .. })));
    let many: Vec<_> = (0..101).map(|number| json!({ "kty": "oct", "kid": number })).collect();
    server.publish(&many);
    assert!(matches!(authenticator.probe().await, Err(KeysError::NotAKeySet { .. })));
    server.publish(&many[..100]);
    assert_eq!(authenticator.probe().await.expect("keys").jwks.map(|keys| keys.ignored), Some(100));
    server.answer_with("302 Found", "location: /elsewhere\r\n", "");
    assert!(matches!(authenticator.probe().await, Err(KeysError::Refused { status: 302, .. })));
}

#[tokio::test]
async fn a_place_that_could_be_tampered_with_is_refused_at_the_start() {
    let setup = async |jwks: &str| {
        let config = AuthConfig { jwks: Some(jwks.to_owned()), ..AuthConfig::default() };
        Authenticator::new(&config).await.expect_err("a bad configuration")
    };
    for url in [
        "http://id.example/jwks",
        "http://10.0.0.1/jwks",
        "http://localhost.id.example/jwks",
        "http://127.0.0.1.id.example/",
        "http://user@id.example/",
        "ftp://127.0.0.1/jwks",
        "file:///etc/jwks.json",
    ] {
        assert!(matches!(setup(url).await, SetupError::JwksUrlIsNotHttps(_)), "{url}");
    }
    assert!(matches!(setup("https://").await, SetupError::JwksUrlIsWrong));
    assert!(matches!(setup("/no/such/file").await, SetupError::Jwks(KeysError::Unreadable { .. })));
    assert!(matches!(setup("/dev/zero").await, SetupError::Jwks(KeysError::Unreadable { .. })));
    assert!(matches!(setup(KeyFile::new("-----BEGIN").path()).await, SetupError::Jwks(KeysError::NotAKeySet { .. })));
    assert!(matches!(setup(KeyFile::new(r#"{"keys":[]}"#).path()).await, SetupError::JwksFileHasNoKeys(_)));

    let inline = jwks(&[Signer::secret(SECRET).jwk("k")]);
    let error = setup(&inline).await;
    assert!(matches!(error, SetupError::JwksIsInline));
    let error = setup("http://user:hunter2@id.example/jwks?apikey=hunter2").await.to_string();
    assert!(error.contains("http://id.example/jwks") && !error.contains("hunter2"), "{error}");
}
