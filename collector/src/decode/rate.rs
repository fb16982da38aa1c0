//! The sampling rate a record tells, from whichever elements it tells it with.

use super::value::float;
use super::wire::uint;

/// Octets of the elements a rate is told with; empty where a record has none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Announced<'a> {
    /// samplingInterval (34) or samplerRandomInterval (50).
    pub(crate) rate: &'a [u8],
    /// samplingPacketInterval (305) and samplingPacketSpace (306).
    pub(crate) interval: &'a [u8],
    pub(crate) space: &'a [u8],
    /// samplingSize (309) and samplingPopulation (310).
    pub(crate) size: &'a [u8],
    pub(crate) population: &'a [u8],
    /// samplingProbability (311).
    pub(crate) probability: &'a [u8],
}

impl Announced<'_> {
    /// Packets one sampled packet stands for.
    pub(crate) fn rate(&self) -> Option<i64> {
        let number = |octets| i64::try_from(uint(octets)?).ok().filter(|&value| value > 0);
        if let Some(rate) = number(self.rate) {
            return Some(rate);
        }
        if let Some(interval) = number(self.interval) {
            // Nokia sends 1 of (1 + 999); Cisco's NCS sends 305 alone and means the rate.
            return Some(match number(self.space) {
                Some(space) => ratio(interval.checked_add(space)?, interval),
                None => interval,
            });
        }
        if let (Some(size), Some(population)) = (number(self.size), number(self.population)) {
            return Some(ratio(population, size));
        }
        let probability = float(self.probability)?;
        (probability > 0.0 && probability <= 1.0).then(|| (1.0 / probability).round() as i64)
    }
}

/// One number by another, both above 0, to the nearest whole number and at least 1.
fn ratio(of: i64, by: i64) -> i64 {
    let is_up = of % by >= by - of % by;
    (of / by + i64::from(is_up)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_rounded() {
        let check = |of, by, expected| assert_eq!(ratio(of, by), expected, "{of} by {by}");
        check(1_000, 1, 1_000);
        check(7, 2, 4);
        check(10, 3, 3);
        check(11, 3, 4);
        check(1, 100, 1);
        check(i64::MAX, 1, i64::MAX);
        check(i64::MAX, i64::MAX - 1, 1);
    }
}
