//! Filters that are none: words and grammar.

use insta::assert_snapshot;

use crate::support::Bench;

/// What `flowdump -Z` says to each filter.
pub(crate) fn rendered(filters: &[&str]) -> String {
    let bench = Bench::empty();
    let each = filters.iter().map(|filter| format!("$ {filter}\n{}\n", bench.run(&["-Z", filter])));
    each.collect()
}

#[test]
fn words() {
    assert_snapshot!(rendered(&[
        "srcip 10.0.0.0/8",
        "dstip 10.0.0.1 and port 53",
        "sport 80",
        "dport 80",
        "inif 3",
        "tcp",
        "tcp port 80",
        "portt 80",
        "prot tcp",
        "src prot 80",
        "src 10.0.0.1",
        "src",
        "10.0.0.1",
        "byets > 100",
        "pakets > 1",
        "xyzzy 5",
        "icmp",
    ]), @r"
    $ srcip 10.0.0.0/8
    exit: 2
    --- stderr
    error: unknown word `srcip` in filter
      |
    1 | srcip 10.0.0.0/8
      | ^^^^^
    hint: did you mean `src ip`?

    $ dstip 10.0.0.1 and port 53
    exit: 2
    --- stderr
    error: unknown word `dstip` in filter
      |
    1 | dstip 10.0.0.1 and port 53
      | ^^^^^
    hint: did you mean `dst ip`?

    $ sport 80
    exit: 2
    --- stderr
    error: unknown word `sport` in filter
      |
    1 | sport 80
      | ^^^^^
    hint: did you mean `src port`?

    $ dport 80
    exit: 2
    --- stderr
    error: unknown word `dport` in filter
      |
    1 | dport 80
      | ^^^^^
    hint: did you mean `dst port`?

    $ inif 3
    exit: 2
    --- stderr
    error: unknown word `inif` in filter
      |
    1 | inif 3
      | ^^^^
    hint: did you mean `in if`?

    $ tcp
    exit: 2
    --- stderr
    error: unknown word `tcp` in filter
      |
    1 | tcp
      | ^^^
    hint: did you mean `proto tcp`?

    $ tcp port 80
    exit: 2
    --- stderr
    error: unknown word `tcp` in filter
      |
    1 | tcp port 80
      | ^^^
    hint: did you mean `proto tcp`?

    $ portt 80
    exit: 2
    --- stderr
    error: unknown word `portt` in filter
      |
    1 | portt 80
      | ^^^^^
    hint: did you mean `port`?

    $ prot tcp
    exit: 2
    --- stderr
    error: unknown word `prot` in filter
      |
    1 | prot tcp
      | ^^^^
    hint: did you mean `proto`?

    $ src prot 80
    exit: 2
    --- stderr
    error: unknown word `prot` after `src` in filter
      |
    1 | src prot 80
      |     ^^^^
    hint: did you mean `src port`?

    $ src 10.0.0.1
    exit: 2
    --- stderr
    error: unknown word `10.0.0.1` after `src` in filter
      |
    1 | src 10.0.0.1
      |     ^^^^^^^^
    hint: did you mean `src ip 10.0.0.1`?

    $ src
    exit: 2
    --- stderr
    error: `src` needs a word after it
      |
    1 | src
      | ^^^
    hint: for example `src ip`, `src host`, `src net`, `src port`, `src tos`, `src as`

    $ 10.0.0.1
    exit: 2
    --- stderr
    error: unknown word `10.0.0.1` in filter
      |
    1 | 10.0.0.1
      | ^^^^^^^^
    hint: did you mean `ip 10.0.0.1`?

    $ byets > 100
    exit: 2
    --- stderr
    error: unknown word `byets` in filter
      |
    1 | byets > 100
      | ^^^^^
    hint: did you mean `bytes`?

    $ pakets > 1
    exit: 2
    --- stderr
    error: unknown word `pakets` in filter
      |
    1 | pakets > 1
      | ^^^^^^
    hint: did you mean `packets`?

    $ xyzzy 5
    exit: 2
    --- stderr
    error: unknown word `xyzzy` in filter
      |
    1 | xyzzy 5
      | ^^^^^
    hint: `flowdump --help` lists the words of a filter

    $ icmp
    exit: 2
    --- stderr
    error: `icmp` needs a word after it
      |
    1 | icmp
      | ^^^^
    hint: did you mean `proto icmp`?
    ");
}

#[test]
fn grammar() {
    assert_snapshot!(rendered(&[
        "(proto tcp",
        "proto tcp)",
        "proto tcp and",
        "proto tcp or or proto udp",
        "not",
        "( )",
        "port",
        "src ip",
        "bytes >",
        "port 80 port 443",
        "port 80 extra > 5",
        "port in []",
        "port in [80",
        "port [80]",
        "any 5",
        "asa user 'joe",
        "proto tcp ; port 80",
        "port 80 > 5",
        "port 80 and\n  prto tcp # comment",
    ]), @r"
    $ (proto tcp
    exit: 2
    --- stderr
    error: `(` is not closed
      |
    1 | (proto tcp
      | ^
    hint: add `)`

    $ proto tcp)
    exit: 2
    --- stderr
    error: `)` closes no `(`
      |
    1 | proto tcp)
      |          ^
    hint: add `(` before, or leave it out

    $ proto tcp and
    exit: 2
    --- stderr
    error: a condition is missing after `and`
      |
    1 | proto tcp and
      |              ^
    hint: for example `proto tcp` or `src net 10.0.0.0/8`

    $ proto tcp or or proto udp
    exit: 2
    --- stderr
    error: a condition is missing after `or`
      |
    1 | proto tcp or or proto udp
      |              ^^
    hint: for example `proto tcp` or `src net 10.0.0.0/8`

    $ not
    exit: 2
    --- stderr
    error: a condition is missing after `not`
      |
    1 | not
      |    ^
    hint: for example `proto tcp` or `src net 10.0.0.0/8`

    $ ( )
    exit: 2
    --- stderr
    error: a condition is missing after `(`
      |
    1 | ( )
      |   ^
    hint: for example `proto tcp` or `src net 10.0.0.0/8`

    $ port
    exit: 2
    --- stderr
    error: a value is missing after `port`
      |
    1 | port
      |     ^
    hint: for example `port 80`

    $ src ip
    exit: 2
    --- stderr
    error: a value is missing after `src ip`
      |
    1 | src ip
      |       ^
    hint: for example `src ip 192.0.2.1`

    $ bytes >
    exit: 2
    --- stderr
    error: a value is missing after `>`
      |
    1 | bytes >
      |        ^
    hint: a number, an address, a name or a text in quotes

    $ port 80 port 443
    exit: 2
    --- stderr
    error: expected `and` or `or` after `80`
      |
    1 | port 80 port 443
      |         ^^^^
    hint: did you mean `port 80 and port 443 …`?

    $ port 80 extra > 5
    exit: 2
    --- stderr
    error: expected `and` or `or` after `80`
      |
    1 | port 80 extra > 5
      |         ^^^^^
    hint: conditions are joined: `proto tcp and port 443`

    $ port in []
    exit: 2
    --- stderr
    error: the list is empty
      |
    1 | port in []
      |         ^^
    hint: a list is written `port in [80, 443, 8000-8100]`

    $ port in [80
    exit: 2
    --- stderr
    error: `[` is not closed
      |
    1 | port in [80
      |         ^
    hint: add `]`

    $ port [80]
    exit: 2
    --- stderr
    error: expected `and` or `or` here
      |
    1 | port [80]
      |      ^
    hint: a list is written `port in [80, 443, 8000-8100]`

    $ any 5
    exit: 2
    --- stderr
    error: expected `and` or `or` after `any`
      |
    1 | any 5
      |     ^
    hint: `any` takes no value

    $ asa user 'joe
    exit: 2
    --- stderr
    error: quote is not closed
      |
    1 | asa user 'joe
      |          ^^^^
    hint: end the text with `'`

    $ proto tcp ; port 80
    exit: 2
    --- stderr
    error: unknown operator `;` in filter
      |
    1 | proto tcp ; port 80
      |           ^
    hint: did you mean `and`?

    $ port 80 > 5
    exit: 2
    --- stderr
    error: expected `and` or `or` after `80`
      |
    1 | port 80 > 5
      |         ^
    hint: conditions are joined: `proto tcp and port 443`

    $ port 80 and
      prto tcp # comment
    exit: 2
    --- stderr
    error: unknown word `prto` in filter
      |
    2 |   prto tcp # comment
      |   ^^^^
    hint: did you mean `proto`?
    ");
}

#[test]
fn deep_and_long_filters_are_refused() {
    let bench = Bench::empty();
    assert_snapshot!(bench.run(&["-Z", &format!("{}any{}", "(".repeat(300), ")".repeat(300))]), @r"
    exit: 2
    --- stderr
    error: filter is nested deeper than 256
      |
    1 | ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((any))))))))))))))))))))))))))
      |                                                                         ^
    ");
    assert_snapshot!(bench.run(&["-Z", &"not ".repeat(300)]), @r"
    exit: 2
    --- stderr
    error: filter is nested deeper than 256
      |
    1 | not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not
      |                                                                         ^^^
    ");
    assert_snapshot!(bench.run(&["-Z", &"any or ".repeat(200_000)]), @r"
    exit: 2
    --- stderr
    error: filter has 1400000 bytes, more than 1048576
      |
    1 | any or any or any or any or any or any or any or any or any or any or an
      | ^
    ");
    assert_snapshot!(bench.run(&["-Z", &format!("{}any", "any or ".repeat(10_000))]), @"exit: 0");
}

#[test]
fn a_good_filter_checks_silently() {
    let bench = Bench::empty();
    std::fs::write(bench.path("filter"), "# TLS\nproto tcp\nand port 443\n").unwrap();
    assert_snapshot!(bench.run(&["-Z", "proto tcp"]), @"exit: 0");
    assert_snapshot!(bench.run(&["-Z", "-f", "@/filter"]), @"exit: 0");
}
