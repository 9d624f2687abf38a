//! What of a document breaks clients that were made of an older one: what they send is refused, what they are sent they do not
//! understand, or what they call is called otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Bounds of which a smaller one takes away, and of which a larger one does.
const CEILINGS: [&str; 3] = ["maximum", "maxLength", "maxItems"];
const FLOORS: [&str; 3] = ["minimum", "minLength", "minItems"];

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// From the client: it may become more, never less.
    Asked,
    /// To the client: it may become less, never more.
    Answered,
}

/// A comparison of two documents.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    found: BTreeSet<String>,
    /// Pairs of models that were compared.
    seen: BTreeSet<(Way, String, String)>,
}

/// What breaks, a sentence each.
pub fn breaking(old: &Value, new: &Value) -> BTreeSet<String> {
    let mut comparison = Comparison { old, new, found: BTreeSet::new(), seen: BTreeSet::new() };
    let (were, are) = (operations(old), operations(new));
    for (at, was) in were {
        match are.get(&at) {
            Some(is) => comparison.operation(&at, was, is),
            None => comparison.say(format!("`{at}` is gone")),
        }
    }
    comparison.found
}

/// The operations by method and path, whatever the path's parameters are called.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in entries(&document["paths"]) {
        let places: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
        for (method, operation) in entries(item) {
            operations.insert(format!("{} {}", method.to_uppercase(), places.join("/")), operation);
        }
    }
    operations
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What stands behind a reference, and the name of the model.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> (&'a Value, Option<&'a str>) {
    // a single allOf is a reference with a description
    let value = if value["allOf"].as_array().is_some_and(|parts| parts.len() == 1) { &value["allOf"][0] } else { value };
    match value["$ref"].as_str() {
        Some(reference) => (document.pointer(&reference[1..]).expect("it leads somewhere"), reference.rsplit('/').next()),
        None => (value, None),
    }
}

impl Comparison<'_> {
    fn say(&mut self, what: String) {
        self.found.insert(what);
    }

    fn operation(&mut self, at: &str, was: &Value, is: &Value) {
        if was["operationId"] != is["operationId"] {
            self.say(format!("`{at}` is called {} instead of {}", is["operationId"], was["operationId"]));
        }
        if was["tags"] != is["tags"] {
            self.say(format!("`{at}` is tagged {} instead of {}", is["tags"], was["tags"]));
        }
        self.parameters(at, &was["parameters"], &is["parameters"]);
        self.body(at, was, is);
        for (status, response) in entries(&was["responses"]) {
            match is["responses"].get(status) {
                Some(answer) => self.answer(&format!("{at} {status}"), response, answer),
                None => self.say(format!("`{at}` does not answer with {status} any more")),
            }
        }
        for (status, _) in entries(&is["responses"]).filter(|(status, _)| status.starts_with('2')) {
            if was["responses"].get(status).is_none() {
                self.say(format!("`{at}` answers with {status} as well"));
            }
        }
    }

    fn parameters(&mut self, at: &str, were: &Value, are: &Value) {
        let named = |list: &Value| -> BTreeMap<(String, String), Value> {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            list.as_array().into_iter().flatten().map(|one| ((text(&one["in"]), text(&one["name"])), one.clone())).collect()
        };
        let (were, are) = (named(were), named(are));
        for ((place, name), was) in &were {
            let Some(is) = are.get(&(place.clone(), name.clone())) else {
                self.say(format!("`{at}` has no `{name}` in its {place} any more"));
                continue;
            };
            if is["required"] == true && was["required"] != true {
                self.say(format!("`{at}` requires `{name}`"));
            }
            self.schema(&format!("{at} {name}"), &was["schema"], &is["schema"], Way::Asked);
        }
        for ((place, name), is) in &are {
            if is["required"] == true && !were.contains_key(&(place.clone(), name.clone())) {
                self.say(format!("`{at}` requires `{name}`"));
            }
        }
    }

    fn body(&mut self, at: &str, was: &Value, is: &Value) {
        let (was, is) = (&was["requestBody"], &is["requestBody"]);
        if is["required"] == true && was["required"] != true {
            self.say(format!("`{at}` requires a body"));
        }
        for (media, was) in entries(&was["content"]) {
            match is["content"].get(media) {
                Some(is) => self.schema(&format!("{at} body"), &was["schema"], &is["schema"], Way::Asked),
                None => self.say(format!("`{at}` takes no {media} any more")),
            }
        }
    }

    fn answer(&mut self, at: &str, was: &Value, is: &Value) {
        let ((was, _), (is, _)) = (resolve(self.old, was), resolve(self.new, is));
        for (name, was) in entries(&was["headers"]) {
            match is["headers"].get(name) {
                Some(is) => self.schema(&format!("{at} {name}"), &was["schema"], &is["schema"], Way::Answered),
                None => self.say(format!("`{at}` has no {name} any more")),
            }
        }
        for (media, was) in entries(&was["content"]) {
            match is["content"].get(media) {
                Some(is) => self.schema(at, &was["schema"], &is["schema"], Way::Answered),
                None => self.say(format!("`{at}` is no {media} any more")),
            }
        }
    }

    fn schema(&mut self, at: &str, was: &Value, is: &Value, way: Way) {
        let ((was, old_name), (is, new_name)) = (resolve(self.old, was), resolve(self.new, is));
        let mut at = at.to_owned();
        if let Some(name) = old_name {
            let new = new_name.unwrap_or_default();
            if !self.seen.insert((way, name.to_owned(), new.to_owned())) {
                return;
            }
            if new_name.is_some_and(|new| new != name) {
                self.say(format!("`{name}` is called `{new}`"));
            }
            name.clone_into(&mut at);
        }
        for what in ["type", "format"] {
            if was[what] != is[what] {
                let said = |value: &Value| value.as_str().unwrap_or("any").to_owned();
                return self.say(format!("`{at}` is of {what} {} instead of {}", said(&is[what]), said(&was[what])));
            }
        }
        let (could_be_null, can_be_null) = (was["nullable"] == true, is["nullable"] == true);
        match way {
            Way::Asked if could_be_null && !can_be_null => self.say(format!("`{at}` may not be null any more")),
            Way::Answered if can_be_null && !could_be_null => self.say(format!("`{at}` may be null")),
            _ => {}
        }
        self.values(&at, was, is, way);
        self.bounds(&at, was, is, way);
        self.fields(&at, was, is, way);
        if was.get("items").is_some() {
            self.schema(&format!("{at}[]"), &was["items"], &is["items"], way);
        }
        if was["additionalProperties"].is_object() {
            self.schema(&format!("{at}{{}}"), &was["additionalProperties"], &is["additionalProperties"], way);
        }
        self.alternatives(&at, was, is, way);
    }

    fn values(&mut self, at: &str, was: &Value, is: &Value, way: Way) {
        let (were, are) = (texts(&was["enum"]), texts(&is["enum"]));
        match way {
            Way::Asked if !are.is_empty() => {
                let fewer: Vec<&&str> = were.difference(&are).collect();
                for value in fewer {
                    self.say(format!("`{at}` may not be {value} any more"));
                }
                if were.is_empty() {
                    self.say(format!("`{at}` may be certain values only"));
                }
            }
            Way::Answered if !were.is_empty() => {
                let more: Vec<&&str> = are.difference(&were).collect();
                for value in more {
                    self.say(format!("`{at}` may be {value}"));
                }
            }
            _ => {}
        }
    }

    fn bounds(&mut self, at: &str, was: &Value, is: &Value, way: Way) {
        if way == Way::Answered {
            return;
        }
        for (bound, tighter) in CEILINGS.map(|b| (b, -1.0)).into_iter().chain(FLOORS.map(|b| (b, 1.0))) {
            let Some(now) = is[bound].as_f64() else { continue };
            if was[bound].as_f64().is_none_or(|before| (now - before) * tighter > 0.0) {
                self.say(format!("`{at}` has a {bound} of {}", is[bound]));
            }
        }
        if is.get("pattern").is_some() && was["pattern"] != is["pattern"] {
            self.say(format!("`{at}` has the pattern {}", is["pattern"]));
        }
    }

    fn fields(&mut self, at: &str, was: &Value, is: &Value, way: Way) {
        for (name, field) in entries(&was["properties"]) {
            match is["properties"].get(name) {
                Some(now) => self.schema(&format!("{at}.{name}"), field, now, way),
                None => self.say(format!("`{at}.{name}` is gone")),
            }
        }
        let (were, are) = (texts(&was["required"]), texts(&is["required"]));
        match way {
            Way::Asked => are.difference(&were).for_each(|name| self.say(format!("`{at}.{name}` is required"))),
            Way::Answered => were.difference(&are).for_each(|name| self.say(format!("`{at}.{name}` may be missing"))),
        }
        if way == Way::Asked && is["additionalProperties"] == false && was["additionalProperties"] != false {
            self.say(format!("`{at}` takes no other fields any more"));
        }
    }

    fn alternatives(&mut self, at: &str, was: &Value, is: &Value, way: Way) {
        for kind in ["oneOf", "anyOf"] {
            let named = |document: &Value, one: &Value| -> BTreeSet<String> {
                let list = one[kind].as_array().into_iter().flatten();
                list.map(|one| resolve(document, one).1.map_or_else(|| one.to_string(), str::to_owned)).collect()
            };
            let (were, are) = (named(self.old, was), named(self.new, is));
            let (lost, word) = match way {
                Way::Asked => (were.difference(&are), "may not be"),
                Way::Answered => (are.difference(&were), "may be"),
            };
            lost.for_each(|name| self.say(format!("`{at}` {word} a `{name}`")));
            for name in were.intersection(&are) {
                let find = |document: &Value, one: &Value| {
                    let list = one[kind].as_array().into_iter().flatten();
                    list.into_iter().find(|one| resolve(document, one).1 == Some(name)).cloned()
                };
                if let (Some(was), Some(is)) = (find(self.old, was), find(self.new, is)) {
                    self.schema(at, &was, &is, way);
                }
            }
        }
    }
}
