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

#[cfg(test)]
mod tests {
    use upnext_common::clock::Clock;
    use upnext_common::deadline::Deadline;

    use super::*;
    use crate::admission::Admission;
    use crate::ask::RecommendationsRequest;

    #[track_caller]
    fn check(want: Want, expected: Value) {
        let admitted = Clock::manual(0).instant();
        let deadline = Deadline::after(admitted, Duration::from_secs(1));
        let admission = Admission { admitted, deadline, now_ms: 0, forced: None };
        let request = RecommendationsRequest { k: Some(3), ..RecommendationsRequest::default() };
        let query = query(&Question { request, want, admission });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&query[name], value, "{name}");
        }
        assert_eq!((&query["k"], &query["surface"]), (&json!(3), &json!("home")));
    }

    #[test]
    fn the_logged_query_says_which_call_it_was() {
        check(Want::Recommend, json!({"call": "recommendations"}));
        check(Want::Trending, json!({"call": "trending"}));
        check(Want::Similar("a".to_owned()), json!({"call": "similar", "item_id": "a"}));
        let rank = Want::Rank(vec!["a".to_owned(), "b".to_owned()]);
        check(rank, json!({"call": "rank", "items": ["a", "b"]}));
    }
}
