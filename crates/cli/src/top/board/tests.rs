//! Boards of metrics that a process would serve.

use upnext_common::metrics::{
    AnswerLabels, EventLabels, FreshnessLabels, LagLabels, Metrics, StageLabels, TierLabels,
};

use super::*;

fn sample(metrics: &Metrics) -> Sample {
    let mut sample = Sample::default();
    sample.add(&metrics.render());
    sample
}

fn happen(metrics: &Metrics, events: u64) {
    let accepted = EventLabels { verdict: "accepted", reason: "none" };
    metrics.events.get_or_create(&accepted).inc_by(events);
    let users = StageLabels { stage: "users" };
    metrics.state.applied_records.get_or_create(&users).inc_by(events);
    metrics.state.flush_entries.get_or_create(&users).observe(events as f64);
    metrics.state.state_bytes.get_or_create(&users).observe(400.0);
    metrics.flushed_states.get_or_create(&users).inc_by(events / 2);
    metrics.flush_duration.get_or_create(&users).observe(0.004);
    let fresh = FreshnessLabels { at: "store", since: "event" };
    for _ in 0..events {
        metrics.state.freshness.get_or_create(&fresh).observe(0.02);
    }
    let full = TierLabels { tier: "full" };
    metrics.answer_duration.get_or_create(&full).observe(0.003);
    metrics.answers.get_or_create(&AnswerLabels { tier: "full", reason: "none" }).inc();
}

fn board() -> Board {
    let metrics = Metrics::new();
    happen(&metrics, 1_000);
    let before = sample(&metrics);
    happen(&metrics, 40);
    for (partition, seconds) in [(0, 0.5), (1, 2.25)] {
        let lag = LagLabels { topic: "events.valid.v1".to_owned(), partition };
        metrics.consumer_lag_seconds.get_or_create(&lag).set(seconds);
    }
    Board::between(&before, &sample(&metrics), Duration::from_secs(2))
}

#[test]
fn rates_are_of_what_came_between_two_looks() {
    let json = board().json();
    assert_eq!(json["events_per_s"]["accepted"], 20.0);
    let users = &json["stages"][0];
    assert_eq!(users["stage"], "users");
    assert_eq!((&users["records_per_s"], &users["flushes_per_s"]), (&json!(20.0), &json!(0.5)));
    assert_eq!(
        (&users["entries_per_flush"], &users["bytes_per_state"]),
        (&json!(40.0), &json!(400.0))
    );
    assert_eq!(json["freshness"][0]["of"], "store since event");
    let p50 = json["freshness"][0]["p50_ms"].as_f64().unwrap();
    assert!(p50 > 10.0 && p50 <= 25.0, "{p50}");
    assert_eq!(
        (&json["answers"][0]["of"], &json["answers"][0]["per_s"]),
        (&json!("full"), &json!(0.5))
    );
    assert_eq!(json["lag"].as_array().unwrap().len(), 2);
}

#[test]
fn the_table_names_the_partition_that_is_behind_most() {
    let text = board().text();
    assert!(text.contains("accepted 20/s"), "{text}");
    let lag = text.lines().find(|line| line.starts_with("events.valid.v1")).unwrap();
    assert_eq!(lag.split_whitespace().collect::<Vec<_>>(), ["events.valid.v1", "2.25", "1"]);
    assert!(text.lines().any(|line| line.starts_with("store since event")), "{text}");
}

#[test]
fn a_system_that_did_nothing_yet_has_a_board_too() {
    let nothing = sample(&Metrics::new());
    let board = Board::between(&nothing, &nothing, Duration::from_secs(1));
    assert!(board.text().contains("none yet"));
    assert_eq!(board.json()["answers"], json!([]));
}
