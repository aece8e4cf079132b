//! How an admitted call ended, and who says so.

use crate::Rejected;
use std::fmt;
use std::marker::PhantomData;

/// How an admitted call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// It did what it should.
    Success,
    /// It failed.
    Failure,
    /// It took too long.
    TimedOut,
    /// The inner side itself pushed back (429, 503, RESOURCE_EXHAUSTED).
    Overloaded,
    /// It says nothing about the inner side.
    Ignored,
    /// The caller went away before the end.
    Cancelled,
}

impl Outcome {
    /// The outcome as one lower-case word, for labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::TimedOut => "timed_out",
            Outcome::Overloaded => "overloaded",
            Outcome::Ignored => "ignored",
            Outcome::Cancelled => "cancelled",
        }
    }
}

impl Outcome {
    /// Returns `Success` for `Ok`, `Failure` for `Err`.
    pub const fn from_result<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

/// Reads the outcome off a finished call.
pub trait Classify<T, E> {
    /// The outcome of a call that ended with `result`.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;
}

/// The default classifier: `Ok` is a success, `Err` a failure.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnError;

impl<T, E> Classify<T, E> for OnError {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        Outcome::from_result(&result)
    }
}

/// A closure as classifier; naming `T` and `E` in the type lets `|result| …` infer its argument.
pub struct ClassifyFn<F, T, E>(F, PhantomData<fn(T, E)>);

impl<F, T, E> ClassifyFn<F, T, E> {
    /// Classifies by `classify`.
    pub fn new(classify: F) -> Self
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        ClassifyFn(classify, PhantomData)
    }
}

// Derived, these would ask for `T: Clone` and `E: Clone`, which are only named, never held.
impl<F: Clone, T, E> Clone for ClassifyFn<F, T, E> {
    fn clone(&self) -> Self {
        ClassifyFn(self.0.clone(), PhantomData)
    }
}

impl<F, T, E> fmt::Debug for ClassifyFn<F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("With(..)")
    }
}

impl<F: Fn(Result<&T, &E>) -> Outcome, T, E> Classify<T, E> for ClassifyFn<F, T, E> {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        (self.0)(result)
    }
}

/// A call that was either refused by a guard or failed by itself.
///
/// What `run` and `.wrap()` answer with, where the inner error has no place for a [`Rejected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload<E> {
    /// A guard refused; the work never began.
    Rejected(Rejected),
    /// The work began, and this is its own error.
    Inner(E),
}

impl<E> Overload<E> {
    /// The refusal, if it was one.
    pub fn rejected(&self) -> Option<&Rejected> {
        match self {
            Overload::Rejected(rejected) => Some(rejected),
            Overload::Inner(_) => None,
        }
    }
}

impl<E> From<Rejected> for Overload<E> {
    fn from(rejected: Rejected) -> Self {
        Overload::Rejected(rejected)
    }
}

impl<E: fmt::Display> fmt::Display for Overload<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Overload::Rejected(rejected) => rejected.fmt(f),
            Overload::Inner(e) => e.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Overload<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Overload::Rejected(rejected) => Some(rejected),
            Overload::Inner(e) => e.source(),
        }
    }
}
