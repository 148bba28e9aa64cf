//! Entries on trial: taken back from the end of the log.

use super::{KEY, LINKS, Log, NONE, SEGMENT, TIME, distance, high, low, pack};
use crate::aggregate::ArgumentColumns;
use crate::time::Micros;

/// Where a log ended at some moment.
#[derive(Debug, Clone, Copy)]
pub struct LogEnd {
    /// The position of the next entry.
    position: u64,
    /// The latest time in the segment that was not full.
    newest: Micros,
}

impl Log {
    /// Where the log ends, for [`Log::take_back`].
    pub fn end(&self) -> LogEnd {
        LogEnd { position: self.base + self.len as u64, newest: self.newest }
    }

    /// The last entry, if it was appended after `end`: its position, time and key.
    pub fn last_after(&self, end: LogEnd) -> Option<(u64, Micros, u32)> {
        let at = (self.base + self.len as u64).checked_sub(1).filter(|&at| at >= end.position)?;
        self.head(at).map(|head| (at, head[TIME] as Micros, low(head[KEY])))
    }

    /// Removes the last entry, which was appended after `end`, from the log and its key's list. The
    /// caller puts back the key's newest entry.
    pub fn take_back(&mut self, end: LogEnd) {
        let Some(at) = self.last_after(end).map(|(at, ..)| at) else { return };
        let (older, newer) = self.get(at).map_or((NONE, NONE), |entry| (entry.older, entry.newer));
        if let Some(head) = self.head_mut(older) {
            head[LINKS] = pack(low(head[LINKS]), distance(older, newer));
        }
        if let Some(head) = self.head_mut(newer) {
            head[LINKS] = pack(distance(newer, older), high(head[LINKS]));
        }
        self.len -= 1;
        if self.len.is_multiple_of(SEGMENT) {
            self.words.pop_back();
            self.segments.pop_back();
        } else if let (Some(words), Some(segment)) =
            (self.words.back_mut(), self.segments.back_mut())
        {
            words.truncate(words.len() - self.stride);
            segment.columns.iter_mut().for_each(ArgumentColumns::pop);
            segment.newest = Micros::MAX;
        }
        self.newest = end.newest;
    }
}
