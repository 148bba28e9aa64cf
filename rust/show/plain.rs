//! Numbers, bytes and texts, appended to bytes.

/// Text as a JSON string.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match escape {
            b'u' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// The letter after a backslash for each byte that JSON escapes, 0 for the others.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// A whole number of `scale` decimals, with all of them and no exponent; `digits` may have a sign.
pub fn decimal(out: &mut Vec<u8>, digits: &str, scale: i8) {
    let digits = match digits.strip_prefix('-') {
        Some(size) => {
            out.push(b'-');
            size.as_bytes()
        }
        None => digits.as_bytes(),
    };
    let zeros = |out: &mut Vec<u8>, count: usize| out.extend(std::iter::repeat_n(b'0', count));
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits);
        zeros(out, if digits == b"0" { 0 } else { places });
        return;
    }
    let whole = digits.len().saturating_sub(places);
    match whole {
        0 => out.push(b'0'),
        _ => out.extend_from_slice(&digits[..whole]),
    }
    out.push(b'.');
    zeros(out, places.saturating_sub(digits.len()));
    out.extend_from_slice(&digits[whole..]);
}

/// Bytes in base64, with padding.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        let word = word << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= three.len() { letter } else { b'=' });
        }
    }
}

/// 16 bytes as a UUID is written.
pub fn uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
}

/// The f64 with the fewest digits that is this f32.
pub fn shortest(value: f32) -> f64 {
    if value.is_finite() { format!("{value:?}").parse().unwrap_or_default() } else { value.into() }
}

/// A float as Python writes it, with JavaScript's words for what is not a number.
pub fn float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return out.extend_from_slice(not_a_number(value));
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let size = value.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return out.extend_from_slice(text.as_bytes());
    }
    // an exponent of two digits at least, with its sign
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, size) = exponent.strip_prefix('-').map_or((b'+', exponent), |size| (b'-', size));
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(&[b'e', sign]);
    out.extend(std::iter::repeat_n(b'0', 2_usize.saturating_sub(size.len())));
    out.extend_from_slice(size.as_bytes());
}

/// A finite float as JSON libraries write it: no sign in a positive exponent.
pub fn json_float(out: &mut Vec<u8>, value: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    match text.split_once('+') {
        None => out.extend_from_slice(text.as_bytes()),
        Some((digits, exponent)) => {
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(exponent.as_bytes());
        }
    }
}

fn not_a_number(value: f64) -> &'static [u8] {
    match (value.is_nan(), value > 0.0) {
        (true, _) => b"NaN",
        (_, true) => b"Infinity",
        _ => b"-Infinity",
    }
}
