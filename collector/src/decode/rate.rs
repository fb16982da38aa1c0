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
                Some(space) => interval.checked_add(space)? / interval,
                None => interval,
            });
        }
        if let (Some(size), Some(population)) = (number(self.size), number(self.population)) {
            return Some(population / size).filter(|&rate| rate > 0);
        }
        let probability = float(self.probability)?;
        (probability > 0.0 && probability <= 1.0).then(|| (1.0 / probability).round() as i64)
    }
}
