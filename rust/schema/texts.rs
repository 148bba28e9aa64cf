//! The one grammar of texts that stand for values: numbers and bytes; times are in `moments`.
//!
//! Sources, rows of Python, columns of text and expressions all read texts here, so a text means
//! the same wherever it comes from. Nothing is rounded: a value that the type cannot hold exactly
//! is a [`Misfit`]. Only a fraction that becomes a float takes the nearest one.

use arrow_array::types::{Decimal128Type, DecimalType};

/// Why a value does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It is another kind of value.
    Kind,
    /// It has a fraction, or more digits than the type keeps.
    Digits,
    /// It is beyond the range of the type.
    Range,
    /// A float too large to identify a single integer.
    Vague,
}

pub(super) type Read<T> = Result<T, Misfit>;

/// A number as a text writes it: digits, and the power of ten that they are times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// All its digits; zeros at the end are in the exponent.
    pub digits: i128,
    /// The power of ten.
    pub exponent: i64,
}

/// Reads `-12.50`, `.5`, `7.`, `1e3`. More than 38 digits are a misfit.
pub fn decimal(text: &str) -> Read<Number> {
    let text = text.trim_ascii();
    let (negative, body) = match text.strip_prefix(['-', '+']) {
        Some(body) => (text.starts_with('-'), body),
        None => (false, text),
    };
    let (mantissa, power) = match body.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, exponent(power).ok_or(Misfit::Kind)?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
        return Err(Misfit::Kind);
    }
    let digits = [whole, fraction].concat();
    let kept = digits.trim_start_matches('0').trim_end_matches('0');
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    if kept.is_empty() {
        return Ok(Number { digits: 0, exponent: 0 });
    }
    if kept.len() > 38 {
        return Err(if power.saturating_add(whole.len() as i64) > 38 {
            Misfit::Range
        } else {
            Misfit::Digits
        });
    }
    let value: i128 = kept.parse().expect("at most 38 digits");
    let exponent = power.saturating_add(zeros as i64).saturating_sub(fraction.len() as i64);
    Ok(Number { digits: if negative { -value } else { value }, exponent })
}

/// The power behind an `e`; far beyond all types it saturates.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let far = if text.starts_with('-') { -1_000_000_000 } else { 1_000_000_000 };
    Some(text.parse::<i64>().unwrap_or(far).clamp(-1_000_000_000, 1_000_000_000))
}

/// A number without a fraction.
pub fn whole(number: Number) -> Read<i128> {
    scaled(number, 0)
}

/// A number as a count of `10^-scale`.
pub fn scaled(number: Number, scale: i8) -> Read<i128> {
    let power = number.exponent + i64::from(scale);
    if number.digits == 0 {
        return Ok(0);
    }
    if power < 0 {
        // no zero is left at the end of the digits
        return Err(Misfit::Digits);
    }
    let factor = u32::try_from(power).ok().and_then(|power| 10i128.checked_pow(power));
    factor.and_then(|factor| number.digits.checked_mul(factor)).ok_or(Misfit::Range)
}

/// A number as a `decimal(precision, scale)`, unscaled.
pub fn as_decimal(number: Number, precision: u8, scale: i8) -> Read<i128> {
    let value = scaled(number, scale)?;
    let fits = Decimal128Type::is_valid_decimal_precision(value, precision);
    fits.then_some(value).ok_or(Misfit::Range)
}

/// A float: the nearest to a number with a fraction; a number without one must be exact.
pub fn float(text: &str) -> Read<f64> {
    let text = text.trim_ascii();
    let value: f64 = text.parse().map_err(|_| Misfit::Kind)?;
    if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(Misfit::Range);
    }
    if is_whole(text) {
        exact(whole(decimal(text)?)?)?;
    }
    Ok(value)
}

/// Whether a text is a number without point and exponent.
pub fn is_whole(text: &str) -> bool {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The float that an integer is.
pub fn exact(value: i128) -> Read<f64> {
    let float = value as f64;
    // the greatest float below 2^127 converts back without saturating
    (float.abs() < 1.7e38 && float as i128 == value).then_some(float).ok_or(Misfit::Digits)
}

/// A float of 32 bits: the nearest one.
pub fn narrow(value: f64) -> Read<f32> {
    let short = value as f32;
    if short.is_infinite() && value.is_finite() { Err(Misfit::Range) } else { Ok(short) }
}

/// Bytes in base64 (RFC 4648, padded).
pub fn base64(text: &str) -> Read<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let text = text.as_bytes();
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    if !text.len().is_multiple_of(4) || digits.len() % 4 == 1 {
        return Err(Misfit::Kind);
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6 | u32::from(value(digit).ok_or(Misfit::Kind)?);
        }
        bits <<= 6 * (4 - group.len());
        let own = bits.to_be_bytes();
        let (kept, rest) = own[1..].split_at(group.len() - 1);
        if rest.iter().any(|&byte| byte != 0) {
            return Err(Misfit::Kind);
        }
        bytes.extend_from_slice(kept);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let of = |text, p, s| as_decimal(decimal(text)?, p, s);
        assert_eq!(of("19.99", 12, 2), Ok(1999));
        assert_eq!(of("-12.50", 4, 1), Ok(-125));
        assert_eq!(of("1e3", 4, 0), Ok(1000));
        assert_eq!(of("1.5E-1", 3, 2), Ok(15));
        assert_eq!(of(".5", 3, 1), Ok(5));
        assert_eq!(of("7.", 3, 1), Ok(70));
        assert_eq!(of("0e999999999999999999999", 3, 1), Ok(0));
        assert_eq!(of("1.55", 3, 1), Err(Misfit::Digits));
        assert_eq!(of("100", 3, 1), Err(Misfit::Range));
        assert_eq!(of("1e999999999999999999999", 38, 0), Err(Misfit::Range));
        assert_eq!(of("1e-999999999999999999999", 38, 38), Err(Misfit::Digits));
        assert_eq!(of(&"9".repeat(39), 38, 0), Err(Misfit::Range));
        for text in ["", "-", ".", "1e", "1,5", "--1", "1.2.3", "e5", "0x10", "1_000", "NaN", "५"]
        {
            assert_eq!(decimal(text), Err(Misfit::Kind), "{text}");
        }
        assert_eq!(whole(decimal("5.00").unwrap()), Ok(5));
        assert_eq!(whole(decimal("5.01").unwrap()), Err(Misfit::Digits));
        assert_eq!(float("19.99"), Ok(19.99));
        assert_eq!(float("9007199254740993"), Err(Misfit::Digits));
        assert_eq!(float("9007199254740992"), Ok(9_007_199_254_740_992.0));
        assert_eq!(float("9007199254740993.0"), Ok(9_007_199_254_740_992.0));
        assert_eq!(float("1e400"), Err(Misfit::Range));
        assert_eq!(float("-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(float("NaN").unwrap().is_nan());
        assert_eq!(narrow(1e300), Err(Misfit::Range));
    }

    #[test]
    fn bytes() {
        assert_eq!(base64("AP8="), Ok(vec![0, 255]));
        assert_eq!(base64(""), Ok(vec![]));
        assert_eq!(base64("AAAA"), Ok(vec![0; 3]));
        for text in ["A", "AP8", "AP9=", "A===", "AP8=AP8=", "AP-_", " AP8="] {
            assert_eq!(base64(text), Err(Misfit::Kind), "{text}");
        }
    }
}
