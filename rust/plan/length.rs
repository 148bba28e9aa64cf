//! How long windows are, and in which time zone.

use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// The length of a window: elapsed time, or periods of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Length {
    /// Microseconds.
    Elapsed(Micros),
    /// Days of the calendar.
    Days {
        /// How many.
        days: i64,
    },
    /// Months of the calendar.
    Months {
        /// How many.
        months: i64,
    },
}

impl Length {
    /// The number of its units: microseconds, days or months.
    pub fn units(self) -> i64 {
        match self {
            Length::Elapsed(units)
            | Length::Days { days: units }
            | Length::Months { months: units } => units,
        }
    }

    /// The microseconds of elapsed time.
    pub fn elapsed(self) -> Option<Micros> {
        match self {
            Length::Elapsed(size) => Some(size),
            Length::Days { .. } | Length::Months { .. } => None,
        }
    }

    /// About how many microseconds it has, for limits.
    pub fn about(self) -> Micros {
        const DAY: Micros = 86_400_000_000;
        match self {
            Length::Elapsed(size) => size,
            Length::Days { days } => days.saturating_mul(DAY),
            Length::Months { months } => months.saturating_mul(31 * DAY),
        }
    }
}

/// The time zone of calendar windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ZoneOf {
    /// One zone, by its name.
    Name(String),
    /// The zone that a key column names.
    Column {
        /// The column.
        col: String,
    },
}
