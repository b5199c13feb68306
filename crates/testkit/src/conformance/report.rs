//! How the cases ended.

use std::fmt;

use super::Case;

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the protocol asks.
    Passed,
    /// Otherwise: what was expected, and what came.
    Failed(String),
    /// The target does not offer it: why.
    Skipped(String),
}

/// One case and its end.
#[derive(Clone, Debug)]
pub struct Run {
    /// The case.
    pub case: Case,
    /// Its end.
    pub outcome: Outcome,
}

/// All cases that were run. Its text has one line for each, and a last one with the sums.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In their order.
    pub runs: Vec<Run>,
}

impl Report {
    /// How many passed.
    pub fn passed(&self) -> usize {
        self.runs.iter().filter(|run| run.outcome == Outcome::Passed).count()
    }

    /// Those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| matches!(run.outcome, Outcome::Failed(_)))
    }

    /// Those that were skipped.
    pub fn skipped(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| matches!(run.outcome, Outcome::Skipped(_)))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Passed => write!(f, "pass {:?}", self.case),
            Outcome::Failed(text) => write!(f, "FAIL {:?}: {text}", self.case),
            Outcome::Skipped(text) => write!(f, "skip {:?}: {text}", self.case),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in &self.runs {
            writeln!(f, "{run}")?;
        }
        let (failed, skipped) = (self.failed().count(), self.skipped().count());
        write!(f, "{} passed, {failed} failed, {skipped} skipped", self.passed())
    }
}
