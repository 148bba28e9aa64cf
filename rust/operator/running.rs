//! Running values of per-event windows: one log of rows for all sizes, and for each key and size a
//! value over `(reference - size, reference]`, where the reference is the newest moment asked for.
//!
//! An older moment is answered from it by taking out what is newer and adding what had left. Which
//! entries are still there never decides: times do.

use super::keyed::{Kit, Slot};
use crate::aggregate::{Answer, AnswerColumn, Column, End, Hot, Moment, Retract};
use crate::plan::{Closed, Feature};
use crate::state::log::NONE;
use crate::state::{KeyColumns, Keys, Log};
use crate::time::{Micros, NEVER};

/// A window as distances from the moment asked for: `(moment - back, moment - front]`.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// To the exclusive lower end.
    pub back: Micros,
    /// To the inclusive upper end.
    pub front: Micros,
}

impl Span {
    /// A window of this size.
    pub fn new(size: Micros, closed: Closed) -> Span {
        match closed {
            Closed::Right => Span { back: size, front: 0 },
            Closed::Left => Span { back: size.saturating_add(1), front: 1 },
            Closed::Both => Span { back: size.saturating_add(1), front: 0 },
            Closed::None => Span { back: size, front: 1 },
        }
    }

    /// The latest time before the window.
    pub fn lower(self, moment: Micros) -> Micros {
        moment.saturating_sub(self.back)
    }

    /// The latest time in the window.
    pub fn upper(self, moment: Micros) -> Micros {
        moment.saturating_sub(self.front)
    }
}

/// What is computed, over which windows.
#[derive(Debug)]
pub struct Running {
    /// The windows.
    pub spans: Vec<Span>,
    /// The columns: which aggregate over which window.
    pub features: Vec<Feature>,
    /// The aggregates.
    pub kit: Kit,
    ends: Vec<Option<End>>,
}

/// One key: its newest entry, and the newest moment asked for.
#[derive(Debug, Clone, Copy)]
struct Head {
    tail: u64,
    reference: Micros,
}

const NEW: Head = Head { tail: NONE, reference: NEVER };

/// The keys of one range.
#[derive(Debug)]
pub struct SlidingSlot {
    /// The keys.
    pub keys: Keys,
    heads: Vec<Head>,
    /// Per key and size: the oldest entry inside the running value.
    oldest: Vec<u64>,
    /// Per key and size: the running value.
    hot: Hot,
    /// All rows that a window can still reach.
    pub log: Log,
    /// One row to correct a running value in.
    scratch: Hot,
}

impl Slot for SlidingSlot {
    fn keys(&self) -> usize {
        self.keys.len()
    }

    fn bytes(&self) -> usize {
        let heads = self.heads.capacity() * 16 + self.oldest.capacity() * 8;
        self.keys.bytes() + heads + self.hot.bytes() + self.log.bytes()
    }
}

/// One question to a running value.
#[derive(Debug, Clone, Copy)]
struct Ask {
    /// Row of the running value.
    at: usize,
    /// The key's newest entry.
    tail: u64,
    /// The newest moment that the running value stands for.
    reference: Micros,
    /// The window.
    span: Span,
    /// The moment asked for.
    moment: Micros,
    /// The aggregate.
    j: usize,
    /// An entry that does not count, or none.
    skip: u64,
}

impl Ask {
    fn holds(&self, entry: u64, time: Micros) -> bool {
        time > self.span.lower(self.moment)
            && time <= self.span.upper(self.moment)
            && entry != self.skip
    }
}

impl Running {
    /// Aggregates over windows.
    pub fn new(spans: Vec<Span>, features: Vec<Feature>, kit: Kit) -> Running {
        let ends = kit.layout.items.iter().map(|(aggregate, _)| aggregate.end()).collect();
        Running { spans, features, kit, ends }
    }

    /// An empty slot.
    pub fn slot(&self) -> SlidingSlot {
        let mut scratch = self.kit.layout.hot();
        scratch.push();
        SlidingSlot {
            keys: Keys::default(),
            heads: vec![],
            oldest: vec![],
            hot: self.kit.layout.hot(),
            log: Log::default(),
            scratch,
        }
    }

    /// Empty columns for the answers.
    pub fn columns(&self) -> Vec<AnswerColumn> {
        let output = |feature: &Feature| self.kit.layout.items[feature.aggregate].0.output_type();
        self.features.iter().map(|feature| AnswerColumn::new(output(feature), 0)).collect()
    }

    /// The id of a row's key.
    pub fn id(&self, slot: &mut SlidingSlot, keys: &KeyColumns, row: usize) -> u32 {
        let id = slot.keys.intern(keys, row);
        let len = slot.keys.capacity();
        if len > slot.heads.len() {
            slot.heads.resize(len, NEW);
            slot.oldest.resize(len * self.spans.len(), NONE);
            while slot.hot.len() < len * self.spans.len() {
                slot.hot.push();
            }
        }
        id
    }

    /// Moves a key's running values to a later moment.
    pub fn advance(&self, slot: &mut SlidingSlot, id: u32, moment: Micros) {
        let head = &mut slot.heads[id as usize];
        if moment <= head.reference {
            return;
        }
        head.reference = moment;
        let tail = head.tail;
        let newest = slot.log.get(tail).map_or(NEVER, |entry| entry.time);
        for (s, span) in self.spans.iter().enumerate() {
            let at = id as usize * self.spans.len() + s;
            let floor = span.lower(moment);
            if slot.oldest[at] == NONE {
                continue;
            }
            if newest <= floor {
                self.kit.layout.clear(&mut slot.hot, at as u32);
                slot.oldest[at] = NONE;
            } else if slot.log.get(slot.oldest[at]).is_none() {
                self.rebuild(slot, at, tail, floor);
            } else {
                self.evict(slot, at, floor);
            }
        }
    }

    /// Takes what is at or before `floor` out of a running value, from the oldest on.
    fn evict(&self, slot: &mut SlidingSlot, at: usize, floor: Micros) {
        let mut stale: Vec<usize> = vec![];
        let mut oldest = slot.oldest[at];
        while let Some(entry) = slot.log.get(oldest).filter(|entry| entry.time <= floor) {
            let (columns, row) = slot.log.arguments(oldest).expect("there it is");
            let moment = Moment { time: entry.time, seq: oldest };
            for (j, column) in columns.iter().enumerate() {
                if self.ends[j].is_some() || stale.contains(&j) {
                    continue;
                }
                match self.kit.layout.retract(&mut slot.hot, at as u32, j, column, row, moment) {
                    Retract::Done => {}
                    Retract::Stale | Retract::Never => stale.push(j),
                }
            }
            oldest = entry.newer;
        }
        slot.oldest[at] = oldest;
        for j in stale {
            self.kit.layout.clear_one(&mut slot.hot, at as u32, j);
            let SlidingSlot { log, hot, .. } = slot;
            let mut next = oldest;
            while let Some(entry) = log.get(next) {
                self.add(log, next, hot, at as u32, j);
                next = entry.newer;
            }
        }
    }

    /// Makes a running value anew: its oldest entries were freed while the key was quiet.
    fn rebuild(&self, slot: &mut SlidingSlot, at: usize, tail: u64, floor: Micros) {
        self.kit.layout.clear(&mut slot.hot, at as u32);
        slot.oldest[at] = NONE;
        let SlidingSlot { log, hot, oldest, .. } = slot;
        let mut next = tail;
        while let Some(entry) = log.get(next).filter(|entry| entry.time > floor) {
            (0..self.ends.len()).for_each(|j| self.add(log, next, hot, at as u32, j));
            oldest[at] = next;
            next = entry.older;
        }
    }

    /// Puts an entry into aggregate `j` of a running value.
    fn add(&self, log: &Log, entry: u64, hot: &mut Hot, row: u32, j: usize) {
        let (aggregate, offset) = &self.kit.layout.items[j];
        let Some((columns, i)) = log.arguments(entry) else { return };
        if let Some(value) = columns[j].get(i).filter(|_| self.ends[j].is_none()) {
            let time = log.get(entry).map_or(NEVER, |entry| entry.time);
            let moment = Moment { time, seq: entry };
            aggregate.update(hot.cell(row, *offset, aggregate.words()), value, moment);
        }
    }

    /// Puts a row into its key's list and into the running values that hold its time.
    pub fn enter(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        time: Micros,
        columns: &[Column],
        row: usize,
    ) -> u64 {
        let position = slot.log.append(time, id, columns, row);
        let Head { tail, reference } = slot.heads[id as usize];
        slot.heads[id as usize].tail = slot.log.link(position, tail);
        let moment = Moment { time, seq: position };
        for (s, span) in self.spans.iter().enumerate() {
            if time <= span.lower(reference) {
                continue;
            }
            let at = id as usize * self.spans.len() + s;
            for (j, (aggregate, offset)) in self.kit.layout.items.iter().enumerate() {
                if let Some(value) = columns[j].get(row).filter(|_| self.ends[j].is_none()) {
                    let cell = slot.hot.cell(at as u32, *offset, aggregate.words());
                    aggregate.update(cell, value, moment);
                }
            }
            if slot.log.get(slot.oldest[at]).is_none_or(|oldest| time < oldest.time) {
                slot.oldest[at] = position;
            }
        }
        position
    }

    /// Answers one row: its key's windows at `moment`, without the entry `skip`.
    pub fn answer(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        moment: Micros,
        skip: u64,
        out: &mut [AnswerColumn],
    ) {
        let Head { tail, reference } = slot.heads[id as usize];
        for (feature, column) in self.features.iter().zip(out) {
            let (span, j) = (self.spans[feature.size], feature.aggregate);
            let at = id as usize * self.spans.len() + feature.size;
            let ask = Ask { at, tail, reference, span, moment, j, skip };
            if let Some(end) = self.ends[j] {
                let found = match end {
                    End::First => self.first(slot, ask),
                    End::Last => self.last(slot, ask),
                };
                let value = found.and_then(|entry| slot.log.arguments(entry));
                let value = value.and_then(|(columns, i)| columns[j].get(i));
                column.push(value.map_or(Answer::Null, Answer::from));
            } else if moment == reference && span.front == 0 && skip == NONE {
                column.push(self.kit.layout.evaluate(&slot.hot, at as u32, j));
            } else {
                self.correct(slot, ask);
                column.push(self.kit.layout.evaluate(&slot.scratch, 0, j));
                self.kit.layout.clear_one(&mut slot.scratch, 0, j);
            }
        }
    }

    /// An aggregate at an older moment, or without one entry, into the scratch row.
    fn correct(&self, slot: &mut SlidingSlot, ask: Ask) {
        let (aggregate, offset) = &self.kit.layout.items[ask.j];
        let words = aggregate.words();
        let SlidingSlot { log, hot, scratch, oldest, .. } = slot;
        let running = hot.peek(ask.at as u32, *offset, words);
        aggregate.merge(scratch.cell(0, *offset, words), running);
        let outside = match log.get(oldest[ask.at]) {
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
                self.add(log, again, scratch, 0, ask.j);
            }
            again = entry.older;
        }
    }

    /// Takes what the running value holds and the window does not out of the scratch row; false if
    /// the aggregate cannot.
    fn take_out(&self, log: &Log, scratch: &mut Hot, ask: Ask) -> bool {
        let inside = ask.span.lower(ask.reference);
        let (upper, mut skip) = (ask.span.upper(ask.moment), ask.skip);
        let mut next = ask.tail;
        while let Some(entry) = log.get(next).filter(|e| e.time > inside) {
            if entry.time <= upper && skip == NONE {
                break;
            }
            if entry.time > upper || next == skip {
                let (columns, i) = log.arguments(next).expect("it is there");
                let moment = Moment { time: entry.time, seq: next };
                let column = &columns[ask.j];
                if self.kit.layout.retract(scratch, 0, ask.j, column, i, moment) != Retract::Done {
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
        let value = log.arguments(entry).and_then(|(columns, i)| columns[j].get(i));
        value.is_some_and(|value| !self.kit.layout.items[j].0.nan(value))
    }

    fn last(&self, slot: &SlidingSlot, ask: Ask) -> Option<u64> {
        let mut next = ask.tail;
        while let Some(entry) = slot.log.get(next).filter(|e| e.time > ask.span.lower(ask.moment)) {
            if ask.holds(next, entry.time) && self.has(&slot.log, next, ask.j) {
                return Some(next);
            }
            next = entry.older;
        }
        None
    }

    fn first(&self, slot: &SlidingSlot, ask: Ask) -> Option<u64> {
        let log = &slot.log;
        let lower = ask.span.lower(ask.moment);
        let mut next = match log.get(slot.oldest[ask.at]) {
            Some(_) => slot.oldest[ask.at],
            None => ask.tail,
        };
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
    pub fn peek(
        &self,
        slot: Option<(&SlidingSlot, u32)>,
        moment: Micros,
        current: Option<(Micros, &[Column])>,
        out: &mut [AnswerColumn],
    ) {
        for (feature, column) in self.features.iter().zip(out) {
            let (span, j) = (self.spans[feature.size], feature.aggregate);
            let holds = |time: Micros| time > span.lower(moment) && time <= span.upper(moment);
            let (aggregate, offset) = &self.kit.layout.items[j];
            let mut one = self.kit.layout.hot();
            let row = one.push();
            let mut update = |value, time, seq| {
                let cell = one.cell(row, *offset, aggregate.words());
                aggregate.update(cell, value, Moment { time, seq });
            };
            if let Some((slot, id)) = slot {
                let mut next = slot.heads[id as usize].tail;
                while let Some(entry) = slot.log.get(next).filter(|e| e.time > span.lower(moment)) {
                    let (columns, i) = slot.log.arguments(next).expect("it is there");
                    if let Some(value) = columns[j].get(i).filter(|_| holds(entry.time)) {
                        update(value, entry.time, next);
                    }
                    next = entry.older;
                }
            }
            if let Some((time, columns)) = current.filter(|(time, _)| holds(*time))
                && let Some(value) = columns[j].get(0)
            {
                update(value, time, u64::MAX);
            }
            column.push(self.kit.layout.evaluate(&one, row, j));
        }
    }

    /// Frees what no window can reach any more.
    pub fn reclaim(&self, slot: &mut SlidingSlot, until: Micros) {
        for (id, position) in slot.log.reclaim(until) {
            if slot.heads[id as usize].tail != position {
                continue;
            }
            slot.heads[id as usize] = NEW;
            for at in (0..self.spans.len()).map(|s| id as usize * self.spans.len() + s) {
                slot.oldest[at] = NONE;
                self.kit.layout.clear(&mut slot.hot, at as u32);
            }
            slot.keys.remove(id);
        }
    }

    /// The greatest distance at which a window looks back.
    pub fn back(&self) -> Micros {
        self.spans.iter().map(|span| span.back).max().unwrap_or(0)
    }
}
