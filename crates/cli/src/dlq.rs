//! `upnext dlq`: what the contract rejected, and why; and sending it back.

mod chosen;
mod look;
mod redrive;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use upnext_ingest::dlq::{DeadLetters, Place};
use upnext_kafka::KafkaError;

use crate::endpoints::Target;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::writer::unreachable;

use chosen::Chosen;
use redrive::RedriveArgs;

/// Look at dead letters, and send them back.
#[derive(Args, Debug)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    verb: DlqVerb,
}

#[derive(Debug, Subcommand)]
enum DlqVerb {
    /// List dead letters, the newest unless --oldest
    #[command(after_help = "Examples:
  upnext dlq ls
  upnext dlq ls --reason range --since 2h --limit 50
  upnext dlq ls --key u17 --oldest --format json

Each line begins with the place of the dead letter, by which `upnext dlq show` explains it.")]
    Ls {
        #[command(flatten)]
        chosen: Chosen,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// The oldest instead of the newest; reads no further than it must
        #[arg(long)]
        oldest: bool,
        /// One JSON object per line, or text
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Count dead letters by reason, producer, schema or hour
    #[command(after_help = "Examples:
  upnext dlq count
  upnext dlq count --by producer --since 1d
  upnext dlq count --by hour --reason unknown_schema_id --format json")]
    Count {
        #[command(flatten)]
        chosen: Chosen,
        #[arg(long, value_enum, default_value_t = By::Reason)]
        by: By,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Explain one dead letter: reason, place, the value as far as it can be decoded, hex, headers
    #[command(after_help = "Examples:
  upnext dlq show 2/1045
  upnext dlq show 2/1045 --format json

Exit code 1 when nothing stands there.")]
    Show {
        /// Its place on the dead-letter topic, as `upnext dlq ls` tells it
        #[arg(value_name = "PARTITION/OFFSET")]
        place: Place,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    Redrive(RedriveArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Reason,
    /// Header upnext.producer, producer or client.id, else the schema
    Producer,
    #[value(name = "schema_id", alias = "schema-id")]
    SchemaId,
    Hour,
}

pub(crate) async fn run(settings: &Settings, args: &DlqArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let target = Target::find(&config);
    let topic_prefix = config.kafka.topic_prefix.clone();
    let from = DeadLetters { brokers: target.brokers()?, topic_prefix };
    match &args.verb {
        DlqVerb::Ls { chosen, limit, oldest, format } => {
            look::list(&from, &chosen.filter()?, (*limit, *oldest), *format).await
        }
        DlqVerb::Count { chosen, by, format } => {
            look::count(&from, &chosen.filter()?, *by, *format).await
        }
        DlqVerb::Show { place, format } => look::show(&from, &target, *place, *format).await,
        DlqVerb::Redrive(args) => redrive::run(from, &config, args).await,
    }
}

/// A broker that does not answer, or a topic that is not there.
fn unread(error: KafkaError) -> Failure {
    unreachable(error)
}
