//! Passes: what the doors of authorisation give a client to show on its socket. A pass is the token of who asked, sealed for one socket and
//! one channel, so that whatever process holds the socket opens it and nobody else does.
//!
//! Threat: whoever sees a pass, or has one of another socket or channel. It opens nothing but what it was made for: the socket's id, which
//! nobody guesses, and the channel are sealed with the token, and the token is verified anew each time.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What the key is derived for, so that the database's serves for other things too.
const CONTEXT: &[u8] = b"tabletalk passes 1";
/// The longest pass, in bytes: a token of the longest, and what is sealed with it.
const PASS_MAX: usize = 32 << 10;

/// What a pass is for, and whose. It is not printed: it holds a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug))]
pub struct Pass {
    /// The socket.
    pub socket_id: String,
    /// The channel; absent: to sign in.
    pub channel: Option<String>,
    /// The token of who asked.
    pub token: String,
    /// By what a client is known that comes back.
    pub resume_id: Option<String>,
    /// What is shown of who asked: `channel_data`, `user_data`.
    pub data: Option<String>,
}

/// What seals and opens passes.
#[derive(Debug)]
pub struct Passes(LessSafeKey);

impl Passes {
    /// With the key that the database gave.
    pub fn new(key: &[u8]) -> Option<Self> {
        let prk = Salt::new(HKDF_SHA256, CONTEXT).extract(key);
        let derived = prk.expand(&[CONTEXT], &AES_256_GCM).ok()?;
        Some(Self(LessSafeKey::new(UnboundKey::from(derived))))
    }

    /// A pass, to be shown as `auth` where the application is called `application`.
    pub fn seal(&self, application: &str, pass: &Pass) -> Option<String> {
        let mut inside = serde_json::to_vec(pass).ok()?;
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(CONTEXT), &mut inside).ok()?;
        Some(format!("{application}:{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &inside].concat())))
    }

    /// What was shown, if it is a pass for this socket and channel.
    pub fn open(&self, shown: &str, socket_id: &str, channel: Option<&str>) -> Option<Pass> {
        let (_, sealed) = shown.rsplit_once(':').filter(|(_, sealed)| sealed.len() <= PASS_MAX)?;
        let mut whole = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, inside) = whole.split_first_chunk_mut::<NONCE_LEN>()?;
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(CONTEXT), inside).ok()?;
        let pass: Pass = serde_json::from_slice(opened).ok()?;
        (pass.socket_id == socket_id && pass.channel.as_deref() == channel).then_some(pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass_of(channel: Option<&str>) -> Pass {
        Pass {
            socket_id: "1.2".into(),
            channel: channel.map(str::to_owned),
            token: "t1".into(),
            resume_id: Some("r1".into()),
            data: None,
        }
    }

    #[test]
    fn a_pass_opens_for_its_socket_and_channel_and_nothing_else_whichever_process_made_it() {
        let (here, there) = (Passes::new(&[7; 32]).expect("a key"), Passes::new(&[7; 32]).expect("a key"));
        let pass = pass_of(Some("private-room-x"));
        let shown = here.seal("a:key", &pass).expect("sealed");
        assert_eq!(there.open(&shown, "1.2", Some("private-room-x")), Some(pass));
        assert_eq!(there.open(&shown, "1.3", Some("private-room-x")), None, "another socket");
        assert_eq!(there.open(&shown, "1.2", Some("private-room-y")), None, "another channel");
        assert_eq!(there.open(&shown, "1.2", None), None, "to sign in");
        assert!(!shown.contains("t1") && shown != here.seal("a:key", &pass_of(Some("private-room-x"))).expect("sealed"));
        let signin = here.seal("key", &pass_of(None)).expect("sealed");
        assert_eq!(there.open(&signin, "1.2", Some("private-room-x")), None);
        assert!(there.open(&signin, "1.2", None).is_some());
    }

    #[test]
    fn what_is_forged_opens_nothing() {
        let (here, strange) = (Passes::new(&[7; 32]).expect("a key"), Passes::new(&[8; 32]).expect("a key"));
        assert_eq!(here.open(&strange.seal("key", &pass_of(None)).expect("sealed"), "1.2", None), None, "by another key");
        let shown = here.seal("key", &pass_of(None)).expect("sealed");
        for place in 4..shown.len() {
            let mut letters: Vec<char> = shown.chars().collect();
            letters[place] = if letters[place] == 'A' { 'B' } else { 'A' };
            let forged: String = letters.into_iter().collect();
            assert_eq!(here.open(&forged, "1.2", None), None, "letter {place} is another");
        }
        for shown in ["", ":", "key:", "key:AAAA", "key:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"] {
            assert_eq!(here.open(shown, "1.2", None), None);
        }
    }
}
