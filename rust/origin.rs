//! Origin: the source row that a row is. It is told once a step, and a row finds its own by `seq`:
//! only rows that are set aside, and alerts, ever ask for it.

use std::sync::Arc;

use crate::time::Micros;

/// Where a row came from: the source row that it is, or none for a fired row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Input of the plan; `u32::MAX` for a fired row.
    pub input: u32,
    /// Row of that input's source block in this step; `u32::MAX` where that block is gone.
    pub row: u32,
    /// The source's number of the partition.
    pub partition: i64,
    /// Position in the partition.
    pub position: i64,
    /// Recorded arrival time in microseconds; `i64::MIN` where none was recorded.
    pub arrival: Micros,
}

impl Origin {
    /// The origin of a row that an operator fired.
    pub const FIRED: Origin =
        Origin { input: u32::MAX, row: u32::MAX, partition: 0, position: 0, arrival: Micros::MIN };

    /// Whether an operator made the row.
    pub fn is_fired(&self) -> bool {
        self.input == u32::MAX
    }
}

/// One number a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Series {
    /// The same for all.
    Same(i64),
    /// This for the first row, one more for each further one.
    From(i64),
    /// Each its own.
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

    /// The numbers of `len` rows, then those of `more_len` others.
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

/// What is said of the rows of one input in one step.
#[derive(Debug)]
pub struct SourceFacts {
    /// Input of the plan.
    pub input: usize,
    /// The source's number of the partition.
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

/// The rows of one step by `seq`.
#[derive(Debug)]
pub struct Arrivals {
    /// `seq` of the first row.
    pub first: u64,
    /// The place among `inputs` and the row of each, in order of arrival; as they stand if the
    /// step has one input and nothing orders its rows.
    pub order: Option<Vec<(u32, u32)>>,
    /// The inputs.
    pub inputs: Vec<SourceFacts>,
}

impl Arrivals {
    /// The origin of the row `seq`, which arrived in this step.
    pub fn origin(&self, seq: u64) -> Origin {
        let at = (seq - self.first) as usize;
        let (input, row) = self.order.as_ref().map_or((0, at as u32), |order| order[at]);
        self.inputs[input as usize].origin(row as usize)
    }
}

/// The origins of a block's rows.
#[derive(Debug, Clone, Default)]
pub enum Origins {
    /// An operator made them.
    #[default]
    Fired,
    /// They arrived in this step and carry the `seq` of their arrival.
    Step(Arc<Arrivals>),
    /// One a row: rows of earlier steps, or of several kinds.
    Each(Vec<Origin>),
}

impl Origins {
    /// The origin of a block's row, which carries `seq`.
    pub fn origin(&self, row: usize, seq: u64) -> Origin {
        match self {
            Origins::Fired => Origin::FIRED,
            Origins::Step(arrivals) => arrivals.origin(seq),
            Origins::Each(all) => all[row],
        }
    }

    /// The origins of some of the rows.
    pub fn take(&self, rows: &[u32]) -> Origins {
        match self {
            Origins::Fired | Origins::Step(_) => self.clone(),
            Origins::Each(all) => {
                Origins::Each(rows.iter().map(|&row| all[row as usize]).collect())
            }
        }
    }

    /// Whether the rows of two blocks can be told from one to the other without a list.
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
        let told = |input, partition| SourceFacts {
            input,
            partition,
            position: Series::From(10),
            arrival: Series::Same(Micros::MIN),
        };
        let inputs = vec![told(2, Series::Same(7)), told(0, Series::Each(vec![5, 6]))];
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
