//! What a client says, read. Pure.
//!
//! Version 1.0.0: `{ topic, event, payload, ref, join_ref }`. Version 2.0.0: `[join_ref, ref, topic, event, payload]`, or bytes where it is a
//! broadcast: `3`, the lengths of join_ref, ref, topic, event and metadata in a byte each, 0 for bytes or 1 for JSON, those five, the payload.

use serde_json::Value;

/// Which form frames have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

impl Version {
    /// The version that the address of a socket names; without one it is the first.
    pub fn named(vsn: Option<&str>) -> Option<Self> {
        match vsn {
            None | Some("1.0.0") => Some(Self::One),
            Some("2.0.0") => Some(Self::Two),
            Some(_) => None,
        }
    }
}

/// The topic of what is the socket's and no channel's.
pub const SOCKET: &str = "phoenix";
/// With which every channel's topic begins.
pub const PREFIX: &str = "realtime:";

/// The first byte of a broadcast that a client sends, and the bytes before its parts.
const BROADCAST_PUSH: u8 = 3;
const HEADER: usize = 7;

/// What is broadcast.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Sent {
    Json(Value),
    Bytes(Vec<u8>),
}

/// What a client says.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct ClientFrame {
    /// Which joining of the channel it belongs to.
    pub join_ref: Option<String>,
    pub reference: Option<String>,
    pub topic: String,
    pub said: Said,
}

#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Said {
    Join(Value),
    Leave,
    Heartbeat,
    /// A fresher token; none where there is none.
    Token(Option<String>),
    Broadcast {
        event: String,
        sent: Sent,
    },
    /// A state of theirs that others are to see.
    Track(Value),
    Untrack,
    /// What nobody knows.
    Unknown(String),
}

/// What cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

impl ClientFrame {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is no frame of this version.
    pub fn parse(version: Version, text: &str) -> Result<Self, Malformed> {
        let frame: Value = serde_json::from_str(text).map_err(|_| Malformed("it is not JSON"))?;
        let [join_ref, reference, topic, event, payload] = match (version, frame) {
            (Version::One, Value::Object(mut frame)) => {
                ["join_ref", "ref", "topic", "event", "payload"].map(|name| frame.remove(name).unwrap_or_default())
            }
            (Version::Two, Value::Array(parts)) => parts.try_into().map_err(|_| Malformed("it has not five parts"))?,
            _ => return Err(Malformed("it has not the form of this version")),
        };
        let (Value::String(topic), Value::String(event)) = (topic, event) else {
            return Err(Malformed("topic and event are texts"));
        };
        let (join_ref, reference) = (reference_of(join_ref)?, reference_of(reference)?);
        let said = Said::read(&topic, event, payload);
        Ok(Self { join_ref, reference, topic, said })
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// When they are no broadcast.
    pub fn parse_bytes(version: Version, bytes: &[u8]) -> Result<Self, Malformed> {
        let [BROADCAST_PUSH, lengths @ .., encoding] = bytes.first_chunk::<HEADER>().ok_or(Malformed("it is too short"))? else {
            return Err(Malformed("it is of an unknown kind"));
        };
        if version == Version::One {
            return Err(Malformed("frames of this version are texts"));
        }
        let mut rest = &bytes[HEADER..];
        let mut part = |length: u8| {
            let (part, after) = rest.split_at_checked(length.into()).ok_or(Malformed("it is too short"))?;
            rest = after;
            std::str::from_utf8(part).map(str::to_owned).map_err(|_| Malformed("it is not UTF-8"))
        };
        let [join_ref, reference, topic, event, metadata] = lengths;
        let (join_ref, reference) = (part(*join_ref)?, part(*reference)?);
        let (topic, event) = (part(*topic)?, part(*event)?);
        // about keeping it, which nobody does
        part(*metadata)?;
        let sent = match encoding {
            0 => Sent::Bytes(rest.to_vec()),
            1 => Sent::Json(serde_json::from_slice(rest).map_err(|_| Malformed("its payload is not JSON"))?),
            _ => return Err(Malformed("its payload is of an unknown kind")),
        };
        let some = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self { join_ref: some(join_ref), reference: some(reference), topic, said: Said::Broadcast { event, sent } })
    }
}

fn reference_of(value: Value) -> Result<Option<String>, Malformed> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(Malformed("a ref is a text")),
    }
}

impl Said {
    fn read(topic: &str, event: String, mut payload: Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match event.as_str() {
            "heartbeat" if topic == SOCKET => Self::Heartbeat,
            "phx_join" => Self::Join(payload),
            "phx_leave" => Self::Leave,
            "access_token" => Self::Token(text(&payload["access_token"])),
            "broadcast" => match text(&payload["event"]) {
                Some(event) => Self::Broadcast { event, sent: Sent::Json(take(&mut payload)) },
                None => Self::Unknown(event),
            },
            "presence" => match text(&payload["event"]).map(|event| event.to_ascii_lowercase()).as_deref() {
                Some("track") => Self::Track(take(&mut payload)),
                Some("untrack") => Self::Untrack,
                _ => Self::Unknown(event),
            },
            _ => Self::Unknown(event),
        }
    }
}

/// What a payload carries; without it, nothing is in it.
fn take(payload: &mut Value) -> Value {
    payload.get_mut("payload").map_or_else(|| Value::Object(serde_json::Map::new()), Value::take)
}

#[cfg(test)]
mod tests;
