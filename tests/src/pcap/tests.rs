//! Captures built by hand, octet by octet, and what is read from them.

use super::*;

const IPV4_SRC: &str = "10.0.0.1:40000";
const IPV4_DST: &str = "10.0.0.2:2055";

fn payload(src: &str, dst: &str, octets: &[u8], time_us: u64) -> UdpPayload {
    (src.parse().expect("an address"), dst.parse().expect("an address"), octets.to_vec(), time_us)
}

/// A capture of one frame, in the octet order and resolution of `magic`.
fn capture(magic: u32, big_endian: bool, link_type: u32, frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).expect("a short frame");
    let words = [magic, 0, 0, 0, 65_535, link_type, 7, 9_000, length, length];
    let octets = words.map(|word| if big_endian { word.to_be_bytes() } else { word.to_le_bytes() });
    [octets.concat().as_slice(), frame].concat()
}

/// The IPv4 packet inside a frame of ours.
fn ipv4_packet() -> Vec<u8> {
    let payload = payload(IPV4_SRC, IPV4_DST, b"flow", 0);
    ethernet_frame(payload.0, payload.1, &payload.2)[14..].to_vec()
}

#[track_caller]
fn check(link_type: u32, before_ip: &[u8]) {
    let frame = [before_ip, &ipv4_packet()].concat();
    let got = udp_payloads(&capture(0xa1b2_c3d4, false, link_type, &frame));
    assert_eq!(got, [payload(IPV4_SRC, IPV4_DST, b"flow", 7_009_000)]);
}

#[test]
fn link_types() {
    let mac = [0; 12];
    check(1, &[&mac[..], &[8, 0]].concat());
    check(1, &[&mac[..], &[0x81, 0, 0, 5, 8, 0]].concat());
    check(1, &[&mac[..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]].concat());
    check(0, &[2, 0, 0, 0]);
    check(108, &[0, 0, 0, 2]);
    check(12, &[]);
    check(101, &[]);
    check(113, &[&[0; 14][..], &[8, 0]].concat());
    check(276, &[&[8, 0][..], &[0; 18]].concat());
}

#[test]
fn octet_orders_and_resolutions() {
    let times_us = [(0xa1b2_c3d4, 7_009_000), (0xa1b2_3c4d, 7_000_009)];
    for (magic, time_us) in times_us {
        for big_endian in [false, true] {
            let got = udp_payloads(&capture(magic, big_endian, 101, &ipv4_packet()));
            assert_eq!(got, [payload(IPV4_SRC, IPV4_DST, b"flow", time_us)]);
        }
    }
}

#[test]
fn what_is_written_is_read() {
    let payloads = [
        payload(IPV4_SRC, IPV4_DST, b"", 0),
        payload(IPV4_SRC, IPV4_DST, &[0xab; 1_401], 1_795_254_584_000_001),
        payload("[fd00::1]:1", "[fd00::2]:4739", b"odd", 2),
    ];
    assert_eq!(udp_payloads(&write_pcap(&payloads)), payloads);
}

#[test]
fn checksums_are_right() {
    // A sum over data and its own checksum is all ones, so its complement is 0.
    let packet = ipv4_packet();
    assert_eq!(checksum(&[&packet[..20]]), 0);
    let pseudo_header = [&packet[12..20], &[0, 17, 0, 12]].concat();
    assert_eq!(checksum(&[&pseudo_header, &packet[20..]]), 0);
    // RFC 1071 §3: the words 0001 f203 f4f5 f6f7 sum up to ddf2.
    assert_eq!(checksum(&[&[0, 1, 0xf2, 3], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
}

#[track_caller]
fn check_left_out(offset: usize, octet: u8) {
    let mut packet = ipv4_packet();
    packet[offset] = octet;
    assert_eq!(udp_payloads(&capture(0xa1b2_c3d4, false, 101, &packet)), []);
}

#[test]
fn what_is_no_whole_datagram_is_left_out() {
    check_left_out(0, 0x44);
    check_left_out(0, 0x15);
    check_left_out(3, 200);
    check_left_out(6, 0x20);
    check_left_out(7, 1);
    check_left_out(9, 6);
    check_left_out(25, 7);
    check_left_out(25, 13);
}

#[test]
fn ipv6_extensions_are_stepped_over() {
    let payload = payload("[fd00::1]:1", "[fd00::2]:4739", b"flow", 7_009_000);
    let mut packet = ethernet_frame(payload.0, payload.1, &payload.2)[14..].to_vec();
    packet[5] += 8;
    packet[6] = 60;
    packet.splice(40..40, [17, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(udp_payloads(&capture(0xa1b2_c3d4, false, 229, &packet)), [payload]);
}

#[test]
fn any_cut_of_a_file_is_read_without_panic() {
    let whole = write_pcap(&[payload(IPV4_SRC, IPV4_DST, b"one", 1), payload(IPV4_SRC, IPV4_DST, b"two", 2)]);
    for end in 0..whole.len() {
        assert!(udp_payloads(&whole[..end]).len() < 2);
    }
}
