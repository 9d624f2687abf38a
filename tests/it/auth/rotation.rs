//! How published keys change, and how often we ask.

use std::time::{Duration, Instant};

use serde_json::json;
use tabletalk::auth::Pace;

use super::{
    issuer::{Signer, alice, alice_with, believing_at, code, hasty, jwks, now},
    key_places::{KeyFile, KeyServer},
};

#[tokio::test]
async fn a_token_that_was_believed_expires_all_the_same() {
    let key = Signer::p256();
    let server = KeyServer::start(&[key.jwk("k")]).await;
    let authenticator = believing_at(&server.url(), hasty()).await;
    // Within the skew, for a second or two.
    let token = key.token(json!({ "alg": "ES256", "kid": "k" }), alice_with(json!({ "exp": now() - 28 })));
    assert_eq!(code(&authenticator, &token).await, "ok");
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let expires = async {
        while code(&authenticator, &token).await == "ok" {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), expires).await.expect("the token expires");
    assert_eq!(code(&authenticator, &token).await, "token_expired");
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it() {
    let (old, new) = (Signer::p256(), Signer::ed25519());
    let server = KeyServer::start(&[old.jwk("old")]).await;
    let authenticator = believing_at(&server.url(), hasty()).await;
    assert_eq!(code(&authenticator, &new.alice("EdDSA", "new")).await, "token_key_is_unknown");
    server.publish(&[old.jwk("old"), new.jwk("new")]);
    assert_eq!(code(&authenticator, &new.alice("EdDSA", "new")).await, "ok");
    assert_eq!(code(&authenticator, &old.alice("ES256", "old")).await, "ok");
    assert_eq!(server.requests(), 3);

    let file = KeyFile::new(&jwks(&[old.jwk("old")]));
    let authenticator = believing_at(file.path(), hasty()).await;
    std::fs::write(file.path(), jwks(&[new.jwk("new")])).expect("a file");
    assert_eq!(code(&authenticator, &new.alice("EdDSA", "new")).await, "ok");
    assert_eq!(code(&authenticator, &old.alice("ES256", "old")).await, "token_key_is_unknown");
}

#[tokio::test]
async fn a_new_key_is_found_where_keys_have_no_names() {
    let nameless = |signer: &Signer| {
        let mut jwk = signer.jwk("");
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    };
    let (old, new) = (Signer::p256(), Signer::p256());
    let server = KeyServer::start(&[nameless(&old)]).await;
    let authenticator = believing_at(&server.url(), hasty()).await;
    // A name on the token does not exclude a key that has none.
    assert_eq!(code(&authenticator, &old.alice("ES256", "any")).await, "ok");
    server.publish(&[nameless(&new)]);
    assert_eq!(code(&authenticator, &new.token(json!({ "alg": "ES256" }), alice())).await, "ok");
    assert_eq!(code(&authenticator, &old.token(json!({ "alg": "ES256" }), alice())).await, "token_signature_is_wrong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_names_do_not_make_us_ask_more_often() {
    let key = Signer::p256();
    let server = KeyServer::start(&[key.jwk("k")]).await;
    let authenticator = believing_at(&server.url(), Pace::default()).await;
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..500 {
        let (authenticator, token) = (authenticator.clone(), key.alice("ES256", &format!("forged {number}")));
        requests.spawn(async move { code(&authenticator, &token).await });
    }
    assert!(requests.join_all().await.iter().all(|code| *code == "token_key_is_unknown"));
    assert_eq!(server.requests(), 1, "the one at the start");

    assert_eq!(code(&authenticator, &key.alice("ES256", "k")).await, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_whose_senders_hang_up_does_not_hurry_the_next_read() {
    let key = Signer::p256();
    let server = KeyServer::start(&[key.jwk("k")]).await;
    let pace = Pace { between_reads: Duration::from_millis(100), ..Pace::default() };
    let started = Instant::now();
    let authenticator = believing_at(&server.url(), pace).await;
    let token = key.alice("ES256", "forged");
    let flood = async {
        while server.requests() < 4 {
            // Long enough to set a read going, too short to see its end.
            let _ = tokio::time::timeout(Duration::from_nanos(1), authenticator.verify(&token)).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), flood).await.expect("reads go on");
    let (taken, made) = (started.elapsed(), server.requests());
    assert!(taken >= pace.between_reads * u32::try_from(made - 1).expect("a few"), "{made} reads in {taken:?}");
}

#[tokio::test]
async fn who_hangs_up_does_not_waste_the_read() {
    let key = Signer::p256();
    let address = KeyServer::start(&[]).await.stop().await;
    // After the next read begins there will be no other.
    let pace = Pace { between_reads: Duration::from_secs(3600), after_failure: Duration::ZERO, ..Pace::default() };
    let authenticator = believing_at(&format!("http://{address}/"), pace).await;
    let server = KeyServer::start_at(address, &[key.jwk("k")]).await;
    server.hold(true);
    let token = key.alice("ES256", "k");
    let asked = async {
        while server.requests() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = authenticator.verify(&token) => panic!("the issuer has not answered yet"),
        () = asked => {}
    }
    server.hold(false);
    let arrives = async {
        while code(&authenticator, &token).await != "ok" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), arrives).await.expect("the keys arrive");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn an_issuer_that_starts_later_is_found() {
    let key = Signer::p256();
    let address = KeyServer::start(&[]).await.stop().await;
    let url = format!("http://{address}/jwks.json");
    let authenticator = believing_at(&url, hasty()).await;
    assert_eq!(code(&authenticator, &key.alice("ES256", "k")).await, "keys_unavailable");
    let error = authenticator.probe().await.expect_err("nobody answers").to_string();
    assert!(error.contains(&url) && error.contains("refused"), "{error}");
    let server = KeyServer::start_at(address, &[key.jwk("k")]).await;
    assert_eq!(code(&authenticator, &key.alice("ES256", "k")).await, "ok");
    assert_eq!(authenticator.probe().await.expect("keys").jwks.map(|keys| keys.usable), Some(1));
    drop(server);
}

#[tokio::test]
async fn an_issuer_that_goes_away_and_comes_back_is_believed_throughout() {
    let (key, new) = (Signer::p256(), Signer::p256());
    let server = KeyServer::start(&[key.jwk("k")]).await;
    let authenticator = believing_at(&server.url(), hasty()).await;
    for broken in ["500 Oops", "404 Not Found", "302 Found", "200 OK"] {
        server.answer_with(broken, "location: http://127.0.0.1:9/\r\n", "<html>");
        assert_eq!(code(&authenticator, &new.alice("ES256", "new")).await, "token_key_is_unknown");
        assert_eq!(code(&authenticator, &key.alice("ES256", "k")).await, "ok", "{broken}");
    }
    let address = server.stop().await;
    assert_eq!(code(&authenticator, &new.alice("ES256", "new")).await, "token_key_is_unknown");
    assert_eq!(code(&authenticator, &key.alice("ES256", "k")).await, "ok");
    let _server = KeyServer::start_at(address, &[new.jwk("new")]).await;
    assert_eq!(code(&authenticator, &new.alice("ES256", "new")).await, "ok");
    assert_eq!(code(&authenticator, &key.alice("ES256", "k")).await, "token_key_is_unknown");
}

#[tokio::test]
async fn a_withdrawn_key_dies_without_anyone_naming_another() {
    let key = Signer::p256();
    let server = KeyServer::start(&[key.jwk("k")]).await;
    let pace = Pace { fresh_for: Duration::ZERO, ..hasty() };
    let authenticator = believing_at(&server.url(), pace).await;
    server.publish(&[]);
    let dies = async {
        while code(&authenticator, &key.alice("ES256", "k")).await == "ok" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), dies).await.expect("the key dies");
}

#[tokio::test]
async fn keys_that_cannot_be_confirmed_are_not_believed_for_ever() {
    let key = Signer::p256();
    let server = KeyServer::start(&[key.jwk("k")]).await;
    let pace = Pace { fresh_for: Duration::ZERO, believed_for: Duration::from_millis(1), ..hasty() };
    let authenticator = believing_at(&server.url(), pace).await;
    server.stop().await;
    let dies = async {
        while code(&authenticator, &key.alice("ES256", "k")).await != "keys_unavailable" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), dies).await.expect("the keys die");
}
