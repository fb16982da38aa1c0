//! The syntax tree to a predicate: nouns to columns, words to typed values.

use std::collections::BTreeSet;

use flow_common::column::{ColumnId, Kind};
use flow_common::proto;

use super::Surroundings;
use super::address::{self, Addresses};
use super::ast::{Comparator, Node, NodeKind, Span, Tail, Word};
use super::condition::Condition;
use super::diagnostic::FilterError;
use super::number::Numbers;
use super::parser::is_presence;
use super::predicate::{LabelPart, Measure, Predicate, Test};
use super::set::{AddressRange, AddressSet, IntSet};
use super::suggest::{unknown_after, unknown_word};
use super::value;
use super::vocabulary::{Quantity, SINGLES, find, missing, normal};
use super::within;
use crate::Env;
use crate::columns::{ColumnRef, Columns};
use crate::message::{Failure, nearest};
use crate::places::{Country, ORIGINS};

/// What resolving looks at beside the tree, and what it has to say.
pub(super) struct Context<'a> {
    /// Times are read in its zone.
    pub(super) env: Env,
    /// Those an operator defined.
    pub(super) columns: &'a Columns,
    /// The columns there are, where those are not all.
    pub(super) known: Option<&'a BTreeSet<ColumnRef>>,
    pub(super) surroundings: &'a mut dyn Surroundings,
    /// What is right and may still not be meant.
    pub(super) notes: Vec<String>,
}

/// What `node` means.
pub(super) fn resolve(node: &Node, context: &mut Context<'_>) -> Result<Predicate, FilterError> {
    let mut all =
        |nodes: &[Node]| nodes.iter().map(|node| resolve(node, context)).collect::<Result<Vec<_>, _>>();
    Ok(match &node.kind {
        NodeKind::Not(inner) => Predicate::Not(Box::new(resolve(inner, context)?)),
        NodeKind::And(nodes) => Predicate::And(all(nodes)?),
        NodeKind::Or(nodes) => Predicate::Or(all(nodes)?),
        NodeKind::Term(words, tail) => term(words, tail, context)?,
    })
}

fn term(words: &[Word], tail: &Tail, context: &mut Context<'_>) -> Result<Predicate, FilterError> {
    let spelled: Vec<String> = words.iter().map(|word| normal(&word.text)).collect();
    if let Some(single) = SINGLES.iter().find(|single| spelled[0] == **single) {
        return within::term(single_term(single, words, tail)?, words, context);
    }
    if let Some(relation) = relation(&spelled, tail) {
        return within::term(relation, words, context);
    }
    if let ["ttl", "equal", ..] = spelled.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        let span = words[1].span.end..words.get(2).map_or(words[1].span.end, |word| word.span.end);
        return Err(FilterError::new("`ttl equal` takes no value", span)
            .hint("`ttl equal` is all; with a value it is `ttl 64`"));
    }
    if let Some((length, phrase, why)) = missing(&spelled) {
        let span = words[0].span.start..words[length - 1].span.end;
        return Err(FilterError::new(format!("nfdump's `{phrase}` has no counterpart here"), span).hint(why));
    }
    let Some((quantities, length)) = longest_noun(words, &spelled, context.columns) else {
        return Err(unknown_word(words, &spelled, context.columns));
    };
    let noun = spelled[..length].join(" ");
    let noun_span = words[0].span.start..words[length - 1].span.end;
    let quantities = within::sides(quantities, &noun, &noun_span, context)?;
    let values = &words[length..];
    let condition = match (tail, values) {
        (Tail::None, []) => return Err(missing_value(&quantities, &noun, noun_span, context.columns)),
        (Tail::None, [value]) => Condition::one(&noun, None, value, noun_span),
        (Tail::None, [address, mask]) if is_net(&quantities) && !address.text.contains('/') => {
            let net = address::masked(&noun, address, mask)?;
            let nets = [noted(net, address, &noun, context)].into_iter().collect::<AddressSet>();
            let test = |quantity: &Quantity| inside(*quantity, &nets);
            return Ok(Predicate::one_of(quantities.iter().map(test).collect()));
        }
        (Tail::Compare { comparator, span, value }, []) => {
            Condition::one(&noun, Some(*comparator), value, span.clone())
        }
        (Tail::In { values, is_inside, span }, []) => {
            Condition::list(&noun, values, *is_inside, span.clone())
        }
        (_, [value, rest @ ..]) => {
            return Err(too_many(value, rest, tail, &spelled, length, &quantities, context));
        }
    };
    sided(&quantities, &condition, context)
}

/// More words behind a noun than its value.
fn too_many(
    value: &Word,
    rest: &[Word],
    tail: &Tail,
    spelled: &[String],
    length: usize,
    quantities: &[Quantity],
    context: &mut Context<'_>,
) -> FilterError {
    let noun = spelled[..length].join(" ");
    let has_value = Condition::one(&noun, None, value, value.span.clone());
    let is_value = sided(quantities, &has_value, context).is_ok();
    let next = match tail {
        _ if !rest.is_empty() => rest[0].span.clone(),
        Tail::Compare { span, .. } | Tail::In { span, .. } => span.clone(),
        Tail::None => value.span.end..value.span.end,
    };
    if !is_value {
        let text = value.text.as_str();
        let is_foreign = !value.is_quoted && text.starts_with(|c: char| c.is_alphabetic());
        return match sided(quantities, &has_value, context) {
            Err(error) if !is_foreign || rest.is_empty() && matches!(tail, Tail::None) => error,
            _ => unknown_after(&noun, value, spelled, length, context.columns),
        };
    }
    let error = FilterError::new(format!("expected `and` or `or` after `{}`", value.text), next);
    let after = &spelled[(length + 1).min(spelled.len())..];
    let joint = after.first().and_then(|word| nearest(word, ["and", "or", "not"]));
    if let Some(joint) = joint {
        return error.hint(format!("did you mean `{noun} {} {joint} \u{2026}`?", value.text));
    }
    let is_noun = (1..=after.len()).any(|length| !find(&after[..length], context.columns).is_empty());
    match is_noun {
        true => error.hint(format!("did you mean `{noun} {} and {} \u{2026}`?", value.text, after.join(" "))),
        false if quantities.iter().any(|quantity| is_listed(*quantity)) && tail == &Tail::None => {
            let all = std::iter::once(value).chain(rest).map(|word| word.text.as_str()).collect::<Vec<_>>();
            error.hint(format!("a list is written `{noun} in [{}]`", all.join(", ")))
        }
        false => error.hint("conditions are joined: `proto tcp and port 443`"),
    }
}

fn is_listed(quantity: Quantity) -> bool {
    !matches!(quantity, Quantity::Label(_))
}

/// A condition of every side: `!=` and `null` hold where they do of all of them, others
/// where they do of one.
fn sided(
    quantities: &[Quantity],
    condition: &Condition<'_>,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    let (presences, values): (Vec<&Word>, Vec<&Word>) =
        condition.values.iter().copied().partition(|word| is_presence(word));
    if let Some(presence) = presences.first() {
        return presence_of(quantities, condition, presence, values, context);
    }
    let sides = quantities
        .iter()
        .map(|quantity| test(*quantity, condition, context))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(match condition.comparator() {
        Comparator::Ne => Predicate::all(sides),
        _ => Predicate::one_of(sides),
    })
}

/// `null` and `present`, alone or in a list.
fn presence_of(
    quantities: &[Quantity],
    condition: &Condition<'_>,
    presence: &Word,
    values: Vec<&Word>,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    let is_equal = condition.equality(&presence.text)?;
    let is_present = presence.text.eq_ignore_ascii_case("present");
    if values.is_empty() {
        let is_asked = is_present == is_equal;
        let sides = quantities
            .iter()
            .map(|quantity| present(*quantity, condition, is_asked, context))
            .collect::<Result<Vec<_>, _>>()?;
        return Ok(if is_asked { Predicate::one_of(sides) } else { Predicate::all(sides) });
    }
    if is_present {
        return Err(FilterError::new("`present` is all values of a list", presence.span.clone())
            .hint(format!("`{} present` stands alone", condition.noun)));
    }
    let others = sided(quantities, &Condition { values, ..condition.clone() }, context)?;
    if !is_equal {
        return Ok(others);
    }
    let absent = Condition { values: vec![presence], ..condition.clone() };
    Ok(Predicate::Or(vec![sided(quantities, &absent, context)?, others]))
}

/// Whether a quantity is known of a flow.
fn present(
    quantity: Quantity,
    condition: &Condition<'_>,
    is_present: bool,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    let of_column = |column: ColumnRef| Predicate::Test(Test::Present { column, is_present });
    let span = condition.span.clone();
    let computed = match quantity {
        Quantity::Column(column) | Quantity::Net(column) => return Ok(of_column(column)),
        Quantity::Dscp(id) | Quantity::Ecn(id) | Quantity::Acl(id) => return Ok(of_column(id.into())),
        Quantity::Label(LabelPart::Any) => return Ok(of_column(ColumnId::MplsLabels.into())),
        Quantity::Label(part) => Test::Label { part, values: IntSet::all() }.into(),
        Quantity::Measure(measure) => Test::Measure { measure, values: IntSet::all() }.into(),
        Quantity::Name(name) => super::names::present(name, context),
        Quantity::Country(column) => country_test((column, BTreeSet::new(), false), &span, context)?,
        // Every file of ours has one.
        Quantity::Ident => Test::Ident { comparator: Comparator::Ne, values: BTreeSet::new() }.into(),
    };
    Ok(if is_present { computed } else { Predicate::Not(Box::new(computed)) })
}

/// A condition of one quantity.
fn test(
    quantity: Quantity,
    condition: &Condition<'_>,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    Ok(match quantity {
        Quantity::Net(column) => addresses(column, condition, true, context)?,
        Quantity::Column(column) => return of_column(column, condition, context),
        Quantity::Measure(measure) => {
            let numbers = measure_numbers(measure);
            note_units(&numbers, condition, context);
            let values = condition.numbers(&numbers)?;
            Test::Measure { measure, values }.into()
        }
        Quantity::Dscp(id) => {
            let values = condition.numbers(&Numbers::dscp())?;
            let values: IntSet =
                values.range(0..=63).map(|(low, high)| (low.max(0) << 2, high.min(63) << 2 | 3)).collect();
            Test::IntIn { column: id.into(), values }.into()
        }
        Quantity::Ecn(id) => {
            let values = condition.numbers(&Numbers::ecn())?;
            let bits = |value| Test::Bits { column: id.into(), mask: 3, value, is_equal: true }.into();
            Predicate::one_of((0..=3).filter(|value| values.contains(*value)).map(bits).collect())
        }
        Quantity::Acl(id) => {
            let is_inside = condition.comparator() != Comparator::Ne;
            let positive = if is_inside { condition.clone() } else { condition.positive() };
            let ids = positive.numbers(&Numbers::up_to(u32::MAX.into()))?;
            Test::Acl { column: id.into(), ids, is_inside }.into()
        }
        Quantity::Label(part) => labels(part, condition)?,
        Quantity::Name(name) => super::names::resolve(name, condition, context)?,
        Quantity::Country(column) => countries(column, condition, context)?,
        Quantity::Ident => {
            condition.equality(condition.noun)?;
            let values = condition.values.iter().map(|word| word.text.clone().into_bytes()).collect();
            Test::Ident { comparator: condition.comparator(), values }.into()
        }
    })
}

/// A condition of a column.
fn of_column(
    column: ColumnRef,
    condition: &Condition<'_>,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    if column == ColumnId::TcpFlags {
        return flags(column, condition);
    }
    Ok(match context.columns.kind(column) {
        Kind::Address => addresses(column, condition, false, context)?,
        Kind::Mac => {
            Test::Mac { column, macs: condition.set(|word| address::macs(condition.noun, word))? }.into()
        }
        Kind::Int32 | Kind::Int64 => {
            let numbers = match (column.table(), context.columns.definition(column)) {
                (Some(column), _) => Numbers::of(column),
                (None, definition) => {
                    let range = definition.and_then(flow_common::column::ExtraColumn::range);
                    Numbers::within(range.unwrap_or((i64::MIN, i64::MAX)))
                }
            };
            note_units(&numbers, condition, context);
            if let Some(looked_up) = origins(column, condition, &numbers, context)? {
                return Ok(looked_up);
            }
            integers(column, condition, |word| numbers.range(condition.noun, word))?
        }
        Kind::Boolean => integers(column, condition, |word| {
            let truth = i64::from(value::boolean(condition.noun, word)?);
            Ok((truth, truth))
        })?,
        Kind::Timestamp => {
            let env = context.env;
            match condition.comparator() {
                Comparator::Eq | Comparator::Ne => {
                    integers(column, condition, |word| value::period(word, env))?
                }
                _ => integers(column, condition, |word| {
                    value::instant(word, env).map(|instant| (instant, instant))
                })?,
            }
        }
        Kind::Float64 => floats(column, condition)?,
        Kind::Text => condition.bytes(column, true, |word| Ok(word.text.clone().into_bytes()))?,
        Kind::Binary => condition.bytes(column, false, |word| value::octets(condition.noun, word))?,
        Kind::Labels => labels(LabelPart::Any, condition)?,
        Kind::Other => {
            let noun = condition.noun;
            return Err(FilterError::new(
                format!("`{noun}` has no value to compare"),
                condition.span.clone(),
            )
            .hint(format!("only `{noun} null` and `{noun} present`")));
        }
    })
}

/// Countries of an address, by codes of two letters.
fn countries(
    column: ColumnId,
    condition: &Condition<'_>,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    let is_inside = condition.equality(condition.noun)?;
    let country = |word: &&Word| {
        Country::parse(&word.text).ok_or_else(|| {
            FilterError::new(format!("`{}` is no code of a country", word.text), word.span.clone())
                .hint("two letters of ISO 3166, for example `geo CH`")
        })
    };
    let countries = condition.values.iter().map(country).collect::<Result<_, _>>()?;
    country_test((column, countries, is_inside), &condition.span, context)
}

fn country_test(
    (column, countries, is_inside): (ColumnId, BTreeSet<Country>, bool),
    span: &Span,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    let places = context.surroundings.places().map_err(|failure| of_places(failure, span))?;
    Ok(Test::Country { column, countries, is_inside, places }.into())
}

/// A condition of an autonomous system that is looked up where exporters told none; `None`
/// where no database of a question knows systems.
fn origins(
    column: ColumnRef,
    condition: &Condition<'_>,
    numbers: &Numbers,
    context: &mut Context<'_>,
) -> Result<Option<Predicate>, FilterError> {
    let found = ORIGINS.into_iter().find(|(number, _)| column == *number);
    // Groups have one system, however it was found.
    let Some((number, addr)) = found.filter(|_| context.known.is_none()) else { return Ok(None) };
    let places = context.surroundings.origins().map_err(|failure| of_places(failure, &condition.span))?;
    let Some(places) = places else { return Ok(None) };
    let values = condition.numbers(numbers)?;
    Ok(Some(Test::Origin { number, addr, values, places }.into()))
}

fn of_places(failure: Failure, span: &Span) -> FilterError {
    let (message, hint) = failure.told();
    FilterError::new(message, span.clone()).maybe_hint(hint)
}

/// Numbers: a comparator where that will do, else a set.
fn integers(
    column: ColumnRef,
    condition: &Condition<'_>,
    range: impl Fn(&Word) -> Result<(i64, i64), FilterError>,
) -> Result<Predicate, FilterError> {
    if let [word] = condition.values.as_slice()
        && !condition.is_list
    {
        let (low, high) = range(word)?;
        let comparator = condition.comparator();
        let value = match comparator {
            Comparator::Lt | Comparator::Ge => Some(low),
            Comparator::Le | Comparator::Gt => Some(high),
            Comparator::Eq | Comparator::Ne => Some(low).filter(|_| low == high),
        };
        if let Some(value) = value {
            return Ok(Test::Int { column, comparator, value }.into());
        }
    }
    Ok(Test::IntIn { column, values: condition.set(range)? }.into())
}

fn floats(column: ColumnRef, condition: &Condition<'_>) -> Result<Predicate, FilterError> {
    let one = |comparator, value| Predicate::Test(Test::Float { column, comparator, value });
    let comparator = condition.comparator();
    let ranges = condition.values.iter().map(|word| value::floats(word)).collect::<Result<Vec<_>, _>>()?;
    let tests = ranges.into_iter().map(|(low, high)| match comparator {
        Comparator::Lt | Comparator::Ge => one(comparator, low),
        Comparator::Le | Comparator::Gt => one(comparator, high),
        Comparator::Eq | Comparator::Ne if low == high => one(comparator, low),
        Comparator::Eq => Predicate::And(vec![one(Comparator::Ge, low), one(Comparator::Le, high)]),
        Comparator::Ne => Predicate::Or(vec![one(Comparator::Lt, low), one(Comparator::Gt, high)]),
    });
    let tests = tests.collect();
    Ok(if comparator == Comparator::Ne { Predicate::all(tests) } else { Predicate::one_of(tests) })
}

/// Addresses; what compares less or greater lies in the same family.
fn addresses(
    column: ColumnRef,
    condition: &Condition<'_>,
    needs_length: bool,
    context: &mut Context<'_>,
) -> Result<Predicate, FilterError> {
    let comparator = condition.comparator();
    let mut ranges = Vec::with_capacity(condition.values.len());
    for word in &condition.values {
        let found = address::addresses(condition.noun, word, needs_length)?;
        ranges.extend(noted(found, word, condition.noun, context).compared(comparator));
    }
    let is_inside = comparator != Comparator::Ne;
    Ok(Test::Address { column, nets: ranges.into_iter().collect(), is_inside }.into())
}

/// Says so where a unit may not be meant as it is read.
fn note_units(numbers: &Numbers, condition: &Condition<'_>, context: &mut Context<'_>) {
    let notes = condition.values.iter().filter_map(|word| numbers.note(condition.noun, &word.text));
    context.notes.extend(notes);
}

/// The addresses; says so where a prefix has host bits, which nfdump never matches.
fn noted(found: Addresses, word: &Word, noun: &str, context: &mut Context<'_>) -> AddressRange {
    if let Some(network) = found.network {
        let note = format!("`{noun} {}` has host bits and is taken as `{network}`", word.text);
        context.notes.push(note);
    }
    found.range
}

fn labels(part: LabelPart, condition: &Condition<'_>) -> Result<Predicate, FilterError> {
    let numbers = Numbers::up_to(if matches!(part, LabelPart::Exp(_)) { 7 } else { 0xf_ffff });
    if part == LabelPart::Any && condition.comparator() == Comparator::Ne {
        // No label is one of these, where there are labels.
        let values = condition.positive().numbers(&numbers)?;
        let present = Test::Present { column: ColumnId::MplsLabels.into(), is_present: true };
        let none = Predicate::Not(Box::new(Test::Label { part, values }.into()));
        return Ok(Predicate::And(vec![present.into(), none]));
    }
    Ok(Test::Label { part, values: condition.numbers(&numbers)? }.into())
}

fn measure_numbers(measure: Measure) -> Numbers {
    match measure {
        Measure::IcmpType | Measure::IcmpCode => Numbers::up_to(u8::MAX.into()),
        Measure::DurationMs => Numbers::milliseconds(),
        Measure::Bps | Measure::Pps | Measure::Bpp => Numbers::up_to(i64::MAX),
    }
}

/// TCP flags, by letters or as a number; only TCP has any.
fn flags(column: ColumnRef, condition: &Condition<'_>) -> Result<Predicate, FilterError> {
    let numbers = ColumnId::TcpFlags.column();
    let comparator = condition.comparator();
    let one = |word: &&Word| {
        if word.text.starts_with(|c: char| c.is_ascii_digit()) {
            let alone = Condition { values: vec![word], is_list: false, ..condition.clone() };
            let numbers = Numbers::of(numbers);
            return integers(column, &alone, |word| numbers.range(condition.noun, word));
        }
        let is_equal = match comparator {
            Comparator::Eq => true,
            Comparator::Ne => false,
            other => {
                let message =
                    format!("letters of flags have no order, so `{}` does not apply", other.symbol());
                return Err(FilterError::new(message, condition.span.clone())
                    .hint("compare with a number, or use `=`"));
            }
        };
        let flags = value::flags(condition.noun, condition.written, word)?;
        Ok(Test::Bits { column, mask: flags.mask, value: flags.value, is_equal }.into())
    };
    let tests = condition.values.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let tests = if comparator == Comparator::Ne { Predicate::all(tests) } else { Predicate::one_of(tests) };
    let tcp =
        Test::Int { column: ColumnId::Protocol.into(), comparator: Comparator::Eq, value: proto::TCP.into() };
    Ok(Predicate::And(vec![tcp.into(), tests]))
}

/// Conditions between columns: `ttl equal`, `port in nat pblock`.
fn relation(spelled: &[String], tail: &Tail) -> Option<Predicate> {
    let words: Vec<&str> = spelled.iter().map(String::as_str).collect();
    let between = |column, low, high| Predicate::Test(Test::Between { column, low, high });
    let in_block = |column| between(column, ColumnId::PortBlockStart, ColumnId::PortBlockEnd);
    match (words.as_slice(), tail) {
        (["ttl", "equal"], Tail::None) => Some(between(ColumnId::MaxTtl, ColumnId::MinTtl, ColumnId::MinTtl)),
        (["src", "port", "in", "nat", "pblock"], Tail::None) => Some(in_block(ColumnId::SrcPort)),
        (["dst", "port", "in", "nat", "pblock"], Tail::None) => Some(in_block(ColumnId::DstPort)),
        (["port", "in", "nat", "pblock"], Tail::None) => {
            Some(Predicate::Or(vec![in_block(ColumnId::SrcPort), in_block(ColumnId::DstPort)]))
        }
        _ => None,
    }
}

/// The longest beginning of `words` that is a noun. Quoted text is never one.
fn longest_noun(words: &[Word], spelled: &[String], columns: &Columns) -> Option<(Vec<Quantity>, usize)> {
    let bare = words.iter().take_while(|word| !word.is_quoted).count();
    (1..=bare.min(NOUN_WORDS_MAX))
        .rev()
        .map(|length| (find(&spelled[..length], columns), length))
        .find(|(quantities, _)| !quantities.is_empty())
}

/// Words of the longest noun.
const NOUN_WORDS_MAX: usize = 4;

fn is_net(quantities: &[Quantity]) -> bool {
    quantities.iter().all(|quantity| matches!(quantity, Quantity::Net(_)))
}

fn inside(quantity: Quantity, nets: &AddressSet) -> Predicate {
    match quantity {
        Quantity::Column(column) | Quantity::Net(column) => {
            Test::Address { column, nets: nets.clone(), is_inside: true }.into()
        }
        _ => Predicate::Constant(false),
    }
}

/// `any`, `ipv4`, `ipv6`, `sampled`.
fn single_term(single: &str, words: &[Word], tail: &Tail) -> Result<Predicate, FilterError> {
    let extra = match tail {
        Tail::None => words.get(1).map(|word| word.span.clone()),
        Tail::Compare { span, .. } | Tail::In { span, .. } => Some(span.clone()),
    };
    if let Some(span) = extra {
        return Err(FilterError::new(format!("expected `and` or `or` after `{single}`"), span)
            .hint(format!("`{single}` takes no value")));
    }
    let family = |is_inside: bool| {
        let side = |column: ColumnId| {
            let nets = [AddressRange::V4].into_iter().collect();
            Test::Address { column: column.into(), nets, is_inside }.into()
        };
        Predicate::Or(vec![side(ColumnId::SrcAddr), side(ColumnId::DstAddr)])
    };
    Ok(match single {
        "ipv4" | "inet" => family(true),
        "ipv6" | "inet6" => family(false),
        "sampled" => {
            let column = ColumnId::SamplingRate.into();
            Test::Int { column, comparator: Comparator::Gt, value: 1 }.into()
        }
        _ => Predicate::Constant(true),
    })
}

fn missing_value(quantities: &[Quantity], noun: &str, span: Span, columns: &Columns) -> FilterError {
    let example = match quantities.first() {
        Some(Quantity::Net(_)) => "10.0.0.0/8",
        Some(Quantity::Dscp(_)) => "ef",
        Some(Quantity::Ecn(_)) => "ce",
        Some(Quantity::Label(LabelPart::Exp(_))) => "5",
        Some(Quantity::Label(_)) => "1010",
        Some(Quantity::Name(_) | Quantity::Ident) => "\"name\"",
        Some(Quantity::Country(_)) => "CH",
        Some(Quantity::Measure(Measure::IcmpType | Measure::IcmpCode)) => "3",
        Some(Quantity::Measure(Measure::DurationMs)) => "> 5s",
        Some(Quantity::Measure(_) | Quantity::Acl(_)) | None => "> 1000",
        Some(Quantity::Column(column)) => of_kind(*column, columns),
    };
    FilterError::new(format!("a value is missing after `{noun}`"), span.end..span.end)
        .hint(format!("for example `{noun} {example}`"))
}

/// A value of a column, as an example.
fn of_kind(column: ColumnRef, columns: &Columns) -> &'static str {
    if [ColumnId::Protocol, ColumnId::TunnelProtocol].iter().any(|&id| column == id) {
        return "tcp";
    }
    if column == ColumnId::TcpFlags {
        return "SA";
    }
    let word = column.table().and_then(|column| super::words::words(column.id).first());
    match columns.kind(column) {
        Kind::Int32 | Kind::Int64 if word.is_some() => word.map_or("1", |(word, _)| word),
        Kind::Address => "192.0.2.1",
        Kind::Mac => "00:11:22:33:44:55",
        Kind::Text => "\"name\"",
        Kind::Timestamp => "> 2026-11-21T12:00:00",
        Kind::Int64 => "> 1000",
        Kind::Float64 => "> 0.5",
        Kind::Boolean => "true",
        Kind::Binary => "0xc0ffee",
        Kind::Other => "present",
        Kind::Int32 | Kind::Labels => "80",
    }
}
