//! Who asks, by address.

use super::forwarded::{nth_from_right, parse_forwarded, parse_x_forwarded_for};
use http::header::{FORWARDED, HeaderName};
use http::{Extensions, Request};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address of the socket that a request came in by, as an extension of the request: for servers that are
/// not axum's. A bare [`SocketAddr`] does as well, and with feature `axum` its `ConnectInfo<SocketAddr>`.
#[doc(alias = "remote address")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The client's address as an account: behind as many proxies as you say, and no more.
///
/// Each proxy writes the address that it was called from at the *right* end of `X-Forwarded-For`. So behind *n*
/// proxies of yours the client is the *n*-th from the right, over all lines of the header; what stands left
/// of that, the client may have written itself, and it is not looked at. Behind none, the client is the peer of
/// the socket, and the headers are not read at all.
///
/// | request | `behind(0)` | `behind(1)` | `behind(2)` |
/// |---|---|---|---|
/// | from `10.0.0.7`, no header | 10.0.0.7 | – | – |
/// | from `10.0.0.7`, `X-Forwarded-For: 6.6.6.6, 203.0.113.9` | 10.0.0.7 | 203.0.113.9 | 6.6.6.6 |
///
/// So say exactly how many there are, and let nobody reach the service past them. What is not an address
/// in the chosen place is missing, as is a place that is not there: the request is then exempt, or shares one account with all
/// like it, as you choose by [`or_exempt`](Self::or_exempt) or [`or_shared`](Self::or_shared). It is never an error.
///
/// IPv6 is cut to the /64 that one customer gets, and an IPv4 address in IPv6 clothes is that IPv4 address.
///
/// ```
/// use plimsoll_http::ClientAddr;
/// use plimsoll_core::KeyedExt;
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
/// use std::net::IpAddr;
///
/// let limits = KeyedRateLimiter::<IpAddr>::new(Quota::per_second(10))?;
/// let gate = limits.by(ClientAddr::behind(1).or_shared());
///
/// # use plimsoll_core::Gate;
/// let ask = |from: &str| http::Request::builder().header("x-forwarded-for", from).body(()).unwrap();
/// assert!((0..10).all(|n| gate.admit(&ask(&format!("6.6.6.{n}, 203.0.113.9"))).is_ok()));
/// assert!(gate.admit(&ask("6.6.6.10, 203.0.113.9")).is_err()); // the same client
/// assert!(gate.admit(&ask("203.0.113.10")).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "X-Forwarded-For")]
#[doc(alias = "Forwarded")]
#[doc(alias = "client IP")]
#[doc(alias = "trusted proxy")]
#[doc(alias = "rate limit by IP")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "say what becomes of requests without an address: or_exempt, or_shared"]
pub struct ClientAddr {
    proxies: usize,
    forwarded: bool,
    ipv6_prefix: u8,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl ClientAddr {
    /// Behind so many trusted proxies, each of which appends to `X-Forwarded-For`. 0: the peer of the socket.
    pub const fn behind(proxies: usize) -> Self {
        ClientAddr { proxies, forwarded: false, ipv6_prefix: 64 }
    }

    /// The peer of the socket, whatever headers say: behind no proxy.
    pub const fn peer() -> Self {
        ClientAddr::behind(0)
    }

    /// Reads `Forwarded` (RFC 7239) in place of `X-Forwarded-For`: take the one that your proxies write. Of what
    /// they do not write, the client writes all.
    #[doc(alias = "RFC 7239")]
    pub const fn by_forwarded(mut self) -> Self {
        self.forwarded = true;
        self
    }

    /// How many bits of an IPv6 address tell clients apart, at most 128. Default 64.
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = if bits < 128 { bits } else { 128 };
        self
    }

    /// For `.by_option(..)`: requests without an address pass unasked and uncounted.
    pub fn or_exempt<B>(self) -> impl Fn(&Request<B>) -> Option<IpAddr> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request)
    }

    /// For `.by(..)`: all requests without an address share one account, that of `::`.
    pub fn or_shared<B>(self) -> impl Fn(&Request<B>) -> IpAddr + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }

    /// The client's address in this request.
    pub fn get<B>(&self, request: &Request<B>) -> Option<IpAddr> {
        let found = match self.proxies {
            0 => peer(request.extensions()).map(|peer| peer.ip()),
            n => {
                let name = if self.forwarded { FORWARDED } else { X_FORWARDED_FOR };
                let lines = request.headers().get_all(name).iter().rev().map(|line| line.as_bytes());
                let member = nth_from_right(lines, n, self.forwarded)?;
                if self.forwarded { parse_forwarded(member) } else { parse_x_forwarded_for(member) }
            }
        };
        found.map(|ip| mask(ip, self.ipv6_prefix))
    }
}

fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    if let Some(PeerAddr(peer)) = extensions.get() {
        return Some(*peer);
    }
    #[cfg(feature = "axum")]
    if let Some(peer) = super::axum::connect_info(extensions) {
        return Some(peer);
    }
    extensions.get::<SocketAddr>().copied()
}

fn mask(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            // None for a prefix of 0: nothing is left.
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
        ip => ip,
    }
}
