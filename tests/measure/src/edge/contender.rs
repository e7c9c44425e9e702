//! Who takes part.

use shared::key::Algorithm;

use crate::origin::{self, Says};

/// One service of the workerd under measurement.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// What tables call it.
    pub(crate) name: &'static str,
    /// What it runs.
    pub(crate) worker: Worker,
    /// Whose tokens the requests carry.
    pub(crate) algorithm: Algorithm,
    /// How many different ones.
    pub(crate) tokens: Tokens,
    /// What the origin says of its answers, if they come from there.
    pub(crate) answers: Says,
    /// The mark of a right answer.
    pub(crate) mark: &'static str,
    /// What it is compared with.
    pub(crate) baseline: Baseline,
}

/// What a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    /// Reads the cookie header and checks nothing.
    Floor,
    /// jose's `jwtVerify`, with or without one look into KV.
    Jose {
        /// Whether each request asks KV for its session.
        kv: bool,
    },
    /// The built worker, answering by itself where it would forward.
    Guard,
    /// A proxy that guards nothing, as it is documented.
    PassThrough,
    /// The same, which makes answers private.
    MarkingPassThrough,
    /// A proxy that does nothing that it could leave.
    LeastPassThrough,
    /// The built worker as it is deployed.
    Deployed,
}

/// How many different tokens requests carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// The same one each time: the isolate has verified its signature before.
    Same,
    /// Another one each time, out of many more than an isolate remembers.
    Different,
    /// The same one each time, beside another cookie each time: nothing that is kept by `Cookie` headers can be used.
    SameAmongOthers,
}

/// What a contender is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Baseline {
    /// [`Worker::Floor`].
    Floor,
    /// [`Worker::PassThrough`].
    PassThrough,
    /// [`Worker::MarkingPassThrough`]: the answers are the same.
    MarkingPassThrough,
}

impl Contender {
    /// Whether `other` is what this one is compared with.
    pub(crate) fn is_compared_with(&self, other: &Self) -> bool {
        let worker = match self.baseline {
            Baseline::Floor => Worker::Floor,
            Baseline::PassThrough => Worker::PassThrough,
            Baseline::MarkingPassThrough => Worker::MarkingPassThrough,
        };
        other.worker == worker && other.answers == self.answers
    }
}

/// Everyone, in the order of a round.
pub(crate) fn all() -> Vec<Contender> {
    use Algorithm::{EdDsa, Hs256};
    use Tokens::{Different, Same};
    let jose = Worker::Jose { kv: false };
    let jose_and_kv = Worker::Jose { kv: true };
    vec![
        answering(
            "floor: reads the cookie, no check",
            Worker::Floor,
            EdDsa,
            Same,
        ),
        answering("jose jwtVerify HS256", jose, Hs256, Same),
        answering("jose jwtVerify EdDSA", jose, EdDsa, Same),
        answering("jose jwtVerify HS256 + KV get", jose_and_kv, Hs256, Same),
        answering("guard HS256, warm token", Worker::Guard, Hs256, Same),
        answering("guard EdDSA, warm token", Worker::Guard, EdDsa, Same),
        answering("guard HS256, cold token", Worker::Guard, Hs256, Different),
        answering("guard EdDSA, cold token", Worker::Guard, EdDsa, Different),
        forwarding(
            "pass-through, private answers",
            Worker::PassThrough,
            Says::Private,
        ),
        forwarding(
            "least proxy, private answers",
            Worker::LeastPassThrough,
            Says::Private,
        ),
        forwarding(
            "guard forwarding, private answers",
            Worker::Deployed,
            Says::Private,
        ),
        Contender {
            tokens: Tokens::SameAmongOthers,
            ..forwarding(
                "guard forwarding, new Cookie text",
                Worker::Deployed,
                Says::Private,
            )
        },
        forwarding("pass-through in JS", Worker::PassThrough, Says::Nothing),
        forwarding(
            "pass-through that marks private",
            Worker::MarkingPassThrough,
            Says::Nothing,
        ),
        forwarding("guard forwarding", Worker::Deployed, Says::Nothing),
    ]
}

const fn answering(
    name: &'static str,
    worker: Worker,
    algorithm: Algorithm,
    tokens: Tokens,
) -> Contender {
    let mark = match worker {
        Worker::Jose { .. } => "jose",
        Worker::Guard => "guard",
        _ => "floor",
    };
    Contender {
        name,
        worker,
        algorithm,
        tokens,
        answers: Says::Nothing,
        mark,
        baseline: Baseline::Floor,
    }
}

const fn forwarding(name: &'static str, worker: Worker, answers: Says) -> Contender {
    let mark = match worker {
        Worker::Deployed => origin::IDENTIFIED,
        _ => origin::UNTOUCHED,
    };
    // The guard makes private what the origin leaves open, so it is compared with a proxy that does.
    let baseline = match (worker, answers) {
        (Worker::Deployed, Says::Nothing) => Baseline::MarkingPassThrough,
        _ => Baseline::PassThrough,
    };
    Contender {
        name,
        worker,
        algorithm: Algorithm::EdDsa,
        tokens: Tokens::Same,
        answers,
        mark,
        baseline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_has_a_name_and_its_baseline_takes_part() {
        let all = all();
        for contender in &all {
            assert_eq!(
                all.iter()
                    .filter(|other| other.name == contender.name)
                    .count(),
                1
            );
            assert_eq!(
                all.iter()
                    .filter(|other| contender.is_compared_with(other))
                    .count(),
                1
            );
        }
    }
}
