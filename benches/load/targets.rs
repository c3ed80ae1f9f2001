//! What was promised of the figures, each as a ratio within one run.

use std::fmt;

use crate::{
    book::{Book, Contender, Turn},
    plan::{CHECK, CHECK_PACED, REGISTER, START, START_AND_MAIL, START_PACED, VALIDATE, WRONG_CHECK},
    report::Results,
    sign_ins::SignInFigures,
};

/// Where only one number of connections is compared.
const SOME: usize = 32;

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One target and what came of it.
pub struct Target {
    name: String,
    /// None when it was not measured.
    figure: Option<f64>,
    bound: Bound,
}

impl Target {
    pub fn is_met(&self) -> bool {
        self.figure.is_some_and(|figure| match self.bound {
            Bound::AtLeast(least) => figure >= least,
            Bound::AtMost(most) => figure <= most,
        })
    }
}

impl fmt::Display for Target {
    /// As `name: 0.91 (≥ 0.85)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = self.figure.map_or_else(|| "not measured".to_owned(), |figure| format!("{figure:.2}"));
        match self.bound {
            Bound::AtLeast(least) => write!(f, "{}: {figure} (≥ {least})", self.name),
            Bound::AtMost(most) => write!(f, "{}: {figure} (≤ {most})", self.name),
        }
    }
}

fn at_least(name: String, figure: Option<f64>, least: f64) -> Target {
    Target { name, figure, bound: Bound::AtLeast(least) }
}

fn at_most(name: String, figure: Option<f64>, most: f64) -> Target {
    Target { name, figure, bound: Bound::AtMost(most) }
}

type Side = (&'static str, Contender);

/// How many times one figure is the other: the median over the turns, each held against the rival's of the same number. None unless
/// both had as many.
fn ratio(book: &Book, one: Side, other: Side, connections: usize, figure: impl Fn(&Turn) -> f64) -> Option<f64> {
    let turns = |(scenario, contender): Side| Some(&book.find(scenario, contender, connections)?.turns);
    let (one, other) = (turns(one)?, turns(other)?);
    let ratios = one.iter().zip(other).map(|(one, other)| figure(one) / figure(other));
    if one.len() == other.len() { median(ratios.collect()) } else { None }
}

/// None of none, and of what is not a number.
fn median(mut figures: Vec<f64>) -> Option<f64> {
    if figures.iter().any(|figure| figure.is_nan()) {
        return None;
    }
    figures.sort_by(f64::total_cmp);
    let (lower, upper) = (figures.get(figures.len().checked_sub(1)? / 2)?, figures.get(figures.len() / 2)?);
    Some(f64::midpoint(*lower, *upper))
}

/// All of them.
pub fn targets(results: &Results<'_>) -> Vec<Target> {
    let mut targets = Vec::new();
    for &connections in &results.bench.extent.targeted {
        beside_bare(&mut targets, &results.bench.book, connections);
    }
    for &connections in &results.bench.extent.targeted {
        beside_the_old(&mut targets, &results.bench.book, connections);
    }
    for &connections in &results.bench.extent.targeted {
        embedded(&mut targets, &results.bench.book, connections);
        over_https(&mut targets, results.https, connections);
    }
    single_figures(&mut targets, results);
    targets.push(of_sign_ins(results.sign_ins));
    targets
}

pub fn of_sign_ins(figures: &SignInFigures) -> Target {
    at_least("sign-ins / bare argon2".to_owned(), figures.of_bare(), 0.75)
}

/// Start and check on Redis.
pub fn beside_bare(targets: &mut Vec<Target>, book: &Book, connections: usize) {
    for (scenario, paced) in [(START, START_PACED), (CHECK, CHECK_PACED)] {
        let rate = ratio(book, (scenario, Contender::Fiador), (scenario, Contender::Bare), connections, |turn| turn.rate);
        targets.push(at_least(format!("{scenario}, {connections} connections, of the bare reference"), rate, 0.85));
        let p99 = |turn: &Turn| turn.p99;
        let slower = ratio(book, (paced, Contender::Fiador), (paced, Contender::Bare), connections, p99);
        targets.push(at_most(format!("p99 of {scenario}, {connections} connections, of the bare reference's"), slower, 1.2));
    }
}

fn beside_the_old(targets: &mut Vec<Target>, book: &Book, connections: usize) {
    let (fiador, express) = (Contender::Fiador, Contender::Express);
    let compare = |one: Side, other: Side| ratio(book, one, other, connections, |turn| turn.rate);
    let of_start = compare((START_AND_MAIL, fiador), (START, fiador));
    targets.push(at_least(format!("sustained start and mail, {connections} connections, of start alone"), of_start, 0.3));
    let of_register = compare((START_AND_MAIL, fiador), (REGISTER, express));
    targets.push(at_least(format!("start and mail, {connections} connections, of the old design's register"), of_register, 20.0));
    let of_validate = compare((CHECK, fiador), (VALIDATE, express));
    targets.push(at_least(format!("check, {connections} connections, of the old design's validate"), of_validate, 20.0));
}

/// Start and check on the embedded store.
pub fn embedded(targets: &mut Vec<Target>, book: &Book, connections: usize) {
    for scenario in [START, CHECK] {
        let (embedded, bare) = ((scenario, Contender::FiadorEmbedded), (scenario, Contender::BareRedb));
        let rate = ratio(book, embedded, bare, connections, |turn| turn.rate);
        targets.push(at_least(
            format!("embedded {scenario}, {connections} connections, of a bare handler over redb"),
            rate,
            0.85,
        ));
    }
}

fn over_https(targets: &mut Vec<Target>, book: &Book, connections: usize) {
    for scenario in [START, CHECK] {
        let (https, plain) = ((scenario, Contender::FiadorHttps), (scenario, Contender::Fiador));
        let rate = ratio(book, https, plain, connections, |turn| turn.rate);
        targets.push(at_least(format!("{scenario} over HTTPS, {connections} connections, of plain HTTP"), rate, 0.85));
    }
}

fn single_figures(targets: &mut Vec<Target>, results: &Results<'_>) {
    let singles = &results.bench.singles;
    targets.push(at_most("idle, percent of a core".to_owned(), Some(singles.idle_share * 100.0), 0.5));
    targets.push(at_most("idle, MiB resident".to_owned(), Some(singles.idle_mib), 30.0));
    targets.push(at_most("bytes in Redis, a live verification".to_owned(), Some(singles.bytes_each), 700.0));
    targets.push(at_most("bytes in Redis, one whose mail waits".to_owned(), Some(singles.bytes_each_waiting), 700.0));
    for scenario in [START, WRONG_CHECK] {
        let (full, empty) = ((scenario, Contender::FiadorFull), (scenario, Contender::Fiador));
        let rate = ratio(results.full, full, empty, SOME, |turn| turn.rate);
        targets.push(at_least(format!("{scenario}, {SOME} connections, with {} live of with none", singles.filled), rate, 0.9));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_an_odd_count_and_between_the_two_of_an_even_one() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![1.0, f64::NAN, 2.0]), None);
        assert_eq!(median(vec![3.0, 1.0, 9.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }
}
