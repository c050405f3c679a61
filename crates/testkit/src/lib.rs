//! What tests start: redis-server, broker, registry, a fault proxy; and a seeded crowd.
