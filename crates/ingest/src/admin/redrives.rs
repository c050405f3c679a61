//! `POST /admin/dlq:redrive` starts a redrive, `/admin/dlq/redrives/{id}` tells how it goes; one at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use upnext_common::drain::Drain;
use upnext_http::axum::Json;
use upnext_http::axum::extract::{Path, State};
use upnext_http::axum::http::{StatusCode, header};
use upnext_http::axum::response::{IntoResponse, Response};
use upnext_http::{JsonBody, Problem};
use uuid::Uuid;

use super::Admin;
use super::letters::senseless;
use crate::dlq::{Filter, Progress, Redrive, Report};

/// Redrives that are remembered, the newest.
const REMEMBERED_MAX: usize = 16;

/// The redrives of this process, the newest last.
#[derive(Default)]
pub(super) struct Jobs(Mutex<VecDeque<Arc<Job>>>);

struct Job {
    id: String,
    stop: Drain,
    state: Mutex<JobState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Running,
    Done,
    /// Stopped before its end; what it sent stands.
    Stopped,
    Failed,
}

#[derive(Clone, Debug, Serialize)]
struct JobState {
    id: String,
    status: Status,
    progress: Progress,
    report: Option<Report>,
    error: Option<String>,
}

/// Body of `POST /admin/dlq:redrive`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    filters: Filter,
    dry_run: bool,
    /// Records a second.
    rate: Option<u32>,
    /// Records at most.
    max: Option<u64>,
    include_parked: bool,
}

impl Jobs {
    /// `None` while another one runs.
    fn begin(&self, drain: &Drain) -> Option<Arc<Job>> {
        let mut jobs = self.0.lock();
        if jobs.iter().any(|job| job.state.lock().status == Status::Running) {
            return None;
        }
        let id = Uuid::now_v7().to_string();
        let state = JobState {
            id: id.clone(),
            status: Status::Running,
            progress: Progress::default(),
            report: None,
            error: None,
        };
        let job = Arc::new(Job { id, stop: drain.child(), state: Mutex::new(state) });
        if jobs.len() == REMEMBERED_MAX {
            jobs.pop_front();
        }
        jobs.push_back(Arc::clone(&job));
        Some(job)
    }

    fn find(&self, id: &str) -> Result<Arc<Job>, Problem> {
        let found = self.0.lock().iter().find(|job| job.id == id).cloned();
        found.ok_or_else(|| Problem::not_found(format!("no redrive {id} in this process")))
    }
}

pub(super) async fn start(
    State(admin): State<Arc<Admin>>,
    JsonBody(wanted): JsonBody<Wanted>,
) -> Result<Response, Problem> {
    wanted.filters.check().map_err(|error| senseless("/filters", &error))?;
    if wanted.rate == Some(0) {
        let problem = Problem::bad_request("out_of_range", "a rate of 0 sends nothing");
        return Err(problem.at("/rate", "a rate of 0 sends nothing", "leave it out for no limit"));
    }
    let Some(job) = admin.jobs.begin(&admin.drain) else {
        let detail = "another redrive runs in this process";
        return Err(Problem::new(StatusCode::CONFLICT, "redrive_running", detail));
    };
    let redrive = Redrive {
        from: admin.from.clone(),
        filter: wanted.filters,
        dry_run: wanted.dry_run,
        include_parked: wanted.include_parked,
        rate_max: wanted.rate,
        records_max: wanted.max,
        clock: admin.clock.clone(),
    };
    let state = job.state.lock().clone();
    let location = format!("/admin/dlq/redrives/{}", job.id);
    tokio::spawn(run(redrive, job));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(state)).into_response())
}

async fn run(redrive: Redrive, job: Arc<Job>) {
    info!(id = job.id, dry_run = redrive.dry_run, "redrive begins");
    let mut tell = |progress: &Progress| job.state.lock().progress = progress.clone();
    let outcome = redrive.run(&job.stop, &mut tell).await;
    let mut state = job.state.lock();
    match outcome {
        Ok(report) => {
            info!(id = job.id, redriven = report.redriven, "redrive ends");
            state.status = if report.complete { Status::Done } else { Status::Stopped };
            state.report = Some(report);
        }
        Err(error) => {
            warn!(id = job.id, %error, "redrive failed");
            state.status = Status::Failed;
            state.error = Some(format!("{error}; run it again, nothing is sent twice"));
        }
    }
}

pub(super) async fn progress(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let state = admin.jobs.find(&id)?.state.lock().clone();
    Ok(Json(state).into_response())
}

/// Ends it after its open transaction.
pub(super) async fn stop(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    admin.jobs.find(&id)?.stop.start();
    Ok(StatusCode::ACCEPTED)
}
