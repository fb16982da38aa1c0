//! OpenMetrics text, read by its grammar: what a scrape must look like, without the
//! crate that writes it.

use std::collections::{BTreeMap, HashSet};

/// Values of all series, by name and labels as they stand in the text.
pub type Series = BTreeMap<String, f64>;

/// Reads a scrape; says what is wrong with its first bad line.
pub fn parse(text: &str) -> Result<Series, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end in `# EOF`")?;
    let (mut series, mut families) = (Series::new(), HashSet::new());
    // Name and type of the family whose samples are being read.
    let mut family = (String::new(), String::new());
    let mut described = String::new();
    for line in body.lines() {
        let bad = |why: &str| format!("{why}: `{line}`");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| bad("no help"))?;
            if help.trim() != help || help.is_empty() {
                return Err(bad("help is empty or untrimmed"));
            }
            described = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| bad("no type"))?;
            if name != described || !["counter", "gauge"].contains(&kind) || !is_name(name) {
                return Err(bad("a type without its help, or none we use"));
            }
            if !families.insert(name.to_owned()) {
                return Err(bad("a family twice"));
            }
            family = (name.to_owned(), kind.to_owned());
        } else {
            let (name, value) = sample(line).ok_or_else(|| bad("no sample"))?;
            let suffix = if family.1 == "counter" { "_total" } else { "" };
            let is_of_family = name.split('{').next() == Some(&format!("{}{suffix}", family.0));
            if !is_of_family {
                return Err(bad("a sample outside its family"));
            }
            if series.insert(name.to_owned(), value).is_some() {
                return Err(bad("a series twice"));
            }
        }
    }
    Ok(series)
}

/// Name with labels, and value.
fn sample(line: &str) -> Option<(&str, f64)> {
    let (name, value) = line.rsplit_once(' ')?;
    let (bare, labels) = match name.split_once('{') {
        Some((bare, rest)) => (bare, rest.strip_suffix('}')?),
        None => (name, ""),
    };
    let is_sound = is_name(bare) && (labels.is_empty() || labels_end(labels));
    let value: f64 = value.parse().ok()?;
    (is_sound && value.is_finite() && value >= 0.0).then_some((name, value))
}

/// Whether this is `key="value"`, any number of times, and nothing else.
fn labels_end(labels: &str) -> bool {
    let Some((key, rest)) = labels.split_once("=\"") else { return false };
    let mut is_escaped = false;
    let end = rest.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    let Some(end) = end else { return false };
    let rest = &rest[end + 1..];
    is_name(key) && (rest.is_empty() || rest.strip_prefix(',').is_some_and(labels_end))
}

fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_scrape_is_refused() {
        let check = |lines: &str, is_good: bool| {
            let text = format!("# HELP a what\n# TYPE a counter\n{lines}# EOF\n");
            assert_eq!(parse(&text).is_ok(), is_good, "{text}");
        };
        check("", true);
        check("a_total 1\n", true);
        check("a_total{b=\"c\",d=\"\\\"}\"} 1\n", true);
        check("a 1\n", false);
        check("a_total 1\na_total 2\n", false);
        check("a_total{b=c} 1\n", false);
        check("a_total{b=\"c\"\"} 1\n", false);
        check("a_total{b=\"c\",} 1\n", false);
        check("a_total one\n", false);
        check("b_total 1\n", false);
        check("# TYPE b gauge\nb 1\n", false);
        check("\n", false);
        assert!(parse("# HELP a what\n# TYPE a counter\na_total 1\n").is_err());
    }
}
