//! A connection string without its password, and with all else as it was: psql reads TLS settings and options for itself.
//!
//! [`crate::dsn::Dsn`] has read the string before, so it is one.

/// `text` without its password.
pub fn without_password(text: &str) -> String {
    match text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|letter| letter.is_ascii_alphanumeric())) {
        Some((scheme, rest)) => url(scheme, rest),
        None => pairs(text),
    }
}

/// Cut where libpq cuts: at the first @ before any slash, and at the first question mark after it.
fn url(scheme: &str, rest: &str) -> String {
    let (user, place) = match rest.find(['@', '/']).filter(|&at| rest[at..].starts_with('@')) {
        Some(at) => (Some(rest[..at].split_once(':').map_or(&rest[..at], |(user, _)| user)), &rest[at + 1..]),
        None => (None, rest),
    };
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !is_password(pair)).collect();
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{scheme}://{user}{place}{query}")
}

/// Whether a pair of a query names the password, in whatever way it is percent-encoded.
fn is_password(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let mut bytes = name.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let hex =
            |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        match byte {
            b'%' => decoded.push(hex(bytes.next()).unwrap_or(0) << 4 | hex(bytes.next()).unwrap_or(0)),
            _ => decoded.push(byte),
        }
    }
    decoded == b"password"
}

/// `name = value name='quoted \' value'`.
fn pairs(text: &str) -> String {
    let mut kept = Vec::new();
    let mut rest = text.trim_start();
    while let Some((name, value)) = rest.split_once('=') {
        let value = value.trim_start();
        let end = value_end(value);
        if name.trim_end() != "password" {
            kept.push(format!("{}={}", name.trim_end(), &value[..end]));
        }
        rest = value[end..].trim_start();
    }
    kept.join(" ")
}

/// Where a value ends, its closing quote included.
fn value_end(value: &str) -> usize {
    let quoted = value.starts_with('\'');
    let mut characters = value.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => _ = characters.next(),
            '\'' if quoted => return at + 1,
            space if !quoted && space.is_whitespace() => return at,
            _ => {}
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn the_password_goes_and_all_else_stays() {
        for (text, expected) in [
            ("postgres://alice:s3cr3t@db:5433/chat?sslmode=verify-full", "postgres://alice@db:5433/chat?sslmode=verify-full"),
            ("postgresql://alice:a:b%40c@db", "postgresql://alice@db"),
            ("postgres://:s3cr3t@db/x", "postgres://@db/x"),
            ("postgres://db/x?user=a&pass%77ord=s3cr3t&sslrootcert=%2Fca", "postgres://db/x?user=a&sslrootcert=%2Fca"),
            ("postgres://db/x?password=s3cr3t", "postgres://db/x"),
            ("postgres:///x?host=/run", "postgres:///x?host=/run"),
            ("host=db password=s3cr3t user=alice", "host=db user=alice"),
            ("host = db  password = 's3 \\'cr3t' sslmode='require'", "host=db sslmode='require'"),
            ("password=s\\ 3 host=db password='x", "host=db"),
            ("options='-c password=x' host=db", "options='-c password=x' host=db"),
        ] {
            assert_eq!(without_password(text), expected, "{text}");
        }
    }
}
