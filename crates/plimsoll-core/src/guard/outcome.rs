//! Outcomes of admitted work, and classifiers that read them from results.

use crate::Rejected;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;

/// The outcome of admitted work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Outcome {
    /// The work succeeded.
    Success,
    /// The work failed.
    Failure,
    /// The work timed out.
    TimedOut,
    /// The callee itself is overloaded (429, 503, RESOURCE_EXHAUSTED).
    Overloaded,
    /// The outcome says nothing about the callee.
    Ignored,
    /// The caller left before the work had ended.
    Cancelled,
}

impl Outcome {
    /// Returns the outcome in lower case, for labels.
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

    /// Returns `Success` for `Ok`, `Failure` for `Err`.
    pub const fn from_result<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }

    /// Returns `Ignored` if a guard rejected the call, `Failure` otherwise.
    ///
    /// A guard did if `error` or one of its [sources](Error::source) is a [`Rejected`]. That says
    /// nothing about the callee.
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        if is_rejection(error) { Outcome::Ignored } else { Outcome::Failure }
    }
}

/// Reads the outcome from the result of a call.
pub trait Classify<T, E> {
    /// Returns the outcome of a call that returned `result`.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;
}

/// The default classifier: `Ok` is a success, `Err` a failure.
///
/// An `Err` is [ignored](Outcome::Ignored) if another guard rejected the call further in. This is
/// seen if the error is a [`Rejected`], an [`Overload`] of a boxed error, or a boxed error with a
/// rejection anywhere in its [chain of sources](Outcome::from_error). Classify an error type of
/// your own by [`Outcome::from_error`].
#[derive(Clone, Copy, Debug, Default)]
pub struct OnError;

impl<T, E: 'static> Classify<T, E> for OnError {
    #[inline]
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => of_any(error),
        }
    }
}

/// Returns whether an error or one of its sources is a rejection.
fn is_rejection(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    // An I/O error does not return the error that it wraps as its source, but the source of that.
    let wrapped = |error: &io::Error| error.get_ref().is_some_and(|wrapped| is_rejection(wrapped));
    chain.any(|error| error.is::<Rejected>() || error.downcast_ref().is_some_and(wrapped))
}

type Boxed = Box<dyn Error + Send + Sync>;

/// Classifies an error by its type, and a boxed one by its sources.
fn of_any(error: &dyn Any) -> Outcome {
    if error.is::<Rejected>() {
        Outcome::Ignored
    } else if let Some(error) = error.downcast_ref::<Boxed>() {
        Outcome::from_error(&**error)
    } else if let Some(overload) = error.downcast_ref::<Overload<Boxed>>() {
        match overload {
            Overload::Rejected(_) => Outcome::Ignored,
            Overload::Inner(error) => Outcome::from_error(&**error),
        }
    } else if let Some(error) = error.downcast_ref::<Box<dyn Error>>() {
        Outcome::from_error(&**error)
    } else {
        Outcome::Failure
    }
}

/// A closure as a classifier. `T` and `E` in the type let the closure infer its argument.
pub struct ClassifyFn<F, T, E>(F, PhantomData<fn(T, E)>);

impl<F, T, E> ClassifyFn<F, T, E> {
    /// Creates a classifier from a closure.
    pub fn new(classify: F) -> Self
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        ClassifyFn(classify, PhantomData)
    }
}

// Not derived: that would require `T: Clone` and `E: Clone`, although neither is stored.
impl<F: Clone, T, E> Clone for ClassifyFn<F, T, E> {
    fn clone(&self) -> Self {
        ClassifyFn(self.0.clone(), PhantomData)
    }
}

impl<F, T, E> fmt::Debug for ClassifyFn<F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClassifyFn(..)")
    }
}

impl<F: Fn(Result<&T, &E>) -> Outcome, T, E> Classify<T, E> for ClassifyFn<F, T, E> {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        (self.0)(result)
    }
}

/// The error of a guarded call: a rejection, or the error of the work itself.
///
/// `run` and `.wrap()` return it, since the work's own error type may not hold a [`Rejected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload<E> {
    /// A guard rejected the request; the work never began.
    Rejected(Rejected),
    /// The work began and returned this error.
    Inner(E),
}

impl<E> Overload<E> {
    /// Returns the rejection, if it is one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    /// A valve that shed load opened a breaker around it, although the dependency was healthy.
    #[test]
    fn rejection_by_an_inner_guard_is_ignored() {
        fn outcome<E: 'static>(error: E) -> Outcome {
            OnError.classify(Err::<&(), _>(&error))
        }
        let rejected = Rejected::new("valve", Reason::Full);
        let nested = || io::Error::other(io::Error::other(rejected));
        assert_eq!(outcome(rejected), Outcome::Ignored);
        assert_eq!(outcome(Boxed::from(rejected)), Outcome::Ignored);
        assert_eq!(outcome(Boxed::from(Overload::<io::Error>::Rejected(rejected))), Outcome::Ignored);
        assert_eq!(outcome(Boxed::from(nested())), Outcome::Ignored);
        assert_eq!(outcome(Box::<dyn Error>::from(nested())), Outcome::Ignored);
        assert_eq!(outcome(Overload::<Boxed>::Rejected(rejected)), Outcome::Ignored);
        assert_eq!(outcome(Overload::Inner(Boxed::from(nested()))), Outcome::Ignored);
        assert_eq!(outcome(Overload::Inner(Boxed::from("broken"))), Outcome::Failure);
        assert_eq!(outcome(Boxed::from("broken")), Outcome::Failure);
        assert_eq!(outcome("broken"), Outcome::Failure);
        assert_eq!(OnError.classify(Ok::<_, &Boxed>(&())), Outcome::Success);
    }
}
