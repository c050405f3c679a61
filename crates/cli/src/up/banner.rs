//! What is said when the system is ready: for people, or for a program.

use anyhow::Context;

use crate::endpoints::Endpoints;
use crate::failure::Failure;

/// One line of JSON.
pub(super) fn json(endpoints: &Endpoints) -> Result<String, Failure> {
    Ok(serde_json::to_string(endpoints).context("cannot write the ready line")?)
}

/// Where everything is, and three commands to paste: ask, click, ask again.
pub(super) fn text(endpoints: &Endpoints, is_demo: bool) -> String {
    let Endpoints { http, ops, kafka, registry, redis, .. } = endpoints;
    let first = if is_demo {
        ask(http)
    } else {
        format!(
            "curl -s -X POST '{http}/v1/items:batch?wait=indexed' -H 'content-type: application/json' \
             -d '{{\"items\":[{{\"item_id\":\"p00001\",\"category\":\"tea\"}},{{\"item_id\":\"p00002\",\"category\":\"tea\"}},{{\"item_id\":\"p00003\",\"category\":\"books\"}}]}}'"
        )
    };
    format!(
        "\nUpnext is ready.\n\
         \x20 answers   {http}   (docs: {http}/docs)\n\
         \x20 probes    {ops}/readyz?verbose   {ops}/metrics\n\
         \x20 kafka     {kafka}   registry {registry}   redis {redis}\n\n\
         Try it: ask, click, ask again; the list changes.\n\
         \x20 {first}\n\
         \x20 curl -s -X POST '{http}/v1/events' -H 'content-type: application/json' \
         -d '{{\"events\":[{{\"type\":\"ItemClicked\",\"anonymous_id\":\"you\",\"session_id\":\"s1\",\"item_id\":\"p00001\"}}]}}'\n\
         \x20 {}\n\n\
         Ctrl-C stops it and keeps the data.",
        ask(http)
    )
}

fn ask(http: &str) -> String {
    format!(
        "curl -s -X POST '{http}/v1/recommendations' -H 'content-type: application/json' \
         -d '{{\"anonymous_id\":\"you\",\"session_id\":\"s1\",\"k\":5,\"fields\":[\"title\",\"category\"]}}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::Pids;

    fn endpoints() -> Endpoints {
        Endpoints {
            ready: true,
            http: "http://127.0.0.1:8080".to_owned(),
            ops: "http://127.0.0.1:9090".to_owned(),
            kafka: "127.0.0.1:9092".to_owned(),
            registry: "http://127.0.0.1:8081".to_owned(),
            redis: "redis://127.0.0.1:6379".to_owned(),
            pids: Pids::default(),
        }
    }

    #[test]
    fn the_banner_holds_three_commands_whose_bodies_are_json() {
        for is_demo in [true, false] {
            let text = text(&endpoints(), is_demo);
            let bodies: Vec<&str> = text
                .lines()
                .filter_map(|line| {
                    line.split_once("-d '").map(|(_, body)| body.trim_end_matches('\''))
                })
                .collect();
            assert_eq!(bodies.len(), 3, "{text}");
            for body in bodies {
                assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
            }
        }
    }
}
