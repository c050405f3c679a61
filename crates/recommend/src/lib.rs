//! One answer as a pure function of query, user state and snapshot.
