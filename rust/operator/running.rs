//! Running values of per-event windows: one log of rows for all sizes, and for each key and size a
//! value over `(reference - size, reference]`, where the reference is the newest moment asked for.
//!
//! An older moment is answered from it by taking out what is newer and adding what had left. Which
//! entries are still there never decides: times do.

use super::keyed::{Kit, Slot};
use crate::aggregate::hot::grow;
use crate::aggregate::{Answer, AnswerColumn, Column, End, Hot, Moment, Retract};
use crate::assign::Span;
use crate::plan::Feature;
use crate::state::log::{Dead, NONE};
use crate::state::{KeyColumns, Keys, Log};
use crate::time::{Micros, NEVER};

/// How many rows ahead of the work what it needs is read.
pub const AHEAD: usize = 128;

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

/// The oldest entry inside a running value, and its time.
#[derive(Debug, Clone, Copy)]
struct Oldest {
    entry: u64,
    time: Micros,
}

/// The keys of one range.
#[derive(Debug)]
pub struct SlidingSlot {
    /// The keys.
    pub keys: Keys,
    heads: Vec<Head>,
    /// Per key and size: the running value and, behind it, its oldest entry.
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
        let heads = self.heads.capacity() * size_of::<Head>();
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
            hot: Hot::new(self.kit.layout.stride + 2),
            log: Log::default(),
            scratch,
        }
    }

    /// Empty columns for the answers.
    pub fn columns(&self) -> Vec<AnswerColumn> {
        let output = |feature: &Feature| self.kit.layout.items[feature.aggregate].0.output_type();
        self.features.iter().map(|feature| AnswerColumn::new(output(feature), 0)).collect()
    }

    /// The ids of the keys of `rows`.
    pub fn ids(&self, slot: &mut SlidingSlot, keys: &KeyColumns, rows: &[u32]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(rows.len());
        slot.keys.intern_all(keys, rows, &mut ids);
        let len = slot.keys.capacity();
        if len > slot.heads.len() {
            grow(&mut slot.heads, len);
            slot.heads.resize(len, NEW);
            while slot.hot.len() < len * self.spans.len() {
                slot.hot.push();
            }
        }
        ids
    }

    /// Reads what rows of these keys are going to need at about this moment, and gives a sum of it
    /// that only keeps the reads from being left out: side by side they do not wait for one another.
    pub fn touch(&self, slot: &SlidingSlot, ids: &[u32], moment: Micros) -> u64 {
        let mut sum = 0u64;
        let mut add = |read: u64| sum = sum.wrapping_add(read);
        for &id in ids {
            add(slot.heads[id as usize].tail);
            for s in 0..self.spans.len() {
                add(self.oldest(slot, id as usize * self.spans.len() + s).entry);
            }
        }
        for &id in ids {
            let tail = slot.log.get(slot.heads[id as usize].tail);
            add(tail.map_or(0, |entry| entry.older));
            for (s, span) in self.spans.iter().enumerate() {
                let oldest = self.oldest(slot, id as usize * self.spans.len() + s);
                if oldest.time <= span.lower(moment) {
                    let leaves = slot.log.get(oldest.entry);
                    add(leaves.map_or(0, |entry| entry.newer));
                }
            }
        }
        sum
    }

    fn oldest(&self, slot: &SlidingSlot, at: usize) -> Oldest {
        let words = slot.hot.peek(at as u32, self.kit.layout.stride, 2).words;
        Oldest { entry: words[0], time: words[1] as Micros }
    }

    fn set_oldest(&self, slot: &mut SlidingSlot, at: usize, oldest: Oldest) {
        let words = slot.hot.cell(at as u32, self.kit.layout.stride, 2).words;
        (words[0], words[1]) = (oldest.entry, oldest.time as u64);
    }

    /// Makes a running value that of no rows.
    fn empty(&self, slot: &mut SlidingSlot, at: usize) {
        self.kit.layout.clear(&mut slot.hot, at as u32);
        self.set_oldest(slot, at, Oldest { entry: NONE, time: 0 });
    }

    /// Moves a key's running values to a later moment.
    pub fn advance(&self, slot: &mut SlidingSlot, id: u32, moment: Micros) {
        let head = &mut slot.heads[id as usize];
        if moment <= head.reference {
            return;
        }
        head.reference = moment;
        let tail = head.tail;
        for (s, span) in self.spans.iter().enumerate() {
            let at = id as usize * self.spans.len() + s;
            let floor = span.lower(moment);
            let oldest = self.oldest(slot, at);
            if oldest.entry == NONE || oldest.time > floor {
                continue;
            }
            if slot.log.get(tail).is_none_or(|newest| newest.time <= floor) {
                self.empty(slot, at);
            } else {
                self.evict(slot, at, floor);
            }
        }
    }

    /// Takes what is at or before `floor` out of a running value, from the oldest on.
    fn evict(&self, slot: &mut SlidingSlot, at: usize, floor: Micros) {
        let mut stale: Vec<usize> = vec![];
        let mut oldest = self.oldest(slot, at).entry;
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
        let time = slot.log.get(oldest).map_or(0, |entry| entry.time);
        self.set_oldest(slot, at, Oldest { entry: oldest, time });
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
            let oldest = self.oldest(slot, at);
            if oldest.entry == NONE || time < oldest.time {
                self.set_oldest(slot, at, Oldest { entry: position, time });
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
        let oldest = self.oldest(slot, ask.at).entry;
        let SlidingSlot { log, hot, scratch, .. } = slot;
        let running = hot.peek(ask.at as u32, *offset, words);
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
        let oldest = self.oldest(slot, ask.at).entry;
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

    /// Frees what no window can reach any more; it leaves the running values before.
    pub fn reclaim(&self, slot: &mut SlidingSlot, until: Micros) {
        for dead in slot.log.dead(until).chunks(AHEAD) {
            std::hint::black_box(self.touch_dead(slot, dead));
            for &Dead { id, entry, .. } in dead {
                let last = slot.heads[id as usize].tail == entry;
                for at in (0..self.spans.len()).map(|s| id as usize * self.spans.len() + s) {
                    let oldest = self.oldest(slot, at);
                    if last {
                        self.empty(slot, at);
                    } else if oldest.entry != NONE && oldest.time <= until {
                        self.evict(slot, at, until);
                    }
                }
                if last {
                    slot.heads[id as usize] = NEW;
                    slot.keys.remove(id);
                }
            }
        }
        slot.log.reclaim(until);
    }

    /// As [`Running::touch`], for entries that are to be freed.
    fn touch_dead(&self, slot: &SlidingSlot, dead: &[Dead]) -> u64 {
        let mut sum = 0u64;
        for &Dead { id, newer, .. } in dead {
            let oldest = self.oldest(slot, id as usize * self.spans.len());
            let next = slot.log.get(newer).map_or(0, |entry| entry.older);
            sum = sum.wrapping_add(slot.heads[id as usize].tail ^ oldest.entry ^ next);
        }
        sum
    }

    /// The greatest distance at which a window looks back.
    pub fn back(&self) -> Micros {
        self.spans.iter().map(|span| span.back).max().unwrap_or(0)
    }
}
