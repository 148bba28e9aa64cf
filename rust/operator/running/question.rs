//! Answers that differ from the running value: the first or last value of a window, an older time,
//! a window without one of its rows, or with a row before it.

use super::{EventWindows, Oldest, SlidingSlot, Tapes};
use crate::aggregate::{Answer, AnswerColumn, End, Moment, Retract, StateRows};
use crate::assign::Span;
use crate::state::Log;
use crate::state::log::NONE;
use crate::time::Micros;

/// One question: an aggregate of a key over a window at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// The key.
    pub(super) id: u32,
    /// Index of the window.
    pub(super) w: usize,
    /// The key's newest entry.
    pub(super) tail: u64,
    /// The time up to which the running value has been advanced.
    pub(super) reference: Micros,
    /// The window.
    pub(super) span: Span,
    /// The time to answer for.
    pub(super) moment: Micros,
    /// The aggregate.
    pub(super) j: usize,
    /// An entry to leave out, or [`NONE`].
    pub(super) skip: u64,
    /// An entry before the window that counts nevertheless, or [`NONE`].
    pub(super) also: u64,
}

impl Ask {
    /// Whether the running value is the answer without correction.
    fn stands(&self) -> bool {
        self.moment == self.reference
            && self.span.front == 0
            && self.skip == NONE
            && self.also == NONE
    }

    pub(super) fn holds(&self, entry: u64, time: Micros) -> bool {
        time > self.span.lower(self.moment)
            && time <= self.span.upper(self.moment)
            && entry != self.skip
    }
}

/// A budget of entries that may be walked.
#[derive(Debug)]
pub(super) struct Steps {
    left: usize,
    over: bool,
}

impl Steps {
    pub(super) fn some(left: usize) -> Steps {
        Steps { left, over: false }
    }

    pub(super) fn any() -> Steps {
        Steps::some(usize::MAX)
    }

    /// Uses one step; false if none is left.
    pub(super) fn take(&mut self) -> bool {
        self.over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        !self.over
    }

    /// Whether the budget was exceeded.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

impl EventWindows {
    /// Answers all columns of a window.
    pub(super) fn answer_window(
        &self,
        slot: &mut SlidingSlot,
        ask: Ask,
        tapes: &mut Tapes,
        out: &mut [AnswerColumn],
    ) {
        let window = &self.windows[ask.w];
        if !ask.stands() {
            self.play(slot, tapes, out);
            window.columns().for_each(|(k, j)| self.look(slot, Ask { j, ..ask }, &mut out[k]));
            return;
        }
        tapes.0[ask.w].answer(ask.id);
        for &(k, j) in &window.asked {
            if self.ends[j].is_some() {
                self.look(slot, Ask { j, ..ask }, &mut out[k]);
            } else {
                let cell = self.peek_cell(&slot.hot, ask.id, window, j);
                out[k].push(self.aggregator.layout.items[j].0.evaluate(cell));
            }
        }
    }

    /// Answers a column that has no running value, or one for another time: from the key's entries
    /// if few need to be read, otherwise from its chunks.
    fn look(&self, slot: &mut SlidingSlot, ask: Ask, out: &mut AnswerColumn) {
        let Ask { id, j, .. } = ask;
        if self.in_place[j] {
            return self.answer_in_place(slot, ask, out);
        }
        let is_chunked = !slot.chunks.is_empty() && slot.chunks.contains_key(&id);
        if !(is_chunked && self.is_small(j)) {
            let mut steps = self.steps(j);
            let SlidingSlot { log, hot, scratch, .. } = slot;
            if let Some(end) = self.ends[j] {
                let found = self.end(log, hot, end, ask, &mut steps);
                if !steps.is_over() {
                    let args = found.and_then(|entry| log.args(entry, j));
                    return out.push(args.map_or(Answer::Null, |args| Answer::from(args[0])));
                }
            } else {
                self.correct(log, hot, scratch, ask, &mut steps);
                if !steps.is_over() {
                    out.push(self.aggregator.layout.evaluate(scratch, 0, j));
                    return self.aggregator.layout.clear_one(scratch, 0, j);
                }
                self.aggregator.layout.clear_one(scratch, 0, j);
            }
        }
        self.chunk(slot, id);
        let SlidingSlot { log, scratch, chunks, .. } = slot;
        let (aggregate, offset) = &self.aggregator.layout.items[j];
        self.ask_chunks(&chunks[&id], log, ask, scratch.cell(0, *offset, aggregate.words()));
        out.push(self.aggregator.layout.evaluate(scratch, 0, j));
        self.aggregator.layout.clear_one(scratch, 0, j);
    }

    /// Copies an aggregate's running value to row 0 of `scratch` and corrects it for the time and
    /// entries of the question.
    fn correct(
        &self,
        log: &Log,
        hot: &StateRows,
        scratch: &mut StateRows,
        ask: Ask,
        steps: &mut Steps,
    ) {
        let (aggregate, offset) = &self.aggregator.layout.items[ask.j];
        let (words, window) = (aggregate.words(), &self.windows[ask.w]);
        let oldest = Oldest::from_words(hot.pair(ask.id, window.oldest)).entry;
        let running = self.peek_cell(hot, ask.id, window, ask.j);
        aggregate.merge(scratch.cell(0, *offset, words), running);
        let outside = match log.get(oldest) {
            Some(entry) => entry.older,
            None => ask.tail,
        };
        let mut again = outside;
        if !self.take_out(log, scratch, oldest, ask, steps) {
            self.aggregator.layout.clear_one(scratch, 0, ask.j);
            again = ask.tail;
        }
        while let Some(entry) = log.get(again).filter(|e| e.time > ask.span.lower(ask.moment)) {
            if !steps.take() {
                return;
            }
            if ask.holds(again, entry.time) {
                self.add(log, again, scratch.cell(0, *offset, words), ask.j);
            }
            again = entry.older;
        }
        if ask.also != NONE {
            self.add(log, ask.also, scratch.cell(0, *offset, words), ask.j);
        }
    }

    /// Removes from the scratch row what the running value contains and the window does not; false
    /// if the aggregate cannot remove values.
    fn take_out(
        &self,
        log: &Log,
        scratch: &mut StateRows,
        oldest: u64,
        ask: Ask,
        steps: &mut Steps,
    ) -> bool {
        let (aggregate, offset) = &self.aggregator.layout.items[ask.j];
        let mut leave = |entry: u64, time: Micros| {
            let cell = scratch.cell(0, *offset, aggregate.words());
            let moment = Moment { time, seq: entry };
            let taken = log.args(entry, ask.j).map(|args| aggregate.retract(cell, &args, moment));
            taken.is_none_or(|taken| taken == Retract::Done)
        };
        let inside = ask.span.lower(ask.reference);
        let (lower, upper) = (ask.span.lower(ask.moment), ask.span.upper(ask.moment));
        let (mut next, mut skip) = (ask.tail, ask.skip);
        while let Some(entry) = log.get(next).filter(|e| e.time > inside) {
            if (entry.time <= upper && skip == NONE) || !steps.take() {
                break;
            }
            if entry.time > upper || next == skip {
                if !leave(next, entry.time) {
                    return false;
                }
                skip = if next == skip { NONE } else { skip };
            }
            next = entry.older;
        }
        // The question is for a time before the reference: add back what has been evicted since.
        next = oldest;
        while let Some(entry) = log.get(next).filter(|e| e.time <= lower) {
            if !steps.take() {
                break;
            }
            if !leave(next, entry.time) {
                return false;
            }
            next = entry.newer;
        }
        true
    }

    /// Whether an entry has a value that counts as a first or last value.
    fn has(&self, log: &Log, entry: u64, j: usize) -> bool {
        log.args(entry, j).is_some_and(|args| !self.aggregator.layout.items[j].0.nan(&args))
    }

    /// Finds the entry with the first or last value of a window.
    fn end(
        &self,
        log: &Log,
        hot: &StateRows,
        end: End,
        ask: Ask,
        steps: &mut Steps,
    ) -> Option<u64> {
        match end {
            End::First => self.first(log, hot, ask, steps),
            End::Last => self.last(log, ask, steps),
        }
    }

    fn last(&self, log: &Log, ask: Ask, steps: &mut Steps) -> Option<u64> {
        let mut next = ask.tail;
        while let Some(entry) = log.get(next).filter(|e| e.time > ask.span.lower(ask.moment)) {
            if !steps.take() {
                return None;
            }
            if ask.holds(next, entry.time) && self.has(log, next, ask.j) {
                return Some(next);
            }
            next = entry.older;
        }
        self.also(log, ask)
    }

    /// The entry before the window that counts nevertheless, if it has a value.
    fn also(&self, log: &Log, ask: Ask) -> Option<u64> {
        (ask.also != NONE && self.has(log, ask.also, ask.j)).then_some(ask.also)
    }

    fn first(&self, log: &Log, hot: &StateRows, ask: Ask, steps: &mut Steps) -> Option<u64> {
        if let Some(also) = self.also(log, ask) {
            return Some(also);
        }
        let lower = ask.span.lower(ask.moment);
        let oldest = Oldest::from_words(hot.pair(ask.id, self.windows[ask.w].oldest)).entry;
        let mut next = if log.get(oldest).is_some() { oldest } else { ask.tail };
        while let Some(older) = log.get(next).map(|entry| entry.older) {
            if log.get(older).is_none_or(|entry| entry.time <= lower) {
                break;
            }
            if !steps.take() {
                return None;
            }
            next = older;
        }
        while let Some(entry) = log.get(next).filter(|e| e.time <= ask.span.upper(ask.moment)) {
            if !steps.take() {
                return None;
            }
            if ask.holds(next, entry.time) && self.has(log, next, ask.j) {
                return Some(next);
            }
            next = entry.newer;
        }
        None
    }
}
