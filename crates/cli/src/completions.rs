//! `upnext completions`: what a shell needs to complete verbs and options.

use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Cli;

/// Print completions for a shell.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext completions bash > ~/.local/share/bash-completion/completions/upnext
  upnext completions zsh > ~/.zfunc/_upnext
  upnext completions fish > ~/.config/fish/completions/upnext.fish")]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> ExitCode {
    clap_complete::generate(args.shell, &mut Cli::command(), "upnext", &mut io::stdout());
    ExitCode::SUCCESS
}
