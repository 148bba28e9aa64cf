//! Where each row came from. Stored once per step and looked up by `seq`, because only rejected
//! rows and alerts need it.

use std::sync::Arc;

use crate::time::Micros;

/// The source row that a row comes from; a fired row has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Input of the plan; `u32::MAX` for a fired row.
    pub input: u32,
    /// Index of the row in that input's block of this step; `u32::MAX` if that block is no longer
    /// in memory.
    pub row: u32,
    /// The source's id of the partition.
    pub partition: i64,
    /// Position in the partition.
    pub position: i64,
    /// Recorded arrival time in microseconds; `i64::MIN` if none was recorded.
    pub arrival: Micros,
}

impl Origin {
    /// The origin of a row that an operator fired.
    pub const FIRED: Origin =
        Origin { input: u32::MAX, row: u32::MAX, partition: 0, position: 0, arrival: Micros::MIN };

    /// Whether an operator produced the row.
    pub fn is_fired(&self) -> bool {
        self.input == u32::MAX
    }
}

/// One integer per row, stored compactly where possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Series {
    /// The same number for all rows.
    Same(i64),
    /// Consecutive numbers that start with this one.
    From(i64),
    /// One number per row.
    Each(Vec<i64>),
}

impl Series {
    /// The number of a row.
    #[inline]
    pub fn at(&self, row: usize) -> i64 {
        match self {
            Series::Same(number) => *number,
            Series::From(first) => first.saturating_add(row as i64),
            Series::Each(all) => all[row],
        }
    }

    /// Appends the numbers of `more_len` rows after those of `len` rows.
    pub fn append(&mut self, len: usize, more: &Series, more_len: usize) {
        let goes_on = match (&*self, more) {
            (Series::Same(a), Series::Same(b)) => a == b,
            (Series::From(_), Series::From(b)) => self.at(len) == *b,
            _ => false,
        };
        if goes_on {
            return;
        }
        if !matches!(self, Series::Each(_)) {
            *self = Series::Each((0..len).map(|row| self.at(row)).collect());
        }
        if let Series::Each(all) = self {
            all.extend((0..more_len).map(|row| more.at(row)));
        }
    }
}

/// Source facts about the rows of one input in one step.
#[derive(Debug)]
pub struct SourceFacts {
    /// Input of the plan.
    pub input: usize,
    /// The source's id of the partition.
    pub partition: Series,
    /// Position in the partition.
    pub position: Series,
    /// Recorded arrival time.
    pub arrival: Series,
}

impl SourceFacts {
    /// The origin of a row of the input's source block.
    pub fn origin(&self, row: usize) -> Origin {
        Origin {
            input: self.input as u32,
            row: row as u32,
            partition: self.partition.at(row),
            position: self.position.at(row),
            arrival: self.arrival.at(row),
        }
    }
}

/// The rows of one step, found by `seq`.
#[derive(Debug)]
pub struct Arrivals {
    /// `seq` of the first row.
    pub first: u64,
    /// For each row in order of arrival, its index in `inputs` and its row there. `None` if the
    /// step has one input whose rows are already in that order.
    pub order: Option<Vec<(u32, u32)>>,
    /// The facts about each input's rows.
    pub inputs: Vec<SourceFacts>,
}

impl Arrivals {
    /// The origin of row `seq`, which arrived in this step.
    pub fn origin(&self, seq: u64) -> Origin {
        let at = (seq - self.first) as usize;
        let (input, row) = self.order.as_ref().map_or((0, at as u32), |order| order[at]);
        self.inputs[input as usize].origin(row as usize)
    }
}

/// Where a block's rows came from.
#[derive(Debug, Clone, Default)]
pub enum Origins {
    /// An operator produced them.
    #[default]
    Fired,
    /// They arrived in this step; each is found by its `seq`.
    Step(Arc<Arrivals>),
    /// One origin per row: rows of earlier steps, or a mix.
    Each(Vec<Origin>),
}

impl Origins {
    /// The origin of a block's row with this `seq`.
    pub fn origin(&self, row: usize, seq: u64) -> Origin {
        match self {
            Origins::Fired => Origin::FIRED,
            Origins::Step(arrivals) => arrivals.origin(seq),
            Origins::Each(all) => all[row],
        }
    }

    /// The origins of the selected rows.
    pub fn take(&self, rows: &[u32]) -> Origins {
        match self {
            Origins::Fired | Origins::Step(_) => self.clone(),
            Origins::Each(all) => {
                Origins::Each(rows.iter().map(|&row| all[row as usize]).collect())
            }
        }
    }

    /// True if both blocks share one origin table, so that merging needs no per-row list.
    pub fn is_same(&self, other: &Origins) -> bool {
        match (self, other) {
            (Origins::Fired, Origins::Fired) => true,
            (Origins::Step(a), Origins::Step(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(series: &Series, len: usize) -> Vec<i64> {
        (0..len).map(|row| series.at(row)).collect()
    }

    #[test]
    fn a_series_goes_on_or_becomes_a_list() {
        let cases = [
            (Series::Same(3), Series::Same(3), Series::Same(3)),
            (Series::Same(3), Series::Same(4), Series::Each(vec![3, 3, 4])),
            (Series::From(3), Series::From(5), Series::From(3)),
            (Series::From(3), Series::From(6), Series::Each(vec![3, 4, 6])),
            (Series::Each(vec![1, 2]), Series::From(3), Series::Each(vec![1, 2, 3])),
        ];
        for (mut all, more, expected) in cases {
            let want: Vec<i64> = numbers(&all, 2).into_iter().chain(numbers(&more, 1)).collect();
            all.append(2, &more, 1);
            assert_eq!((&all, numbers(&all, 3)), (&expected, want));
        }
        assert_eq!(Series::From(i64::MAX - 1).at(5), i64::MAX);
    }

    #[test]
    fn a_row_finds_its_origin_by_its_seq() {
        let facts = |input, partition| SourceFacts {
            input,
            partition,
            position: Series::From(10),
            arrival: Series::Same(Micros::MIN),
        };
        let inputs = vec![facts(2, Series::Same(7)), facts(0, Series::Each(vec![5, 6]))];
        let order = Some(vec![(1, 1), (0, 0), (1, 0)]);
        let origins = Origins::Step(Arc::new(Arrivals { first: 100, order, inputs }));
        let seen: Vec<_> = (100..103)
            .map(|seq| origins.origin(9, seq))
            .map(|origin| (origin.input, origin.row, origin.partition, origin.position))
            .collect();
        assert_eq!(seen, [(0, 1, 6, 11), (2, 0, 7, 10), (0, 0, 5, 10)]);
        assert!(origins.is_same(&origins.take(&[1])) && !origins.is_same(&Origins::Fired));
        let each = Origins::Each(vec![Origin::FIRED, origins.origin(0, 101)]).take(&[1]);
        assert_eq!(each.origin(0, 0).partition, 7);
        assert!(Origins::default().origin(3, 4).is_fired());
    }
}
