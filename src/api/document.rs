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
    mend(&mut document);
    let mut text = serde_json::to_string_pretty(&document).expect("invariant: a JSON value can be written");
    text.push('\n');
    text
}

/// What the library says otherwise than it is, or than generators understand. Media types lose their charset (generators match `application/json` to the letter), and a reference that may be
/// null says so in the way all of them understand.
fn mend(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(content)) = object.get_mut("content") {
                *content = std::mem::take(content)
                    .into_iter()
                    .map(|(media, body)| (media.split(';').next().unwrap_or_default().to_owned(), body))
                    .collect::<Map<_, _>>();
            }
            if object.get("in") == Some(&json!("query")) && object.get("schema").is_some_and(|schema| schema["type"] == "array") {
                // lists in queries are separated by commas, one parameter for all
                object.insert("style".to_owned(), json!("form"));
                object.insert("explode".to_owned(), json!(false));
            }
            if let Some(Value::Array(parts)) = object.get("allOf")
                && let [reference, flag] = &parts[..]
                && flag == &json!({ "nullable": true })
            {
                let reference = reference.clone();
                object.insert("allOf".to_owned(), json!([reference]));
                object.insert("nullable".to_owned(), Value::Bool(true));
            }
            object.values_mut().for_each(mend);
        }
        Value::Array(items) => items.iter_mut().for_each(mend),
        _ => {}
    }
}
