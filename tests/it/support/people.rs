//! People, who talk to a server over HTTP.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

/// Someone with a token.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    pub id: Uuid,
    url: String,
    token: Option<String>,
    http: Client,
}

/// What the server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    what: String,
}

impl Person {
    pub fn new(name: &str, id: Uuid, url: &str, token: &str) -> Self {
        Self { name: name.to_owned(), id, url: url.to_owned(), token: Some(token.to_owned()), http: Client::new() }
    }

    pub fn without_token(url: &str) -> Self {
        Self { name: "nobody".to_owned(), id: Uuid::nil(), url: url.to_owned(), token: None, http: Client::new() }
    }

    /// The same person, at another server.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The server they talk to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Their token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("somebody with a token")
    }

    /// A request with the token, to be sent by [`Answer::of`] or by hand.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let what = format!("{}: {method} {path}", self.name);
        let request = self.request(method, path);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        Answer::of(&what, request).await
    }

    /// Makes friends with someone, both agreeing.
    pub async fn befriend(&self, other: &Self) {
        self.put(&format!("/friends/{}", other.id), json!({})).await.expect_status(201);
        other.put(&format!("/friends/{}", self.id), json!({})).await.expect_status(200);
    }

    /// The direct chat with a friend.
    pub async fn direct_with(&self, other: &Self) -> Uuid {
        let body = json!({ "type": "direct", "participantIds": [other.id] });
        self.post("/chats", body).await.one_of(&[200, 201]).id()
    }

    /// A group with these people.
    pub async fn group_with(&self, others: &[&Self]) -> Uuid {
        let ids: Vec<Uuid> = others.iter().map(|other| other.id).collect();
        let body = json!({ "type": "group", "name": "a group", "participantIds": ids });
        self.post("/chats", body).await.expect_status(201).id()
    }

    /// A room.
    pub async fn room(&self, name: &str, visibility: &str) -> Uuid {
        let body = json!({ "type": "room", "name": name, "visibility": visibility });
        self.post("/chats", body).await.expect_status(201).id()
    }

    /// Joins a room by its id or uid.
    pub async fn joins(&self, room: impl std::fmt::Display) -> Answer {
        self.ask(Method::POST, &format!("/chats/{room}/join"), None).await
    }

    /// Adds someone to a chat.
    pub async fn adds(&self, chat: Uuid, other: &Self, role: &str) -> Answer {
        self.put(&format!("/chats/{chat}/participants/{}", other.id), json!({ "role": role })).await
    }

    /// Removes someone from a chat.
    pub async fn removes(&self, chat: Uuid, other: &Self) -> Answer {
        self.delete(&format!("/chats/{chat}/participants/{}", other.id)).await
    }

    /// Leaves a chat.
    pub async fn leaves(&self, chat: Uuid) -> Answer {
        self.delete(&format!("/chats/{chat}")).await
    }

    /// A chat, as one sees it.
    pub async fn sees(&self, chat: Uuid) -> Value {
        self.get(&format!("/chats/{chat}")).await.expect_status(200).body
    }

    /// Tries to say something.
    pub async fn tries(&self, chat: Uuid, text: &str) -> Answer {
        self.post(&format!("/chats/{chat}/messages"), json!({ "text": text })).await
    }

    /// A whole list, walked from its newest page to its end; `path` may have a query.
    pub async fn walks(&self, path: &str, limit: u32) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.page(path, limit, cursor.as_deref()).await;
            assert!(page.data().len() <= limit as usize, "{path}: a page is longer than asked for");
            items.extend(page.data().iter().cloned());
            let next = page.cursor("nextCursor");
            assert!(next.is_none() || next != cursor, "{path}: the walk stands still");
            cursor = next;
            if cursor.is_none() {
                return items;
            }
        }
    }

    /// A whole list, walked from its last page back to its newest; newest first like the other way.
    pub async fn walks_back(&self, path: &str, limit: u32) -> Vec<Value> {
        let mut page = self.page(path, limit, None).await;
        while let Some(next) = page.cursor("nextCursor") {
            page = self.page(path, limit, Some(&next)).await;
            assert_ne!(page.cursor("nextCursor"), Some(next), "{path}: the walk stands still");
        }
        let mut items = page.data().clone();
        while let Some(previous) = page.cursor("prevCursor") {
            page = self.page(path, limit, Some(&previous)).await;
            if page.data().is_empty() {
                break;
            }
            items.splice(0..0, page.data().iter().cloned());
        }
        items
    }

    /// Like [`Self::walks_back`], but ends once this item was seen: for a list that grows as one walks.
    pub async fn walks_back_to(&self, path: &str, limit: u32, end: &Value) -> Vec<Value> {
        let mut page = self.page(path, limit, None).await;
        while let Some(next) = page.cursor("nextCursor") {
            page = self.page(path, limit, Some(&next)).await;
            assert_ne!(page.cursor("nextCursor"), Some(next), "{path}: the walk stands still");
        }
        let mut items = page.data().clone();
        while !items.iter().any(|item| item["id"] == end["id"]) {
            let previous = page.cursor("prevCursor").expect("the walk is not at its end");
            page = self.page(path, limit, Some(&previous)).await;
            assert!(!page.data().is_empty(), "{path}: the walk ended before what was there was seen");
            items.splice(0..0, page.data().iter().cloned());
        }
        items
    }

    /// One page of a list.
    pub async fn page(&self, path: &str, limit: u32, cursor: Option<&str>) -> Answer {
        let sign = if path.contains('?') { '&' } else { '?' };
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = self.get(&format!("{path}{sign}limit={limit}{cursor}")).await.expect_status(200);
        assert_eq!(fields(&page.body), ["data", "nextCursor", "prevCursor"], "{path}");
        page
    }

    /// Says something, and gets the message.
    pub async fn says(&self, chat: Uuid, text: &str) -> Value {
        self.post(&format!("/chats/{chat}/messages"), json!({ "text": text })).await.expect_status(201).body
    }

    /// The texts of the newest page of a chat, newest first.
    pub async fn reads(&self, chat: Uuid) -> Vec<String> {
        let page = self.get(&format!("/chats/{chat}/messages")).await.expect_status(200);
        page.data().iter().map(|m| m["text"].as_str().expect("a text").to_owned()).collect()
    }
}

impl Answer {
    /// Sends a request.
    pub async fn of(what: &str, request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body, what: what.to_owned() }
    }

    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.what, self.body);
        self
    }

    #[track_caller]
    pub fn one_of(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "{}: {} {}", self.what, self.status, self.body);
        self
    }

    /// Makes sure that it is a whole problem document of this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}: {} {}",
            self.what,
            self.status,
            self.body
        );
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.what);
        assert_eq!(self.body["status"], status, "{}", self.what);
        for field in ["type", "title", "detail"] {
            assert!(self.body[field].as_str().is_some_and(|text| !text.is_empty()), "{}: no {field}", self.what);
        }
        self
    }

    /// Makes sure that a rule refused it: its status, its name, its number.
    #[track_caller]
    pub fn refused(self, status: u16, name: &str, number: &str) -> Self {
        let answer = self.problem(status, name);
        assert_eq!(answer.body["rule"], number, "{}: {}", answer.what, answer.body);
        assert_eq!(answer.body["type"], format!("urn:tabletalk:problem:{name}"), "{}", answer.what);
        answer
    }

    /// Makes sure that the request is told to be invalid, and where.
    #[track_caller]
    pub fn invalid_at(self, pointer: &str) -> Self {
        let answer = self.problem(400, "request_is_invalid");
        let pointers: Vec<&Value> =
            answer.body["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]).collect();
        assert_eq!(pointers, [pointer], "{}: {}", answer.what, answer.body);
        answer
    }

    /// A cursor of a page: a text or null, never absent.
    #[track_caller]
    pub fn cursor(&self, name: &str) -> Option<String> {
        match &self.body[name] {
            Value::Null if self.body.get(name).is_some() => None,
            Value::String(cursor) => Some(cursor.clone()),
            _ => panic!("{}: no {name}: {}", self.what, self.body),
        }
    }

    /// The items of a page.
    #[track_caller]
    pub fn data(&self) -> &Vec<Value> {
        self.body["data"].as_array().unwrap_or_else(|| panic!("{}: no page: {}", self.what, self.body))
    }

    /// The id of what was answered.
    #[track_caller]
    pub fn id(&self) -> Uuid {
        self.body["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{}: no id: {}", self.what, self.body))
    }
}

/// The names of an object's fields, in the order of the alphabet.
#[track_caller]
pub fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// One field of each item, as text.
#[track_caller]
pub fn each<'a>(items: &'a [Value], field: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[field].as_str().unwrap_or_else(|| panic!("no {field}: {item}"))).collect()
}
