//! `cargo xtask chaos`: builds the product and the harness, then runs the harness.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Options of ours; everything else goes to the harness.
const DEBUG: &str = "--debug";
/// As `upnext` says it: something that is needed cannot be had.
const EXIT_UNAVAILABLE: u8 = 69;

/// Gives the exit code of the harness.
///
/// # Errors
/// When a program cannot be started.
pub(crate) fn run(root: &Path, arguments: Vec<String>) -> io::Result<ExitCode> {
    let (ours, arguments): (Vec<_>, Vec<_>) =
        arguments.into_iter().partition(|argument| argument == DEBUG);
    let is_debug = !ours.is_empty();
    let mut build = Command::new(cargo());
    build.current_dir(root).args(["build", "--quiet", "-p", "upnext-cli", "-p", "upnext-chaos"]);
    if !is_debug {
        build.arg("--release");
    }
    if !build.status()?.success() {
        return Ok(ExitCode::from(EXIT_UNAVAILABLE));
    }
    let harness = binary(is_debug)?;
    let status = Command::new(harness).args(arguments).status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The cargo that runs this.
fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Beside this program's own directory: `target/debug/xtask` is always a debug build.
fn binary(is_debug: bool) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent);
    let target = target.ok_or_else(|| io::Error::other("xtask runs outside a target directory"))?;
    Ok(target.join(if is_debug { "debug" } else { "release" }).join("upnext-chaos"))
}
