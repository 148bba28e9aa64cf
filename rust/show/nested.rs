//! Columns whose values have parts, or are in another array.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, OffsetSizeTrait, StructArray, UnionArray};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::{DataType, Field, Fields};

use super::form::{BoxedCells, Cells, ShownAs};
use super::{cells, plain};

/// Prepares a column of lists, structs, maps, dictionaries, runs or unions; others have no value.
pub fn nested(column: &dyn Array, field: &Field) -> BoxedCells {
    let valid = column.nulls().cloned();
    match column.data_type() {
        DataType::List(item) => offsets::<i32>(column, item),
        DataType::LargeList(item) => offsets::<i64>(column, item),
        DataType::ListView(item) => views::<i32>(column, item),
        DataType::LargeListView(item) => views::<i64>(column, item),
        DataType::FixedSizeList(item, size) => {
            let (lists, size) = (column.as_fixed_size_list(), *size as usize);
            let items = cells(lists.values().as_ref(), item);
            Box::new(Lists {
                valid,
                place: move |row: usize| (row * size, (row + 1) * size),
                items,
            })
        }
        DataType::Struct(fields) => Box::new(Objects::new(column.as_struct(), fields)),
        DataType::Map(..) => {
            let maps = column.as_map().clone();
            let (entries, fields) = (maps.entries(), maps.entries().fields());
            let [key, value] =
                [0, 1].map(|at: usize| cells(entries.column(at).as_ref(), &fields[at]));
            let items: BoxedCells = Box::new(Pairs { key, value });
            let place = move |row: usize| {
                (maps.offsets()[row].as_usize(), maps.offsets()[row + 1].as_usize())
            };
            Box::new(Lists { valid, place, items })
        }
        DataType::Dictionary(key, _) => {
            let values = cells(column.as_any_dictionary().values().as_ref(), field);
            macro_rules! places {
                ($($name:ident => $type:ty),*) => {
                    match key.as_ref() {
                        $(DataType::$name => {
                            let keys = column.as_any_dictionary().keys().as_primitive::<$type>();
                            let keys = keys.values().clone();
                            Box::new(Elsewhere { valid, place: move |row: usize| keys[row].as_usize(), values })
                        })*
                        _ => Box::new(Nothing),
                    }
                };
            }
            places!(Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
                UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type)
        }
        DataType::RunEndEncoded(ends, values) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(column, values),
            DataType::Int32 => runs::<Int32Type>(column, values),
            _ => runs::<Int64Type>(column, values),
        },
        DataType::Union(..) => Box::new(Unions::new(column.as_union())),
        _ => Box::new(Nothing),
    }
}

fn offsets<O: OffsetSizeTrait>(column: &dyn Array, item: &Field) -> BoxedCells {
    let lists = column.as_list::<O>().clone();
    let (valid, items) = (lists.nulls().cloned(), cells(lists.values().as_ref(), item));
    let place = move |row: usize| {
        let ends = lists.value_offsets();
        (ends[row].as_usize(), ends[row + 1].as_usize())
    };
    Box::new(Lists { valid, place, items })
}

fn views<O: OffsetSizeTrait>(column: &dyn Array, item: &Field) -> BoxedCells {
    let lists = column.as_list_view::<O>().clone();
    let (valid, items) = (lists.nulls().cloned(), cells(lists.values().as_ref(), item));
    let place = move |row: usize| {
        let start = lists.value_offset(row).as_usize();
        (start, start + lists.value_size(row).as_usize())
    };
    Box::new(Lists { valid, place, items })
}

fn runs<R: RunEndIndexType>(column: &dyn Array, values: &Field) -> BoxedCells {
    let runs = column.as_run::<R>().clone();
    let values = cells(runs.values().as_ref(), values);
    Box::new(Elsewhere { valid: None, place: move |row| runs.get_physical_index(row), values })
}

fn is_null(valid: &Option<NullBuffer>, row: usize) -> bool {
    valid.as_ref().is_some_and(|valid| valid.is_null(row))
}

/// Lists of any layout, by where the items of a row begin and end.
struct Lists<P> {
    valid: Option<NullBuffer>,
    place: P,
    items: BoxedCells,
}

impl<P: Fn(usize) -> (usize, usize) + Send + Sync> Cells for Lists<P> {
    fn is_null(&self, row: usize) -> bool {
        is_null(&self.valid, row)
    }

    fn write_valid(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        let (start, end) = (self.place)(row);
        out.push(b'[');
        for at in start..end {
            if at > start {
                out.push(b',');
            }
            self.items.write(at, form.inside(), out);
        }
        out.push(b']');
    }
}

/// The entries of maps.
struct Pairs {
    key: BoxedCells,
    value: BoxedCells,
}

impl Cells for Pairs {
    fn is_null(&self, _: usize) -> bool {
        false
    }

    fn write_valid(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        out.push(b'[');
        self.key.write(row, form, out);
        out.push(b',');
        self.value.write(row, form, out);
        out.push(b']');
    }
}

/// Structs; as pairs where two fields have one name, which no object can hold.
struct Objects {
    valid: Option<NullBuffer>,
    object: Object,
    pairs: bool,
}

impl Objects {
    fn new(rows: &StructArray, fields: &Fields) -> Objects {
        let columns = rows.columns().iter().map(|column| column.as_ref());
        Objects {
            valid: rows.nulls().cloned(),
            object: Object::new(fields.iter().map(AsRef::as_ref).zip(columns)),
            pairs: repeated_name(fields).is_some(),
        }
    }
}

impl Cells for Objects {
    fn is_null(&self, row: usize) -> bool {
        is_null(&self.valid, row)
    }

    fn write_valid(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        match self.pairs {
            false => self.object.write(row, form.inside(), out),
            true => self.object.write_pairs(row, form.inside(), out),
        }
    }
}

/// A name that two of the fields have.
pub fn repeated_name(fields: &Fields) -> Option<&str> {
    let mut seen = HashSet::new();
    fields.iter().map(|field| field.name().as_str()).find(|name| !seen.insert(*name))
}

/// Columns of different names, whose rows are JSON objects.
pub struct Object {
    /// Each with its name in quotes and a colon.
    columns: Vec<(Vec<u8>, BoxedCells)>,
}

impl Object {
    /// The columns in this order.
    pub fn new<'a>(columns: impl Iterator<Item = (&'a Field, &'a dyn Array)>) -> Object {
        let named = |(field, column): (&Field, &dyn Array)| {
            let mut name = vec![];
            plain::quoted(&mut name, field.name());
            name.push(b':');
            (name, cells(column, field))
        };
        Object { columns: columns.map(named).collect() }
    }

    /// Appends a row.
    pub fn write(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, (name, column)) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            column.write(row, form, out);
        }
        out.push(b'}');
    }

    fn write_pairs(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, (name, column)) in self.columns.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b",[" } else { b"[" });
            out.extend_from_slice(&name[..name.len() - 1]);
            out.push(b',');
            column.write(row, form, out);
            out.push(b']');
        }
        out.push(b']');
    }
}

/// Values that rows refer to: those of a dictionary or of runs.
struct Elsewhere<P> {
    valid: Option<NullBuffer>,
    place: P,
    values: BoxedCells,
}

impl<P: Fn(usize) -> usize + Send + Sync> Cells for Elsewhere<P> {
    fn is_null(&self, row: usize) -> bool {
        is_null(&self.valid, row) || self.values.is_null((self.place)(row))
    }

    fn write_valid(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        self.values.write_valid((self.place)(row), form, out);
    }
}

/// Values of several types.
struct Unions {
    rows: UnionArray,
    /// By the code of the type.
    children: Vec<Option<BoxedCells>>,
}

impl Unions {
    fn new(rows: &UnionArray) -> Unions {
        let mut children: Vec<Option<BoxedCells>> = (0..128).map(|_| None).collect();
        if let DataType::Union(fields, _) = rows.data_type() {
            for (code, field) in fields.iter() {
                children[code as usize] = Some(cells(rows.child(code).as_ref(), field));
            }
        }
        Unions { rows: rows.clone(), children }
    }

    fn child(&self, row: usize) -> Option<(&dyn Cells, usize)> {
        let child = self.children.get(self.rows.type_id(row) as usize)?.as_deref()?;
        Some((child, self.rows.value_offset(row)))
    }
}

impl Cells for Unions {
    fn is_null(&self, row: usize) -> bool {
        self.child(row).is_none_or(|(child, at)| child.is_null(at))
    }

    fn write_valid(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        if let Some((child, at)) = self.child(row) {
            child.write_valid(at, form, out);
        }
    }
}

/// No values.
struct Nothing;

impl Cells for Nothing {
    fn is_null(&self, _: usize) -> bool {
        true
    }

    fn write_valid(&self, _: usize, _: ShownAs, _: &mut Vec<u8>) {}
}
