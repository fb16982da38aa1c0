//! Text from the wire, by runs that need no care: for JSON, for CSV, for a terminal.

use super::Text;
use crate::message::is_control;

/// What a place of a text can't have as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    Json,
    Quoted,
    /// A terminal that obeys control characters, line ends excepted.
    Terminal,
    OneLine,
}

impl Care {
    #[inline]
    fn is_of(self, c: char) -> bool {
        match c {
            '"' => matches!(self, Self::Json | Self::Quoted),
            '\\' => self == Self::Json,
            '\n' => matches!(self, Self::Json | Self::OneLine),
            c => is_control(c),
        }
    }
}

impl Text<'_> {
    /// A JSON string (RFC 8259 §7).
    pub(in crate::output) fn json_string(&mut self, text: &str) {
        self.byte(b'"');
        self.runs(text, Care::Json);
        self.byte(b'"');
    }

    /// A field of CSV, quoted where it must be. A terminal it is shown on obeys
    /// nothing of it; JSON tells such characters apart.
    pub(in crate::output) fn csv_field(&mut self, text: &str) {
        // A carriage return does not get here: it is a control character.
        if text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n')) {
            self.byte(b'"');
            self.runs(text, Care::Quoted);
            self.byte(b'"');
        } else {
            self.runs(text, Care::Terminal);
        }
    }

    /// Text for a terminal: control characters can't get out, and one value stays
    /// on one line.
    pub(in crate::output) fn one_line(&mut self, text: &str) {
        self.runs(text, Care::OneLine);
    }

    fn runs(&mut self, text: &str, care: Care) {
        let is_plain = |byte: u8| {
            (0x20..0x7f).contains(&byte) && (care == Care::OneLine || !matches!(byte, b'"' | b'\\'))
        };
        if text.bytes().all(is_plain) {
            return self.str(text);
        }
        let mut from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| care.is_of(*c)) {
            self.str(&text[from..at]);
            self.escape(c, care);
            from = at + c.len_utf8();
        }
        self.str(&text[from..]);
    }

    fn escape(&mut self, c: char, care: Care) {
        match (care, c) {
            (Care::Quoted, '"') => self.literal(b"\"\""),
            (Care::Json, '"') => self.literal(b"\\\""),
            (Care::Json, '\\') => self.literal(b"\\\\"),
            (Care::Json, '\n') => self.literal(b"\\n"),
            (Care::Json, '\r') => self.literal(b"\\r"),
            (Care::Json, '\t') => self.literal(b"\\t"),
            // Most are legal in JSON, but a terminal obeys them. All lie below U+10000.
            (Care::Json, c) => {
                self.literal(b"\\u");
                self.hex(&(u32::from(c) as u16).to_be_bytes());
            }
            _ => self.str("\u{fffd}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random, text};
    use crate::message::{is_control, neutral};

    /// The text a character at a time, as the standards say it.
    fn json(value: &str) -> String {
        let mut out = "\"".to_owned();
        for c in value.chars() {
            match c {
                '"' => out += "\\\"",
                '\\' => out += "\\\\",
                '\n' => out += "\\n",
                '\r' => out += "\\r",
                '\t' => out += "\\t",
                c if is_control(c) => out += &format!("\\u{:04x}", u32::from(c)),
                c => out.push(c),
            }
        }
        out + "\""
    }

    fn csv(value: &str) -> String {
        let value = neutral(value);
        match value.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", value.replace('"', "\"\"")),
            false => value,
        }
    }

    #[track_caller]
    fn check(value: &str) {
        assert_eq!(text(|text| text.json_string(value)), json(value));
        assert_eq!(text(|text| text.csv_field(value)), csv(value));
        assert_eq!(text(|text| text.one_line(value)), neutral(value).replace('\n', "\u{fffd}"));
    }

    #[test]
    fn runs_are_as_a_character_at_a_time() {
        for value in
            ["", "plain", "\"", "a\\b", "\u{1b}[31m", "\u{202e}x", "a,b", "ö,\u{9b}\r\n\t", "\u{1f600}"]
        {
            check(value);
        }
        const CHARS: [char; 16] = [
            'a',
            'z',
            '"',
            '\\',
            ',',
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{7f}',
            '\u{9b}',
            'é',
            '€',
            '\u{202e}',
            '\u{2069}',
            '\u{1f600}',
        ];
        for n in random().take(20_000) {
            let value: String =
                (0..n >> 60).map(|index| CHARS[(n >> (4 * (index % 15)) & 15) as usize]).collect();
            check(&value);
        }
    }
}
