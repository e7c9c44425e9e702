//! A browser's cookies, as far as one site is concerned (RFC 6265 §5.3): names, values, and when they run out.

use std::time::Duration;

use shared::time::UnixMillis;

#[derive(Clone, Debug, Default)]
pub(super) struct Jar(Vec<Cookie>);

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    until: Option<UnixMillis>,
}

impl Jar {
    /// Does what `Set-Cookie` headers say.
    pub(super) fn take(&mut self, set_cookies: &[&str], now: UnixMillis) {
        for header in set_cookies {
            let mut parts = header.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            self.remove(name);
            let max_age = parts
                .filter_map(|part| part.split_once('='))
                .find(|(attribute, _)| attribute.eq_ignore_ascii_case("max-age"));
            let until = match max_age.map(|(_, seconds)| seconds.parse::<i64>().unwrap_or(0)) {
                Some(seconds) if seconds <= 0 => continue,
                Some(seconds) => Some(now.plus(Duration::from_secs(seconds.unsigned_abs()))),
                None => None,
            };
            self.0.push(Cookie {
                name: name.to_owned(),
                value: value.to_owned(),
                until,
            });
        }
    }

    /// Those that have not run out, in the order in which they were set.
    pub(super) fn live(&self, now: UnixMillis) -> Vec<(String, String)> {
        let live = self
            .0
            .iter()
            .filter(|cookie| cookie.until.is_none_or(|until| now < until));
        live.map(|cookie| (cookie.name.clone(), cookie.value.clone()))
            .collect()
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            until: None,
        });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|cookie| cookie.name != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_replaced_removed_and_run_out() {
        let mut jar = Jar::default();
        let now = UnixMillis::from_millis(1_000_000);
        jar.take(&["a=1; Max-Age=10; Path=/", "b=2; Secure"], now);
        jar.take(&["a=3; max-age=20"], now);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(jar.live(now), [pair("b", "2"), pair("a", "3")]);
        assert_eq!(
            jar.live(now.plus(Duration::from_secs(20))),
            [pair("b", "2")]
        );
        jar.take(&["b=; Max-Age=0"], now);
        assert_eq!(jar.live(now), [pair("a", "3")]);
    }
}
