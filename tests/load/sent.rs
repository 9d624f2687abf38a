//! Statements, as the database's log has them.

/// A statement, and its parameters as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub sql: String,
    pub parameters: Vec<Option<String>>,
}

/// Each from its BEGIN to its COMMIT; what is outside of them is left out.
pub fn split(sent: Vec<Sent>) -> Vec<Vec<Sent>> {
    let mut transactions: Vec<Vec<Sent>> = Vec::new();
    let mut is_open = false;
    for one in sent {
        let word = one.sql.split_whitespace().next().unwrap_or_default().to_lowercase();
        if word == "begin" {
            is_open = true;
            transactions.push(Vec::new());
        }
        if let Some(transaction) = transactions.last_mut().filter(|_| is_open) {
            transaction.push(one);
        }
        is_open &= word != "commit";
    }
    transactions
}

/// What the connections of the pool are called in the log. The relay and the announcer have statements of their own.
const POOL: &str = "(tabletalk) ";

/// The statements of a log. A message goes on in the next lines that begin with a tab.
pub fn read_log(text: &str) -> Vec<Sent> {
    let mut sent: Vec<Sent> = Vec::new();
    for entry in text.replace("\n\t", "\u{1}").lines() {
        let entry = entry.replace('\u{1}', "\n");
        if !entry.contains(POOL) {
            continue;
        }
        if let Some((_, sql)) = entry.split_once(" LOG:  statement: ") {
            sent.push(Sent { sql: sql.trim().to_owned(), parameters: Vec::new() });
        } else if let Some((_, named)) = entry.split_once(" LOG:  execute ") {
            let sql = named.split_once(": ").map_or("", |(_, sql)| sql);
            sent.push(Sent { sql: sql.trim().to_owned(), parameters: Vec::new() });
        } else if let (Some((_, list)), Some(last)) = (entry.split_once(" DETAIL:  parameters: "), sent.last_mut()) {
            last.parameters = read_parameters(list);
        }
    }
    sent
}

/// `$1 = 'it''s', $2 = NULL`.
fn read_parameters(mut list: &str) -> Vec<Option<String>> {
    let mut parameters = Vec::new();
    while let Some((_, value)) = list.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            parameters.push(None);
            list = value;
            continue;
        };
        let mut end = 0;
        while let Some(at) = quoted[end..].find('\'') {
            end += at;
            if !quoted[end + 1..].starts_with('\'') {
                break;
            }
            end += 2;
        }
        parameters.push(Some(quoted[..end].replace("''", "'")));
        list = quoted.get(end + 1..).unwrap_or_default();
    }
    parameters
}
