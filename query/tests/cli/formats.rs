//! Every format on one small dataset: rows, statistics, groups, and nothing at all.

use std::ffi::OsString;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use flow_common::column::{COLUMNS, ColumnId as Id};
use flow_query::{Env, Zone};
use insta::assert_snapshot;

use crate::support::{Bench, Cell, NOW, Row, sample};

/// Flows that formats treat apart, events, and a record with a value of nearly every
/// column, some of them hostile.
fn rows() -> Vec<Row> {
    let [dns, tcp, back, echo, gre, _, v6, neighbour] = sample().try_into().unwrap();
    let rich = tcp
        .clone()
        .int(Id::SrcMask, 24)
        .int(Id::DstMask, 16)
        .int(Id::Direction, 1)
        .int(Id::EndReason, 3)
        .int(Id::BiflowDirection, 1)
        .int(Id::ForwardingStatus, 64)
        .int(Id::DstTos, 184)
        .int(Id::OutPackets, 1_290)
        .int(Id::OutBytes, 1_834_567)
        .int(Id::FlowCount, 2)
        .int(Id::EngineType, 1)
        .int(Id::EngineId, 23)
        .int(Id::Vlan, 10)
        .int(Id::PostVlan, 20)
        .int(Id::PrevAs, 64_513)
        .int(Id::NextAs, 64_514)
        .int(Id::EtherType, 0x0800)
        .int(Id::FlowLabel, 77)
        .int(Id::MinTtl, 57)
        .int(Id::MaxTtl, 64)
        .int(Id::IngressVrf, 3)
        .int(Id::ObservationDomain, 2_177)
        .int(Id::ObservationPoint, 5)
        .int(Id::ApplicationId, (5 << 32) | 38)
        .int(Id::ClientLatency, 12_345)
        .octets(Id::InSrcMac, &[0, 0x11, 0x22, 0x33, 0x44, 0x55])
        .octets(Id::IngressAcl, &[0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 12])
        .text(Id::Username, "o\"ne,\\\n|\u{1b}[31mtwo")
        .text(Id::ApplicationName, "<b>ssl</b>")
        .addr(Id::NextHop, "192.168.1.1")
        .addr(Id::BgpNextHop, "2001:db8:0:1:2:3:4:5")
        .set(Id::MplsLabels, Cell::Labels(vec![(1_010 << 4) | (3 << 1), (2_020 << 4) | 1]))
        .set(Id::Other, Cell::Other(vec![(197, vec![0x40])]));
    let event = |event: i64, extended: i64| {
        Row::flow((0, 0), 6, ("10.0.0.9", 1_024), ("203.0.113.5", 80), (0, 0))
            .int(Id::FirewallEvent, event)
            .int(Id::FirewallExtEvent, extended)
            .int(Id::EventTime, 1_780_000_000_050_000)
            .int(Id::Contributes, 0)
            .int(Id::FlowId, 9_876)
            .addr(Id::PostNatSrcAddr, "198.51.100.7")
            .addr(Id::PostNatDstAddr, "203.0.113.5")
            .int(Id::PostNatSrcPort, 40_000)
            .int(Id::PostNatDstPort, 80)
    };
    let nat = Row::flow((0, 0), 17, ("10.0.0.8", 5_000), ("203.0.113.6", 53), (0, 0))
        .int(Id::NatEvent, 4)
        .int(Id::Contributes, 0)
        .int(Id::PortBlockStart, 1_024)
        .int(Id::PortBlockEnd, 1_535)
        .addr(Id::PostNatSrcAddr, "198.51.100.7");
    vec![dns, rich, back, echo, gre, v6, neighbour, event(1, 0), event(3, 1_001), nat]
}

/// Answers in each of `formats`, one after another.
fn in_formats(bench: &Bench, formats: &[&str], args: &[&str]) -> String {
    let answer = |format: &&str| {
        let args = [&["-o", *format], args].concat();
        format!("$ flowdump {}\n{}\n", args.join(" "), bench.query(&args))
    };
    formats.iter().map(answer).collect()
}

const TEXT: [&str; 9] = ["line", "gline", "long", "glong", "extended", "biline", "bilong", "nsel", "nat"];

const MACHINE: [&str; 8] =
    ["csv", "csv-fast", "csv:%cnt,%ts,%sa,%byt", "json", "ndjson", "nfjson", "nfndjson", "md"];

#[test]
fn text() {
    let bench = Bench::of(&rows());
    assert_snapshot!("text", in_formats(&bench, &TEXT, &["-q"]).replace("exit: 0\n--- stdout\n", ""));
    assert_snapshot!("text_header", in_formats(&bench, &TEXT, &["-c", "1"]));
    let full = TEXT.map(|format| format!("{format}6"));
    assert_snapshot!(
        "text_full",
        in_formats(&bench, &full.each_ref().map(String::as_str), &["-c", "1", "ipv6"])
    );
    assert_snapshot!("text_plain", in_formats(&bench, &["extended", "nsel", "bilong"], &["-N", "-q"]));
    assert_snapshot!("text_none", in_formats(&bench, &TEXT, &["port 9"]));
    assert_snapshot!("text_none_quiet", in_formats(&bench, &TEXT, &["-q", "port 9"]));
}

/// Every tag, few a line.
#[test]
fn tags() {
    let bench = Bench::of(&rows());
    let words = "nfv cnt idt eng exp|tfs tsr tsg|te ter teg|tr trr trg|td tds pkt ipkt byt ibyt|\
        sp dp it ic pr flg fwd tos stos|bps pps bpp sa da|sap dap|gsap gdap|gsa gda in out smk dmk dir dtos bfd end|\
        sn dn|inam onam|opkt obyt fl svln dvln sas das|nhb nh ra gra|mpls1 mpls2 mpls3|mpls10|mpls|ismc odmc|idmc osmc|\
        nas pas cl sl al|tevt msec evt nevt nfc xevt|xsa xda|xsap xdap|nsap ndap|xsp xdp nsp ndp|iacl eacl|uname|\
        pbstart pbend pbstep pbsize nbid nbnam|ipl opl odid opid vrf ivrf ivrfnam evrf evrfnam|\
        pfifn pfact pfrea pfdir pfrule flid|isid osid nats|ja3 ja4 sni tls|sc dc sloc dloc|sasn dasn stor dtor|\
        lbl ttl minttl maxttl frag eth smpnam|src_addr layer2_bytes time_source|src_mac_is_text";
    let mut text = String::new();
    for line in words.split('|') {
        let tags: Vec<_> = line.split_whitespace().map(|word| format!("%{word}")).collect();
        let format = format!("fmt:{}", tags.join("|"));
        let (_, stdout, stderr) = bench.run_raw(&["-r", "@", "--utc", "-o", &format]);
        let rows = stdout.lines().take_while(|line| !line.starts_with("Summary"));
        text += &format!("$ {format}\n{stderr}");
        rows.for_each(|row| text += &format!("{row}\n"));
    }
    assert_snapshot!("tags", text);
}

#[test]
fn machines() {
    let bench = Bench::of(&rows());
    assert_snapshot!("machine", in_formats(&bench, &MACHINE, &[]));
    assert_snapshot!("machine_none", in_formats(&bench, &MACHINE, &["port 9"]));
    // Neither a header nor a summary is left out or added.
    for format in MACHINE {
        assert_eq!(bench.query(&["-o", format, "-q"]), bench.query(&["-o", format]), "{format}");
    }
}

#[test]
fn lists() {
    let bench = Bench::of(&rows());
    let lists = [
        "csv:%ts,%tsr,%tsg,%te,%tr,%tevt,%msec,%td,%tds",
        "csv:src_addr,%sn,%dn,%sc,%sloc,%sasn,%stor",
        "csv:%uname,%nbnam,%inam,%idt,%eng,%cnt",
        "csv:%pr,%flg,%dp,%it,%ic,%evt,%nevt,%xevt,%fl,%bps,%pps,%bpp",
        "csv:%mpls,%mpls1,%mpls2,%mpls3,other,%frag,%iacl,%odid,%lbl,%ja3,%exp",
        "md:%ts,%sap,%dap,%uname,%nbnam,%cnt,%pkt",
    ];
    assert_snapshot!("lists", in_formats(&bench, &lists, &[]));
    // A predefined format is the list of its tags.
    let list = "csv:%ts,%td,%pr,%sa,%sp,%da,%dp,%pkt,%byt,%fl";
    assert_eq!(bench.query(&["-o", list]), bench.query(&["-o", "csv"]));
}

#[test]
fn statistics() {
    let bench = Bench::of(&rows());
    let args = ["-s", "srcip/bytes", "-s", "dstport:p", "-n", "2"];
    assert_snapshot!("statistics", in_formats(&bench, &MACHINE, &args));
    assert_snapshot!("statistics_none", in_formats(&bench, &MACHINE, &["-s", "srcip", "port 9"]));
    let args = ["-s", "record/bytes", "-n", "2"];
    assert_snapshot!("records", in_formats(&bench, &MACHINE, &args));
    let text = ["line", "bilong", "raw", "fmt:%sa %da %flg %byt %cnt", "glong6"];
    assert_snapshot!("records_text", in_formats(&bench, &text, &[&args[..], &["-q"]].concat()));
    assert_snapshot!(
        "records_none",
        in_formats(&bench, &["line", "csv", "json", "nfjson"], &["-s", "record", "port 9"])
    );
}

#[test]
fn groups() {
    let bench = Bench::of(&rows());
    let args = ["-A", "srcip4/24,srcip6/48,proto", "-O", "bytes"];
    let text = ["line", "raw", "fmt:%sa|%pr|%byt|%td|%bps|%fl|%cnt"];
    assert_snapshot!("groups", in_formats(&bench, &MACHINE, &args));
    assert_snapshot!("groups_text", in_formats(&bench, &text, &args));
    let times = ["-q", "-A", "flow_start,tcp_flags,client_latency", "-n", "3"];
    assert_snapshot!("groups_shown", in_formats(&bench, &["line", "md", "csv"], &times));
    assert_snapshot!("groups_none", in_formats(&bench, &MACHINE, &[&args[..], &["port 9"]].concat()));
    assert_snapshot!(
        "flows",
        in_formats(&bench, &["line", "long", "csv", "nfndjson", "md"], &["-a", "-n", "3"])
    );
}

#[test]
fn flows_with_their_answers() {
    let [_, there, back, _, _, udp, _, _] = sample().try_into().unwrap();
    let bench = Bench::of(&[there, back, udp]);
    assert_snapshot!("answers_default", bench.query(&["-b"]));
    let formats =
        ["line", "bilong", "csv", "ndjson", "nfndjson", "md", "csv:%sa,%da,%ipkt,%opkt,%ibyt,%obyt,%flg"];
    assert_snapshot!("answers", in_formats(&bench, &formats, &["-q", "-B"]));
    let batches = arrow(&bench, &["arrow", "-b", "-O", "bytes"]);
    assert_eq!(ints(&batches, "out_bytes"), [Some(0), Some(1_834_567)]);
    assert_eq!(ints(&batches, "tcp_flags"), [None, Some(0x1b)]);
}

/// Whatever comes from the wire, a terminal obeys nothing of it.
#[test]
fn nothing_a_terminal_obeys_gets_out() {
    let mut rows = rows();
    let hostile: String = (0..0xa0).chain([0x202e, 0x2028, 0xfeff]).filter_map(char::from_u32).collect();
    rows[1] = rows[1].clone().text(Id::Username, &hostile).text(Id::ApplicationName, &hostile);
    let bench = Bench::of(&rows);
    let tags = "%uname,%nbnam,username,application_name,%cnt";
    let formats = TEXT.iter().chain(&MACHINE).chain(&["raw"]).map(ToString::to_string);
    let tagged = [format!("fmt:{tags}"), format!("csv:{tags}"), format!("md:{tags}")];
    for format in formats.chain(tagged) {
        for question in [&["-c", "2"][..], &["-A", "username,application_name"]] {
            let (_, stdout, _) = bench.run_raw(&[&["-r", "@", "-o", &format], question].concat());
            let found = stdout.chars().find(|&c| c != '\n' && (c.is_control() || c == '\u{202e}'));
            assert_eq!(found, None, "{format} {question:?}");
        }
    }
    // Also not what the user's own text has.
    let (_, stdout, _) = bench.run_raw(&["-r", "@", "-o", "fmt:\u{1b}[31m%sa\u{0}"]);
    assert!(!stdout.chars().any(|c| c != '\n' && c.is_control()), "{stdout}");
}

/// The batches of a stream, which ends as it should.
pub(crate) fn arrow(bench: &Bench, args: &[&str]) -> Vec<RecordBatch> {
    let directory = bench.directory.path().to_str().unwrap().to_owned();
    let args = [&["flowdump", "-r", &directory, "-o"], args].concat();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let env = Env { now: NOW, zone: Zone::Utc };
    let code = flow_query::run(args.iter().map(OsString::from), &mut stdout, &mut stderr, env);
    assert_eq!((code, String::from_utf8(stderr).unwrap()), (0, String::new()), "{args:?}");
    assert_eq!(stdout.last_chunk(), Some(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
    let reader = StreamReader::try_new(stdout.as_slice(), None).unwrap();
    let empty = RecordBatch::new_empty(reader.schema());
    std::iter::once(empty).chain(reader.map(Result::unwrap)).collect()
}

/// Values of a column of numbers, `None` for NULL.
fn ints(batches: &[RecordBatch], name: &str) -> Vec<Option<i64>> {
    let of = |batch: &RecordBatch| -> Vec<_> {
        batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().iter().collect()
    };
    batches.iter().flat_map(of).collect()
}

#[test]
fn arrow_is_a_stream_of_the_columns_of_the_files() {
    let bench = Bench::of(&rows());
    let batches = arrow(&bench, &["arrow"]);
    let schema = batches[0].schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let columns: Vec<_> = COLUMNS.iter().map(|column| column.name).chain(["scaled_by"]).collect();
    assert_eq!(names, columns);
    for field in flow_common::schema::schema().fields() {
        assert_eq!(schema.field_with_name(field.name()).unwrap().data_type(), field.data_type());
    }
    let bytes: Vec<_> = rows().iter().map(|row| row.get_int(Id::Bytes)).collect();
    assert_eq!(ints(&batches, "bytes"), bytes);
    assert_eq!(ints(&batches, "out_bytes")[..3], [None, Some(1_834_567), None]);
    let labels = batches[1].column_by_name("mpls_labels").unwrap();
    assert_eq!((labels.null_count(), labels.as_list::<i32>().value_length(1)), (9, 2));
    let user = batches[1].column_by_name("username").unwrap();
    assert_eq!(user.as_string::<i32>().value(1), "o\"ne,\\\n|\u{1b}[31mtwo");
    let addr = batches[1].column_by_name("src_addr").unwrap();
    assert_eq!(addr.as_fixed_size_binary().value(0)[12..], [192, 168, 1, 10]);

    let picked = arrow(&bench, &["arrow:src_addr,%byt,received", "proto tcp"]);
    let names: Vec<_> = picked[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["src_addr", "bytes", "received"]);
    assert_eq!(ints(&picked, "bytes").len(), 5);
    assert_eq!(arrow(&bench, &["arrow", "port 9"]).len(), 1);
}

#[test]
fn arrow_of_statistics_and_groups() {
    let bench = Bench::of(&rows());
    let statistics = arrow(&bench, &["arrow", "-s", "srcip/bytes", "-s", "proto", "-n", "2"]);
    assert_eq!(ints(&statistics, "bytes")[..2], [Some(123_456_789_012), Some(1_834_567)]);
    let values = statistics[1].column_by_name("value").unwrap();
    assert_eq!(
        values.as_string::<i32>().iter().flatten().collect::<Vec<_>>()[..2],
        ["10.1.1.1", "93.184.216.34"]
    );
    let records = arrow(&bench, &["arrow", "-s", "record/bytes", "-n", "1"]);
    assert_eq!(ints(&records, "protocol"), [Some(47)]);
    let groups = arrow(&bench, &["arrow", "-A", "srcip4/24,username,in_if", "-O", "bytes"]);
    assert_eq!(ints(&groups, "in_if").iter().flatten().count(), 1);
    let source = groups[1].column_by_name("src_addr").unwrap();
    assert_eq!(source.as_fixed_size_binary().value(0)[12..], [10, 1, 1, 0]);
    let picked = arrow(&bench, &["arrow:src_addr,bytes", "-A", "srcip4/24", "-O", "bytes"]);
    assert_eq!(ints(&picked, "bytes")[0], Some(123_456_789_012));
    for question in [["-s", "srcip"], ["-s", "record"], ["-A", "srcip"]] {
        assert_eq!(
            arrow(&bench, &[&["arrow"], &question[..], &["port 9"]].concat()).len(),
            1,
            "{question:?}"
        );
    }
}
