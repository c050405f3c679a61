//! Who may use whom, and who owns which external dependency, with the reason for each.

use super::Complaint;
use super::manifest::Manifest;

/// Crate → the crates of the house it may use. `testkit` is for tests and may be a dev-dependency of anyone.
#[rustfmt::skip]
const EDGES: [(&str, &[&str]); 20] = [
    ("common", &[]),
    ("contract", &["common"]),
    ("kafka", &["common"]),
    ("http", &["common"]),
    ("store", &["common"]),
    ("state", &["common"]),
    ("kernels", &[]),
    ("index", &["kernels"]),
    ("model", &["common", "state", "kernels"]),
    ("recommend", &["common", "state", "model", "index"]),
    ("ingest", &["common", "contract", "kafka", "http"]),
    ("features", &["common", "contract", "kafka", "http", "store", "state"]),
    ("serve", &["common", "contract", "kafka", "http", "store", "state", "model", "recommend"]),
    ("train", &["common", "contract", "kafka", "state", "model", "index", "recommend"]),
    ("broker", &["common"]),
    ("registry", &["common", "contract", "http"]),
    ("cli", &["*"]),
    ("testkit", &["*"]),
    ("chaos", &["*"]),
    ("xtask", &[]),
];

/// Crate → the crates that its tests run beside it, where one daemon alone shows nothing.
#[rustfmt::skip]
const EDGES_OF_TESTS: [(&str, &[&str]); 3] = [
    // Whole topics, groups and rebalances against a broker that speaks the protocol.
    ("kafka", &["broker"]),
    // An event that goes in changes the next answer: the loop closes through both other daemons.
    ("serve", &["ingest", "features"]),
    // The example that measures reads does it by the reader that serving has.
    ("state", &["store"]),
];

/// An external dependency: who may use it (`*`: anyone), and why it is there.
struct External(&'static str, &'static [&'static str], &'static str);

/// Heavy ones have one owner. A new dependency, or a new user of an owned one, is an edit here, with its reason.
#[rustfmt::skip]
const EXTERNALS: &[External] = &[
    External("anyhow", &["cli", "chaos"], "errors at a top level that only prints them"),
    External("apache-avro", &["contract"], "decoding of Avro by writer and reader schema"),
    External("arc-swap", &["serve"], "the immutable snapshot, swapped without a lock"),
    External("axum", &["http"], "routing and extraction"),
    External("bytes", &["*"], "record values and bodies shared without copies"),
    External("candle-core", &["model"], "the trainer's tensors"),
    External("candle-nn", &["model"], "the trainer's losses and optimisers"),
    External("clap", &["cli", "chaos"], "the command line"),
    External("clap_complete", &["cli"], "completions for shells"),
    External("crc32c", &["broker"], "checksums of record batches"),
    External("flate2", &["train", "broker"], "events and items in .gz files; batches unpacked with a bound"),
    External("futures", &["http", "serve", "store"], "streams and shared futures of client libraries; several nodes asked at once"),
    External("http-body-util", &["http", "cli"], "bodies with a limit; the command line's HTTP client"),
    External("hyper", &["http", "cli"], "HTTP/1; the command line's HTTP client"),
    External("hyper-util", &["http", "cli"], "the accept loop; the command line's HTTP client"),
    External("indicatif", &["cli"], "progress bars"),
    External("kafka-protocol", &["broker"], "the wire format of Kafka"),
    External("lz4", &["broker"], "batches unpacked with a bound"),
    External("miette", &["cli"], "a configuration error shown where it stands"),
    External("mimalloc", &["cli"], "the global allocator"),
    External("parking_lot", &["*"], "locks without poisoning"),
    External("prometheus-client", &["common"], "the closed list of metrics"),
    External("rand", &["model", "serve", "cli"], "seeded sampling, jitter, the crowd"),
    External("rdkafka", &["kafka"], "the Kafka client"),
    External("redis", &["store"], "the online store's client"),
    External("reqwest", &["contract"], "questions to the registry, with bounded answers and redirects"),
    External("safetensors", &["model"], "weights on disk"),
    External("schemars", &["common"], "the configuration as JSON Schema, for editors"),
    External("serde", &["*"], "what is read and written as JSON and TOML"),
    External("serde-saphyr", &["contract"], "contract unit tests in YAML, with the line of each case"),
    External("serde_json", &["*"], "JSON"),
    External("serde_path_to_error", &["http"], "the pointer of a field that does not fit"),
    External("sha2", &["model"], "checksums of artifacts"),
    External("snap", &["broker"], "batches unpacked with a bound"),
    External("tempfile", &["cli", "testkit", "chaos"], "data directories of private runs"),
    External("thiserror", &["*"], "one error enum per module boundary"),
    External("tokio", &["*"], "the runtime"),
    External("tokio-util", &["*"], "cancellation: the drain"),
    External("toml", &["common", "contract", "cli"], "configuration and rules"),
    External("tower", &["http"], "layers around the router"),
    External("tracing", &["*"], "structured logs"),
    External("tracing-subscriber", &["common"], "the process-wide log subscriber"),
    External("utoipa", &["http"], "the OpenAPI document"),
    External("utoipa-swagger-ui", &["http"], "the docs page, vendored: no outside requests"),
    External("uuid", &["*"], "event and decision ids"),
    External("zstd", &["broker"], "batches unpacked with a bound"),
];

/// What only tests use.
#[rustfmt::skip]
const FOR_TESTS: &[External] = &[
    External("anyhow", &["state", "train"], "examples that only print errors"),
    External("flate2", &["model"], "reads the gold sets in examples"),
    External("insta", &["*"], "snapshots of verdicts and messages"),
    External("mimalloc", &["ingest", "features", "state"], "the examples that measure allocate as the product does"),
    External("proptest", &["*"], "windows, codecs and indexes against the naive version"),
    External("rdkafka", &["broker", "ingest"], "the real client against the embedded broker; a mock broker that refuses"),
    External("tempfile", &["*"], "directories that end with the test"),
    External("wiremock", &["contract"], "a registry that misbehaves"),
];

pub(crate) fn check(manifest: &Manifest, found: &mut Vec<Complaint>) {
    let place = format!("{}/Cargo.toml", manifest.directory());
    let mut complain = |what: String| found.push(Complaint { place: place.clone(), what });
    if !manifest.has_workspace_lints {
        complain("`[lints] workspace = true` is missing".to_owned());
    }
    let Some((_, may_use)) = EDGES.iter().find(|(name, _)| *name == manifest.name) else {
        complain("the crate is not in the table of xtask/src/tidy/table.rs".to_owned());
        return;
    };
    for dependency in &manifest.dependencies {
        let is_fine = match dependency.strip_prefix("upnext-") {
            Some(used) => allows(may_use, used) && used != "testkit",
            None => is_listed(EXTERNALS, dependency, &manifest.name),
        };
        if !is_fine {
            complain(format!("may not use `{dependency}`: {}", rule(dependency)));
        }
    }
    for dependency in &manifest.dev_dependencies {
        let is_fine = match dependency.strip_prefix("upnext-") {
            Some(used) => {
                let for_tests = EDGES_OF_TESTS.iter().find(|(name, _)| *name == manifest.name);
                used == "testkit"
                    || allows(may_use, used)
                    || for_tests.is_some_and(|(_, may_use)| allows(may_use, used))
            }
            None => [EXTERNALS, FOR_TESTS]
                .iter()
                .any(|table| is_listed(table, dependency, &manifest.name)),
        };
        if !is_fine {
            complain(format!("its tests may not use `{dependency}`: {}", rule(dependency)));
        }
    }
}

/// What the table says about a dependency that was refused.
fn rule(dependency: &str) -> String {
    match EXTERNALS.iter().find(|External(name, _, _)| *name == dependency) {
        Some(External(_, users, why)) => format!("it is for {} ({why})", users.join(", ")),
        None => "not in xtask/src/tidy/table.rs".to_owned(),
    }
}

/// An entry that nobody uses is stale, and so is a user who does not use it.
pub(crate) fn check_unused(manifests: &[Manifest], found: &mut Vec<Complaint>) {
    for External(name, users, _) in EXTERNALS {
        let uses = |manifest: &Manifest| manifest.dependencies.iter().any(|used| used == name);
        let stale = |user: &&&str| {
            !manifests
                .iter()
                .any(|manifest| (**user == "*" || manifest.name == **user) && uses(manifest))
        };
        for user in users.iter().filter(stale) {
            let what = format!("`{name}` is listed for `{user}`, which does not use it");
            found.push(Complaint { place: "xtask/src/tidy/table.rs".to_owned(), what });
        }
    }
}

fn allows(users: &[&str], name: &str) -> bool {
    users.iter().any(|user| *user == "*" || *user == name)
}

fn is_listed(table: &[External], dependency: &str, user: &str) -> bool {
    table.iter().any(|External(name, users, _)| *name == dependency && allows(users, user))
}
