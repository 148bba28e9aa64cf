//! Times of any year as ISO 8601 text, appended to bytes.

use arrow_schema::TimeUnit;

/// Fractional digits of a second.
fn digits(unit: TimeUnit) -> usize {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// A number with at least `width` digits.
fn padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value).as_bytes();
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(text.len())));
    out.extend_from_slice(text);
}

/// The two digits of a number below 100.
fn two(value: u64) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

/// A date by its days since 1970.
pub fn date(out: &mut Vec<u8>, days: i64) {
    // years begin in March, so that the leap day is a year's last; 400 years have 146,097 days
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = year + 400 * era + i64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    match year {
        0..=9999 => {
            let year = year as u64;
            out.extend_from_slice(&two(year / 100));
            out.extend_from_slice(&two(year % 100));
        }
        _ => {
            out.push(if year < 0 { b'-' } else { b'+' });
            padded(out, year.unsigned_abs(), 4);
        }
    }
    let ([m1, m2], [d1, d2]) = (two(month as u64), two(day as u64));
    out.extend_from_slice(&[b'-', m1, m2, b'-', d1, d2]);
}

/// A timestamp by its units since 1970; one of a zone is in UTC.
pub fn timestamp(out: &mut Vec<u8>, value: i64, unit: TimeUnit, zoned: bool) {
    let day = 86_400 * 10_i64.pow(digits(unit) as u32);
    date(out, value.div_euclid(day));
    out.push(b'T');
    clock(out, value.rem_euclid(day), unit);
    if zoned {
        out.push(b'Z');
    }
}

/// A time of day; without a fraction if that is zero, else with all digits of its unit.
pub fn clock(out: &mut Vec<u8>, value: i64, unit: TimeUnit) {
    let (width, size) = (digits(unit), value.unsigned_abs());
    let per = 10_u64.pow(width as u32);
    let (seconds, fraction) = (size / per, size % per);
    if value < 0 {
        out.push(b'-');
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hour {
        0..100 => out.extend_from_slice(&two(hour)),
        _ => padded(out, hour, 2),
    }
    let ([m1, m2], [s1, s2]) = (two(minute), two(second));
    out.extend_from_slice(&[b':', m1, m2, b':', s1, s2]);
    if fraction > 0 {
        out.push(b'.');
        padded(out, fraction, width);
    }
}

/// A duration in hours, minutes and seconds.
pub fn duration(out: &mut Vec<u8>, value: i64, unit: TimeUnit) {
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(b"PT");
    hours_to_seconds(out, value.unsigned_abs(), unit, b"");
}

/// Each part behind a sign.
fn hours_to_seconds(out: &mut Vec<u8>, value: u64, unit: TimeUnit, sign: &[u8]) {
    let width = digits(unit);
    let per = 10_u64.pow(width as u32);
    let (seconds, fraction) = (value / per, value % per);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut part = |value: u64, letter: u8| {
        out.extend_from_slice(sign);
        padded(out, value, 1);
        out.push(letter);
    };
    if hours > 0 {
        part(hours, b'H');
    }
    if minutes > 0 {
        part(minutes, b'M');
    }
    if seconds > 0 || fraction > 0 || (hours == 0 && minutes == 0) {
        part(seconds, b'S');
    }
    if fraction > 0 {
        out.pop();
        out.push(b'.');
        padded(out, fraction, width);
        while out.last() == Some(&b'0') {
            out.pop();
        }
        out.push(b'S');
    }
}

/// Months, days and a time, each with a sign of its own.
pub fn interval(out: &mut Vec<u8>, months: i64, days: i64, nanoseconds: i64) {
    out.push(b'P');
    for (value, letter) in [(months, b'M'), (days, b'D')] {
        if value != 0 {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            out.push(letter);
        }
    }
    if nanoseconds != 0 || (months, days) == (0, 0) {
        out.push(b'T');
        let sign: &[u8] = if nanoseconds < 0 { b"-" } else { b"" };
        hours_to_seconds(out, nanoseconds.unsigned_abs(), TimeUnit::Nanosecond, sign);
    }
}
