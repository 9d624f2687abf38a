use serde_json::json;

use super::*;

fn parse(table: Table, filter: &str) -> Result<Vec<Condition>, String> {
    super::parse(table, filter, &mut PATTERNS_MAX.clone())
}

fn message(values: Value) -> Row {
    Row { table: Table::Messages, action: Action::Insert, values: values.as_object().cloned().unwrap_or_default() }
}

fn says(filter: &str, values: Value) -> bool {
    let filter = parse(Table::Messages, filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    holds(&filter, &message(values))
}

fn wrong(filter: &str) -> String {
    parse(Table::Messages, filter).expect_err(filter)
}

#[test]
fn each_operator_is_that_of_sql() {
    let row = || json!({ "seq": 5, "text": "Hey, you\nthere", "kind": "user", "created_at": "2026-01-02T03:04:05.5+00:00" });
    for filter in [
        "seq=eq.5",
        "seq=neq.4",
        "seq=lt.6",
        "seq=lte.5",
        "seq=gt.4",
        "seq=gte.5",
        "seq=in.(1,5)",
        "seq=not.in.(1,2)",
        "seq=isdistinct.4",
        "seq=not.isdistinct.5",
        "seq=not.is.null",
        "text=like.Hey%",
        "text=like.%there",
        "text=like.Hey_ you%",
        "text=ilike.hey%",
        "text=not.like.hey%",
        "text=match.^Hey.*there$",
        "text=imatch.YOU",
        r#"text=like."Hey, %""#,
        "kind=eq.user,seq=gt.0",
        "kind=in.(system,user)",
        "created_at=gt.2026-01-02T03:04:05Z",
        "created_at=eq.2026-01-02 04:04:05.5+01",
        "created_at=gte.2026-01-02",
        "created_at=lt.2026-01-02T03:04:06",
    ] {
        assert!(says(filter, row()), "{filter}");
    }
    for filter in ["seq=eq.6", "text=like.Hey", "text=match.^there", "seq=not.eq.5", "kind=eq.user,seq=gt.5", "seq=in.()"] {
        assert!(!says(filter, row()), "{filter}");
    }
}

#[test]
fn null_is_neither_equal_nor_unequal() {
    let row = || json!({ "pinned_at": null, "attachment_url": null });
    for filter in [
        "attachment_url=eq.x",
        "attachment_url=neq.x",
        "attachment_url=not.eq.x",
        "attachment_url=not.in.(x)",
        "attachment_url=not.like.x",
        "attachment_url=not.is.null",
        "attachment_url=isdistinct.null",
        "pinned_at=lt.2026-01-01",
    ] {
        assert!(!says(filter, row()), "{filter}");
    }
    for filter in
        ["attachment_url=is.null", "attachment_url=isdistinct.x", "attachment_url=not.isdistinct.null", "pinned_at=is.null"]
    {
        assert!(says(filter, row()), "{filter}");
    }
}

#[test]
fn arrays_documents_and_truths_are_compared_as_they_are_written() {
    let one = Uuid::from_u128(1);
    assert!(says(&format!("mentions=eq.{{{one}}}"), json!({ "mentions": [one] })));
    assert!(says("mentions=neq.{}", json!({ "mentions": [one] })));
    let reactions = json!({ "reactions": [{ "emoji": "a", "count": 1 }] });
    assert!(says(r#"reactions=eq."[{\"count\":1,\"emoji\":\"a\"}]""#, reactions));
    let chats = parse(Table::Chats, "read_only=is.true,read_only=eq.t,read_only=not.is.false").expect("a filter");
    let row = Row { table: Table::Chats, action: Action::Update, values: Row::chat_is_gone(one).values };
    let with = |is: bool| Row {
        values: row.values.iter().map(|(k, v)| (k.clone(), v.clone())).chain([("read_only".to_owned(), json!(is))]).collect(),
        ..row.clone()
    };
    assert!(holds(&chats, &with(true)) && !holds(&chats, &with(false)));
}

#[test]
fn what_cannot_be_read_is_said() {
    assert_eq!(wrong("text=foo.hey"), r#"Error parsing `filter` params: ["foo", "hey"]"#);
    assert_eq!(wrong("undefined"), r#"Error parsing `filter` params: ["undefined"]"#);
    assert_eq!(wrong("nothing=eq.1"), "invalid column for filter nothing");
    assert_eq!(wrong("xid=eq.1"), "invalid column for filter xid");
    assert!(wrong("seq=eq.1,").contains("empty segments"));
    assert!(wrong("seq=in.1,2").contains("parentheses"), "{}", wrong("seq=in.1"));
    assert_eq!(wrong("seq=eq.many"), r#"invalid input syntax for type bigint: "many""#);
    assert!(wrong("seq=like.1%").contains("text-compatible"));
    assert!(wrong("text=match.(").contains("invalid regular expression"));
    assert!(wrong(r"text=like.x\").contains("escape"));
    assert!(wrong("text=is.true").contains("boolean"));
    assert!(wrong("text=is.nothing").contains("must be null"));
    assert!(wrong("reactions=lt.1").contains("jsonb"));
    assert!(wrong(&format!("seq=in.({})", vec!["1"; 101].join(","))).contains("Maximum 100"));
    assert!(parse(Table::Messages, "  ").expect("no filter").is_empty());
}

#[test]
fn quotes_keep_what_divides() {
    for (filter, text) in [
        (r#"text=eq."a,b""#, "a,b"),
        (r#"text=eq."say \"x\" (\\)""#, r#"say "x" (\)"#),
        (r#"text=in.("a,b",c)"#, "a,b"),
        (r#"text=eq.a"b"#, r#"a"b"#),
        ("text=eq.a(b,c)", "a(b,c)"),
        ("text=eq.a.b=c", "a.b=c"),
    ] {
        assert!(says(filter, json!({ "text": text })), "{filter}");
    }
}

#[test]
fn a_filter_names_chats_where_it_can_hold_for_no_others() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let named = |table, filter: &str| chats(table, &parse(table, filter).expect("a filter"));
    assert_eq!(named(Table::Messages, &format!("chat_id=eq.{one},seq=gt.0")), Some(vec![one]));
    assert_eq!(named(Table::Participants, &format!("chat_id=in.({one},{two})")), Some(vec![one, two]));
    assert_eq!(named(Table::Chats, &format!("id=eq.{one}")), Some(vec![one]));
    assert_eq!(named(Table::Messages, &format!("id=eq.{one}")), None);
    assert_eq!(named(Table::Messages, &format!("chat_id=not.eq.{one}")), None);
    assert_eq!(named(Table::Messages, &format!("chat_id=in.({one},{two}),chat_id=eq.{two}")), Some(vec![two]));
    assert_eq!(named(Table::Messages, ""), None);
}

#[test]
fn a_row_that_is_gone_is_asked_by_its_key_alone() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let gone = Row { action: Action::Delete, ..message(json!({ "chat_id": one, "id": two })) };
    let says = |filter: &str| holds(&parse(Table::Messages, filter).expect("a filter"), &gone);
    assert!(says(&format!("chat_id=eq.{one}")) && says(&format!("chat_id=eq.{one},text=eq.x")));
    assert!(!says(&format!("chat_id=eq.{two}")) && !says(&format!("id=neq.{two}")));
}

#[test]
fn the_chat_alone_may_decide() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let of = |filter: &str, chat| decided(Table::Messages, &parse(Table::Messages, filter).expect("a filter"), chat);
    assert_eq!(of("", one), Some(true));
    assert_eq!(of(&format!("chat_id=eq.{one}"), one), Some(true));
    assert_eq!(of(&format!("chat_id=eq.{one},seq=gt.1"), two), Some(false));
    assert_eq!(of(&format!("chat_id=neq.{one},seq=gt.1"), two), None);
}
