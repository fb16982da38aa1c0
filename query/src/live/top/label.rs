//! A value of a statistic, and a number, as the screen shows them.

use flow_common::column::ColumnId;
use flow_common::proto::Protocol;

use super::window::Group;
use crate::aggregate::Value;
use crate::flow::FiveTuple;
use crate::output::shown_text;
use crate::statistic::Statistic;

/// A value on one line.
pub(super) fn label(group: &Group, statistic: &Statistic) -> String {
    match group {
        Group::Tuple(tuple) => of_tuple(tuple),
        Group::Element(split, value) => {
            let value = match value {
                Value::Int(number) if is_protocol(statistic) => protocol(Some(*number)),
                value => shown_text(value, statistic, true),
            };
            match split {
                Some(number) => format!("{:<5} {value}", protocol(*number)),
                None => value,
            }
        }
    }
}

fn of_tuple(tuple: &FiveTuple) -> String {
    let side = |addr: Option<flow_common::addr::Addr16>, port: Option<String>| {
        let addr = addr.map_or_else(|| "-".to_owned(), |addr| addr.to_string());
        match port {
            Some(port) if addr.contains(':') => format!("[{addr}]:{port}"),
            Some(port) => format!("{addr}:{port}"),
            None => addr,
        }
    };
    let text = |port: Option<i32>| port.map(|port| port.to_string());
    let (src_port, dst_port) = match tuple.icmp() {
        Some((kind, code)) => (None, Some(format!("{kind}.{code}"))),
        None => (text(tuple.src_port), text(tuple.dst_port)),
    };
    let protocol = protocol(tuple.protocol.map(i64::from));
    format!("{protocol:<5} {} -> {}", side(tuple.src_addr, src_port), side(tuple.dst_addr, dst_port))
}

fn is_protocol(statistic: &Statistic) -> bool {
    statistic.key.is_about(ColumnId::Protocol)
}

fn protocol(number: Option<i64>) -> String {
    match number.map(u8::try_from) {
        Some(Ok(number)) => Protocol(number).to_string(),
        Some(Err(_)) | None => "-".into(),
    }
}

/// A rate: three digits and more, `0.4`, `12.3`, `999`, `1.23 M`.
pub(super) fn rate(sum: u64, secs: i64) -> String {
    number(sum as f64 / secs.max(1) as f64)
}

/// A number in as few characters: `0.4`, `12.3`, `999`, `1.23 M`.
pub(super) fn number(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    // What rounds up to the next unit is of that unit.
    let unit = UNITS.into_iter().find(|(unit, _)| value >= unit * 0.9995);
    let (value, unit) = unit.map_or((value, ""), |(by, unit)| (value / by, unit));
    match value {
        0.0 => "0".into(),
        value if unit.is_empty() && value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 99.95 => format!("{value:.0}{unit}"),
        value if value >= 9.995 || unit.is_empty() => format!("{value:.1}{unit}"),
        value => format!("{value:.2}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use flow_common::addr::Addr16;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (0.5, "0.5"),
            (7.0, "7"),
            (12.34, "12.3"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (1_234.0, "1.23 k"),
            (12_345.0, "12.3 k"),
            (99_960.0, "100 k"),
            (999_499.0, "999 k"),
            (999_600.0, "1.00 M"),
            (1.5e13, "15.0 T"),
            (1.5e19, "15000000 T"),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
        assert_eq!(rate(10, 0), "10");
        assert_eq!(rate(10, 4), "2.5");
    }

    #[test]
    fn values_are_told_as_people_say_them() {
        let check = |statistic: &str, group: Group, expected: &str| {
            let statistic =
                Statistic::parse(statistic, &Columns::default(), &std::sync::Arc::default()).unwrap();
            assert_eq!(label(&group, &statistic), expected);
        };
        let addr = |text: &str| Addr16::from(text.parse::<std::net::IpAddr>().unwrap());
        check("proto", Group::Element(None, Value::Int(6)), "TCP");
        check("dstport:p", Group::Element(Some(Some(17)), Value::Int(53)), "UDP   53");
        check("dstport:p", Group::Element(Some(None), Value::Int(53)), "-     53");
        check(
            "srcip",
            Group::Element(None, Value::Address(addr("2001:db8::1234:5678:9abc"))),
            "2001:db8::1234:5678:9abc",
        );
        let tuple = FiveTuple {
            protocol: Some(6),
            src_addr: Some(addr("192.0.2.1")),
            dst_addr: Some(addr("2001:db8::1")),
            src_port: Some(40_000),
            dst_port: Some(443),
        };
        check("record", Group::Tuple(tuple), "TCP   192.0.2.1:40000 -> [2001:db8::1]:443");
        let echo = FiveTuple { protocol: Some(1), dst_port: Some(2_048), src_port: Some(0), ..tuple };
        check("record", Group::Tuple(echo), "ICMP  192.0.2.1 -> [2001:db8::1]:8.0");
        let nothing =
            FiveTuple { protocol: None, src_addr: None, dst_addr: None, src_port: None, dst_port: None };
        check("record", Group::Tuple(nothing), "-     - -> -");
    }
}
