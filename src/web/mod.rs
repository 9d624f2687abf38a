//! The pages: for people and agents who open the server in a browser or with curl.

use poem::http::header::ACCEPT;
use poem::web::{Data, Html};
use poem::{IntoResponse, Request, Response, handler};

/// How the world reaches this server.
#[derive(Clone)]
pub struct PublicUrl(pub String);

const HOME_TEXT: &str = include_str!("home.txt");
const HOME_HTML: &str = include_str!("home.html");

/// What the page of the documents tells its viewer: nothing from elsewhere, and a token is what it wants.
const DOCS_CONFIGURATION: &str =
    r#"{"withDefaultFonts":false,"hideClientButton":true,"authentication":{"preferredSecurityScheme":"bearer"}}"#;

/// The page of the documents, made of the library's `html` with its own reading of the API in it, `theirs`, and the mended one, `ours`.
pub fn docs(html: &str, theirs: &str, ours: &str) -> String {
    html.replace(theirs, ours)
        .replace("<title>Scalar</title>", "<title>Tabletalk</title>")
        // the first is the page's own; its script speaks of others
        .replacen("id=\"api-reference\"", &format!("id=\"api-reference\" data-configuration='{DOCS_CONFIGURATION}'"), 1)
}

/// What this is, how to call it, where the documents are: HTML for who asks for it, plain text for everyone else.
#[handler]
pub fn home(request: &Request, Data(url): Data<&PublicUrl>) -> Response {
    let wants_html = request.header(ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    let text = HOME_TEXT.replace("{url}", &url.0).replace("{version}", env!("CARGO_PKG_VERSION"));
    if wants_html {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Html(HOME_HTML.replace("{text}", &escaped)).into_response()
    } else {
        text.with_content_type("text/plain; charset=utf-8").into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::docs;

    #[test]
    fn the_page_of_the_documents_is_configured_and_its_script_left_alone() {
        let html = r#"<title>Scalar</title><script id="api-reference">theirs</script><script>f("id=\"api-reference\"", id="api-reference")</script>"#;
        let page = docs(html, "theirs", "ours");
        assert!(page.contains("<title>Tabletalk</title>") && page.contains(">ours<"), "{page}");
        assert_eq!(page.matches("data-configuration").count(), 1, "{page}");
    }
}
