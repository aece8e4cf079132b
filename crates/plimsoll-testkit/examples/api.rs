//! Prints the public API of a crate from rustdoc's JSON, one item a line.
//!
//! `.ci/api` compares the output with the `api.txt` of each published crate.
//!
//! ```text
//! cargo run -p plimsoll-testkit --example api -- target/api/doc/plimsoll_valve.json
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: api <rustdoc JSON file>");
        return ExitCode::from(2);
    };
    let builder = public_api::Builder::from_rustdoc_json(&path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true);
    match builder.build() {
        Ok(api) => {
            println!("{api}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{path}: {e}");
            ExitCode::FAILURE
        }
    }
}
