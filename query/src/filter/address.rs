//! Addresses, prefixes and MAC addresses as they are typed.

use std::net::{IpAddr, Ipv4Addr};

use flow_common::addr::{Addr16, Prefix16};
use ipnet::IpNet;

use super::ast::Word;
use super::diagnostic::FilterError;
use super::number::ends;
use super::set::AddressRange;

/// Addresses a word stands for, and how it would be written without host bits, if it has
/// any.
pub(crate) struct Addresses {
    pub(crate) range: AddressRange,
    pub(crate) network: Option<IpNet>,
}

impl From<IpNet> for Addresses {
    fn from(net: IpNet) -> Self {
        let network = net.trunc();
        Self { range: Prefix16::from(net).into(), network: Some(network).filter(|_| network != net) }
    }
}

/// An address, a prefix or a range.
pub(crate) fn addresses(noun: &str, word: &Word, needs_length: bool) -> Result<Addresses, FilterError> {
    if let Ok(net) = word.text.parse::<IpNet>() {
        return Ok(net.into());
    }
    if let Ok(ip) = word.text.parse::<IpAddr>() {
        return if needs_length {
            Err(error(format!("`{noun}` needs a prefix length after `{}`", word.text), word)
                .hint(format!("for example `{noun} {ip}/24`")))
        } else {
            Ok(IpNet::from(ip).into())
        };
    }
    let pair = ends(&word.text)
        .and_then(|(low, high)| Some((low.parse::<IpAddr>().ok()?, high.parse::<IpAddr>().ok()?)));
    let Some((low, high)) = pair else { return Err(not_an_address(noun, word)) };
    if low.is_ipv4() != high.is_ipv4() {
        return Err(error(format!("range `{}` mixes IPv4 and IPv6", word.text), word)
            .hint("a range lies in one family; a list may have both"));
    }
    if high < low {
        return Err(error(format!("range `{}` ends before it begins", word.text), word)
            .hint(format!("did you mean `{noun} {high}-{low}`?")));
    }
    Ok(Addresses { range: AddressRange::new(Addr16::from(low), Addr16::from(high)), network: None })
}

fn not_an_address(noun: &str, word: &Word) -> FilterError {
    let text = word.text.as_str();
    let (head, length) = text.split_once('/').map_or((text, None), |(head, length)| (head, Some(length)));
    if head.parse::<IpAddr>().is_ok() {
        let longest = if head.contains(':') { 128 } else { 32 };
        let message = format!("`{}` is no prefix length", length.unwrap_or_default());
        return error(message, word).hint(format!("0 to {longest} for this family"));
    }
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let octets: Vec<&str> = head.trim_end_matches('.').split('.').collect();
    let is_dotted = octets.iter().all(|octet| is_digits(octet));
    let hint = if is_dotted && octets.len() < 4 {
        let full =
            (0..4).map(|index| octets.get(index).copied().unwrap_or("0")).collect::<Vec<_>>().join(".");
        let length = length.map_or(octets.len() as u64 * 8, |length| length.parse().unwrap_or(8));
        format!("write all four octets: `{noun} {full}/{length}`")
    } else if is_dotted && octets.len() > 4 {
        "an IPv4 address has four octets".into()
    } else if is_dotted {
        "each of four octets is 0 to 255".into()
    } else if head.eq_ignore_ascii_case("tor") {
        "there is no list of Tor exits here; name their addresses in a file: `ip in [@include tor.list]`"
            .into()
    } else if let Some(prefix) = wildcard(&octets) {
        format!("did you mean `{noun} {prefix}`?")
    } else if head.contains(|c: char| c.is_alphabetic()) && !head.contains(':') {
        "names are not looked up; give the address".into()
    } else {
        "for example `192.0.2.1`, `10.0.0.0/8` or `2001:db8::/32`".into()
    };
    error(format!("`{text}` is not an address"), word).hint(hint)
}

/// The prefix of `10.1.*.*`, `10.1.*` or `10.1.x.x`.
fn wildcard(octets: &[&str]) -> Option<String> {
    let is_wild = |octet: &&&str| matches!(**octet, "*" | "x" | "X");
    let known: Vec<_> = octets.iter().take_while(|octet| !is_wild(octet)).copied().collect();
    let is_one = known.len() < octets.len().min(4)
        && known.iter().all(|octet| octet.parse::<u8>().is_ok())
        && octets.iter().skip(known.len()).all(|octet| is_wild(&octet));
    let full = (0..4).map(|index| known.get(index).copied().unwrap_or("0")).collect::<Vec<_>>().join(".");
    is_one.then(|| format!("{full}/{}", known.len() * 8))
}

/// An IPv4 network with a dotted mask.
pub(crate) fn masked(noun: &str, address: &Word, mask: &Word) -> Result<Addresses, FilterError> {
    let ip: Ipv4Addr = address.text.parse().map_err(|_| not_an_address(noun, address))?;
    let not_a_mask =
        || error(format!("`{}` is not a network mask", mask.text), mask).hint("for example `255.255.255.0`");
    let bits = u32::from(mask.text.parse::<Ipv4Addr>().map_err(|_| not_a_mask())?);
    if bits.leading_ones() + bits.trailing_zeros() < 32 {
        return Err(not_a_mask());
    }
    let length = u8::try_from(bits.leading_ones()).unwrap_or(32);
    IpNet::new(ip.into(), length).map(Addresses::from).map_err(|_| not_a_mask())
}

/// Six octets, written with `:` or `-`, or as Cisco does with `.`; or a range of such.
pub(crate) fn macs(noun: &str, word: &Word) -> Result<(i64, i64), FilterError> {
    if let Some(mac) = mac(&word.text) {
        return Ok((mac, mac));
    }
    let half = word.text.len() / 2;
    let pair =
        word.text.split_once("..").or_else(|| Some((word.text.get(..half)?, word.text.get(half + 1..)?)));
    match pair.and_then(|(low, high)| Some((mac(low)?, mac(high)?))) {
        Some((low, high)) if low <= high => Ok((low, high)),
        Some(_) => Err(error(format!("range `{}` ends before it begins", word.text), word)
            .hint("the smaller address comes first")),
        None => Err(error(format!("`{}` is not a MAC address", word.text), word)
            .hint(format!("six octets: `{noun} 00:11:22:33:44:55`"))),
    }
}

fn mac(text: &str) -> Option<i64> {
    let digits: String = text.chars().filter(|c| !":-.".contains(*c)).collect();
    let is_hex = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    i64::from_str_radix(&digits, 16).ok().filter(|_| is_hex)
}

fn error(message: String, word: &Word) -> FilterError {
    FilterError::new(message, word.span.clone())
}
