//! Session windows: arithmetic from the times of rows to the sessions they join.

use crate::time::{Micros, NEVER};

/// The times that decide when sessions join and close.
#[derive(Debug, Clone, Copy)]
pub struct Gaps {
    /// From the last row to the end of the window.
    pub gap: Micros,
    /// The greatest distance between neighbouring rows of one session.
    pub reach: Micros,
    /// The allowed lateness, for which a session stays open in addition.
    pub lateness: Micros,
}

impl Gaps {
    /// End of the session whose last row is at this time, if both it and the times around it are
    /// representable.
    pub fn end_of(&self, last: Micros) -> Option<Micros> {
        last.checked_sub(self.gap).and_then(|_| last.checked_add(self.gap))
    }

    /// The time the clock must pass for a session to close.
    pub fn until(&self, last: Micros) -> Micros {
        last.saturating_add(self.reach).saturating_add(self.lateness)
    }

    /// The time the clock must pass for a session's marker to be forgotten.
    pub fn marked_until(&self, last: Micros) -> Micros {
        self.until(last).saturating_add(self.reach)
    }

    /// The time the clock must pass for the key to be forgotten.
    pub fn known_until(&self, last: Micros) -> Micros {
        self.marked_until(last).saturating_add(self.reach.saturating_mul(2))
    }

    /// The newest `last` of sessions that may have been forgotten with their key at this clock.
    pub fn forgotten(&self, clock: Micros) -> Micros {
        let memory = self.reach.saturating_mul(4).saturating_add(self.lateness);
        clock.saturating_sub(memory).saturating_sub(1)
    }

    /// Whether a row of this time belongs to a session with these bounds.
    pub fn touches(&self, (first, last): (Micros, Micros), time: Micros) -> bool {
        first.saturating_sub(self.reach) <= time && time <= last.saturating_add(self.reach)
    }

    /// Whether a row of this time could belong to a session that ended at `floor`.
    pub fn blocks(&self, floor: Micros, time: Micros) -> bool {
        floor != NEVER && time <= floor.saturating_add(self.reach)
    }
}
