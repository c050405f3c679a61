//! `upnext config`: check the configuration, print what is in force, print its schema.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use upnext_common::config::Config;

use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Check or print the configuration.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext config validate
  upnext config show --set serve.deadline_ms=100
  upnext config schema > upnext.schema.json")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Exit 0 when the configuration is good, else 78 with file, line and column
    #[command(after_help = "Example:\n  upnext config validate --config production.toml")]
    Validate,
    /// Print every key with the value in force
    #[command(after_help = "Example:\n  UPNEXT_SERVE__DEADLINE_MS=100 upnext config show")]
    Show,
    /// Print the JSON Schema of the configuration file
    #[command(after_help = "Example:\n  upnext config schema > upnext.schema.json")]
    Schema,
}

pub(crate) fn run(settings: &Settings, args: &ConfigArgs) -> Result<ExitCode, Failure> {
    match args.verb {
        ConfigVerb::Validate => {
            settings.load()?;
            let from = settings.file().map_or_else(
                || "the defaults are in force".to_owned(),
                |path| format!("{} is good", path.display()),
            );
            output::line(from);
        }
        ConfigVerb::Show => output::line(shown(&settings.load()?)?.trim_end()),
        ConfigVerb::Schema => {
            let text = serde_json::to_string_pretty(&Config::json_schema())
                .context("cannot write the schema")?;
            output::line(text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration as TOML; keys without a value are left out, passwords in URLs masked.
pub(crate) fn shown(config: &Config) -> Result<String, Failure> {
    let mut masked = config.clone();
    for url in [&mut masked.redis.url, &mut masked.registry.url] {
        *url = url.as_deref().map(mask);
    }
    Ok(toml::to_string(&masked).context("cannot write the configuration")?)
}

/// `redis://user:secret@host` → `redis://user:***@host`.
fn mask(url: &str) -> String {
    let masked = || {
        let (scheme, rest) = url.split_once("://")?;
        let (credentials, host) = rest.rsplit_once('@')?;
        let user = credentials.split_once(':').map_or("", |(user, _)| user);
        Some(format!("{scheme}://{user}:***@{host}"))
    };
    masked().unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back_as_the_same_configuration() {
        let config = Config::default();
        let back: Config = toml::from_str(&shown(&config).unwrap()).unwrap();
        assert_eq!(back, config);
    }

    #[test]
    fn secrets_are_masked() {
        let mut config = Config::default();
        config.redis.url = Some("redis://me:pass@host:6379".to_owned());
        config.registry.url = Some("http://host:8081".to_owned());
        let text = shown(&config).unwrap();
        assert!(text.contains("redis://me:***@host:6379") && !text.contains("pass"), "{text}");
        assert!(text.contains("http://host:8081"));
    }
}
