//! The schemas that frames refer to, as JSON Schema (draft 7, which AsyncAPI's are a superset of).

use poem_openapi::registry::{MetaSchemaRef, Registry};
use serde_json::{Map, Value, json};

use crate::api;
use crate::realtime::native::frames::client::BESIDE;
use crate::realtime::native::frames::spec::{ClientSpec, Schema, ServerSpec};

/// Where schemas are in a document, the same in both.
const PLACE: &str = "#/components/schemas/";
/// Another word for the text of a message, in frames.
const CONTENT: &str = "content";
const TEXT: &str = "text";

/// The schemas of frames, and those that they refer to.
pub struct Schemas<'a> {
    openapi: &'a Map<String, Value>,
    registry: Registry,
    /// Those of frames that are more than their type says.
    extended: Map<String, Value>,
    roots: Vec<String>,
}

impl<'a> Schemas<'a> {
    /// None yet; the API's are in its document.
    pub fn beside(openapi: &'a Value) -> Self {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let openapi = openapi["components"]["schemas"].as_object().unwrap_or(&NONE);
        Self { openapi, registry: Registry::new(), extended: Map::new(), roots: Vec::new() }
    }

    /// The schema of a server frame's payload.
    pub fn of_server(&mut self, frame: &ServerSpec) -> Value {
        let name = self.name_of(frame.payload);
        if let Some(base) = frame.extends {
            let mut schema = self.known(&name);
            add_properties(&mut schema, &self.known(base));
            self.extended.insert(name.clone(), schema);
        }
        self.refer(name)
    }

    /// The schema of a client frame's payload, by reference, and as a whole with what may stand beside it.
    pub fn of_client(&mut self, frame: &ClientSpec) -> (Value, Value) {
        let name = self.name_of(frame.payload);
        let mut whole = self.known(&name);
        if let Some(base) = frame.extends {
            let base = self.known(base);
            add_properties(&mut whole, &base);
            whole["additionalProperties"] = json!(false);
            for required in base["required"].as_array().into_iter().flatten() {
                // the text has two names, all else is as it is in the API
                if required == TEXT {
                    whole["properties"][CONTENT] = base["properties"][TEXT].clone();
                    whole["properties"][CONTENT]["description"] = json!("`text`, by another name.");
                    whole["anyOf"] = json!([{ "required": [TEXT] }, { "required": [CONTENT] }]);
                } else if let Some(all) = whole.get_mut("required").and_then(Value::as_array_mut) {
                    all.push(required.clone());
                }
            }
        }
        let mut inside = whole.clone();
        if let Some(required) = inside.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| !BESIDE.iter().any(|beside| name == beside));
            if required.is_empty() {
                inside.as_object_mut().map(|schema| schema.shift_remove("required"));
            }
        }
        self.extended.insert(name.clone(), inside);
        (self.refer(name), whole)
    }

    fn refer(&mut self, name: String) -> Value {
        let reference = json!({ "$ref": format!("{PLACE}{name}") });
        self.roots.push(name);
        reference
    }

    fn name_of(&mut self, schema: Schema) -> String {
        match schema(&mut self.registry) {
            MetaSchemaRef::Reference(name) => name,
            MetaSchemaRef::Inline(_) => unreachable!("invariant: a payload is a model"),
        }
    }

    /// A schema by its name: of a frame, or of the API.
    fn known(&self, name: &str) -> Value {
        if let Some(extended) = self.extended.get(name) {
            return extended.clone();
        }
        let own = api::document::schemas(&self.registry).remove(name);
        let mut schema = own.or_else(|| self.openapi.get(name).cloned()).unwrap_or_default();
        as_json_schema(&mut schema);
        schema
    }

    /// All that frames refer to, in the order of their names.
    pub fn used(mut self) -> Map<String, Value> {
        let mut used = Map::new();
        while let Some(name) = self.roots.pop() {
            if !used.contains_key(&name) {
                let schema = self.known(&name);
                references(&schema, &mut self.roots);
                used.insert(name, schema);
            }
        }
        used.sort_keys();
        used
    }
}

/// Adds the properties of another schema; those that are there stay.
fn add_properties(schema: &mut Value, base: &Value) {
    for (name, property) in base["properties"].as_object().into_iter().flatten() {
        if let Some(properties) = schema["properties"].as_object_mut() {
            properties.entry(name).or_insert_with(|| property.clone());
        }
    }
}

/// The names of the schemas that a value refers to.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let name = object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix(PLACE));
            found.extend(name.map(str::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// What OpenAPI 3.0 says otherwise than JSON Schema does.
fn as_json_schema(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(as_json_schema);
            if object.get("type") == Some(&json!("object"))
                && object.get("anyOf").is_none()
                && !object.contains_key("additionalProperties")
            {
                object.shift_remove("title");
                if object.get("properties").is_none() {
                    object.insert("maxProperties".to_owned(), json!(0));
                }
            }
            if object.get("nullable") == Some(&json!(true)) {
                object.shift_remove("nullable");
                let described = object.shift_remove("description");
                let schema = Value::Object(std::mem::take(object));
                object.extend(described.map(|description| ("description".to_owned(), description)));
                object.insert("anyOf".to_owned(), json!([schema, { "type": "null" }]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(as_json_schema),
        _ => {}
    }
}
