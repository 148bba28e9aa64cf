//! One error of the core, one class of `muntin.base.errors`.

use pyo3::PyErr;

use crate::error::Error;

/// The classes, imported by name on first use.
mod classes {
    use pyo3::import_exception;

    import_exception!(muntin.base.errors, ColumnError);
    import_exception!(muntin.base.errors, DataError);
    import_exception!(muntin.base.errors, EngineError);
    import_exception!(muntin.base.errors, ExpressionError);
    import_exception!(muntin.base.errors, PartitionError);
    import_exception!(muntin.base.errors, PipelineChanged);
    import_exception!(muntin.base.errors, PlanError);
    import_exception!(muntin.base.errors, SchemaError);
    import_exception!(muntin.base.errors, SnapshotError);
}

/// The exception that a user sees.
impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::Plan(m) => classes::PlanError::new_err(m),
            Error::Column(m) => classes::ColumnError::new_err(m),
            Error::Expression(m) => classes::ExpressionError::new_err(m),
            Error::Schema(m) => classes::SchemaError::new_err(m),
            Error::Data(m) => classes::DataError::new_err(m),
            Error::Partition(m) => classes::PartitionError::new_err(m),
            Error::Snapshot(m) => classes::SnapshotError::new_err(m),
            Error::Changed(m) => classes::PipelineChanged::new_err(m),
            Error::Engine(m) => classes::EngineError::new_err(m),
        }
    }
}
