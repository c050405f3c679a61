//! How many threads the trainer's library uses: it asks the environment at every product, and where that is silent
//! it counts the machine's cores anew, which takes longer than the product.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLES: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Starts this very program over with both variables set, under the same pid. Returns when there is nothing to do.
///
/// A process may not change its own environment safely once it has threads; one that has just begun may be replaced.
pub(crate) fn settle() {
    let missing = missing(|name| std::env::var_os(name));
    let cores = std::thread::available_parallelism();
    let (false, Ok(program), Ok(cores)) = (missing.is_empty(), std::env::current_exe(), cores)
    else {
        return;
    };
    let variables = missing.into_iter().map(|name| (name, cores.to_string()));
    // It returns only if it failed; then training is slower, which is no reason to stop.
    let error = Command::new(program).args(std::env::args_os().skip(1)).envs(variables).exec();
    tracing::debug!(%error, "cannot start over with thread counts set");
}

fn missing(find: impl Fn(&str) -> Option<OsString>) -> Vec<&'static str> {
    VARIABLES.into_iter().filter(|name| find(name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_set_is_set() {
        assert_eq!(missing(|_| None), VARIABLES);
        assert_eq!(missing(|name| (name == VARIABLES[0]).then(OsString::new)), VARIABLES[1..]);
        assert!(missing(|_| Some(OsString::from("1"))).is_empty());
    }
}
