use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

/// What supabase-js sent: `node tests/clients/record.mjs` records it again.
const RECORDED: [(Version, &str); 2] = [
    (Version::One, include_str!("../../../../tests/clients/frames/supabase-1.jsonl")),
    (Version::Two, include_str!("../../../../tests/clients/frames/supabase-2.jsonl")),
];
const CHAT: &str = "realtime:chat:0197f5a0-0000-7000-8000-000000000001";

/// The frames of a recording, read.
pub fn recorded(version: Version, lines: &str) -> Vec<ClientFrame> {
    let mut frames = Vec::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("a line");
        if let Some(text) = line["text"].as_str() {
            frames.push(ClientFrame::parse(version, text).expect(text));
        } else if let Some(bytes) = line["base64"].as_str() {
            frames.push(ClientFrame::parse_bytes(version, &STANDARD.decode(bytes).expect("bytes")).expect(bytes));
        }
    }
    frames
}

#[test]
fn what_supabase_js_sends_is_read() {
    for (version, lines) in RECORDED {
        let frames = recorded(version, lines);
        let of_chat: Vec<&Said> = frames.iter().filter(|frame| frame.topic == CHAT).map(|frame| &frame.said).collect();
        let typing = Said::Broadcast { event: "typing".to_owned(), sent: Sent::Json(json!({ "user": "é" })) };
        let drawing = Said::Broadcast { event: "drawing".to_owned(), sent: Sent::Bytes(vec![0, 1, 254, 255]) };
        let token = Said::Token(Some("header.claims-anew.signature".to_owned()));
        let track = Said::Track(json!({ "status": "here" }));
        assert!(matches!(of_chat[0], Said::Join(payload) if payload["config"]["private"] == true), "{of_chat:?}");
        let mut rest = vec![&typing, &track, &Said::Untrack, &token, &Said::Leave];
        if version == Version::Two {
            rest.insert(1, &drawing);
        }
        assert_eq!(of_chat[1..], rest);
        assert!(frames.iter().any(|frame| frame.topic == SOCKET && frame.said == Said::Heartbeat && frame.join_ref.is_none()));
        let joined = frames.iter().find(|frame| frame.topic == CHAT).and_then(|frame| frame.reference.clone());
        assert!(joined.is_some());
        assert!(
            frames.iter().filter(|frame| frame.topic == CHAT).all(|frame| frame.join_ref == joined && frame.reference.is_some())
        );
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    let texts = ["", "[]", "{}", "[1,2,3,4]", r#"[null,null,1,"phx_join",{}]"#, r#"[{},"1","t","e",{}]"#];
    for text in texts {
        assert!(ClientFrame::parse(Version::Two, text).is_err(), "{text}");
    }
    assert!(ClientFrame::parse(Version::One, r#"[null,"1","t","e",{}]"#).is_err());
    assert!(ClientFrame::parse(Version::Two, r#"{"topic":"t","event":"e","payload":{},"ref":"1"}"#).is_err());
    let whole = [3, 1, 1, 2, 1, 0, 1, b'1', b'2', b't', b'o', b'e', b'{', b'}'];
    assert!(ClientFrame::parse_bytes(Version::Two, &whole).is_ok());
    assert!(ClientFrame::parse_bytes(Version::One, &whole).is_err());
    for length in 0..whole.len() - 1 {
        assert!(ClientFrame::parse_bytes(Version::Two, &whole[..length]).is_err(), "{length} bytes");
    }
    assert!(ClientFrame::parse_bytes(Version::Two, &[&[4], &whole[1..]].concat()).is_err());
    assert!(ClientFrame::parse_bytes(Version::Two, &[&whole[..6], &[2], &whole[7..]].concat()).is_err());
    assert!(ClientFrame::parse_bytes(Version::Two, &[&whole[..7], &[0xff], &whole[8..]].concat()).is_err());
}

#[test]
fn a_socket_without_a_version_speaks_the_first() {
    assert_eq!(Version::named(None), Some(Version::One));
    assert_eq!(Version::named(Some("2.0.0")), Some(Version::Two));
    assert_eq!(Version::named(Some("3.0.0")), None);
}

#[test]
fn what_is_not_said_is_nothing() {
    let said = |event: &str, payload: Value| Said::read("realtime:x", event.to_owned(), payload);
    assert_eq!(said("presence", json!({ "event": "TRACK" })), Said::Track(json!({})));
    assert_eq!(said("access_token", json!({ "access_token": null })), Said::Token(None));
    assert_eq!(said("heartbeat", json!({})), Said::Unknown("heartbeat".to_owned()));
    assert_eq!(said("broadcast", json!({})), Said::Unknown("broadcast".to_owned()));
    let empty = Said::Broadcast { event: "e".to_owned(), sent: Sent::Json(json!({})) };
    assert_eq!(said("broadcast", json!({ "event": "e" })), empty);
}
