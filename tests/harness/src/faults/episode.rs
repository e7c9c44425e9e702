//! What breaks, when, and for how long: drawn from a seed, so that a run can be repeated.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::chance::Chance;
use crate::system::Link;

/// Links that may break. Without the origin there would be nothing to see.
const LINKS: [Link; 4] = [
    Link::IssuerDb,
    Link::IssuerKv,
    Link::EdgeKv,
    Link::EdgeIssuer,
];
const MOST_BLOWS: usize = 4;

/// How many of each there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) issuers: usize,
    pub(super) edges: usize,
}

/// Something that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// A link fails, at one of its ends or at all.
    Cut(Link, Option<usize>),
    /// Nothing passes over it, and nobody is told.
    Stall(Link, Option<usize>),
    /// `kill -9`, and a new start when it is over.
    KillIssuer(usize),
    /// SIGSTOP, and SIGCONT when it is over.
    FreezeIssuer(usize),
    /// `kill -9`, and a new start when it is over.
    KillEdge(usize),
}

/// A blow, and when in its episode it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Struck {
    pub(super) blow: Blow,
    pub(super) from: Duration,
    pub(super) until: Duration,
}

/// Blows that overlap. At its end all is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Episode(pub(super) Vec<Struck>);

impl Episode {
    /// One that takes a time of `length`.
    pub(super) fn draw(mut chance: Chance, length: &RangeInclusive<Duration>, size: Size) -> Self {
        let length = chance.between(length);
        let mut struck: Vec<Struck> = Vec::new();
        for _ in 0..=chance.below(MOST_BLOWS) {
            let blow = Blow::draw(&mut chance, size);
            let from = chance.between(&(Duration::ZERO..=length / 2));
            let until = chance.between(&(from + length / 4..=length));
            if struck.iter().all(|other| !other.blow.meets(blow)) {
                struck.push(Struck { blow, from, until });
            }
        }
        Self(struck)
    }
}

impl Blow {
    fn draw(chance: &mut Chance, size: Size) -> Self {
        match chance.below(10) {
            0 | 1 => Self::KillIssuer(chance.below(size.issuers)),
            2 => Self::FreezeIssuer(chance.below(size.issuers)),
            3 | 4 => Self::KillEdge(chance.below(size.edges)),
            kind => {
                let link = LINKS.get(chance.below(LINKS.len())).copied();
                let link = link.unwrap_or(Link::EdgeIssuer);
                let ends = match link {
                    Link::IssuerDb | Link::IssuerKv => size.issuers,
                    Link::EdgeKv | Link::EdgeIssuer | Link::EdgeOrigin => size.edges,
                };
                let end = (chance.below(2) == 0).then(|| chance.below(ends));
                if kind < 8 {
                    Self::Cut(link, end)
                } else {
                    Self::Stall(link, end)
                }
            }
        }
    }

    /// Whether both break the same thing, so that the end of one would mend the other.
    fn meets(self, other: Self) -> bool {
        use Blow::{Cut, FreezeIssuer, KillEdge, KillIssuer, Stall};
        match (self, other) {
            (Cut(one, _) | Stall(one, _), Cut(two, _) | Stall(two, _)) => one == two,
            (KillIssuer(one) | FreezeIssuer(one), KillIssuer(two) | FreezeIssuer(two))
            | (KillEdge(one), KillEdge(two)) => one == two,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        issuers: 2,
        edges: 8,
    };

    fn episode(seed: u64) -> Episode {
        let length = Duration::from_secs(10)..=Duration::from_secs(20);
        Episode::draw(Chance::new(seed), &length, SIZE)
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        assert_eq!(episode(7), episode(7));
        assert_ne!(episode(7), episode(8));
    }

    #[test]
    fn every_episode_breaks_something_once_and_mends_it_in_time() {
        for seed in 0..500 {
            let Episode(struck) = episode(seed);
            assert!((1..=MOST_BLOWS).contains(&struck.len()));
            for (index, one) in struck.iter().enumerate() {
                assert!(one.from < one.until && one.until <= Duration::from_secs(20));
                let others = struck.iter().skip(index + 1);
                assert!(others.into_iter().all(|other| !one.blow.meets(other.blow)));
            }
        }
    }

    #[test]
    fn everything_breaks_sooner_or_later() {
        let all: Vec<Blow> = (0..500)
            .flat_map(|seed| episode(seed).0)
            .map(|struck| struck.blow)
            .collect();
        for edge in 0..SIZE.edges {
            assert!(all.contains(&Blow::KillEdge(edge)));
            assert!(all.contains(&Blow::Stall(Link::EdgeIssuer, Some(edge))));
        }
        for issuer in 0..SIZE.issuers {
            assert!(all.contains(&Blow::KillIssuer(issuer)));
            assert!(all.contains(&Blow::FreezeIssuer(issuer)));
            assert!(all.contains(&Blow::Cut(Link::IssuerDb, Some(issuer))));
        }
        assert!(all.contains(&Blow::Cut(Link::EdgeKv, None)));
    }
}
