use super::*;
use crate::api::shapes::change::{Change, ChangeKind};
use crate::realtime::phoenix::rows::place_of;

const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);

fn join(topic: &str, changes: Value) -> Result<Join, String> {
    Join::read(&format!("realtime:{topic}"), &json!({ "config": { "postgres_changes": changes } }))
}

fn wanted(topic: &str, changes: Value) -> Wanted {
    join(topic, changes).expect("it can be joined").wanted()
}

fn wants(binding: &Binding, row: &Row) -> bool {
    binding.wants((row.table, row.action), ONE, || row)
}

fn left() -> Row {
    let change = Change {
        kind: ChangeKind::ParticipantLeft,
        chat_id: ONE,
        rev: 1,
        message: None,
        message_id: None,
        participant: None,
        user_id: Some(TWO),
        chat: None,
    };
    Row::new(place_of(change.kind, &change), &change)
}

#[test]
fn what_is_asked_is_read_and_what_is_not_is_as_the_client_has_it() {
    let payload = json!({
        "config": {
            "broadcast": { "ack": "true", "self": true },
            "presence": { "key": "u1", "enabled": true },
            "postgres_changes": [null, { "event": "*", "schema": "public", "table": "messages" }],
        },
        "user_token": "t",
    });
    let asked = Join::read(&format!("realtime:chat:{ONE}"), &payload).expect("a join");
    assert_eq!((asked.token.as_deref(), asked.chat, asked.key.as_str()), (Some("t"), Some(ONE), "u1"));
    assert!(asked.broadcasts.acks && asked.broadcasts.hears_itself && asked.hears_presence);
    assert_eq!(asked.bindings.len(), 1);
    let plain = Join::read(&format!("realtime:chat:{ONE}"), &json!({})).expect("a join");
    assert!(
        !plain.broadcasts.acks
            && !plain.broadcasts.hears_itself
            && !plain.hears_presence
            && plain.key.is_empty()
            && plain.token.is_none()
    );
}

#[test]
fn patterns_are_few_however_many_bindings_there_are() {
    let of = |count: usize| json!(vec![json!({ "schema": "public", "table": "messages", "filter": "text=like.a%" }); count]);
    assert!(join("any", of(PATTERNS_MAX)).is_ok());
    let why = join("any", of(PATTERNS_MAX + 1)).expect_err("too many");
    assert!(why.contains("a channel has at most 10 patterns"), "{why}");
}

#[test]
fn what_means_nothing_is_not_echoed() {
    let asked = json!([{ "schema": "public", "table": "messages", "junk": [1] }]);
    let echoed = json!([{ "schema": "public", "table": "messages", "id": 1 }]);
    assert_eq!(join("any", asked).expect("a join").answer()["postgres_changes"], echoed);
}

#[test]
fn the_answer_echoes_what_was_asked_as_it_was_written() {
    let asked = json!([
        { "event": "update", "schema": "public", "table": "messages", "filter": "  " },
        { "event": "*", "schema": "*" },
    ]);
    let answer = join("any", asked).expect("a join").answer();
    assert_eq!(
        answer.to_string(),
        concat!(
            r#"{"postgres_changes":[{"event":"update","schema":"public","table":"messages","filter":"  ","id":1},"#,
            r#"{"event":"*","schema":"*","id":2}]}"#
        )
    );
    assert_eq!(join(&format!("chat:{ONE}"), json!([])).expect("a join").answer(), json!({ "postgres_changes": [] }));
}

#[test]
fn filters_say_to_which_chats_a_channel_listens() {
    let messages = |filter: &str| json!({ "event": "*", "schema": "public", "table": "messages", "filter": filter });
    let named = |chats: &[Uuid], all| Wanted { named: chats.iter().copied().collect(), all };
    assert_eq!(wanted("any", json!([messages(&format!("chat_id=eq.{ONE}"))])), named(&[ONE], false));
    assert_eq!(wanted("any", json!([messages(&format!("chat_id=in.({ONE},{TWO})"))])), named(&[ONE, TWO], false));
    assert_eq!(wanted("any", json!([messages("")])), named(&[], true));
    assert_eq!(wanted(&format!("chat:{TWO}"), json!([messages("seq=gt.1")])), named(&[TWO], true));
    assert_eq!(wanted(&format!("chat:{TWO}"), json!([])), named(&[TWO], false));
    let rooms = json!({ "event": "*", "schema": "chat", "table": "chats", "filter": format!("id=eq.{ONE}") });
    assert_eq!(wanted("any", json!([rooms])), named(&[ONE], false));
}

#[test]
fn a_row_is_for_bindings_of_its_table_and_event_whose_filter_holds_under_the_names_that_they_use() {
    let bound = |event: &str, schema: &str, table: &str, filter: &str| {
        let asked = json!([{ "event": event, "schema": schema, "table": table, "filter": filter }]);
        join("any", asked).expect("a join").bindings.remove(0)
    };
    let row = left();
    for (schema, table, names) in
        [("public", "chat_participants", ("public", "chat_participants")), ("*", "*", ("chat", "participants"))]
    {
        let binding = bound("DELETE", schema, table, &format!("chat_id=eq.{ONE}"));
        assert!(wants(&binding, &row));
        let Terms { schema, table, select } = binding.terms(row.table);
        assert_eq!(((schema, table), select), (names, None));
    }
    assert!(!wants(&bound("INSERT", "chat", "participants", ""), &row));
    assert!(!wants(&bound("*", "chat", "messages", ""), &row));
    assert!(!wants(&bound("*", "chat", "participants", &format!("user_id=eq.{ONE}")), &row));
    assert!(wants(&bound("whatever", "chat", "participants", "role=eq.owner"), &row), "it may have been an owner");
}

#[test]
fn what_cannot_be_subscribed_to_is_said() {
    let wrong = |changes: Value| join("any", changes).expect_err("it is wrong");
    assert!(wrong(json!([{ "event": "*", "schema": "auth", "table": "users" }])).contains("no such schema"));
    assert!(wrong(json!([{ "event": "*", "schema": "public", "table": "users" }])).contains(r#"table: "users""#));
    assert!(wrong(json!([{ "event": "*" }])).starts_with("No subscription params provided"));
    let filtered = |filter: &str| wrong(json!([{ "event": "*", "schema": "public", "table": "messages", "filter": filter }]));
    assert!(filtered("nothing=eq.1").contains("invalid column for filter nothing"));
    assert!(filtered("text=foo.x").contains("Error parsing `filter` params"));
    let selected =
        |table: &str, select: Value| wrong(json!([{ "event": "*", "schema": "public", "table": table, "select": select }]));
    assert!(selected("messages", json!(["nothing"])).contains("invalid column for select nothing"));
    assert!(selected("*", json!(["id"])).contains("wildcard"));
    assert!(selected("messages", json!("id")).contains("expected a list"));
    assert!(wrong(json!([])).starts_with("Unauthorized: "), "no chat, and no changes");
    assert!(join("", json!([])).expect_err("no name").starts_with("TopicNameRequired"));
    assert!(join(&"x".repeat(250), json!([])).expect_err("a long name").starts_with("TopicNameTooLong"));
}
