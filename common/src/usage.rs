//! Usage errors in the voice of both programs: cause, then hint; lower case,
//! values in backticks, no final period.

/// Message and hint from what the argument parser prints:
/// `error: unexpected argument '--foo' found`, then tips and usage.
pub fn in_our_words(rendered: &str, program: &str) -> (String, String) {
    let mut lines = rendered.lines();
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first).trim_end_matches(['.', ':']);
    let mut message = first.replace('\'', "`");
    if let Some(rest) = message.strip_prefix("unexpected argument ") {
        message = format!("unknown option {}", rest.trim_end_matches(" found"));
    }
    if let Some(first) = message.get(..1).map(str::to_lowercase) {
        message.replace_range(..1, &first);
    }
    let tip = rendered.lines().find_map(|line| line.trim().strip_prefix("tip: a similar argument exists: "));
    let hint = match tip {
        Some(similar) => format!("did you mean {}?", similar.replace('\'', "`")),
        None => format!("`{program} --help` lists the options"),
    };
    (message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_parser_become_ours() {
        let check = |rendered: &str, message: &str, hint: &str| {
            assert_eq!(in_our_words(rendered, "flowcapd"), (message.to_owned(), hint.to_owned()));
        };
        check(
            "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: '--port'\n\nUsage: x\n",
            "unknown option `--prot`",
            "did you mean `--port`?",
        );
        check(
            "error: invalid value 'x' for '--port <PORT>': invalid digit found in string\n\nFor more\n",
            "invalid value `x` for `--port <PORT>`: invalid digit found in string",
            "`flowcapd --help` lists the options",
        );
        check("", "", "`flowcapd --help` lists the options");
    }
}
