//! Filters that are none: values.

use insta::assert_snapshot;

use crate::errors::rendered;

#[test]
fn values() {
    assert_snapshot!(rendered(&[
        "port 90-80",
        "port 70000",
        "proto foo",
        "proto tpc",
        "proto 256",
        "flags Q",
        "flags sa",
        "flags S/A",
        "flags > S",
        "ip 10.0.0.300",
        "ip 10.0.0",
        "net 10/8",
        "net 10.0.0.0",
        "net 10.0.0.0/33",
        "net 10.0.0.0 255.0.255.0",
        "src host www.example.com",
        "bytes > 1.5",
        "src as in [AS15169]",
        "as 4294967296",
        "port -1",
        "ip 10.0.0.1-10.0.0.300",
        "mac 00:11",
        "asa event creat",
        "flowdir sideways",
        "first seen > tomorrow",
    ]), @r"
    $ port 90-80
    exit: 2
    --- stderr
    error: range `90-80` ends before it begins
      |
    1 | port 90-80
      |      ^^^^^
    hint: did you mean `port 80-90`?

    $ port 70000
    exit: 2
    --- stderr
    error: `70000` is out of range
      |
    1 | port 70000
      |      ^^^^^
    hint: `port` takes 0 to 65535

    $ proto foo
    exit: 2
    --- stderr
    error: unknown protocol `foo`
      |
    1 | proto foo
      |       ^^^
    hint: a name such as `tcp`, `udp` or `icmp`, or a number from 0 to 255

    $ proto tpc
    exit: 2
    --- stderr
    error: unknown protocol `tpc`
      |
    1 | proto tpc
      |       ^^^
    hint: did you mean `proto tcp`?

    $ proto 256
    exit: 2
    --- stderr
    error: `256` is out of range
      |
    1 | proto 256
      |       ^^^
    hint: `proto` takes 0 to 255

    $ flags Q
    exit: 2
    --- stderr
    error: unknown flags `Q`
      |
    1 | flags Q
      |       ^
    hint: letters of CEUAPRSF (CWR ECE URG ACK PSH RST SYN FIN), X for all but C and E, or a number

    $ flags sa
    exit: 2
    --- stderr
    error: unknown flags `sa`
      |
    1 | flags sa
      |       ^^
    hint: flags are upper case: `flags SA`

    $ flags S/A
    exit: 2
    --- stderr
    error: `S` is not among `A`
      |
    1 | flags S/A
      |       ^^^
    hint: of the flags after `/`, those before it are set and no others

    $ flags > S
    exit: 2
    --- stderr
    error: letters of flags have no order, so `>` does not apply
      |
    1 | flags > S
      |       ^
    hint: compare with a number, or use `=`

    $ ip 10.0.0.300
    exit: 2
    --- stderr
    error: `10.0.0.300` is not an address
      |
    1 | ip 10.0.0.300
      |    ^^^^^^^^^^
    hint: each of four octets is 0 to 255

    $ ip 10.0.0
    exit: 2
    --- stderr
    error: `10.0.0` is not an address
      |
    1 | ip 10.0.0
      |    ^^^^^^
    hint: write all four octets: `ip 10.0.0.0/24`

    $ net 10/8
    exit: 2
    --- stderr
    error: `10/8` is not an address
      |
    1 | net 10/8
      |     ^^^^
    hint: write all four octets: `net 10.0.0.0/8`

    $ net 10.0.0.0
    exit: 2
    --- stderr
    error: `net` needs a prefix length after `10.0.0.0`
      |
    1 | net 10.0.0.0
      |     ^^^^^^^^
    hint: for example `net 10.0.0.0/24`

    $ net 10.0.0.0/33
    exit: 2
    --- stderr
    error: `33` is no prefix length
      |
    1 | net 10.0.0.0/33
      |     ^^^^^^^^^^^
    hint: 0 to 32 for this family

    $ net 10.0.0.0 255.0.255.0
    exit: 2
    --- stderr
    error: `255.0.255.0` is not a network mask
      |
    1 | net 10.0.0.0 255.0.255.0
      |              ^^^^^^^^^^^
    hint: for example `255.255.255.0`

    $ src host www.example.com
    exit: 2
    --- stderr
    error: `www.example.com` is not an address
      |
    1 | src host www.example.com
      |          ^^^^^^^^^^^^^^^
    hint: names are not looked up; give the address

    $ bytes > 1.5
    exit: 2
    --- stderr
    error: `1.5` is not a number
      |
    1 | bytes > 1.5
      |         ^^^
    hint: whole numbers only, with k, m, g or t for powers of 1000: `1500k`, `1.5m`

    $ src as in [AS15169]
    exit: 2
    --- stderr
    error: `AS15169` is not a number
      |
    1 | src as in [AS15169]
      |            ^^^^^^^
    hint: write the number alone: `src as 15169`

    $ as 4294967296
    exit: 2
    --- stderr
    error: `4294967296` is out of range
      |
    1 | as 4294967296
      |    ^^^^^^^^^^
    hint: `as` takes 0 to 4294967295

    $ port -1
    exit: 2
    --- stderr
    error: `-1` is out of range
      |
    1 | port -1
      |      ^^
    hint: `port` takes 0 to 65535

    $ ip 10.0.0.1-10.0.0.300
    exit: 2
    --- stderr
    error: `10.0.0.1-10.0.0.300` is not an address
      |
    1 | ip 10.0.0.1-10.0.0.300
      |    ^^^^^^^^^^^^^^^^^^^
    hint: for example `192.0.2.1`, `10.0.0.0/8` or `2001:db8::/32`

    $ mac 00:11
    exit: 2
    --- stderr
    error: `00:11` is not a MAC address
      |
    1 | mac 00:11
      |     ^^^^^
    hint: six octets: `mac 00:11:22:33:44:55`

    $ asa event creat
    exit: 2
    --- stderr
    error: unknown value `creat` of `asa event`
      |
    1 | asa event creat
      |           ^^^^^
    hint: did you mean `asa event create`?

    $ flowdir sideways
    exit: 2
    --- stderr
    error: unknown value `sideways` of `flowdir`
      |
    1 | flowdir sideways
      |         ^^^^^^^^
    hint: one of ingress, egress, in, out, or a number

    $ first seen > tomorrow
    exit: 2
    --- stderr
    error: `tomorrow` is not a time
      |
    1 | first seen > tomorrow
      |              ^^^^^^^^
    hint: for example `2026-11-21T12:00:00`, `2026-11-21`, `today` or `-1h`
    ");
}
