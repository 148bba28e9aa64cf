//! Answers of aggregates whose state grows with the rows, such as `count_distinct`: copying it would
//! cost as much as the whole window. So the running value itself is changed, read and changed back.

use super::question::Ask;
use super::{EventWindows, Oldest, SlidingSlot};
use crate::aggregate::{AnswerColumn, Layout, Moment};
use crate::state::Log;
use crate::state::log::NONE;
use crate::time::NEVER;

/// For each aggregate, whether it is answered in place.
pub(super) fn choices(layout: &Layout) -> Vec<bool> {
    layout.items.iter().map(|(each, _)| each.grows() && each.inverts()).collect()
}

/// An entry by which an answer differs from the running value.
#[derive(Debug, Clone, Copy)]
enum Correction {
    Enter(u64),
    Leave(u64),
}

impl Correction {
    fn undone(self) -> Correction {
        match self {
            Correction::Enter(entry) => Correction::Leave(entry),
            Correction::Leave(entry) => Correction::Enter(entry),
        }
    }
}

impl EventWindows {
    /// Answers a question from the running value, which is as before afterwards.
    pub(super) fn answer_in_place(&self, slot: &mut SlidingSlot, ask: Ask, out: &mut AnswerColumn) {
        let window = &self.windows[ask.w];
        let oldest = Oldest::from_words(slot.hot.pair(ask.id, window.oldest)).entry;
        let corrections = differences(&slot.log, oldest, ask);
        corrections.iter().for_each(|&correction| self.apply(slot, ask, correction));
        let cell = self.peek_cell(&slot.hot, ask.id, window, ask.j);
        out.push(self.aggregator.layout.items[ask.j].0.evaluate(cell));
        corrections.iter().rev().for_each(|correction| self.apply(slot, ask, correction.undone()));
    }

    fn apply(&self, slot: &mut SlidingSlot, ask: Ask, correction: Correction) {
        let SlidingSlot { log, hot, .. } = slot;
        let (Correction::Enter(entry) | Correction::Leave(entry)) = correction;
        let Some(args) = log.args(entry, ask.j) else { return };
        let time = log.get(entry).map_or(NEVER, |entry| entry.time);
        let (aggregate, moment) =
            (&self.aggregator.layout.items[ask.j].0, Moment { time, seq: entry });
        let cell = self.cell(hot, ask.id, &self.windows[ask.w], ask.j);
        match correction {
            Correction::Enter(_) => aggregate.update(cell, &args, moment),
            Correction::Leave(_) => {
                aggregate.retract(cell, &args, moment);
            }
        }
    }
}

/// The entries by which the answer to a question differs from the running value.
fn differences(log: &Log, oldest: u64, ask: Ask) -> Vec<Correction> {
    let mut corrections = vec![];
    let inside = ask.span.lower(ask.reference);
    let (lower, upper) = (ask.span.lower(ask.moment), ask.span.upper(ask.moment));
    let (mut next, mut skip) = (ask.tail, ask.skip);
    while let Some(entry) = log.get(next).filter(|e| e.time > inside) {
        if entry.time <= upper && skip == NONE {
            break;
        }
        if entry.time > upper || next == skip {
            corrections.push(Correction::Leave(next));
            skip = if next == skip { NONE } else { skip };
        }
        next = entry.older;
    }
    // The question is for a time after the oldest entries have left.
    next = oldest;
    while let Some(entry) = log.get(next).filter(|e| e.time <= lower) {
        corrections.push(Correction::Leave(next));
        next = entry.newer;
    }
    // The question is for a time before the reference: add back what has been evicted since.
    next = log.get(oldest).map_or(ask.tail, |entry| entry.older);
    while let Some(entry) = log.get(next).filter(|e| e.time > lower) {
        if ask.holds(next, entry.time) {
            corrections.push(Correction::Enter(next));
        }
        next = entry.older;
    }
    if ask.also != NONE {
        corrections.push(Correction::Enter(ask.also));
    }
    corrections
}
