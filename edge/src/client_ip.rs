//! Where the client's address comes from. Any client can write any header, so only what the way here vouches for counts.

use std::net::{IpAddr, SocketAddr};

/// What is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientIp {
    /// The runtime: `CF-Connecting-IP` on requests that came through Cloudflare, which overwrites it; in plain workerd
    /// whoever opened the connection.
    Runtime,
    /// This header: a proxy in front of the edge overwrites it.
    Header(String),
    /// Nothing.
    Nothing,
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A header of the request.
    Header(&'a str),
    /// The other end of the connection.
    Peer,
    /// Nowhere.
    Nowhere,
}

impl ClientIp {
    /// Reads the setting: nothing for the runtime, a header's name, or `none`. Nothing comes of what is none of them.
    pub fn parse(setting: Option<&str>) -> Option<Self> {
        let name = setting.unwrap_or_default().trim().to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        match name.as_str() {
            "" => Some(Self::Runtime),
            "none" => Some(Self::Nothing),
            _ => name.bytes().all(plain).then_some(Self::Header(name)),
        }
    }

    /// Where the address of a request's client is.
    pub fn source(&self, through_cloudflare: bool) -> Source<'_> {
        match self {
            Self::Runtime if through_cloudflare => Source::Header("cf-connecting-ip"),
            Self::Runtime => Source::Peer,
            Self::Header(name) => Source::Header(name),
            Self::Nothing => Source::Nowhere,
        }
    }
}

/// The address in a header, if it is one: a list could begin with what the client wrote. An IPv4 address that is written as
/// IPv6 (`::ffff:192.0.2.7`, RFC 4291 §2.5.5.2) is the IPv4 address.
pub fn from_header(value: &str) -> Option<IpAddr> {
    value
        .trim()
        .parse()
        .ok()
        .map(|ip: IpAddr| ip.to_canonical())
}

/// The address of the other end, which has a port; likewise, for a socket that listens for both kinds names its IPv4 peers
/// so.
pub fn from_peer(value: &str) -> Option<IpAddr> {
    let with_port = value.parse::<SocketAddr>().map(|peer| peer.ip());
    let ip = with_port.or_else(|_| value.parse()).ok()?;
    Some(ip.to_canonical())
}

/// What becomes of the `X-Forwarded-For` that came with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFor {
    /// The client's address takes its place: any client can write one.
    #[default]
    Replace,
    /// The client's address comes behind it: the proxies in front of the edge keep the list.
    Append,
}

impl ForwardedFor {
    /// Reads the setting: `replace`, which is also nothing, or `append`. Nothing comes of what is none of them.
    pub fn parse(setting: Option<&str>) -> Option<Self> {
        match setting.unwrap_or_default().trim() {
            "" | "replace" => Some(Self::Replace),
            "append" => Some(Self::Append),
            _ => None,
        }
    }
}

/// The `X-Forwarded-For` that goes on: the `list` that came, if it is to be kept, and behind it the client. Without either
/// there is none.
///
/// A proxy that names the client in a header of its own has put it at the end of its list as well; the other end of the
/// connection stands in no list yet.
pub fn forwarded_for(client: Option<IpAddr>, is_peer: bool, list: Option<&str>) -> Option<String> {
    let list = list.map(str::trim).filter(|list| !list.is_empty());
    let Some(client) = client else {
        return list.map(str::to_owned);
    };
    let Some(list) = list else {
        return Some(client.to_string());
    };
    let last = list.rsplit(',').next().and_then(from_header);
    Some(if !is_peer && last == Some(client) {
        list.to_owned()
    } else {
        format!("{list}, {client}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_way_here_vouches_for_is_believed() {
        for unset in [None, Some(""), Some("  ")] {
            let runtime = ClientIp::parse(unset).unwrap();
            assert_eq!(runtime.source(true), Source::Header("cf-connecting-ip"));
            assert_eq!(runtime.source(false), Source::Peer);
        }
        for through_cloudflare in [true, false] {
            let proxy = ClientIp::parse(Some("X-Real-IP")).unwrap();
            assert_eq!(
                proxy.source(through_cloudflare),
                Source::Header("x-real-ip")
            );
            let nothing = ClientIp::parse(Some("none")).unwrap();
            assert_eq!(nothing.source(through_cloudflare), Source::Nowhere);
        }
        for bad in ["x real ip", "x:y", "é", "x,y"] {
            assert_eq!(ClientIp::parse(Some(bad)), None, "{bad}");
        }
    }

    #[test]
    fn an_address_stands_alone() {
        let text = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string());
        assert_eq!(
            text(from_header(" 192.0.2.7 ")).as_deref(),
            Some("192.0.2.7")
        );
        assert_eq!(
            text(from_header("2001:db8::1")).as_deref(),
            Some("2001:db8::1")
        );
        for other in [
            "",
            "192.0.2.7, 198.51.100.1",
            "192.0.2.7:80",
            "localhost",
            "[::1]",
            "1",
        ] {
            assert_eq!(from_header(other), None, "{other}");
        }
        assert_eq!(
            text(from_peer("192.0.2.7:80")).as_deref(),
            Some("192.0.2.7")
        );
        assert_eq!(
            text(from_peer("[2001:db8::1]:80")).as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(
            text(from_peer("2001:db8::1")).as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(from_peer("unix:/run/edge.sock"), None);
    }

    #[test]
    fn an_ipv4_address_that_is_written_as_ipv6_is_one() {
        for text in ["::ffff:192.0.2.7", "::FFFF:c000:207", " ::ffff:192.0.2.7 "] {
            assert_eq!(from_header(text), from_header("192.0.2.7"), "{text}");
        }
        for text in ["[::ffff:192.0.2.7]:80", "::ffff:192.0.2.7"] {
            assert_eq!(from_peer(text), from_peer("192.0.2.7:80"), "{text}");
        }
        let other = "64:ff9b::c000:207";
        assert_eq!(from_header(other).unwrap().to_string(), other);
    }

    #[test]
    fn the_list_that_goes_on_ends_with_the_client() {
        let client = from_header("192.0.2.7");
        let list = |is_peer, list| forwarded_for(client, is_peer, list);
        for is_peer in [true, false] {
            assert_eq!(list(is_peer, None).as_deref(), Some("192.0.2.7"));
            assert_eq!(list(is_peer, Some(" ")).as_deref(), Some("192.0.2.7"));
            assert_eq!(
                list(is_peer, Some("198.51.100.1")).as_deref(),
                Some("198.51.100.1, 192.0.2.7")
            );
        }
        let ends_with_it = Some("198.51.100.1,::ffff:192.0.2.7");
        assert_eq!(list(false, ends_with_it).as_deref(), ends_with_it);
        assert_eq!(
            list(true, ends_with_it).as_deref(),
            Some("198.51.100.1,::ffff:192.0.2.7, 192.0.2.7")
        );
        assert_eq!(forwarded_for(None, true, None), None);
        assert_eq!(forwarded_for(None, false, Some("a")).as_deref(), Some("a"));
        assert_eq!(ForwardedFor::parse(None), Some(ForwardedFor::Replace));
        assert_eq!(
            ForwardedFor::parse(Some("append")),
            Some(ForwardedFor::Append)
        );
        assert_eq!(ForwardedFor::parse(Some("yes")), None);
    }
}
