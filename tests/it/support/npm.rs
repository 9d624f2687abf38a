//! Stock clients from npm, unmodified, in a Node of their own: `tests/clients/driver.mjs` has them do what a test says, and tells what they hear.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OnceCell, oneshot};
use tokio::time::timeout;

use super::{DEADLINE, Person, skip};

/// What is copied to where npm installs.
const FILES: [&str; 5] = ["package.json", "package-lock.json", ".npmrc", "driver.mjs", "record.mjs"];
/// What npm is asked to do: scripts of packages are not run.
const INSTALL: [&str; 3] = ["ci", "--silent", "--ignore-scripts"];
/// The lock of what is installed.
const INSTALLED: &str = "node_modules/.installed";

/// The folder with the packages installed and our programs beside them; none, where Node or the packages cannot be had, which is said.
pub async fn folder() -> Option<&'static Path> {
    static FOLDER: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    let folder = FOLDER.get_or_init(install).await;
    if folder.is_none() {
        skip("Node with npm, and the packages of tests/clients");
    }
    folder.as_deref()
}

async fn install() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (ours, folder) = (root.join("tests/clients"), root.join("target/clients/stock"));
    fs::create_dir_all(&folder).expect("a folder");
    for file in FILES {
        fs::copy(ours.join(file), folder.join(file)).expect(file);
    }
    // npm takes a second to see that nothing is to be done, and asks the network
    let lock = fs::read_to_string(ours.join("package-lock.json")).expect("a lock");
    if fs::read_to_string(folder.join(INSTALLED)).is_ok_and(|there| there == lock) {
        return Some(folder);
    }
    let output = Command::new("npm").args(INSTALL).current_dir(&folder).stdin(Stdio::null()).output().await.ok()?;
    if !output.status.success() {
        eprintln!("npm: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    fs::write(folder.join(INSTALLED), lock).expect("a note");
    Some(folder)
}

/// Who waits for what a Node says.
#[derive(Default)]
struct Ears {
    answers: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    clients: HashMap<String, UnboundedSender<Value>>,
}

/// A Node with clients in it. It is killed when it is dropped, and its clients with it.
pub struct Node {
    child: Child,
    input: Arc<tokio::sync::Mutex<ChildStdin>>,
    ears: Arc<Mutex<Ears>>,
}

/// One of its clients.
pub struct Client {
    pub name: String,
    input: Arc<tokio::sync::Mutex<ChildStdin>>,
    ears: Arc<Mutex<Ears>>,
    count: u64,
    number: u64,
    heard: UnboundedReceiver<Value>,
    /// What was heard and not yet asked for.
    kept: Vec<Value>,
}

impl Node {
    /// A Node, where there is one.
    pub async fn start() -> Option<Self> {
        let folder = folder().await?;
        let mut child = Command::new("node")
            .arg("driver.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node");
        let input = Arc::new(tokio::sync::Mutex::new(child.stdin.take().expect("its input")));
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ears = Arc::new(Mutex::new(Ears::default()));
        let shared = Arc::clone(&ears);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(said) = serde_json::from_str::<Value>(&line) else {
                    eprintln!("node: {line}");
                    continue;
                };
                let mut ears = lock(&shared);
                if let Some(answer) = said["n"].as_u64().and_then(|n| ears.answers.remove(&n)) {
                    let answered = match said.get("error") {
                        Some(error) => Err(error.to_string()),
                        None => Ok(said["answer"].clone()),
                    };
                    drop(answer.send(answered));
                } else if let Some(client) = said["client"].as_str().and_then(|name| ears.clients.get(name)) {
                    drop(client.send(said));
                } else if said["heard"] == "failure" {
                    eprintln!("node: {said}");
                }
            }
        });
        Some(Self { child, input, ears })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// A client of supabase-js of somebody's, whose `accessToken` is theirs.
    pub async fn supabase(&self, person: &Person, options: Value) -> Client {
        let mut client = self.client(&person.name);
        let with = json!({ "url": person.url(), "key": "anon", "token": person.token(), "options": options });
        client.does("supabase", with).await;
        client
    }

    /// A client of pusher-js of somebody's, whose token is in the headers of what it asks to be authorised, and these parameters beside it.
    pub async fn pusher(&self, person: &Person, key: &str, params: Value) -> Client {
        let mut client = self.client(&person.name);
        let url = person.url();
        let (host, port) = url.strip_prefix("http://").and_then(|address| address.rsplit_once(':')).expect("an address");
        let port: u16 = port.parse().expect("a port");
        let asks = |path: &str| json!({ "endpoint": format!("{url}/pusher/{path}"), "params": params });
        let options = json!({
            "cluster": "ours", "wsHost": host, "wsPort": port, "forceTLS": false, "enabledTransports": ["ws"],
            "channelAuthorization": asks("auth"), "userAuthentication": asks("user-auth"),
            // how long it looks for a server before it says that there is none, in ms
            "unavailableTimeout": 2_000,
        });
        client.does("pusher", json!({ "key": key, "token": person.token(), "options": options })).await;
        client
    }

    /// A client that is yet to be made, by `supabase` or `pusher`.
    pub fn client(&self, name: &str) -> Client {
        let (sender, heard) = unbounded_channel();
        let mut ears = lock(&self.ears);
        let number = ears.clients.len() as u64;
        let name = format!("{name} {number}");
        ears.clients.insert(name.clone(), sender);
        drop(ears);
        let (input, ears) = (Arc::clone(&self.input), Arc::clone(&self.ears));
        Client { name, input, ears, count: 0, number, heard, kept: Vec::new() }
    }
}

impl Client {
    /// Has it do something, and gets what it answers.
    pub async fn does(&mut self, what: &str, with: Value) -> Value {
        self.tries(what, with).await.unwrap_or_else(|error| panic!("{}: {what}: {error}", self.name))
    }

    /// The same, which may fail.
    pub async fn tries(&mut self, what: &str, mut with: Value) -> Result<Value, String> {
        self.count += 1;
        // of its own among all numbers of its Node
        let n = self.number << 32 | self.count;
        let (sender, answer) = oneshot::channel();
        lock(&self.ears).answers.insert(n, sender);
        let command = with.as_object_mut().expect("an object");
        command.extend([("n".to_owned(), json!(n)), ("client".to_owned(), json!(self.name)), ("do".to_owned(), json!(what))]);
        let line = format!("{with}\n");
        self.input.lock().await.write_all(line.as_bytes()).await.expect("node reads");
        let Ok(answer) = timeout(DEADLINE, answer).await else { panic!("{}: {what} was not answered", self.name) };
        answer.expect("node runs")
    }

    /// The first that it hears, or has heard, of which this is true; what else it heard is kept.
    pub async fn hears(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&holds) {
            return self.kept.remove(at);
        }
        let found = timeout(DEADLINE, async {
            loop {
                let said = self.heard.recv().await.expect("node runs");
                if holds(&said) {
                    return said;
                }
                self.kept.push(said);
            }
        });
        let Ok(said) = found.await else {
            panic!("{} never heard {what}; it heard {:#}", self.name, Value::from(self.kept.clone()))
        };
        said
    }

    /// What comes next, if something does in this time; nothing that was kept.
    pub async fn next(&mut self) -> Value {
        if !self.kept.is_empty() {
            return self.kept.remove(0);
        }
        self.heard.recv().await.expect("node runs")
    }

    /// What it has heard until now and was not asked for, of which this is true.
    pub fn so_far(&mut self, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
        while let Ok(said) = self.heard.try_recv() {
            self.kept.push(said);
        }
        self.kept.iter().filter(|said| holds(said)).cloned().collect()
    }

    /// A channel of supabase-js that is subscribed to: what it is bound to are pairs of a type and a filter.
    pub async fn joins(&mut self, channel: &str, config: Value, on: &[(&str, Value)]) {
        self.asks_to_join(channel, config, on).await;
        self.status(channel, "SUBSCRIBED").await;
    }

    /// The same, whose answer is not waited for.
    pub async fn asks_to_join(&mut self, channel: &str, config: Value, on: &[(&str, Value)]) {
        let on: Vec<Value> = on.iter().map(|(kind, filter)| json!({ "type": kind, "filter": filter })).collect();
        self.does("channel", json!({ "channel": channel, "config": config, "on": on })).await;
        self.does("subscribe", json!({ "channel": channel })).await;
    }

    /// Waits for a channel of supabase-js to say that this is how it is.
    pub async fn status(&mut self, channel: &str, status: &str) -> Value {
        let is = |said: &Value| said["heard"] == "status" && said["channel"] == channel && said["status"] == status;
        self.hears(status, is).await
    }

    /// The next row that changed, of a channel of supabase-js.
    pub async fn change(&mut self, channel: &str) -> Value {
        let is = |said: &Value| said["heard"] == "postgres_changes" && said["channel"] == channel;
        self.hears("a change", is).await["payload"].clone()
    }

    /// The next event of this name, of a channel of pusher-js.
    pub async fn event(&mut self, channel: &str, event: &str) -> Value {
        let is = |said: &Value| said["heard"] == "event" && said["channel"] == channel && said["event"] == event;
        self.hears(event, is).await
    }
}

fn lock(ears: &Mutex<Ears>) -> std::sync::MutexGuard<'_, Ears> {
    ears.lock().unwrap_or_else(PoisonError::into_inner)
}
