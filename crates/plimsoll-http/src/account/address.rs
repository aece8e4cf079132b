//! Accounts by the address of the client.

use super::forwarded::{nth_from_right, parse_forwarded, parse_x_forwarded_for};
use http::header::{FORWARDED, HeaderName};
use http::{Extensions, Request};
use plimsoll_core::NoKey;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The socket address of the peer, as an extension of a request.
///
/// Insert it if the server is not axum's. A bare [`SocketAddr`] works as well. With feature `axum`,
/// so does axum's `ConnectInfo<SocketAddr>`.
#[doc(alias = "remote address")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The address of the client as an account, behind a known number of proxies.
///
/// Each proxy appends the address it was called from to the *right* end of `X-Forwarded-For`.
/// Behind *n* trusted proxies, the client is therefore the *n*-th address from the right, counted
/// over all lines of the header. Addresses further left may be inventions of the client and are
/// not read. Behind no proxy, the client is the peer of the socket, and no header is read.
///
/// | request | `behind(0)` | `behind(1)` | `behind(2)` |
/// |---|---|---|---|
/// | from `10.0.0.7`, no header | 10.0.0.7 | – | – |
/// | from `10.0.0.7`, `X-Forwarded-For: 6.6.6.6, 203.0.113.9` | 10.0.0.7 | 203.0.113.9 | 6.6.6.6 |
///
/// State the exact number of proxies, and make sure that no client can bypass them. If there is no
/// valid address in that place, the request has none. Choose what happens to such requests:
///
/// | closure | attach with | a request without an address |
/// |---|---|---|
/// | [`or_rejected`](Self::or_rejected) | `.by_required(..)` | is rejected: 400, reason `Unidentified` |
/// | [`or_shared`](Self::or_shared) | `.by(..)` | shares one account with all such requests |
/// | [`or_exempt`](Self::or_exempt) | `.by_option(..)` | passes; the guard emits `Unguarded` |
///
/// The compiler finds most mix-ups, at the method or where the gate is used. It accepts
/// `.by(client.or_exempt())` if the key of the guard can be an `Option`. All requests without an
/// address share one account then.
///
/// ```compile_fail
/// # use plimsoll_core::KeyedExt;
/// # use plimsoll_limit::{KeyedRateLimiter, Quota};
/// # let limits = KeyedRateLimiter::<std::net::IpAddr>::new(Quota::per_second(1)).unwrap();
/// # let client = plimsoll_http::ClientAddr::peer();
/// # let right = limits.by_required(client.or_rejected::<()>());
/// let wrong = limits.by_option(client.or_rejected::<()>()); // fits `.by_required(..)`
/// ```
///
/// IPv6 addresses are cut to the /64 of one network. An IPv6 address that is mapped or translated
/// from IPv4 (`::ffff:0:0/96`, `64:ff9b::/96`) counts as that IPv4 address.
///
/// A site is often assigned a /48, which has 65,536 networks, each an account of its own. They fill
/// a quarter of a keyed limiter's default table. Together they also have 65,536 quotas: to limit
/// the site as well, put a limiter by [`ipv6_prefix(48)`](Self::ipv6_prefix) in front.
///
/// ```
/// use plimsoll_http::ClientAddr;
/// use plimsoll_core::{Gate, KeyedExt};
/// use plimsoll_limit::{KeyedRateLimiter, Quota};
/// use std::net::IpAddr;
///
/// let (client, each) = (ClientAddr::behind(1), Quota::per_day(100));
/// let networks = KeyedRateLimiter::<IpAddr>::new(each)?;
/// let sites = KeyedRateLimiter::<IpAddr>::builder().name("sites").quota(Quota::per_day(500));
/// let sites = sites.build()?;
/// let gate = (sites.by(client.ipv6_prefix(48).or_shared()), networks.by(client.or_shared()));
///
/// # let request = |from: u64| {
/// #     let address = std::net::Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(from) << 64);
/// #     http::Request::builder().header("x-forwarded-for", address.to_string()).body(()).unwrap()
/// # };
/// let admitted = (0..2_000).filter(|network| gate.admit(&request(*network)).is_ok()).count();
/// assert_eq!(admitted, 500); // all networks of one site together
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
/// let request = |from: &str| http::Request::builder().header("x-forwarded-for", from).body(()).unwrap();
/// assert!((0..10).all(|n| gate.admit(&request(&format!("6.6.6.{n}, 203.0.113.9"))).is_ok()));
/// assert!(gate.admit(&request("6.6.6.10, 203.0.113.9")).is_err()); // the same client
/// assert!(gate.admit(&request("203.0.113.10")).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "X-Forwarded-For")]
#[doc(alias = "Forwarded")]
#[doc(alias = "client IP")]
#[doc(alias = "trusted proxy")]
#[doc(alias = "rate limit by IP")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "choose what happens to requests without an address: or_rejected, or_shared or or_exempt"]
pub struct ClientAddr {
    proxies: usize,
    forwarded: bool,
    ipv6_prefix: u8,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl ClientAddr {
    /// Creates an account behind `proxies` trusted proxies.
    ///
    /// Each of them appends to `X-Forwarded-For`. If `proxies` is 0, the client is the
    /// [peer](Self::peer) of the socket.
    pub const fn behind(proxies: usize) -> Self {
        ClientAddr { proxies, forwarded: false, ipv6_prefix: 64 }
    }

    /// Creates an account by the peer of the socket. No header is read.
    ///
    /// In axum this needs feature `axum` and `into_make_service_with_connect_info::<SocketAddr>()`.
    /// Without either of them no request has a peer's address. Then all requests are rejected with
    /// [`or_rejected`](Self::or_rejected), all clients are one account with
    /// [`or_shared`](Self::or_shared), and no client is limited with
    /// [`or_exempt`](Self::or_exempt). So prefer `or_rejected`, which shows the mistake with the
    /// first request.
    pub const fn peer() -> Self {
        ClientAddr::behind(0)
    }

    /// Reads `Forwarded` (RFC 7239) instead of `X-Forwarded-For`.
    ///
    /// Use the header that your proxies write. One that they do not write is written by the client.
    #[doc(alias = "RFC 7239")]
    pub const fn by_forwarded(mut self) -> Self {
        self.forwarded = true;
        self
    }

    /// Sets the number of leading bits that distinguish the IPv6 addresses of two clients.
    ///
    /// A larger number counts as 128. Default: 64. Range: 0 to 128.
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = if bits < 128 { bits } else { 128 };
        self
    }

    /// Returns a closure for `.by_option(..)`. Requests without an address pass uncounted, and each
    /// of them is an event.
    pub fn or_exempt<B>(self) -> impl Fn(&Request<B>) -> Option<IpAddr> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request)
    }

    /// Returns a closure for `.by(..)`. Requests without an address share the account `::`.
    pub fn or_shared<B>(self) -> impl Fn(&Request<B>) -> IpAddr + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }

    /// Returns a closure for `.by_required(..)`. Requests without an address are rejected.
    pub fn or_rejected<B>(
        self,
    ) -> impl Fn(&Request<B>) -> Result<IpAddr, NoKey> + Clone + Send + Sync + 'static {
        move |request: &Request<B>| self.get(request).ok_or(NoKey)
    }

    /// Returns the address of the client that sent `request`, if it is known.
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
        // The prefix of IPv4/IPv6 translators (RFC 6052): all of IPv4 is in one /64.
        IpAddr::V6(ip) if ip.to_bits() >> 32 == 0x64_ff9b << 64 => {
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() as u32))
        }
        IpAddr::V6(ip) => {
            // A shift by 128 overflows: a prefix of 0 keeps no bit.
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
        ip => ip,
    }
}
