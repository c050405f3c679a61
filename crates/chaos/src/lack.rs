//! Which guard a daemon lacks, by its name on the command line.

use upnext_features::Weakened;
use upnext_ingest::Weakened as WeakenedIngest;

/// What the negative controls take out: one guard, of one daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Nothing,
    Features(Weakened),
    Ingest(WeakenedIngest),
}

impl Lack {
    /// Those that lack something.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let features = Weakened::ALL.into_iter().map(Self::Features);
        features.chain(WeakenedIngest::ALL.into_iter().map(Self::Ingest))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => Weakened::None.name(),
            Self::Features(weakened) => weakened.name(),
            Self::Ingest(weakened) => weakened.name(),
        }
    }

    /// The one of that name.
    ///
    /// # Errors
    /// Which names there are.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let all = || std::iter::once(Self::Nothing).chain(Self::all());
        all().find(|lack| lack.name() == name).ok_or_else(|| {
            let names: Vec<&str> = all().map(Self::name).collect();
            format!("one of {}", names.join(", "))
        })
    }

    pub(crate) fn of_features(self) -> Weakened {
        match self {
            Self::Features(weakened) => weakened,
            Self::Nothing | Self::Ingest(_) => Weakened::None,
        }
    }

    pub(crate) fn of_ingest(self) -> WeakenedIngest {
        match self {
            Self::Ingest(weakened) => weakened,
            Self::Nothing | Self::Features(_) => WeakenedIngest::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lack_has_its_name() {
        for lack in std::iter::once(Lack::Nothing).chain(Lack::all()) {
            assert_eq!(Lack::named(lack.name()), Ok(lack));
        }
        let refused = Lack::named("all");
        assert!(refused.is_err_and(|message| message.contains("commits-before-delivery")));
    }
}
