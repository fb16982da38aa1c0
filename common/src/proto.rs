//! Protocol numbers and TCP flags, parsed and printed side by side.

use std::fmt;

/// ICMP for IPv4.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMP6: u8 = 58;

/// Names as nfdump prints them, at most 5 characters, by IANA number.
const PROTOCOLS: [(u8, &str); 137] = [
    (1, "ICMP"),
    (2, "IGMP"),
    (3, "GGP"),
    (4, "IPIP"),
    (5, "ST"),
    (6, "TCP"),
    (7, "CBT"),
    (8, "EGP"),
    (9, "IGP"),
    (10, "BBN"),
    (11, "NVPII"),
    (12, "PUP"),
    (13, "ARGUS"),
    (14, "ENCON"),
    (15, "XNET"),
    (16, "CHAOS"),
    (17, "UDP"),
    (18, "MUX"),
    (19, "DCN"),
    (20, "HMP"),
    (21, "PRM"),
    (22, "XNS"),
    (23, "Trnk1"),
    (24, "Trnk2"),
    (25, "Leaf1"),
    (26, "Leaf2"),
    (27, "RDP"),
    (28, "IRTP"),
    (29, "ISO-4"),
    (30, "NETBK"),
    (31, "MFENS"),
    (32, "MEINP"),
    (33, "DCCP"),
    (34, "3PC"),
    (35, "IDPR"),
    (36, "XTP"),
    (37, "DDP"),
    (38, "IDPR"),
    (39, "TP++"),
    (40, "IL"),
    (41, "IPv6"),
    (42, "SDRP"),
    (43, "Rte6"),
    (44, "Frag6"),
    (45, "IDRP"),
    (46, "RSVP"),
    (47, "GRE"),
    (48, "MHRP"),
    (49, "BNA"),
    (50, "ESP"),
    (51, "AH"),
    (52, "INLSP"),
    (53, "SWIPE"),
    (54, "NARP"),
    (55, "MOBIL"),
    (56, "TLSP"),
    (57, "SKIP"),
    (58, "ICMP6"),
    (59, "NOHE6"),
    (60, "OPTS6"),
    (61, "HOST"),
    (62, "CFTP"),
    (63, "NET"),
    (64, "SATNT"),
    (65, "KLAN"),
    (66, "RVD"),
    (67, "IPPC"),
    (68, "FS"),
    (69, "SATM"),
    (70, "VISA"),
    (71, "IPCV"),
    (72, "CPNX"),
    (73, "CPHB"),
    (74, "WSN"),
    (75, "PVP"),
    (76, "BSATM"),
    (77, "SUNND"),
    (78, "WBMON"),
    (79, "WBEXP"),
    (80, "ISOIP"),
    (81, "VMTP"),
    (82, "SVMTP"),
    (83, "VINES"),
    (84, "TTP"),
    (85, "NSIGP"),
    (86, "DGP"),
    (87, "TCP"),
    (88, "EIGRP"),
    (89, "OSPF"),
    (90, "S-RPC"),
    (91, "LARP"),
    (92, "MTP"),
    (93, "AX.25"),
    (94, "OS"),
    (95, "MICP"),
    (96, "SCCSP"),
    (97, "ETHIP"),
    (98, "ENCAP"),
    (99, "99"),
    (100, "GMTP"),
    (101, "IFMP"),
    (102, "PNNI"),
    (103, "PIM"),
    (104, "ARIS"),
    (105, "SCPS"),
    (106, "QNX"),
    (107, "A/N"),
    (108, "IPcmp"),
    (109, "SNP"),
    (110, "CpqPP"),
    (111, "IPXIP"),
    (112, "VRRP"),
    (113, "PGM"),
    (114, "0hop"),
    (115, "L2TP"),
    (116, "DDX"),
    (117, "IATP"),
    (118, "STP"),
    (119, "SRP"),
    (120, "UTI"),
    (121, "SMP"),
    (122, "SM"),
    (123, "PTP"),
    (124, "ISIS4"),
    (125, "FIRE"),
    (126, "CRTP"),
    (127, "CRUDP"),
    (128, "SSCOP"),
    (129, "IPLT"),
    (130, "SPS"),
    (131, "PIPE"),
    (132, "SCTP"),
    (133, "FC"),
    (134, "134"),
    (135, "MHEAD"),
    (136, "UDP-L"),
    (137, "MPLS"),
];

/// A protocol number that prints as nfdump prints it: its name, or the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Reads a number or a name. A case-insensitive prefix of a name is enough,
    /// as in nfdump; an exact name wins over a prefix, a lower number over a higher.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self(number));
        }
        let matches = |exact: bool| {
            PROTOCOLS.iter().find(|(_, name)| {
                name.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text))
                    && (!exact || name.len() == text.len())
            })
        };
        if text.is_empty() {
            return None;
        }
        matches(true).or_else(|| matches(false)).map(|&(number, _)| Self(number))
    }

    /// The name, if the number has one.
    pub fn name(self) -> Option<&'static str> {
        let index = usize::from(self.0).checked_sub(1)?;
        PROTOCOLS.get(index).map(|&(_, name)| name)
    }

    /// All names, for "did you mean".
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROTOCOLS.iter().map(|&(_, name)| name)
    }

    /// Whether this is ICMP of either family.
    pub fn is_icmp(self) -> bool {
        matches!(self.0, ICMP | ICMP6)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// The low eight TCP flags, from the highest bit: CWR ECE URG ACK PSH RST SYN FIN.
const FLAG_LETTERS: [u8; 8] = *b"CEUAPRSF";

/// TCP control bits that print as nfdump's 8 characters, `...AP.SF`. Bits above
/// the eighth are stored, not printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// Reads letters of `CEUAPRSF`; `X` stands for all. `None` at an unknown letter.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.bytes().try_fold(Self(0), |flags, letter| match letter {
            b'X' => Some(Self(flags.0 | 0xff)),
            _ => {
                let index = FLAG_LETTERS.iter().position(|&known| known == letter)?;
                Some(Self(flags.0 | 0x80 >> index))
            }
        })
    }

    /// The eight characters.
    pub fn letters(self) -> [u8; 8] {
        std::array::from_fn(|index| if self.0 & (0x80 >> index) != 0 { FLAG_LETTERS[index] } else { b'.' })
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.letters()).unwrap_or("........"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_listed_by_number_without_a_gap() {
        for (index, (number, name)) in PROTOCOLS.iter().enumerate() {
            assert_eq!(usize::from(*number), index + 1, "{name}");
            assert!(name.len() <= 5, "{name}");
        }
    }

    #[test]
    fn protocols_parse_as_nfdump_does() {
        let check = |text: &str, number: Option<u8>| {
            assert_eq!(Protocol::parse(text), number.map(Protocol), "{text}");
        };
        check("tcp", Some(6));
        check("6", Some(6));
        check("ic", Some(1));
        check("icmp6", Some(58));
        check("IPv6", Some(41));
        check("foo", None);
        check("", None);
        check("256", None);
    }

    #[test]
    fn flags_print_and_parse() {
        assert_eq!(TcpFlags(0x1b).to_string(), "...AP.SF");
        assert_eq!(TcpFlags::parse("SA"), Some(TcpFlags(0x12)));
        assert_eq!(TcpFlags::parse("X"), Some(TcpFlags(0xff)));
        assert_eq!(TcpFlags::parse("Q"), None);
        assert_eq!(TcpFlags(0x100).to_string(), "........");
    }
}
