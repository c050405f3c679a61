//! House keeping: `cargo xtask tidy`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod tidy;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy";
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("tidy"), None) => run_tidy(),
        (Some("--help" | "-h"), None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn run_tidy() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match tidy::complaints(&root) {
        Ok(found) if found.is_empty() => ExitCode::SUCCESS,
        Ok(found) => {
            for complaint in &found {
                eprintln!("{complaint}");
            }
            eprintln!("{} found", found.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the tree cannot be read: {error}");
            ExitCode::FAILURE
        }
    }
}
