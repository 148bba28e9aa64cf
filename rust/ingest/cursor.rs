//! JSON text, read from its start to its end, one value at a time.
//!
//! The grammar is that of the JSON standard, and `NaN`, `Infinity` and `-Infinity`, as Python
//! writes them. Where the standard leaves a choice the text is refused: a key that an object has
//! twice, half of a surrogate pair, arrays and objects that nest deeper than [`DEPTH_MAX`].

use std::borrow::Cow;
use std::collections::HashSet;

use super::fault::{DEPTH_MAX, Fault, Parse, Wrong};

/// What a value is. A cursor that finds an array or an object stands behind its bracket.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number of 64 bits without point or exponent.
    Whole(i64),
    /// Another number, as written.
    Number(&'a str),
    /// `NaN`, `Infinity` or `-Infinity`
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// An array begins.
    Array,
    /// An object begins.
    Object,
}

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub struct JsonCursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> JsonCursor<'a> {
    /// The start of a text.
    pub fn new(text: &'a str) -> JsonCursor<'a> {
        JsonCursor { text, at: 0, depth: 0 }
    }

    /// The same text at another place, where a value begins.
    pub fn moved_to(&self, at: usize) -> JsonCursor<'a> {
        JsonCursor { text: self.text, at, depth: 0 }
    }

    /// How many bytes are behind it.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The text from a place before it.
    pub fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// Goes to the text's value, which must be an object.
    pub fn only_object(&mut self) -> Parse<()> {
        self.space();
        let start = self.at;
        let kind = match self.value()? {
            Json::Object => return Ok(()),
            Json::Array => "an array",
            Json::Text(_) => "a text",
            Json::Bool(_) => "a bool",
            Json::Null => "null",
            Json::Whole(_) | Json::Number(_) | Json::Float(_) => "a number",
        };
        Err(Wrong::new(start, Fault::NotAnObject(kind)))
    }

    /// Passes the text's value, whatever it is; nothing else may be there.
    pub fn only_value(&mut self) -> Parse<()> {
        self.space();
        self.skip()?;
        self.end()
    }

    /// Nothing may follow but space.
    pub fn end(&mut self) -> Parse<()> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    /// Reads a value.
    #[inline]
    pub fn value(&mut self) -> Parse<Json<'a>> {
        match self.peek() {
            Some(b'"') => self.string().map(Json::Text),
            Some(b'0'..=b'9' | b'-') => self.number(),
            Some(b'[') => self.enter().map(|()| Json::Array),
            Some(b'{') => self.enter().map(|()| Json::Object),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'N') => self.word("NaN", Json::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Json::Float(f64::INFINITY)),
            _ => Err(self.expected("a value")),
        }
    }

    /// Behind an opening bracket: whether anything is inside, which then comes next.
    pub fn first(&mut self, close: u8) -> Parse<bool> {
        self.space();
        if self.peek() == Some(close) {
            self.leave();
            return Ok(false);
        }
        Ok(true)
    }

    /// Behind a value in brackets: whether there is another, which then comes next.
    pub fn next(&mut self, close: u8) -> Parse<bool> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.leave();
                Ok(false)
            }
            _ if close == b'}' => Err(self.expected("a comma or }")),
            _ => Err(self.expected("a comma or ]")),
        }
    }

    /// Reads a key and its colon; the value comes next.
    pub fn key(&mut self) -> Parse<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    /// Reads this key and its colon, if it is the next one and written without escapes; it must
    /// have no character that needs one.
    #[inline]
    pub fn key_is(&mut self, key: &str) -> Parse<bool> {
        let (bytes, end) = (self.text.as_bytes(), self.at + 1 + key.len());
        let same = bytes.get(self.at) == Some(&b'"')
            && bytes.get(end) == Some(&b'"')
            && &bytes[self.at + 1..end] == key.as_bytes();
        if same {
            self.at = end + 1;
            self.colon()?;
        }
        Ok(same)
    }

    /// Passes a value, however deep.
    pub fn skip(&mut self) -> Parse<()> {
        match self.value()? {
            Json::Array => {
                let mut more = self.first(b']')?;
                while more {
                    self.skip()?;
                    more = self.next(b']')?;
                }
            }
            Json::Object => {
                let mut keys = SeenKeys::default();
                let mut more = self.first(b'}')?;
                while more {
                    let start = self.at;
                    keys.add(self.key()?, start)?;
                    self.skip()?;
                    more = self.next(b'}')?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn colon(&mut self) -> Parse<()> {
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("a colon"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn enter(&mut self) -> Parse<()> {
        if self.depth == DEPTH_MAX {
            return Err(Wrong::new(self.at, Fault::Deep));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Parse<Json<'a>> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Parse<Json<'a>> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let negative = bytes[start] == b'-';
        self.at += usize::from(negative);
        if negative && self.peek() == Some(b'I') {
            return self.word("Infinity", Json::Float(f64::NEG_INFINITY));
        }
        let first = self.at;
        let mut value = 0i64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 {
            return Err(self.expected("a digit"));
        }
        if digits > 1 && bytes[first] == b'0' {
            self.at = first + 1;
            return Err(self.expected("no digit behind a zero"));
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            whole = false;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
            whole = false;
        }
        // 18 digits never overflow
        if whole && digits <= 18 {
            return Ok(Json::Whole(if negative { -value } else { value }));
        }
        let text = self.since(start);
        let known = if whole { text.parse().ok() } else { None };
        Ok(known.map_or(Json::Number(text), Json::Whole))
    }

    fn digits(&mut self) -> Parse<()> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == first { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// A text in quotes.
    #[inline]
    fn string(&mut self) -> Parse<Cow<'a, str>> {
        let start = self.at + 1;
        self.at = plain_end(self.text.as_bytes(), start);
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(&self.text[start..self.at - 1]))
            }
            _ => self.escaped(start).map(Cow::Owned),
        }
    }

    /// The rest of a text, from the first character on that is not a plain one.
    #[cold]
    fn escaped(&mut self, start: usize) -> Parse<String> {
        let mut text = self.since(start).to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(Wrong::new(self.at, Fault::Control)),
                None => return Err(self.expected("a closing quote")),
            }
            let plain = self.at;
            self.at = plain_end(self.text.as_bytes(), plain);
            text.push_str(self.since(plain));
        }
    }

    fn escape(&mut self) -> Parse<char> {
        let start = self.at;
        self.at += 2;
        Ok(match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(start),
            _ => return Err(Wrong::new(start, Fault::Escape)),
        })
    }

    /// The character of `\u00e4` or of `\ud83d\ude00`; the cursor is behind the first `\u`.
    fn code_point(&mut self, start: usize) -> Parse<char> {
        let half = |at: usize| Wrong::new(at, Fault::Surrogate);
        let first = self.hex(start)?;
        let code = match first {
            0xd800..0xdc00 if self.text.as_bytes()[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                match self.hex(start)? {
                    second @ 0xdc00..0xe000 => {
                        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    _ => return Err(half(start)),
                }
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| half(start))
    }

    fn hex(&mut self, start: usize) -> Parse<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let value = digits.and_then(|digits| {
            digits
                .iter()
                .try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
        });
        self.at += 4;
        value.ok_or_else(|| Wrong::new(start, Fault::Escape))
    }

    fn expected(&self, what: &'static str) -> Box<Wrong> {
        Wrong::new(self.at.min(self.text.len()), Fault::Expected(what))
    }
}

/// Where the first quote, backslash or control character is, from a place on; else the end.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // the top bit of each byte that is zero; bytes above a hit may be wrong, the lowest is right
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    while let Some(eight) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        let control = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let hit = control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c));
        if hit != 0 {
            return at + hit.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < bytes.len() && !matches!(bytes[at], b'"' | b'\\' | 0..0x20) {
        at += 1;
    }
    at
}

/// The keys of one object.
#[derive(Debug, Default)]
pub struct SeenKeys<'a> {
    few: Vec<Cow<'a, str>>,
    many: Option<HashSet<Cow<'a, str>, foldhash::fast::RandomState>>,
}

impl<'a> SeenKeys<'a> {
    /// Up to this many are compared one by one.
    const FEW: usize = 16;

    /// Adds a key, which must be there once; `at` is its place.
    pub fn add(&mut self, key: Cow<'a, str>, at: usize) -> Parse<()> {
        let many = self.many.as_ref().is_some_and(|many| many.contains(&key));
        if many || self.few.contains(&key) {
            return Err(Wrong::twice(at, &key));
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.get_or_insert_default().insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_at_the_first_special_byte() {
        for len in 0..40 {
            let plain = vec![b'a'; len];
            assert_eq!(plain_end(&plain, 0), len);
            for at in 0..len {
                for special in [b'"', b'\\', 0, 0x1f] {
                    let mut text = vec![0xe4; len];
                    text[at] = special;
                    assert_eq!(plain_end(&text, 0), at);
                    text[at + 1..].fill(b'"');
                    assert_eq!(plain_end(&text, 0), at);
                }
            }
        }
    }

    #[test]
    fn values() {
        let read = |text| JsonCursor::new(text).value().map_err(|wrong| wrong.at);
        assert_eq!(read("-0"), Ok(Json::Whole(0)));
        assert_eq!(read("-9223372036854775808"), Ok(Json::Whole(i64::MIN)));
        assert_eq!(read("9223372036854775808"), Ok(Json::Number("9223372036854775808")));
        assert_eq!(read("1.50e+3,"), Ok(Json::Number("1.50e+3")));
        assert_eq!(read("-Infinity"), Ok(Json::Float(f64::NEG_INFINITY)));
        assert_eq!(read(r#""\ud83d\ude00\"""#), Ok(Json::Text("\u{1f600}\"".into())));
        assert_eq!(read(r#""ab\ud83d""#), Err(3));
        assert_eq!(read(r#""ab\ud83d\u0061""#), Err(3));
        assert_eq!(read("\"ab\u{1}\""), Err(3));
        assert_eq!(read(r#""ab"#), Err(3));
        assert_eq!(read(r#""ab\"#), Err(3));
        assert_eq!(read(r#""ab\u12"#), Err(3));
        for (text, at) in [("01", 1), ("-", 1), ("1.", 2), ("1e", 2), ("+1", 0), (".5", 0), ("", 0)]
        {
            assert_eq!(read(text), Err(at), "{text}");
        }
    }
}
