use time::macros::datetime;

use super::*;

fn change(kind: ChangeKind) -> Change {
    Change {
        kind,
        chat_id: Uuid::from_u128(1),
        rev: 7,
        message: None,
        message_id: None,
        participant: None,
        user_id: None,
        chat: None,
    }
}

#[test]
fn moments_have_no_more_digits_than_they_need() {
    assert_eq!(moment(Timestamp(datetime!(2026-01-02 03:04:05.120 UTC))), "2026-01-02T03:04:05.12+00:00");
    assert_eq!(moment(Timestamp(datetime!(2026-01-02 03:04:05 +02:00))), "2026-01-02T01:04:05+00:00");
}

#[test]
fn what_is_gone_is_told_by_its_key() {
    let gone = Change { message_id: Some(Uuid::from_u128(2)), ..change(ChangeKind::MessageDeleted) };
    let row = |change: &Change| Row::new(place_of(change.kind, change), change);
    assert_eq!(place_of(gone.kind, &gone), (Table::Messages, Action::Delete));
    assert!(row(&gone).values.keys().eq(["chat_id", "id"]));
    let left = Change { user_id: Some(Uuid::from_u128(3)), ..change(ChangeKind::ParticipantLeft) };
    assert_eq!(place_of(left.kind, &left), (Table::Participants, Action::Delete));
    let ended = change(ChangeKind::ChatDeleted);
    assert_eq!(row(&ended), Row::chat_is_gone(Uuid::from_u128(1)));
}

#[test]
fn a_row_has_each_column_in_its_order_or_those_that_are_asked_for_with_its_key() {
    let profile = json!({ "id": Uuid::from_u128(1), "uid": "u", "type": "room", "visibility": "public", "readOnly": true });
    let row = Row::chat_is_entered(&profile);
    assert!(row.values.keys().eq(CHATS.iter().map(|column| column.name)));
    assert_eq!((&row.values["read_only"], &row.values["topic"]), (&json!(true), &Value::Null));
    let at = Timestamp(datetime!(2026-01-02 03:04:05 UTC));
    let some = Table::Chats.column("topic").map(|column| vec![column]);
    let data: Value = serde_json::from_str(&row.data(at, some.as_deref())).expect("JSON");
    assert_eq!(data["columns"], json!([{ "name": "id", "type": "uuid" }, { "name": "topic", "type": "text" }]));
    assert_eq!(data["record"], json!({ "id": Uuid::from_u128(1), "topic": null }));
    assert!(data.get("old_record").is_none() && data["errors"].is_null());
}

#[test]
fn participants_have_two_names_and_other_tables_are_not_told() {
    assert_eq!(Table::named("chat_participants"), Table::named("participants"));
    assert_eq!(Table::named("users"), None);
}
