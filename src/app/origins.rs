//! Whose pages may call this server: requests and sockets alike.

use std::sync::Arc;

/// The origins that are let in. Cheap to clone.
#[derive(Clone)]
pub struct Origins {
    own: Arc<str>,
    listed: Arc<[String]>,
}

impl Origins {
    /// Those that are listed, `*` for all; where none is, the server's own and pages of this machine.
    pub fn new(url: &str, listed: &[String]) -> Self {
        Self { own: url.trim_end_matches('/').into(), listed: listed.into() }
    }

    /// Whether a page of this origin may call.
    pub fn allow(&self, origin: &str) -> bool {
        if self.listed.is_empty() {
            return *origin == *self.own || is_local(origin);
        }
        self.listed.iter().any(|listed| listed == "*" || listed == origin)
    }
}

/// Whether an origin is a page of this machine, whatever its port.
fn is_local(origin: &str) -> bool {
    let Some(rest) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else { return false };
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => rest.split(':').next(),
    };
    matches!(host, Some("localhost" | "127.0.0.1" | "::1"))
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn pages_of_this_machine_are_local_and_no_others() {
        for origin in ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173"] {
            assert!(is_local(origin), "{origin}");
        }
        for origin in
            ["http://localhost.example.com", "https://example.com", "null", "file://localhost", "http://127.0.0.1.example.com:80"]
        {
            assert!(!is_local(origin), "{origin}");
        }
    }
}
