//! What a caller gets: the answer as it is written, and the stages it went through.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use upnext_common::tier::{Reason, Tier};
use upnext_http::axum::Json;
use upnext_http::axum::http::{HeaderName, HeaderValue};
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::utoipa;
use upnext_http::utoipa::ToSchema;

/// One answer, in the shape that all answering calls share.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Answer {
    /// uuid v7; send it back as `decision_id` of the events that follow from this answer.
    pub(crate) decision_id: String,
    /// Best first.
    pub(crate) items: Vec<AnsweredItem>,
    /// The rung of the ladder: `full`, `session`, `trending` or `static`.
    #[schema(value_type = String, example = "full")]
    pub(crate) tier: Tier,
    /// Whether a healthy system would have answered from another rung.
    pub(crate) degraded: bool,
    /// Why the answer is not from a higher rung.
    #[schema(value_type = Vec<String>)]
    pub(crate) reasons: Vec<Reason>,
    /// Time of the newest event of this user that the answer knew; null when it knew none.
    pub(crate) features_as_of_ms: Option<i64>,
    /// Id of the artifact in use; null when there is none.
    pub(crate) model: Option<String>,
    /// Always null until experiments exist.
    pub(crate) experiment: Option<String>,
    pub(crate) took_ms: f64,
}

/// One item of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AnsweredItem {
    pub(crate) item_id: String,
    /// From 1.
    pub(crate) rank: u32,
    /// Comparable within one answer only.
    pub(crate) score: f32,
    /// Which source brought it in first.
    pub(crate) source: String,
    /// The catalogue fields that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    pub(crate) meta: Option<BTreeMap<String, Value>>,
    /// The feature row, by column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explain: Option<BTreeMap<String, f32>>,
}

/// How long the stages of an answer took; what did not happen is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stages {
    pub(crate) hydrate: Option<Duration>,
    pub(crate) queue: Option<Duration>,
    pub(crate) compute: Option<Duration>,
    pub(crate) total: Duration,
}

impl Stages {
    /// Name and duration of each stage that happened.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let stages = [("hydrate", self.hydrate), ("queue", self.queue), ("compute", self.compute)];
        stages.into_iter().filter_map(|(name, took)| Some((name, took?)))
    }

    /// The value of the `Server-Timing` header, milliseconds.
    fn server_timing(&self) -> String {
        let mut text = String::new();
        for (name, took) in self.named() {
            text.push_str(&format!("{name};dur={:.3}, ", milliseconds(took)));
        }
        text.push_str(&format!("total;dur={:.3}", milliseconds(self.total)));
        text
    }
}

pub(crate) fn milliseconds(took: Duration) -> f64 {
    // Whole microseconds: what is below says nothing.
    took.as_micros() as f64 / 1_000.0
}

/// The response of an answering call.
pub(crate) fn respond(answer: &Answer, stages: &Stages) -> Response {
    let mut response = Json(answer).into_response();
    if let Ok(value) = HeaderValue::from_str(&stages.server_timing()) {
        response.headers_mut().insert(HeaderName::from_static("server-timing"), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timing_names_the_stages_that_happened() {
        let stages = Stages {
            hydrate: Some(Duration::from_micros(1_234)),
            total: Duration::from_millis(2),
            ..Stages::default()
        };
        assert_eq!(stages.server_timing(), "hydrate;dur=1.234, total;dur=2.000");
    }

    #[test]
    fn an_answer_has_exactly_the_documented_keys() {
        let item = AnsweredItem {
            item_id: "a".to_owned(),
            rank: 1,
            score: 0.5,
            source: "trending".to_owned(),
            meta: None,
            explain: None,
        };
        let answer = Answer {
            decision_id: "d".to_owned(),
            items: vec![item],
            tier: Tier::Trending,
            degraded: true,
            reasons: vec![Reason::FeaturesTimeout],
            features_as_of_ms: None,
            model: None,
            experiment: None,
            took_ms: 0.25,
        };
        let expected = serde_json::json!({
            "decision_id": "d",
            "items": [{"item_id": "a", "rank": 1, "score": 0.5, "source": "trending"}],
            "tier": "trending", "degraded": true, "reasons": ["features_timeout"],
            "features_as_of_ms": null, "model": null, "experiment": null, "took_ms": 0.25,
        });
        assert_eq!(serde_json::to_value(&answer).unwrap(), expected);
    }
}
