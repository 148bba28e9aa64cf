//! Windows from a list: a grid for tests, whose windows may have any lengths and equal starts.

use super::{Grid, GridPlace, Reach};
use crate::time::Micros;

/// The windows of a list, each as start and end, in order of both.
#[derive(Debug, Clone)]
pub struct ListedGrid {
    windows: Vec<(Micros, Micros)>,
}

impl ListedGrid {
    /// Windows with these starts and ends.
    pub fn new(windows: Vec<(Micros, Micros)>) -> ListedGrid {
        assert!(windows.is_sorted_by(|a, b| a.0 <= b.0 && a.1 < b.1));
        ListedGrid { windows }
    }

    /// Windows that begin where the one before them ends, of lengths that take turns, and each as
    /// long as the `merged` shortest parts that make it up: with 3, a quarter every month.
    pub fn uneven(from: Micros, lengths: &[Micros], merged: usize, windows: usize) -> ListedGrid {
        let mut bounds = vec![from];
        for length in lengths.iter().cycle().take(windows + merged) {
            bounds.push(bounds[bounds.len() - 1] + length);
        }
        ListedGrid::new((0..windows).map(|i| (bounds[i], bounds[i + merged])).collect())
    }

    /// Windows that start together and end one `step` apart, until the next `steps` begin.
    pub fn cumulative(from: Micros, step: Micros, steps: i64, cycles: i64) -> ListedGrid {
        let cycle = |c: i64| {
            let start = from + c * steps * step;
            (1..=steps).map(move |k| (start, start + k * step))
        };
        ListedGrid::new((0..cycles).flat_map(cycle).collect())
    }

    /// All windows.
    pub fn windows(&self) -> &[(Micros, Micros)] {
        &self.windows
    }
}

impl Grid for ListedGrid {
    fn place(&self, time: Micros) -> GridPlace {
        let holds = |window: &&(Micros, Micros)| window.0 <= time && time < window.1;
        let Some(first) = self.windows.iter().find(holds) else { return GridPlace::Gap };
        let last = self.windows.iter().rev().find(holds).unwrap_or(first);
        let bounds = || self.windows.iter().flat_map(|window| [window.0, window.1]);
        let start = bounds().filter(|&at| at <= time).max().unwrap_or(first.0);
        let end = bounds().filter(|&at| at > time).min().unwrap_or(first.1);
        GridPlace::Pane(Reach { start, end, first_end: first.1, last_end: last.1 })
    }

    fn start_of(&self, end: Micros) -> Micros {
        let at = self.windows.iter().position(|window| window.1 == end);
        self.windows[at.expect("an end of the list")].0
    }

    fn end_at_or_after(&self, time: Micros) -> Option<Micros> {
        self.windows.iter().map(|window| window.1).find(|&end| end >= time)
    }

    fn end_at_or_before(&self, time: Micros) -> Option<Micros> {
        self.windows.iter().rev().map(|window| window.1).find(|&end| end <= time)
    }
}
