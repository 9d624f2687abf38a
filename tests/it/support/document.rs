//! The OpenAPI document, as the code generates it: what can be enumerated is tested by enumeration.

use reqwest::Method;
use serde_json::Value;

/// One operation of the document.
pub struct Operation {
    pub id: String,
    pub method: Method,
    /// As the document writes it: `/chats/{chatId}`.
    pub path: String,
    pub spec: Value,
}

/// The document.
pub fn document() -> Value {
    serde_json::from_str(&tabletalk::cli::openapi().expect("a document")).expect("JSON")
}

/// Its operations.
pub fn operations() -> Vec<Operation> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let operations: Vec<Operation> = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().expect("a path item").iter().map(move |(method, spec)| (path, method, spec)))
        .map(|(path, method, spec)| Operation {
            id: spec["operationId"].as_str().unwrap_or_default().to_owned(),
            method: method.to_uppercase().parse().expect("a method"),
            path: path.clone(),
            spec: with_responses(spec, &document),
        })
        .collect();
    assert!(operations.len() > 20, "the document has lost its operations");
    operations
}

/// An operation with the responses that it refers to.
fn with_responses(spec: &Value, document: &Value) -> Value {
    let mut spec = spec.clone();
    for response in spec["responses"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        if let Some(reference) = response["$ref"].as_str() {
            *response = document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere")).clone();
        }
    }
    spec
}

impl Operation {
    /// The path with each parameter given a value.
    pub fn path_with(&self, value: impl Fn(&str) -> String) -> String {
        let mut path = self.path.clone();
        for name in self.path_parameters() {
            path = path.replace(&format!("{{{name}}}"), &value(name));
        }
        path
    }

    /// The names of the path's parameters.
    pub fn path_parameters(&self) -> Vec<&str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
    }

    /// Whether it reads a body.
    pub fn has_body(&self) -> bool {
        self.spec.get("requestBody").is_some()
    }
}
