//! One look at the metrics of all processes together.

use std::collections::BTreeMap;

/// Labels of one series, in order.
pub(super) type Labels = BTreeMap<String, String>;

/// Series by name: counters and buckets added up over processes, of gauges the largest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample(BTreeMap<String, BTreeMap<Labels, f64>>);

/// Buckets of a histogram: upper bound, and how many are not above it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Sample {
    /// Adds what one process says. What is no metric is left out.
    pub(super) fn add(&mut self, text: &str) {
        for (name, labels, value) in text.lines().filter_map(series) {
            let known = self.0.entry(name.to_owned()).or_default().entry(labels).or_insert(0.0);
            *known = if is_sum(name) { *known + value } else { known.max(value) };
        }
    }

    pub(super) fn series(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        self.0.get(name).into_iter().flatten().map(|(labels, value)| (labels, *value))
    }

    pub(super) fn value(&self, name: &str, labels: &Labels) -> f64 {
        self.0.get(name).and_then(|series| series.get(labels)).copied().unwrap_or(0.0)
    }

    /// The buckets of the histogram `name` whose other labels are these.
    pub(super) fn buckets(&self, name: &str, labels: &Labels) -> Buckets {
        let bucket = |(found, count): (&Labels, f64)| {
            let mut rest = found.clone();
            let bound = rest.remove("le")?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            (rest == *labels).then_some((bound, count))
        };
        let mut found: Vec<_> = self.series(&format!("{name}_bucket")).filter_map(bucket).collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        Buckets(found)
    }
}

impl Buckets {
    pub(super) fn since(&self, before: &Self) -> Self {
        let known = |at: usize| before.0.get(at).map_or(0.0, |(_, count)| *count);
        let grown = |(at, (bound, count)): (usize, &(f64, f64))| (*bound, count - known(at));
        Self(self.0.iter().enumerate().map(grown).collect())
    }

    pub(super) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value that `share` of all do not exceed, taken evenly within its bucket. `None` of nothing, or beyond the
    /// last bound.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let aim = share * self.count();
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count > below && *count >= aim {
                let within = lower + (bound - lower) * (aim - below) / (count - below);
                return within.is_finite().then_some(within);
            }
            (lower, below) = (*bound, *count);
        }
        None
    }
}

fn is_sum(name: &str) -> bool {
    ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
}

/// One line of the text format; `None` for comments and what is not understood.
fn series(line: &str) -> Option<(&str, Labels, f64)> {
    let (rest, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = rest.split_once('{') else {
        return Some((rest, Labels::new(), value));
    };
    Some((name, labelled(labels.strip_suffix('}')?)?, value))
}

fn labelled(text: &str) -> Option<Labels> {
    let mut labels = Labels::new();
    let mut left = text;
    while !left.is_empty() {
        let (name, rest) = left.split_once("=\"")?;
        let end = closing(rest)?;
        labels.insert(name.to_owned(), rest[..end].replace("\\\"", "\"").replace("\\\\", "\\"));
        left = rest[end + 1..].trim_start_matches(',');
    }
    Some(labels)
}

/// Where the quotation ends.
fn closing(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn counters_of_processes_add_up_and_gauges_do_not() {
        let mut sample = Sample::default();
        sample.add("# HELP x y\na_total{k=\"v\"} 2\ng{p=\"0\"} 7\nnonsense\n# EOF");
        sample.add("a_total{k=\"v\"} 3\ng{p=\"0\"} 5\na_total{k=\"w\"} 1\nplain_total 4");
        let expected = [
            ("a_total", labels(&[("k", "v")]), 5),
            ("a_total", labels(&[("k", "w")]), 1),
            ("g", labels(&[("p", "0")]), 7),
            ("plain_total", Labels::new(), 4),
            ("absent", Labels::new(), 0),
        ];
        for (name, labels, value) in expected {
            assert_eq!(format!("{}", sample.value(name, &labels)), value.to_string(), "{name}");
        }
    }

    #[test]
    fn labels_may_hold_anything() {
        let found = labelled(r#"a="x,y=\"1\"",b="\\""#).unwrap();
        assert_eq!(found, labels(&[("a", "x,y=\"1\""), ("b", "\\")]));
        assert_eq!(labelled("a=\"open"), None);
    }

    #[test]
    fn quantiles_are_of_what_came_between_two_looks() {
        let text = |low: u32, high: u32| {
            format!(
                "h_bucket{{le=\"0.1\",s=\"u\"}} {low}\nh_bucket{{le=\"0.2\",s=\"u\"}} {high}\nh_bucket{{le=\"+Inf\",s=\"u\"}} {high}"
            )
        };
        let buckets = |low, high| {
            let mut sample = Sample::default();
            sample.add(&text(low, high));
            sample.buckets("h", &labels(&[("s", "u")]))
        };
        let grown = buckets(110, 210).since(&buckets(100, 100));
        assert!((grown.count() - 110.0).abs() < 1e-9);
        assert!((grown.quantile(0.5).unwrap() - 0.145).abs() < 1e-9);
        assert!((grown.quantile(0.05).unwrap() - 0.055).abs() < 1e-9);
        assert_eq!(buckets(5, 5).since(&buckets(5, 5)).quantile(0.5), None);
    }
}
