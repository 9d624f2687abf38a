//! The OpenAPI document: what poem-openapi derives from the types, mended where generated clients choke on it.

use poem_openapi::{LicenseObject, OpenApiService};
use serde_json::{Map, Value, json};

use super::Apis;

const DESCRIPTION: &str = "A chat backend in one binary and one Postgres.

Authenticate with `Authorization: Bearer <JWT>`. Who may do what is decided by row-level security in the database; a refusal names \
the rule it follows. Errors are `application/problem+json` (RFC 9457) with a stable `code`. Lists are walked with opaque cursors. \
Times are RFC 3339 in UTC, ids are UUIDs, and a chat's revisions (`rev`, `seq`) grow with every change of it.";

/// The service of all resources, with the document's head.
pub fn service(apis: Apis) -> OpenApiService<Apis, ()> {
    OpenApiService::new(apis, "Tabletalk", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("MIT OR Apache-2.0"))
}

/// The document as it is served and committed.
///
/// # Panics
/// When poem-openapi gives no JSON.
pub fn document(service: &OpenApiService<Apis, ()>) -> String {
    let mut document: Value = serde_json::from_str(&service.spec()).expect("invariant: poem-openapi writes JSON");
    let descriptions = schema_descriptions(&document);
    mend(&mut document, &descriptions);
    let mut text = serde_json::to_string_pretty(&document).expect("invariant: a JSON value can be written");
    text.push('\n');
    text
}

/// What each schema is, by the reference to it.
fn schema_descriptions(document: &Value) -> Map<String, Value> {
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    schemas.map(|(name, schema)| (format!("#/components/schemas/{name}"), schema["description"].clone())).collect()
}

/// What the library says otherwise than it is, or than generators understand.
fn mend(value: &mut Value, descriptions: &Map<String, Value>) {
    match value {
        Value::Object(object) => {
            mend_object(object, descriptions);
            object.values_mut().for_each(|value| mend(value, descriptions));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| mend(value, descriptions)),
        _ => {}
    }
}

fn mend_object(object: &mut Map<String, Value>, descriptions: &Map<String, Value>) {
    // generators match `application/json` to the letter, without a charset
    if let Some(Value::Object(content)) = object.get_mut("content") {
        *content = std::mem::take(content)
            .into_iter()
            .map(|(media, body)| (media.split(';').next().unwrap_or_default().to_owned(), body))
            .collect();
    }
    // lists in queries are separated by commas, one parameter for all
    if object.get("in") == Some(&json!("query")) && object.get("schema").is_some_and(|schema| schema["type"] == "array") {
        object.insert("style".to_owned(), json!("form"));
        object.insert("explode".to_owned(), json!(false));
    }
    // a reference with something beside it, as `allOf`: only the reference is a schema, the rest is said of the whole
    if let Some(Value::Array(parts)) = object.get_mut("allOf") {
        let beside: Vec<Value> = parts.extract_if(.., |part| part.get("$ref").is_none()).collect();
        for (key, value) in beside.into_iter().filter_map(|part| part.as_object().cloned()).flatten() {
            object.entry(key).or_insert(value);
        }
    }
    // bounds of integers are integers
    if object.get("type") == Some(&json!("integer")) {
        for bound in ["minimum", "maximum"] {
            #[expect(clippy::cast_possible_truncation, reason = "the bounds are those of our own validators, which are small")]
            if let Some(whole) = object.get(bound).and_then(Value::as_f64).map(|number| number as i64) {
                object.insert(bound.to_owned(), whole.into());
            }
        }
    }
    // a page always says both of its cursors, null or not
    if object.get("properties").is_some_and(|properties| properties.get("nextCursor").is_some()) {
        object.insert("required".to_owned(), json!(["data", "nextCursor", "prevCursor"]));
    }
    if object.get("deprecated") == Some(&json!(false)) {
        object.remove("deprecated");
    }
    // an answer without words of its own is described by what it answers with
    if object.get("description") == Some(&json!(""))
        && let Some(Value::String(schema)) =
            object.get("content").map(|content| content["application/json"]["schema"]["$ref"].clone())
        && let Some(description) = descriptions.get(&schema)
    {
        object.insert("description".to_owned(), description.clone());
    }
    // the library shouts the names of headers
    if let Some(Value::Object(headers)) = object.get_mut("headers") {
        *headers = std::mem::take(headers).into_iter().map(|(name, header)| (title_case(&name), header)).collect();
    }
    if object.get("servers") == Some(&json!([])) {
        object.remove("servers");
    }
}

/// `RETRY-AFTER` as `Retry-After`.
fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect())
    });
    words.collect::<Vec<String>>().join("-")
}
