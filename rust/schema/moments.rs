//! Texts of times and durations: ISO 8601, in one grammar for every place where a text is read.

use arrow_schema::TimeUnit;

use super::texts::{Misfit, Read, decimal, whole};

const DAY_S: i64 = 86_400;

/// How many ticks of a unit a second has.
pub fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A point in time as a text says it: whole seconds since 1970 in UTC, and the fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    seconds: i64,
    fraction: Fraction,
}

/// The digits after the decimal point of the seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction {
    nanos: i64,
    /// Whether there are digits other than zero behind the ninth.
    finer: bool,
}

impl Instant {
    /// Reads `2024-05-01T10:00:00.5+02:00`: `T` or a space between, seconds, fraction and offset
    /// optional (UTC without one), a date alone is its midnight, years beyond four digits with a
    /// sign.
    pub fn read(text: &str) -> Option<Instant> {
        let mut cursor = Cursor(text.trim_ascii().as_bytes());
        let days = cursor.date()?;
        let midnight = days.checked_mul(DAY_S)?;
        if cursor.0.is_empty() {
            return Some(Instant {
                seconds: midnight,
                fraction: Fraction { nanos: 0, finer: false },
            });
        }
        cursor.one_of(b"Tt ")?;
        let (seconds, fraction) = cursor.clock()?;
        let offset = cursor.offset()?;
        let seconds = midnight.checked_add(seconds)?.checked_sub(offset)?;
        cursor.0.is_empty().then_some(Instant { seconds, fraction })
    }

    /// The count of a unit since 1970, exactly.
    pub fn ticks(&self, unit: TimeUnit) -> Read<i64> {
        let step = 1_000_000_000 / per_second(unit);
        if self.fraction.finer || self.fraction.nanos % step != 0 {
            return Err(Misfit::Digits);
        }
        self.floored(unit).ok_or(Misfit::Range)
    }

    /// The count of a unit since 1970, toward minus infinity.
    pub fn floored(&self, unit: TimeUnit) -> Option<i64> {
        let step = 1_000_000_000 / per_second(unit);
        let (per_second, fraction) = (per_second(unit), self.fraction.nanos / step);
        let quick = self.seconds.checked_mul(per_second).and_then(|t| t.checked_add(fraction));
        // far in the past the sum fits where the product does not
        let exact = || i128::from(self.seconds) * i128::from(per_second) + i128::from(fraction);
        quick.or_else(|| exact().try_into().ok())
    }

    /// The day since 1970 whose midnight it is.
    pub fn day(&self) -> Read<i32> {
        if self.seconds % DAY_S != 0 || self.fraction.nanos != 0 || self.fraction.finer {
            return Err(Misfit::Digits);
        }
        (self.seconds / DAY_S).try_into().map_err(|_| Misfit::Range)
    }
}

/// A time of day, as microseconds since midnight.
pub fn time_of_day(text: &str) -> Read<i64> {
    let mut cursor = Cursor(text.trim_ascii().as_bytes());
    let read = cursor.clock().filter(|_| cursor.0.is_empty());
    let (seconds, fraction) = read.ok_or(Misfit::Kind)?;
    Instant { seconds, fraction }.ticks(TimeUnit::Microsecond)
}

/// A duration as a count of a unit: ISO 8601 (`PT1H30M`, `-P1DT0.5S`), or the count itself.
pub fn duration(text: &str, unit: TimeUnit) -> Read<i64> {
    let text = text.trim_ascii();
    if let Ok(number) = decimal(text) {
        return whole(number).and_then(|value| value.try_into().map_err(|_| Misfit::Range));
    }
    let (sign, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let mut cursor = Cursor(rest);
    let nanos = sign * cursor.span().ok_or(Misfit::Kind)??;
    ticks(nanos, unit)
}

/// Nanoseconds as a count of a unit, exactly.
pub fn ticks(nanos: i128, unit: TimeUnit) -> Read<i64> {
    let step = i128::from(1_000_000_000 / per_second(unit));
    if nanos % step != 0 {
        return Err(Misfit::Digits);
    }
    i64::try_from(nanos / step).map_err(|_| Misfit::Range)
}

/// What is left of a text.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        bytes.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    /// The digits that come next.
    fn digits(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|b| !b.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits
    }

    /// Exactly two digits, at most `max`.
    fn two(&mut self, max: i64) -> Option<i64> {
        let (pair, rest) = self.0.split_at_checked(2)?;
        let value = number(pair)?;
        self.0 = rest;
        (value <= max).then_some(value)
    }

    /// A date as days since 1970.
    fn date(&mut self) -> Option<i64> {
        let sign = self.one_of(b"+-");
        let digits = self.digits();
        let year = match sign {
            None if digits.len() == 4 => number(digits)?,
            Some(sign) if (4..=12).contains(&digits.len()) => {
                if sign == b'-' {
                    -number(digits)?
                } else {
                    number(digits)?
                }
            }
            _ => return None,
        };
        self.one_of(b"-")?;
        let month = self.two(12)?;
        self.one_of(b"-")?;
        let day = self.two(31)?;
        (month >= 1 && (1..=days_in(year, month)).contains(&day))
            .then(|| days_since_1970(year, month, day))
    }

    /// A time of day.
    fn clock(&mut self) -> Option<(i64, Fraction)> {
        let hours = self.two(23)?;
        self.one_of(b":")?;
        let minutes = self.two(59)?;
        let mut seconds = 0;
        let mut fraction = Fraction { nanos: 0, finer: false };
        if self.one_of(b":").is_some() {
            seconds = self.two(59)?;
            if self.one_of(b".,").is_some() {
                fraction = self.fraction()?;
            }
        }
        Some((hours * 3600 + minutes * 60 + seconds, fraction))
    }

    fn fraction(&mut self) -> Option<Fraction> {
        let digits = self.digits();
        if digits.is_empty() {
            return None;
        }
        let (kept, rest) = digits.split_at(digits.len().min(9));
        let nanos = number(kept)? * 10i64.pow(9 - kept.len() as u32);
        Some(Fraction { nanos, finer: rest.iter().any(|&digit| digit != b'0') })
    }

    /// `Z`, `+01:00`, `+0100`, `+01` or nothing, in seconds.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.one_of(b"Zz").is_some() {
            return Some(0);
        }
        let sign = if self.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.two(23)?;
        let minutes = match self.one_of(b":") {
            Some(_) => self.two(59)?,
            None if self.0.is_empty() => 0,
            None => self.two(59)?,
        };
        Some(sign * (hours * 3600 + minutes * 60))
    }

    /// `P1W`, `P1DT2H3M4.5S`, in nanoseconds; the outer option is of the grammar.
    fn span(&mut self) -> Option<Read<i128>> {
        self.one_of(b"P")?;
        let units = [(b'W', 7 * DAY_S), (b'D', DAY_S), (b'H', 3600), (b'M', 60), (b'S', 1)];
        let (mut all, mut next, mut timed, mut parts) = (0i128, 0, false, 0);
        let mut finer = false;
        while !self.0.is_empty() {
            if !timed && self.one_of(b"T").is_some() {
                (timed, next, parts) = (true, next.max(2), 0);
                continue;
            }
            let digits = self.digits();
            let count = if digits.len() > 20 { return None } else { number128(digits)? };
            let fraction = match self.one_of(b".,") {
                Some(_) => Some(self.fraction()?),
                None => None,
            };
            let letter = self.one_of(b"WDHMS")?;
            let place = units.iter().position(|(own, _)| *own == letter)?;
            if place < next || (place >= 2) != timed || (fraction.is_some() && letter != b'S') {
                return None;
            }
            (next, parts) = (place + 1, parts + 1);
            all += count * i128::from(units[place].1) * 1_000_000_000;
            if let Some(Fraction { nanos, finer: more }) = fraction {
                all += i128::from(nanos);
                finer |= more;
            }
        }
        (parts > 0).then_some(if finer { Err(Misfit::Digits) } else { Ok(all) })
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.len() > 18 {
        return number128(digits).and_then(|value| value.try_into().ok());
    }
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn number128(digits: &[u8]) -> Option<i128> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + i128::from(digit - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 in the proleptic Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // years that begin in March, so that a leap day is the last of one
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

    fn ticks(text: &str, unit: TimeUnit) -> Read<i64> {
        Instant::read(text).ok_or(Misfit::Kind)?.ticks(unit)
    }

    #[test]
    fn times() {
        let day = 86_400;
        for (text, seconds) in [
            ("1970-01-02", day),
            ("1970-01-02T00:00:00Z", day),
            ("1970-01-02 01:00:00+01:00", day),
            ("1970-01-02t01:00+0100", day),
            ("1970-01-02T01:00:00+01", day),
            ("1970-01-01T23:30-00:30", day),
            ("1970-01-02T00:30", day + 1800),
            (" 1970-01-02T00:30z ", day + 1800),
            ("1969-12-31T23:59:59", -1),
            ("0000-03-01", -62_162_035_200),
            ("-0001-12-31", -62_167_305_600),
            ("+12345-01-01T00:00:00Z", 327_403_382_400),
            ("2000-02-29", 951_782_400),
        ] {
            assert_eq!(ticks(text, Second), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "x",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "1900-02-29",
            "2026-01-32",
            "2026-01-01T00:é",
            "2026-01-01T24:00",
            "2026-01-01T00:60",
            "2026-01-01T00:00:60",
            "2026-01-01T",
            "2026-01-01T00",
            "2026-01-01T00:00:00.",
            "2026-01-01Z",
            "20260101",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00 Z",
            "12345-01-01",
            "+123-01-01",
            "2026-1-1",
            "2026-01-01T00:00:00Zx",
            "５026-01-01",
        ] {
            assert_eq!(ticks(text, Second), Err(Misfit::Kind), "{text}");
        }
    }

    #[test]
    fn digits_of_a_time_are_kept_or_refused() {
        let of = |text, unit| ticks(&format!("1970-01-01T00:00:00{text}"), unit);
        assert_eq!(of(".123456789Z", Nanosecond), Ok(123_456_789));
        assert_eq!(of(".123456789Z", Microsecond), Err(Misfit::Digits));
        assert_eq!(of(".123456000", Microsecond), Ok(123_456));
        assert_eq!(of(",5", Millisecond), Ok(500));
        assert_eq!(of(".5", Second), Err(Misfit::Digits));
        assert_eq!(of(".0000000000", Second), Ok(0));
        assert_eq!(of(".0000000001", Nanosecond), Err(Misfit::Digits));
        assert_eq!(ticks("1969-12-31T23:59:59.999999", Microsecond), Ok(-1));
        assert_eq!(ticks("2300-01-01", Nanosecond), Err(Misfit::Range));
        assert_eq!(ticks("+999999-01-01", Microsecond), Err(Misfit::Range));
        let finer = Instant::read("1969-12-31T23:59:59.9999999").unwrap();
        assert_eq!(finer.floored(Microsecond), Some(-1));
        assert_eq!(Instant::read("1969-12-31").unwrap().day(), Ok(-1));
        assert_eq!(Instant::read("1969-12-31T00:00:00Z").unwrap().day(), Ok(-1));
        assert_eq!(finer.day(), Err(Misfit::Digits));
        assert_eq!(time_of_day("10:00:00.5"), Ok(36_000_500_000));
        assert_eq!(time_of_day("10:00:00.0000005"), Err(Misfit::Digits));
        assert_eq!(time_of_day("24:00"), Err(Misfit::Kind));
    }

    #[test]
    fn durations() {
        for (text, micros) in [
            ("PT1H30M", 5_400_000_000),
            ("PT0S", 0),
            ("-PT0.5S", -500_000),
            ("P1DT2H", 93_600_000_000),
            ("P1W", 604_800_000_000),
            ("PT1.000001S", 1_000_001),
            ("5", 5),
            ("-7", -7),
            ("5.0", 5),
            ("PT9223372036854.775807S", i64::MAX),
        ] {
            assert_eq!(duration(text, Microsecond), Ok(micros), "{text}");
        }
        for text in ["", "P", "PT", "1h", "P1Y", "PT1D", "P1H", "PT1S1M", "PT1M1M", "P1.5D", "PTS"]
        {
            assert_eq!(duration(text, Microsecond), Err(Misfit::Kind), "{text}");
        }
        assert_eq!(duration("PT0.0000001S", Nanosecond).map(|n| n / 100), Ok(1));
        assert_eq!(duration("5", Millisecond), Ok(5));
        assert_eq!(duration("PT0.0000001S", Microsecond), Err(Misfit::Digits));
        assert_eq!(duration("5.7", Microsecond), Err(Misfit::Digits));
        assert_eq!(duration("PT9223372036854.775808S", Microsecond), Err(Misfit::Range));
    }
}
