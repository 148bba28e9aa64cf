//! JSON values as they are written: what each is, and whether one that is not read is sound.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deeper nesting is left to the other reader, which has a limit of its own.
pub const DEPTH_MAX: usize = 32;

/// That a value does not fit its column, or that this reader cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

/// One JSON value.
#[derive(Debug)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number of 64 bits without point or exponent.
    Whole(i64),
    /// Another number, as written.
    Number(&'a str),
    /// A text.
    Text(Cow<'a, str>),
    /// An array, as written.
    Array(&'a str),
    /// An object, as written.
    Object(&'a str),
}

impl<'a> Json<'a> {
    /// What a value is; `raw` is the whole value and valid JSON.
    pub fn read(raw: &'a str) -> Result<Json<'a>, Unfit> {
        Ok(match raw.as_bytes()[0] {
            b'"' => Json::Text(text(raw)?),
            b't' => Json::Bool(true),
            b'f' => Json::Bool(false),
            b'n' => Json::Null,
            b'[' => Json::Array(raw),
            b'{' => Json::Object(raw),
            _ => raw.parse().map_or(Json::Number(raw), Json::Whole),
        })
    }
}

/// A JSON string without its quotes and escapes.
fn text(raw: &str) -> Result<Cow<'_, str>, Unfit> {
    let inner = &raw[1..raw.len() - 1];
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).map(Cow::Owned).map_err(|_| Unfit)
}

/// Calls `each` with the items of an array.
pub fn items(
    array: &str,
    each: &mut dyn FnMut(Json<'_>) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    struct ArrayItems<'e>(&'e mut dyn FnMut(Json<'_>) -> Result<(), Unfit>);

    impl<'de> Visitor<'de> for ArrayItems<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
            while let Some(raw) = items.next_element::<&RawValue>()? {
                let item = Json::read(raw.get()).and_then(&mut *self.0);
                item.map_err(|Unfit| A::Error::custom("unfit"))?;
            }
            Ok(())
        }
    }

    let mut source = serde_json::Deserializer::from_str(array);
    source.deserialize_seq(ArrayItems(each)).map_err(|_| Unfit)
}

/// Whether a value that no column takes would do: not deep, each key once, no half characters.
pub fn sound(raw: &str, depth: usize) -> Result<(), Unfit> {
    let bytes = raw.as_bytes();
    match bytes[0] {
        b'[' | b'{' => {
            let mut source = serde_json::Deserializer::from_str(raw);
            Unread(depth).deserialize(&mut source).map_err(|_| Unfit)
        }
        b'"' if memchr::memmem::find(bytes, b"\\u").is_some() => text(raw).map(|_| ()),
        _ => Ok(()),
    }
}

/// An array or an object that no column takes.
struct Unread(usize);

impl<'de> DeserializeSeed<'de> for Unread {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unread {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(raw) = items.next_element::<&RawValue>()? {
            self.inside(raw).map_err(|Unfit| A::Error::custom("unfit"))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = FieldNames::default();
        while let Some(FieldName(key)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            let sound = keys.add(key).and_then(|()| self.inside(raw));
            sound.map_err(|Unfit| A::Error::custom("unfit"))?;
        }
        Ok(())
    }
}

impl Unread {
    fn inside(&self, raw: &RawValue) -> Result<(), Unfit> {
        sound(raw.get(), self.0.checked_sub(1).ok_or(Unfit)?)
    }
}

/// A key of an object.
#[derive(Debug, Deserialize)]
pub struct FieldName<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The keys of one object that no column has.
#[derive(Debug, Default)]
pub struct FieldNames<'a>(Vec<Cow<'a, str>>);

impl<'a> FieldNames<'a> {
    /// More keys are left to the other reader: looking through them takes quadratic time.
    const MANY: usize = 64;

    /// Adds a key, which must be there once.
    pub fn add(&mut self, key: Cow<'a, str>) -> Result<(), Unfit> {
        if self.0.len() == Self::MANY || self.0.contains(&key) {
            return Err(Unfit);
        }
        self.0.push(key);
        Ok(())
    }
}
