//! Session windows: rows of a key at most a gap apart.
//!
//! A session has closed as of a row when the clock before the row has passed `last + gap +
//! allowed_lateness`; that is tested on touch, timers only remind. Closed sessions stay as markers
//! until the clock has passed `last + 2 gap + allowed_lateness`. A row is late iff it touches a
//! marker or `bound > time + gap + allowed_lateness`, whatever open session it would join: so a row
//! that is taken lies behind every forgotten marker, and no two sessions of a key ever overlap.

use super::keyed::{Kit, Mark, Part, Slot, Task};
use super::windowed::{SlotOut, Windowed, passed};
use crate::aggregate::{Hot, Moment};
use crate::error::{Error, Result};
use crate::fate::{Reason, Record};
use crate::fire::FiredRow;
use crate::plan;
use crate::state::saved::Saving;
use crate::state::{KeyColumns, Keys, Saved, Timers};
use crate::time::{Micros, shift};
use crate::watermark::Clock;

/// The verb.
#[derive(Debug)]
pub struct Sessions {
    /// From the last row to the window's end.
    gap: Micros,
    /// The greatest distance at which rows share a session.
    reach: Micros,
    lateness: Micros,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    first: Micros,
    last: Micros,
    /// Ordinal of its first row.
    first_row: u64,
    row: u32,
}

/// Sessions of one key.
#[derive(Debug, Default, Clone)]
struct Of {
    open: Vec<Open>,
    closed: Vec<(Micros, Micros)>,
}

/// Sessions of one range of keys.
#[derive(Debug)]
pub struct SessionSlot {
    keys: Keys,
    of: Vec<Of>,
    hot: Hot,
    free: Vec<u32>,
    timers: Timers,
}

impl Slot for SessionSlot {
    fn keys(&self) -> usize {
        self.keys.len()
    }

    fn bytes(&self) -> usize {
        let lists: usize =
            self.of.iter().map(|of| 48 + of.open.capacity() * 32 + of.closed.capacity() * 16).sum();
        self.keys.bytes() + self.hot.bytes() + self.timers.bytes() + lists
    }
}

impl SessionSlot {
    fn key(&mut self, columns: &KeyColumns, row: usize) -> u32 {
        let id = self.keys.intern(columns, row);
        self.of.resize(self.keys.capacity(), Of::default());
        id
    }

    fn hot_row(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| self.hot.push())
    }
}

impl Sessions {
    /// The verb with a plan's parameters.
    pub fn new(plan: &plan::Session) -> Sessions {
        let reach = if plan.gap_closed { plan.gap } else { plan.gap - 1 };
        Sessions { gap: plan.gap, reach, lateness: plan.allowed_lateness }
    }

    /// The clock that a session's close must pass.
    fn until(&self, last: Micros) -> Micros {
        last.saturating_add(self.reach).saturating_add(self.lateness)
    }

    fn touches(&self, (first, last): (Micros, Micros), time: Micros) -> bool {
        first.saturating_sub(self.reach) <= time && time <= last.saturating_add(self.reach)
    }

    /// Fires the sessions of a key that the clock has passed at `now`.
    fn close(
        &self,
        kit: &Kit,
        slot: &mut SessionSlot,
        id: u32,
        clock: &Clock,
        now: Micros,
        out: &mut SlotOut,
    ) {
        let of = &mut slot.of[id as usize];
        let mut i = 0;
        while i < of.open.len() {
            let session = of.open[i];
            if now <= self.until(session.last) {
                i += 1;
                continue;
            }
            of.open.swap_remove(i);
            of.closed.push((session.first, session.last));
            out.fired.ids.push(id);
            let row = FiredRow {
                trigger: passed(clock, self.until(session.last)).unwrap_or(0),
                end: session.last + self.gap,
                start: session.first,
                last: session.last,
                revision: 0,
                touch: (0, session.first_row),
            };
            out.fired.push(row, 1);
            for (j, column) in out.fired.answers.iter_mut().enumerate() {
                column.push(kit.layout.evaluate(&slot.hot, session.row, j));
            }
            kit.layout.clear(&mut slot.hot, session.row);
            slot.free.push(session.row);
        }
    }

    /// Puts a row that is not late into its session, which may join several.
    fn take(&self, kit: &Kit, slot: &mut SessionSlot, id: u32, task: &Task<'_>, mark: Mark) {
        let Mark { row, time, .. } = mark;
        let first_row = task.ordinal(row);
        let mut session = Open { first: time, last: time, first_row, row: u32::MAX };
        let mut i = 0;
        while i < slot.of[id as usize].open.len() {
            let other = slot.of[id as usize].open[i];
            if !self.touches((other.first, other.last), time) {
                i += 1;
                continue;
            }
            slot.of[id as usize].open.swap_remove(i);
            session.first = session.first.min(other.first);
            session.last = session.last.max(other.last);
            session.first_row = session.first_row.min(other.first_row);
            if session.row == u32::MAX {
                session.row = other.row;
            } else {
                kit.layout.merge_within(&mut slot.hot, session.row, other.row);
                kit.layout.clear(&mut slot.hot, other.row);
                slot.free.push(other.row);
            }
        }
        if session.row == u32::MAX {
            session.row = slot.hot_row();
            slot.timers.arm(self.until(session.last), id);
        }
        let at = Moment { time, seq: task.seq(row) };
        kit.layout.update_one(&mut slot.hot, session.row, task.columns, row as usize, at);
        slot.of[id as usize].open.push(session);
    }

    /// Why a row cannot be taken, and by how much it is late.
    fn verdict(
        &self,
        of: &Of,
        time: Micros,
        limit: Micros,
        before: Micros,
    ) -> Option<(Reason, Micros)> {
        let late_by = limit.saturating_sub(self.until(time));
        let met = |&(first, last): &(Micros, Micros)| {
            self.touches((first, last), time)
                && before <= self.until(last).saturating_add(self.reach)
        };
        if of.closed.iter().any(met) {
            return Some((Reason::SessionClosed, late_by.max(0)));
        }
        (late_by > 0).then_some((Reason::Late, late_by))
    }

    /// Forgets markers that no row can touch any more, and keys without sessions; arms the rest.
    fn reclaim(&self, slot: &mut SessionSlot, id: u32, now: Micros) {
        let reach = self.reach;
        let Of { open, closed } = &mut slot.of[id as usize];
        closed.retain(|&(_, last)| now <= self.until(last).saturating_add(reach));
        let waiting = open.iter().map(|s| self.until(s.last)).min();
        let marked = closed.iter().map(|c| self.until(c.1).saturating_add(reach)).min();
        match (waiting, marked) {
            (Some(due), _) => slot.timers.arm(due, id),
            (None, Some(due)) => slot.timers.arm(due, id),
            (None, None) => slot.keys.remove(id),
        }
    }
}

impl Windowed for Sessions {
    type Slot = SessionSlot;

    fn slot(&self, kit: &Kit) -> SessionSlot {
        SessionSlot {
            keys: Keys::default(),
            of: vec![],
            hot: kit.layout.hot(),
            free: vec![],
            timers: Timers::new(self.gap),
        }
    }

    fn due(&self, slot: &SessionSlot, clock: Micros) -> bool {
        slot.timers.is_due(clock)
    }

    fn apply(
        &self,
        kit: &Kit,
        slot: &mut SessionSlot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()> {
        for &mark in task.marks {
            let Mark { row, time, before, limit, .. } = mark;
            let far = self.gap.saturating_mul(2).saturating_add(self.lateness);
            if time.checked_add(far).is_none() || time.checked_sub(far).is_none() {
                out.counters.invalid += 1;
                out.records.push(task.record(Reason::WindowOutOfRange, row));
                continue;
            }
            let known = slot.keys.get(task.keys, row as usize);
            if let Some(id) = known {
                self.close(kit, slot, id, task.clock, before, out);
            }
            let none = Of::default();
            let of = known.map_or(&none, |id| &slot.of[id as usize]);
            if let Some((reason, late_by)) = self.verdict(of, time, limit, before) {
                out.counters.late += 1;
                out.counters.late_windows += 1;
                out.records.push(Record {
                    window: Some((time, time + self.gap)),
                    windows: 1,
                    late_by: Some(late_by),
                    ..task.record(reason, row)
                });
                continue;
            }
            out.counters.counted += 1;
            let id = slot.key(task.keys, row as usize);
            self.take(kit, slot, id, task, mark);
        }
        let now = task.clock.end();
        let mut due = slot.timers.take_due(now);
        due.sort_unstable();
        due.dedup();
        for &id in &due {
            self.close(kit, slot, id, task.clock, now, out);
        }
        out.fired.keys = slot.keys.columns(&out.fired.ids, &kit.folding.key_types)?;
        for id in due {
            self.reclaim(slot, id, now);
        }
        Ok(())
    }

    fn delay(&self) -> Micros {
        self.lateness + 1
    }

    fn start_from(&self, from: Micros) -> Micros {
        shift(from, self.reach)
    }

    fn full_from(&self, from: Micros) -> Micros {
        // what begins before `start_from` and is alone ends before this
        shift(self.start_from(from), self.gap - 1)
    }

    fn save(&self, kit: &Kit, slot: &SessionSlot) -> Result<Vec<Part>> {
        let mut ids = Vec::new();
        let (mut first, mut last, mut first_row, mut state) = (vec![], vec![], vec![], vec![]);
        let (mut closed_ids, mut closed_first, mut closed_last) = (vec![], vec![], vec![]);
        for (id, of) in slot.of.iter().enumerate() {
            for session in &of.open {
                ids.push(id as u32);
                first.push(session.first);
                last.push(session.last);
                first_row.push(session.first_row);
                let mut bytes = Vec::new();
                kit.layout.save(&slot.hot, session.row, &mut bytes);
                state.push(bytes);
            }
            for &(start, end) in &of.closed {
                closed_ids.push(id as u32);
                closed_first.push(start);
                closed_last.push(end);
            }
        }
        let types = &kit.folding.key_types;
        let open = Saving::default()
            .columns("key", slot.keys.columns(&ids, types)?)
            .i64("first", first)
            .i64("last", last)
            .u64("first_row", first_row)
            .binary("state", &state)
            .done()?;
        let closed = Saving::default()
            .columns("key", slot.keys.columns(&closed_ids, types)?)
            .i64("first", closed_first)
            .i64("last", closed_last)
            .done()?;
        Ok(vec![("open", open), ("closed", closed)])
    }

    fn load(&self, kit: &Kit, slot: &mut SessionSlot, part: &str, saved: &Saved) -> Result<()> {
        let keys = saved.columns("key", &kit.folding.key_types)?;
        let keys = KeyColumns::new(&keys, saved.len())?;
        let (first, last) = (saved.i64("first")?, saved.i64("last")?);
        match part {
            "open" => {
                let (first_row, state) = (saved.u64("first_row")?, saved.binary("state")?);
                for i in 0..saved.len() {
                    let (id, row) = (slot.key(&keys, i), slot.hot_row());
                    kit.layout.load(&mut slot.hot, row, state.value(i))?;
                    let session =
                        Open { first: first[i], last: last[i], first_row: first_row[i], row };
                    slot.of[id as usize].open.push(session);
                    slot.timers.arm(self.until(last[i]), id);
                }
            }
            "closed" => {
                for i in 0..saved.len() {
                    let id = slot.key(&keys, i);
                    slot.of[id as usize].closed.push((first[i], last[i]));
                    slot.timers.arm(self.until(last[i]), id);
                }
            }
            other => return Err(Error::Snapshot(format!("a session has no part \"{other}\""))),
        }
        Ok(())
    }
}
