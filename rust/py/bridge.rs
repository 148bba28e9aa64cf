//! Arrow's PyCapsule interface: data and schemas in from any library, out to any library.
//!
//! # Why our own
//! The crates that do this are bound to one major version of Arrow and many times the size. What
//! is needed is small: move a C struct out of its capsule, pull a stream without the GIL, check
//! what came, put a stream into a capsule.
//!
//! Moving a struct out leaves `release = NULL` behind, which tells the capsule's destructor that
//! there is nothing left to release: each struct is released once, by its last owner.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchIterator, RecordBatchOptions, StructArray, make_array,
};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use pyo3::exceptions::{PyException, PyNotImplementedError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::{Error, Result};
use crate::schema::named;
use crate::show::with_escapes;

const STREAM: &CStr = c"arrow_array_stream";
const ARRAY: &CStr = c"arrow_array";
const SCHEMA: &CStr = c"arrow_schema";

/// Arrow data imported from a Python object but not yet read; reading does not need the GIL.
pub enum Handed {
    /// Arrays to be pulled from their producer.
    Stream(FFI_ArrowArrayStream),
    /// One array.
    Array(FFI_ArrowArray, FFI_ArrowSchema),
}

/// Arrays of one type, checked.
pub struct Arrays {
    field: Field,
    data: Vec<ArrayData>,
}

/// Whether an object can hand over Arrow data.
pub fn is_arrow(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("__arrow_c_stream__")? || object.hasattr("__arrow_c_array__")?)
}

/// Imports the Arrow data that `object` exports; `place` names it in messages.
///
/// Importing a single array is a third cheaper than a stream of one, so this tries that first; an
/// object with several chunks refuses and has a stream.
pub fn take(object: &Bound<'_, PyAny>, place: &str) -> PyResult<Handed> {
    let py = object.py();
    let stream = object.getattr_opt(intern!(py, "__arrow_c_stream__"))?;
    if let Some(array) = object.getattr_opt(intern!(py, "__arrow_c_array__"))? {
        match array.call0() {
            Ok(pair) => return single_of(pair),
            Err(error) if stream.is_none() || !refuses(py, &error) => {
                return Err(failed(object, place, error));
            }
            Err(_) => {}
        }
    }
    let Some(stream) = stream else {
        return Err(no_capsule(object)?.into());
    };
    let stream = stream.call0().map_err(|error| failed(object, place, error))?;
    Ok(Handed::Stream(content(stream, STREAM, FFI_ArrowArrayStream::from_raw)?))
}

/// Whether an export failed only because the data is not a single array; other errors are real
/// failures or an interrupt by the user.
fn refuses(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyNotImplementedError>(py) || error.is_instance_of::<PyValueError>(py)
}

/// The error for an export that raised, with the original exception as its cause;
/// `KeyboardInterrupt` and `SystemExit` pass through.
fn failed(object: &Bound<'_, PyAny>, place: &str, error: PyErr) -> PyErr {
    let py = object.py();
    if !error.is_instance_of::<PyException>(py) {
        return error;
    }
    let name = object.get_type().name().map_or_else(|_| "?".into(), |n| n.to_string());
    let raised = error.value(py).to_string();
    let kind = error.get_type(py).name().map_or_else(|_| "error".into(), |n| n.to_string());
    let said = format!("{place}: a {name} could not give its Arrow data: {kind}: {raised}");
    let ours: PyErr = Error::Data(said).into();
    ours.set_cause(py, Some(error));
    ours
}

fn single_of(pair: Bound<'_, PyAny>) -> PyResult<Handed> {
    let pair = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>();
    let (schema, array) = pair
        .map_err(|_| Error::Data("__arrow_c_array__ did not return a pair of capsules".into()))?;
    let schema = content(schema, SCHEMA, FFI_ArrowSchema::from_raw)?;
    Ok(Handed::Array(content(array, ARRAY, FFI_ArrowArray::from_raw)?, schema))
}

/// Takes the schema that `object` exports.
pub fn take_schema(object: &Bound<'_, PyAny>) -> PyResult<FFI_ArrowSchema> {
    let Some(export) = object.getattr_opt("__arrow_c_schema__")? else {
        let name = object.get_type().qualname()?;
        let hint = "hint: give a schema of pyarrow or Polars, or a dict of column to type word";
        return Err(Error::Schema(format!("{name} is not an Arrow schema\n{hint}")).into());
    };
    let exported = export.call0().map_err(|error| failed(object, "schema", error))?;
    content(exported, SCHEMA, FFI_ArrowSchema::from_raw)
}

/// Moves the C struct out of a capsule of this name.
fn content<T>(object: Bound<'_, PyAny>, name: &CStr, take: unsafe fn(*mut T) -> T) -> PyResult<T> {
    let expected = name.to_string_lossy();
    let Ok(capsule) = object.cast::<PyCapsule>() else {
        let got = object.get_type().qualname()?;
        return Err(Error::Data(format!("expected a capsule {expected}, got {got}")).into());
    };
    if !capsule.is_valid_checked(Some(name)) {
        return Err(Error::Data(format!("expected a capsule named {expected}")).into());
    }
    let pointer = capsule.pointer_checked(Some(name))?.cast::<T>();
    // SAFETY: a capsule of this name holds an initialised, aligned struct T of the C data
    // interface, by its specification; the capsule is alive, and the GIL or the caller's exclusive
    // reference keeps others from moving the struct out at the same time.
    Ok(unsafe { take(pointer.as_ptr()) })
}

fn no_capsule(object: &Bound<'_, PyAny>) -> PyResult<Error> {
    let name = object.get_type().qualname()?.to_string();
    let hint = match name.as_str() {
        "LazyFrame" => "collect() it first",
        _ => "give an object with __arrow_c_stream__: pyarrow, Polars, pandas and DuckDB have it",
    };
    Ok(Error::Data(format!("{name} does not export Arrow data\nhint: {hint}")))
}

impl Handed {
    /// Reads everything there is, pulling a stream to its end. Needs no GIL, and must not hold it
    /// for long: a producer may be slow, and takes the GIL itself where it is written in Python.
    ///
    /// With `validate`, offsets, indices, null counts and UTF-8 are checked before any array is
    /// built, so that data from outside cannot break what the compiler proved about the inside.
    pub fn read(self, validate: bool) -> Result<Arrays> {
        // The importer asserts on malformed structs; what it panics over is wrong in the data.
        catch_unwind(AssertUnwindSafe(|| {
            let arrays = match self {
                Handed::Stream(stream) => pull(stream)?,
                Handed::Array(array, schema) => single(array, &schema)?,
            };
            if validate {
                arrays.data.iter().try_for_each(|data| check(&arrays.field, data))?;
            }
            Ok(arrays)
        }))
        .unwrap_or_else(|_| Err(Error::Data("malformed Arrow data: structs disagree".into())))
    }

    /// Reads everything for a writer, which must be able to write all that Arrow libraries let
    /// pass: in texts that are not UTF-8 the bytes that are wrong become escapes.
    pub fn read_for_show(self) -> Result<Arrays> {
        let mut arrays = self.read(false)?;
        for data in &mut arrays.data {
            if check(&arrays.field, data).is_err() {
                *data = with_escapes(data).map_err(malformed)?;
                check(&arrays.field, data)?;
            }
        }
        Ok(arrays)
    }
}

/// Offsets, indices, null counts and UTF-8, of the columns one by one so that it can be named.
fn check(field: &Field, data: &ArrayData) -> Result<()> {
    let DataType::Struct(columns) = field.data_type() else {
        return data.validate_full().map_err(malformed);
    };
    data.validate_data().map_err(malformed)?;
    for (column, child) in columns.iter().zip(data.child_data()) {
        let place = format!("column \"{}\"", column.name());
        child.validate_full().map_err(|error| malformed(error).within(&place))?;
    }
    Ok(())
}

fn malformed(error: ArrowError) -> Error {
    let text = match error {
        ArrowError::InvalidArgumentError(text) => text,
        other => other.to_string(),
    };
    Error::Data(format!("malformed Arrow data: {text}"))
}

fn single(array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> Result<Arrays> {
    if array.is_released() {
        return Err(consumed());
    }
    let field = field_of(schema)?;
    let data = import(array, &field)?;
    Ok(Arrays { field, data: vec![data] })
}

fn pull(mut stream: FFI_ArrowArrayStream) -> Result<Arrays> {
    let (Some(get_schema), Some(get_next)) = (stream.get_schema(), stream.get_next()) else {
        return Err(consumed());
    };
    let mut schema = FFI_ArrowSchema::empty();
    // SAFETY: the stream is ours and not released, or its callbacks would be gone; `schema` is an
    // empty struct to be filled.
    let code = unsafe { get_schema(&mut stream, &mut schema) };
    if code != 0 {
        return Err(producer_error(&mut stream, code));
    }
    let field = field_of(&schema)?;
    let mut data = Vec::new();
    loop {
        let mut array = FFI_ArrowArray::empty();
        // SAFETY: as above.
        let code = unsafe { get_next(&mut stream, &mut array) };
        if code != 0 {
            return Err(producer_error(&mut stream, code));
        }
        if array.is_released() {
            return Ok(Arrays { field, data });
        }
        data.push(import(array, &field)?);
    }
}

fn import(mut array: FFI_ArrowArray, field: &Field) -> Result<ArrayData> {
    if has_nulls_only(field.data_type()) {
        // SAFETY: the array is ours, and its producer promises that it is of this type.
        unsafe { without_buffers((&raw mut array).cast(), field.data_type()) };
    }
    // SAFETY: the producer promises that array and type agree; buffers live as long as the data.
    Ok(unsafe { from_ffi_and_data_type(array, field.data_type().clone()) }?)
}

/// The head of the C struct of an array, in the layout of the C data interface.
#[repr(C)]
struct ArrayHead {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const std::ffi::c_void,
    children: *mut *mut ArrayHead,
    dictionary: *mut ArrayHead,
}

fn has_nulls_only(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::Dictionary(_, values) => has_nulls_only(values),
        nested => fields_of(nested).any(|field| has_nulls_only(field.data_type())),
    }
}

/// The types of the children of an array.
fn fields_of(data_type: &DataType) -> Box<dyn Iterator<Item = &Field> + '_> {
    match data_type {
        DataType::Struct(fields) => Box::new(fields.iter().map(AsRef::as_ref)),
        DataType::Union(fields, _) => Box::new(fields.iter().map(|(_, field)| field.as_ref())),
        DataType::RunEndEncoded(ends, values) => {
            Box::new([ends.as_ref(), values.as_ref()].into_iter())
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => Box::new(std::iter::once(item.as_ref())),
        _ => Box::new(std::iter::empty()),
    }
}

/// Leaves out the buffers of arrays of type null, which have none by the specification: Polars
/// exports one that is empty.
///
/// # Safety
///
/// `array` points at an array of this type that is not released.
// SAFETY: `import` calls it with an array that is its own.
unsafe fn without_buffers(array: *mut ArrayHead, data_type: &DataType) {
    // SAFETY: by the contract of this function; the producer promises that the children are those
    // of the type, so each pointer is that of an array of its type.
    unsafe {
        match data_type {
            DataType::Null => (*array).n_buffers = 0,
            DataType::Dictionary(_, values) if !(*array).dictionary.is_null() => {
                without_buffers((*array).dictionary, values);
            }
            nested => {
                let fields = fields_of(nested).take((*array).n_children.max(0) as usize);
                for (i, field) in fields.enumerate() {
                    without_buffers(*(*array).children.add(i), field.data_type());
                }
            }
        }
    }
}

fn producer_error(stream: &mut FFI_ArrowArrayStream, code: i32) -> Error {
    let text = stream.get_last_error().and_then(|last_error| {
        // SAFETY: the stream is ours and not released, and its last call has failed.
        let text = unsafe { last_error(stream) };
        // SAFETY: not null, so it is a C string that lives until the next call on the stream.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    });
    let text = text.unwrap_or_else(|| format!("error code {code}"));
    Error::Data(format!("the source of the batches failed: {}", text.trim_end()))
}

fn consumed() -> Error {
    Error::Data("the Arrow data was consumed before\nhint: an Arrow capsule is read once".into())
}

/// The Arrow schema of a C schema.
pub fn schema_of(schema: &FFI_ArrowSchema) -> Result<SchemaRef> {
    schema_of_struct(&field_of(schema)?)
}

fn field_of(schema: &FFI_ArrowSchema) -> Result<Field> {
    Field::try_from(schema).map_err(|error| {
        let column = schema.children().find(|child| Field::try_from(*child).is_err());
        let place = column.and_then(|child| child.name()).unwrap_or("");
        match column.map(|child| child.format()) {
            Some(format) if format.starts_with("_pl") => Error::Schema(format!(
                "column \"{place}\" has Polars' private type {}\n\
                 hint: cast it to Int64 or to Decimal(38, 0)",
                &format[3..]
            )),
            Some(format) => {
                Error::Schema(format!("column \"{place}\" has the unknown Arrow type {format}"))
            }
            None => Error::Schema(error.to_string()),
        }
    })
}

fn schema_of_struct(field: &Field) -> Result<SchemaRef> {
    let DataType::Struct(fields) = field.data_type() else {
        let got = named(field.data_type());
        let hint = "hint: give record batches, a table or a frame";
        return Err(Error::Data(format!("expected rows with columns, got {got}\n{hint}")));
    };
    Ok(Arc::new(Schema::new(fields.clone()).with_metadata(field.metadata().clone())))
}

impl Arrays {
    /// As record batches; the arrays must be structs, none of them null.
    pub fn batches(self) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let schema = schema_of_struct(&self.field)?;
        let batches = self.data.into_iter().map(|data| batch(&schema, data));
        let batches = batches.collect::<Result<_>>()?;
        Ok((schema, batches))
    }

    /// As arrays.
    pub fn arrays(self) -> Vec<ArrayRef> {
        self.data.into_iter().map(make_array).collect()
    }

    /// Their type.
    pub fn data_type(&self) -> &DataType {
        self.field.data_type()
    }
}

fn batch(schema: &SchemaRef, data: ArrayData) -> Result<RecordBatch> {
    let rows = StructArray::from(data);
    if rows.null_count() > 0 {
        return Err(Error::Data(format!("{} rows are null as a whole", rows.null_count())));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let columns = rows.into_parts().1;
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Record batches as a capsule `arrow_array_stream`.
pub fn export_stream<'py>(
    py: Python<'py>,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> PyResult<Bound<'py, PyCapsule>> {
    let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
    let reader = RecordBatchIterator::new(batches, schema.clone());
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(reader)), STREAM)
}

/// A schema as a capsule `arrow_schema`.
pub fn export_schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    let exported = FFI_ArrowSchema::try_from(schema).map_err(Error::from)?;
    PyCapsule::new_with_value(py, exported, SCHEMA)
}
