//! How heavy an item is.

/// What a value takes up in memory, in bytes, as far as it can know: itself and what it alone keeps
/// alive. A vector counts its capacity, not its length: a small rest in a large allocation keeps all of
/// it alive.
///
/// ```
/// use plimsoll_buffer::Weigh;
///
/// let mut line = String::with_capacity(4_096);
/// line.push_str("short");
/// assert!(line.bytes_held() >= 4_096);
/// ```
pub trait Weigh {
    /// In bytes.
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

pub(crate) type Weigher<T> = Box<dyn Fn(&T) -> u32 + Send + Sync>;
