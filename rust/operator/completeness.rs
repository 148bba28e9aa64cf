//! Completeness: from when on the rows and values of each operator are those that an operator would
//! give that has seen every row.
//!
//! An operator that is new in a changed pipeline has not seen earlier rows. Values those rows could
//! have affected are null until the window lies wholly after the point of change. This depends on
//! event time alone, and is computed here for the whole graph: an operator only says on what its
//! rows depend ([`Dependence`]). Before an operator runs it is given what it does not know
//! ([`Known`]), and afterwards the values that unseen rows could have changed are set to null.

use std::sync::Arc;

use super::Operator;
use super::dependence::{Dependence, LookBack, Outcome, Warming};
use super::flow::Flow;
use super::known::{CompleteFrom, Known, null_before};
use crate::block::{Block, RowMeta};
use crate::error::Result;
use crate::time::{FOREVER, Micros, NEVER, shift};
use crate::watermark::{Clock, bound};

/// The completeness of one operator.
#[derive(Debug, Clone, Default)]
struct NodeCompleteness {
    warming: Warming,
    outcome: Outcome,
}

/// The completeness of each operator of a graph.
#[derive(Debug, Clone)]
pub struct Completeness {
    nodes: Vec<NodeCompleteness>,
    /// For each operator, those it reads from.
    from: Vec<Vec<usize>>,
    /// Whether any operator has not seen all rows; if none, nothing is computed.
    is_warming: bool,
}

impl Completeness {
    /// Operators that have seen every row; `from` lists those that each reads from.
    pub fn new(from: Vec<Vec<usize>>) -> Completeness {
        let nodes = vec![NodeCompleteness::default(); from.len()];
        Completeness { nodes, from, is_warming: false }
    }

    /// What is remembered of the warm-up of operator `i`.
    pub fn warming(&self, i: usize) -> &Warming {
        &self.nodes[i].warming
    }

    /// From when on the rows of operator `i` are complete; `None` if no operator is warming up.
    pub fn complete(&self, i: usize) -> Option<&CompleteFrom> {
        self.is_warming.then(|| &self.nodes[i].outcome.complete)
    }

    /// Puts back what was saved of the warm-up of operator `i`.
    pub fn load(&mut self, i: usize, warming: Warming) {
        self.nodes[i].warming = warming;
    }

    /// Notes for each new operator with state from when on it sees all rows: after the newest row
    /// of the snapshot. `newest` is that of the inputs of operator `i`, if it reads an input.
    pub fn start(
        &mut self,
        operators: &[Box<dyn Operator>],
        newest: impl Fn(usize) -> Option<Micros>,
        is_new: impl Fn(usize) -> bool,
    ) {
        let mut ahead: Vec<Micros> = vec![];
        for (i, operator) in operators.iter().enumerate() {
            let inputs = match newest(i) {
                Some(newest) => shift(newest, 1),
                None => self.from[i].iter().map(|&from| ahead[from]).max().unwrap_or(NEVER),
            };
            if is_new(i) {
                self.nodes[i].warming.seen_from = inputs;
            }
            ahead.push(operator.depends().emits_from(operator.vitals().clock, inputs));
        }
    }

    /// Computes the completeness of all operators, if any has not seen all rows.
    pub fn update_all(&mut self, operators: &[Box<dyn Operator>]) {
        self.is_warming = self.nodes.iter().any(|node| node.warming.seen_from != NEVER);
        operators.iter().enumerate().for_each(|(i, operator)| self.update(i, operator.as_ref()));
    }

    /// Computes the completeness of operator `i` from that of its inputs.
    fn update(&mut self, i: usize, operator: &dyn Operator) {
        if self.is_warming {
            let inputs = self.from[i].iter().map(|&from| &self.nodes[from].outcome.complete);
            let inputs: Vec<&CompleteFrom> = inputs.collect();
            self.nodes[i].outcome = operator.depends().outcome(&self.nodes[i].warming, &inputs);
        }
    }

    /// What operator `i` knows in a step with this clock.
    pub fn before(&mut self, i: usize, operator: &dyn Operator, clock: &Clock) -> Known {
        if !self.is_warming {
            return Known::default();
        }
        self.update(i, operator);
        if let Some(from) = self.first_sure(i, operator, clock) {
            self.nodes[i].warming.sure_from = from;
            self.update(i, operator);
        }
        self.nodes[i].outcome.known.clone()
    }

    /// The time from which an operator's windows are certain, where keys may have had windows before
    /// their first row: such a key may have been heard before the operator started, so its window
    /// does not begin with the clock, unlike that of other keys.
    fn first_sure(&self, i: usize, operator: &dyn Operator, clock: &Clock) -> Option<Micros> {
        let starts_unseen = self.nodes[i].outcome.known.seen_from != NEVER;
        let unsure = starts_unseen && clock.start() == NEVER && operator.depends().is_unsure();
        let first = clock.rises().first().map(|rise| rise.1).filter(|&first| first != FOREVER);
        first.filter(|_| unsure).map(|first| shift(first, 1))
    }

    /// Sets to null the values in an operator's output that unseen rows could have changed; `clock`
    /// is that of its input.
    pub fn after(
        &mut self,
        i: usize,
        operator: &dyn Operator,
        (block, out): Flow,
        (clock, known): (&Clock, &Known),
    ) -> Result<Flow> {
        if !self.is_warming {
            return Ok((block, out));
        }
        let NodeCompleteness { warming, outcome } = &mut self.nodes[i];
        warming.rows += known.left_open;
        warming.open_until = warming.open_until.max(known.open_until);
        let block = match operator.depends() {
            Dependence::Windows(..) => {
                let meta = block.meta.clone();
                let (block, rows) =
                    null_before(block, &outcome.from, |row| meta.firing_of(row).start)?;
                warming.rows += rows.len() as u64;
                let newest = rows.into_iter().map(|row| meta.firing_of(row).end).max();
                warming.open_until = warming.open_until.max(newest.unwrap_or(NEVER));
                block
            }
            Dependence::Earlier(look) => {
                let (block, rows) = null_looking_back(block, &outcome.from, &look, clock)?;
                warming.rows += rows;
                block
            }
            Dependence::Source
            | Dependence::Kept(_)
            | Dependence::Computed(_)
            | Dependence::Merged { .. }
            | Dependence::Remembered { .. } => block,
        };
        self.update(i, operator);
        Ok((block, out))
    }
}

/// Sets to null the values that are answered as of a time before that in `from`; also returns in
/// how many rows.
fn null_looking_back(
    block: Arc<Block>,
    from: &[Micros],
    look: &LookBack<'_>,
    clock: &Clock,
) -> Result<(Arc<Block>, u64)> {
    let least = look.answered.at(NEVER, clock.start());
    if from.iter().all(|&from| from <= least) {
        return Ok((block, 0));
    }
    let meta = block.meta.clone();
    let RowMeta { time, judge, seq, .. } = &*meta;
    let moment = |row: usize| match look.is_sorted {
        true => time[row],
        false => look.answered.at(time[row], bound(judge[row], clock.before(seq[row]))),
    };
    let (block, rows) = null_before(block, from, moment)?;
    Ok((block, rows.len() as u64))
}
