//! The weight of items.

/// A value that can report how many bytes it holds.
///
/// Counts the value itself and the memory that it alone keeps alive. A vector counts its capacity
/// rather than its length: a short rest in a large allocation keeps all of it alive.
///
/// ```
/// use plimsoll_buffer::Weigh;
///
/// let mut line = String::with_capacity(4_096);
/// line.push_str("short");
/// assert!(line.bytes_held() >= 4_096);
/// ```
pub trait Weigh {
    /// Returns the number of bytes.
    fn bytes_held(&self) -> usize;
}

impl Weigh for String {
    fn bytes_held(&self) -> usize {
        size_of::<Self>() + self.capacity()
    }
}

impl Weigh for Vec<u8> {
    fn bytes_held(&self) -> usize {
        size_of::<Self>() + self.capacity()
    }
}

impl Weigh for Box<[u8]> {
    fn bytes_held(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

impl Weigh for Box<str> {
    fn bytes_held(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

/// Returns the weight of an item.
pub(crate) type Weigher<T> = Box<dyn Fn(&T) -> u32 + Send + Sync>;
