//! Who is present in a channel, in the words of this protocol. Pure.

use serde_json::{Map, Value, json};

use crate::realtime::asides::Track;

/// What each says of themselves, by the key under which they do.
pub fn state<'a>(tracks: impl IntoIterator<Item = &'a Track>) -> Value {
    let mut keys: Map<String, Value> = Map::new();
    for Track { id, key, state } in tracks {
        let mut meta = json!({ "phx_ref": id });
        match state {
            Value::Object(said) => {
                let said = said.iter().filter(|(name, _)| *name != "phx_ref");
                meta.as_object_mut().into_iter().for_each(|meta| meta.extend(said.clone().map(|(k, v)| (k.clone(), v.clone()))));
            }
            // clients of other protocols may say what is no object
            other => meta["state"] = other.clone(),
        }
        let of_key = keys.entry(key.as_str()).or_insert_with(|| json!({ "metas": [] }));
        if let Some(metas) = of_key["metas"].as_array_mut() {
            metas.push(meta);
        }
    }
    keys.into()
}

/// Who came, and who went.
pub fn diff(joins: &[Track], leaves: &[Track]) -> String {
    json!({ "joins": state(joins), "leaves": state(leaves) }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(id: &str, key: &str, state: Value) -> Track {
        Track { id: id.to_owned(), key: key.to_owned(), state }
    }

    #[test]
    fn what_one_says_on_several_devices_stands_under_one_key() {
        let tracks = [
            track("1", "alice", json!({ "at": "home", "phx_ref": "mine" })),
            track("2", "alice", json!({})),
            track("3", "bob", json!(7)),
        ];
        let expected = json!({
            "alice": { "metas": [{ "phx_ref": "1", "at": "home" }, { "phx_ref": "2" }] },
            "bob": { "metas": [{ "phx_ref": "3", "state": 7 }] },
        });
        assert_eq!(state(&tracks), expected);
        assert_eq!(state([]), json!({}));
        assert_eq!(diff(&tracks[2..], &[]), r#"{"joins":{"bob":{"metas":[{"phx_ref":"3","state":7}]}},"leaves":{}}"#);
    }
}
