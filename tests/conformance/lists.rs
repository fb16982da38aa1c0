//! Lists within records (RFC 6313).

use flow_tests::packet::Value;
use flow_tests::packet::ipfix::{Field, VARIABLE};
use serde_json::{Value as Json, json};

use crate::collect::{Collected, check, collect, ipfix};

/// Elements of the three kinds of lists.
const BASIC: u16 = 291;
const SUB_TEMPLATE: u16 = 292;
const SUB_TEMPLATE_MULTI: u16 = 293;
/// Semantics (RFC 6313 §4.5.4).
const NONE_OF: u8 = 0;
const ALL_OF: u8 = 3;

/// A basic list of IANA element `element`.
fn basic(semantic: u8, element: u16, length: u16, values: &[u8]) -> Vec<u8> {
    let head =
        Value::new().uint(u64::from(semantic), 1).uint(u64::from(element), 2).uint(u64::from(length), 2);
    head.octets(values).encode()
}

/// A list of records of template `id`.
fn sub_template(semantic: u8, id: u16, records: &[u8]) -> Vec<u8> {
    Value::new().uint(u64::from(semantic), 1).uint(u64::from(id), 2).octets(records).encode()
}

/// One group of a list of records of several templates.
fn group(id: u16, records: &[u8]) -> Vec<u8> {
    Value::new().uint(u64::from(id), 2).uint(records.len() as u64 + 4, 2).octets(records).encode()
}

/// Collects one record of protocol, octets, and one list. Templates 300 and 301 are
/// known: two of protocol-like numbers and a name, and lists of them.
fn with_list(element: u16, list: &[u8]) -> Collected {
    let inner = [Field::iana(58, 2), Field::iana(1, 4), Field::iana(460, VARIABLE)];
    let outer = [Field::iana(SUB_TEMPLATE, VARIABLE)];
    let fields = [Field::iana(4, 1), Field::iana(1, 4), Field::iana(element, VARIABLE), Field::iana(5, 1)];
    let record = Value::new().uint(6, 1).uint(1_500, 4).variable(list).uint(8, 1).encode();
    let message = ipfix().templates(&[(300, &inner), (301, &outer), (256, &fields)]);
    collect(&[message.data(256, &[record]).encode()])
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// One record comes of a record with `list`: its fields around the list, and the
/// list as received, are there whatever becomes of the list. `expected` holds besides.
#[track_caller]
fn check_list(element: u16, list: &[u8], n_kept: u64, expected: &Json) {
    let collected = with_list(element, list);
    assert_eq!(collected.flows.len(), 1, "{collected:#?}");
    assert_eq!(collected.count("lists_kept_as_received_total"), n_kept);
    assert_eq!(collected.count("datagrams_decoded_total"), 1);
    let flow = &collected.flows[0];
    assert_eq!((&flow["protocol"], &flow["src_tos"], &flow["bytes"]), (&json!(6), &json!(8), &json!(1_500)));
    assert_eq!(flow["other"][element.to_string()], hex(list), "{flow:#}");
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(flow[name], *value, "`{name}` of {flow:#}");
    }
}

/// What a list that was not taken apart leaves.
fn kept(element: u16, list: &[u8]) -> Json {
    json!({"other": {element.to_string(): hex(list)}, "vlan": null})
}

#[test]
fn str_01_a_basic_list_gives_its_elements_in_order() {
    let list =
        basic(ALL_OF, 83, VARIABLE, &Value::new().variable(b"a").variable(b"").variable(b"bc").encode());
    let other = json!({"291": hex(&list), "83": "61", "83#1": "", "83#2": "6263"});
    check_list(BASIC, &list, 0, &json!({"other": other}));
    let list = basic(ALL_OF, 58, 2, &[0, 7, 0, 9]);
    check_list(BASIC, &list, 0, &json!({"other": {"291": hex(&list), "58": "0007", "58#1": "0009"}}));
}

#[test]
fn str_01_a_basic_list_of_one_element_fills_its_column() {
    let list = basic(ALL_OF, 58, 2, &[0, 7]);
    check_list(BASIC, &list, 0, &json!({"vlan": 7, "other": {"291": hex(&list)}}));
}

#[test]
fn str_01_a_basic_list_may_be_empty() {
    for length in [2, VARIABLE, 0] {
        let list = basic(ALL_OF, 58, length, &[]);
        check_list(BASIC, &list, 0, &kept(BASIC, &list));
    }
}

#[test]
fn str_01_a_basic_list_of_an_enterprise_element_has_its_number() {
    let head = Value::new().uint(u64::from(ALL_OF), 1).uint(0x8000 | 77, 2).uint(1, 2).uint(6_871, 4);
    let list = head.octets(&[5, 6]).encode();
    check_list(BASIC, &list, 0, &json!({"other": {"291": hex(&list), "6871:77": "05", "6871:77#1": "06"}}));
}

#[test]
fn str_01_a_malformed_basic_list_is_kept_as_received() {
    for list in [
        vec![],
        vec![ALL_OF],
        vec![ALL_OF, 0, 58, 0],
        basic(ALL_OF, 58, 2, &[0, 7, 0]),
        basic(ALL_OF, 83, VARIABLE, &[3, b'a']),
        basic(ALL_OF, 58, 0, &[1]),
        basic(ALL_OF, 0x8000 | 77, 1, &[0, 0]),
    ] {
        check_list(BASIC, &list, 1, &kept(BASIC, &list));
    }
}

#[test]
fn str_02_records_of_a_list_follow_the_templates_of_their_session() {
    let records = Value::new().uint(7, 2).uint(10, 4).variable(b"a").uint(9, 2).uint(20, 4).variable(b"b");
    let list = sub_template(ALL_OF, 300, &records.encode());
    // Element 1 is in the record itself once: those of the list are numbered on.
    let other = json!({
        "292": hex(&list), "58": "0007", "1#1": "0000000a", "460": "61",
        "58#1": "0009", "1#2": "00000014", "460#1": "62",
    });
    check_list(SUB_TEMPLATE, &list, 0, &json!({"vlan": null, "other": other}));
}

#[test]
fn str_02_a_single_record_speaks_for_its_flow_but_counts_nothing() {
    let record = Value::new().uint(7, 2).uint(10, 4).variable(b"a").encode();
    let list = group(300, &record);
    let list = [&[ALL_OF], &list[..]].concat();
    let other = json!({"293": hex(&list), "1#1": "0000000a", "460": "61"});
    check_list(SUB_TEMPLATE_MULTI, &list, 0, &json!({"vlan": 7, "other": other}));
}

#[test]
fn str_02_lists_lie_in_lists() {
    let record = Value::new().uint(7, 2).uint(10, 4).variable(b"a").encode();
    let inner = sub_template(ALL_OF, 300, &record);
    let list = [&[ALL_OF][..], &group(301, &Value::new().variable(&inner).encode())].concat();
    check_list(
        SUB_TEMPLATE_MULTI,
        &list,
        0,
        &json!({"vlan": 7, "other": {"293": hex(&list), "1#1": "0000000a", "460": "61"}}),
    );
}

#[test]
fn str_02_lists_too_deep_are_kept_as_received() {
    let mut list = sub_template(ALL_OF, 300, &Value::new().uint(7, 2).uint(10, 4).variable(b"a").encode());
    let mut all = vec![list.clone()];
    for _ in 0..4 {
        list = sub_template(ALL_OF, 301, &Value::new().variable(&list).encode());
        all.push(list.clone());
    }
    check_list(SUB_TEMPLATE, &all[3], 0, &json!({"vlan": 7}));
    let other = json!({"292": hex(&all[4]), "292#1": hex(&all[0])});
    check_list(SUB_TEMPLATE, &all[4], 1, &json!({"vlan": null, "other": other}));
}

#[test]
fn str_02_lists_of_an_unknown_template_are_kept_with_their_record() {
    let list = sub_template(ALL_OF, 999, &[1, 2, 3]);
    check_list(SUB_TEMPLATE, &list, 1, &kept(SUB_TEMPLATE, &list));
    let known = group(300, &Value::new().uint(7, 2).uint(10, 4).variable(b"a").encode());
    let list = [&[ALL_OF][..], &known, &group(999, &[1])].concat();
    check_list(SUB_TEMPLATE_MULTI, &list, 1, &kept(SUB_TEMPLATE_MULTI, &list));
}

#[test]
fn str_02_lists_of_no_records_need_no_template() {
    let list = sub_template(ALL_OF, 999, &[]);
    check_list(SUB_TEMPLATE, &list, 0, &kept(SUB_TEMPLATE, &list));
    let list = [&[ALL_OF][..], &group(999, &[])].concat();
    check_list(SUB_TEMPLATE_MULTI, &list, 0, &kept(SUB_TEMPLATE_MULTI, &list));
    check_list(SUB_TEMPLATE_MULTI, &[ALL_OF], 0, &kept(SUB_TEMPLATE_MULTI, &[ALL_OF]));
}

#[test]
fn str_02_malformed_lists_reject_no_message() {
    let whole = group(300, &Value::new().uint(7, 2).uint(10, 4).variable(b"a").encode());
    for end in 1..whole.len() {
        let list = [&[ALL_OF][..], &whole[..end]].concat();
        check_list(SUB_TEMPLATE_MULTI, &list, 1, &kept(SUB_TEMPLATE_MULTI, &list));
    }
    let list = [ALL_OF, 1, 44, 0, 3];
    check_list(SUB_TEMPLATE_MULTI, &list, 1, &kept(SUB_TEMPLATE_MULTI, &list));
}

#[test]
fn str_02_fields_of_no_octets_are_stepped_over_but_not_any_number() {
    let list = sub_template(ALL_OF, 300, &[0, 7, 0, 9]);
    for (n_empty, n_kept, vlan) in [(2, 0, json!("0007")), (100, 1, json!(null))] {
        let mut inner = vec![Field::iana(58, 2)];
        inner.resize(1 + n_empty, Field::iana(83, 0));
        let message = ipfix().templates(&[(300, &inner), (256, &[Field::iana(SUB_TEMPLATE, VARIABLE)])]);
        let collected = collect(&[message.data(256, &[Value::new().variable(&list).encode()]).encode()]);
        assert_eq!(collected.count("lists_kept_as_received_total"), n_kept);
        assert_eq!(collected.flows[0]["other"]["58"], vlan, "{n_empty}");
    }
}

#[test]
fn str_02_records_in_fields_of_fixed_length_are_told_apart() {
    let fields = [Field::iana(4, 1), Field::iana(BASIC, 7)];
    let record = |vlan: u8| [&[6][..], &basic(ALL_OF, 58, 2, &[0, vlan])].concat();
    let message = ipfix().template(256, &fields).data(256, &[record(1), record(2), record(3)]);
    check(&[message.encode()], json!([{"vlan": 1}, {"vlan": 2}, {"vlan": 3}]));
}

#[test]
fn str_03_a_semantic_is_kept_as_its_number() {
    for semantic in [1, 2, 4, 5, 77, 255] {
        let list = basic(semantic, 58, 2, &[0, 7]);
        check_list(BASIC, &list, 0, &json!({"vlan": 7, "other": {"291": hex(&list)}}));
    }
}

#[test]
fn str_03_what_a_flow_has_none_of_fills_no_column() {
    let list = basic(NONE_OF, 58, 2, &[0, 7]);
    check_list(BASIC, &list, 0, &json!({"vlan": null, "other": {"291": hex(&list), "58": "0007"}}));
}
