//! Histograms as nodes publish them. The bench of finality reads them with this file too.

use std::collections::BTreeMap;

/// A histogram read from metrics pages: upper bound in seconds → count up to it, over all pages.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    /// Bounds in microseconds, so that they order.
    pub(crate) counts: BTreeMap<u64, u64>,
}

impl Histogram {
    /// Adds the histogram `name` of a page in the format of OpenMetrics.
    pub(crate) fn add(&mut self, page: &str, name: &str) {
        let prefix = format!("{name}_bucket{{le=\"");
        for line in page.lines() {
            let parsed = line.strip_prefix(&prefix).and_then(|rest| {
                let (bound, rest) = rest.split_once("\"}")?;
                let bound = match bound {
                    "+Inf" => u64::MAX,
                    _ => micros(bound.parse().ok()?),
                };
                Some((bound, rest.split_whitespace().next()?.parse::<u64>().ok()?))
            });
            if let Some((bound, count)) = parsed {
                let sum = self.counts.entry(bound).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }

    /// How many values there are.
    pub(crate) fn count(&self) -> u64 {
        self.counts.values().next_back().copied().unwrap_or(0)
    }

    /// The value in milliseconds below which `share` of the values lie, taken to be spread evenly within a bucket.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let wanted = share * real(self.count());
        let (mut low, mut below) = (0_u64, 0_u64);
        for (bound, count) in &self.counts {
            if real(*count) >= wanted && *count > below {
                if *bound == u64::MAX {
                    return real(low) / 1_000.0;
                }
                let inside = (wanted - real(below)) / real(count.saturating_sub(below));
                return (real(low) + inside * real(bound.saturating_sub(low))) / 1_000.0;
            }
            (low, below) = (*bound, *count);
        }
        0.0
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts and microseconds far below 2⁵³")]
const fn real(number: u64) -> f64 {
    number as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounds of a histogram are positive and small"
)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1_000_000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_several_pages_add_up() {
        let page = "\
# TYPE t histogram
t_sum 0.5
t_bucket{le=\"0.001\"} 0
t_bucket{le=\"0.002\"} 4
t_bucket{le=\"0.004\"} 5
t_bucket{le=\"+Inf\"} 5
other_bucket{le=\"0.001\"} 9
# EOF";
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile_ms(0.5), 0.0);
        histogram.add(page, "t");
        histogram.add(page, "t");
        assert_eq!(histogram.count(), 10);
        assert_eq!(histogram.percentile_ms(0.4), 1.5);
        assert_eq!(histogram.percentile_ms(0.9), 3.0);
        assert_eq!(histogram.percentile_ms(1.0), 4.0);
    }
}
