//! The public functions of a crate as its `api.txt` lists them.

/// A public function: the type that it belongs to, and its name.
pub(crate) struct Function {
    pub(crate) owner: String,
    pub(crate) name: String,
}

/// Reads the lines of a crate's `api.txt`.
pub(crate) fn lines(krate: &str) -> Vec<String> {
    let path = format!("{}/crates/plimsoll-{krate}/api.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// Returns the methods and associated functions of a crate's own types.
pub(crate) fn functions(krate: &str) -> Vec<Function> {
    lines(krate).iter().filter_map(|line| function(line)).collect()
}

/// Reads `pub async fn plimsoll_valve::Valve::acquire(&self) -> …`.
fn function(line: &str) -> Option<Function> {
    let signature = line.strip_prefix("pub ")?.trim_start_matches("const ").trim_start_matches("async ");
    let (path, _) = signature.strip_prefix("fn ")?.split_once('(')?;
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in path.chars() {
        depth += i32::from(c == '<') - i32::from(c == '>');
        match c {
            ':' if depth == 0 => {
                if !parts.last()?.is_empty() {
                    parts.push(String::new());
                }
            }
            _ => parts.last_mut()?.push(c),
        }
    }
    let name = parts.pop()?;
    Some(Function { owner: parts.pop()?, name: name.split('<').next()?.to_owned() })
}

#[test]
fn line_of_an_api_is_read_as_owner_and_name() {
    let read = |line| function(line).map(|function| (function.owner, function.name));
    let expected = |owner: &str, name: &str| Some((owner.to_owned(), name.to_owned()));
    let line = "pub async fn plimsoll_valve::Valve::run<T, E>(&self, impl Future) -> Result<T, E>";
    assert_eq!(read(line), expected("Valve", "run"));
    let line = "pub fn plimsoll_limit::KeyedLimiter<plimsoll_limit::Fair<K>>::builder() -> B";
    assert_eq!(read(line), expected("KeyedLimiter<plimsoll_limit::Fair<K>>", "builder"));
    assert_eq!(read("pub struct plimsoll_valve::Valve(_)"), None);
}
