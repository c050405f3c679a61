//! What user states cost: `cost memory [USERS]` loads a crowd into a redis-server of its own, `cost reads [ROUNDS]`
//! reads users with histories of 10 to 100,000 events from one.

mod crowd;
mod memory;
mod reads;
mod store;

/// As the product allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: cost memory [USERS] | cost reads [ROUNDS]";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or_else(|| anyhow::anyhow!(USAGE))?;
    let size = arguments.next().map(|text| text.parse::<u64>()).transpose()?;
    match what.as_str() {
        "memory" => memory::run(size.unwrap_or(1_000_000)),
        "reads" => reads::run(size.unwrap_or(20_000)),
        _ => anyhow::bail!(USAGE),
    }
}

/// The value below which `share` percent of sorted ones lie.
fn percentile<T: Copy + Default>(sorted: &[T], share: usize) -> T {
    sorted.get(sorted.len().saturating_sub(1) * share / 100).copied().unwrap_or_default()
}
