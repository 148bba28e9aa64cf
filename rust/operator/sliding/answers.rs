//! Answers: the features of a slot's rows in one step, computed on arrival or together with their
//! peers.

use super::Moments;
use crate::aggregate::{AnswerColumn, ArgumentRows};
use crate::fate::{Counters, Reason, Record};
use crate::limits::AHEAD_ROWS;
use crate::operator::running::{EventWindows, SlidingSlot, Tapes};
use crate::operator::task::{RowFacts, Task};
use crate::state::RANGES;
use crate::state::log::NONE;
use crate::time::Micros;

/// The answers of all slots of one owner in one step, with scratch space.
pub(super) struct Answers {
    pub(super) columns: Vec<AnswerColumn>,
    pub(super) late: Vec<u32>,
    pub(super) counters: Counters,
    pub(super) records: Vec<Record>,
    pub(super) tapes: Tapes,
    pub(super) ids: Vec<u32>,
    pub(super) keyed: Vec<u32>,
}

impl Answers {
    pub(super) fn new(running: &EventWindows, rows: usize) -> Answers {
        Answers {
            columns: running.columns(rows),
            late: vec![],
            counters: Counters::default(),
            records: vec![],
            tapes: running.tapes(rows / RANGES),
            ids: vec![],
            keyed: vec![],
        }
    }
}

/// The rows of one slot in one step.
pub(super) struct SlotRows<'a> {
    pub(super) running: &'a EventWindows,
    pub(super) rule: &'a Moments,
    pub(super) task: Task<'a>,
    /// The rows' indices in the block.
    pub(super) rows: &'a [u32],
    pub(super) arranged: &'a ArgumentRows,
    /// Index of the slot's first row among all routed rows.
    pub(super) first: usize,
}

impl SlotRows<'_> {
    /// Looks up the keys of the rows that have one.
    fn look_up(&self, slot: &mut SlidingSlot, out: &mut Answers) {
        let SlotRows { running, rule, task, rows, .. } = self;
        if rule.null_is_key || !task.keys.has_nulls() {
            return running.ids(slot, task.keys, rows, &mut out.ids);
        }
        out.keyed.clear();
        out.keyed.extend(rows.iter().filter(|&&row| rule.has_key(task, row)));
        running.ids(slot, task.keys, &out.keyed, &mut out.ids);
    }

    /// The key id of the `n`th row that has a key.
    #[inline]
    fn key(&self, slot: &SlidingSlot, ids: &[u32], n: usize, moment: Micros) -> u32 {
        if n.is_multiple_of(AHEAD_ROWS) {
            self.running.prefetch(slot, &ids[n..ids.len().min(n + AHEAD_ROWS)], moment);
        }
        ids[n]
    }

    /// Advances a key to a row's time and adds the row; returns its entry.
    #[inline]
    fn enter(&self, slot: &mut SlidingSlot, id: u32, i: usize, tapes: &mut Tapes) -> u64 {
        let RowFacts { row, time, .. } = self.task.facts[i];
        let aside = (self.task.columns, row as usize);
        self.running.enter(slot, id, time, self.arranged.at(self.first + i), aside, tapes)
    }

    /// Answers each row on arrival.
    pub(super) fn on_arrival(&self, slot: &mut SlidingSlot, out: &mut Answers) {
        let SlotRows { running, rule, task, .. } = self;
        self.look_up(slot, out);
        let mut n = 0;
        for (i, &RowFacts { row, time, limit, .. }) in task.facts.iter().enumerate() {
            let (moment, late_by) = rule.answer_time(time, limit);
            match late_by {
                None => out.counters.counted += 1,
                Some(late_by) => self.late(row, (moment, late_by), out),
            }
            if !rule.has_key(task, row) {
                running.answer_nothing(&mut out.tapes, &mut out.columns);
                continue;
            }
            let id = self.key(slot, &out.ids, n, moment);
            n += 1;
            running.advance(slot, id, moment, &mut out.tapes);
            if !rule.include_current {
                running.answer(slot, id, (moment, NONE, None), &mut out.tapes, &mut out.columns);
            }
            let entry = self.enter(slot, id, i, &mut out.tapes);
            if rule.include_current {
                let also = late_by.filter(|_| rule.ago == 0).map(|_| (entry, time));
                running.answer(slot, id, (moment, NONE, also), &mut out.tapes, &mut out.columns);
            }
        }
        running.play(slot, &mut out.tapes, &mut out.columns);
    }

    /// Records that a row was late, and the window used for its answer.
    fn late(&self, row: u32, (moment, late_by): (Micros, Micros), out: &mut Answers) {
        out.counters.late += 1;
        out.late.push(row);
        if !self.task.block.meta.is_late(row as usize) {
            let record = self.task.record(Reason::Late, row);
            let window = Some(self.rule.longest_window(moment));
            out.records.push(Record { window, late_by: Some(late_by), ..record });
        }
    }

    /// Answers rows, given in order of time, together with their peers of equal time.
    pub(super) fn with_peers(&self, slot: &mut SlidingSlot, out: &mut Answers) {
        let SlotRows { running, rule, task, .. } = self;
        self.look_up(slot, out);
        let (mut n, mut i) = (0, 0);
        let mut entered = vec![];
        for peers in task.facts.chunk_by(|a, b| a.time == b.time) {
            entered.clear();
            for &RowFacts { row, time, .. } in peers {
                out.counters.counted += 1;
                if rule.has_key(task, row) {
                    let id = self.key(slot, &out.ids, n, time);
                    n += 1;
                    running.advance(slot, id, time, &mut out.tapes);
                    let entry = self.enter(slot, id, i, &mut out.tapes);
                    entered.push(Some((id, time, if rule.include_current { NONE } else { entry })));
                } else {
                    entered.push(None);
                }
                i += 1;
            }
            for each in &entered {
                match *each {
                    Some((id, time, skip)) => {
                        let asked = (time, skip, None);
                        running.answer(slot, id, asked, &mut out.tapes, &mut out.columns);
                    }
                    None => running.answer_nothing(&mut out.tapes, &mut out.columns),
                }
            }
        }
        running.play(slot, &mut out.tapes, &mut out.columns);
    }
}
