//! Splits and joins clocks, for a step processed in pieces.

use std::sync::Arc;

use super::Clock;
use crate::time::NEVER;

impl Clock {
    /// Splits the clock: each part but the last ends before the rows of a `seq`.
    pub fn parts(&self, before: &[u64]) -> Vec<Clock> {
        let (mut rises, mut turns) = (self.rises.as_slice(), self.turns.as_slice());
        let newest = self.newest;
        let mut from = Clock { idle: self.idle, newest, ..Clock::new(self.start) };
        let mut parts = vec![];
        for end in before.iter().map(Some).chain([None]) {
            let is_past = |seq: u64| end.is_none_or(|&end| seq < end);
            let (own, behind) = rises.split_at(rises.partition_point(|rise| is_past(rise.0)));
            let (own_turns, turns_behind) =
                turns.split_at(turns.partition_point(|turn| is_past(turn.0)));
            (rises, turns) = (behind, turns_behind);
            let part = Clock { rises: own.to_vec(), turns: own_turns.to_vec(), ..from };
            let idle = part.turns.last().map_or(part.idle, |turn| turn.1);
            from = Clock { idle, newest, ..Clock::new(part.end()) };
            parts.push(part);
        }
        parts
    }

    /// Joins consecutive parts into one clock.
    pub fn joined(parts: &[Arc<Clock>]) -> Clock {
        let mut all = parts.first().map_or(Clock::new(NEVER), |first| Clock::clone(first));
        for part in parts.iter().skip(1) {
            part.rises.iter().for_each(|&(seq, value)| all.raise(seq, value));
            part.turns.iter().for_each(|&(seq, idle)| all.turn(seq, idle));
            all.newest = all.newest.max(part.newest);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_clock_again() {
        let mut clock = Clock { newest: 30, ..Clock::new(5) };
        [(3, 10), (4, 11), (9, 20)].iter().for_each(|&(seq, value)| clock.raise(seq, value));
        clock.turn(4, true);
        for before in [vec![], vec![4], vec![3, 3, 5], vec![0, 9, 10], vec![100]] {
            let parts: Vec<Arc<Clock>> = clock.parts(&before).into_iter().map(Arc::new).collect();
            assert_eq!(parts.len(), before.len() + 1);
            assert_eq!(Clock::joined(&parts), clock, "{before:?}");
            for (part, seq) in parts.iter().zip(&before) {
                assert!(part.rises().iter().all(|rise| rise.0 < *seq));
                assert_eq!(part.end(), clock.before(*seq).max(part.start()));
                assert_eq!(part.newest, 30);
            }
        }
    }
}
