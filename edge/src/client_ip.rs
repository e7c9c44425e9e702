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

/// The address in a header, if it is one: a list could begin with what the client wrote.
pub fn from_header(value: &str) -> Option<IpAddr> {
    value.trim().parse().ok()
}

/// The address of the other end, which has a port.
pub fn from_peer(value: &str) -> Option<IpAddr> {
    let with_port = value.parse::<SocketAddr>().map(|peer| peer.ip());
    with_port.or_else(|_| value.parse()).ok()
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
}
