//! The sessions of a key, without their accumulators: which session a row joins, which have closed,
//! and how far back the key's past is closed to new rows.
//!
//! A row joins every open session that is no further away than the gap, however old the row is.
//! Sessions of a key must not overlap, so a row that would also reach a closed session is rejected.
//! How much is remembered of a closed session depends only on the clock:
//!
//! ```text
//! clock <= last + 2 gap + L     a marker: a row that touches it is late
//! after that                    `sealed` if the key has another session then, and `floor`:
//!                               the greatest `last` that was forgotten
//! clock > floor + 4 gap + L     nothing, if the key has no session and no marker
//! ```
//!
//! A forgotten key may have had sessions up to `clock - 4 gap - L - 1`: that becomes the floor of
//! its next session. All of this is checked when a key is touched; timers only trigger the check.

use crate::assign::Gaps;
use crate::fate::Reason;
use crate::time::{FOREVER, Micros, NEVER};

/// Position of a session's first or last row in the firing order.
pub type Touch = (Micros, u64);

/// The value of [`Open::row`] for a session without accumulators.
pub const NO_ROW: u32 = u32::MAX;

/// An open session.
#[derive(Debug, Clone, Copy)]
pub struct Open {
    /// Its oldest event time.
    pub first: Micros,
    /// Its newest event time.
    pub last: Micros,
    /// Position of its first row in order of arrival.
    pub opened: Touch,
    /// Position of the row that set `last`.
    pub newest: Touch,
    /// Row of its accumulators, or [`NO_ROW`].
    pub row: u32,
}

/// The sessions of one key.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Sessions that rows may still join.
    pub open: Vec<Open>,
    /// Markers of fired sessions: oldest and newest event time.
    pub closed: Vec<(Micros, Micros)>,
    /// Rows up to `reach` after this time are rejected.
    pub sealed: Micros,
    /// Rows up to `reach` after this time cannot join an open session.
    pub floor: Micros,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { open: vec![], closed: vec![], sealed: NEVER, floor: NEVER }
    }
}

/// Whether a clock has passed a time. After the end of all rows it has passed every time.
pub fn has_passed(clock: Micros, moment: Micros) -> bool {
    clock == FOREVER || clock > moment
}

impl Sessions {
    /// Why a row with this time and bound is rejected, or `None`.
    pub fn refuses(&self, gaps: &Gaps, time: Micros, bound: Micros) -> Option<Reason> {
        let joins = self.open.iter().any(|open| gaps.touches((open.first, open.last), time));
        if self.closed.iter().any(|&closed| gaps.touches(closed, time))
            || gaps.blocks(self.sealed, time)
            || (joins && gaps.blocks(self.floor, time))
        {
            return Some(Reason::SessionClosed);
        }
        (!joins && bound > gaps.until(time)).then_some(Reason::Late)
    }

    /// Adds an accepted row as a session of its own and merges the sessions it joins into that one.
    /// `before` is the clock before the row; `merge` receives the accumulators to keep and those to
    /// add to them.
    pub fn join(
        &mut self,
        gaps: &Gaps,
        row: Open,
        before: Micros,
        mut merge: impl FnMut(u32, u32),
    ) -> &mut Open {
        if self.open.is_empty() && self.closed.is_empty() && before != NEVER {
            self.floor = self.floor.max(gaps.forgotten(before));
        }
        let mut session = row;
        let mut i = 0;
        while i < self.open.len() {
            let other = self.open[i];
            if !gaps.touches((other.first, other.last), row.first) {
                i += 1;
                continue;
            }
            self.open.swap_remove(i);
            session.first = session.first.min(other.first);
            session.opened = session.opened.min(other.opened);
            if other.last >= session.last {
                (session.last, session.newest) = (other.last, other.newest);
            }
            match (session.row, other.row) {
                (NO_ROW, row) => session.row = row,
                (kept, more) => merge(kept, more),
            }
        }
        self.open.push(session);
        let at = self.open.len() - 1;
        &mut self.open[at]
    }

    /// Takes the next session that has closed at this clock and leaves a marker for it.
    pub fn close(&mut self, gaps: &Gaps, clock: Micros) -> Option<Open> {
        let closes = |open: &Open| has_passed(clock, gaps.until(open.last));
        let at = self.open.iter().position(closes)?;
        let session = self.open.swap_remove(at);
        self.closed.push((session.first, session.last));
        Some(session)
    }

    /// Forgets the markers that the clock has passed. Every closed session must have been taken
    /// before.
    pub fn forget(&mut self, gaps: &Gaps, clock: Micros) {
        if !self.closed.iter().any(|closed| clock > gaps.marked_until(closed.1)) {
            return;
        }
        self.closed.sort_unstable_by_key(|closed| std::cmp::Reverse(closed.1));
        while let Some(&(_, last)) = self.closed.last() {
            let until = gaps.marked_until(last);
            if clock <= until {
                break;
            }
            self.closed.pop();
            let others = self.open.iter().map(|open| open.last);
            let others = others.chain(self.closed.iter().map(|closed| closed.1));
            if others.max().is_some_and(|newest| gaps.until(newest) >= until) {
                self.sealed = self.sealed.max(last);
            }
            self.floor = self.floor.max(last);
        }
        if self.open.is_empty() && self.closed.is_empty() {
            self.sealed = NEVER;
        }
    }

    /// The clock at which to check the key again; `None` once nothing is left to remember.
    pub fn next_look(&self, gaps: &Gaps, clock: Micros) -> Option<Micros> {
        let waiting = self.open.iter().map(|open| gaps.until(open.last)).min();
        let marked = || self.closed.iter().map(|closed| gaps.marked_until(closed.1)).min();
        let known = || (self.floor != NEVER).then(|| gaps.known_until(self.floor));
        waiting.or_else(marked).or_else(|| known().filter(|&until| clock <= until))
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let (open, closed) = (self.open.capacity(), self.closed.capacity());
        size_of::<Sessions>() + open * size_of::<Open>() + closed * size_of::<(Micros, Micros)>()
    }
}
