//! What stands in no table, told to the other processes over NOTIFY: sealed, so that nobody else reads or forges it.
//!
//! Threat: any role of the database may listen and notify on any channel. The key stands in a table that the owner's functions alone read, and
//! the relay's role asks for it. What does not open is nothing; what was sent long ago, or was heard before, is nothing either, so that who
//! wrote down a payload cannot send it again. Processes' clocks are to agree to a few seconds.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a sealed payload begins with: no hint does.
pub const PREFIX: char = '~';
/// How old, or how far ahead, a payload may be.
const AGE_MAX: Duration = Duration::from_secs(10);
/// How long a payload is remembered: from as far ahead as it may be to as old as it may be, and half of that.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Payloads that are remembered at most; the oldest go first. Only those that open are: whoever has no key makes none forgotten.
const REMEMBERED_MAX: usize = 50_000;
/// What is sealed besides whispers: the time, and the process.
const HEAD: usize = 8 + 16;
/// A whisper without its content: the chat, who, what kind, how long.
const WHISPER_HEAD: usize = 16 + 16 + 1 + 4;
/// What sealing adds, at the end.
const TAG: usize = 16;
/// What it is sealed for, so that the same key could serve for something else.
const CONTEXT: &[u8] = b"tabletalk whispers 1";

/// Something told in a chat and stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whisper {
    pub chat: Uuid,
    /// Who tells it.
    pub user: Uuid,
    pub kind: Kind,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// That they type, or do no more.
    Typing { is_typing: bool },
}

/// A kind of whisper that this process does not know.
struct OfNewerProcess;

impl Whisper {
    /// What it says, by the number of its kind.
    fn content(&self) -> (u8, Vec<u8>) {
        match &self.kind {
            Kind::Typing { is_typing } => (1, vec![u8::from(*is_typing)]),
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        let (kind, content) = self.content();
        to.extend(self.chat.as_bytes());
        to.extend(self.user.as_bytes());
        to.push(kind);
        to.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
        to.extend(content);
    }

    fn read(from: &mut &[u8]) -> Option<Result<Self, OfNewerProcess>> {
        let (chat, user) = (Uuid::from_bytes(take(from)?), Uuid::from_bytes(take(from)?));
        let [kind] = take(from)?;
        let length = usize::try_from(u32::from_be_bytes(take(from)?)).ok()?;
        let (content, rest) = from.split_at_checked(length)?;
        *from = rest;
        let kind = match (kind, content) {
            (1, [is_typing]) => Kind::Typing { is_typing: *is_typing == 1 },
            _ => return Some(Err(OfNewerProcess)),
        };
        Some(Ok(Self { chat, user, kind }))
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

/// What seals, and opens what others sealed.
pub struct Seal {
    process: Uuid,
    key: LessSafeKey,
    heard: HashSet<[u8; NONCE_LEN]>,
    in_order: VecDeque<(OffsetDateTime, [u8; NONCE_LEN])>,
}

impl Seal {
    /// One for a process, with the key that the database gave. None: it is no key.
    pub fn new(process: Uuid, key: &[u8]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        Some(Self { process, key, heard: HashSet::new(), in_order: VecDeque::new() })
    }

    /// As many whispers as a payload of so many bytes holds, sealed, and how many they are. One that is too long for any is passed over.
    pub fn seal(&self, whispers: &[Whisper], bytes_max: usize) -> (String, usize) {
        self.seal_at(OffsetDateTime::now_utc(), whispers, bytes_max)
    }

    fn seal_at(&self, now: OffsetDateTime, whispers: &[Whisper], bytes_max: usize) -> (String, usize) {
        let room = (bytes_max.saturating_sub(PREFIX.len_utf8()) / 4 * 3).saturating_sub(NONCE_LEN + TAG);
        let mut inside = Vec::with_capacity(HEAD + WHISPER_HEAD * whispers.len().min(64));
        inside.extend(millis(now).to_be_bytes());
        inside.extend(self.process.as_bytes());
        let mut count = 0;
        for whisper in whispers {
            let before = inside.len();
            whisper.write(&mut inside);
            if inside.len() > room {
                inside.truncate(before);
                if before > HEAD {
                    break;
                }
            }
            count += 1;
        }
        let mut nonce = [0; NONCE_LEN];
        let sealed = aws_lc_rs::rand::fill(&mut nonce).and_then(|()| {
            self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(CONTEXT), &mut inside)
        });
        if sealed.is_err() {
            return (String::new(), count);
        }
        let mut whole = nonce.to_vec();
        whole.extend(inside);
        (format!("{PREFIX}{}", STANDARD_NO_PAD.encode(whole)), count)
    }

    /// What another process sealed a moment ago; nothing, if it is this one's own, somebody else's, old, or was heard before.
    pub fn open(&mut self, payload: &str) -> Vec<Whisper> {
        self.open_at(OffsetDateTime::now_utc(), payload).unwrap_or_default()
    }

    fn open_at(&mut self, now: OffsetDateTime, payload: &str) -> Option<Vec<Whisper>> {
        let mut whole = STANDARD_NO_PAD.decode(payload.strip_prefix(PREFIX)?).ok()?;
        let (nonce, inside) = whole.split_first_chunk_mut::<NONCE_LEN>()?;
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(CONTEXT), inside).ok()?;
        let mut inside = &*opened;
        let sent = i64::from_be_bytes(take(&mut inside)?);
        let process = Uuid::from_bytes(take(&mut inside)?);
        let age = millis(now).saturating_sub(sent).unsigned_abs();
        if process == self.process || u128::from(age) > AGE_MAX.as_millis() || !self.remember(now, *nonce) {
            return None;
        }
        let mut whispers = Vec::new();
        while !inside.is_empty() {
            whispers.extend(Whisper::read(&mut inside)?);
        }
        Some(whispers)
    }

    /// Whether it was not heard before.
    fn remember(&mut self, now: OffsetDateTime, nonce: [u8; NONCE_LEN]) -> bool {
        while self.in_order.front().is_some_and(|(at, _)| now - *at > REMEMBERED) || self.in_order.len() >= REMEMBERED_MAX {
            if let Some((_, oldest)) = self.in_order.pop_front() {
                self.heard.remove(&oldest);
            }
        }
        let is_new = self.heard.insert(nonce);
        if is_new {
            self.in_order.push_back((now, nonce));
        }
        is_new
    }
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 7_900;

    fn pair() -> (Seal, Seal) {
        let key = [7; 32];
        let seal = || Seal::new(Uuid::new_v4(), &key).expect("a key");
        (seal(), seal())
    }

    fn some(count: usize) -> Vec<Whisper> {
        (0..count)
            .map(|n| Whisper { chat: Uuid::new_v4(), user: Uuid::new_v4(), kind: Kind::Typing { is_typing: n % 2 == 0 } })
            .collect()
    }

    #[test]
    fn what_one_process_seals_another_opens_and_it_itself_does_not() {
        let (mut here, mut there) = pair();
        let whispers = some(3);
        let (payload, count) = here.seal(&whispers, ROOM);
        assert_eq!(count, 3);
        assert!(payload.starts_with(PREFIX) && !payload.contains([':', ',', '.']), "{payload}");
        assert_eq!(there.open(&payload), whispers);
        assert_eq!(here.open(&payload), [], "it was told at once");
    }

    #[test]
    fn a_payload_holds_as_many_as_postgres_takes() {
        let (here, mut there) = pair();
        let whispers = some(500);
        let (payload, count) = here.seal(&whispers, ROOM);
        assert!(payload.len() <= ROOM && payload.len() > ROOM - 60, "{}", payload.len());
        assert_eq!(there.open(&payload), whispers[..count]);
    }

    #[test]
    fn what_is_forged_is_nothing() {
        let (here, mut there) = pair();
        let strange = Seal::new(Uuid::new_v4(), &[8; 32]).expect("a key");
        assert_eq!(there.open(&strange.seal(&some(1), ROOM).0), [], "by another key");
        let (payload, _) = here.seal(&some(1), ROOM);
        for place in 1..payload.len() {
            let mut letters: Vec<char> = payload.chars().collect();
            letters[place] = if letters[place] == 'A' { 'B' } else { 'A' };
            assert_eq!(there.open(&letters.into_iter().collect::<String>()), [], "letter {place} is another");
        }
        for payload in ["", "~", "~~~~", "~AAAA", "hello"] {
            assert_eq!(there.open(payload), []);
        }
        assert_eq!(there.open(&payload).len(), 1, "what was tried did no harm");
        assert!(Seal::new(Uuid::new_v4(), &[7; 31]).is_none());
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        let (here, mut there) = pair();
        let (payload, _) = here.seal(&some(1), ROOM);
        for length in 0..payload.len() {
            assert_eq!(there.open(&payload[..length]), []);
        }
    }

    #[test]
    fn what_was_heard_before_is_nothing() {
        let (here, mut there) = pair();
        let (payload, _) = here.seal(&some(1), ROOM);
        assert_eq!(there.open(&payload).len(), 1);
        assert_eq!(there.open(&payload), []);
        let before = OffsetDateTime::now_utc();
        for after in [9, 11, 31] {
            assert_eq!(there.open_at(before + Duration::from_secs(after), &payload), None);
        }
    }

    #[test]
    fn what_was_sent_long_ago_or_is_to_be_is_nothing() {
        let (here, mut there) = pair();
        let now = OffsetDateTime::now_utc();
        for (seconds, opens) in [(-11, false), (-9, true), (9, true), (11, false)] {
            let (payload, _) = here.seal_at(now + time::Duration::seconds(seconds), &some(1), ROOM);
            assert_eq!(there.open_at(now, &payload).is_some(), opens, "sent {seconds} s from now");
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (_, mut there) = pair();
        let now = OffsetDateTime::now_utc();
        let nonce = |n: usize| {
            let mut nonce = [0; NONCE_LEN];
            nonce[..8].copy_from_slice(&n.to_be_bytes());
            nonce
        };
        for n in 0..REMEMBERED_MAX + 10 {
            assert!(there.remember(now, nonce(n)));
        }
        assert_eq!((there.heard.len(), there.in_order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        there.remember(now + Duration::from_secs(31), nonce(usize::MAX));
        assert_eq!(there.heard.len(), 1, "and an end");
    }
}
