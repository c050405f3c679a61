//! How we listen: accept loop with limits and drain, problem+json, probes, metrics, docs page.
