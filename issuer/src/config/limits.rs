//! How often things may be tried, as configured. What counts them is [`limits`](crate::limits).

use std::num::NonZeroU32;
use std::time::Duration;

use super::read::Reader;

/// So many in so long. All of them may come at once; then one more is allowed each time its share of the time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

impl Rate {
    /// Reads `60/1m`: at most a million, in a second to a day.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let rate = || {
            let (count, per) = text.split_once('/')?;
            let count: u32 = count.trim().parse().ok()?;
            let per = humantime::parse_duration(per.trim()).ok()?;
            let sensible = count <= 1_000_000 && (Duration::from_secs(1)..=DAY).contains(&per);
            Some(Self {
                count: NonZeroU32::new(count).filter(|_| sensible)?,
                per,
            })
        };
        rate().ok_or_else(|| {
            "must be a rate such as 60/1m, of 1 to 1000000 in 1s to 1day, or off".to_owned()
        })
    }

    /// The time after which one more is allowed. Never zero.
    pub fn interval(self) -> Duration {
        self.per / self.count.get()
    }
}

/// The limits; `None` where one is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// `LIMIT_SIGN_IN`: passwords and one-time links, by address.
    pub sign_in: Option<Rate>,
    /// `LIMIT_REFRESH`: refreshes, by address.
    pub refresh: Option<Rate>,
    /// `LIMIT_ADMIN`: administration, by address.
    pub admin: Option<Rate>,
    /// `LIMIT_OAUTH`: what clients call that are no browsers, by address.
    pub oauth: Option<Rate>,
    /// `LIMIT_OTHER`: everything else, by address.
    pub other: Option<Rate>,
    /// `LIMIT_ACCOUNT`: wrong passwords, by account; and as many again for each browser that the account has signed in with.
    pub account: Option<Rate>,
}

impl LimitSettings {
    /// `None` where one of them is a problem.
    pub(super) fn read(read: &mut Reader) -> Option<Self> {
        let mut rate = |name: &str, default: &str| {
            read.parsed(name, Some(default), |text| match text {
                "off" => Ok(None),
                text => Rate::parse(text).map(Some),
            })
        };
        let sign_in = rate("LIMIT_SIGN_IN", "60/1m");
        let refresh = rate("LIMIT_REFRESH", "600/1m");
        let admin = rate("LIMIT_ADMIN", "300/1m");
        let oauth = rate("LIMIT_OAUTH", "600/1m");
        let other = rate("LIMIT_OTHER", "3000/1m");
        let account = rate("LIMIT_ACCOUNT", "10/15m");
        Some(Self {
            sign_in: sign_in?,
            refresh: refresh?,
            admin: admin?,
            oauth: oauth?,
            other: other?,
            account: account?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_time() {
        let rate = Rate::parse("10/15m").unwrap();
        assert_eq!((rate.count.get(), rate.per), (10, Duration::from_secs(900)));
        assert_eq!(rate.interval(), Duration::from_secs(90));
        for bad in [
            "",
            "10",
            "/1m",
            "0/1m",
            "-1/1m",
            "10/0s",
            "10/2d",
            "1000001/1m",
            "10/m",
            "10/1m/1m",
            "OFF",
            "10/500ms",
        ] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
        assert!(!Rate::parse("1000000/1s").unwrap().interval().is_zero());
    }
}
