//! The syntax tree to a predicate: nouns to columns, words to typed values.

use std::net::IpAddr;

use flow_common::addr::Prefix16;
use flow_common::column::{ColumnId, Kind, is_free_name};
use flow_common::proto::{Protocol, TcpFlags};
use ipnet::IpNet;

use super::ast::{Comparator, Node, NodeKind, Span, Tail, Word};
use super::diagnostic::FilterError;
use super::predicate::{FlagsMatch, Measure, Predicate, Test};
use super::value;
use super::vocabulary::{MISSING, Noun, Quantity, SINGLES, find, is_beginning, normal, suggestion};
use crate::columns::{ColumnRef, Columns};
use crate::{Env, time_range};

/// What `node` means. Times are read in the zone of `env`; `columns` are those an
/// operator defined.
pub(crate) fn resolve(node: &Node, env: Env, columns: &Columns) -> Result<Predicate, FilterError> {
    let one = |node: &Node| resolve(node, env, columns);
    let all = |nodes: &[Node]| nodes.iter().map(one).collect::<Result<Vec<_>, _>>();
    Ok(match &node.kind {
        NodeKind::Not(inner) => Predicate::Not(Box::new(one(inner)?)),
        NodeKind::And(nodes) => Predicate::And(all(nodes)?),
        NodeKind::Or(nodes) => Predicate::Or(all(nodes)?),
        NodeKind::Term(words, tail) => Term { env, columns }.resolve(words, tail)?,
    })
}

struct Term<'a> {
    env: Env,
    columns: &'a Columns,
}

impl Term<'_> {
    fn resolve(&self, words: &[Word], tail: &Tail) -> Result<Predicate, FilterError> {
        let spelled: Vec<String> = words.iter().map(|word| normal(&word.text)).collect();
        if let Some(single) = SINGLES.iter().find(|single| spelled[0] == **single) {
            return single_term(single, words, tail);
        }
        let Some((quantities, length)) = longest_noun(words, &spelled, self.columns) else {
            return Err(unknown_word(words, &spelled, self.columns));
        };
        let noun = spelled[..length].join(" ");
        let values = &words[length..];
        let noun_span = words[0].span.start..words[length - 1].span.end;
        let each = |comparator: Comparator, test: &dyn Fn(Quantity) -> Result<Predicate, FilterError>| {
            let mut sides =
                quantities.iter().map(|quantity| test(*quantity)).collect::<Result<Vec<_>, _>>()?;
            Ok(match (sides.len(), comparator) {
                (1, _) => sides.remove(0),
                (_, Comparator::Ne) => Predicate::And(sides),
                _ => Predicate::Or(sides),
            })
        };
        match (tail, values) {
            (Tail::None, []) => Err(self.missing_value(quantities[0], &noun, noun_span)),
            (Tail::None, [value]) => {
                each(Comparator::Eq, &|quantity| self.compare(quantity, &noun, None, value, &noun_span))
            }
            (Tail::None, [address, mask]) if is_net(&quantities) && !address.text.contains('/') => {
                let net = value::masked_prefix(address, mask)?;
                each(Comparator::Eq, &|quantity| Ok(inside(quantity, vec![net])))
            }
            (Tail::None, [value, next, ..]) => Err(FilterError::new(
                format!("expected `and` or `or` after `{}`", value.text),
                next.span.clone(),
            )),
            (Tail::Compare { .. } | Tail::In(_), [extra, ..])
                if extra.text.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                let next = values.get(1).map_or(extra.span.end..extra.span.end, |word| word.span.clone());
                Err(FilterError::new(format!("expected `and` or `or` after `{}`", extra.text), next))
            }
            (Tail::Compare { .. } | Tail::In(_), [extra, ..]) => {
                Err(unknown_after(&noun, extra, &spelled, length, self.columns))
            }
            (Tail::Compare { comparator, span, value }, []) => {
                each(*comparator, &|quantity| self.compare(quantity, &noun, Some(*comparator), value, span))
            }
            (Tail::In(list), []) => {
                each(Comparator::Eq, &|quantity| self.one_of(quantity, &noun, list, &noun_span))
            }
        }
    }

    /// One quantity compared with one value; `None` where no comparator was written.
    fn compare(
        &self,
        quantity: Quantity,
        noun: &str,
        written: Option<Comparator>,
        word: &Word,
        span: &Span,
    ) -> Result<Predicate, FilterError> {
        let comparator = written.unwrap_or(Comparator::Eq);
        let equality = || match comparator {
            Comparator::Eq => Ok(true),
            Comparator::Ne => Ok(false),
            _ => Err(FilterError::new(
                format!("`{noun}` has no order, so `{}` does not apply", comparator.symbol()),
                span.clone(),
            )
            .hint("use `=`, `!=` or `in [ … ]`")),
        };
        let test = match quantity {
            Quantity::Measure(measure) => {
                let value = value::number(noun, word, measure_max(measure))?;
                Test::Measure { measure, comparator, value }
            }
            Quantity::Net(column) => {
                Test::Address { column, is_inside: equality()?, nets: vec![value::prefix(noun, word, true)?] }
            }
            Quantity::Column(column) if column == ColumnId::TcpFlags => {
                return flags(noun, written, word, span);
            }
            Quantity::Column(column) => match self.columns.kind(column) {
                Kind::Address => Test::Address {
                    column,
                    is_inside: equality()?,
                    nets: vec![value::prefix(noun, word, false)?],
                },
                Kind::Mac => Test::Mac { column, is_equal: equality()?, mac: value::mac(word)? },
                Kind::Text => Test::Text { column, is_equal: equality()?, text: word.text.clone() },
                Kind::Timestamp => {
                    let time = time_range::parse_instant(&word.text, self.env).map_err(|message| {
                        value::error(message, word).hint("for example `2026-11-21T12:00:00`, or `-1h`")
                    })?;
                    Test::Int { column, comparator, value: time.0 }
                }
                Kind::Int32 | Kind::Int64 => {
                    Test::Int { column, comparator, value: self.int(column, noun, word)? }
                }
                Kind::Float64 => Test::Float { column, comparator, value: value::float(word)? },
                Kind::Boolean => {
                    equality()?;
                    Test::Int { column, comparator, value: value::boolean(noun, word)?.into() }
                }
                Kind::Binary => {
                    Test::Octets { column, is_equal: equality()?, octets: value::octets(noun, word)? }
                }
                Kind::Labels | Kind::Other => {
                    return Err(FilterError::new(format!("`{noun}` can't be compared"), span.clone()));
                }
            },
        };
        Ok(Predicate::Test(test))
    }

    /// One quantity compared with a list.
    fn one_of(
        &self,
        quantity: Quantity,
        noun: &str,
        list: &[Word],
        span: &Span,
    ) -> Result<Predicate, FilterError> {
        let is_address = |column| self.columns.kind(column) == Kind::Address;
        match quantity {
            Quantity::Column(column) | Quantity::Net(column) if is_address(column) => {
                let nets =
                    list.iter().map(|word| value::prefix(noun, word, false)).collect::<Result<_, _>>()?;
                Ok(inside(quantity, nets))
            }
            Quantity::Column(column)
                if matches!(self.columns.kind(column), Kind::Int32 | Kind::Int64)
                    && column != ColumnId::TcpFlags =>
            {
                let values =
                    list.iter().map(|word| self.int(column, noun, word)).collect::<Result<_, _>>()?;
                Ok(Predicate::Test(Test::IntIn { column, values }))
            }
            _ => {
                let each = list.iter().map(|word| self.compare(quantity, noun, None, word, span));
                Ok(Predicate::Or(each.collect::<Result<_, _>>()?))
            }
        }
    }

    /// A number for `column`, within what it can hold.
    fn int(&self, column: ColumnRef, noun: &str, word: &Word) -> Result<i64, FilterError> {
        if let Some(column) = column.table() {
            return value::int(column, noun, word);
        }
        let range = self.columns.definition(column).and_then(|definition| definition.range());
        value::number_within(noun, word, range.unwrap_or((i64::MIN, i64::MAX)))
    }

    fn missing_value(&self, quantity: Quantity, noun: &str, span: Span) -> FilterError {
        let example = match quantity {
            Quantity::Net(_) => "10.0.0.0/8",
            Quantity::Measure(_) => "> 1000",
            Quantity::Column(column) if column == ColumnId::Protocol => "tcp",
            Quantity::Column(column) if column == ColumnId::TunnelProtocol => "tcp",
            Quantity::Column(column) if column == ColumnId::TcpFlags => "SA",
            Quantity::Column(column) => match self.columns.kind(column) {
                Kind::Address => "192.0.2.1",
                Kind::Mac => "00:11:22:33:44:55",
                Kind::Text => "\"name\"",
                Kind::Timestamp => "> 2026-11-21T12:00:00",
                Kind::Int64 => "> 1000",
                Kind::Float64 => "> 0.5",
                Kind::Boolean => "true",
                Kind::Binary => "0xc0ffee",
                Kind::Int32 | Kind::Labels | Kind::Other => "80",
            },
        };
        FilterError::new(format!("a value is missing after `{noun}`"), span.end..span.end)
            .hint(format!("for example `{noun} {example}`"))
    }
}

/// The longest beginning of `words` that is a noun. Quoted text is never one.
fn longest_noun(words: &[Word], spelled: &[String], columns: &Columns) -> Option<(Vec<Quantity>, usize)> {
    let bare = words.iter().take_while(|word| !word.is_quoted).count();
    (1..=bare)
        .rev()
        .map(|length| (find(&spelled[..length], columns), length))
        .find(|(quantities, _)| !quantities.is_empty())
}

fn is_net(quantities: &[Quantity]) -> bool {
    quantities.iter().all(|quantity| matches!(quantity, Quantity::Net(_)))
}

fn inside(quantity: Quantity, nets: Vec<Prefix16>) -> Predicate {
    match quantity {
        Quantity::Column(column) | Quantity::Net(column) => {
            Predicate::Test(Test::Address { column, nets, is_inside: true })
        }
        Quantity::Measure(_) => Predicate::Constant(false),
    }
}

fn measure_max(measure: Measure) -> i64 {
    match measure {
        Measure::IcmpType | Measure::IcmpCode => u8::MAX.into(),
        _ => i64::MAX,
    }
}

/// `any`, `ipv4`, `ipv6`.
fn single_term(single: &str, words: &[Word], tail: &Tail) -> Result<Predicate, FilterError> {
    let extra = match tail {
        Tail::None => words.get(1).map(|word| word.span.clone()),
        Tail::Compare { span, .. } => Some(span.clone()),
        Tail::In(list) => list.first().map(|word| word.span.clone()),
    };
    if let Some(span) = extra {
        return Err(FilterError::new(format!("expected `and` or `or` after `{single}`"), span));
    }
    if single == "any" {
        return Ok(Predicate::Constant(true));
    }
    let v4 = value::v4_space();
    let family = |column: ColumnId| {
        Predicate::Test(Test::Address { column: column.into(), nets: vec![v4], is_inside: single == "ipv4" })
    };
    Ok(Predicate::Or(vec![family(ColumnId::SrcAddr), family(ColumnId::DstAddr)]))
}

/// TCP flags: letters are all of them set, with `=` these and no others.
fn flags(
    noun: &str,
    written: Option<Comparator>,
    word: &Word,
    span: &Span,
) -> Result<Predicate, FilterError> {
    let id = ColumnId::TcpFlags;
    let column = id.into();
    if word.text.starts_with(|c: char| c.is_ascii_digit()) {
        let value = value::int(id.column(), noun, word)?;
        let comparator = written.unwrap_or(Comparator::Eq);
        return Ok(Predicate::Test(Test::Int { column, comparator, value }));
    }
    let flags: TcpFlags = value::flags(word)?;
    let how = match written {
        None => FlagsMatch::AllOf,
        Some(Comparator::Eq) => FlagsMatch::Exactly,
        Some(Comparator::Ne) => FlagsMatch::Otherwise,
        Some(other) => {
            let message = format!("letters of flags have no order, so `{}` does not apply", other.symbol());
            return Err(FilterError::new(message, span.clone()).hint("compare with a number, or use `=`"));
        }
    };
    Ok(Predicate::Test(Test::Flags { column, how, flags }))
}

/// The first of `words` that begins no noun, and what was meant.
fn unknown_word(words: &[Word], spelled: &[String], columns: &Columns) -> FilterError {
    let known = (1..=words.len()).rev().find(|&length| is_beginning(&spelled[..length])).unwrap_or(0);
    let Some(word) = words.get(known) else {
        let (first, last) = (&words[0], &words[words.len() - 1]);
        let message = format!("`{}` needs a word after it", spelled.join(" "));
        let is_protocol =
            matches!(spelled, [only] if Protocol::names().any(|name| name.eq_ignore_ascii_case(only)));
        let hint = if is_protocol {
            suggestion(spelled, 0, columns).map(|meant| format!("did you mean `{meant}`?"))
        } else {
            continuation(spelled)
        };
        return FilterError::new(message, first.span.start..last.span.end).maybe_hint(hint);
    };
    if known == 0 {
        let is_missing = MISSING.contains(&spelled[0].as_str());
        let hint = is_missing
            .then(|| format!("nfdump's `{}` has no counterpart here", spelled[0]))
            .or_else(|| address_hint("", word))
            .or_else(|| suggestion(spelled, 0, columns).map(|meant| format!("did you mean `{meant}`?")))
            .unwrap_or_else(|| {
                let added: Vec<_> = columns.names().take(6).map(|name| format!("`{name}`")).collect();
                let also = if added.is_empty() { "" } else { "; these files add " };
                format!("`flowdump --help` lists the words of a filter{also}{}", added.join(", "))
            });
        let error = FilterError::new(format!("unknown word `{}` in filter", word.text), word.span.clone());
        return FilterError {
            is_unknown_word: !word.is_quoted && is_free_name(&spelled[0]),
            ..error.hint(hint)
        };
    }
    unknown_after(&spelled[..known].join(" "), word, spelled, known, columns)
}

fn unknown_after(
    noun: &str,
    word: &Word,
    spelled: &[String],
    known: usize,
    columns: &Columns,
) -> FilterError {
    let hint = address_hint(&format!("{noun} "), word)
        .or_else(|| suggestion(spelled, known, columns).map(|meant| format!("did you mean `{meant}`?")))
        .or_else(|| continuation(&spelled[..known]));
    FilterError::new(format!("unknown word `{}` after `{noun}` in filter", word.text), word.span.clone())
        .maybe_hint(hint)
}

/// For an address or a prefix where a noun was expected after `before`.
fn address_hint(before: &str, word: &Word) -> Option<String> {
    let is_address = word.text.parse::<IpAddr>().is_ok() || word.text.parse::<IpNet>().is_ok();
    is_address.then(|| format!("did you mean `{before}ip {}`?", word.text))
}

/// Nouns that go on from `words`.
fn continuation(words: &[String]) -> Option<String> {
    let begins =
        |noun: &&Noun| noun.words.len() > words.len() && noun.words.iter().zip(words).all(|(a, b)| a == b);
    let list: Vec<String> = super::vocabulary::nouns()
        .iter()
        .filter(begins)
        .take(6)
        .map(|noun| format!("`{}`", noun.words.join(" ")))
        .collect();
    (!list.is_empty()).then(|| format!("for example {}", list.join(", ")))
}
