//! Holds frames against the document, and knows which it has seen.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use uuid::Uuid;

/// The document that the code generates.
pub fn document() -> Value {
    let openapi = serde_json::from_str(&tabletalk::cli::openapi().expect("a document")).expect("JSON");
    serde_json::from_str(&tabletalk::app::asyncapi::Document::beside(&openapi).json()).expect("JSON")
}

/// The document, and what was seen of it.
pub struct Contract {
    document: Value,
    validators: BTreeMap<String, Validator>,
    seen: BTreeSet<(String, String)>,
}

impl Contract {
    /// Nothing was seen yet. The schemas are taken to the letter: what they do not name must not be there.
    pub fn new() -> Self {
        let mut document = document();
        close(&mut document["components"]);
        let messages = document["components"]["messages"].as_object().expect("messages");
        let validator = |key: &String| {
            let whole = json!({
                "allOf": [{ "$ref": format!("#/components/messages/{key}/payload") }],
                "components": document["components"],
            });
            let is_uuid = |text: &str| text.parse::<Uuid>().is_ok();
            let options =
                jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true).with_format("uuid", is_uuid);
            (key.clone(), options.build(&whole).unwrap_or_else(|error| panic!("{key}: {error}")))
        };
        let validators = messages.keys().map(validator).collect();
        Self { document, validators, seen: BTreeSet::new() }
    }

    /// A frame of the server's, through a channel.
    #[track_caller]
    pub fn hear(&mut self, channel: &str, frame: &Value) {
        self.fits_one(channel, "server.", frame);
    }

    /// A frame of a client's.
    #[track_caller]
    pub fn say(&mut self, frame: &Value) {
        self.fits_one("socket", "client.", frame);
    }

    /// A frame is one message of its channel, and only one.
    #[track_caller]
    fn fits_one(&mut self, channel: &str, from: &str, frame: &Value) {
        let there = self.document["channels"][channel]["messages"].as_object().expect("messages").keys();
        let called_so = there.filter(|key| {
            key.starts_with(from) && self.document["components"]["messages"][key.as_str()]["name"] == frame["type"]
        });
        let (mut fits, mut wrong) = (Vec::new(), Vec::new());
        for key in called_so {
            let validator = &self.validators[key];
            let errors: Vec<String> =
                validator.iter_errors(frame).map(|error| format!("{key}: {}: {error}", error.instance_path())).collect();
            if errors.is_empty() { fits.push(key.clone()) } else { wrong.extend(errors) }
        }
        assert_eq!(fits.len(), 1, "{channel}: {frame} is {fits:?}\n{}", wrong.join("\n"));
        self.seen.extend(fits.into_iter().map(|key| (channel.to_owned(), key)));
    }

    /// Whether every message of every channel was seen.
    #[track_caller]
    pub fn is_whole(&self) {
        for (channel, its) in self.document["channels"].as_object().expect("channels") {
            let messages = its["messages"].as_object().expect("messages").keys();
            let unseen: Vec<&String> = messages.filter(|key| !self.seen.contains(&(channel.clone(), (*key).clone()))).collect();
            assert!(unseen.is_empty(), "never seen at {channel}: {unseen:?}");
        }
    }
}

/// Lets models have no fields but their own.
fn close(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(close);
            if object.get("type") == Some(&json!("object")) && object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
