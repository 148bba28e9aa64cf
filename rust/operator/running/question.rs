//! Questions that a running value does not answer as it stands: the first and last value of a
//! window, an older moment, a window without one of its rows, a row that is not entered.

use super::{Running, SlidingSlot, Tapes};
use crate::aggregate::{Answer, AnswerColumn, Column, End, Hot, Moment, Retract};
use crate::assign::Span;
use crate::state::Log;
use crate::state::log::NONE;
use crate::time::Micros;

/// One question to a running value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// The key.
    pub(super) id: u32,
    /// The window, by its place.
    pub(super) w: usize,
    /// The key's newest entry.
    pub(super) tail: u64,
    /// The newest moment that the running value stands for.
    pub(super) reference: Micros,
    /// The window.
    pub(super) span: Span,
    /// The moment asked for.
    pub(super) moment: Micros,
    /// The aggregate.
    pub(super) j: usize,
    /// An entry that does not count, or none.
    pub(super) skip: u64,
    /// An entry from before the window that counts, or none.
    pub(super) also: u64,
}

impl Ask {
    /// Whether the running value is the answer as it stands.
    fn stands(&self) -> bool {
        self.moment == self.reference
            && self.span.front == 0
            && self.skip == NONE
            && self.also == NONE
    }

    fn holds(&self, entry: u64, time: Micros) -> bool {
        time > self.span.lower(self.moment)
            && time <= self.span.upper(self.moment)
            && entry != self.skip
    }
}

impl Running {
    /// Answers all columns of a window.
    pub(super) fn answer_window(
        &self,
        slot: &mut SlidingSlot,
        ask: Ask,
        tapes: &mut Tapes,
        out: &mut [AnswerColumn],
    ) {
        if ask.stands() {
            tapes.0[ask.w].answer(ask.id);
            self.answer_directly(slot, ask, out);
        } else {
            self.play(slot, tapes, out);
            self.answer_corrected(slot, ask, out);
        }
    }

    /// Answers what is not on a tape, where the running value stands for the moment asked for.
    fn answer_directly(&self, slot: &SlidingSlot, ask: Ask, out: &mut [AnswerColumn]) {
        let window = &self.windows[ask.w];
        for &(k, j) in &window.asked {
            out[k].push(match self.ends[j] {
                Some(end) => self.end(slot, end, Ask { j, ..ask }),
                None => {
                    let cell = self.peek_cell(&slot.hot, ask.id, window, j);
                    self.kit.layout.items[j].0.evaluate(cell)
                }
            });
        }
    }

    /// Answers all columns of a window, where the running value stands for another moment.
    fn answer_corrected(&self, slot: &mut SlidingSlot, ask: Ask, out: &mut [AnswerColumn]) {
        for (k, j) in self.windows[ask.w].columns() {
            let ask = Ask { j, ..ask };
            if let Some(end) = self.ends[j] {
                out[k].push(self.end(slot, end, ask));
                continue;
            }
            self.correct(slot, ask);
            out[k].push(self.kit.layout.evaluate(&slot.scratch, 0, j));
            self.kit.layout.clear_one(&mut slot.scratch, 0, j);
        }
    }

    /// The first or the last value of a window.
    fn end<'a>(&self, slot: &'a SlidingSlot, end: End, ask: Ask) -> Answer<'a> {
        let found = match end {
            End::First => self.first(slot, ask),
            End::Last => self.last(slot, ask),
        };
        let value = found.and_then(|entry| slot.log.value(entry, ask.j));
        value.map_or(Answer::Null, Answer::from)
    }

    /// An aggregate at an older moment, or without one entry, into the scratch row.
    fn correct(&self, slot: &mut SlidingSlot, ask: Ask) {
        let (aggregate, offset) = &self.kit.layout.items[ask.j];
        let (words, window) = (aggregate.words(), &self.windows[ask.w]);
        let oldest = self.oldest(slot, ask.id, window).entry;
        let SlidingSlot { log, hot, scratch, .. } = slot;
        let running = self.peek_cell(hot, ask.id, window, ask.j);
        aggregate.merge(scratch.cell(0, *offset, words), running);
        let outside = match log.get(oldest) {
            Some(entry) => entry.older,
            None => ask.tail,
        };
        let mut again = outside;
        if !self.take_out(log, scratch, ask) {
            self.kit.layout.clear_one(scratch, 0, ask.j);
            again = ask.tail;
        }
        while let Some(entry) = log.get(again).filter(|e| e.time > ask.span.lower(ask.moment)) {
            if ask.holds(again, entry.time) {
                self.add(log, again, scratch.cell(0, *offset, words), ask.j);
            }
            again = entry.older;
        }
        if ask.also != NONE {
            self.add(log, ask.also, scratch.cell(0, *offset, words), ask.j);
        }
    }

    /// Takes what the running value holds and the window does not out of the scratch row; false if
    /// the aggregate cannot.
    fn take_out(&self, log: &Log, scratch: &mut Hot, ask: Ask) -> bool {
        let (aggregate, offset) = &self.kit.layout.items[ask.j];
        let inside = ask.span.lower(ask.reference);
        let (upper, mut skip) = (ask.span.upper(ask.moment), ask.skip);
        let mut next = ask.tail;
        while let Some(entry) = log.get(next).filter(|e| e.time > inside) {
            if entry.time <= upper && skip == NONE {
                break;
            }
            if entry.time > upper || next == skip {
                let cell = scratch.cell(0, *offset, aggregate.words());
                let moment = Moment { time: entry.time, seq: next };
                let taken = log.value(next, ask.j).map(|v| aggregate.retract(cell, v, moment));
                if taken.is_some_and(|taken| taken != Retract::Done) {
                    return false;
                }
                skip = if next == skip { NONE } else { skip };
            }
            next = entry.older;
        }
        true
    }

    /// Whether an entry has a value that a first or last can be.
    fn has(&self, log: &Log, entry: u64, j: usize) -> bool {
        log.value(entry, j).is_some_and(|value| !self.kit.layout.items[j].0.nan(value))
    }

    fn last(&self, slot: &SlidingSlot, ask: Ask) -> Option<u64> {
        let mut next = ask.tail;
        while let Some(entry) = slot.log.get(next).filter(|e| e.time > ask.span.lower(ask.moment)) {
            if ask.holds(next, entry.time) && self.has(&slot.log, next, ask.j) {
                return Some(next);
            }
            next = entry.older;
        }
        self.also(slot, ask)
    }

    /// The entry from before the window that counts, if it has a value.
    fn also(&self, slot: &SlidingSlot, ask: Ask) -> Option<u64> {
        (ask.also != NONE && self.has(&slot.log, ask.also, ask.j)).then_some(ask.also)
    }

    fn first(&self, slot: &SlidingSlot, ask: Ask) -> Option<u64> {
        if let Some(also) = self.also(slot, ask) {
            return Some(also);
        }
        let log = &slot.log;
        let lower = ask.span.lower(ask.moment);
        let oldest = self.oldest(slot, ask.id, &self.windows[ask.w]).entry;
        let mut next = if log.get(oldest).is_some() { oldest } else { ask.tail };
        while let Some(older) = log.get(next).map(|entry| entry.older) {
            if log.get(older).is_none_or(|entry| entry.time <= lower) {
                break;
            }
            next = older;
        }
        while let Some(entry) = log.get(next).filter(|e| e.time <= ask.span.upper(ask.moment)) {
            if ask.holds(next, entry.time) && self.has(log, next, ask.j) {
                return Some(next);
            }
            next = entry.newer;
        }
        None
    }

    /// What [`Running::answer`] would say of a row that is not entered: a walk over the key's rows.
    /// A row that is late counts wherever it lies.
    pub fn peek(
        &self,
        slot: Option<(&SlidingSlot, u32)>,
        (moment, late): (Micros, bool),
        current: Option<(Micros, &[Column])>,
        out: &mut [AnswerColumn],
    ) {
        for (feature, column) in self.features.iter().zip(out) {
            let (span, j) = (self.windows[feature.size].span, feature.aggregate);
            let holds = |time: Micros| time > span.lower(moment) && time <= span.upper(moment);
            let (aggregate, offset) = &self.kit.layout.items[j];
            let mut one = self.kit.layout.hot();
            let row = one.push();
            let mut update = |value, time, seq| {
                let cell = one.cell(row, *offset, aggregate.words());
                aggregate.update(cell, value, Moment { time, seq });
            };
            if let Some((slot, id)) = slot {
                let mut next = slot.head(id).0;
                while let Some(entry) = slot.log.get(next).filter(|e| e.time > span.lower(moment)) {
                    if let Some(value) = slot.log.value(next, j).filter(|_| holds(entry.time)) {
                        update(value, entry.time, next);
                    }
                    next = entry.older;
                }
            }
            if let Some((time, columns)) = current.filter(|(time, _)| late || holds(*time))
                && let Some(value) = columns[j].get(0)
            {
                update(value, time, u64::MAX);
            }
            column.push(self.kit.layout.evaluate(&one, row, j));
        }
    }
}
