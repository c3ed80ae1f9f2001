//! What came of a campaign, for people.

use std::{collections::BTreeMap, fmt};

use super::{
    history::Story,
    trouble::Fault,
    violation::{Breach, Violation},
};

/// Violations that are told at length.
const MOST_TOLD: usize = 5;

#[derive(Default)]
pub struct Report {
    pub seed: u64,
    pub faults: BTreeMap<Fault, usize>,
    /// How many there were of each kind with each outcome.
    pub operations: BTreeMap<(&'static str, &'static str), usize>,
    pub addresses: usize,
    pub undecided: usize,
    pub mails: usize,
    pub violations: Vec<Violation>,
}

impl Report {
    pub fn count(&mut self, story: &Story) {
        self.addresses += 1;
        for event in &story.events {
            *self.operations.entry((event.ask.kind(), event.answer.kind())).or_default() += 1;
        }
    }

    pub fn has(&self, breach: Breach) -> bool {
        self.violations.iter().any(|violation| violation.breach == breach)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: usize = self.faults.values().sum();
        writeln!(f, "\nfaults: {total}")?;
        for (fault, count) in &self.faults {
            writeln!(f, "  {count:>6}  {fault:?}")?;
        }
        let total: usize = self.operations.values().sum();
        writeln!(f, "operations: {total}, on {} addresses; mails that came whole: {}", self.addresses, self.mails)?;
        for ((kind, outcome), count) in &self.operations {
            writeln!(f, "  {count:>6}  {kind}, {outcome}")?;
        }
        writeln!(f, "addresses whose history was too long to decide: {}", self.undecided)?;
        writeln!(f, "violations: {}", self.violations.len())?;
        for violation in self.violations.iter().take(MOST_TOLD) {
            writeln!(f, "  {violation}")?;
        }
        writeln!(f, "seed: {}", self.seed)
    }
}
