//! Calendar: days, weeks, months and years of a time zone as bounds in time.

use super::Zone;
use crate::time::Micros;

const DAY: Micros = 86_400_000_000;
/// Local midnight of 1 January 1, as microseconds since 1970.
const FIRST: Micros = -62_135_596_800_000_000;
/// Local midnight of 1 January 9999.
const LAST: Micros = 253_370_764_800_000_000;

/// What a calendar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Days.
    Day,
    /// Months.
    Month,
}

/// Local times at equal distances in a calendar, as instants: the bounds of its periods. They are
/// numbered; 0 is the one at 1970-01-01 plus the offset. Bounds exist in the years 1 to 9998.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// What is counted.
    pub unit: Unit,
    /// How many units lie between two bounds.
    pub count: i64,
    /// How many months after January 1970 the bound 0 lies.
    pub months: i64,
    /// How long after midnight the bounds lie.
    pub offset: Micros,
    /// The time zone.
    pub zone: Zone,
}

impl Calendar {
    /// The same calendar with another distance of bounds.
    pub fn each(&self, count: i64) -> Calendar {
        Calendar { count, ..self.clone() }
    }

    /// The local time of a bound, as microseconds since 1970-01-01 00:00 local time.
    fn local(&self, index: i64) -> Option<Micros> {
        let units = index.checked_mul(self.count)?;
        let day = match self.unit {
            Unit::Day => units,
            Unit::Month => first_day(units.checked_add(self.months)?)?,
        };
        day.checked_mul(DAY)?.checked_add(self.offset)
    }

    /// The instant of a bound; the ends of time stand for what lies beyond the calendar.
    pub fn reach(&self, index: i64) -> Micros {
        let beyond = if index < 0 { Micros::MIN } else { Micros::MAX };
        match self.local(index) {
            Some(local) if local < FIRST => Micros::MIN,
            Some(local) if local > LAST => Micros::MAX,
            Some(local) => self.zone.instant(local).unwrap_or(beyond),
            None => beyond,
        }
    }

    /// The instant of a bound, if the calendar reaches it.
    pub fn at(&self, index: i64) -> Option<Micros> {
        let at = self.reach(index);
        (at != Micros::MIN && at != Micros::MAX).then_some(at)
    }

    /// The instant that lies this many local days after a bound.
    pub fn days_after(&self, index: i64, days: i64) -> Option<Micros> {
        let local = self.local(index)?.checked_add(days.checked_mul(DAY)?)?;
        (FIRST..=LAST).contains(&local).then_some(())?;
        self.zone.instant(local)
    }

    /// The period that holds a time: the number of its first bound, and both bounds.
    pub fn period(&self, time: Micros) -> (i64, Micros, Micros) {
        let time = time.clamp(Micros::MIN + 1, Micros::MAX - 1);
        let inside = time.clamp(FIRST + 2 * DAY, LAST - 2 * DAY);
        let local = self.zone.local(inside).unwrap_or(inside).saturating_sub(self.offset);
        let day = local.div_euclid(DAY);
        let mut index = match self.unit {
            Unit::Day => day.div_euclid(self.count),
            Unit::Month => (month_of(day) - self.months).div_euclid(self.count),
        };
        let mut start = self.reach(index);
        while start > time {
            index -= 1;
            start = self.reach(index);
        }
        let mut end = self.reach(index + 1);
        while end <= time {
            index += 1;
            (start, end) = (end, self.reach(index + 1));
        }
        (index, start, end)
    }
}

/// The number of the first day of a month, both counted from January 1970.
fn first_day(month: i64) -> Option<i64> {
    // Years begin in March here, so that a leap day is the last of its year.
    let month = month.checked_add(1970 * 12 - 2)?;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12));
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day = (153 * month + 2) / 5;
    era.checked_mul(146_097)?.checked_add(year * 365 + year / 4 - year / 100 + day - 719_468)
}

/// The month of a day, both counted from January 1970.
fn month_of(day: i64) -> i64 {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    (era * 400 + year - 1970) * 12 + month + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_at_their_first_day() {
        let known = [(0, 0), (1, 31), (2, 59), (-1, -31), (12, 365), (26, 790), (360, 10_957)];
        for (month, day) in known {
            assert_eq!(first_day(month), Some(day));
        }
        for month in -23_000..96_000 {
            let day = first_day(month).unwrap();
            assert_eq!((month_of(day), month_of(day - 1)), (month, month - 1));
        }
    }
}
