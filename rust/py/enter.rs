//! The one door into the core: the GIL is released, panics are caught, errors become exceptions.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::prelude::*;

use crate::error::{Error, Result, caught};

/// Runs `work` without the GIL.
pub fn enter<R: Send>(py: Python<'_>, work: impl FnOnce() -> Result<R> + Send) -> PyResult<R> {
    py.detach(|| caught(work)).map_err(PyErr::from)
}

/// What Python callables raised inside the core, each with its number in the plan.
pub type Failures = Vec<(usize, PyErr)>;

/// Where they leave it until the call that they are part of is done.
pub type Raised = Arc<Mutex<Failures>>;

/// A value of the core that many Python threads share; one of them is inside at a time.
///
/// The GIL is always released before the lock is taken. A thread that holds the lock may take the
/// GIL (a Python callable does), so taking the two in the other order would be a deadlock.
pub struct Shared<T> {
    value: Mutex<T>,
    inside: Mutex<Option<ThreadId>>,
    raised: Raised,
}

impl<T: Send> Shared<T> {
    /// Shares `value`, in which Python callables leave what they raise in `raised`.
    pub fn new(value: T, raised: Raised) -> Shared<T> {
        Shared { value: Mutex::new(value), inside: Mutex::new(None), raised }
    }

    /// Runs `work` on the value, without the GIL, when no other thread is inside.
    pub fn enter<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut T) -> Result<R> + Send,
    ) -> PyResult<R> {
        self.enter_with_rules(py, work).map(|(done, _)| done)
    }

    /// The same, and what callables raised meanwhile.
    pub fn enter_with_rules<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut T) -> Result<R> + Send,
    ) -> PyResult<(R, Failures)> {
        Ok(py.detach(|| caught(|| self.alone(work)))?)
    }

    fn alone<R>(&self, work: impl FnOnce(&mut T) -> Result<R>) -> Result<(R, Failures)> {
        let own = Some(thread::current().id());
        if *lock(&self.inside) == own {
            return Err(Error::Engine("a rule called the operator that it belongs to".into()));
        }
        // after a panic the value itself knows whether it may be used: see `engine::Engine`
        let mut value = lock(&self.value);
        *lock(&self.inside) = own;
        let _left = Leaving(&self.inside);
        // a call that panicked may have left some
        lock(&self.raised).clear();
        let done = work(&mut value);
        // before anybody else is let in, whose callables may raise too
        let raised = std::mem::take(&mut *lock(&self.raised));
        Ok((done?, raised))
    }
}

/// Says that nobody is inside any more, on return and on panic alike.
struct Leaving<'a>(&'a Mutex<Option<ThreadId>>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

fn lock<V>(mutex: &Mutex<V>) -> std::sync::MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
