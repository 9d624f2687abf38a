//! Requests made up from the document (schemathesis), with the tokens of a participant, a stranger, a moderator and the host
//! application, about what is there: no fault of the server, no undocumented status, no answer that contradicts its schema.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::support::document::operations;
use crate::support::random::seed;
use crate::support::{Person, TestServer, demanding};

/// Cases that are made up for one operation and one token, beside those at the edges of its schema.
const EXAMPLES: &str = "30";
/// What is looked at in each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,\
                      ignored_auth";
/// Who alone erases themselves, and does nothing else: everybody else would be a stranger from then on.
const LEAVER: &str = "leaver";
/// How long a run may take.
const RUN_MAX: Duration = Duration::from_secs(600);

#[tokio::test]
async fn no_request_makes_the_server_fail_or_contradict_its_document() {
    if !demanding() {
        return;
    }
    let (folder, seed) = (installed().await, seed());
    fs::write(folder.join("openapi.json"), tabletalk::cli::openapi().expect("a document")).expect("a file");
    let (mut cases, mut done) = (0, BTreeSet::new());
    let [one, two, three, four, five] =
        ["participant", "stranger", "moderator", "host application", LEAVER].map(|who| asking(&folder, who, seed));
    let (one, two, three, four, five) = tokio::join!(one, two, three, four, five);
    for answers in [one, two, three, four, five] {
        let tried: u64 = answers.values().filter_map(Value::as_u64).sum();
        cases += tried;
        done.extend(answers.keys().filter_map(|answer| answer.split_once(" 2")).map(|(operation, _)| operation.to_owned()));
    }
    println!("{cases} cases were tried altogether");
    // had nothing been there, everything would have been refused, and no answer but a refusal looked at
    let undone: Vec<String> = operations().into_iter().map(|operation| operation.id).filter(|id| !done.contains(id)).collect();
    assert!(undone.is_empty(), "nobody succeeded with {undone:?}");
}

/// One run of schemathesis against a server of its own: how often each operation was answered with which status.
async fn asking(folder: &Path, who: &str, seed: u64) -> Map<String, Value> {
    let server = TestServer::start().await;
    let There { people, description: there } = furnish(&server).await;
    let person = people.iter().find(|person| person.name == who).expect("somebody");
    let file = |name: &str| folder.join(format!("{}-{name}.json", person.name.replace(' ', "-")));
    let (there_file, answers, report) = (file("there"), file("answers"), file("report"));
    fs::write(&there_file, there.to_string()).expect("a file");
    let part = if who == LEAVER { "--include-operation-id" } else { "--exclude-operation-id" };
    let child = Command::new(folder.join(".venv/bin/schemathesis"))
        .args([
            "run",
            "openapi.json",
            "--url",
            server.app.url(),
            "--header",
            &format!("Authorization: Bearer {}", person.token()),
        ])
        .args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing", "--continue-on-failure"])
        .args([
            "--seed",
            &seed.to_string(),
            "--workers",
            "1",
            "--no-shrink",
            "--warnings",
            "off",
            "--generation-database",
            "none",
        ])
        .args([part, "deleteMe", "--report", "json", "--report-json-path"])
        .arg(&report)
        .current_dir(folder)
        .env("SCHEMATHESIS_HOOKS", "hooks.py")
        .env("FUZZ_THERE", &there_file)
        .env("FUZZ_ANSWERS", &answers)
        .env("FUZZ_SEED", seed.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(RUN_MAX, child).await.expect("the run ends in time").expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "as {}:\n{said}{}", person.name, String::from_utf8_lossy(&output.stderr));
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).expect("a file")).expect("JSON");
    assert_eq!(read(&report)["complete"], true, "as {who}");
    let answers = read(&answers).as_object().expect("an object").clone();
    println!("{who}: {} cases were tried", answers.values().filter_map(Value::as_u64).sum::<u64>());
    answers
}

/// schemathesis, in an environment of its own below `target` that later runs find.
async fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/schemathesis");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [("hooks.py", include_str!("fuzz/hooks.py")), ("requirements.txt", include_str!("fuzz/requirements.txt"))]
    {
        fs::write(folder.join(name), text).expect("a file");
    }
    let script = "python3 -m venv .venv && .venv/bin/pip install --quiet --requirement requirements.txt";
    let output = Command::new("sh").args(["-c", script]).current_dir(&folder).output().await.expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// Who and what there is to ask about.
struct There {
    people: Vec<Person>,
    /// The same for the hooks.
    description: Value,
}

/// Rooms of every kind, a group, a direct chat and an event's chat, in which people of every role have spoken.
async fn furnish(server: &TestServer) -> There {
    let owner = server.admin("owner").await;
    let (participant, stranger, moderator) =
        (server.person("participant").await, server.person("stranger").await, server.person("moderator").await);
    let (other, spare) = (server.person("other").await, server.person(LEAVER).await);
    for friend in [&participant, &moderator, &other, &spare] {
        owner.befriend(friend).await;
    }
    participant.befriend(&other).await;
    stranger.befriend(&other).await;
    let mut chats = Vec::new();
    for visibility in ["public", "public", "unlisted", "private", "private", "private"] {
        chats.push(owner.room("a room", visibility).await);
    }
    chats.push(owner.group_with(&[&participant, &moderator, &other]).await);
    for chat in &chats[..6] {
        owner.adds(*chat, &participant, "member").await.expect_status(200);
        owner.adds(*chat, &moderator, "moderator").await.expect_status(200);
        owner.adds(*chat, &other, "member").await.expect_status(200);
    }
    let mut host = server.service();
    "host application".clone_into(&mut host.name);
    let body = json!({ "name": "the concert", "participantIds": [owner.id, participant.id, moderator.id] });
    chats.push(host.put("/events/concert/chats/event_authors", body).await.expect_status(201).id());
    let mut described = Vec::new();
    for chat in chats {
        let mut messages = Vec::new();
        for text in ["one", "two", "three", "four"] {
            for person in [&owner, &participant, &moderator] {
                let message = person.says(chat, text).await;
                messages.push(json!({ "id": message["id"], "seq": message["seq"] }));
                let path = format!("/chats/{chat}/messages/{}", message["id"].as_str().expect("an id"));
                person.patch(&path, json!({ "text": format!("{text}!") })).await.expect_status(200);
                participant.put(&format!("{path}/reactions/👍"), json!({})).await.expect_status(200);
                // where nobody may pin, nothing is pinned
                moderator.put(&format!("{path}/pin"), json!({})).await.one_of(&[200, 403]);
            }
        }
        described.push(json!({ "id": chat, "messages": messages }));
    }
    let spare_chats = described.split_off(5);
    let people = [&owner, &participant, &moderator, &other, &stranger].map(|person| person.id);
    let room = &described[0]["id"].as_str().expect("an id").to_owned();
    let mut cursors = Map::new();
    for (operation, path) in [
        ("listChats", "/chats"),
        ("listUsers", "/users"),
        ("listFriends", "/friends"),
        ("listMessages", &format!("/chats/{room}/messages")),
        ("listParticipants", &format!("/chats/{room}/participants")),
    ] {
        let page = owner.page(path, 1, None).await;
        cursors.insert(operation.to_owned(), json!([page.cursor("nextCursor"), page.cursor("prevCursor")]));
    }
    let position = participant.get("/sync").await.expect_status(200).body["position"].clone();
    described.extend(spare_chats.iter().skip(1).cloned());
    let description = json!({
        "chats": described,
        "spareChats": spare_chats,
        "people": people,
        "spare": [spare.id],
        "cursors": cursors,
        "bodies": { "createChat": [
            { "type": "direct", "participantIds": [other.id] },
            { "type": "group", "participantIds": [other.id], "name": "some" },
            { "type": "room", "name": "another room", "visibility": "unlisted", "topic": "this" },
        ] },
        "texts": { "q": ["one", "two", "three four"], "eventId": ["concert", "another"], "emoji": ["👍", "❤️"], "since": [position], "attachmentUrl": ["https://example.org/a.png"] },
    });
    There { people: vec![participant, stranger, moderator, host, spare], description }
}
