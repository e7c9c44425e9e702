//! Requests by the client's address, counted in this process: what it takes to refuse a flood costs neither SQL nor argon2.
//! Two issuers let through twice as much.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter, clock::Reference as _};

use super::ticks::Ticks;
use super::{Exceeded, Limit, Usage};
use crate::config::{LimitSettings, Rate};
use crate::time::Clock;

/// How many addresses are told apart at once by each limit. Past it a new one is counted together with its neighbours, so that
/// nobody who has many addresses can fill the memory.
const MOST_ADDRESSES: usize = 100_000;

type Limiter = RateLimiter<Network, DashMapStateStore<Network>, Ticks, StateInformationMiddleware>;

/// The limits by address.
pub struct Addresses {
    counted: Vec<Counted>,
}

struct Counted {
    limit: Limit,
    rate: Rate,
    clock: Ticks,
    limiter: Limiter,
    most: usize,
}

impl Addresses {
    /// Those that are not off, with nothing counted yet.
    pub fn new(settings: &LimitSettings, clock: &Clock) -> Self {
        let counted = [
            (Limit::SignIn, settings.sign_in),
            (Limit::Refresh, settings.refresh),
            (Limit::Admin, settings.admin),
            (Limit::OAuth, settings.oauth),
            (Limit::Other, settings.other),
        ];
        let counted = counted
            .into_iter()
            .filter_map(|(limit, rate)| Counted::new(limit, rate?, clock, MOST_ADDRESSES));
        Self {
            counted: counted.collect(),
        }
    }

    /// Counts a request from `address`. Nothing comes of it where the limit is off.
    ///
    /// # Errors
    /// [`Exceeded`] where the address has none left; the request counts for nothing then.
    pub fn check(&self, limit: Limit, address: IpAddr) -> Result<Option<Usage>, Exceeded> {
        let counted = self.counted.iter().find(|counted| counted.limit == limit);
        counted
            .map(|counted| counted.check(Network::of(address)))
            .transpose()
    }

    /// Forgets addresses whose allowance is whole again.
    pub fn forget_idle(&self) {
        for counted in &self.counted {
            counted.limiter.retain_recent();
            counted.limiter.shrink_to_fit();
        }
    }
}

impl Counted {
    fn new(limit: Limit, rate: Rate, clock: &Clock, most: usize) -> Option<Self> {
        let quota = Quota::with_period(rate.interval())?.allow_burst(rate.count);
        let clock = Ticks(clock.clone());
        let limiter = Limiter::new(quota, DashMapStateStore::default(), clock.clone());
        Some(Self {
            limit,
            rate,
            clock,
            limiter,
            most,
        })
    }

    fn check(&self, network: Network) -> Result<Usage, Exceeded> {
        let is_full = self.limiter.len() >= self.most;
        let network = if is_full { network.wider() } else { network };
        let usage = |remaining, wait| Usage {
            limit: self.limit,
            rate: self.rate,
            remaining,
            wait,
        };
        match self.limiter.check_key(&network) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = self.rate.count.get().saturating_sub(remaining);
                Ok(usage(remaining, self.rate.interval() * used))
            }
            Err(until) => {
                let now = governor::clock::Clock::now(&self.clock);
                let wait = until.earliest_possible().duration_since(now).into();
                Err(Exceeded(usage(0, Duration::max(wait, MILLISECOND))))
            }
        }
    }
}

/// The clock ticks in milliseconds.
const MILLISECOND: Duration = Duration::from_millis(1);

/// Who counts as one: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber has at least (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Self {
        Self::cut(address, 32, 64)
    }

    /// What a provider holds, about: a /16 of IPv4, a /32 of IPv6.
    fn wider(self) -> Self {
        Self::cut(self.0, 16, 32)
    }

    /// The first so many bits. An IPv4 address that is written as IPv6 (RFC 4291 §2.5.5.2) is the IPv4 address.
    fn cut(address: IpAddr, v4: u32, v6: u32) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4_address) => IpAddr::V4(Ipv4Addr::from_bits(
                v4_address.to_bits() & (u32::MAX << (32 - v4)),
            )),
            IpAddr::V6(v6_address) => IpAddr::V6(Ipv6Addr::from_bits(
                v6_address.to_bits() & (u128::MAX << (128 - v6)),
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rate;
    use super::*;

    fn addresses(sign_in: Rate) -> (Addresses, Clock) {
        let clock = Clock::system();
        let settings = LimitSettings {
            sign_in: Some(sign_in),
            ..LimitSettings::default()
        };
        (Addresses::new(&settings, &clock), clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn so_many_at_once_then_one_in_each_share_of_the_time() {
        let (addresses, clock) = addresses(rate(3, 60));
        let ask = || addresses.check(Limit::SignIn, ip("192.0.2.1"));
        let remaining: Vec<_> = (0..3).map(|_| ask().unwrap().unwrap().remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let Exceeded(usage) = ask().unwrap_err();
        assert!(
            usage.remaining == 0 && (19..=20).contains(&usage.wait_secs()),
            "{usage:?}"
        );
        clock.advance(Duration::from_secs(usage.wait_secs()));
        assert!(ask().is_ok() && ask().is_err());
        assert!(
            addresses.check(Limit::SignIn, ip("192.0.2.2")).is_ok(),
            "another one"
        );
        assert_eq!(
            addresses.check(Limit::Refresh, ip("192.0.2.1")),
            Ok(None),
            "off"
        );
    }

    #[test]
    fn a_subscriber_is_one_whatever_the_spelling() {
        let same = |one, other| Network::of(ip(one)) == Network::of(ip(other));
        assert!(same("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(!same("192.0.2.7", "192.0.2.8"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        let wider = |one, other| Network::of(ip(one)).wider() == Network::of(ip(other)).wider();
        assert!(wider("192.0.2.7", "192.0.99.1") && !wider("192.0.2.7", "192.1.2.7"));
        assert!(wider("2001:db8:1:2::1", "2001:db8:ffff::1") && !wider("2001:db8::", "2001:db9::"));
    }

    #[test]
    fn past_so_many_addresses_neighbours_are_counted_together() {
        let clock = Clock::system();
        let counted = Counted::new(Limit::Other, rate(2, 60), &clock, 100).unwrap();
        for n in 0..10_000u32 {
            let _ = counted.check(Network::of(IpAddr::V4(Ipv4Addr::from_bits(
                0x0a00_0000 + n,
            ))));
        }
        assert!(counted.limiter.len() <= 101, "{}", counted.limiter.len());
        let elsewhere = counted.check(Network::of(ip("192.0.2.1")));
        assert!(
            elsewhere.is_ok(),
            "other networks are served: {elsewhere:?}"
        );
    }

    #[test]
    fn what_is_whole_again_is_forgotten() {
        let (addresses, clock) = addresses(rate(3, 60));
        for n in 0..50 {
            let _ = addresses.check(Limit::SignIn, IpAddr::V4(Ipv4Addr::from_bits(n)));
        }
        addresses.forget_idle();
        assert_eq!(addresses.counted[0].limiter.len(), 50);
        clock.advance(Duration::from_secs(61));
        addresses.forget_idle();
        assert_eq!(addresses.counted[0].limiter.len(), 0);
    }
}
