//! The audit: who wrote what, by which request and by which way.

mod months;
mod operations;
mod questions;
mod ways;

use tokio_postgres::Client;
use uuid::Uuid;

/// A line of the audit.
#[derive(Debug)]
struct Line {
    /// The operation, the table, and whom or what it is about.
    did: String,
    way: String,
    sub: Option<Uuid>,
    role: String,
    session: Option<String>,
    request: Option<Uuid>,
    login: String,
    application: Option<String>,
}

/// All lines, the oldest first.
async fn lines(owner: &Client) -> Vec<Line> {
    let statement = "
        select concat_ws(' ', l.operation, l.table_name, case l.table_name
                 when 'chats' then l.chat_id::text
                 when 'participants' then l.user_id::text
                 when 'messages' then coalesce(l.message_id, l.chat_id)::text
                 when 'reactions' then l.user_id || ' ' || l.message_id
                 else concat_ws(' ', l.user_id, l.other_id) end) as did,
               l.way, l.sub, l.role, l.session_id, l.request_id, l.login, l.application
        from chat.audit_log l
        order by l.at";
    let rows = owner.query(statement, &[]).await.expect(statement);
    rows.iter()
        .map(|row| Line {
            did: row.get("did"),
            way: row.get("way"),
            sub: row.get("sub"),
            role: row.get("role"),
            session: row.get("session_id"),
            request: row.get("request_id"),
            login: row.get("login"),
            application: row.get("application"),
        })
        .collect()
}

/// Begins afresh: the owner may.
async fn forget(owner: &Client) {
    owner.batch_execute("delete from chat.audit_log").await.expect("the owner may");
}
