//! Counters as OpenMetrics text, which Prometheus and all that followed it read.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Family;

/// What the name of everything that only grows ends in; the format adds it itself.
const COUNTER_SUFFIX: &str = "_total";

/// Values as they were when somebody asked.
#[derive(Debug)]
struct Scrape(Vec<Family>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, samples } in &self.0 {
            let counter = name.strip_suffix(COUNTER_SUFFIX);
            let kind = if counter.is_some() { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(counter.unwrap_or(name), help, None, kind)?;
            for (label, value) in samples {
                let Some((key, text)) = label else {
                    encode(kind, *value, family)?;
                    break;
                };
                let labels = [(*key, text.as_str())];
                encode(kind, *value, family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn encode(kind: MetricType, value: u64, sample: MetricEncoder<'_>) -> fmt::Result {
    match kind {
        MetricType::Counter => ConstCounter::new(value).encode(sample),
        _ => ConstGauge::new(value).encode(sample),
    }
}

/// The families as OpenMetrics text.
pub(crate) fn exposition(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(families)));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("a string takes any text");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_become_open_metrics() {
        let labelled = Family {
            name: "flowcap_lost_total",
            help: "what is lost",
            samples: vec![
                (Some(("unit", "flows".to_owned())), 3),
                (Some(("unit", "a\"\\\n".to_owned())), u64::MAX),
            ],
        };
        let text = exposition(vec![Family::of("flowcap_templates", "templates held", None, 2), labelled]);
        let expected = "# HELP flowcap_templates templates held\n\
            # TYPE flowcap_templates gauge\n\
            flowcap_templates 2\n\
            # HELP flowcap_lost what is lost\n\
            # TYPE flowcap_lost counter\n\
            flowcap_lost_total{unit=\"flows\"} 3\n\
            flowcap_lost_total{unit=\"a\\\"\\\\\\n\"} 18446744073709551615\n\
            # EOF\n";
        assert_eq!(text, expected);
    }
}
