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

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
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
