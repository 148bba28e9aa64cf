//! Heap: the parts of states that do not fit in fixed words, addressed by handle.

use std::any::Any;
use std::fmt::Debug;

use super::distinct::Distinct;
use super::fixed_point::FixedPoint;

/// A state of variable size.
#[derive(Clone, Debug)]
pub enum Big {
    /// A float sum that two doubles cannot represent.
    Exact(Box<FixedPoint>),
    /// The values of a distinct count.
    Distinct(Distinct),
    /// Text or binary.
    Bytes(Vec<u8>),
    /// A state of a type that only its aggregate knows.
    Own(Box<dyn Erased>),
}

/// A state of variable size of an aggregate's own type, kept by [`Heap::change_own`].
pub trait OwnState: Clone + Debug + Default + Send + Sync + 'static {
    /// Memory held outside `self`, in bytes. Called at each change, so it must not walk the state.
    fn bytes(&self) -> usize;
}

/// An [`OwnState`] whose type is not known.
pub trait Erased: Any + Debug + Send + Sync {
    /// See [`OwnState::bytes`].
    fn held(&self) -> usize;
    /// A copy.
    fn copied(&self) -> Box<dyn Erased>;
}

impl<T: OwnState> Erased for T {
    fn held(&self) -> usize {
        size_of::<T>() + self.bytes()
    }

    fn copied(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Erased> {
    fn clone(&self) -> Box<dyn Erased> {
        self.as_ref().copied()
    }
}

impl Big {
    fn bytes(&self) -> usize {
        match self {
            Big::Exact(_) => size_of::<FixedPoint>(),
            Big::Distinct(distinct) => distinct.bytes(),
            Big::Bytes(bytes) => bytes.capacity(),
            Big::Own(own) => own.held(),
        }
    }
}

/// The big states of many rows. Handle 0 means "none", so a zeroed row owns nothing.
#[derive(Debug, Default)]
pub struct Heap {
    slots: Vec<Option<Big>>,
    free: Vec<u32>,
    /// Bytes held by the states, updated on each change so that reading it is free.
    held: usize,
}

impl Heap {
    /// Stores a state; its handle is never 0.
    ///
    /// # Panics
    ///
    /// When one heap holds four billion states.
    pub fn alloc(&mut self, big: Big) -> u32 {
        self.held += big.bytes();
        if let Some(handle) = self.free.pop() {
            self.slots[handle as usize - 1] = Some(big);
            return handle;
        }
        self.slots.push(Some(big));
        u32::try_from(self.slots.len()).expect("fewer than 2^32 big states")
    }

    /// The state behind a handle, `None` for 0 and for freed handles.
    #[inline]
    pub fn get(&self, handle: u32) -> Option<&Big> {
        self.slots.get((handle as usize).wrapping_sub(1))?.as_ref()
    }

    fn get_mut(&mut self, handle: u32) -> Option<&mut Big> {
        self.slots.get_mut((handle as usize).wrapping_sub(1))?.as_mut()
    }

    /// The float sum behind a handle, mutable. Its size never changes, so nothing needs recounting.
    pub fn exact_mut(&mut self, handle: u32) -> Option<&mut FixedPoint> {
        match self.get_mut(handle)? {
            Big::Exact(exact) => Some(exact),
            Big::Distinct(_) | Big::Bytes(_) | Big::Own(_) => None,
        }
    }

    /// Changes the state behind a handle.
    #[inline]
    pub fn change<R>(&mut self, handle: u32, change: impl FnOnce(&mut Big) -> R) -> Option<R> {
        let big = self.get_mut(handle)?;
        let before = big.bytes();
        let done = change(big);
        let after = big.bytes();
        self.held = self.held + after - before;
        Some(done)
    }

    /// The state of type `T` behind a handle.
    pub fn own<T: OwnState>(&self, handle: u64) -> Option<&T> {
        match self.get(handle as u32)? {
            Big::Own(own) => (own.as_ref() as &dyn Any).downcast_ref(),
            Big::Exact(_) | Big::Distinct(_) | Big::Bytes(_) => None,
        }
    }

    /// Changes the state of type `T` behind the handle in a word; for the handle 0 an empty state is
    /// stored first. `None` if the state has another type.
    pub fn change_own<T: OwnState, R>(
        &mut self,
        handle: &mut u64,
        change: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        if *handle == 0 {
            *handle = self.alloc(Big::Own(Box::new(T::default()))).into();
        }
        self.change(*handle as u32, |big| match big {
            Big::Own(own) => (own.as_mut() as &mut dyn Any).downcast_mut().map(change),
            Big::Exact(_) | Big::Distinct(_) | Big::Bytes(_) => None,
        })?
    }

    /// Removes a state; its handle may be reused. Does nothing for 0.
    pub fn free(&mut self, handle: u32) -> Option<Big> {
        let big = self.slots.get_mut((handle as usize).wrapping_sub(1))?.take()?;
        self.held -= big.bytes();
        self.free.push(handle);
        Some(big)
    }

    /// Removes the state behind the handle in a word, which is 0 then.
    pub fn release(&mut self, handle: &mut u64) {
        self.free(*handle as u32);
        *handle = 0;
    }

    /// Copies a state from another heap into this one; 0 stays 0.
    pub fn clone_from_heap(&mut self, other: &Heap, handle: u32) -> u32 {
        other.get(handle).map_or(0, |big| self.alloc(big.clone()))
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Option<Big>>() + self.free.capacity() * 4;
        slots + self.held
    }

    /// Number of states.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there are no states.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees all states; all handles become invalid.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
        self.held = 0;
    }

    /// The bytes held by the states, counted state by state.
    #[cfg(test)]
    pub fn counted(&self) -> usize {
        self.slots.iter().flatten().map(Big::bytes).sum()
    }

    /// The bytes held by the states, as updated on each change.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(heap: &Heap, handle: u32) -> Option<&[u8]> {
        match heap.get(handle)? {
            Big::Bytes(bytes) => Some(bytes),
            Big::Exact(_) | Big::Distinct(_) | Big::Own(_) => None,
        }
    }

    #[test]
    fn handles_are_used_again() {
        let mut heap = Heap::default();
        let a = heap.alloc(Big::Bytes(b"a".to_vec()));
        let b = heap.alloc(Big::Bytes(b"b".to_vec()));
        assert!(heap.free(a).is_some() && heap.free(a).is_none() && heap.free(0).is_none());
        assert_eq!((text(&heap, a), text(&heap, b), text(&heap, 0)), (None, Some(&b"b"[..]), None));
        assert_eq!(heap.alloc(Big::Bytes(b"c".to_vec())), a);
        assert_eq!(heap.len(), 2);
    }

    #[test]
    fn bytes_are_counted_where_they_change() {
        let mut heap = Heap::default();
        let a = heap.alloc(Big::Bytes(b"abc".to_vec()));
        assert_eq!((heap.held(), heap.counted()), (3, 3));
        let grow = |big: &mut Big| {
            if let Big::Bytes(bytes) = big {
                bytes.resize(1000, 0);
            }
        };
        heap.change(a, grow);
        assert!(heap.held() >= 1000 && heap.held() == heap.counted());
        assert!(heap.change(0, grow).is_none());
        heap.free(a);
        assert_eq!((heap.held(), heap.counted()), (0, 0));
        heap.alloc(Big::Bytes(b"x".to_vec()));
        heap.clear();
        assert_eq!(heap.held(), 0);
    }

    #[test]
    fn a_copy_is_its_own() {
        let (mut one, mut two) = (Heap::default(), Heap::default());
        let a = one.alloc(Big::Bytes(b"a".to_vec()));
        let copy = two.clone_from_heap(&one, a);
        one.free(a);
        assert_eq!(text(&two, copy), Some(&b"a"[..]));
        assert_eq!(two.clone_from_heap(&one, 0), 0);
    }
}
