//! The files of the page, as they are in the program.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_64;

use super::{Server, refused};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// By the names that the page asks for.
const FILES: &[(&str, &str, &str)] = &[
    ("index.html", HTML, include_str!("page/index.html")),
    ("login.html", HTML, include_str!("page/login.html")),
    ("style.css", STYLE, include_str!("page/style.css")),
    ("icon.svg", PICTURE, include_str!("page/icon.svg")),
    ("app.js", SCRIPT, include_str!("page/app.js")),
    ("answer.js", SCRIPT, include_str!("page/answer.js")),
    ("api.js", SCRIPT, include_str!("page/api.js")),
    ("detail.js", SCRIPT, include_str!("page/detail.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("explain.js", SCRIPT, include_str!("page/explain.js")),
    ("format.js", SCRIPT, include_str!("page/format.js")),
    ("head.js", SCRIPT, include_str!("page/head.js")),
    ("ignored.js", SCRIPT, include_str!("page/ignored.js")),
    ("live.js", SCRIPT, include_str!("page/live.js")),
    ("mapping.js", SCRIPT, include_str!("page/mapping.js")),
    ("measurements.js", SCRIPT, include_str!("page/measurements.js")),
    ("payload.js", SCRIPT, include_str!("page/payload.js")),
    ("plot.js", SCRIPT, include_str!("page/plot.js")),
    ("rejects.js", SCRIPT, include_str!("page/rejects.js")),
    ("route.js", SCRIPT, include_str!("page/route.js")),
    ("series.js", SCRIPT, include_str!("page/series.js")),
    ("uplot.js", SCRIPT, include_str!("page/vendor/uPlot.iife.min.js")),
    ("uplot.css", STYLE, include_str!("page/vendor/uPlot.min.css")),
];

/// The files with what tells one version from another.
pub(super) struct Files(Vec<File>);

struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    tag: String,
}

impl Files {
    pub(super) fn new() -> Self {
        let file = |&(name, kind, text): &(&'static str, &'static str, &'static str)| {
            let tag = format!("\"{:016x}\"", xxh3_64(text.as_bytes()));
            File { name, kind, text, tag }
        };
        Self(FILES.iter().map(file).collect())
    }

    /// The file, or that the browser has it. A browser asks each time, so that no page is mixed of two versions.
    fn answer(&self, name: &str, asked: &HeaderMap) -> Option<Response> {
        let file = self.0.iter().find(|file| file.name == name)?;
        let headers = [(header::ETAG, file.tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
        let has = |known: &str| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == file.tag);
        let known = asked.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
        if known.is_some_and(has) {
            return Some((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        Some((headers, [(header::CONTENT_TYPE, file.kind)], file.text).into_response())
    }
}

/// One of the files that are surely there.
pub(super) fn named(server: &Server, name: &str, asked: &HeaderMap) -> Response {
    server.files.answer(name, asked).unwrap_or_else(|| refused("", StatusCode::NOT_FOUND, "the page has no such file"))
}

/// What stands above the form where the token was wrong.
const WRONG: &str = "<p class=\"note bad\" role=\"alert\">That is not the token.</p>\n  <form ";

/// The form again, after a wrong token.
pub(super) fn login_again() -> Response {
    let form = include_str!("page/login.html").replacen("<form ", WRONG, 1);
    ([(header::CONTENT_TYPE, HTML)], form).into_response()
}

/// `GET /`
pub(super) async fn index(State(server): State<Arc<Server>>, asked: HeaderMap) -> Response {
    named(&server, "index.html", &asked)
}

/// `GET /page/{file}`
pub(super) async fn file(State(server): State<Arc<Server>>, Path(name): Path<String>, asked: HeaderMap) -> Response {
    named(&server, &name, &asked)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_browser_that_has_the_file_is_told_so_and_not_sent_it_again() {
        let files = Files::new();
        let first = files.answer("app.js", &HeaderMap::new()).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], SCRIPT);
        let tag = first.headers()[header::ETAG].clone();
        let asked = |known: HeaderValue| {
            files.answer("app.js", &HeaderMap::from_iter([(header::IF_NONE_MATCH, known)])).unwrap().status()
        };
        assert_eq!(asked(tag), StatusCode::NOT_MODIFIED);
        assert_eq!(asked(HeaderValue::from_static("\"0123456789abcdef\"")), StatusCode::OK);
        assert!(files.answer("../http.rs", &HeaderMap::new()).is_none());
    }

    #[test]
    fn the_page_names_nothing_that_its_policy_forbids() {
        for (name, kind, text) in FILES {
            // Where the plot library comes from stands in its first line; it is read by people only.
            let text =
                if name.starts_with("uplot.") { text.split_once("*/").map_or(*text, |(_, rest)| rest) } else { text };
            let text = text.replace(r#"xmlns="http://www.w3.org/2000/svg""#, "");
            for elsewhere in ["http:", "https:", "\"//", "'//", "`//", "(//", "=//"] {
                assert!(!text.contains(elsewhere), "{name} names a place elsewhere: {elsewhere}");
            }
            if *kind == HTML {
                assert!(!text.contains(" style="), "{name} has a style attribute");
                assert!(!text.contains("<style"), "{name} has styles of its own");
                let handler = |rest: &str| rest.trim_start_matches(|it: char| it.is_ascii_lowercase()).starts_with('=');
                assert!(!text.split(" on").skip(1).any(handler), "{name} has a handler in an attribute");
                let scripts = text.matches("<script").count();
                assert_eq!(scripts, text.matches("<script src=\"/page/").count(), "{name} has a script of its own");
            }
        }
    }

    #[test]
    fn what_the_page_shows_becomes_text_and_never_markup() {
        for (name, kind, text) in FILES {
            if *kind != SCRIPT || *name == "uplot.js" {
                continue;
            }
            for markup in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "DOMParser",
                "createContextualFragment",
            ] {
                assert!(!text.contains(markup), "{name} uses {markup}");
            }
        }
    }

    #[test]
    fn every_file_that_the_page_asks_for_is_served() {
        let served = |name: &str| FILES.iter().any(|(known, ..)| *known == name);
        for (name, kind, text) in FILES {
            let begin = if *kind == HTML { "\"/page/" } else { "from \"./" };
            for asked in text.split(begin).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(served(asked), "{name} asks for {asked}, which is not served");
            }
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page");
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            assert!(entry.file_type().unwrap().is_dir() || served(&name), "{name} is not served");
        }
    }
}
