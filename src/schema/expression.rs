//! SQL as Postgres prints it, in the spelling of this house: lowercase, no needless casts or names, broken where it gets long.

/// Longest line of an expression that is left in one piece, in characters.
const WIDTH: usize = 96;

/// One line, lowercase outside quotes, in one spelling.
pub fn plain(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut quote = None;
    for character in sql.chars() {
        match quote {
            Some(end) => {
                text.push(character);
                if character == end {
                    quote = None;
                }
            }
            None if character.is_whitespace() => {
                if !text.ends_with([' ', '(']) {
                    text.push(' ');
                }
            }
            None => {
                if matches!(character, '\'' | '"') {
                    quote = Some(character);
                }
                text.extend(character.to_lowercase());
            }
        }
    }
    // a cast of a literal to what it would be anyway; the name that a sub-select gives its only column
    let text = text.replace("'::text", "'").replace("(select chat.uid() as uid)", "(select chat.uid())");
    text.replace("((select chat.uid()))", "(select chat.uid())").trim().to_owned()
}

/// `plain`, in several lines where one would be long; every line but the first is indented by `indent` spaces.
pub fn broken(sql: &str, indent: usize) -> String {
    layout(&plain(sql), indent)
}

fn layout(text: &str, indent: usize) -> String {
    let text = unwrapped(text);
    if indent + text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    let margin = format!("\n{}", " ".repeat(indent));
    if let [head, condition] = split(text, " where ")[..] {
        return format!("{head}{margin}where {}", layout(condition, indent + 2));
    }
    for (word, separator) in [("or", " or "), ("and", " and ")] {
        let parts = split(text, separator);
        if parts.len() > 1 {
            let parts = parts.into_iter().enumerate().map(|(index, part)| {
                let indent = if index == 0 { indent } else { indent + word.len() + 1 };
                let inner = unwrapped(part);
                // what binds tighter keeps its parentheses only where it needs them
                let needed = word == "and" && split(inner, " or ").len() > 1;
                if needed { format!("({})", layout(inner, indent + 1)) } else { layout(inner, indent) }
            });
            return parts.collect::<Vec<_>>().join(&format!("{margin}{word} "));
        }
    }
    match text.split_once('(').filter(|_| text.ends_with(')')) {
        Some((head, rest)) if matches!(head, "" | "exists " | "not ") => {
            let inner = &rest[..rest.len() - 1];
            format!("{head}({})", layout(inner, indent + head.len() + 1))
        }
        _ => text.to_owned(),
    }
}

/// The parts of `text` between separators that stand outside every parenthesis and quote.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0, false);
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            ' ' if depth == 0 && !quoted && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Without the parentheses around all of it.
fn unwrapped(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return text };
    let mut depth = 0;
    let mut quoted = false;
    for character in inner.chars() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return text; // the first one closes before the end
        }
    }
    // a sub-select is a value only in its parentheses
    if inner.starts_with("select ") { text } else { unwrapped(inner) }
}
