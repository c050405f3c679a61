//! `upnext schema register`: the schemas of a directory into the registry.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use upnext_contract::compat::Level;
use upnext_contract::evolution::ContractSchema;

use super::subjects::Subjects;
use super::{check, place};
use crate::api::{Api, Reply};
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Register every schema that the registry does not have yet; exit 1 when it refuses one
///
/// A schema is registered after those it refers to. What stands there already keeps its id, so that it can be run
/// again at any time.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema register --dry-run
  upnext schema register
  upnext schema register --level full --set registry.url=http://127.0.0.1:8081")]
pub(super) struct RegisterArgs {
    /// Directory of schemas
    #[arg(long, default_value = "schemas", value_name = "DIR")]
    schemas: PathBuf,
    /// Set the level of each subject before, for example backward or full
    #[arg(long, value_parser = check::level)]
    level: Option<Level>,
    /// Say what would be done, and whether the registry would take it
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(settings: &Settings, args: &RegisterArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let contracts = place::of_directory(&args.schemas)?;
    let subjects = Subjects::of(&config);
    let api = Api::new(&Target::find(&config).registry()?);
    let mut writing = Writing { api, args, known: HashMap::new(), refused: 0 };
    for schema in &contracts.schemas {
        for (nth, subject) in subjects.all(schema).iter().enumerate() {
            let told = writing.one(schema, subject, nth == 0).await?;
            output::line(format!("{subject}: {told}"));
        }
    }
    Ok(if writing.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Writing<'a> {
    api: Api,
    args: &'a RegisterArgs,
    /// Where each file stands now, as others refer to it.
    known: HashMap<String, Value>,
    refused: usize,
}

impl Writing<'_> {
    async fn one(
        &mut self,
        schema: &ContractSchema,
        subject: &str,
        is_first: bool,
    ) -> Result<String, Failure> {
        let references: Vec<&Value> =
            schema.references.iter().filter_map(|path| self.known.get(path)).collect();
        let mut body = json!({ "schema": schema.text, "schemaType": "AVRO" });
        if !references.is_empty() {
            body["references"] = json!(references);
        }
        let told = if self.args.dry_run {
            self.would(subject, &body).await?
        } else {
            self.set_level(subject).await?;
            self.register(subject, &body).await?
        };
        if is_first && let Some(version) = self.version(subject, &body).await? {
            let reference =
                json!({ "name": schema.full_name, "subject": subject, "version": version });
            self.known.insert(schema.path.clone(), reference);
        }
        Ok(told)
    }

    /// The version of a subject that holds this very schema.
    async fn version(&self, subject: &str, body: &Value) -> Result<Option<u64>, Failure> {
        let reply = self.api.post(&format!("/subjects/{subject}"), body).await?;
        if reply.status.as_u16() == 404 {
            return Ok(None);
        }
        Ok(said(reply)?["version"].as_u64())
    }

    async fn would(&mut self, subject: &str, body: &Value) -> Result<String, Failure> {
        if let Some(version) = self.version(subject, body).await? {
            return Ok(format!("unchanged, version {version}"));
        }
        let path = format!("/compatibility/subjects/{subject}/versions/latest");
        let reply = self.api.post(&path, body).await?;
        if reply.status.as_u16() == 404 {
            return Ok("would be registered as version 1".to_owned());
        }
        if said(reply)?["is_compatible"] == true {
            return Ok("would be registered".to_owned());
        }
        self.refused += 1;
        Ok("would be refused: incompatible with its latest version".to_owned())
    }

    async fn register(&mut self, subject: &str, body: &Value) -> Result<String, Failure> {
        if let Some(version) = self.version(subject, body).await? {
            return Ok(format!("unchanged, version {version}"));
        }
        let reply = self.api.post(&format!("/subjects/{subject}/versions"), body).await?;
        if matches!(reply.status.as_u16(), 409 | 422) {
            self.refused += 1;
            return Ok(format!(
                "refused: {}",
                reply.body["message"].as_str().unwrap_or("no reason")
            ));
        }
        Ok(format!("registered as id {}", said(reply)?["id"]))
    }

    async fn set_level(&self, subject: &str) -> Result<(), Failure> {
        let Some(level) = self.args.level else { return Ok(()) };
        let body = json!({ "compatibility": level.name() });
        said(self.api.put(&format!("/config/{subject}"), &body).await?).map(drop)
    }
}

/// The body of a successful reply.
fn said(reply: Reply) -> Result<Value, Failure> {
    if reply.status.is_success() {
        return Ok(reply.body);
    }
    let message = reply.body["message"].as_str().unwrap_or("no message");
    Err(Failure::Other(anyhow::anyhow!("the registry answered {}: {message}", reply.status)))
}
