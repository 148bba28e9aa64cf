//! Watermarks: one per declared partition, the clock of an operator, and the one predicate for
//! lateness.

mod parts;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::time::{FOREVER, Micros, NEVER, shift};

/// The watermark that judges a row: the later of its own partition's and the operator's clock.
///
/// Judging rows by their own partition makes final windows independent of interleaving.
#[inline]
pub fn bound(judge: Micros, before: Micros) -> Micros {
    judge.max(before)
}

/// Whether a window that ends at `end` no longer accepts a row with this bound.
pub fn is_late(bound: Micros, end: Micros, allowed_lateness: Micros) -> bool {
    bound == FOREVER || bound >= end.saturating_add(allowed_lateness)
}

/// How an operator's watermark moves through one step: its initial value, and each rise with the
/// `seq` of the row that caused it. Within one `seq`, rows come before the rise.
///
/// A clock also records whether everything upstream is idle (a union does not wait for that side),
/// and how far event time has come, which counts once the rows have ended for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    start: Micros,
    rises: Vec<(u64, Micros)>,
    idle: bool,
    turns: Vec<(u64, bool)>,
    newest: Micros,
}

impl Clock {
    /// A clock at `start`.
    pub fn new(start: Micros) -> Clock {
        Clock { start, rises: Vec::new(), idle: false, turns: Vec::new(), newest: NEVER }
    }

    /// A clock at the watermark of an input.
    pub fn from_watermarks(input: &Watermarks) -> Clock {
        let (idle, newest) = (input.is_idle(), input.reached());
        Clock { idle, newest, ..Clock::new(input.clock()) }
    }

    /// Records the watermark of an input after the row or event `seq`.
    #[inline]
    pub fn note(&mut self, seq: u64, input: &Watermarks) {
        self.raise(seq, input.clock());
        self.turn(seq, input.is_idle());
        self.newest = input.reached();
    }

    #[inline]
    fn turn(&mut self, seq: u64, idle: bool) {
        if idle != self.turns.last().map_or(self.idle, |turn| turn.1) {
            self.turns.push((seq, idle));
        }
    }

    /// Raises the clock after the row `seq`; a lower or equal value changes nothing.
    #[inline]
    pub fn raise(&mut self, seq: u64, value: Micros) {
        if value > self.end() {
            match self.rises.last_mut() {
                Some(last) if last.0 == seq => last.1 = value,
                _ => self.rises.push((seq, value)),
            }
        }
    }

    /// The value before the step's first row.
    pub fn start(&self) -> Micros {
        self.start
    }

    /// The value after the step's last row.
    #[inline]
    pub fn end(&self) -> Micros {
        self.rises.last().map_or(self.start, |rise| rise.1)
    }

    /// The rises, in order.
    pub fn rises(&self) -> &[(u64, Micros)] {
        &self.rises
    }

    /// The value before row `seq`, that is, after all earlier rows.
    pub fn before(&self, seq: u64) -> Micros {
        match self.rises.partition_point(|rise| rise.0 < seq) {
            0 => self.start,
            n => self.rises[n - 1].1,
        }
    }

    /// The `seq` whose rise first brings the clock to `value` or above; `None` if it stays below.
    pub fn reached(&self, value: Micros) -> Option<u64> {
        self.rises.get(self.rises.partition_point(|rise| rise.1 < value)).map(|rise| rise.0)
    }

    /// The `seq` whose rise first brings the clock above `value`; the end of all rows also does.
    pub fn passed(&self, value: Micros) -> Option<u64> {
        let below = |rise: &(u64, Micros)| rise.1 <= value && rise.1 != FOREVER;
        self.rises.get(self.rises.partition_point(below)).map(|rise| rise.0)
    }

    /// How far time had come at the end of the step: the clock, or after the last row the newest
    /// event time. The end of the data does not count as time passing.
    pub fn come_to(&self) -> Micros {
        if self.end() == FOREVER { self.newest } else { self.end() }
    }

    /// The same clock, delayed by `by` microseconds.
    pub fn shifted(self: &Arc<Clock>, by: Micros) -> Arc<Clock> {
        if by == 0 {
            return self.clone();
        }
        let rises = self.rises.iter().map(|&(seq, value)| (seq, shift(value, by)));
        let (idle, turns, newest) = (self.idle, self.turns.clone(), shift(self.newest, by));
        let mut clock = Clock { idle, turns, newest, ..Clock::new(shift(self.start, by)) };
        rises.for_each(|(seq, value)| clock.raise(seq, value));
        Arc::new(clock)
    }

    /// The minimum of several clocks at each `seq`, starting at `floor`, without idle ones; if all
    /// are idle, the minimum of all. Finished sides are ignored.
    pub fn minimum(clocks: &[&Clock], floor: Micros) -> Clock {
        let mut now: Vec<(Micros, bool)> = clocks.iter().map(|c| (c.start, c.idle)).collect();
        let mut events: Vec<(u64, usize, Option<Micros>, bool)> = Vec::new();
        for (i, clock) in clocks.iter().enumerate() {
            events.extend(clock.rises.iter().map(|&(seq, value)| (seq, i, Some(value), false)));
            events.extend(clock.turns.iter().map(|&(seq, idle)| (seq, i, None, idle)));
        }
        events.sort_by_key(|&(seq, ..)| seq);
        let lowest = |now: &[(Micros, bool)]| {
            let unfinished = || now.iter().filter(|side| side.0 != FOREVER);
            let active = unfinished().filter(|side| !side.1).map(|side| side.0).min();
            let lowest = active.or_else(|| unfinished().map(|side| side.0).min());
            (lowest.unwrap_or(FOREVER), active.is_none() && lowest.is_some())
        };
        let (start, idle) = lowest(&now);
        let newest = clocks.iter().map(|clock| clock.newest).max().unwrap_or(NEVER);
        let mut clock = Clock { idle, newest, ..Clock::new(start.max(floor)) };
        for at in events.chunk_by(|a, b| a.0 == b.0) {
            for &(_, i, value, idle) in at {
                match value {
                    Some(value) => now[i].0 = value,
                    None => now[i].1 = idle,
                }
            }
            let (value, idle) = lowest(&now);
            clock.raise(at[0].0, value);
            clock.turn(at[0].0, idle);
        }
        clock
    }

    /// Returns the clock's value before each of a sequence of rows.
    pub fn walk(&self) -> Walk<'_> {
        Walk { value: self.start, rises: &self.rises }
    }

    /// The value before each row of a block; `seqs` must rise.
    pub fn before_each(&self, seqs: &[u64]) -> Vec<Micros> {
        let mut walk = self.walk();
        seqs.iter().map(|&seq| walk.at(seq)).collect()
    }
}

/// See [`Clock::walk`].
#[derive(Debug)]
pub struct Walk<'a> {
    value: Micros,
    rises: &'a [(u64, Micros)],
}

impl Walk<'_> {
    /// The value before row `seq`, which must not be lower than in the previous call.
    #[inline]
    pub fn at(&mut self, seq: u64) -> Micros {
        while let [(at, value), rest @ ..] = self.rises
            && *at < seq
        {
            (self.value, self.rises) = (*value, rest);
        }
        self.value
    }
}

/// One declared partition of an input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Partition {
    /// The source's id of the partition.
    pub id: i64,
    /// Running maximum of event time, minus the out-of-order bound.
    pub watermark: Micros,
    /// Whether it no longer holds the input's watermark back.
    pub idle: bool,
    /// Position of the next row if the source has no positions.
    pub next_position: i64,
}

/// The effect of a row on the watermarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The partition's watermark: the row's judge.
    pub judge: Micros,
    /// Whether the clock or the newest time changed.
    pub moved: bool,
    /// The previous newest time, if the row is so much newer that its clock may be wrong.
    pub leapt: Option<Micros>,
}

/// An advance by more than this, and by more than 100 times the bound, counts as a jump.
const HOUR: Micros = 3_600_000_000;

/// The watermarks of one input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Watermarks {
    out_of_order: Micros,
    partitions: Vec<Partition>,
    clock: Micros,
    heard: bool,
    /// The greatest watermark of finished partitions.
    finished: Micros,
    /// The newest event time, or explicitly set watermark.
    #[serde(default = "never")]
    reached: Micros,
}

fn never() -> Micros {
    NEVER
}

impl Watermarks {
    /// Watermarks for the declared partitions, before any row.
    pub fn new(out_of_order: Micros, partitions: &[i64]) -> Watermarks {
        let mut all = Watermarks {
            out_of_order,
            partitions: vec![],
            clock: NEVER,
            heard: false,
            finished: NEVER,
            reached: NEVER,
        };
        partitions.iter().for_each(|&id| all.add(id, NEVER));
        all
    }

    fn add(&mut self, id: i64, watermark: Micros) {
        self.partitions.push(Partition { id, watermark, idle: false, next_position: 0 });
    }

    /// The index of a declared partition; an error if undeclared.
    pub fn find(&self, id: i64) -> Result<usize> {
        self.partitions.iter().position(|p| p.id == id).ok_or_else(|| {
            let known: Vec<String> = self.partitions.iter().map(|p| p.id.to_string()).collect();
            Error::Partition(format!(
                "partition {id} was not declared, only {}\nhint: name it in partitions=, or open it",
                known.join(", ")
            ))
        })
    }

    /// Like [`Watermarks::find`]; a finished partition is also an error.
    pub fn find_open(&self, id: i64) -> Result<usize> {
        let at = self.find(id)?;
        if self.partitions[at].watermark == FOREVER {
            return Err(Error::Partition(format!("partition {id} is finished")));
        }
        Ok(at)
    }

    /// The declared partitions.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// A partition, mutable, to count its positions.
    pub fn partition_mut(&mut self, at: usize) -> &mut Partition {
        &mut self.partitions[at]
    }

    /// The input's watermark: the minimum over its active partitions, never falling.
    pub fn clock(&self) -> Micros {
        self.clock
    }

    /// How far event time has come, by rows or explicit watermarks.
    pub fn reached(&self) -> Micros {
        if self.clock == FOREVER { self.reached } else { self.reached.max(self.clock) }
    }

    /// Whether the input has received anything yet.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// Updates a row's partition with its time.
    #[inline]
    pub fn row(&mut self, at: usize, time: Micros) -> Heard {
        let own = shift(time.clamp(NEVER + 1, FOREVER - 1), -self.out_of_order);
        let partition = &mut self.partitions[at];
        let (before, leap) = (partition.watermark, self.out_of_order.saturating_mul(100));
        let held_back = own > before && before <= self.clock;
        let leapt = own.saturating_sub(before) > leap.max(HOUR) && before != NEVER;
        let woke = std::mem::take(&mut partition.idle);
        self.heard = true;
        self.reached = self.reached.max(time);
        partition.watermark = partition.watermark.max(own);
        let judge = partition.watermark;
        if held_back || woke {
            self.settle();
        }
        let leapt = leapt.then(|| shift(before, self.out_of_order));
        Heard { judge, moved: held_back || woke, leapt }
    }

    /// Raises one partition, or all, to an explicit watermark; a lower value changes nothing.
    pub fn advance(&mut self, at: Option<usize>, watermark: Micros) {
        self.heard = true;
        self.reached = self.reached.max(if watermark == FOREVER { NEVER } else { watermark });
        let moved = |i: usize| at.is_none_or(|at| at == i);
        for (i, partition) in self.partitions.iter_mut().enumerate() {
            if moved(i) {
                if watermark == FOREVER && partition.watermark != FOREVER {
                    self.finished = self.finished.max(partition.watermark);
                }
                partition.watermark = partition.watermark.max(watermark);
            }
        }
        self.settle();
    }

    /// Marks one partition, or all, as idle.
    pub fn idle(&mut self, at: Option<usize>) {
        self.heard = true;
        for (i, partition) in self.partitions.iter_mut().enumerate() {
            partition.idle |= at.is_none_or(|at| at == i);
        }
        self.settle();
    }

    /// The newest time of any row so far.
    pub fn newest(&self) -> Micros {
        let open = self.partitions.iter().map(|p| p.watermark).filter(|&w| w != FOREVER);
        shift(open.max().unwrap_or(NEVER).max(self.finished), self.out_of_order)
    }

    /// Changes the out-of-order bound from now on; the clock does not fall.
    pub fn rebound(&mut self, out_of_order: Micros) {
        let by = self.out_of_order.saturating_sub(out_of_order);
        if by == 0 {
            return;
        }
        self.partitions.iter_mut().for_each(|p| p.watermark = shift(p.watermark, by));
        self.finished = shift(self.finished, by);
        self.out_of_order = out_of_order;
        self.settle();
    }

    /// Adds a partition that starts at the current clock.
    pub fn open(&mut self, id: i64) -> Result<()> {
        if self.partitions.iter().any(|p| p.id == id) {
            return Err(Error::Partition(format!("partition {id} is open already")));
        }
        if self.clock == FOREVER {
            return Err(Error::Partition(format!(
                "partition {id} cannot open: the input is finished"
            )));
        }
        self.heard = true;
        self.add(id, self.clock);
        Ok(())
    }

    /// Whether no open partition holds the watermark back.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.clock != FOREVER && self.partitions.iter().all(|p| p.idle || p.watermark == FOREVER)
    }

    /// Updates the input's clock after a change: the minimum over active partitions; if all are
    /// idle, it moves only when all of them do. Finished partitions are ignored.
    fn settle(&mut self) {
        if let [only] = self.partitions.as_slice() {
            self.clock = self.clock.max(only.watermark);
            return;
        }
        let unfinished = || self.partitions.iter().filter(|p| p.watermark != FOREVER);
        let active = unfinished().filter(|p| !p.idle).map(|p| p.watermark).min();
        let lowest = active.or_else(|| unfinished().map(|p| p.watermark).min());
        self.clock = self.clock.max(lowest.unwrap_or(FOREVER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_rises_after_its_row() {
        let mut clock = Clock::new(NEVER);
        clock.raise(3, 10);
        clock.raise(5, 7);
        clock.raise(8, 20);
        assert_eq!((clock.before(3), clock.before(4), clock.before(9)), (NEVER, 10, 20));
        let reached = [10, 11, 21].map(|value| clock.reached(value));
        assert_eq!(reached, [Some(3), Some(8), None]);
        assert_eq!(clock.before_each(&[3, 3, 8, 9]), [NEVER, NEVER, 10, 20]);
    }

    #[test]
    fn the_minimum_waits_for_the_slowest() {
        let (mut a, mut b) = (Clock::new(NEVER), Clock::new(5));
        a.raise(1, 3);
        a.raise(4, 9);
        b.raise(6, 8);
        let both = Clock::minimum(&[&a, &b], NEVER);
        assert_eq!(both.rises(), &[(1, 3), (4, 5), (6, 8)]);
    }

    #[test]
    fn an_idle_side_does_not_hold_a_union_back() {
        let mut quiet = Watermarks::new(0, &[0]);
        quiet.row(0, 5);
        let mut side = Clock::from_watermarks(&quiet);
        quiet.idle(Some(0));
        side.note(2, &quiet);
        quiet.row(0, 6);
        side.note(7, &quiet);
        let mut busy = Clock::new(1);
        busy.raise(3, 50);
        let both = Clock::minimum(&[&side, &busy], 4);
        assert_eq!((both.start(), both.rises()), (4, &[(3, 50)][..]));
    }

    #[test]
    fn the_end_of_one_partition_does_not_speak_for_an_idle_one() {
        let mut w = Watermarks::new(0, &[0, 1]);
        w.row(1, 3);
        w.idle(Some(1));
        w.advance(Some(0), FOREVER);
        assert_eq!(w.clock(), 3);
        w.advance(Some(1), FOREVER);
        assert_eq!(w.clock(), FOREVER);
    }

    #[test]
    fn partitions_hold_back_until_idle() {
        let mut w = Watermarks::new(2, &[0, 1]);
        assert_eq!(w.row(0, 10), Heard { judge: 8, moved: true, leapt: None });
        assert_eq!(w.clock(), NEVER);
        w.idle(Some(1));
        assert_eq!(w.clock(), 8);
        assert_eq!(w.row(1, 5), Heard { judge: 3, moved: true, leapt: None });
        assert_eq!(w.clock(), 8);
        w.row(0, 30);
        assert_eq!(w.clock(), 8);
        w.row(1, 20);
        assert_eq!(w.clock(), 18);
        w.idle(Some(0));
        w.idle(Some(1));
        assert_eq!(w.clock(), 18, "the idle verdict of the last one moves nothing");
        w.advance(None, 40);
        assert_eq!(w.clock(), 40);
        assert!(w.find(7).is_err());
    }

    #[test]
    fn the_newest_row_is_remembered_and_another_bound_does_not_move_it() {
        let mut w = Watermarks::new(2, &[0, 1]);
        assert_eq!(w.newest(), NEVER);
        w.row(0, 10);
        w.row(1, 30);
        w.row(1, 20);
        assert_eq!((w.newest(), w.clock()), (30, 8));
        w.advance(Some(1), FOREVER);
        assert_eq!((w.newest(), w.clock()), (30, 8));
        w.rebound(5);
        assert_eq!((w.newest(), w.clock()), (30, 8));
        w.row(0, 12);
        assert_eq!(w.clock(), 8);
        w.rebound(0);
        assert_eq!((w.newest(), w.clock()), (30, 12));
    }

    #[test]
    fn a_finished_partition_takes_no_rows() {
        let mut w = Watermarks::new(0, &[0]);
        w.advance(Some(0), FOREVER);
        assert_eq!(w.clock(), FOREVER);
        assert!(w.find_open(0).is_err());
    }
}
