//! After the answer: the decision as it is logged.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use upnext_common::decision::{DecidedItem, Decision};
use upnext_model::row;

use crate::answer::Answer;
use crate::engine::{Question, Want};
use crate::hydrate::Hydrated;

/// The feature spec of this build; made once, it never changes.
static FEATURE_SPEC: LazyLock<String> = LazyLock::new(row::spec_hash);

/// The decision that an answer was.
pub(crate) fn decision(
    question: &Question,
    hydrated: &Hydrated,
    answer: Answer,
    (candidates, took): (Vec<DecidedItem>, Duration),
) -> Decision {
    let request = &question.request;
    Decision {
        decision_id: answer.decision_id,
        decided_at_ms: question.admission.now_ms,
        user_id: request.user_id.clone(),
        anonymous_id: request.anonymous_id.clone(),
        session_id: request.session_id.clone(),
        surface: request.surface.clone(),
        query: query(question).to_string(),
        tier: answer.tier,
        reasons: answer.reasons,
        model: answer.model,
        feature_spec: FEATURE_SPEC.clone(),
        features_as_of_ms: answer.features_as_of_ms,
        user_state: hydrated.state.as_ref().map(|state| state.encode()).unwrap_or_default(),
        took_us: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
        candidates,
    }
}

/// The request as it was understood, and which call it came by.
fn query(question: &Question) -> Value {
    let mut query = json!(question.request);
    let (call, rest) = match &question.want {
        Want::Recommend => ("recommendations", Value::Null),
        Want::Rank(items) => ("rank", json!({"items": items})),
        Want::Similar(item_id) => ("similar", json!({"item_id": item_id})),
        Want::Trending => ("trending", Value::Null),
    };
    query["call"] = call.into();
    if let (Value::Object(query), Value::Object(rest)) = (&mut query, rest) {
        query.extend(rest);
    }
    query
}
