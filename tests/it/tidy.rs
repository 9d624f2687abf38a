//! The architecture, as a test: who may know whom, how long a file may be, what must not be in one.

use std::fs;
use std::path::{Path, PathBuf};

/// A file past this holds two ideas.
const LINES_MAX: usize = 400;

/// Which parts of the crate a part may know, besides itself. The most particular entry counts.
const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &["cli", "config"]),
    ("lib", &[]),
    ("cli", &["api", "api::waiting", "app", "auth", "check", "config", "db", "dsn", "postgres", "schema"]),
    ("config", &["auth", "postgres"]),
    (
        "app",
        &[
            "api",
            "api::caller",
            "api::document",
            "api::waiting",
            "auth",
            "check",
            "config",
            "db",
            "dsn",
            "error",
            "migrate",
            "operations",
            "pooler",
            "postgres",
            "realtime",
            "web",
        ],
    ),
    // what a row looks like it knows from the API, and nothing else of it
    ("realtime", &["api::shapes", "auth", "db", "dsn", "params", "wire"]),
    ("operations", &["api::caller", "db", "error"]),
    ("web", &[]),
    ("check", &["app", "auth", "config", "dsn", "migrate", "schema"]),
    ("schema", &["app", "config"]),
    ("migrate", &["dsn", "pooler"]),
    ("pooler", &["dsn"]),
    ("postgres", &[]),
    ("dsn", &[]),
    ("auth", &[]),
    ("db", &["auth", "dsn"]),
    ("error", &["db", "wire"]),
    ("wire", &[]),
    ("api", &["db"]),
    // a resource never knows another resource
    (
        "api::",
        &[
            "api",
            "api::answer",
            "api::body",
            "api::caller",
            "api::shapes",
            "api::waiting",
            "db",
            "error",
            "params",
            "page_of",
            "wire",
        ],
    ),
    ("api::caller", &["auth", "db", "error", "params"]),
    ("api::answer", &["error"]),
    ("api::body", &["error"]),
    ("api::waiting", &[]),
    ("api::document", &["api"]),
    ("api::shapes", &["api::caller", "db", "error", "params", "wire"]),
];

#[test]
fn every_part_knows_only_whom_it_may() {
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let module = module_of(&file);
        let part = part_of(&module);
        let key = IMPORTS.iter().find(|(name, _)| *name == part).or_else(|| {
            let prefix = format!("{}::", module.split("::").next().unwrap_or_default());
            IMPORTS.iter().find(|(name, _)| part.contains("::") && *name == prefix)
        });
        let Some((_, allowed)) = key else {
            wrong.push(format!("{module} is not in the table"));
            continue;
        };
        for import in imports(&read(&file), &module) {
            let own =
                part_of(&import) == part || import.split("::").next() == module.split("::").next() && !part.starts_with("api::");
            if !own && !allowed.iter().any(|name| import == *name || import.starts_with(&format!("{name}::")) && *name != "api") {
                wrong.push(format!("{module} knows {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_holds_two_ideas() {
    let code = files("src", "rs").into_iter().chain(files("tests", "rs"));
    let long: Vec<String> = code
        .map(|file| (read(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, file)| format!("{} has {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn only_config_reads_the_environment() {
    for file in files("src", "rs").into_iter().filter(|file| module_of(file) != "config") {
        assert!(!read(&file).contains("env::var"), "{} reads the environment", file.display());
    }
}

#[test]
fn only_the_envelope_begins_and_becomes_a_role() {
    // the installer becomes the owner to migrate, a start-up connection becomes what the pool's are, psql is for a person, and whether a
    // transaction keeps its connection is seen by beginning one
    let exceptions = ["migrate", "app::database", "cli::psql", "pooler"];
    for file in files("src", "rs") {
        let module = module_of(&file);
        if module == "db" || module.starts_with("db::") || exceptions.contains(&module.as_str()) || module.starts_with("check") {
            continue;
        }
        // a field of Supabase's rows
        let text = read(&file).to_lowercase().replace("\"commit_timestamp\"", "");
        for word in ["\"begin", "\"commit", "set role", "set local role", "set_config('role'"] {
            assert!(!text.contains(word), "{} says {word}", file.display());
        }
    }
}

#[test]
fn nothing_is_left_to_be_done_or_said_in_capitals() {
    for file in files("src", "rs").into_iter().chain(files("tests", "rs")).chain(files("sql", "sql")) {
        if file.ends_with("tidy.rs") {
            continue;
        }
        let text = read(&file);
        for word in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("] {
            assert!(!text.contains(word), "{} says {word}", file.display());
        }
    }
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    let mut numbers: Vec<usize> = files("sql/migrations", "sql")
        .iter()
        .map(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            assert!(!name.contains('-'), "refinery ignores {name}: it has a hyphen");
            let number = name.strip_prefix('V').and_then(|rest| rest.split_once("__")).map(|(number, _)| number.parse());
            number.and_then(Result::ok).unwrap_or_else(|| panic!("{name} is not V<number>__<name>.sql"))
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == extension) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// `src/api/chats.rs` is `api::chats`.
fn module_of(file: &Path) -> String {
    let path = file.strip_prefix(root().join("src")).expect("a source file").with_extension("");
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).filter(|part| part != "mod").collect();
    parts.join("::")
}

/// The part that a module is in: `api::shapes::chat` is in `api::shapes`, everything else in its first word.
fn part_of(module: &str) -> String {
    let words = if module.starts_with("api::") { 2 } else { 1 };
    module.split("::").take(words).collect::<Vec<_>>().join("::")
}

/// What a file names of this crate, in `use` or in passing.
fn imports(text: &str, module: &str) -> Vec<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for (start, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') || code[..at].ends_with("::") {
                continue;
            }
            let rest = &code[at + start.len()..];
            let group = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let names = group.map_or_else(|| vec![rest], |(inner, _)| inner.split(',').collect());
            for name in names {
                let path: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
                let path: Vec<&str> = path.split("::").filter(|w| w.starts_with(|c: char| c.is_lowercase())).collect();
                let whole = [base.split("::").collect::<Vec<_>>(), path].concat();
                found.push(whole.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("::"));
            }
        }
    }
    found.retain(|import| !import.is_empty());
    found
}
