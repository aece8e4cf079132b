//! Wrong use does not compile, and the compiler says what to write instead.
//!
//! Each file in `cases` is a slip. The `.stderr` beside it is the message, as Rust 1.95 words it.
//! Other compilers word some lines differently, so this test can fail on them. After a change of a
//! message or of the compiler, `TRYBUILD=overwrite cargo test --test compile_errors` writes the
//! files anew. Read each of them as somebody who does not know the crate.
#![allow(missing_docs)]

#[test]
fn messages_for_wrong_use_say_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/compile_errors/cases/*.rs");
}
