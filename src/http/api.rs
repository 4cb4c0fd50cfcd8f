//! `/api/…`: what the page asks for, as JSON.
//!
//! A wrong question is a 400, a store that is away a 503, each with `{"error": "what, and what to do"}`.

mod measurements;
mod rejects;
mod series;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Server;
use super::stored::Unanswered;
use crate::in_force::InForce;
use crate::message::Time;

pub(super) use measurements::measurements;
pub(super) use rejects::{explain as explain_reject, rejects};
pub(super) use series::{history, series};

/// A question that cannot be answered.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    what: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, what: impl Into<String>) -> Self {
        Self { status, what: what.into() }
    }

    pub(super) fn wrong(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what)
    }
}

impl From<Unanswered> for Fault {
    fn from(unanswered: Unanswered) -> Self {
        let status = match &unanswered {
            Unanswered::Refused(_) => StatusCode::BAD_REQUEST,
            Unanswered::Away(_) | Unanswered::Busy | Unanswered::Ends => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, unanswered.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.what }).to_string();
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

pub(super) type Answer = Result<Json, Fault>;

/// JSON that is written already, perhaps for several who ask.
#[derive(Debug)]
pub(super) struct Json(pub(super) Arc<str>);

impl Json {
    pub(super) fn of(value: &impl Serialize) -> Self {
        Self(super::live::written(value).into())
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        // Copied once more here: answers are bounded, and people ask.
        ([(header::CONTENT_TYPE, "application/json")], self.0.to_string()).into_response()
    }
}

/// The parameters of a question.
struct Asked(HashMap<String, String>);

impl Asked {
    fn of(uri: &Uri) -> Result<Self, Fault> {
        let parameters = axum::extract::Query::<HashMap<String, String>>::try_from_uri(uri);
        parameters.map(|query| Self(query.0)).map_err(|_| Fault::wrong("the parameters cannot be read"))
    }

    /// `None` if it is empty, too.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Fault> {
        let number = self.text(name).map(str::parse).transpose();
        number.map_err(|_| Fault::wrong(format!("`{name}` is not a whole number in its range")))
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), Some("1" | "true"))
    }

    /// Separated by commas.
    fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.text(name).into_iter().flat_map(|text| text.split(',')).filter(|part| !part.is_empty())
    }
}

/// What is in force at present.
fn now(server: &Server) -> Arc<InForce> {
    Arc::clone(&server.shown.in_force.borrow())
}

/// What two who ask the same have in common: under another configuration it is another question.
fn key(uri: &Uri, in_force: &InForce) -> String {
    format!("{} {uri}", in_force.number)
}

/// Since 1970.
fn milliseconds(time: Time) -> i64 {
    time.0.div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_or_named() {
        let asked = Asked::of(&"/api/x?a=1&b=&c=x%20y&d=1,2,,3&e=true".parse().unwrap()).unwrap();
        assert_eq!(asked.number::<u32>("a").unwrap(), Some(1));
        assert_eq!((asked.text("b"), asked.text("c"), asked.text("z")), (None, Some("x y"), None));
        assert_eq!(asked.list("d").collect::<Vec<_>>(), ["1", "2", "3"]);
        assert!(asked.flag("a") && asked.flag("e") && !asked.flag("c"));
        let fault = asked.number::<u32>("c").unwrap_err();
        assert!(fault.status == StatusCode::BAD_REQUEST && fault.what.contains("`c`"), "{fault:?}");
    }
}
