//! The OpenAPI document: complete, described, fit for generators of clients, and the one that is committed.

use std::collections::HashSet;

use serde_json::Value;

use crate::support::TestServer;
use crate::support::document::{document, operations};

/// The committed document.
const COMMITTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"));

/// Every object in a document with its place in it.
fn walk<'a>(value: &'a Value, place: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(place, value);
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| walk(value, &format!("{place}/{key}"), visit)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| walk(value, &format!("{place}/{n}"), visit)),
        _ => {}
    }
}

/// Makes sure that nothing was found, and says what was.
#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn is_described(value: &Value) -> bool {
    value["description"].as_str().is_some_and(|text| !text.trim().is_empty())
}

fn is_camel_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

#[test]
fn the_committed_document_is_the_one_that_the_code_generates() {
    let generated = tabletalk::cli::openapi().expect("a document");
    assert!(COMMITTED == generated, "run: cargo run -- openapi > openapi/openapi.json");
}

#[tokio::test]
async fn the_served_document_is_the_one_that_the_code_generates() {
    let server = TestServer::start().await;
    let served = server.nobody().get("/openapi.json").await.expect_status(200);
    assert_eq!(served.headers["content-type"], "application/json");
    assert_eq!(served.body, document());
}

#[test]
fn every_operation_has_a_name_of_its_own_a_tag_and_a_summary() {
    let (mut names, document) = (HashSet::new(), document());
    let tags: Vec<&Value> = document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    for operation in operations() {
        let what = format!("{} {}", operation.method, operation.path);
        assert!(is_camel_case(&operation.id), "{what}: {:?}", operation.id);
        assert!(names.insert(operation.id.clone()), "{what}: {} is taken", operation.id);
        let its = operation.spec["tags"].as_array().unwrap_or_else(|| panic!("{what}: no tag"));
        assert!(its.len() == 1 && tags.contains(&&its[0]), "{what}: {its:?}");
        let summary = operation.spec["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty() && !summary.ends_with('.'), "{what}: {summary:?}");
        assert_eq!(operation.spec["security"], serde_json::json!([{ "bearer": [] }]), "{what} is open to everyone");
    }
}

/// Parameters of queries without which there is nothing to answer.
const ASKED_FOR: [&str; 2] = ["chatIds", "q"];

#[test]
fn every_parameter_is_described_and_those_of_the_path_are_required() {
    for operation in operations() {
        let parameters = operation.spec["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in &parameters {
            let what = format!("{}: {}", operation.id, parameter["name"]);
            assert!(is_described(parameter), "{what} is not described");
            assert!(is_camel_case(parameter["name"].as_str().expect("a name")), "{what}");
            let required = parameter["in"] == "path" || ASKED_FOR.contains(&parameter["name"].as_str().expect("a name"));
            assert_eq!(parameter["required"], required, "{what}");
        }
        let in_path: HashSet<&str> = parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(in_path, operation.path_parameters().into_iter().collect(), "{}", operation.id);
    }
}

#[test]
fn every_response_is_described_and_every_failure_is_a_problem() {
    for operation in operations() {
        let responses = operation.spec["responses"].as_object().expect("responses");
        for (status, response) in responses {
            let what = format!("{} {status}", operation.id);
            let content = response["content"].as_object();
            match status.as_bytes()[0] {
                b'2' if status == "204" => assert!(content.is_none_or(serde_json::Map::is_empty), "{what}"),
                b'2' => {
                    let media = if operation.id == "exportMe" { "application/x-ndjson" } else { "application/json" };
                    assert_eq!(content.expect(&what).keys().collect::<Vec<_>>(), [media], "{what}");
                }
                b'4' | b'5' => {
                    let content = content.unwrap_or_else(|| panic!("{what} has no content"));
                    assert_eq!(content.keys().collect::<Vec<_>>(), ["application/problem+json"], "{what}");
                    let schema = &content["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{what}");
                }
                _ => panic!("{what} is neither a success nor a failure"),
            }
            if status == "201" && operation.id != "addFriend" && operation.id != "blockUser" {
                let names: Vec<String> =
                    response["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase()).collect();
                assert_eq!(names, ["location"], "{what} says where it is");
            }
        }
        for status in ["400", "401", "403", "404", "503"] {
            assert!(responses.contains_key(status), "{} has no {status}", operation.id);
        }
    }
}

#[test]
fn every_response_has_a_description() {
    let mut found = Vec::new();
    for operation in operations() {
        for (status, response) in operation.spec["responses"].as_object().expect("responses") {
            if !is_described(response) {
                found.push(format!("{} {status}", operation.id));
            }
        }
    }
    none("not described", &found);
}

#[test]
fn every_schema_and_every_property_is_described() {
    let (document, mut found) = (document(), Vec::new());
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        if !is_described(schema) {
            found.push(name.clone());
        }
        for (property, value) in schema["properties"].as_object().into_iter().flatten() {
            assert!(is_camel_case(property), "{name}.{property}");
            if !is_described(value) {
                found.push(format!("{name}.{property}"));
            }
        }
    }
    none("not described", &found);
}

#[test]
fn every_component_is_used_and_every_reference_leads_somewhere() {
    let document = document();
    let mut used = HashSet::new();
    walk(&document, "", &mut |_, value| {
        used.extend(value.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
    });
    let there: HashSet<String> = ["schemas", "responses"]
        .iter()
        .flat_map(|kind| {
            let names = document["components"][kind].as_object().expect("components").keys();
            names.map(move |name| format!("#/components/{kind}/{name}"))
        })
        .collect();
    assert_eq!(used, there);
}

#[test]
fn media_types_carry_no_charset() {
    walk(&document(), "", &mut |place, value| {
        for media in value.get("content").and_then(Value::as_object).into_iter().flatten().map(|(media, _)| media) {
            assert!(!media.contains(';'), "{place}: {media}");
        }
    });
}

#[test]
fn a_reference_stands_alone() {
    // generators take an allOf of several parts for a new object, and lose the enum or the model it refers to
    let (document, mut found) = (document(), Vec::new());
    walk(&document, "", &mut |place, value| {
        if value.get("allOf").and_then(Value::as_array).is_some_and(|parts| parts.len() != 1) {
            found.push(place.to_owned());
        }
    });
    none("an allOf of several parts", &found);
}

#[test]
fn whatever_it_says_has_a_value() {
    let (document, mut found) = (document(), Vec::new());
    walk(&document, "", &mut |place, value| {
        if value.is_null() {
            found.push(place.to_owned());
        }
    });
    none("null in the document", &found);
}

#[test]
fn what_may_be_null_says_so() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (update, field) in
        [("ChatUpdate", "name"), ("ChatUpdate", "topic"), ("UserUpdate", "username"), ("UserUpdate", "avatarUrl")]
    {
        assert_eq!(schemas[update]["properties"][field]["nullable"], true, "null clears {update}.{field}");
    }
    for (name, schema) in schemas.as_object().expect("schemas").iter().filter(|(name, _)| name.ends_with("Page")) {
        for cursor in ["nextCursor", "prevCursor"] {
            assert_eq!(schema["properties"][cursor]["nullable"], true, "{name}.{cursor}");
        }
    }
}

#[test]
fn the_cursors_of_a_page_are_always_there() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas.iter().filter(|(name, _)| name.ends_with("Page")) {
        assert_eq!(schema["required"], serde_json::json!(["data", "nextCursor", "prevCursor"]), "{name}");
    }
}

#[test]
fn a_revision_is_the_same_type_wherever_it_stands() {
    // a generator takes an integer from 1 on for another type than one from 0 on, and neither can be given for the other
    let (document, mut found) = (document(), Vec::new());
    walk(&document, "", &mut |place, value| {
        if value["format"] == "int64" && value.get("minimum").is_some_and(|minimum| *minimum != 0) {
            found.push(place.to_owned());
        }
    });
    none("a number with a lower bound of its own", &found);
}

#[test]
fn a_body_that_is_only_asked_has_no_other_fields() {
    let (document, mut bodies) = (document(), 0);
    for operation in operations().iter().filter(|operation| operation.has_body()) {
        let reference = operation.spec["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().expect("a model");
        let schema = document.pointer(&reference[1..]).expect("a schema");
        assert_eq!(schema["additionalProperties"], false, "{}: {reference}", operation.id);
        bodies += 1;
    }
    assert!(bodies > 0);
}

#[test]
fn a_failure_is_said_once() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                assert_eq!(response.get("$ref").is_some(), !status.starts_with('2'), "{method} {path} {status}");
            }
        }
    }
}
