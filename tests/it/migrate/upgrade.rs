//! A database of an earlier version is brought up to date with everything that is in it, and what was released is never edited.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use tabletalk::migrate::{self, State};
use tabletalk::schema;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{dsn, refusal};
use crate::support::Database;
use crate::support::cluster::{INSTALLER, cluster};

/// The first version in which people can do all of [`LIFE`]: there is no door into chats before.
const FIRST: u32 = 6;

/// What people do in psql, as far back as there are doors.
const LIFE: &str = "
select chat.introduce_me();
select chat.create_group('a group', '{}', '$chat');
insert into chat.messages (chat_id, id, text) select '$chat', gen_random_uuid(), 'message ' || n from generate_series(1, 100) n;
update chat.messages set text = 'who brings the orange marmalade?' where chat_id = '$chat' and text = 'message 7';
delete from chat.messages where chat_id = '$chat' and text = 'message 8';
insert into chat.read_markers (chat_id, seq) select chat_id, max(seq) from chat.messages where chat_id = '$chat' group by chat_id";

/// Every row of every table, as JSON, by the table's name.
async fn db_rows(client: &Client) -> Vec<(String, Value)> {
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables
                  where schemaname in ('chat', 'chat_private') and tablename not in ('rules', 'migrations') order by 1";
    let mut rows = Vec::new();
    for table in client.query(tables, &[]).await.expect(tables) {
        let table: String = table.get(0);
        let all = format!("select to_jsonb(t) from {table} t");
        rows.extend(client.query(&all, &[]).await.expect(&all).iter().map(|row| (table.clone(), row.get(0))));
    }
    rows
}

/// Whether a row is still there: what it held, and perhaps more.
fn holds(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return false };
    old.iter().all(|(column, value)| new.get(column) == Some(value))
}

#[tokio::test]
async fn a_database_of_each_earlier_version_is_brought_up_to_date_and_loses_nothing() {
    let cluster = cluster().await;
    let superuser = cluster.db_superuser("postgres").await;
    let newest = u32::try_from(migrations().len()).expect("few");
    assert!(newest > FIRST);
    for version in FIRST..newest {
        let name = format!("upgrade_{version}");
        superuser.batch_execute(&format!("create database {name} owner {INSTALLER}")).await.expect("a database");
        let admin = cluster.dsn(INSTALLER, &name);
        let ran = migrate::migrate_as_of(&admin, version).await.expect("it migrates").applied.len();
        assert_eq!(u32::try_from(ran), Ok(version));
        let api = cluster.db_connect("chat_api", &name).await;
        assert_eq!(migrate::state(&api).await.expect("a state"), State::Behind);

        let alice = Uuid::new_v4();
        let claims = format!(r#"{{"sub":"{alice}","role":"authenticated","user_metadata":{{"name":"alice"}}}}"#);
        api.execute("select set_config('request.jwt.claims', $1, false)", &[&claims]).await.expect("claims");
        api.batch_execute("set role authenticated").await.expect("a role");
        let life = LIFE.replace("$chat", &Uuid::new_v4().to_string());
        api.batch_execute(&life).await.unwrap_or_else(|error| panic!("version {version}: {error:?}"));
        api.batch_execute("reset role").await.expect("itself");
        let db = cluster.db_superuser(&name).await;
        let before = db_rows(&db).await;
        assert!(before.len() > 100, "version {version}: there is something to lose");

        let applied = migrate::migrate(&admin, None).await.expect("it migrates").applied;
        assert_eq!(applied.len(), migrations().len() - ran);
        assert_eq!(migrate::state(&api).await.expect("a state"), State::UpToDate);
        let after = db_rows(&db).await;
        for (table, row) in &before {
            assert!(after.iter().any(|(of, new)| of == table && holds(new, row)), "version {version}: {table} has lost {row}");
        }
        let page = schema::page(&db, tabletalk::config::SchemaPage::Schema).await.expect("a page");
        assert!(schema::statements(&page) == schema::statements(schema::COMMITTED), "version {version}: another schema");
    }
}

#[tokio::test]
async fn a_database_made_by_an_edited_draft_is_told_so() {
    // one that has had another text by the same number, and one that is older than the question
    for sql in ["update chat_private.migrations set checksum = '1' where version = 2", "drop function chat_private.migrated()"] {
        let database = Database::new().await;
        database.db_owner().await.batch_execute(sql).await.expect(sql);
        for arguments in [vec![], vec!["--database-admin-url".to_owned(), database.admin_url()]] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let refused = refusal(&database.api_url(), &arguments).await;
            assert!(refused.contains("made by an earlier draft of the migrations"), "{sql}: {refused}");
        }
        let refused = migrate::migrate(&dsn(&database.admin_url()), None).await.expect_err("it is refused").to_string();
        assert!(refused.contains("made by an earlier draft of the migrations"), "{sql}: {refused}");
    }
}

/// The migrations, in their order.
fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let names =
        fs::read_dir(folder).expect("migrations").map(|entry| entry.expect("one").file_name().into_string().expect("a name"));
    let mut names: Vec<String> = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "sql")).collect();
    names.sort_by_key(|name| name[1..].split_once("__").and_then(|(number, _)| number.parse::<u32>().ok()));
    names
}

/// As sha256sum writes it.
fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |sum, byte| sum + &format!("{byte:02x}"))
}

/// What is not as it was frozen: `list` is sql/frozen.txt, `read` gives a file of sql/ by its name.
fn broken(list: &str, names: &[String], read: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
    let frozen: Vec<(&str, &str)> =
        list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once("  ")).collect();
    let mut wrong = Vec::new();
    for (sum, file) in &frozen {
        match read(file) {
            None => wrong.push(format!("{file} is gone")),
            Some(bytes) => {
                if sha256(&bytes) != *sum {
                    wrong.push(format!("{file} was released and is edited: write a new migration"));
                }
            }
        }
    }
    // a migration that is put in between would never run where those after it have
    let numbered = frozen.iter().filter_map(|(_, file)| file.strip_prefix("migrations/")).collect::<Vec<_>>();
    if !names.iter().map(String::as_str).take(numbered.len()).eq(numbered.iter().copied()) {
        wrong.push("a migration stands before one that was released".to_owned());
    }
    wrong
}

#[test]
fn what_was_released_is_never_edited() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let read = |name: &str| fs::read(folder.join(name)).ok();
    let list = fs::read_to_string(folder.join("frozen.txt")).expect("sql/frozen.txt");
    assert_eq!(broken(&list, &migrations(), read), Vec::<String>::new());

    // as it will be
    let sum = |name: &str| -> String { sha256(&read(name).expect(name)) };
    let first = format!("migrations/{}", migrations()[0]);
    let list = format!("# a comment\n{}  bootstrap.sql\n{}  {first}\n", sum("bootstrap.sql"), sum(&first));
    assert_eq!(broken(&list, &migrations(), read), Vec::<String>::new());
    let edited = |name: &str| read(name).map(|bytes| if name == first { [bytes, b"\n".to_vec()].concat() } else { bytes });
    assert_eq!(broken(&list, &migrations(), edited), [format!("{first} was released and is edited: write a new migration")]);
    assert_eq!(
        broken(&list, &migrations()[1..], |name| read(name).filter(|_| name != first)).len(),
        2,
        "gone, and not the first"
    );
}
