//! The OpenAPI document: what poem-openapi derives from the types, mended where generated clients choke on it.

use poem::http::StatusCode;
use poem_openapi::registry::Registry;
use poem_openapi::{LicenseObject, OpenApiService};
use serde_json::{Map, Value, json};

use super::Apis;

const DESCRIPTION: &str = "A chat backend in one binary and one Postgres.

Authenticate with `Authorization: Bearer <JWT>`. Who may do what is decided by row-level security in the database; a refusal names \
the rule it follows. 403: it is there, and a rule does not let the caller. 404: there is no such thing, or, of messages and people, none \
that the caller may see. Errors are `application/problem+json` (RFC 9457) with a stable `code`. Lists are walked with opaque cursors. \
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
    close_bodies(&mut document);
    name_path_texts(&mut document);
    share_failures(&mut document);
    let mut text = serde_json::to_string_pretty(&document).expect("invariant: a JSON value can be written");
    text.push('\n');
    text
}

/// The schemas of a registry's types, mended as those of the document: for documents of other protocols.
pub fn schemas(registry: &Registry) -> Map<String, Value> {
    let mut schemas = json!(&registry.schemas);
    mend(&mut schemas, &Map::new());
    if let Value::Object(schemas) = schemas { schemas } else { Map::new() }
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
    // some generators read what a parameter is from its schema
    if object.contains_key("in")
        && let Some(description) = object.get("description").cloned()
        && let Some(Value::Object(schema)) = object.get_mut("schema")
        && !schema.contains_key("$ref")
    {
        schema.insert("description".to_owned(), description);
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
    // the lines of a comment are not those of its reader
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = unwrapped(description);
    }
    // a model's title repeats its name, and is taken for a second one
    if object.get("type") == Some(&json!("object")) && object.contains_key("properties") {
        object.shift_remove("title");
    }
    if object.get("deprecated") == Some(&json!(false)) {
        object.shift_remove("deprecated");
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
        object.shift_remove("servers");
    }
}

/// A body with an unknown field is refused, so its schema says that it has no others. One that is answered with as well stays open:
/// answers may get more fields.
fn close_bodies(document: &mut Value) {
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for operation in document["paths"].as_object().into_iter().flatten().filter_map(|(_, item)| item.as_object()).flatten() {
        references(document, &operation.1["requestBody"], &mut asked);
        references(document, &operation.1["responses"], &mut answered);
    }
    for reference in asked.into_iter().filter(|reference| !answered.contains(reference)) {
        if let Some(schema) = document.pointer_mut(&reference[1..])
            && schema["type"] == "object"
        {
            schema["additionalProperties"] = json!(false);
        }
    }
}

/// The references in a value, and in what they refer to.
fn references(document: &Value, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(reference) = object.get("$ref").and_then(Value::as_str)
                && !found.iter().any(|known| known == reference)
            {
                found.push(reference.to_owned());
                references(document, document.pointer(&reference[1..]).unwrap_or(&Value::Null), found);
            }
            object.values().for_each(|value| references(document, value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(document, value, found)),
        _ => {}
    }
}

/// A text with bounds in a path is a model of its own, called after the parameter: it is the same in every operation.
fn name_path_texts(document: &mut Value) {
    let mut named = Map::new();
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in items.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            if parameter["in"] == "path" && parameter["schema"].get("maxLength").is_some() {
                let name = parameter["name"].as_str().unwrap_or_default();
                let name = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
                let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
                named.insert(name, std::mem::replace(&mut parameter["schema"], reference));
            }
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(named);
        schemas.sort_keys();
    }
}

/// Every operation fails in the same ways: each is said once, and referred to.
fn share_failures(document: &mut Value) {
    let mut shared = Map::new();
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in items.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            let failure = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()).filter(|s| !s.is_success());
            let Some(name) = failure.and_then(|status| status.canonical_reason()) else { continue };
            let name = name.replace(' ', "");
            let reference = json!({ "$ref": format!("#/components/responses/{name}") });
            shared.insert(name, std::mem::replace(response, reference));
        }
    }
    // what there is to do comes before what it is done with
    if let Some(mut components) = document.as_object_mut().and_then(|document| document.shift_remove("components")) {
        components["responses"] = Value::Object(shared);
        document["components"] = components;
    }
}

/// A text without the line breaks of its comment: those between paragraphs and before the items of a list stay.
fn unwrapped(text: &str) -> String {
    let mut unwrapped = String::with_capacity(text.len());
    for line in text.lines() {
        let goes_on = !unwrapped.is_empty() && !unwrapped.ends_with('\n') && !line.is_empty() && !line.starts_with("* ");
        match unwrapped.chars().last() {
            None => {}
            Some(_) if goes_on => unwrapped.push(' '),
            Some(_) => unwrapped.push('\n'),
        }
        unwrapped.push_str(line.trim_start());
    }
    unwrapped
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

#[cfg(test)]
mod tests {
    use super::unwrapped;

    #[test]
    fn paragraphs_and_lists_stay_and_lines_are_joined() {
        let text = "One line\nand another.\n\nA list:\n\n* one\n  thing\n* two\n\nThe end\nof it.";
        assert_eq!(unwrapped(text), "One line and another.\n\nA list:\n\n* one thing\n* two\n\nThe end of it.");
    }
}
